"""BIP-340 in batches. The unit of work is one signature."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import coincurve
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benches.abba import Ratio, Side, fitting, ratio
from benches.conftest import Against, Judge
from benches.inputs import ALICE, AUX, SECRET, Signatures, sha, signatures
from pylon import _native

DISTINCT = 10_000
"""More keys than any batch has signatures."""
BATCHES = {
    (256, DISTINCT): (0.58, 0.50), (256, 10): (0.27, 0.23), (256, 1): (0.24, 0.20),
    (1000, DISTINCT): (0.53, 0.48), (1000, 10): (0.21, 0.18), (1000, 1): (0.21, 0.18),
    (16, DISTINCT): (0.88, 0.75), (64, DISTINCT): (0.73, 0.62),
}
"""Signatures and keys of a batch: gate and goal."""


def singles(batch: Signatures) -> Callable[[], bytes]:
    """The reference of batches: our own verification, a call for each signature."""
    split = batch.split()
    return lambda: bytes([_native.verify(*one) for one in split])


@pytest.mark.parametrize(("count", "keys"), BATCHES)
def test_batch(against: Against, count: int, keys: int) -> None:
    """A batch in which everything holds."""
    gate, goal = BATCHES[count, keys]
    batch = signatures(count, keys)
    name = {DISTINCT: "distinct keys", 1: "one key"}.get(keys, f"{keys} keys")
    against(
        f"verify, batch of {count}, {name}", partial(_native.verify_batch, *batch), "own single verify", singles(batch),
        units=(count, count), gate=gate, goal=goal,
    )


def test_batch_with_a_bad_member(against: Against) -> None:
    """A batch that fails, and names the one that does not hold."""
    good = signatures(256, DISTINCT)
    broken = bytearray(good.signatures)
    broken[64 * 100 + 40] ^= 1
    batch = good._replace(signatures=bytes(broken))
    assert _native.verify_batch(*batch) == bytes([1] * 100 + [0] + [1] * 155)
    against(
        "verify, batch of 256, one bad", partial(_native.verify_batch, *batch), "own single verify", singles(batch),
        units=(256, 256), gate=1.6, goal=1.3,
    )


def test_two_threads(benchmark: BenchmarkFixture, judge: Judge) -> None:
    """Batches of 256 in two threads at once, beside one: the time by the clock on the wall, since two cores are used."""
    batch = signatures(256, DISTINCT)

    def work() -> None:
        for _ in range(4):
            assert all(_native.verify_batch(*batch))

    with ThreadPoolExecutor(2) as pool:

        def spend(threads: int) -> int:
            start = time.perf_counter_ns()
            for done in [pool.submit(work) for _ in range(threads)]:
                done.result()
            return time.perf_counter_ns() - start

        def measure(times: int) -> Ratio:
            two, one = Side(lambda: spend(2), 2 * 4 * 256), Side(lambda: spend(1), 4 * 256)
            return ratio(two, one, times * fitting(two, one, 3.0))

        benchmark(work)
        judge("verify, two threads (time of the wall)", "one thread", measure, goal=round(1 / 1.8, 3))


def test_sign_and_check_in_batches(against: Against) -> None:
    """256 signatures, verified at once before any leaves."""
    single = coincurve.PrivateKey(SECRET)
    messages = [sha(f"to sign {number}") for number in range(256)]
    keys, joined = ALICE.pubkey * len(messages), b"".join(messages)

    def ours() -> list[bytes]:
        made = [ALICE.sign(message, AUX) for message in messages]
        if not all(_native.verify_batch(keys, b"".join(made), joined)):
            raise ValueError("a signature of our own does not hold")
        return made

    against(
        "sign, self-check in batches of 256", ours,
        "coincurve sign_schnorr", lambda: [single.sign_schnorr(message, AUX) for message in messages],
        units=(len(messages), len(messages)), gate=0.45, goal=0.40,
    )
