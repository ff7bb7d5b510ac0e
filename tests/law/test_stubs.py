"""The stubs of the compiled modules say what the binaries hold."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_stubs_agree_with_the_binaries() -> None:
    """mypy's stubtest imports the extensions and compares every name and signature; an exception to it has its reason in the list."""
    done = subprocess.run(
        [
            sys.executable, "-m", "mypy.stubtest", "pylon._native.core", "pylon._native.delivered", "pylon._native.frames",
            "--allowlist", str(ROOT / "native" / "stubtest.allow"), "--mypy-config-file", str(ROOT / "pyproject.toml"),
        ],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
