"""`pylon start`, `stop` and `status`: the node, in the foreground or as a daemon."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from pathlib import Path

import click

from pylon.cli.common import Context, command, err, json_option, out, pass_context, run, show_json
from pylon.cli.identity import open_identity
from pylon.cli.node import Document, ask_running, need_identity, read_ledger
from pylon.cli.options import Seconds
from pylon.cli.worth import sats_of, worth
from pylon.config import Config, load
from pylon.errors import ConfigError, PylonError
from pylon.node import client, lock
from pylon.node.main import AlreadyRunning, run_node
from pylon.node.service import Service
from pylon.units import Msat, count_of, show_sats


@click.command()
@click.option("-f", "--foreground", is_flag=True, help="Stay in the foreground.")
@click.option("-m", "--mode", type=click.Choice(["provider"]), default="provider", show_default=True, help="What the node does.")
@click.option("-c", "--config", "config_file", type=click.Path(path_type=Path, dir_okay=False), help="Another config.toml.")
@pass_context
@command
def start(context: Context, foreground: bool, mode: str, config_file: Path | None) -> int | None:
    """Sell answers: start the node as a provider."""
    home = context.home
    config = _config(context, config_file)
    identity = open_identity(home)
    if not foreground:
        try:
            pid = client.spawn(home, mode, (str(config_file.absolute()),) if config_file else ())
        except PylonError as error:
            if error.code != AlreadyRunning.code:
                raise
            return _already(home.path)
        out.print(f"Pylon runs as a provider (process {pid}); `pylon status` shows it, `pylon stop` ends it.", markup=False)
        out.print(f"Log: {home.log}", markup=False)
        return None
    logging.getLogger().setLevel(min(logging.INFO, logging.getLogger().level))
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        run(lambda: run_node(home, config, identity, provides=True, ready=_banner))
    except AlreadyRunning:
        return _already(home.path)
    return None


def _already(home: Path) -> int:
    err.print(f"Pylon is already running in {home}.\nUse `pylon stop` to stop it first.", markup=False)
    return 0


def _config(context: Context, config_file: Path | None) -> Config:
    if config_file is not None and not config_file.exists():
        raise ConfigError(f"there is no file {config_file}")
    return load(config_file) if config_file else context.config()


def _banner(service: Service) -> None:
    """What a person sees when the node is ready."""
    if service.notice:
        err.print(service.notice, markup=False)
    status, config = service.status(), service.config
    wallet = service.wallet.capabilities
    price = show_sats(Msat(config.provider.min_price_msats)) if config.provider.require_payment else "free"
    by_tokens = f", {config.provider.price_per_1k_msats} msat per 1,000 tokens" if config.provider.price_per_1k_msats else ""
    lines = [
        f"Identity: {service.node.provider_keys.npub}",
        "Mode:     provider",
        *(f"Backend:  {backend['name']} ({', '.join(backend['models'])})" for backend in _rows(status, "backends")),
        f"Price:    {price} a request{by_tokens}",
        f"Wallet:   {wallet.name}, {wallet.network} ({worth({'network': wallet.network, 'simulated': wallet.simulated})})",
        *(f"Relay:    {url}" for url in config.relays),
        "Ready. Ctrl-C stops.",
    ]
    out.print("\n".join(lines), markup=False)


def _rows(document: Document, name: str) -> list[dict[str, list[str]]]:
    rows = document.get(name)
    return rows if isinstance(rows, list) else []


@click.command()
@click.option("-f", "--force", is_flag=True, help="Kill it at once; what is unfinished is done at the next start.")
@click.option("-t", "--timeout", type=Seconds(), metavar="SECONDS", default=40.0, show_default=True, help="Seconds until it is killed.")
@pass_context
@command
def stop(context: Context, force: bool, timeout: float) -> int | None:
    """Stop the node: jobs that are being answered are finished first."""
    home = context.home
    pid = lock.running_pid(home)
    if pid is None and lock.is_running(home):
        said = ask_running(home, "ping")  # its pid file is lost, or is just being written
        pid = int(str(said["pid"])) if said else None
        if pid is None:
            raise PylonError("Pylon runs in this home and does not say as which process", hint="try again")
    if pid is None:
        context.config()
        out.print("Pylon is not running.", markup=False)
        return None
    os.kill(pid, signal.SIGKILL if force else signal.SIGTERM)
    if not run(lambda: _ended(context, timeout)):
        err.print(f"It did not end within {timeout:g} s and is killed; what is unfinished is done at the next start.", markup=False)
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pid = 0
        if not run(lambda: _ended(context, 10.0)):
            raise PylonError(f"process {pid} does not end")
    out.print("Pylon has stopped.", markup=False)
    context.config()  # only now: a mistake in the settings keeps nobody from stopping, but it is told
    return None


async def _ended(context: Context, seconds: float) -> bool:
    """Whether the home's lock is free within that time. The kernel frees it with the process, so it is the truth."""
    deadline = asyncio.get_running_loop().time() + seconds
    while lock.is_running(context.home):
        if asyncio.get_running_loop().time() >= deadline:
            return False
        await asyncio.sleep(0.05)
    return True


@click.command()
@json_option
@pass_context
@command
def status(context: Context, as_json: bool) -> int | None:
    """Show whether the node runs, and how it stands."""
    context.config()
    need_identity(context.home)
    document = ask_running(context.home, "status")
    if document is None:
        none: dict[str, int] = {}
        counts = read_ledger(context.home, lambda ledger: ledger.counts(), none)
        document = {"running": False, "pid": None, "uptime_s": None, "relays": [], "backends": [], "jobs": counts, "wallet": None}
    if as_json:
        show_json(document)
        return None
    if not document["running"]:
        out.print("Pylon is not running. `pylon start` starts it.", markup=False)
        return None
    out.print(f"Pylon runs ({document['role']}, process {document['pid']}, up {document['uptime_s']} s)", markup=False)
    out.print(f"Identity: {document['npub']}", markup=False)
    for row in _documents(document, "relays"):
        rtt = f", {row['rtt_ms']} ms" if row.get("rtt_ms") is not None else ""
        why = f" ({row['reason']})" if row.get("reason") else ""
        out.print(f"Relay:    {row['url']} {row['state']}{rtt}{why}", markup=False)
    for row in _documents(document, "backends"):
        models = row["models"]
        out.print(f"Backend:  {row['name']}: {', '.join(models) if isinstance(models, list) else ''}", markup=False)
    jobs = document["jobs"]
    if isinstance(jobs, dict):
        out.print(f"Jobs:     {', '.join(f'{name} {n}' for name, n in sorted(jobs.items())) or 'none yet'}", markup=False)
    earned = document["earnings"]
    if isinstance(earned, dict):
        out.print(f"Earned:   {show_sats(Msat(earned['total_msat']))} by {count_of(int(earned['jobs']), 'job')}", markup=False)
    wallet = document["wallet"]
    if isinstance(wallet, dict):
        out.print(f"Wallet:   {wallet['backend']}: {sats_of(wallet, 'spendable_msat')} ({worth(wallet)})", markup=False)
    return None


def _documents(document: Document, name: str) -> list[Document]:
    rows = document.get(name)
    return rows if isinstance(rows, list) else []
