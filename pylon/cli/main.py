"""The command `pylon`: its groups, the home, the version."""

from __future__ import annotations

import importlib
import io
import logging
import sys

import click
from click.shell_completion import CompletionItem

from pylon import __version__
from pylon.cli.common import Context, fail
from pylon.config import Home
from pylon.errors import UsageError

COMMANDS = {
    "init": "pylon.cli.identity:init",
    "start": "pylon.cli.daemon:start",
    "stop": "pylon.cli.daemon:stop",
    "status": "pylon.cli.daemon:status",
    "job": "pylon.cli.job:job",
    "rlm": "pylon.cli.rlm:rlm",
    "wallet": "pylon.cli.wallet:wallet",
    "earnings": "pylon.cli.earnings:earnings",
    "infer": "pylon.cli.infer:infer",
    "api": "pylon.cli.api:api",
    "models": "pylon.cli.models:models",
    "doctor": "pylon.cli.doctor:doctor",
    "nexus": "pylon.cli.nexus:nexus",
    "regtest": "pylon.cli.regtest:regtest",
    "completion": "pylon.cli.completion:completion",
}


class Lazy(click.Group):
    """Imports a command when it is used, so that `pylon --version` does not load engines and wallets."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which a newcomer meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name].split(":")
        try:
            found: click.Command = getattr(importlib.import_module(module), name)
        except ImportError as error:  # the native extension is missing or of another version: its sentence says what to do
            raise click.ClickException(str(error)) from error
        return found

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """What `incomplete` may become: commands by their names alone, so that a key press does not load engines and wallets."""
        names = [CompletionItem(name) for name in COMMANDS if name.startswith(incomplete)]
        return names + click.Command.shell_complete(self, ctx, incomplete)


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--home", metavar="DIR", help="The home of this identity (default: PYLON_HOME, or ~/.pylon).")
@click.option("-v", "--verbose", is_flag=True, help="Log more, to stderr.")
@click.version_option(__version__, prog_name="pylon")
@click.pass_context
def pylon(ctx: click.Context, home: str | None, verbose: bool) -> None:
    """Sell and buy answers of language models over Nostr and Lightning."""
    logging.basicConfig(level=logging.DEBUG if verbose else logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    ctx.obj = Context(home=Home.find(home))


def main() -> None:
    """Run the command line and exit. With `--json`, a wrong command line is a document too."""
    words = sys.argv[1:]
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr: what a terminal cannot show is no reason to break off
    if "--json" not in words:
        pylon(words, prog_name="pylon")
    try:
        pylon(words, prog_name="pylon", standalone_mode=False)
    except click.UsageError as error:
        hint = f"`{error.ctx.command_path} --help` shows how" if error.ctx else ""
        sys.exit(fail(UsageError(error.format_message(), hint=hint), as_json=True))
    except click.Abort:
        sys.exit(1)
