"""`pylon completion`: the script by which a shell completes commands and options of Pylon (click's own)."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from pylon.cli.common import command

PROGRAM = "pylon"
VARIABLE = "_PYLON_COMPLETE"
"""Where the script says what it wants; click reads it before any command does."""


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@command
def completion(shell: str) -> None:
    """Print the script that completes commands and options in SHELL.

    `source <(pylon completion bash)` tries it in the shell that you are in.
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise AssertionError("click knows the shells that we offer")
    click.echo(kind(click.Command(PROGRAM), {}, PROGRAM, VARIABLE).source(), nl=False)
