"""`pylon nexus`: run our own relay in the foreground until it is told to stop."""

from __future__ import annotations

import asyncio
import os
import signal
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final

import click
import msgspec

from pylon.cli.common import Context, command, json_option, pass_context, run, show_json
from pylon.config import NexusConfig, state_dir
from pylon.nexus.policy import POLICIES, Policy
from pylon.nexus.server import serve

STDIN: Final = 0


@click.command()
@click.option("--host", metavar="H", help="The address to listen on (default: 127.0.0.1, or `[nexus] host` of config.toml).")
@click.option("--port", metavar="N", type=click.IntRange(0, 65535), help="The port; 0 takes any free one (default: 7700).")
@click.option("--data", metavar="DIR", type=click.Path(file_okay=False, path_type=Path), help="Where events are kept.")
@click.option("--until-eof", is_flag=True, hidden=True, help="End when standard input ends: with the node that started this relay.")
@json_option
@pass_context
@command
def nexus(context: Context, host: str | None, port: int | None, data: Path | None, until_eof: bool, as_json: bool) -> None:
    """Run the relay."""
    config = context.config().nexus
    given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    config = msgspec.structs.replace(config, **given)
    run(lambda: _serve(config, data or state_dir() / "nexus", until_eof=until_eof, as_json=as_json))


async def _serve(config: NexusConfig, data: Path, *, until_eof: bool, as_json: bool) -> None:
    """Serve until SIGTERM or SIGINT, or, with `until_eof`, until whoever holds our standard input is gone."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def read() -> None:
        if not os.read(STDIN, 4096):
            loop.remove_reader(STDIN)
            stop.set()

    loop.add_signal_handler(signal.SIGTERM, stop.set)
    if until_eof:
        # A Ctrl-C in the terminal of the node reaches us too; it still needs its relay to end its jobs well.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        loop.add_reader(STDIN, read)
    else:
        loop.add_signal_handler(signal.SIGINT, stop.set)
    server = await serve(config, data, policies=(*POLICIES, *_further_policies()))
    try:
        if as_json:
            show_json({"url": server.url, "pid": os.getpid()})
        else:
            click.echo(f"Nexus listens on {server.url}")
        await stop.wait()
    finally:
        await server.aclose()


def _further_policies() -> tuple[Policy, ...]:
    """The rules that other packages add (entry points `pylon.policies`)."""
    return tuple(entry.load() for entry in entry_points(group="pylon.policies"))
