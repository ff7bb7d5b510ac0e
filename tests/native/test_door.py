"""The door to compiled code: versions that do not fit are told in one sentence, and the pins agree."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import pylon
from pylon import _native

ROOT = Path(__file__).parent.parent.parent


def run(code: str) -> str:
    """The last line that a fresh interpreter writes to stderr."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    return done.stderr.strip().splitlines()[-1] if done.returncode else ""


def test_versions_agree() -> None:
    """Python files, extension and Cargo workspace have one version."""
    cargo = tomllib.loads((ROOT / "Cargo.toml").read_text())
    assert pylon.__version__ == _native.core.__version__ == cargo["workspace"]["package"]["version"]
    assert _native.BUILD_PROFILE in ("release", "quick")


def test_another_version_is_refused() -> None:
    """Python files that are newer than the extension say what to run."""
    assert run("import pylon; pylon.__version__ = '9.9.9'; import pylon._native") == (
        f"ImportError: Pylon is 9.9.9 but its native extension is {pylon.__version__}: the Python files were updated and the extension "
        "was not; run `make native` or `pip install .`"
    )


def test_no_extension(tmp_path: Path) -> None:
    """A missing extension is called missing, with how to build it."""
    for name in ("__init__.py", "_native/__init__.py"):
        copy = tmp_path / "pylon" / name
        copy.parent.mkdir(exist_ok=True)
        copy.write_text((ROOT / "pylon" / name).read_text())
    assert run(f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import pylon._native") == (
        "ImportError: Pylon's native extension cannot be loaded (No module named 'pylon._native.core'); "
        "build it with `make native` or `pip install .`"
    )


def test_another_picows_is_refused() -> None:
    """The listener names the picows that it was compiled for, and the one that it found."""
    assert run("import picows; picows.__version__ = '2.4.0'; import pylon._native.frames") == (
        "ImportError: Pylon's websocket listener is compiled for picows 2.3.1, but picows 2.4.0 is installed; "
        "run `pip install picows==2.3.1`"
    )


def test_one_pin_of_picows() -> None:
    """The listener, the build and the installation name the same picows."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "picows==2.3.1" in project["build-system"]["requires"]
    assert "picows==2.3.1" in project["project"]["dependencies"]
    assert 'picows.__version__ != "2.3.1"' in (ROOT / "pylon" / "_native" / "frames.pyx").read_text()


@pytest.mark.parametrize("name", _native.__all__)
def test_all_is_there(name: str) -> None:
    """Everything that the door promises is there."""
    assert getattr(_native, name) is not None
