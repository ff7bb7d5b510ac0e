"""One distribution, two compilers: setuptools owns the wheel, Cython modules are ordinary extensions, and each PyO3 crate
is one more extension, which maturin builds.

A crate is built again only when something that cargo reads has changed; editing Python never runs cargo. Environment:
PYLON_RUST_PROFILE (release, or quick for a faster build), PYLON_BUILD_LIGHTNING (0 leaves the Lightning node out, which is
most of the work), CARGO_TARGET_DIR, XDG_CACHE_HOME.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
PROFILE = os.environ.get("PYLON_RUST_PROFILE", "release")
# What changes the machine code besides the sources.
FLAGS = ("RUSTFLAGS", "CC", "CFLAGS", "CARGO_BUILD_TARGET")


@dataclass(frozen=True)
class Crate:
    """A crate that is an extension module; native/fuzz is built by itself."""

    module: str
    folder: str
    parts: tuple[str, ...]
    profile: str

    @property
    def name(self) -> str:
        return self.module.rpartition(".")[2]


CORE = Crate("pylon._native.core", "py_core", ("core", "py_core"), PROFILE)
LIGHTNING = Crate("pylon._native.lightning", "py_lightning", ("lightning", "py_lightning"), "lightning")
CRATES = {crate.module: crate for crate in (CORE, LIGHTNING) if crate is CORE or os.environ.get("PYLON_BUILD_LIGHTNING") != "0"}


def target_dir() -> Path:
    """Where cargo builds: outside the clone, so that a second clone finds the crates compiled already."""
    if given := os.environ.get("CARGO_TARGET_DIR"):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pylon" / "cargo-target"


def tool(name: str) -> str:
    """The path of a build tool: on PATH, or beside this interpreter. (`python -m maturin` fails in an isolated build.)"""
    found = shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))
    if found is None:
        raise SystemExit(f"Pylon is compiled on this machine and needs `{name}`, which is not on PATH (Rust: https://rustup.rs)")
    return found


def version_of(name: str) -> bytes:
    return subprocess.run([tool(name), "--version"], check=True, capture_output=True).stdout


def stamp(crate: Crate) -> str:
    """A hash of everything that decides what a crate compiles to."""
    digest = hashlib.sha256(f"{sys.implementation.cache_tag} {crate.profile}".encode())
    for flag in FLAGS:
        digest.update(f"{flag}={os.environ.get(flag, '')}\0".encode())
    for name in ("rustc", "maturin"):
        digest.update(version_of(name))
    inputs = [ROOT / "Cargo.toml", ROOT / "Cargo.lock", ROOT / "native" / crate.folder / "pyproject.toml"]
    for part in crate.parts:
        inputs += [ROOT / "native" / part / "Cargo.toml", *(ROOT / "native" / part / "src").glob("**/*.rs")]
    for path in sorted(inputs):
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


class BuildExt(build_ext):
    """Cython as usual; the Rust extensions by maturin."""

    def run(self) -> None:
        if LIGHTNING.module not in CRATES:  # what an earlier build left would be loaded
            for old in Path(self.get_ext_fullpath(LIGHTNING.module)).parent.glob(f"{LIGHTNING.name}.*.so"):
                old.unlink()
        super().run()

    def build_extension(self, ext: Extension) -> None:
        if crate := CRATES.get(ext.name):
            self.build_rust(crate, Path(self.get_ext_fullpath(ext.name)))
        else:
            super().build_extension(ext)

    def build_rust(self, crate: Crate, destination: Path) -> None:
        tool("cargo")
        target = target_dir()
        cached = target / "extensions" / f"{stamp(crate)}-{destination.name}"
        cached.parent.mkdir(parents=True, exist_ok=True)
        # One at a time: cargo leaves the library at one place, whichever clone it is of.
        with (cached.parent / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not cached.exists():
                partial = cached.with_suffix(f".{os.getpid()}")
                partial.write_bytes(self.compiled(crate, target))
                partial.replace(cached)
        destination.parent.mkdir(parents=True, exist_ok=True)
        for old in destination.parent.glob(f"{crate.name}.*.so"):  # never ship a stale one
            old.unlink()
        shutil.copyfile(cached, destination)
        destination.chmod(0o755)

    def compiled(self, crate: Crate, target: Path) -> bytes:
        """The extension as cargo makes it of this clone."""
        for source in (ROOT / "native").glob("*/src/lib.rs"):
            source.touch()  # cargo goes by times, and would take the crate of another clone that was built after this one was written
        with tempfile.TemporaryDirectory() as wheels:
            command = [
                tool("maturin"), "build", "--profile", crate.profile, "--locked",
                "--manifest-path", str(ROOT / "native" / crate.folder / "Cargo.toml"),
                "--interpreter", sys.executable, "--out", wheels,
            ]
            if sys.platform == "linux":
                command += ["--compatibility", "linux"]  # `auditwheel repair` looks at the whole wheel later
            environment = os.environ | {"CARGO_TARGET_DIR": str(target), "PYLON_RUST_PROFILE": crate.profile}
            subprocess.run(command, check=True, cwd=ROOT, env=environment)
            (wheel,) = Path(wheels).glob("*.whl")
            with zipfile.ZipFile(wheel) as archive:
                (name,) = [
                    entry for entry in archive.namelist() if Path(entry).name.startswith(f"{crate.name}.") and entry.endswith(".so")
                ]
                return archive.read(name)


cython = cythonize(
    [Extension(f"pylon._native.{name}", [f"pylon/_native/{name}.pyx"]) for name in ("delivered", "frames")],
    build_dir="build/cython",
    compiler_directives={"language_level": "3", "freethreading_compatible": False},
)
setup(ext_modules=[*cython, *(Extension(module, []) for module in CRATES)], cmdclass={"build_ext": BuildExt})
