"""`pylon api`: the engines of this machine for people's apps, by OpenAI's HTTP protocol, in the foreground until it is told to stop."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import re
import signal

import click

from pylon.backends.registry import Backends
from pylon.cli.common import Context, command, err, json_option, pass_context, run, show_json
from pylon.config import Config
from pylon.errors import UsageError
from pylon.gateway.app import make_app
from pylon.gateway.server import serve

BIND = "127.0.0.1:9899"


@click.command()
@click.option("--bind", metavar="HOST:PORT", default=BIND, show_default=True, help="The address to listen on; port 0 takes any free one.")
@click.option("--key", metavar="TEXT", envvar="PYLON_API_KEY", default="", help="Ask clients for this key (better: PYLON_API_KEY).")
@json_option
@pass_context
@command
def api(context: Context, bind: str, key: str, as_json: bool) -> None:
    """Answer OpenAI's HTTP protocol with the models of this machine."""
    host, port = _address(bind)
    if key and not re.fullmatch(r"[\x21-\x7e]+", key):
        raise UsageError("the key must be printable ASCII without spaces")
    config = context.config()
    run(lambda: _serve(config, host, port, key, as_json=as_json))


async def _serve(config: Config, host: str, port: int, key: str, *, as_json: bool) -> None:
    """Serve until SIGTERM or SIGINT. Raises NoBackend where nothing here can answer."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    backends = Backends()
    try:
        await backends.start(config.backends)
        await backends.choose()
        server = serve(make_app(backends, default_model=config.provider.default_model, key=key), host, port)
        try:
            if not _loopback(host):
                who = "whoever has the key, which travels in the clear," if key else "everybody, since no key is asked for,"
                err.print(f"Warning: this listens on {host}: {who} can use your models from other machines.", markup=False, soft_wrap=True)
            if as_json:
                show_json({"url": server.url, "pid": os.getpid()})
            else:
                models = ", ".join(dict.fromkeys(model.name for _, offered in backends.available() for model in offered))
                click.echo(f"The API listens on {server.url}/v1 ({models})")
            await stop.wait()
        finally:
            await server.aclose()
    finally:
        await backends.aclose()


def _address(bind: str) -> tuple[str, int]:
    """`HOST:PORT`, an IPv6 address in brackets. Raises UsageError."""
    found = re.fullmatch(r"(?:\[([0-9a-fA-F:.%\w]+)\]|([^:\[\]\s]+)):([0-9]{1,5})", bind, re.ASCII)
    if not found or int(found[3]) > 65535:
        raise UsageError(f"--bind must be HOST:PORT, not {bind!r}", hint=f"the default is {BIND}; an IPv6 address stands in brackets")
    return found[1] or found[2], int(found[3])


def _loopback(host: str) -> bool:
    """Whether only this machine reaches `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
