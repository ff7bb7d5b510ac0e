"""The Electrum server, asked by a raw client over its socket: what it answers, whom it tells, what it refuses."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import pairwise
from typing import Any, cast

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pylon.regtest import answers, electrum
from pylon.regtest.addresses import address_to_script
from pylon.regtest.answers import Answers
from pylon.regtest.blocks import Output, double_sha256, hidden, read_block, shown
from pylon.regtest.chain import Chain, Change
from pylon.regtest.chainfile import place_of
from pylon.regtest.coins import Coins
from pylon.regtest.electrum import ElectrumServer
from tests.regtest.spending import OPEN, SOMEBODY, open_coin, outcome, spend

PLACE = shown(place_of(address_to_script(SOMEBODY)))
STATUS = "blockchain.scripthash.subscribe"
HEADER = "blockchain.headers.subscribe"


class Client:
    """A client that sends lines and reads lines."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def read(self) -> Any:
        """The next line; None where the server has hung up."""
        line = await self.reader.readline()
        return orjson.loads(line) if line else None

    async def say(self, said: object) -> Any:
        """The answer to a line, given as its bytes or as what they stand for."""
        self.writer.write((said if isinstance(said, bytes) else orjson.dumps(said)) + b"\n")
        return await self.read()

    async def ask(self, method: str, *params: object) -> Any:
        """The result of a request."""
        said = await self.say({"id": 7, "method": method, "params": params})
        assert said["id"] == 7
        assert said["jsonrpc"] == "2.0"
        return said["result"] if "result" in said else said["error"]

    async def silent(self) -> bool:
        """Whether nothing was told: the answer to a ping is the next line."""
        said: object = await self.say({"id": "quiet", "method": "server.ping"})
        return said == {"jsonrpc": "2.0", "result": None, "id": "quiet"}


Connect = Callable[[], Awaitable[Client]]


@pytest.fixture
async def connect(chain: Chain) -> AsyncIterator[Connect]:
    """What makes clients of a server over the chain."""
    server = ElectrumServer(chain)
    port = await server.start()
    made: list[Client] = []

    async def another() -> Client:
        made.append(Client(*await asyncio.open_connection("127.0.0.1", port, limit=1 << 25)))
        return made[-1]

    yield another
    await server.aclose()
    for client in made:
        client.writer.close()


@pytest.fixture
async def client(connect: Connect) -> Client:
    """One client."""
    return await connect()


async def test_a_subscriber_hears_of_a_payment_and_of_its_block(chain: Chain, client: Client) -> None:
    """The status changes when a transaction comes and when it is mined; the header comes too, each once."""
    assert await client.ask(STATUS, PLACE) is None
    assert (await client.ask(HEADER))["height"] == 110
    txid = Coins(chain).pay(SOMEBODY, 50_000)
    first = await client.read()
    assert first["method"] == STATUS
    assert first["params"][0] == PLACE
    assert await client.ask("blockchain.scripthash.get_history", PLACE) == [{"tx_hash": txid, "height": 0, "fee": 286}]
    assert await client.ask("blockchain.scripthash.get_mempool", PLACE) == [{"tx_hash": txid, "height": 0, "fee": 286}]
    assert await client.ask("blockchain.scripthash.get_balance", PLACE) == {"confirmed": 0, "unconfirmed": 50_000}
    chain.mine(3)
    header, second = await client.read(), await client.read()
    assert header["method"] == HEADER
    assert header["params"] == [{"height": 113, "hex": chain.file.headers(113, 113)[0].hex()}]
    assert second["params"] == [PLACE, await client.ask(STATUS, PLACE)]
    assert second["params"][1] != first["params"][1]
    assert await client.ask("blockchain.scripthash.get_history", PLACE) == [{"tx_hash": txid, "height": 111}]
    assert await client.ask("blockchain.scripthash.get_mempool", PLACE) == []
    assert await client.ask("blockchain.scripthash.get_balance", PLACE) == {"confirmed": 50_000, "unconfirmed": 0}
    coin = {"tx_hash": txid, "tx_pos": 0, "value": 50_000, "height": 111}
    assert await client.ask("blockchain.scripthash.listunspent", PLACE) == [coin]


async def test_who_is_not_concerned_is_not_told(chain: Chain, connect: Connect) -> None:
    """No header without a subscription, no status of another script, none after unsubscribing, none twice."""
    headers, other, gone = await connect(), await connect(), await connect()
    await headers.ask(HEADER)
    await headers.ask(HEADER)
    await other.ask(STATUS, "11" * 32)
    await gone.ask(STATUS, PLACE)
    assert await gone.ask("blockchain.scripthash.unsubscribe", PLACE) is True
    assert await gone.ask("blockchain.scripthash.unsubscribe", PLACE) is False
    Coins(chain).pay(SOMEBODY, 50_000)
    assert await headers.silent()
    chain.mine()
    assert (await headers.read())["method"] == HEADER
    for one in (headers, other, gone):
        assert await one.silent()


async def test_a_reorganisation_is_told(chain: Chain, client: Client) -> None:
    """The new tip comes, and the status of what waits again."""
    Coins(chain).pay(SOMEBODY, 50_000)
    chain.mine()
    before = await client.ask(STATUS, PLACE)
    await client.ask(HEADER)
    chain.reorg(1, 2)
    header, status = await client.read(), await client.read()
    assert header["params"][0]["height"] == 112
    assert status["params"][1] not in (None, before)
    assert await client.silent()


async def test_a_child_of_what_waits_has_another_height(chain: Chain, client: Client) -> None:
    """-1 while its parent waits; both in one block then."""
    coin = open_coin(chain)
    chain.mine()
    parent = spend([coin])
    child = spend([outcome(parent)], [Output(5_000, address_to_script(SOMEBODY))])
    for one in (parent, child):
        assert await client.ask("blockchain.transaction.broadcast", one.raw.hex()) == shown(one.txid)
    history = await client.ask("blockchain.scripthash.get_history", PLACE)
    assert [(one["height"], one["fee"]) for one in history] == [(-1, child.virtual_bytes and 99_700 - 5_000)]
    rates = await client.ask("mempool.get_fee_histogram")
    assert rates == sorted(rates, reverse=True)
    assert sum(size for _, size in rates) == parent.virtual_bytes + child.virtual_bytes
    chain.mine()
    assert (await client.ask("blockchain.scripthash.get_history", PLACE))[0]["height"] == 112
    assert await client.ask("mempool.get_fee_histogram") == []


async def test_proofs_lead_to_the_root_in_the_header(chain: Chain, client: Client) -> None:
    """The branch of every transaction of a block, by id and by position."""
    for _ in range(5):
        Coins(chain).pay(SOMEBODY, 50_000)
    chain.mine()
    header, inside = read_block(chain.file.block(111))
    for position, one in enumerate(inside):
        proof = await client.ask("blockchain.transaction.get_merkle", shown(one.txid), 111)
        assert (proof["pos"], proof["block_height"]) == (position, 111)
        digest, at = one.txid, position
        for neighbour in map(hidden, proof["merkle"]):
            digest = double_sha256(neighbour + digest if at % 2 else digest + neighbour)
            at //= 2
        assert digest == header[36:68]
        assert await client.ask("blockchain.transaction.id_from_pos", 111, position) == shown(one.txid)
        told = await client.ask("blockchain.transaction.id_from_pos", 111, position, True)
        assert told == {"tx_hash": shown(one.txid), "merkle": proof["merkle"]}


async def test_headers_are_chained(chain: Chain, client: Client) -> None:
    """One, many, and beyond the tip."""
    many = await client.ask("blockchain.block.headers", 100, 5_000)
    assert (many["count"], many["max"]) == (11, 2016)
    raw = bytes.fromhex(many["hex"])
    headers = [raw[i : i + 80] for i in range(0, len(raw), 80)]
    assert all(double_sha256(one) == two[4:36] for one, two in pairwise(headers))
    assert shown(double_sha256(headers[-1])) == chain.tip
    assert await client.ask("blockchain.block.header", 105) == headers[5].hex()
    assert (await client.ask("blockchain.block.headers", 111, 10))["count"] == 0


async def test_versions_are_agreed_on(client: Client) -> None:
    """The newest that both know, or an error."""
    for wanted, best in (
        ("1.4", "1.4"), (["1.4", "1.4"], "1.4"), (["1.1", "1.6"], "1.4.2"), ("1.4.1", "1.4.1"), (["1.4", "1.4.2"], "1.4.2"), ("1.3", None),
        (["1.5", "1.6"], None), ("", None), ([], None), (7, None), (["1.4", None], None), ("1." + "9" * 30, None), ("1.4\n", None),
    ):  # fmt: skip
        said = await client.ask("server.version", "test", wanted)
        assert (said["code"] == 1 if best is None else said[1] == best), wanted


async def test_the_server_says_what_it_is(chain: Chain, client: Client) -> None:
    """Everything that clients ask when they connect."""
    features = await client.ask("server.features")
    assert features["genesis_hash"] == chain.genesis == "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"
    assert features["hash_function"] == "sha256"
    assert "no value" in await client.ask("server.banner")
    for method, params, said in (
        ("server.ping", [], None), ("server.peers.subscribe", [], []), ("server.donation_address", [], ""),
        ("server.add_peer", [{}], False), ("blockchain.relayfee", [], 0.00001), ("blockchain.estimatefee", [6], 0.00001),
        ("blockchain.estimatefee", [6, "ECONOMICAL"], 0.00001),
    ):  # fmt: skip
        assert await client.ask(method, *params) == said


async def test_transactions_are_told(chain: Chain, client: Client) -> None:
    """As hex, or taken apart; waiting, or in a block."""
    txid = Coins(chain).pay(SOMEBODY, 50_000)
    raw = await client.ask("blockchain.transaction.get", txid)
    told = await client.ask("blockchain.transaction.get", txid, True)
    assert (told["hex"], told["txid"]) == (raw, txid)
    assert "confirmations" not in told
    chain.mine(2)
    told = await client.ask("blockchain.transaction.get", txid, True)
    assert (told["confirmations"], told["blockhash"]) == (2, shown(double_sha256(chain.file.headers(111, 111)[0])))
    assert (await client.ask("blockchain.transaction.get", "22" * 32))["code"] == 2


async def test_arguments_may_have_names(client: Client) -> None:
    """By place or by name, and what is missing or has no name here is an error."""
    for params, good in (
        ({"height": 5}, True), ({"height": 5, "cp_height": 0}, True), ({"cp_height": 0}, False), ({"heigth": 5}, False), ({}, False),
        ({"height": 5, "cp_height": 7}, False), ([5, 0, 0], False), ([], False), ("5", False), (None, False), (5, False),
    ):  # fmt: skip
        said = await client.say({"id": 1, "method": "blockchain.block.header", "params": params})
        assert ("result" in said) is good, params


WRONG = [
    (b"{", -32700), (b"\xff\xfe", -32700), (b"", -32700), (b"[" * 5_000, -32700), (b"null", -32600), (b"7", -32600), (b'"text"', -32600),
    (b"[]", -32600), (b'{"id":1}', -32600), (b'{"id":1,"method":7}', -32600), (b'{"id":[],"method":"server.ping"}', -32600),
    (b'{"id":1,"method":"server.exec"}', -32601), (b'{"id":1,"method":"server.ping","params":[1]}', -32602),
    (b'{"id":1,"method":"blockchain.block.header","params":[-1]}', 1), (b'{"id":1,"method":"blockchain.block.header","params":[111]}', 1),
    (b'{"id":1,"method":"blockchain.block.header","params":[1e400]}', -32700),
    (b'{"id":1,"method":"blockchain.block.header","params":[99999999999999999999999]}', 1),
    (b'{"id":1,"method":"blockchain.block.header","params":[true]}', 1),
    (b'{"id":1,"method":"blockchain.block.header","params":["5"]}', 1),
    (b'{"id":1,"method":"blockchain.block.header","params":[5.5]}', 1),
    (b'{"id":1,"method":"blockchain.block.headers","params":[0,-5]}', 1),
    (b'{"id":1,"method":"blockchain.scripthash.subscribe","params":[7]}', 1),
    (b'{"id":1,"method":"blockchain.scripthash.get_history","params":["zz"]}', 1),
    (b'{"id":1,"method":"blockchain.transaction.broadcast","params":["zz"]}', 1),
    (b'{"id":1,"method":"blockchain.transaction.broadcast","params":[{}]}', 1),
    (b'{"id":1,"method":"blockchain.transaction.broadcast","params":["00"]}', 1),
    (b'{"id":1,"method":"blockchain.transaction.get","params":["' + b"11" * 32 + b'","yes"]}', 2),
    (b'{"id":1,"method":"blockchain.transaction.get_merkle","params":["' + b"11" * 32 + b'",5]}', 1),
    (b'{"id":1,"method":"blockchain.transaction.get_merkle","params":["' + b"11" * 32 + b'",500]}', 1),
    (b'{"id":1,"method":"blockchain.transaction.id_from_pos","params":[5,1]}', 1),
    (b'{"id":1,"method":"blockchain.transaction.id_from_pos","params":[5,0,1]}', 1),
    (b'{"id":1,"method":"blockchain.estimatefee","params":["fast"]}', 1),
]  # fmt: skip


async def test_what_is_wrong_gets_an_error_and_the_session_goes_on(client: Client) -> None:
    """The protocol's form of an error, with a code and a sentence."""
    for line, code in WRONG:
        said = await client.say(line)
        assert (said.keys(), said["error"]["code"]) == ({"jsonrpc", "error", "id"}, code), line
        assert isinstance(said["error"]["message"], str)
        assert await client.silent()


class Nowhere:
    """A writer whose bytes go nowhere."""

    def __init__(self) -> None:
        self.transport = self

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return False

    def write(self, said: bytes) -> None:
        assert orjson.loads(said)["method"] in (STATUS, HEADER)


values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 130) | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
    | st.sampled_from([PLACE, "11" * 32, "1.4", "00" * 60]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["height", "scripthash", "id"]), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
METHODS = [STATUS, HEADER, "blockchain.scripthash.unsubscribe", "no.such"]


@given(st.data())
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_asked_is_answered_in_form(chain: Chain, data: st.DataObject) -> None:
    """Any JSON as arguments of any method, alone or in a batch, and any bytes: results and errors, never anything else."""
    told = Answers(chain)
    session = electrum.Session(told, cast(asyncio.StreamWriter, Nowhere()))
    request = st.fixed_dictionaries({"id": values, "method": st.sampled_from([*told.methods, *METHODS]), "params": values})
    line = data.draw(st.binary(max_size=30) | (request | st.lists(request, max_size=4)).map(lambda said: json.dumps(said).encode()))
    said = asyncio.run(session.answer(line))
    if said is not None:
        assert said.endswith(b"\n")
        for one in said_in(orjson.loads(said)):
            assert one["jsonrpc"] == "2.0"
            assert ("result" in one) != ("error" in one and isinstance(one["error"]["code"], int))


def said_in(answer: Any) -> list[Any]:
    """The answers in a line."""
    return answer if isinstance(answer, list) else [answer]


async def test_a_refused_transaction_is_told_why(chain: Chain, client: Client) -> None:
    """In the words that clients know; the same one again is answered with its id."""
    one = spend([open_coin(chain)], [Output(10**9, OPEN)])
    said = await client.ask("blockchain.transaction.broadcast", one.raw.hex())
    assert said == {"code": 1, "message": "the transaction was rejected by network rules.\n\nbad-txns-in-belowout"}


async def test_a_full_disk_is_told(chain: Chain, client: Client) -> None:
    """A broadcast that cannot be written is an error of the server, not of the transaction."""
    coins = [open_coin(chain) for _ in range(60)]
    chain.file.rows(f"PRAGMA max_page_count={chain.file.rows('PRAGMA page_count')[0][0]}")
    told = [await client.ask("blockchain.transaction.broadcast", spend([coin]).raw.hex()) for coin in coins]
    assert told[-1]["code"] == 2
    assert "full" in told[-1]["message"]


async def test_a_batch_is_answered_in_its_order(client: Client) -> None:
    """Good and bad ones; what has no id is done and not answered; a batch of those alone is not answered at all."""
    ask = [
        {"id": 1, "method": "server.ping"}, {"id": "two", "method": "nothing"}, {"method": "server.ping"}, 7,
        {"id": None, "method": "blockchain.relayfee"},
    ]  # fmt: skip
    said = await client.say(ask)
    assert [one["id"] for one in said] == [1, "two", None, None]
    assert ["error" in one for one in said] == [False, True, True, False]
    client.writer.write(b'[{"method":"server.ping"}]\n')
    assert await client.silent()
    assert (await client.say([{"id": 1, "method": "server.ping"}] * (electrum.MAX_BATCH + 1)))["error"]["code"] == -32600


async def test_a_batch_that_asks_for_too_much_is_cut(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the answers are large enough the rest are errors; one answer that is too large is one too."""
    monkeypatch.setattr(electrum, "MAX_ANSWER", 3_000)
    ask = {"id": 1, "method": "blockchain.block.headers", "params": [0, 10]}
    said = await client.say([ask] * 5)
    assert ["error" in one for one in said] == [False, False, True, True, True]
    assert (await client.ask("blockchain.block.headers", 0, 100))["message"] == "response too large"


async def test_what_changes_during_a_batch_is_told_after_it(chain: Chain, client: Client) -> None:
    """Otherwise a client would hold the older status for the newer one."""
    ping = {"id": 0, "method": "server.ping"}
    client.writer.write(orjson.dumps([{"id": 1, "method": STATUS, "params": [PLACE]}, *[ping] * 900]) + b"\n")
    waiting = asyncio.ensure_future(client.read())
    while chain.mempool == 0:
        await asyncio.sleep(0)
        if any(session._told for session in sessions(chain)):
            Coins(chain).pay(SOMEBODY, 50_000)
    said = await waiting
    assert (said[0]["id"], said[0]["result"]) == (1, None)
    assert (await client.read())["params"][0] == PLACE


def sessions(chain: Chain) -> list[electrum.Session]:
    """The sessions of the server that watches the chain."""
    owners = [getattr(watcher, "__self__", None) for watcher in chain._watchers]
    (server,) = [owner for owner in owners if isinstance(owner, ElectrumServer)]
    return list(server._sessions.values())


async def test_a_line_without_end_is_hung_up_on(client: Client, connect: Connect) -> None:
    """It is told so; the others are served on."""
    other = await connect()
    with contextlib.suppress(ConnectionError):
        client.writer.write(b"x" * (electrum.MAX_LINE + 100_000))
        said = await client.read()
        assert said is None or said["error"]["code"] == -32600
        assert await client.read() is None
    assert await other.silent()


async def test_half_a_line_is_no_request(client: Client, connect: Connect, chain: Chain) -> None:
    """A client that goes in the middle of one, or right after asking, leaves nothing behind."""
    other = await connect()
    client.writer.write(b'{"id":1,"method":"server.pi')
    client.writer.write_eof()
    await client.read()
    assert await other.silent()
    other.writer.write(b'{"id":1,"method":"server.features"}\n')
    other.writer.transport.abort()
    for _ in range(1_000):
        await asyncio.sleep(0)
        if not sessions(chain):
            return
    raise AssertionError("a session outlives its client")


async def test_subscriptions_and_sessions_are_bounded(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """One too many is an error; a session too many is hung up on, and there is room again when one goes."""
    monkeypatch.setattr(electrum, "MAX_SUBSCRIPTIONS", 2)
    monkeypatch.setattr(electrum, "MAX_SESSIONS", 2)
    first, second = await connect(), await connect()
    for i, good in ((1, True), (2, True), (2, True), (3, False)):
        said = await first.ask(STATUS, f"{i:064x}")
        assert (said is None) is good
    assert await second.silent()
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(10):
            assert await (await connect()).read() is None
    second.writer.close()
    await second.writer.wait_closed()
    assert await first.silent()
    third = await connect()
    assert await third.silent()


async def test_who_does_not_read_is_hung_up_on(chain: Chain, client: Client, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither answers nor news pile up for a client that does not read; the others hear everything."""
    monkeypatch.setattr(electrum, "SLOW_SECONDS", 0.1)
    other = await connect()
    await other.ask(HEADER)
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    with contextlib.suppress(ConnectionError):
        for _ in range(200):
            client.writer.write(b'[{"id":1,"method":"blockchain.block.headers","params":[0,111]}]\n' * 50)
            await asyncio.sleep(0.005)
            if len(sessions(chain)) == 1:
                break
    assert len(sessions(chain)) == 1
    chain.mine()
    assert (await other.read())["params"][0]["height"] == 111


async def test_news_do_not_pile_up(chain: Chain, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A subscriber that leaves too much unread is hung up on at the next change."""
    await client.ask(HEADER)
    monkeypatch.setattr(electrum, "MAX_UNREAD", -1)
    chain.mine()
    with contextlib.suppress(ConnectionError):
        assert await client.read() is None
    assert chain.height == 111


async def test_a_history_that_is_too_long_is_an_error(chain: Chain, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """For who asks; who has subscribed is hung up on, and the step that made it too long is not disturbed."""
    await client.ask(STATUS, PLACE)
    monkeypatch.setattr(answers, "MAX_HISTORY", 1)
    Coins(chain).pay(SOMEBODY, 50_000)
    await client.read()
    Coins(chain).pay(SOMEBODY, 50_000)
    with contextlib.suppress(ConnectionError):
        assert await client.read() is None
    assert chain.mempool == 2


async def test_many_subscribers_end_with_the_truth(chain: Chain, connect: Connect) -> None:
    """Twenty clients, payments, blocks and reorganisations at once: the last status that each was told is the right one."""
    clients = [await connect() for _ in range(20)]
    scripts = [bytes([0x00, 0x14]) + bytes([i]) * 20 for i in range(20)]
    places = [shown(place_of(script)) for script in scripts]
    known: list[dict[str, str | None]] = [{} for _ in clients]

    async def live(i: int) -> None:
        mine = {places[i], places[(i + 1) % 20]}
        for place in mine:
            clients[i].writer.write(orjson.dumps({"id": place, "method": STATUS, "params": [place]}) + b"\n")
        while (said := await clients[i].read()) and said.get("id") != "end":
            place, status = (said["id"], said["result"]) if "id" in said else said["params"]
            known[i][place] = status

    tasks = [asyncio.ensure_future(live(i)) for i in range(20)]
    coins = Coins(chain)
    for step in range(40):
        coins.pay(scripts[step * 7 % 20], 10_000 + step)
        await asyncio.sleep(0)
        if step % 3 == 0:
            chain.mine()
        if step % 10 == 9:
            chain.reorg(2, 3)
    for client in clients:
        client.writer.write(b'{"id":"end","method":"server.ping"}\n')
    await asyncio.gather(*tasks)
    truth = Answers(chain)
    for told in known:
        assert len(told) == 2
        assert all(status == truth.status(hidden(place)) for place, status in told.items())


async def test_a_status_is_told_when_it_changed(chain: Chain, client: Client) -> None:
    """A step that touches a script without changing its status says nothing: here a change that is told of a second time."""
    assert await client.ask(STATUS, PLACE) is None
    (session,) = sessions(chain)
    Coins(chain).pay(SOMEBODY, 50_000)
    await client.read()
    session.tell(Change(frozenset({hidden(PLACE)}), tip=False), {})
    assert await client.silent()


async def test_the_end_hangs_up(chain: Chain) -> None:
    """No session and no watcher outlives the server."""
    server = ElectrumServer(chain)
    reader, writer = await asyncio.open_connection("127.0.0.1", await server.start())
    client = Client(reader, writer)
    assert await client.silent()
    await server.aclose()
    with contextlib.suppress(ConnectionError):
        assert await client.read() is None
    assert chain._watchers == []
    writer.close()
