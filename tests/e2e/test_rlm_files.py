"""`pylon rlm` with files that are none, that are huge or that are hostile; and `--local-only`, which needs nobody."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from pylon.cli.paper import essay, write_paper, write_pdf
from tests.e2e.swarm import Swarm, coverage, lacking
from tests.e2e.world import Running, World
from tests.rlm.papers import encrypted, scanned

QUESTION = "What does the text say?"
LOCAL = '[[reply]]\nwhen = "Write the final answer"\ntext = "joined here"\n[[reply]]\nwhen = "Below is part"\ntext = "- a point"\n'
NOWHERE = "ws://127.0.0.1:9"
MEASURED = (
    "import atexit, resource, runpy, sys\n"
    "def peak():\n"
    "    if sys.platform == 'darwin':\n"
    "        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
    # What getrusage says counts the process that started this one too, as it was before exec.
    "    with open('/proc/self/status') as status:\n"
    "        return next(int(line.split()[1]) * 1024 for line in status if line.startswith('VmHWM'))\n"
    "atexit.register(lambda: print('peak', peak(), file=sys.stderr))\n"
    "runpy.run_module('pylon', run_name='__main__', alter_sys=True)\n"
)
MOST_MEMORY = 600_000_000


@pytest.fixture(scope="module")
def swarm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swarm]:
    """Two providers."""
    world = World(tmp_path_factory.mktemp("files"))
    try:
        yield Swarm(world, 2, script='context = 20000\ndefault = "- a point"\n')
    finally:
        world.close()


def _bad_files(world: World) -> dict[str, str]:
    """Files that hold no text, each with a word of what is said about it."""
    place = world.place
    (place / "folder").mkdir()
    for name, data in {
        "damaged.pdf": b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog", "locked.pdf": encrypted(b"tide"), "empty.txt": b"", "scan.pdf": scanned(2),
        "picture.png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)), "blank.txt": b" \n\t\n" * 100, "zeros.txt": bytes(1000),
    }.items():
        (place / name).write_bytes(data)
    return {
        "damaged.pdf": "damaged", "locked.pdf": "encrypted", "empty.txt": "is empty", "scan.pdf": "pictures", "picture.png": "binary",
        "blank.txt": "white space", "zeros.txt": "binary", "missing.txt": "there is no file", "folder": "is a directory",
    }


def test_files_that_cannot_be_read(world: World) -> None:
    """Exit 2 with a sentence that names the file, before a node is started or a relay is asked; one bad file of two is enough."""
    world.home("buyer", NOWHERE, sats=10)
    (world.place / "good.txt").write_text("A good text.\n", "utf-8")
    runs: dict[str, Running] = {}
    bad = _bad_files(world)
    for name in bad:
        words = ("--file", str(world.place / "good.txt"), "--file", str(world.place / name), "--json")
        runs[name] = world.start("buyer", "rlm", QUESTION, *words)
    for name, said in bad.items():
        done = runs[name].done()
        assert (done.status, done.error["code"]) == (2, "usage"), (name, done)
        assert name in done.error["message"], done
        assert said in done.error["message"], done
    assert not (world.place / "buyer" / "control.sock").exists()
    assert not (world.place / "buyer" / "node.log").exists()


def test_a_text_of_fifty_megabytes(swarm: Swarm) -> None:
    """It is cut into thousands of pieces within bounded memory; the budget buys some, and it says how many."""
    place = swarm.world.place
    (place / "long.txt").write_text(("The mill turned while the tide was out, and stood still.\n" * 17 + "\n") * 50_000, "utf-8")
    before = swarm.books()
    words = ["--home", str(place / "buyer"), "rlm", QUESTION, "--file", str(place / "long.txt"), "--budget", "6", "--json"]
    done = Running([sys.executable, "-c", MEASURED, *words], swarm.world.environment).done()
    assert done.status == 10, done.err
    answered, pieces = coverage(done.document)
    assert pieces > 8000
    assert 1 <= answered <= 5
    assert str(done.document["notes"]).count(f"of {pieces} pieces") == 1
    assert {reason for _, reason in lacking(done.document)} == {"budget"}
    assert swarm.spent(before, done.document) <= 6000
    peak = int(done.err.split("peak ")[1])
    assert peak < MOST_MEMORY


def test_a_pdf_of_five_hundred_pages(swarm: Swarm) -> None:
    """All of it is asked about, many at a time."""
    pages = essay()
    path = swarm.world.place / "book.pdf"
    write_pdf(path, [[*pages[number % 5], f"page {number}"] for number in range(500)])
    before = swarm.books()
    done = swarm.rlm(QUESTION, "--file", str(path), "--fanout", "20", "--chunk-size", "24000", "--json")
    assert done.status == 0, done
    answered, asked = coverage(done.document)
    assert answered == asked > 40
    swarm.spent(before, done.document)


def test_local_only_needs_nobody(world: World) -> None:
    """No identity, no relay, no node, no payment: the models of this machine answer, and what they cannot do is told."""
    place = world.place
    (place / "alone").mkdir()
    (place / "alone" / "script.toml").write_text(LOCAL, "utf-8")
    config = f'relays = ["{NOWHERE}"]\n[backends]\nuse = ["scripted"]\nscript = "{place / "alone" / "script.toml"}"\n'
    (place / "alone" / "config.toml").write_text(config, "utf-8")
    write_paper(place / "paper.pdf")
    done = world.run("alone", "rlm", QUESTION, "--file", str(place / "paper.pdf"), "--local-only", "--json")
    assert done.status == 0, done
    document = done.document
    answered, pieces = coverage(document)
    assert answered == pieces > 1
    assert (document["answer"], document["spent_msat"], document["budget_msat"]) == ("joined here", 0, 0)
    assert document["providers"] == [{"provider": "scripted", "pieces": pieces}]
    told = world.run("alone", "rlm", QUESTION, "--file", str(place / "paper.pdf"), "--local-only", "--chunk-size", "1000")
    assert told.status == 0
    assert "computed here" in told.out
    asked = world.run("alone", "rlm", QUESTION, "--local-only", "--model", "nope", "--json")
    assert (asked.status, asked.error["code"]) == (4, "no_model")
    assert {path.name for path in (place / "alone").iterdir()} == {"config.toml", "script.toml"}
    assert not (place / "state").exists()
