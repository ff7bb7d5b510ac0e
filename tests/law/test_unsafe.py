"""Every `unsafe` says why it is sound, right above itself, and a test goes through it: unsafe.toml names which."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from tests.law.source import ROOT, files, tree

TESTED: dict[str, dict[str, str]] = tomllib.loads((ROOT / "tests" / "law" / "unsafe.toml").read_text("utf-8"))
LITERAL = re.compile(r"""b?'(?:\\.[^']*|[^'\\])'|b?r?(?P<hashes>#*)"(?:\\.|[^"\\])*"(?P=hashes)|//.*""")
UNSAFE = re.compile(r"\bunsafe\b(?! *(?:extern|fn *\())")  # neither a foreign declaration nor the type of a pointer
NAME = re.compile(r"\b(?:fn|impl|trait)\b\s*(?:<[^>]*>\s*)?([\w:]+)(?:[^{]*? for (?P<type>\w+))?")
ATTRIBUTE = re.compile(r"\s*#!?\[.*\]\s*$")


def code(line: str) -> str:
    """A line without its comment and with empty literals."""
    return LITERAL.sub("", line)


def indent(line: str) -> int:
    """How far a line stands to the right."""
    return len(line) - len(line.lstrip())


def site(lines: list[str], at: int) -> str:
    """What line `at` stands in or begins: a function, with the type that it is of, or the `impl` of a type."""
    names: list[str] = []
    depth = indent(lines[at]) + 1
    for line in reversed(lines[: at + 1]):
        if not line.strip() or indent(line) >= depth or line.lstrip().startswith(("//", "#", ")", "}", "where")):
            continue
        depth = indent(line)
        if found := NAME.search(code(line)):
            names.insert(0, found["type"] or found[1])
    return "::".join(names)


def comment(lines: list[str], at: int) -> str:
    """The comment right above a line, or above the attributes or the beginning of the statement that it belongs to."""
    found: list[str] = []
    for line in reversed(lines[:at]):
        stripped = line.strip()
        if stripped.startswith("//"):
            found.insert(0, stripped)
        elif found or not (ATTRIBUTE.match(line) or stripped.endswith(("=", "("))):
            break
    return "\n".join(found)


def sites() -> Iterator[tuple[Path, int, str, str]]:
    """File, line, function and comment of every `unsafe`."""
    for path in files(ROOT / "native", ".rs"):
        lines = path.read_text("utf-8").splitlines()
        for at, line in enumerate(lines):
            if UNSAFE.search(code(line)):
                yield path, at + 1, site(lines, at), comment(lines, at)


SITES = list(sites())


def test_every_unsafe_has_its_reason() -> None:
    """`// SAFETY:` above a block or an `impl`, and `# Safety` or `SAFETY:` above a function that asks something of its caller."""
    assert SITES
    bare = [f"{path.relative_to(ROOT)}:{line} {name}" for path, line, name, why in SITES if "SAFETY:" not in why and "# Safety" not in why]
    assert bare == []


def test_every_unsafe_has_a_test() -> None:
    """The list names the functions with `unsafe` in them, each with a test, and no others."""
    found: dict[str, set[str]] = {}
    for path, _, name, _ in SITES:
        found.setdefault(path.relative_to(ROOT).as_posix(), set()).add(name)
    assert {path: set(tests) for path, tests in TESTED.items()} == found


def named(path: Path) -> set[str]:
    """The tests of a file, of Rust or of Python."""
    if path.suffix == ".py":
        return {node.name for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}
    return set(re.findall(r"#\[test\]\s*(?:#\[[^\]]*\]\s*)*fn (\w+)", path.read_text("utf-8")))


def test_every_named_test_exists() -> None:
    """A test that is named stands where it is said to."""
    missing = []
    for test in sorted({test for tests in TESTED.values() for test in tests.values()}):
        path, _, name = test.partition("::")
        if not (ROOT / path).is_file() or name not in named(ROOT / path):
            missing.append(test)
    assert missing == []


def test_unsafe_is_found_where_it_is() -> None:
    """The reader of this law sees blocks, functions and implementations, and neither comments nor texts."""
    lines = [
        "impl Words {", "    fn quiet(&self) {", '        let word = b"unsafe ";', "        // unsafe", "    }", "}",
        "fn loud(text: &[u8]) {", "    // SAFETY: it is.", "    unsafe { go() }", "    one();", "    unsafe { go() }", "}",
        "/// # Safety", "/// Ask first.", "#[inline]", "unsafe fn asked() {}", "// SAFETY: no pointers.", "unsafe impl Send for Words {}",
        "mod wide {", "    impl<'a> Blocks for Wide<'a> {", '        #[target_feature(enable = "avx2")]', "        fn load(&self) {",
        "            // SAFETY: it has them.", "            let a =", "                unsafe { self.at() };",
    ]
    found = [(at, site(lines, at), comment(lines, at)) for at, line in enumerate(lines) if UNSAFE.search(code(line))]
    assert found == [
        (8, "loud", "// SAFETY: it is."), (10, "loud", ""), (15, "asked", "/// # Safety\n/// Ask first."),
        (17, "Words", "// SAFETY: no pointers."), (24, "Wide::load", "// SAFETY: it has them."),
    ]
