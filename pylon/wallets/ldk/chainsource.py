"""Is this the right chain? Asked of its source before the node starts: ldk-node checks neither the first block nor a height that fell.

Small clients for the three kinds of sources: Electrum (`tcp://`, `ssl://`), Esplora (`http://`, `https://`), bitcoind (`bitcoind://`).
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx
import msgspec

from pylon.errors import PylonError

SECONDS = 5.0
"""A source that has not answered by then is silent."""
DEEPEST = 100
"""Blocks. A chain that is shorter than we have seen it, by more than that, was not reorganised: it is another one."""
GENESIS = {
    "mainnet": "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f",
    "testnet": "000000000933ea01ad0ee984209779baaec3ced90fa3f408719526f8d77f4943",
    "signet": "00000008819873e925422c1ff0f99f7cc9bbb232af63a077a480a3633bee1ef6",
    "regtest": "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206",
}
MOST_LINE = 1 << 16
CHECK = "check `[wallet] chain` and the connection"


class Seen(msgspec.Struct, frozen=True):
    """What this wallet knows of its chain: the highest block, and one so deep that it stays."""

    height: int
    anchor: int
    anchor_hash: str


async def check(url: str, network: str, seen: Seen | None) -> Seen:
    """Ask the source, and say what is known afterwards. Raises PylonError where it is away, silent, or serves another chain."""
    where = _shown(url)
    try:
        async with asyncio.timeout(SECONDS):
            height, hashes = await _ask(url, [0] if seen is None else [0, seen.anchor])
            _judge(where, network, seen, height, hashes)
            anchor = max(0, height - DEEPEST)
            if seen is not None and anchor <= seen.anchor:
                return Seen(height, seen.anchor, seen.anchor_hash)
            _, (anchor_hash,) = await _ask(url, [anchor])
            return Seen(height, anchor, anchor_hash)
    except TimeoutError as error:
        raise PylonError(f"the source of blocks {where} does not answer", hint=CHECK) from error
    except (OSError, httpx.HTTPError) as error:
        raise PylonError(f"the source of blocks {where} cannot be reached: {error}", hint=CHECK) from error
    except (ValueError, KeyError, TypeError, msgspec.DecodeError) as error:
        raise PylonError(f"{where} does not speak the protocol of its address: {error}", hint="check `[wallet] chain`") from error


def _judge(where: str, network: str, seen: Seen | None, height: int, hashes: Sequence[str]) -> None:
    if hashes[0] != GENESIS[network]:
        raise PylonError(f"{where} serves another chain than {network}: its first block is {hashes[0]}", hint="check `[wallet] chain`")
    if seen is None:
        return
    if height < seen.height - DEEPEST:
        raise PylonError(
            f"{where} has {height:,} blocks, and this wallet has seen {seen.height:,}: it lags behind, or it is another chain",
            hint="wait until it has caught up, or check `[wallet] chain`",
        )
    if hashes[1] != seen.anchor_hash:
        raise PylonError(
            f"{where} serves another chain than the one this wallet is on: its block {seen.anchor:,} is another one",
            hint="bring that chain back; on regtest, sats of a network that is gone are gone: move the wallet's folder away",
        )


def _shown(url: str) -> str:
    """The address without a password."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


async def _ask(url: str, heights: Sequence[int]) -> tuple[int, list[str]]:
    """The height, and the hashes of these blocks; an empty text for one that is not there."""
    scheme = urlsplit(url).scheme
    if scheme in ("tcp", "ssl"):
        return await _electrum(url, heights)
    if scheme in ("http", "https"):
        return await _esplora(url, heights)
    return await _bitcoind(url, heights)


async def _electrum(url: str, heights: Sequence[int]) -> tuple[int, list[str]]:
    parts = urlsplit(url)
    context = ssl.create_default_context() if parts.scheme == "ssl" else None
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, ssl=context, limit=MOST_LINE)
    number = 0

    async def call(method: str, *params: object) -> Any:
        nonlocal number
        number += 1
        writer.write(msgspec.json.encode({"jsonrpc": "2.0", "id": number, "method": method, "params": params}) + b"\n")
        while True:
            line = await reader.readline()
            if not line:
                raise ConnectionError("it closed the connection")
            answer = msgspec.json.decode(line, type=dict[str, Any])
            if answer.get("id") == number:
                return answer

    try:
        await call("server.version", "pylon", "1.4")
        tip = (await call("blockchain.headers.subscribe"))["result"]
        hashes = []
        for height in heights:
            header = (await call("blockchain.block.header", height)).get("result")
            hashes.append(header_hash(header) if header else "")
        return int(tip["height"]), hashes
    finally:
        writer.close()


def header_hash(header: str) -> str:
    """The hash of a block's header (hex of 80 bytes), as people write it."""
    raw = bytes.fromhex(header)
    if len(raw) != 80:
        raise ValueError("a header that has not 80 bytes")
    return hashlib.sha256(hashlib.sha256(raw).digest()).digest()[::-1].hex()


async def _esplora(url: str, heights: Sequence[int]) -> tuple[int, list[str]]:
    async with httpx.AsyncClient(base_url=url, timeout=SECONDS) as client:
        tip = await client.get("/blocks/tip/height")
        if not tip.is_success:  # httpx would name the address, with its password
            raise ValueError(f"it answers with status {tip.status_code}")
        hashes = []
        for height in heights:
            answer = await client.get(f"/block-height/{height}")
            hashes.append(answer.text.strip() if answer.is_success else "")
        return int(tip.text), hashes


async def _bitcoind(url: str, heights: Sequence[int]) -> tuple[int, list[str]]:
    parts = urlsplit(url)
    login = httpx.BasicAuth(unquote(parts.username or ""), unquote(parts.password or ""))
    async with httpx.AsyncClient(auth=login, timeout=SECONDS) as client:

        async def call(method: str, *params: object) -> Any:
            body = {"jsonrpc": "1.0", "id": "pylon", "method": method, "params": params}
            answer = await client.post(f"http://{parts.hostname}:{parts.port}/", json=body)
            if answer.status_code in (401, 403):
                raise ValueError("it refuses the user and password")
            return answer.json()["result"]

        tip = await call("getblockcount")
        hashes = [await call("getblockhash", height) or "" for height in heights]
        return int(tip), hashes
