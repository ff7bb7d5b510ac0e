"""Which servers here are llama-servers: told by what they answer, never by their port or a friendly `/health`.

A llama-server says `Server: llama.cpp` or owns its models as `llamacpp`, and its /props count slots. One whose tools are switched on
(`--tools`, `--agent`, the MCP proxy) would run commands for strangers and is refused.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence

import httpx

from pylon.backends import http
from pylon.backends.base import Backend, BackendBroken, BackendBusy
from pylon.backends.llama_server import Listing, LlamaServer, Props
from pylon.config import BackendsConfig
from pylon.errors import ConfigError

CONNECT_S = 0.3
ANSWER_S = 1.0
KNOWN_ANSWER_S = 5.0
"""A server that is known already may be slow for once: it is busy with our own questions."""

DEFAULT_PORT = "8080"
LOOPBACK = ("127.0.0.1", "[::1]")


def candidates(config: BackendsConfig, environment: Mapping[str, str]) -> list[tuple[str, ...]]:
    """Addresses to probe; of each tuple the first that answers counts (both loopbacks of one port are one server).

    `PYLON_BACKENDS` (addresses with commas between them) replaces all others; set and empty, nothing is probed. Raises ConfigError.
    """
    given = environment.get("PYLON_BACKENDS")
    if given is not None:
        urls = [_checked(url.strip(), "PYLON_BACKENDS") for url in given.split(",") if url.strip()]
    else:
        usual = f"http://localhost:{environment.get('LLAMA_ARG_PORT') or DEFAULT_PORT}"
        urls = [_checked(usual, "LLAMA_ARG_PORT"), *(_checked(url, "backends.urls") for url in config.urls)]
    groups: dict[str, tuple[str, ...]] = {}
    for url in urls:
        for address in (group := _both(url)):
            if address in groups:
                break
        else:
            groups.update(dict.fromkeys(group, group))
    return list(dict.fromkeys(groups.values()))


def _checked(url: str, where: str) -> httpx.URL:
    """`url` as a URL. Raises ConfigError naming `where` it stands."""
    try:
        parsed = httpx.URL(url)
        port_fits = parsed.port is None or 0 < parsed.port < 65536
    except (httpx.InvalidURL, ValueError):
        parsed, port_fits = httpx.URL(), False
    if parsed.scheme not in ("http", "https") or not parsed.host or not port_fits:
        raise ConfigError(f"{where} holds {url!r}, which is not an http:// or https:// address")
    return parsed


def _both(url: httpx.URL) -> tuple[str, ...]:
    """The addresses that `url` stands for: both loopbacks for `localhost`."""
    whole = str(url).rstrip("/")
    if url.host != "localhost":
        return (whole,)
    return tuple(str(url.copy_with(host=host)).rstrip("/") for host in LOOPBACK)


async def refusal(server: LlamaServer) -> str | None:
    """Why what answers at this address is not a llama-server that may be used; None where it is one. Raises BackendBroken, silent."""
    status, software, body = await server.get("/v1/models")
    known = software == "llama.cpp"
    if status == 200:
        try:
            known |= any(model.owned_by == "llamacpp" for model in http.decode(body, Listing).data)
        except http.Nonsense:
            return "is not a llama-server"
    if not known:
        return "is not a llama-server"
    if status == 401:
        return "is a llama-server that wants an API key"
    status, _, body = await server.get("/props")
    if status == 503:
        return "is a llama-server that is loading its model"
    if status == 401:
        return "is a llama-server that wants an API key"
    try:
        props = http.decode(body, Props)
    except http.Nonsense:
        return "says it is llama.cpp, and does not answer /props as llama-server does"
    status, _, _ = await server.get("/tools")
    if status == 200 or props.cors_proxy_enabled:
        return "is a llama-server with tools switched on: it would run commands for strangers, and is not used"
    return None


class LlamaServers:
    """The llama-servers at the addresses of the configuration: a `Source`."""

    def __init__(self, config: BackendsConfig) -> None:
        self._groups = candidates(config, os.environ)
        self._servers: dict[str, LlamaServer] = {}
        self._remarks: dict[tuple[str, ...], str] = {}

    async def find(self) -> Sequence[Backend]:
        """The servers that answer now, each probed anew."""
        found = await asyncio.gather(*(self._first(group) for group in self._groups))
        return [server for server in found if server is not None]

    async def _first(self, group: tuple[str, ...]) -> LlamaServer | None:
        """The first usable server of `group`."""
        self._remarks.pop(group, None)
        for url in group:
            probe = LlamaServer(url, connect_s=CONNECT_S)
            try:
                async with asyncio.timeout(KNOWN_ANSWER_S if url in self._servers else ANSWER_S):
                    why = await refusal(probe)
            except (BackendBroken, BackendBusy, TimeoutError):
                continue  # nobody is there, or nobody who speaks HTTP: the usual case, and nothing to say about it
            finally:
                await probe.aclose()
            if why is None:
                return self._servers.setdefault(url, LlamaServer(url))
            self._remarks[group] = f"{url} {why}"
        return None

    def remarks(self) -> Sequence[str]:
        """What answered and cannot be used."""
        return list(self._remarks.values())

    async def aclose(self) -> None:
        """Close all of them."""
        for server in self._servers.values():
            await server.aclose()
        self._servers.clear()
