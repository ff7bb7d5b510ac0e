"""Who answers the parts of a run: a real control socket with a node's words behind it, and the scripted backend."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pylon.backends.registry import Backends
from pylon.config import BackendsConfig, Home
from pylon.control.server import Args, Call, ControlServer, Update
from pylon.errors import NoRelay, PylonError, UsageError
from pylon.node.askers import LocalAsker, SwarmAsker
from pylon.nostr.nip90 import SUB_QUERY
from pylon.rlm.asking import Answer, Ask, Miss, Reason
from pylon.units import Msat

FEE = Msat(20)
PROVIDER = "ab" * 32


def question(*, seconds: float = 30.0, patience: float = 0.0, text: str = "What is it?") -> Ask:
    """One ask, of at most 1000 msat."""
    now = time.time()
    return Ask(3, 1, text, 64, Msat(1000), now + seconds, patience=now + patience if patience else 0.0, avoid=("cd" * 32,))


def job(status: str, code: str = "", message: str = "", **more: object) -> dict[str, object]:
    """A job document of the node."""
    trouble = {"code": code, "message": message} if code else None
    return {
        "id": "00" * 32, "status": status, "answer": None, "provider": PROVIDER, "model": None, "amount_msat": None, "fee_msat": 0,
        "trouble": trouble, **more,
    }


@asynccontextmanager
async def node(tmp_path: Path, call: Call) -> AsyncIterator[SwarmAsker]:
    """A home whose node answers `job.ask` by `call`, and who asks it."""
    home = Home(tmp_path / "home")
    home.create()
    server = ControlServer(home.control, {"job.ask": call})
    await server.start()
    try:
        yield SwarmAsker(home, ["ws://relay"], "small", FEE)
    finally:
        await server.aclose()


async def asked(tmp_path: Path, outcome: dict[str, object] | PylonError) -> Answer | Miss:
    """What becomes of one ask where the node says `outcome`."""

    async def answer(args: Args, update: Update) -> object:
        if isinstance(outcome, PylonError):
            raise outcome
        return outcome

    async with node(tmp_path, answer) as asker:
        return await asker.ask(question())


async def test_an_answer_and_what_it_cost(tmp_path: Path) -> None:
    """The amount and the fee together; an answer that was free costs nothing."""
    answer = job("done", answer="- it is", amount_msat=900, fee_msat=7, model="small")
    assert await asked(tmp_path, answer) == Answer("- it is", PROVIDER, Msat(907), "small")
    assert await asked(tmp_path, job("done", answer="- it is", amount_msat=0)) == Answer("- it is", PROVIDER, Msat(0))


@pytest.mark.parametrize(
    ("code", "message", "reason"),
    [
        ("RATE_LIMITED", "busy", Reason.BUSY), ("POLICY_VIOLATION", "too little", Reason.PRICE), ("over_budget", "more", Reason.PRICE),
        ("INVALID_PARAMETER", "the prompt has 9 tokens", Reason.OVERFLOW), ("INVALID_PARAMETER", "no such model", Reason.REFUSED),
        ("SERVICE_UNAVAILABLE", "no model", Reason.FAILED), ("insufficient_funds", "the wallet holds 0", Reason.MONEY),
        ("payment_failed", "no", Reason.MONEY), ("invoice_refused", "no", Reason.MONEY), ("no_relay", "none", Reason.UNREACHABLE),
        ("what a stranger says\x00\u202e", "x", Reason.REFUSED), ("answer_owed", "no answer", Reason.SILENT),
    ],
)
async def test_why_there_is_no_answer(tmp_path: Path, code: str, message: str, reason: Reason) -> None:
    """The words of the node and of providers, in those of a run; the provider is named so that another one can be asked."""
    assert await asked(tmp_path, job("failed", code, message)) == Miss(reason, message, PROVIDER)


async def test_paid_and_silent(tmp_path: Path) -> None:
    """The price is gone; where the payment's outcome is open, all that was set aside for it is."""
    lost = await asked(tmp_path, job("lost", "answer_owed", "no answer", amount_msat=800, fee_msat=3))
    assert lost == Miss(Reason.SILENT, "no answer", PROVIDER, Msat(803))
    expired = await asked(tmp_path, job("expired", provider=None))
    assert expired == Miss(Reason.SILENT, "no answer in time")
    for status in ("paying", "unsure"):
        unsure = await asked(tmp_path, job(status))
        assert isinstance(unsure, Miss)
        assert (unsure.reason, unsure.cost) == (Reason.SILENT, 1020)


async def test_what_the_node_refuses(tmp_path: Path) -> None:
    """No relay is a reason of its own; whatever else is wrong cost nothing."""
    assert await asked(tmp_path, NoRelay("nobody there")) == Miss(Reason.UNREACHABLE, "nobody there")
    assert await asked(tmp_path, UsageError("too long")) == Miss(Reason.FAILED, "too long")


async def test_what_the_node_is_asked(tmp_path: Path) -> None:
    """The limit is the bid, the fee its own bound; patience only for a first try; nothing is asked where no time is left."""
    seen: list[Args] = []

    async def answer(args: Args, update: Update) -> object:
        seen.append(args)
        return job("done", answer="- yes", amount_msat=1)

    async with node(tmp_path, answer) as asker:
        await asker.ask(question(patience=10.0))
        await asker.ask(question())
        late = await asker.ask(question(seconds=-1.0))
    assert late == Miss(Reason.SILENT, "no time is left")
    first, second = seen
    assert {name: first[name] for name in ("kind", "bid", "max_fee", "max_tokens", "model", "relays", "avoid", "prompt")} == {
        "kind": SUB_QUERY, "bid": 1000, "max_fee": FEE, "max_tokens": 64, "model": "small", "relays": ["ws://relay"],
        "avoid": ["cd" * 32], "prompt": "What is it?",
    }
    patience, timeout = first["patience"], first["timeout"]
    assert isinstance(patience, float)
    assert isinstance(timeout, float)
    assert 0 < patience <= 10 < timeout <= 30
    assert second["patience"] is None


async def test_a_node_that_goes_away(tmp_path: Path) -> None:
    """In the middle: the job may be paid, so all of it counts. Not there at all: nothing was asked."""
    reached = asyncio.Event()

    async def wait(args: Args, update: Update) -> object:
        reached.set()
        await asyncio.Event().wait()
        return {}

    async with node(tmp_path, wait) as asker:
        asking = asyncio.ensure_future(asker.ask(question()))
        await reached.wait()
    gone = await asking
    assert isinstance(gone, Miss)
    assert (gone.reason, gone.cost) == (Reason.GONE, 1020)
    assert await asker.ask(question()) == Miss(Reason.GONE, "the node is not running")


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """The script of the backend of this machine."""
    path = tmp_path / "script.toml"
    path.write_text(
        'slots = 2\ncontext = 200\ndefault = "- it is"\nlog = "runs.log"\n[[reply]]\nwhen = "hang"\nfail = "hang"\n'
        '[[reply]]\nwhen = "busy"\nfail = "busy"\n[[reply]]\nwhen = "break"\nfail = "broken"\n',
        "utf-8",
    )
    return path


@asynccontextmanager
async def here(script: Path, model: str = "") -> AsyncIterator[LocalAsker]:
    """Who asks the models of this machine."""
    backends = Backends()
    try:
        await backends.start(BackendsConfig(use=["scripted"], script=str(script)))
        yield LocalAsker(backends, model)
    finally:
        await backends.aclose()


@pytest.mark.parametrize(
    ("text", "reason"), [("word " * 200, Reason.OVERFLOW), ("busy", Reason.BUSY), ("break", Reason.FAILED)]
)
async def test_what_a_local_model_refuses(script: Path, text: str, reason: Reason) -> None:
    """Every failure is a miss with its reason, and costs nothing."""
    async with here(script) as asker:
        missed = await asker.ask(question(text=text))
    assert isinstance(missed, Miss)
    assert (missed.reason, missed.cost) == (reason, 0)


async def test_a_local_model(script: Path) -> None:
    """It answers for nothing, as many at a time as it has slots; one that hangs is left at the deadline; another model is not here."""
    async with here(script) as asker:
        ask = question()
        answers = await asyncio.gather(*(asker.ask(Ask(n, n, "What?", 8, Msat(0), ask.deadline)) for n in range(6)))
        assert set(answers) == {Answer("- it is", "scripted", Msat(0), "scripted")}
        hung = await asker.ask(question(text="hang", seconds=0.2))
        assert hung == Miss(Reason.SILENT, "no answer in time")
        assert await asker.ask(question(seconds=-5.0)) == hung
    async with here(script, "nope") as asker:
        missed = await asker.ask(question())
    assert isinstance(missed, Miss)
    assert missed.reason is Reason.FAILED
