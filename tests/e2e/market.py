"""A market that many short tests share: a relay, a scripted provider, a funded buyer."""

from __future__ import annotations

from tests.e2e.world import Document, Done, World, number

SCRIPT = """
context = 200
default = "It is 4."
[[reply]]
when = "slowly"
text = "one two three four five six seven eight nine ten"
delay_ms = 100
[[reply]]
when = "hang"
text = "one two three"
after = 1
fail = "hang"
"""


class Market:
    """The homes are called `provider` and `buyer`."""

    def __init__(self, world: World) -> None:
        self.world = world
        try:
            self.relay_process, self.relay = world.nexus()
            self.seller = world.home("provider", self.relay, script=SCRIPT)
            self.buyer = world.home("buyer", self.relay, sats=1000)
            self.provider = world.provider("provider")
        except BaseException:
            world.close()
            raise

    @property
    def npub(self) -> str:
        """The provider, as people write it."""
        return str(self.seller["npub"])

    def submit(self, *words: str, stdin: bytes | None = None) -> Done:
        """`pylon job submit … --json`, by the buyer."""
        return self.world.run("buyer", "job", "submit", *words, "--json", stdin=stdin)

    def bought(self, *words: str) -> Document:
        """A job that must end well."""
        done = self.submit(*words, "--auto-pay")
        assert done.status == 0, done
        return done.document

    def books(self) -> tuple[int, int, tuple[int, int], int]:
        """What may not change where nothing is paid: both wallets, the earnings, the number of payments."""
        world = self.world
        return world.spendable("buyer"), world.spendable("provider"), world.earned("provider"), len(world.payments("buyer"))


def holds_together(world: World, job: Document, before: int) -> None:
    """One job's money: what was paid is what was earned, and what the wallet lost."""
    assert number(job, "amount_msat") == world.earned("provider")[0]
    assert before - world.spendable("buyer") == number(job, "amount_msat") + number(job, "fee_msat")
