"""`pylon completion`: the scripts, and what bash really offers with its script."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SECONDS = 60
BIN = Path(sys.executable).parent


def bash(text: str, **environment: str) -> str:
    """What bash says to `text`, with our programs on its path."""
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "--norc", "--noprofile", "-c", text], env={**os.environ, "PATH": path, **environment}, capture_output=True, text=True,
        timeout=SECONDS, check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("pylon jo", ["job"]),
        ("pylon job sub", ["submit"]),
        ("pylon job s", ["status", "submit"]),
        ("pylon rlm --fa", ["--fanout"]),
        ("pylon completion ", ["bash", "fish", "zsh"]),
        ("pylon --home somewhere wallet bal", ["balance"]),
        ("pylon nothing-like-it", []),
    ],
)
def test_bash_completes(typed: str, offered: list[str]) -> None:
    """With the script sourced, the function that bash would call at TAB offers commands, sub-commands, options and choices."""
    script = (
        'source <(pylon completion bash); complete -p pylon >/dev/null; IFS=" " read -ra COMP_WORDS <<< "$TYPED"; '
        '[[ "$TYPED" == *" " ]] && COMP_WORDS+=(""); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); '
        '_pylon_completion pylon; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    assert sorted(bash(script, TYPED=typed).split()) == offered


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_its_script(shell: str) -> None:
    """It says which program it completes, and what it asks of it."""
    script = bash(f"pylon completion {shell}")
    assert "_pylon_completion" in script
    assert f"_PYLON_COMPLETE={shell}_complete" in script


def test_completing_a_command_loads_no_engine() -> None:
    """What can be typed after `pylon` is known without importing backends, wallets or the node."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "pylon"], capture_output=True, text=True, timeout=SECONDS, check=False,
        env={**os.environ, "COMP_WORDS": "pylon ", "COMP_CWORD": "1", "_PYLON_COMPLETE": "bash_complete"},
    )
    assert "plain,rlm" in done.stdout
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "pylon.cli.main" in loaded
    assert not {name for name in loaded if name.startswith(("pylon.backends", "pylon.wallets", "pylon.node", "pylon.gateway", "httpx"))}


def test_an_unknown_shell_is_refused() -> None:
    """The command line is wrong, and the shells that can be had are named."""
    done = subprocess.run(
        [sys.executable, "-m", "pylon", "completion", "cmd"], capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 2
    assert all(shell in done.stderr for shell in ("bash", "zsh", "fish"))
