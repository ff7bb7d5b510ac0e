"""`pylon infer` and `pylon models list`, as real processes."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from pylon.backends.models import pull

ROOT = Path(__file__).parents[2]
PATIENCE = 120

SCRIPT = """
log = "runs.log"
default = "Yes."
[[reply]]
when = "colour"
text = "\\u001b[31mred\\u0007 \\u202e"
[[reply]]
when = "hang"
text = "a b c"
after = 1
fail = "hang"
[[reply]]
when = "break"
text = "a b c"
after = 1
fail = "broken"
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home whose only backend is scripted."""
    monkeypatch.setenv("PYLON_HOME", str(tmp_path))
    monkeypatch.setenv("PYLON_BACKENDS", "")
    monkeypatch.setenv("PYLON_ENGINE_GRACE", "0.5")
    (tmp_path / "script.toml").write_text(SCRIPT, "utf-8")
    (tmp_path / "config.toml").write_text(f'[backends]\nuse = ["scripted"]\nscript = "{tmp_path}/script.toml"\n', "utf-8")
    return tmp_path


def pylon(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run the command; there is never a traceback."""
    done = subprocess.run(
        [sys.executable, "-m", "pylon", *arguments], cwd=ROOT, input=stdin, capture_output=True, timeout=PATIENCE, check=False
    )
    assert b"Traceback" not in done.stderr
    return done


def error_of(done: subprocess.CompletedProcess[bytes]) -> dict[str, str]:
    """The error of a JSON document."""
    error: dict[str, str] = orjson.loads(done.stdout)["error"]
    return error


def test_an_answer(home: Path) -> None:
    """The text goes to stdout, streamed or not, without identity or node."""
    for more in ([], ["--no-stream"]):
        done = pylon("infer", "--prompt", "Are you there?", *more)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"Yes.\n", b"")
    assert sorted(path.name for path in home.iterdir()) == ["config.toml", "runs.log", "script.toml"]


def test_json(home: Path) -> None:
    """The document has text, model, backend and usage."""
    done = pylon("infer", "--prompt", "Are you there?", "--json")
    assert orjson.loads(done.stdout) == {
        "text": "Yes.",
        "model": "scripted",
        "backend": "scripted",
        "usage": {"prompt_tokens": 3, "completion_tokens": 1},
        "finish_reason": "stop",
    }


@pytest.mark.parametrize(
    "arguments",
    [
        ["--prompt", ""],
        ["--prompt", " \n"],
        ["--prompt", "-"],
        [],
        ["--prompt", "x", "--temperature", "nan"],
        ["--prompt", "x", "--temperature", "-1"],
        ["--prompt", "x", "--max-tokens", "0"],
    ],
)
def test_wrong_arguments(home: Path, arguments: list[str]) -> None:
    """An empty prompt (standard input too), or a number out of range, is a usage error."""
    assert home.exists()
    assert pylon("infer", *arguments).returncode == 2


def test_odd_prompts(home: Path) -> None:
    """Emoji, NUL, right-to-left and broken UTF-8 are prompts like others."""
    assert home.exists()
    for text in ("😀", "\u202eabc", "مرحبا"):
        assert pylon("infer", "--prompt", text).stdout == b"Yes.\n"
    for raw in (b"a\x00b", b"\xff\xfe"):
        assert pylon("infer", "--prompt", "-", stdin=raw).stdout == b"Yes.\n"
        assert pylon("infer", "--prompt", raw.replace(b"\x00", b"").decode("utf-8", "surrogateescape")).stdout == b"Yes.\n"


def test_ten_megabytes(home: Path) -> None:
    """A text that does not fit: exit 4 and the code word."""
    assert home.exists()
    done = pylon("infer", "--prompt", "-", "--json", stdin=b"word " * 2_000_000)
    assert done.returncode == 4
    assert error_of(done)["code"] == "context_overflow"
    assert pylon("infer", "--prompt", "-", stdin=b"word " * 2_000_000).stdout == b""


def test_an_unknown_model(home: Path) -> None:
    """Exit 4, naming the models that are there."""
    assert home.exists()
    done = pylon("infer", "--prompt", "x", "--model", "gpt-nowhere", "--json")
    assert done.returncode == 4
    assert error_of(done)["code"] == "no_model"
    assert "scripted" in error_of(done)["message"]


def test_no_backend(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 4, naming `pylon models pull`."""
    (home / "config.toml").unlink()
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "empty"))
    done = pylon("infer", "--prompt", "x")
    assert done.returncode == 4
    assert b"pylon models pull" in done.stderr
    listed = pylon("models", "list")
    assert listed.returncode == 0
    assert b"pylon models pull" in listed.stdout


def test_a_backend_that_breaks(home: Path) -> None:
    """What came is shown, then the error; exit 4."""
    assert home.exists()
    done = pylon("infer", "--prompt", "break")
    assert (done.returncode, done.stdout) == (4, b"a")
    assert b"broke off" in done.stderr


def test_a_spelling_mistake_in_the_configuration(home: Path) -> None:
    """Exit 3, naming the line and the key."""
    (home / "config.toml").write_text('[backends]\n\nuze = ["scripted"]\n', "utf-8")
    done = pylon("infer", "--prompt", "x")
    assert done.returncode == 3
    assert b"line 3" in done.stderr
    assert b"uze" in done.stderr
    (home / "config.toml").write_text('[backends]\nuse = ["skripted"]\n', "utf-8")
    assert pylon("infer", "--prompt", "x").returncode == 3


def test_interrupted(home: Path) -> None:
    """Ctrl-C closes the stream and exits 130 without a traceback."""
    with subprocess.Popen(
        [sys.executable, "-m", "pylon", "infer", "--prompt", "hang"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.read(1) == b"a"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert errors == b""
    assert (home / "runs.log").read_text("utf-8").split()[-1] == "closed"


def test_a_terminal_is_not_driven_by_the_model(home: Path) -> None:
    """Control characters are shown, not obeyed, where stdout is a terminal; a pipe gets the text as it is."""
    assert home.exists()
    assert b"\x1b[31mred\x07" in pylon("infer", "--prompt", "colour").stdout
    leader, follower = pty.openpty()
    with subprocess.Popen([sys.executable, "-m", "pylon", "infer", "--prompt", "colour"], cwd=ROOT, stdout=follower) as process:
        os.close(follower)
        shown = os.read(leader, 4096)
        while b"\n" not in shown:
            shown += os.read(leader, 4096)
        assert process.wait(PATIENCE) == 0
    os.close(leader)
    assert b"\x1b" not in shown
    assert b"\\x1b[31mred\\x07" in shown


def test_models_list(home: Path) -> None:
    """The models of the engines found, in text and in JSON."""
    assert home.exists()
    document = orjson.loads(pylon("models", "list", "--json").stdout)
    assert document["models"] == [{"name": "scripted", "backend": "scripted", "context": 4096, "loaded": True, "slots": 2}]
    assert b"scripted" in pylon("models", "list").stdout


def test_the_real_model(home: Path) -> None:
    """What is 2+2? Asked of the real model by the real command."""
    pull()
    (home / "config.toml").unlink()
    done = pylon("infer", "--prompt", "What is 2+2?", "--temperature", "0", "--json")
    assert done.returncode == 0
    document = orjson.loads(done.stdout)
    assert "4" in document["text"]
    assert (document["model"], document["backend"]) == ("smollm2-135m", "embedded")
