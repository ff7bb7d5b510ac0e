"""What people type wrong: one clear sentence, the right exit code, no traceback, nothing charged."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from tests.e2e.market import Market
from tests.e2e.world import ROOT, Done, World

TYPO = 'relays = ["ws://127.0.0.1:1"]\n\n[provider]\nmin_price_msat = 3\n'
COMMANDS = (
    "init", "wallet balance", "wallet fund", "wallet status", "wallet whoami", "wallet history", "wallet invoice 1", "wallet pay x",
    "start", "start -f", "stop", "status", "job submit x", "job list", "job status 0000", "job results 0000", "job pay 0000",
    "job cancel 0000", "infer -p x", "doctor", "earnings", "nexus --port 0", "models list", "models pull",
)
JSON_LESS = {"start", "start -f", "stop"}


@pytest.fixture(autouse=True)
def _nothing_is_charged(market: Market) -> Iterator[None]:
    """Both wallets, the earnings and the list of payments are the same afterwards."""
    books = market.books()
    runs = market.world.runs("provider")
    yield
    assert market.books() == books
    assert market.world.runs("provider") == runs


def _one_sentence(done: Done) -> None:
    assert done.out == ""
    told = [line for line in done.err.splitlines() if not line.startswith(("posted ", "quoted ", "paid ", "refused "))]
    assert told[0].startswith("Error: "), done
    assert len(told) <= 2, done


@pytest.mark.parametrize("prompt", ["", " \n\t", "\u00a0"])
def test_an_empty_prompt(market: Market, prompt: str) -> None:
    """Exit 2, as an argument and by standard input."""
    for done in (market.submit(prompt), market.submit("-", stdin=prompt.encode())):
        assert (done.status, done.error["code"]) == (2, "usage")
        assert "empty" in done.error["message"]
    _one_sentence(market.world.run("buyer", "job", "submit", prompt))


def test_ten_megabytes(market: Market) -> None:
    """Exit 2 with both sizes; the node is not even asked."""
    done = market.submit("-", "--auto-pay", stdin=b"word " * 2_000_000)
    assert (done.status, done.error["code"]) == (2, "usage")
    assert "10,000,000 bytes" in done.error["message"]
    assert "524,288" in done.error["message"]


def test_a_long_prompt_that_fits_a_request(market: Market) -> None:
    """Half a megabyte fits a request and no model: the provider refuses before anything is charged; encrypted or not."""
    for words in ([], ["--provider", market.npub]):
        done = market.submit("-", "--auto-pay", *words, stdin=b"word " * 100_000)
        assert (done.status, done.error["code"]) == (7, "provider_refused"), done
        assert "tokens" in done.error["message"]


def test_an_unknown_model(market: Market) -> None:
    """Exit 7 with the provider's sentence, which names what it has."""
    done = market.submit("x", "--auto-pay", "--provider", market.npub, "--model", "gpt-\u202e😀")
    assert (done.status, done.error["code"]) == (7, "provider_refused")
    assert "scripted" in done.error["message"]
    shown = market.world.run("buyer", "job", "submit", "x", "--auto-pay", "--provider", market.npub, "--model", "gpt-\u202e😀")
    assert shown.status == 7
    assert "\u202e" not in shown.err
    _one_sentence(shown)


@pytest.mark.parametrize(
    "words",
    [
        ["--kind", "5100"], ["--kind", "-1"], ["--kind", "99999999999999999999"], ["--bid", "-1"], ["--bid", "1.5"], ["--bid", "9" * 25],
        ["--timeout", "0"], ["--timeout", "nan"], ["--timeout", "inf"], ["--timeout", "1e9"], ["--max-tokens", "0"],
        ["--max-tokens", "9" * 25], ["--relay", "http://example.org"], ["--relay", "ws://127.0.0.1:1,nonsense"],
        ["--provider", "npub1nonsense"], ["--provider", "00" * 31], ["--provider", "ff" * 32], ["--nonsense", "1"],
    ],
)
def test_options_out_of_range(market: Market, words: list[str]) -> None:
    """Exit 2, and no job is made."""
    before = len(market.world.jobs("buyer", "buyer"))
    done = market.submit("What is 2+2?", "--auto-pay", *words)
    assert (done.status, done.error["code"]) == (2, "usage"), done
    assert len(market.world.jobs("buyer", "buyer")) == before


def test_bytes_that_are_no_text(market: Market) -> None:
    """Arguments in another encoding: exit 2. (Standard input is read with replacements, like any prompt.)"""
    cases: list[list[str | bytes]] = [["job", "submit", b"\xff"], ["job", "submit", "x", "--model", b"\xff"], ["wallet", "pay", b"\xff"]]
    for words in cases:
        command = [*map(os.fsencode, market.world.words("buyer")), *map(os.fsencode, words)]
        done = subprocess.run(command, cwd=ROOT, env=market.world.environment, capture_output=True, timeout=60, check=False)
        assert done.returncode in (2, 6), done
        assert done.stderr.startswith(b"Error: "), done
        assert b"Traceback" not in done.stderr
        assert b"unexpected" not in done.stderr


def test_a_typo_in_the_settings(world: World) -> None:
    """Exit 3 in every command, with the line and the key."""
    world.ask("home", "init")
    (world.place / "home" / "config.toml").write_text(TYPO, "utf-8")
    for command in COMMANDS:
        json = [] if command in JSON_LESS else ["--json"]
        done = world.run("home", *command.split(), *json)
        assert done.status == 3, (command, done)
        told = done.error["message"] if json else done.err
        assert "line 4" in told, (command, done)
        assert "`provider.min_price_msat`" in told, (command, done)
    for broken, words in (("relays = [\n", "line"), ('network = "mainet"\n', "line 1"), ("[provider]\nqueue = -1\n", "line 2")):
        (world.place / "home" / "config.toml").write_text(broken, "utf-8")
        done = world.run("home", "wallet", "balance", "--json")
        assert (done.status, done.error["code"]) == (3, "config")
        assert words in done.error["message"]


def test_stop_stops_in_spite_of_a_typo(world: World) -> None:
    """A mistake in the settings keeps nobody from stopping the node; it is told all the same."""
    world.home("home")
    world.ask("home", "wallet", "balance")
    (world.place / "home" / "config.toml").write_text(TYPO, "utf-8")
    done = world.run("home", "stop")
    assert (done.status, "stopped" in done.out, "line 4" in done.err) == (3, True, True)


def test_places_that_cannot_be_used(world: World) -> None:
    """A log, a lock or a state folder that the system refuses: the sentence names it, whichever process meets it."""
    world.home("home")
    (world.place / "home" / "node.log").mkdir()
    done = world.run("home", "wallet", "balance", "--json")
    assert (done.status, "home/node.log cannot be used" in done.error["message"]) == (1, True), done
    (world.place / "home" / "node.log").rmdir()
    (world.place / "state").write_text("")
    done = world.run("home", "wallet", "balance", "--json")
    assert (done.status, "/state cannot be used" in done.error["message"]) == (1, True), done
    (world.place / "state").unlink()


def test_a_home_that_was_never_made(world: World) -> None:
    """Exit 3, naming `pylon init`; and nothing is made there."""
    for command in COMMANDS:
        if command.split()[0] in ("init", "infer", "nexus", "models", "stop"):
            continue
        done = world.run("nowhere", *command.split())
        assert done.status == 3, (command, done)
        assert "pylon init" in done.err + done.out, (command, done)
    assert not (world.place / "nowhere").exists()


def test_an_identity_is_not_overwritten(world: World) -> None:
    """The second `init` is refused (exit 2); with -f it makes another one."""
    first = world.ask("home", "init")
    again = world.run("home", "init", "--json")
    assert (again.status, again.error["code"]) == (2, "usage")
    assert world.ask("home", "wallet", "whoami")["npub"] == first["npub"]
    assert world.ask("home", "init", "-f")["npub"] != first["npub"]
    assert (world.place / "home" / "identity.json").stat().st_mode & 0o777 == 0o600


def test_an_output_that_nobody_reads(market: Market) -> None:
    """`pylon job list | head -0`: no traceback."""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        market.world.words("buyer", "job", "list"), cwd=ROOT, env=market.world.environment, stdout=write, stderr=subprocess.PIPE,
        timeout=60, check=False,
    )
    os.close(write)
    assert b"Traceback" not in done.stderr
    assert b"Exception" not in done.stderr
