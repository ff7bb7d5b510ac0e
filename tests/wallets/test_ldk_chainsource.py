"""Is this the right chain? Sources that are away, silent, wrong, behind, or speak nonsense: each is one sentence, before a node starts."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from pylon.errors import PylonError
from pylon.wallets.ldk import chainsource
from pylon.wallets.ldk.chainsource import GENESIS, Seen, check, header_hash

# Headers of Bitcoin's first two blocks (BIP-157's and Bitcoin Core's tests name their hashes).
MAINNET_HEADER = (
    "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa"
    "4b1e5e4a29ab5f49ffff001d1dac2b7c"
)
REGTEST_HEADER = (
    "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa"
    "4b1e5e4adae5494dffff7f2002000000"
)


def fake(height: int) -> str:
    """The header of a block of ours: its height, and nothing else."""
    return height.to_bytes(80, "big").hex()


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def served(serve: Serve) -> AsyncIterator[str]:
    """A server on loopback, `host:port`."""
    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except ConnectionError:
            return
        finally:
            writer.close()

    server = await asyncio.start_server(one, "127.0.0.1")
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


def electrum(height: int, genesis: str = REGTEST_HEADER, other: bool = False) -> Serve:
    """An Electrum server; `other`: another chain above the first block. It tells of a new block in between, as servers do."""
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            asked = msgspec.json.decode(line)
            result: Any = ["fake", "1.4"]
            if asked["method"] == "blockchain.headers.subscribe":
                result = {"height": height, "hex": fake(height)}
            elif asked["method"] == "blockchain.block.header":
                at = asked["params"][0]
                result = genesis if at == 0 else fake(at + other * 1000)
            writer.write(b'{"jsonrpc": "2.0", "method": "blockchain.headers.subscribe", "params": [{"height": 1}]}\n')
            writer.write(msgspec.json.encode({"jsonrpc": "2.0", "id": asked["id"], "result": result}) + b"\n")
    return serve


def http(answer: Callable[[str, dict[str, str], bytes], tuple[int, bytes]]) -> Serve:
    """A web server: (path, headers, body) to (status, body)."""
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while first := await reader.readline():
            headers = {}
            while (line := (await reader.readline()).strip()):
                name, _, value = line.decode().partition(": ")
                headers[name.lower()] = value
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            status, said = answer(first.split()[1].decode(), headers, body)
            writer.write(b"HTTP/1.1 %d x\r\ncontent-length: %d\r\n\r\n%s" % (status, len(said), said))
    return serve


def esplora(path: str, _: dict[str, str], __: bytes) -> tuple[int, bytes]:
    """A chain of 250 blocks on signet."""
    if path == "/blocks/tip/height":
        return 200, b"250"
    height = int(path.rpartition("/")[2])
    return 200, (GENESIS["signet"] if height == 0 else f"{height:064x}").encode()


def bitcoind(path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
    """The same on mainnet, for user `u` with the password `p:/@`."""
    if headers.get("authorization") != "Basic " + base64.b64encode(b"u:p:/@").decode():
        return 401, b""
    asked = msgspec.json.decode(body)
    if asked["method"] == "getblockcount":
        return 200, b'{"result": 250}'
    height = asked["params"][0]
    return 200, msgspec.json.encode({"result": GENESIS["mainnet"] if height == 0 else f"{height:064x}"})


def test_hashes_of_headers_are_those_of_the_first_blocks() -> None:
    """The hash that decides is the one that everybody writes."""
    assert header_hash(MAINNET_HEADER) == GENESIS["mainnet"]
    assert header_hash(REGTEST_HEADER) == GENESIS["regtest"]
    with pytest.raises(ValueError, match="80 bytes"):
        header_hash("00" * 79)


async def test_a_chain_is_known_again() -> None:
    """The first look notes a block so deep that it stays; the next looks hold the chain against it, and go on with a deeper one."""
    async with served(electrum(250)) as place:
        seen = await check(f"tcp://{place}", "regtest", None)
    assert seen == Seen(250, 150, header_hash(fake(150)))
    async with served(electrum(245)) as place:
        assert await check(f"tcp://{place}", "regtest", seen) == Seen(245, 150, header_hash(fake(150)))
    async with served(electrum(400)) as place:
        assert await check(f"tcp://{place}", "regtest", seen) == Seen(400, 300, header_hash(fake(300)))


async def test_other_kinds_of_sources() -> None:
    """Esplora and bitcoind (with a password that has its own ideas) are asked the same."""
    async with served(http(esplora)) as place:
        assert await check(f"http://{place}", "signet", None) == Seen(250, 150, f"{150:064x}")
    async with served(http(bitcoind)) as place:
        assert await check(f"bitcoind://u:p%3A%2F%40@{place}", "mainnet", None) == Seen(250, 150, f"{150:064x}")
        with pytest.raises(PylonError, match="refuses the user and password") as refusal:
            await check(f"bitcoind://u:wrong-word@{place}", "mainnet", None)
        assert "wrong-word" not in refusal.value.message


SEEN = Seen(250, 150, header_hash(fake(150)))


@pytest.mark.parametrize(("serve", "why"), [
    (electrum(250, genesis=MAINNET_HEADER), "another chain than regtest"),
    (electrum(149), "149 blocks, and this wallet has seen 250"),
    (electrum(250, other=True), "its block 150 is another one"),
])
async def test_another_chain_is_refused(serve: Serve, why: str) -> None:
    """Another first block, a height that fell by more than a reorganisation, another block at a height that we know."""
    async with served(serve) as place:
        with pytest.raises(PylonError, match=why) as refusal:
            await check(f"tcp://{place}", "regtest", SEEN)
    assert refusal.value.hint


async def test_a_source_that_is_away_is_named() -> None:
    """Nobody listens there: the address stands in the sentence, with what to do."""
    async with served(electrum(1)) as place:
        pass
    with pytest.raises(PylonError, match=rf"tcp://{place} cannot be reached") as refusal:
        await check(f"tcp://{place}", "regtest", None)
    assert refusal.value.hint


async def test_silence_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A source that accepts and says nothing is given up."""
    monkeypatch.setattr(chainsource, "SECONDS", 0.1)

    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with served(silent) as place:
        with pytest.raises(PylonError, match="does not answer"):
            await check(f"tcp://{place}", "regtest", None)


@pytest.mark.parametrize("said", [b"HTTP/1.1 400 no\r\n\r\n", b"{}\n" * 3, b"[1]\n", b"x" * (chainsource.MOST_LINE + 10), b""])
async def test_nonsense_is_called_so(said: bytes) -> None:
    """What is no Electrum server is told as that, or as one that hung up."""
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        await writer.drain()

    async with served(serve) as place:
        with pytest.raises(PylonError, match=r"does not speak the protocol|cannot be reached"):
            await check(f"tcp://{place}", "regtest", None)


async def test_a_password_of_esplora_is_not_told() -> None:
    """The server refuses it: the sentence, which stands in the log and in `pylon wallet status`, names the server alone."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 401 no\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    place = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    with pytest.raises(PylonError, match="status 401") as refusal:
        await check(f"http://u:secret-word@{place}", "mainnet", None)
    server.close()
    assert place in refusal.value.message
    assert "secret-word" not in refusal.value.message
