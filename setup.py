"""One distribution, two compilers: setuptools owns the wheel, Cython modules are ordinary extensions, and the PyO3 crate
is one more extension, which maturin builds.

The crate is built again only when something that cargo reads has changed; editing Python never runs cargo. Environment:
PYLON_RUST_PROFILE (release, or quick for a faster build), CARGO_TARGET_DIR, XDG_CACHE_HOME.
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
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
CRATE = ROOT / "native" / "py_core"
RUST_MODULE = "pylon._native.core"
PROFILE = os.environ.get("PYLON_RUST_PROFILE", "release")
# What changes the machine code besides the sources.
FLAGS = ("RUSTFLAGS", "CC", "CFLAGS", "CARGO_BUILD_TARGET")


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


def stamp() -> str:
    """A hash of everything that decides what the crate compiles to."""
    digest = hashlib.sha256(f"{sys.implementation.cache_tag} {PROFILE}".encode())
    for flag in FLAGS:
        digest.update(f"{flag}={os.environ.get(flag, '')}\0".encode())
    for name in ("rustc", "maturin"):
        digest.update(version_of(name))
    inputs = [ROOT / "Cargo.toml", ROOT / "Cargo.lock", CRATE / "pyproject.toml"]
    for crate in ("core", "py_core"):  # native/fuzz is built by itself
        inputs += [ROOT / "native" / crate / "Cargo.toml", *(ROOT / "native" / crate / "src").glob("**/*.rs")]
    for path in sorted(inputs):
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


class BuildExt(build_ext):
    """Cython as usual; the Rust extension by maturin."""

    def build_extension(self, ext: Extension) -> None:
        if ext.name == RUST_MODULE:
            self.build_rust(Path(self.get_ext_fullpath(ext.name)))
        else:
            super().build_extension(ext)

    def build_rust(self, destination: Path) -> None:
        tool("cargo")
        target = target_dir()
        cached = target / "extensions" / f"{stamp()}-{destination.name}"
        cached.parent.mkdir(parents=True, exist_ok=True)
        # One at a time: cargo leaves the library at one place, whichever clone it is of.
        with (cached.parent / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not cached.exists():
                partial = cached.with_suffix(f".{os.getpid()}")
                partial.write_bytes(self.compiled(target))
                partial.replace(cached)
        destination.parent.mkdir(parents=True, exist_ok=True)
        for old in destination.parent.glob("core.*.so"):  # never ship a stale one
            old.unlink()
        shutil.copyfile(cached, destination)
        destination.chmod(0o755)

    def compiled(self, target: Path) -> bytes:
        """The extension as cargo makes it of this clone."""
        for crate in (ROOT / "native").glob("*/src/lib.rs"):
            crate.touch()  # cargo goes by times, and would take the crate of another clone that was built after this one was written
        with tempfile.TemporaryDirectory() as wheels:
            command = [
                tool("maturin"), "build", "--profile", PROFILE, "--locked", "--manifest-path", str(CRATE / "Cargo.toml"),
                "--interpreter", sys.executable, "--out", wheels,
            ]
            if sys.platform == "linux":
                command += ["--compatibility", "linux"]  # `auditwheel repair` looks at the whole wheel later
            environment = os.environ | {"CARGO_TARGET_DIR": str(target), "PYLON_RUST_PROFILE": PROFILE}
            subprocess.run(command, check=True, cwd=ROOT, env=environment)
            (wheel,) = Path(wheels).glob("*.whl")
            with zipfile.ZipFile(wheel) as archive:
                (name,) = [entry for entry in archive.namelist() if Path(entry).name.startswith("core.") and entry.endswith(".so")]
                return archive.read(name)


cython = cythonize(
    [Extension(f"pylon._native.{name}", [f"pylon/_native/{name}.pyx"]) for name in ("delivered", "frames")],
    build_dir="build/cython",
    compiler_directives={"language_level": "3", "freethreading_compatible": False},
)
setup(ext_modules=[*cython, Extension(RUST_MODULE, [])], cmdclass={"build_ext": BuildExt})
