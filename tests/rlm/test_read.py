"""Files become documents, or one sentence: text, source code, PDF; missing, huge, binary, damaged, encrypted, hostile."""

from __future__ import annotations

import errno
import mmap
import os
import resource
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylon.cli.paper import essay, pdf, write_paper, write_pdf
from pylon.errors import UsageError
from pylon.rlm.chunk import Document, cut
from pylon.rlm.extract import Limits, Overrun, bounded
from pylon.rlm.read import MAX_BYTES, read

from .papers import encrypted, endless, scanned, swollen


def put(place: Path, name: str, data: bytes) -> Path:
    """A file with these bytes."""
    path = place / name
    path.write_bytes(data)
    return path


def refusal(path: Path, limits: Limits | None = None) -> str:
    """The sentence that follows the file's path; the command ends with status 2."""
    with pytest.raises(UsageError) as caught:
        read(path, limits)
    assert caught.value.exit_status == 2
    assert str(path) in caught.value.message
    assert "\n" not in caught.value.message
    return caught.value.message.replace(str(path), "it")


def either(path: Path) -> Document | str:
    """The document, or the sentence that says why there is none."""
    try:
        return read(path)
    except UsageError as error:
        return error.message


@pytest.mark.parametrize(
    ("data", "text", "note"),
    [
        (b"fn main() {}\n", "fn main() {}\n", ""),
        ("naïve 字 👨‍👩‍👧 \u202eRTL\r\n".encode(), "naïve 字 👨‍👩‍👧 \u202eRTL\r\n", ""),
        (b"\xef\xbb\xbfbyte order mark", "byte order mark", ""),
        ("\ufeffzwei".encode("utf-16-le"), "zwei", ""),
        ("\ufeffzwei 👍".encode("utf-16-be"), "zwei 👍", ""),
        ("Le café d'à côté, «en été»".encode("latin-1"), "Le café d'à côté, «en été»", "read as Latin-1, since it is not UTF-8"),
        (b"\x1b[1mbold\x1b[0m log line\n", "\x1b[1mbold\x1b[0m log line\n", ""),
        (b"# what a PDF begins with: %PDF-1.4\n", "# what a PDF begins with: %PDF-1.4\n", ""),
    ],
)
def test_text_is_read_as_it_is(tmp_path: Path, data: bytes, text: str, note: str) -> None:
    """UTF-8, UTF-16 with a byte order mark, clear Latin-1; not a character is changed, and the folder is not part of the name."""
    document = read(put(tmp_path, "main.rs", data))
    assert (document.name, document.text, document.pages, document.note) == ("main.rs", text, None, note)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "it is empty"),
        (b" \n\t\r\n", "it holds nothing but white space"),
        (b"\x7fELF\x02\x01\x01\0\0", "it is a binary file, not text"),
        (b"text\0text", "it is a binary file, not text"),
        (bytes(range(1, 9)) * 20, "it is a binary file, not text"),
        (b"\x89PNG\r\n\x1a\n\0\0", "it is a binary file, not text"),
        ("zwei".encode("utf-16-le"), "it is a binary file, not text"),
        ("\ufeffzwei\0".encode("utf-16-le"), "it is a binary file, not text"),
        (b"\xff\xfe\x00\xd8", "it is not valid UTF-16"),
        (b"\xff\xfea", "it is not valid UTF-16"),
        ("one\ntwo é\n".encode() + b"three \xc3\n", "it is not UTF-8 text: line 3 holds other bytes"),
        ("一二三四五".encode("gb18030"), "it is not UTF-8 text: line 1 holds other bytes"),
        ("a smart ’quote’".encode("cp1252"), "it is not UTF-8 text: line 1 holds other bytes"),
        (b"surrogate \xed\xa0\x80", "it is not UTF-8 text: line 1 holds other bytes"),
    ],
)
def test_what_is_no_text(tmp_path: Path, data: bytes, sentence: str) -> None:
    """Empty, binary and in an unknown encoding: one sentence each."""
    assert refusal(put(tmp_path, "notes.txt", data)) == sentence


@given(st.binary(max_size=300))
def test_any_bytes_are_a_document_or_a_sentence(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """No file makes anything else, and every document can be cut."""
    path = put(tmp_path_factory.getbasetemp(), "any.txt", data.removeprefix(b"%PDF-"))
    found = either(path)
    assert str(path) in found if isinstance(found, str) else cut([found], 64)


def test_what_is_no_file(tmp_path: Path) -> None:
    """A missing file, a directory, a pipe, a socket, a device, a name that cannot be."""
    assert refusal(tmp_path / "absent.txt") == "there is no file it"
    assert refusal(tmp_path) == "it is a directory, not a file"
    os.mkfifo(tmp_path / "pipe")
    assert refusal(tmp_path / "pipe") == "it is a pipe or a device, not a file"
    assert refusal(Path(os.devnull)) == "it is a pipe or a device, not a file"
    assert refusal(put(tmp_path, "a.txt", b"a") / "b.txt") == "it cannot be read: Not a directory"
    assert refusal(tmp_path / ("x" * 300)) == "it cannot be read: File name too long"
    with pytest.raises(UsageError, match=r"cannot be the name of a file"):
        read(tmp_path / "a\0b")
    with pytest.raises(UsageError, match=r"\\u202e"):
        read(tmp_path / "a\u202eb")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        assert refusal(tmp_path / "s").startswith("it cannot be read: ")


def test_no_permission(tmp_path: Path) -> None:
    """A file that this user may not read; asked as another user where the tests run as root, who may read everything."""
    path = put(tmp_path, "secret.txt", b"secret")
    path.chmod(0)
    code = (
        "import os, sys; from pathlib import Path; from pylon.errors import UsageError; from pylon.rlm.read import read\n"
        "folder = os.open(Path(sys.argv[1]).parent, os.O_RDONLY); os.fchdir(folder)\n"
        "os.geteuid() == 0 and os.seteuid(65534)\n"
        "try: read(Path('secret.txt'))\n"
        "except UsageError as error: print(error.message)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "secret.txt may not be read: permission denied\n"


def test_a_file_that_is_too_big(tmp_path: Path) -> None:
    """More than 64 MiB are not read: not even a file that takes no place on the disk."""
    path = tmp_path / "big.txt"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    assert refusal(path) == "it is bigger than 64 MiB"


def test_fifty_megabytes_of_text(tmp_path: Path) -> None:
    """A text of 50 MB is read and cut in less than three times its size of memory: its pages, and the text of its pieces."""
    path = tmp_path / "long.txt"
    line = "The mill turned while the tide was out, and stood still when the water rose again.\n"
    path.write_text((line * 12 + "\n") * 50_000, "utf-8")
    code = (
        "import resource, sys; from pathlib import Path; from pylon.rlm.chunk import cut; from pylon.rlm.read import read\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = peak(); document = read(Path(sys.argv[1])); pieces = cut([document], 16_384); grown = peak() - before\n"
        "assert ''.join(piece.text for piece in pieces) == document.text\n"
        "print(len(document.text), len(pieces), grown)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True, timeout=120)
    size, pieces, grown = map(int, done.stdout.split())
    assert size == path.stat().st_size
    assert size / 16_384 <= pieces <= size / 12_000
    assert grown * (1 if sys.platform == "darwin" else 1024) < 3 * size


def test_a_text_is_mapped(tmp_path: Path) -> None:
    """No byte of a file is copied before it is cut; what is written to it before that is read as it then is, valid or not."""
    path = put(tmp_path, "a.txt", b"one two three")
    document = read(path)
    assert isinstance(document.content, memoryview)
    assert isinstance(document.content.obj, mmap.mmap)
    with path.open("r+b") as file:
        file.write(b"\xff")
    assert document.text == "\ufffdne two three"
    assert [piece.text for piece in cut([document], 64)] == ["\ufffdne two three"]


def test_what_cannot_be_mapped_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There are file systems that map nothing, and files that the system makes up, which have no size."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENODEV, "No such device")

    monkeypatch.setattr(mmap, "mmap", refuse)
    assert read(put(tmp_path, "a.txt", b"one two three")).text == "one two three"


def test_a_paper(tmp_path: Path) -> None:
    """The paper of the demo: five pages, every word of it, in order."""
    path = tmp_path / "paper.pdf"
    write_paper(path)
    document = read(path)
    assert (document.name, document.pages, document.note) == ("paper.pdf", 5, "")
    assert document.text.split() == [word for page in essay() for line in page for word in line.split()]
    assert "\r" not in document.text


def test_a_pdf_by_its_first_bytes(tmp_path: Path) -> None:
    """A PDF is known by what it begins with, whatever it is called; line ends are line feeds, words stay divided as printed."""
    document = read(put(tmp_path, "download", pdf([["A word that is di-", "vided, (so) \\ here.", "Next line."], [], ["Page 3"]])))
    assert document.text == "A word that is di-\nvided, (so) \\ here.\nNext line.\n\nPage 3"
    assert (document.pages, document.note) == (3, "1 of 3 pages hold no text")


def test_five_hundred_pages(tmp_path: Path) -> None:
    """A PDF of 500 pages is read whole and cut."""
    path = tmp_path / "book.pdf"
    pages = essay()
    write_pdf(path, [[*pages[number % 5], f"page {number}"] for number in range(500)])
    document = read(path)
    assert document.pages == 500
    assert all(f"page {number}\n" in document.text + "\n" for number in range(500))
    assert len(cut([document], 32_000)) > 25


def test_an_encrypted_pdf(tmp_path: Path) -> None:
    """A PDF with a password is not guessed at; one that opens without is read."""
    assert refusal(put(tmp_path, "locked.pdf", encrypted(b"tide"))) == "it is encrypted: it opens only with a password"
    assert read(put(tmp_path, "open.pdf", encrypted(b""))).text == "under lock and key"


def test_a_scanned_pdf(tmp_path: Path) -> None:
    """Pages without a letter: said so, and not taken for an empty text."""
    assert refusal(put(tmp_path, "scan.pdf", scanned(3))) == "it holds no text: its pages are pictures"


@pytest.mark.parametrize(
    "data",
    [
        b"%PDF-1.7\n", b"%PDF-1.4\n" + b"\xff" * 2000, b"not a PDF at all", b"<html><body>404</body></html>",
        pdf([["text"]])[:200], b"%PDF-1.4\ntrailer << /Root 1 0 R >>", pdf([]),
    ],
    ids=["header", "noise", "text", "html", "cut", "no root", "no pages"],
)
def test_a_damaged_pdf(tmp_path: Path, data: bytes) -> None:
    """A file that is a PDF by its name or its first bytes and cannot be opened."""
    assert refusal(put(tmp_path, "bad.pdf", data)) == "it is damaged: no PDF reader can open it"


@pytest.mark.parametrize("seed", range(12))
def test_a_pdf_with_flipped_bytes(tmp_path: Path, seed: int) -> None:
    """Whatever is flipped in a PDF, a document or a sentence comes."""
    data = bytearray(pdf(essay()[:2]))
    for place in range(seed * 37, len(data), 211):
        data[place] ^= 1 << seed % 8
    path = put(tmp_path, "bad.pdf", bytes(data))
    found = either(path)
    assert str(path) in found if isinstance(found, str) else found.pages


def test_a_pdf_that_takes_too_much_time(tmp_path: Path) -> None:
    """Pages that take minutes, in some kilobytes, are given up: by the clock, and by the seconds of the processor."""
    path = put(tmp_path, "bomb.pdf", endless())
    assert path.stat().st_size < 300_000
    assert refusal(path, Limits(seconds=1.5)) == "it takes too long to read: more than 1.5 s"
    assert refusal(path, Limits(processor=1)).startswith("it cannot be read: it takes too much time or memory")


def test_a_pdf_that_takes_too_much_memory(tmp_path: Path) -> None:
    """A page of twenty million letters, in some kilobytes, ends the child, or its reading, and nothing else."""
    path = put(tmp_path, "bomb.pdf", swollen())
    assert "too much" in refusal(path, Limits(memory=256 << 20))


def test_a_pdf_with_too_much_text(tmp_path: Path) -> None:
    """More text than the bound is not taken."""
    path = tmp_path / "long.pdf"
    write_pdf(path, [["mill " * 15] * 40] * 500)
    assert refusal(path, Limits(text=1 << 20)) == "it holds more than 1 MiB of text"


def children() -> set[str]:
    """The processes that this one has started and not yet taken leave of, other tests' among them (where there is a /proc)."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has just ended
            pid, rest = stat.read_text("utf-8", "replace").split(" ", 1)
            if rest.rpartition(")")[2].split()[1] == str(os.getpid()):
                found.add(pid)
    return found


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", -11),
        ("import os; os.abort()", -6),
        ("import sys; sys.exit(7)", 7),
        ("import os; os.close(1); import time; time.sleep(20)", "takes too long to read: more than 2 s"),
        ("import time; time.sleep(20)", "takes too long to read: more than 2 s"),
        ("import sys\nwhile True: sys.stdout.write('x' * 65536)", "holds more than 1 MiB of text"),
    ],
    ids=["segfault", "abort", "status", "closes", "hangs", "floods"],
)
def test_every_end_of_a_child(code: str, outcome: int | str) -> None:
    """A child that crashes has its signal as status; one that hangs or floods is killed; none is left behind."""
    before = children()
    command = [sys.executable, "-c", code]
    with Path(os.devnull).open("rb") as stdin:
        if isinstance(outcome, int):
            assert bounded(command, stdin, 30, 1 << 20) == (outcome, b"")
        else:
            with pytest.raises(Overrun) as caught:
                bounded(command, stdin, 2, 1 << 20)
            assert str(caught.value) == outcome
    assert children() == before


def test_the_child_gets_no_secret_and_no_module_of_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The passphrase stays here, and a `pypdfium2.py` in the folder where the person works is not run."""
    monkeypatch.setenv("PYLON_PASSPHRASE", "secret")
    with Path(os.devnull).open("rb") as stdin:
        command = [sys.executable, "-c", "import os; print(os.environ.get('PYLON_PASSPHRASE'))"]
        assert bounded(command, stdin, 30, 100) == (0, b"None\n")
    put(tmp_path, "pypdfium2.py", b"raise SystemExit(99)")
    put(tmp_path, "re.py", b"raise SystemExit(99)")
    monkeypatch.chdir(tmp_path)
    assert read(put(tmp_path, "a.pdf", pdf([["text"]]))).text == "text"


def test_the_child_confines_itself() -> None:
    """It can write no file, start no process, and not take more than it was given."""
    code = (
        "import resource, sys; from pylon.rlm.pdf import confine; confine(1 << 30, 5)\n"
        "print(*(resource.getrlimit(what)[1] for what in "
        "(resource.RLIMIT_FSIZE, resource.RLIMIT_NPROC, resource.RLIMIT_CORE, resource.RLIMIT_CPU)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "0 0 0 5\n"
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] != 0
