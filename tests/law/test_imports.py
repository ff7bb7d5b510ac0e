"""Who may import whom: down only, no sideways in the market and among the rooms that do I/O, I/O libraries only where I/O is done."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.law.source import PACKAGE, ROOT, files, imports, module, tree

LAYERS: dict[str, int] = {
    "pylon": 0,
    "pylon.errors": 0,
    "pylon.units": 0,
    "pylon._native": 1,
    "pylon.config": 1,
    "pylon.nostr": 2,
    "pylon.market": 3,
    "pylon.rlm": 4,
    "pylon.rlm.read": 5,
    "pylon.rlm.extract": 5,
    "pylon.rlm.pdf": 5,
    "pylon.rlm.drive": 5,
    "pylon.nexus": 4,
    "pylon.ingest": 5,
    "pylon.lightning": 5,
    "pylon.control": 5,
    "pylon.nexus.server": 6,
    "pylon.nexus.store": 6,
    "pylon.nexus.log": 6,
    "pylon.nexus.peer": 6,
    "pylon.nexus.relay": 6,
    "pylon.nexus.http": 6,
    "pylon.relay": 6,
    "pylon.backends": 6,
    "pylon.wallets": 6,
    "pylon.regtest": 6,
    "pylon.gateway": 6,
    "pylon.node": 7,
    "pylon.cli": 8,
    "pylon.__main__": 9,
}
"""The longest name that fits decides. The parts of Nexus and of rlm that do I/O stand above those that decide."""

IO_LIBRARIES = {
    "picows", "uvloop", "httpx", "sqlite3", "asyncio", "socket", "selectors", "ssl", "subprocess", "multiprocessing", "threading",
}
FACE_LIBRARIES = {"click", "rich"}
LISTENER = "pylon._native.frames"
"""The listener on picows: the one extension that is imported by its own name, since it brings the I/O library with it."""
LIGHTNING = "pylon._native.lightning"
"""The Lightning node: it may be left out of a build, so the door does not bring it; its own room alone imports it."""
PYTHON_FILES = files(PACKAGE, ".py")


def layer(name: str) -> int:
    """The layer of a module of Pylon."""
    while name not in LAYERS:
        name = name.rpartition(".")[0]
    return LAYERS[name]


def room(name: str) -> str:
    """The package directly under `pylon`."""
    return ".".join(name.split(".")[:2])


@pytest.mark.parametrize("path", PYTHON_FILES, ids=module)
def test_imports_go_downwards(path: Path) -> None:
    """A module imports from its own room and from layers below it, never from above, and from no neighbour."""
    here = module(path)
    for name, line in imports(path):
        if name.split(".")[0] != "pylon" or name == "pylon":
            continue
        if room(name) == room(here):
            assert layer(name) <= layer(here), f"{path}:{line}: {here} (layer {layer(here)}) imports {name} (layer {layer(name)})"
        else:
            assert layer(name) < layer(here), f"{path}:{line}: {here} (layer {layer(here)}) imports {name} (layer {layer(name)})"


@pytest.mark.parametrize("path", PYTHON_FILES, ids=module)
def test_io_libraries_stay_where_io_is_done(path: Path) -> None:
    """Sockets, loops, threads, processes and databases only in layers 5 to 8; what decides does no I/O."""
    if layer(module(path)) < 5:
        used = {(name, line) for name, line in imports(path) if name.split(".")[0] in IO_LIBRARIES}
        assert not used, f"{path} does I/O: {used}"


@pytest.mark.parametrize("path", PYTHON_FILES, ids=module)
def test_faces_are_drawn_in_cli_alone(path: Path) -> None:
    """click and rich only in pylon/cli."""
    if room(module(path)) not in ("pylon.cli", "pylon.__main__"):
        used = {(name, line) for name, line in imports(path) if name.split(".")[0] in FACE_LIBRARIES}
        assert not used, f"{path} draws: {used}"


@pytest.mark.parametrize("path", PYTHON_FILES, ids=module)
def test_pdf_files_are_parsed_in_the_child_alone(path: Path) -> None:
    """What parses hostile files is imported by the program that runs confined, which imports nothing of Pylon."""
    used = {name.split(".")[0] for name, _ in imports(path)}
    if module(path) == "pylon.rlm.pdf":
        assert "pypdfium2" in used
        assert "pylon" not in used
    else:
        assert "pypdfium2" not in used


@pytest.mark.parametrize("path", PYTHON_FILES, ids=module)
def test_compiled_code_has_one_door(path: Path) -> None:
    """What is compiled is imported from `pylon._native`; its listener by name, where I/O is done, and its Lightning node by one room."""
    if room(module(path)) != "pylon._native":
        allowed = {"pylon._native", LISTENER} if layer(module(path)) >= 5 else {"pylon._native"}
        if room(module(path)) == "pylon.lightning":
            allowed.add(LIGHTNING)
        used = {(name, line) for name, line in imports(path) if room(name) == "pylon._native" and name not in allowed}
        assert not used, f"{path} goes around the door: {used}"


@pytest.mark.parametrize("path", PYTHON_FILES, ids=module)
def test_what_decides_reads_no_clock_and_no_dice(path: Path) -> None:
    """The market and a query are told the time and everything random, so that their failures can be tested in milliseconds."""
    if room(module(path)) in ("pylon.market", "pylon.rlm") and layer(module(path)) < 5:
        used = {name for name, _ in imports(path)} & {"time", "datetime", "random", "secrets", "os", "pathlib", "logging"}
        assert not used, f"{path} uses {used}"


@pytest.mark.parametrize("path", [*PYTHON_FILES, *files(ROOT / "tests", ".py")], ids=module)
def test_annotations_are_not_evaluated(path: Path) -> None:
    """Every module that is not empty begins with a docstring (in pylon) and `from __future__ import annotations`."""
    body = tree(path).body
    if not body or path.name in ("__init__.py", "__main__.py"):
        return
    rest = body[1:] if ast.get_docstring(tree(path)) else body
    assert isinstance(rest[0], ast.ImportFrom), path
    assert rest[0].module == "__future__", path
    assert ast.get_docstring(tree(path)), f"{path} does not say what it is for"


@pytest.mark.parametrize("path", PYTHON_FILES, ids=module)
def test_no_wait_swallows_a_cancellation(path: Path) -> None:
    """`asyncio.timeout` instead of `asyncio.wait_for`: in Python 3.11 the latter may lose a cancellation that comes with the result."""
    used = [node.lineno for node in ast.walk(tree(path)) if isinstance(node, ast.Attribute) and node.attr == "wait_for"]
    assert not used, f"{path} waits with wait_for in lines {used}"
