"""What all commands share: errors as sentences and documents, exit statuses, text that does not drive a terminal, numbers in range."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import orjson
import pytest
from click.testing import CliRunner

from pylon import errors
from pylon.cli.common import command, fail, printable
from pylon.cli.main import COMMANDS, pylon
from pylon.cli.options import COUNT, MSAT, SATS, WEEK, Seconds
from pylon.errors import PylonError
from pylon.units import MAX_MSAT

ROOT = Path(__file__).parents[2]

EXITS = {
    "PylonError": 1, "UsageError": 2, "NotSetUp": 3, "ConfigError": 3, "NoBackend": 4, "NoModel": 4, "ContextOverflow": 4,
    "BackendBusy": 4, "BackendBroken": 4, "NoRelay": 5,
    "PaymentError": 6, "OverBudget": 6, "InsufficientFunds": 6, "InvoiceRefused": 6, "PaymentFailed": 6, "PaymentUnknown": 6,
    "NeverSent": 6, "WalletChanged": 6, "OverLimit": 6, "PayeeNotAllowed": 6, "PaymentsPaused": 6,
    "ProviderRefused": 7, "TimedOut": 8, "AnswerOwed": 9, "PartialAnswer": 10,
}


def _all(kind: type[PylonError]) -> Iterator[type[PylonError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _all(below)


KINDS = [kind for kind in _all(PylonError) if kind.__module__ == errors.__name__]


def test_every_error_has_its_exit_status() -> None:
    """The exit statuses of the design, all of them."""
    assert {kind.__name__: kind.exit_status for kind in KINDS} == EXITS
    assert len({kind.code for kind in KINDS}) == len(KINDS)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_error_as_a_document_and_as_a_sentence(kind: type[PylonError], capsys: pytest.CaptureFixture[str]) -> None:
    """With --json one document on stdout, else a sentence and its hint on stderr; the same exit status; nothing is obeyed or read."""
    error = kind("it [bold]broke[/] \x1b[31m\u202e😀 \ud800", hint="do [this]")
    assert fail(error, as_json=False) == kind.exit_status
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("Error: it [bold]broke[/] \\x1b[31m\\u202e😀")
    assert shown.err.endswith("\n  do [this]\n")
    assert fail(kind("it broke 😀 \ud800", hint="mend it"), as_json=True, document={"id": "x"}) == kind.exit_status
    shown = capsys.readouterr()
    assert shown.err == ""
    assert orjson.loads(shown.out) == {"id": "x", "error": {"code": kind.code, "message": "it broke 😀 ?", "hint": "mend it"}}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\n\ttext 😀 é שלום", "plain\n\ttext 😀 é שלום"), ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("a\x00b\x7f\x9b", "a\\x00b\\x7f\\x9b"), ("half \ud83d", "half \\ud83d"),
        ("\u202eevil\u2066\u200f", "\\u202eevil\\u2066\\u200f"), ("a\rb", "a\\rb"),
    ],
)
def test_text_that_would_drive_a_terminal(text: str, shown: str) -> None:
    """Control characters and overrides of the writing direction are shown, not obeyed; line breaks, tabs and letters stay."""
    assert printable(text) == shown


def test_what_the_system_refuses_names_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A read-only home or a full disk is no bug: the sentence says which file, and what to look at."""

    def refused(as_json: bool) -> int:
        (tmp_path / "nowhere" / "file").write_text("")
        return 0

    with pytest.raises(SystemExit) as ended:
        command(refused)(as_json=True)
    assert ended.value.code == 1
    told = orjson.loads(capsys.readouterr().out)["error"]
    assert told["message"] == f"{tmp_path / 'nowhere' / 'file'} cannot be used: No such file or directory"
    assert "free space" in told["hint"]


def test_an_unexpected_error_is_a_sentence(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """No traceback, exit 1; with PYLON_DEBUG the traceback."""

    def broken(as_json: bool) -> int:
        raise ZeroDivisionError("a bug")

    monkeypatch.delenv("PYLON_DEBUG", raising=False)
    with pytest.raises(SystemExit) as ended:
        command(broken)(as_json=True)
    assert ended.value.code == 1
    assert orjson.loads(capsys.readouterr().out)["error"]["message"] == "unexpected ZeroDivisionError: a bug"
    monkeypatch.setenv("PYLON_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        command(broken)(as_json=True)


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (SATS, ["1", str(MAX_MSAT // 1000)], ["0", "-1", "1.5", "x", str(MAX_MSAT // 1000 + 1), "9" * 40]),
        (MSAT, ["0", str(MAX_MSAT)], ["-1", str(MAX_MSAT + 1), "1e3"]),
        (COUNT, ["1", "1000000000"], ["0", "1000000001"]),
        (Seconds(), ["0", "0.5", str(WEEK)], ["-0.1", str(WEEK + 1), "nan", "inf", "-inf", "x"]),
        (Seconds(min_open=True), ["0.001"], ["0", "nan"]),
    ],
)
def test_numbers_that_people_type(kind: click.ParamType[float], good: list[str], bad: list[str]) -> None:
    """Each has a range in which it means something."""
    for text in good:
        assert kind.convert(text, None, None) == float(text)
    for text in bad:
        with pytest.raises(click.BadParameter):
            kind.convert(text, None, None)


@pytest.mark.parametrize("words", [["--json"], ["job", "submit", "--json"], ["nope", "--json"], ["wallet", "invoice", "x", "--json"]])
def test_a_wrong_command_line_is_a_document_too(words: list[str]) -> None:
    """With --json: code `usage`, exit 2, nothing on stderr."""
    done = subprocess.run([sys.executable, "-m", "pylon", *words], cwd=ROOT, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (2, b"")
    assert orjson.loads(done.stdout)["error"]["code"] == "usage"


def test_no_stub_commands() -> None:
    """What is listed is there, and shows its help; `--version` shows the version."""
    listed = CliRunner().invoke(pylon, ["--help"]).output
    for name in COMMANDS:
        assert f"  {name} " in listed
        assert CliRunner().invoke(pylon, [name, "--help"]).exit_code == 0
    assert CliRunner().invoke(pylon, ["--version"]).output.startswith("pylon, version ")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_long_document_is_written_whole_to_a_slow_reader(unbuffered: str) -> None:
    """A megabyte through a pipe that is not read at first: every byte comes, whether or not Python buffers its output."""
    code = "from pylon.cli.common import show_json; show_json({'text': 'x' * 1_000_000})"
    with subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONUNBUFFERED": unbuffered}, stdout=subprocess.PIPE) as done:
        assert done.stdout is not None
        first = done.stdout.read(1)  # the rest does not fit into the pipe until we read on
        assert len(first + done.stdout.read()) == len('{"text":""}\n') + 1_000_000
    assert done.returncode == 0
