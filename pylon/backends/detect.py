"""Which engines answer at an address: told by what they answer, never by their port or a friendly `/health`.

A llama-server says `Server: llama.cpp` or owns its models as `llamacpp`, and its /props count slots. One whose tools are switched on
(`--tools`, `--agent`, the MCP proxy) would run commands for strangers and is refused. Ollama says that it is running, and its version:
both, since others imitate the rest. What else lists models at /v1/models is used where the operator has named its address.

The usual places (llama-server on port 8080, Ollama where OLLAMA_HOST says) are looked at for their own engine alone.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence

import httpx
import msgspec

from pylon.backends import http
from pylon.backends.base import Backend, BackendBroken, BackendBusy
from pylon.backends.llama_server import Listing, LlamaServer, Props
from pylon.backends.ollama import Ollama
from pylon.backends.openai import Listing as OpenAIListing
from pylon.backends.openai import OpenAIServer
from pylon.config import BackendsConfig
from pylon.errors import ConfigError

CONNECT_S = 0.3
ANSWER_S = 1.0
KNOWN_ANSWER_S = 5.0
"""A server that is known already may be slow for once: it is busy with our own questions."""

LLAMA_PORT = "8080"
OLLAMA_PORT = 11434
LOOPBACK = ("127.0.0.1", "[::1]")

Group = tuple[str, ...]
"""Addresses of which the first that answers counts: both loopbacks of one port are one server."""

Server = LlamaServer | Ollama | OpenAIServer


class Version(msgspec.Struct, frozen=True):
    """Ollama's /api/version. One that was built without a number says 0.0.0."""

    version: str


def named(config: BackendsConfig, environment: Mapping[str, str]) -> list[Group]:
    """The addresses that the operator has named: `PYLON_BACKENDS` (with commas between them) instead of those of the configuration.

    Raises ConfigError.
    """
    given = environment.get("PYLON_BACKENDS")
    if given is not None:
        return _groups([_checked(url.strip(), "PYLON_BACKENDS") for url in given.split(",") if url.strip()])
    return _groups([_checked(url, "backends.urls") for url in config.urls])


def usual(url: httpx.URL, config: BackendsConfig, environment: Mapping[str, str]) -> list[Group]:
    """A usual place, unless PYLON_BACKENDS is set (also where it is empty), or the address is a named one."""
    if "PYLON_BACKENDS" in environment:
        return []
    taken = {address for group in named(config, environment) for address in group}
    return [group for group in _groups([url]) if not taken & set(group)]


def llama_place(environment: Mapping[str, str]) -> httpx.URL:
    """Where a llama-server usually is. Raises ConfigError."""
    return _checked(f"http://localhost:{environment.get('LLAMA_ARG_PORT') or LLAMA_PORT}", "LLAMA_ARG_PORT")


def ollama_place(environment: Mapping[str, str]) -> httpx.URL:
    """Where Ollama is: OLLAMA_HOST as Ollama reads it (`host`, `host:port`, `http://host:port`), an address to listen on everywhere
    meaning this machine. Raises ConfigError.
    """
    said = environment.get("OLLAMA_HOST", "").strip().strip("\"'")
    scheme, found, rest = said.partition("://")
    if not found:
        scheme, rest = "http", said
        if rest.count(":") > 1 and not rest.startswith("["):
            rest = f"[{rest}]"  # an IPv6 address alone
    host = rest.partition("/")[0]
    url = _checked(f"{scheme}://localhost{rest}" if host.startswith(":") or not host else f"{scheme}://{rest}", "OLLAMA_HOST")
    if url.port is None and not found:
        url = url.copy_with(port=OLLAMA_PORT)
    return url.copy_with(host="localhost") if url.host in ("0.0.0.0", "::") else url


def _groups(urls: Sequence[httpx.URL]) -> list[Group]:
    """The groups of `urls`, each address in one of them."""
    groups: dict[str, Group] = {}
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


NO_LLAMA = "is not a llama-server"


async def refusal(server: LlamaServer) -> str | None:
    """Why what answers at this address is not a llama-server that may be used; None where it is one. Raises BackendBroken, silent."""
    status, software, body = await server.get("/v1/models")
    known = software == "llama.cpp"
    if status == 200:
        try:
            known |= any(model.owned_by == "llamacpp" for model in http.decode(body, Listing).data)
        except http.Nonsense:
            return NO_LLAMA
    if not known:
        return NO_LLAMA
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


async def is_ollama(server: Ollama) -> bool:
    """Whether Ollama answers at this address. Raises BackendBroken, silent."""
    status, body = await server.get("/api/version")
    try:
        http.decode(body, Version)
    except http.Nonsense:
        return False
    if status != 200:
        return False
    status, body = await server.get("/")
    return status == 200 and body.strip() == b"Ollama is running"


async def lists_models(server: OpenAIServer) -> bool:
    """Whether it lists models as OpenAI's servers do. Raises BackendBroken, silent."""
    status, _, body = await server.get("/v1/models")
    try:
        return status == 200 and bool(http.decode(body, OpenAIListing).data)
    except http.Nonsense:
        return False


async def identify(url: str, kinds: Sequence[type[Server]]) -> type[Server] | str:
    """Which of `kinds` answers at `url`, or why none does. Raises BackendBroken and BackendBusy where nobody answers."""
    for kind in kinds:
        probe = kind(url, connect_s=CONNECT_S)
        try:
            match probe:
                case Ollama():
                    fits = await is_ollama(probe)
                case LlamaServer():
                    said = await refusal(probe)
                    if said not in (None, NO_LLAMA):
                        return said or NO_LLAMA
                    fits = said is None
                case OpenAIServer():
                    fits = await lists_models(probe)
        finally:
            await probe.aclose()
        if fits:
            return kind
    return f"is not {' or '.join(CALLED[kind] for kind in kinds)}"


CALLED: Mapping[type[Server], str] = {LlamaServer: "a llama-server", Ollama: "Ollama", OpenAIServer: "an OpenAI-compatible server"}


class Servers:
    """The engines of some kinds at some addresses: a `Source`."""

    def __init__(self, groups: Sequence[Group], kinds: Sequence[type[Server]]) -> None:
        self._groups = groups
        self._kinds = kinds
        self._servers: dict[tuple[type[Server], str], Server] = {}
        self._remarks: dict[Group, str] = {}

    async def find(self) -> Sequence[Backend]:
        """The servers that answer now, each probed anew."""
        found = await asyncio.gather(*(self._first(group) for group in self._groups))
        return [server for server in found if server is not None]

    async def _first(self, group: Group) -> Server | None:
        """The first usable server of `group`."""
        self._remarks.pop(group, None)
        for url in group:
            known = any(url == address for _, address in self._servers)
            try:
                async with asyncio.timeout(KNOWN_ANSWER_S if known else ANSWER_S):
                    kind = await identify(url, self._kinds)
            except (BackendBroken, BackendBusy, TimeoutError):
                continue  # nobody is there, or nobody who speaks HTTP: the usual case, and nothing to say about it
            if not isinstance(kind, str):
                if (kind, url) not in self._servers:
                    self._servers[kind, url] = kind(url)
                return self._servers[kind, url]
            self._remarks[group] = f"{url} {kind}"
        return None

    def remarks(self) -> Sequence[str]:
        """What answered and cannot be used."""
        models = [server.remark for server in self._servers.values() if isinstance(server, Ollama) and server.remark]
        return [*self._remarks.values(), *models]

    async def aclose(self) -> None:
        """Close all of them."""
        for server in self._servers.values():
            await server.aclose()
        self._servers.clear()


class LlamaServers(Servers):
    """A llama-server where one usually is."""

    def __init__(self, config: BackendsConfig) -> None:
        super().__init__(usual(llama_place(os.environ), config, os.environ), (LlamaServer,))


class Ollamas(Servers):
    """Ollama where it usually is."""

    def __init__(self, config: BackendsConfig) -> None:
        super().__init__(usual(ollama_place(os.environ), config, os.environ), (Ollama,))


class Addresses(Servers):
    """Whatever answers at the addresses that the operator has named. In no list of `use`: the addresses are wish enough."""

    def __init__(self, config: BackendsConfig) -> None:
        super().__init__(named(config, os.environ), (LlamaServer, Ollama, OpenAIServer))
