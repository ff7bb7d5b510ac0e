"""What the documents say is so: commands, options, verbs of make, settings, exit codes, kinds, numbers, examples, paths."""

from __future__ import annotations

import importlib
import re
import shlex
from collections.abc import Iterator

import click
import msgspec
import pytest

from pylon import errors
from pylon.cli.main import pylon as main
from pylon.config import Config
from pylon.market.kinds import KINDS
from pylon.nexus.http import SUPPORTED_NIPS
from pylon.nostr import kinds, nip42, nip90
from pylon.nostr.event import VerifiedEvent, check
from pylon.nostr.nip89 import read_announcement, read_heartbeat
from pylon.template import TEMPLATE
from tests.law.source import ROOT

README = (ROOT / "README.md").read_text("utf-8")
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
PROTOCOL = (ROOT / "docs" / "protocol.md").read_text("utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
PAGES = {
    "README.md": README, "CONTRIBUTING.md": CONTRIBUTING, "CHANGELOG.md": (ROOT / "CHANGELOG.md").read_text("utf-8"),
    "docs/architecture.md": ARCHITECTURE, "docs/protocol.md": PROTOCOL, "docs/cli.md": (ROOT / "docs" / "cli.md").read_text("utf-8"),
    "docs/wallet.md": (ROOT / "docs" / "wallet.md").read_text("utf-8"),
}
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(text: str, *languages: str) -> Iterator[str]:
    """The fenced blocks of a page in one of `languages`."""
    return (body for language, body in BLOCK.findall(text) if language in languages)


def rows(text: str) -> Iterator[list[str]]:
    """The cells of every line of a table."""
    for line in BLOCK.sub("", text).splitlines():
        if line.startswith("|") and not set(line) <= set("|- "):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def words(cell: str) -> set[str]:
    """What stands in backquotes."""
    return set(re.findall(r"`([^`]+)`", cell))


def typed() -> list[str]:
    """Every command line of Pylon that a page tells people to type."""
    found = []
    for text in PAGES.values():
        for block in blocks(text, "sh", "console"):
            for line in block.splitlines():
                command = line.removeprefix("$ ").partition("  #")[0].partition(" > ")[0].strip()
                if command.startswith("pylon "):
                    found.append(command)
    return list(dict.fromkeys(found))


def mentioned() -> list[str]:
    """Every command of Pylon that a page mentions in a sentence."""
    found = [span for text in PAGES.values() for span in re.findall(r"`(pylon [^`]+)`", BLOCK.sub("", text))]
    return list(dict.fromkeys(found))


@pytest.mark.parametrize("line", typed())
def test_a_command_line_can_be_typed(line: str) -> None:
    """Click parses every command line of the documents, options and arguments, without running it."""
    command: click.Command = main
    context, arguments = click.Context(main), shlex.split(line)[1:]
    if arguments == ["--version"]:
        return
    while isinstance(command, click.Group):
        _, arguments, _ = command.make_parser(context).parse_args(arguments)
        name, found, arguments = command.resolve_command(context, arguments)
        assert found is not None, name
        command, context = found, click.Context(found, parent=context)
    command.make_context(command.name, arguments)


@pytest.mark.parametrize("line", mentioned())
def test_a_mentioned_command_exists(line: str) -> None:
    """A command named in a sentence exists, with every option that is named beside it; capitals stand for arguments."""
    command: click.Command = main
    for word in line.split()[1:]:
        if word.startswith("-"):
            known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)} | {"--help", "-h"}
            assert word in known, word
        elif isinstance(command, click.Group) and word.isupper():
            return
        elif isinstance(command, click.Group):
            found = command.get_command(click.Context(command), word)
            assert found is not None, word
            command = found


def test_the_table_of_commands_is_complete() -> None:
    """README names every command that exists, and every command of a group; nothing else."""
    listed: dict[str, set[str]] = {}
    for row in rows(README):
        spans = re.findall(r"`([^`]+)`", row[0])
        if not spans or not spans[0].startswith("pylon "):
            continue
        group = ""
        for span in spans:
            parts = span.split()[1:] if span.startswith("pylon ") else [group, span]
            group = parts[0]
            listed.setdefault(parts[0], set()).update(parts[1:2])
    context = click.Context(main)
    real = {name: main.get_command(context, name) for name in main.list_commands(context)}
    assert listed == {name: set(found.list_commands(context)) if isinstance(found, click.Group) else set() for name, found in real.items()}


def test_options_named_in_sentences_exist() -> None:
    """Every long option in the prose of README belongs to some command."""
    def every(command: click.Command) -> Iterator[str]:
        for parameter in command.params:
            yield from parameter.opts
        if isinstance(command, click.Group):
            for name in command.list_commands(click.Context(command)):
                found = command.get_command(click.Context(command), name)
                if found is not None:
                    yield from every(found)

    known = {*every(main), "--help"}
    named = {word for span in re.findall(r"`([^`]+)`", BLOCK.sub("", README)) for word in re.findall(r"(?<![\w-])--[a-z-]+", span)}
    assert named <= known


def test_verbs_of_make_exist() -> None:
    """Every `make VERB` in README and CONTRIBUTING is a rule of the Makefile."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    rules = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    text = README + CONTRIBUTING
    assert set(re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE)) <= rules


def test_exit_codes_are_those_of_the_errors() -> None:
    """README's table of exit codes says what pylon.errors says, word for word."""
    table = {int(row[0]): words(row[2]) for row in rows(README) if len(row) == 3 and row[0].isdigit()}
    real: dict[int, set[str]] = {0: set()}
    for value in vars(errors).values():
        if isinstance(value, type) and issubclass(value, errors.PylonError):
            real.setdefault(value.exit_status, set()).add(value.code)
    assert table == real


def settings(kind: type[msgspec.Struct], prefix: str = "") -> dict[str, object]:
    """Every key of the configuration with its default."""
    found: dict[str, object] = {}
    for field in msgspec.structs.fields(kind):
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            found |= settings(field.type, f"{prefix}{field.name}.")
        else:
            default = field.default_factory() if field.default_factory is not msgspec.NODEFAULT else field.default
            found[prefix + field.name] = default
    return found


def test_settings_in_the_readme_are_those_that_exist() -> None:
    """README's table lists every key of config.toml with its default, and no other."""
    table = {}
    for row in rows(README):
        if len(row) == 3 and re.fullmatch(r"`[a-z_0-9.]+`", row[0]) and words(row[1]):
            table[row[0].strip("`")] = msgspec.json.decode(row[1].strip("`"))
    assert table == settings(Config)


def test_the_template_names_only_settings_that_exist() -> None:
    """The config.toml that `init` writes can be read, also with every commented setting switched on, and means the defaults."""
    assert msgspec.toml.decode(TEMPLATE, type=Config) == Config()
    switched_on = re.sub(r"^# ([a-z_0-9]+ = )", r"\1", TEMPLATE, flags=re.MULTILINE)
    assert switched_on != TEMPLATE
    assert msgspec.toml.decode(switched_on, type=Config).wallet.max_fee_msats == Config().wallet.max_fee_msats


def test_kinds_are_those_of_the_code() -> None:
    """docs/protocol.md lists the kinds that the code sends, and no other."""
    heading, _, rest = PROTOCOL.partition("\n## Kinds\n")
    assert heading
    listed = {int(row[0]) for row in rows(rest.partition("\n## ")[0]) if row[0].isdigit()}
    sent = {kinds.DELETION, kinds.ANNOUNCEMENT, kinds.RELAY_LIST, kinds.HEARTBEAT, nip42.AUTH, nip90.FEEDBACK}
    assert listed == sent | set(KINDS) | {kind.result for kind in KINDS.values()}


def test_nips_of_the_relay_are_those_that_it_announces() -> None:
    """docs/protocol.md names the NIPs that the relay's own document names."""
    (line,) = re.findall(r"^NIPs ([0-9, ]+), as its NIP-11 document says", PROTOCOL, re.MULTILINE)
    assert tuple(map(int, line.split(","))) == SUPPORTED_NIPS


def test_codes_of_errors_are_those_of_the_code() -> None:
    """docs/protocol.md lists the codes of errors, all of them."""
    listed = {word for row in rows(PROTOCOL) if len(row) == 2 for word in words(row[0]) if re.fullmatch(r"[A-Z_]+", word)}
    assert listed == set(nip90.CODES)


NUMBERS = [row for row in rows(PROTOCOL) if len(row) == 3 and re.fullmatch(r"`pylon\.[a-z0-9.]+:[A-Z_]+`", row[2])]


@pytest.mark.parametrize("row", NUMBERS, ids=lambda row: row[2])
def test_numbers_are_those_of_the_code(row: list[str]) -> None:
    """A number in docs/protocol.md is the constant that it names."""
    module, _, name = row[2].strip("`").partition(":")
    assert row[1].split()[0] == str(getattr(importlib.import_module(module), name))


def examples() -> list[VerifiedEvent]:
    """The events of docs/protocol.md, each verified."""
    return [check(msgspec.json.encode(msgspec.json.decode(block))) for block in blocks(PROTOCOL, "json")]


def test_examples_are_valid_and_understood() -> None:
    """Every example is a valid event that our own readers understand, and every kind that we send has one, or a relative."""
    events = examples()
    listed = {kinds.DELETION, kinds.ANNOUNCEMENT, kinds.RELAY_LIST, kinds.HEARTBEAT, nip42.AUTH, nip90.FEEDBACK, 5050, 6050, 5002}
    assert {event.kind for event in events} == listed
    for event in events:
        match event.kind:
            case 5002:
                assert "German" in KINDS[5002].read(nip90.read_request(event)).text
            case 5050:
                assert nip90.read_request(event, lambda text: '[["i","x","text"]]').bid is not None
            case 6050:
                assert nip90.read_result(event).model
            case nip90.FEEDBACK:
                assert nip90.read_feedback(event).status
            case kinds.ANNOUNCEMENT:
                assert read_announcement(event).kinds == tuple(KINDS)
            case kinds.HEARTBEAT:
                assert read_heartbeat(event).price is not None
            case _:
                assert event.tags


def test_the_example_of_a_request_has_the_promised_order() -> None:
    """The order of tags that docs/protocol.md promises is that of its own examples."""
    order = ("i", "output", "param", "bid", "relays", "p", "encrypted", "salt", "expiration")
    for event in examples():
        if event.kind == 5050:
            places = [order.index(tag[0]) for tag in event.tags]
            assert places == sorted(places)


@pytest.mark.parametrize("name", PAGES)
def test_paths_exist(name: str) -> None:
    """Every path of this project that a page names is there; so is what it links to."""
    text = PAGES[name]
    folder = (ROOT / name).parent
    named = set(re.findall(r"`((?:pylon|tests|docs|native|benches)/[\w./-]*)`", text))
    missing = [path for path in named if not (ROOT / path).exists()]
    missing += [link for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", text) if not (folder / link).exists()]
    assert not missing


def test_the_listing_is_the_architecture() -> None:
    """The listing in docs/architecture.md names every module of Pylon (cli is named as a whole), and nothing that is not there."""
    (listing,) = [block for block in blocks(ARCHITECTURE, "text") if block.startswith("pylon/\n")]
    section = ""
    named: set[str] = set()
    for line in listing.partition("\nnative/")[0].splitlines()[1:]:
        if opened := re.match(r"  ([a-z_/]+)/ ", line):
            section = opened[1] + "/"
        elif re.match(r"  [a-z]+\.py ", line):
            section = ""
        named |= {section + file for file in re.findall(r"\b[a-z_0-9]+\.pyx?\b", line)}
    ours = {path.relative_to(ROOT / "pylon").as_posix() for path in (ROOT / "pylon").rglob("*.py") if not path.name.startswith("__")}
    assert named - ours == {"_native/frames.pyx", "_native/delivered.pyx"}
    assert {path for path in ours - named if path.split("/")[0] not in ("cli", "_native")} == set()
