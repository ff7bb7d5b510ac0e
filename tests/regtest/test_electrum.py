"""The Electrum server, asked by a raw client over its socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from pylon.regtest.addresses import address_to_script
from pylon.regtest.blocks import shown
from pylon.regtest.chain import Chain
from pylon.regtest.chainfile import place_of
from pylon.regtest.coins import Coins
from pylon.regtest.electrum import ElectrumServer

SOMEBODY = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
PLACE = shown(place_of(address_to_script(SOMEBODY)))


class Client:
    """A client that sends lines and reads lines."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def read(self) -> Any:
        """The next line."""
        line = await self.reader.readline()
        return orjson.loads(line) if line else None

    async def ask(self, method: str, *params: object) -> Any:
        """The answer to one request."""
        self.writer.write(orjson.dumps({"id": 7, "method": method, "params": params}) + b"\n")
        return await self.read()


@pytest.fixture
async def client(chain: Chain) -> AsyncIterator[Client]:
    """A client of a server over the chain."""
    server = ElectrumServer(chain)
    made = Client(*await asyncio.open_connection("127.0.0.1", await server.start()))
    yield made
    made.writer.close()
    await server.aclose()


async def test_a_subscriber_hears_of_a_payment_and_of_its_block(chain: Chain, client: Client) -> None:
    """The status changes when a transaction comes and when it is mined; the header comes too."""
    assert (await client.ask("blockchain.scripthash.subscribe", PLACE))["result"] is None
    assert (await client.ask("blockchain.headers.subscribe"))["result"]["height"] == 110
    txid = Coins(chain).pay(SOMEBODY, 50_000)
    first = await client.read()
    assert first["params"][0] == PLACE
    assert (await client.ask("blockchain.scripthash.get_history", PLACE))["result"] == [{"tx_hash": txid, "height": 0, "fee": 286}]
    chain.mine()
    header, second = await client.read(), await client.read()
    assert header["params"][0]["height"] == 111
    assert second["params"][1] != first["params"][1]
    proof = (await client.ask("blockchain.transaction.get_merkle", txid, 111))["result"]
    assert proof["pos"] == 1
    assert len(proof["merkle"]) == 1
