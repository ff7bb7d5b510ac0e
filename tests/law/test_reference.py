"""docs/cli.md is what the commands say."""

from __future__ import annotations

import click

from pylon import errors
from pylon.cli.main import pylon
from pylon.cli.reference import commands, page
from tests.law.source import ROOT


def test_the_page_is_fresh() -> None:
    """The file is what `make docs` would write now."""
    assert (ROOT / "docs" / "cli.md").read_text("utf-8") == page(), "run `make docs`"


def test_everything_is_in_it() -> None:
    """Every command has its section, every option and every code its row, and nothing is shown without a word about it."""
    text = page()
    for command, context in commands(pylon, click.Context(pylon, info_name="pylon")):
        assert f"\n## `{context.command_path}`\n" in text
        assert command.help, context.command_path
        section = text.partition(f"\n## `{context.command_path}`\n")[2].partition("\n## ")[0]
        for param in command.params:
            if isinstance(param, click.Option) and not param.hidden:
                assert param.help, (context.command_path, param.name)
                assert all(f"`{name}`" in section for name in param.opts), (context.command_path, param.name)
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, errors.PylonError):
            assert f"| {kind.exit_status} | `{kind.code}` |" in text
