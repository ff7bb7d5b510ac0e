"""A swarm for recursive queries: a relay, scripted providers that share one log, and a funded buyer without a model of its own."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tests.e2e.world import Document, Done, World, number

FUNDS = 100_000_000
"""What the buyer has (msat)."""
SAYS = "- the part says that {name} has read it"


class Books(msgspec.Struct, frozen=True):
    """All the money there is: what the buyer can spend, what each provider has earned, and how many payments there were."""

    buyer: int
    earned: tuple[int, ...]
    payments: int


class Swarm:
    """The providers are called `p0`, `p1`, …, the buyer `buyer`. `more` is added to each provider's config.toml, `script` to its script."""

    def __init__(self, world: World, size: int, *, slots: int = 4, more: str | list[str] = "", script: str = "") -> None:
        self.world = world
        self.names = [f"p{number}" for number in range(size)]
        self.slots = slots
        self.log = world.place / "all-runs.log"
        _, self.relay = world.nexus()
        self.keys: dict[str, str] = {}
        for index, name in enumerate(self.names):
            config = more if isinstance(more, str) else more[index]
            self.keys[name] = str(world.home(name, self.relay, more=config, script=self._script(name, script))["pubkey"])
            self.say(name, script)
        self.providers = {name: world.start(name, "start", "-f", "-m", "provider") for name in self.names}
        self.buyer("buyer")
        for running in self.providers.values():
            running.line("Ready")

    def _script(self, name: str, script: str) -> str:
        said = "" if "default" in script else f'default = "{SAYS.format(name=name)}"\n'
        return f"slots = {self.slots}\n{said}{script}"

    def say(self, name: str, script: str = "") -> None:
        """What a provider answers from now on; without words of its own, a point."""
        text = f'log = "{self.log}"\n{self._script(name, script)}'
        (self.world.place / name / "script.toml").write_text(text, "utf-8")

    def buyer(self, name: str, *, script: str = "", relay: str = "", sats: int = FUNDS // 1000) -> str:
        """A funded home; with a `script` it has a model of its own."""
        none = "" if script else "[backends]\nuse = []\n"
        self.world.home(name, relay or self.relay, sats=sats, more=none, script=script)
        return name

    def document(self, name: str, pieces: int, *, size: int = 256) -> str:
        """A file that is cut into exactly so many pieces of `size` bytes (`--chunk-size`)."""
        lines = [f"Line {line:07} of the document {'x' * (size - 32)}." for line in range(pieces)]
        text = "".join(f"{line[:size - 2]}\n\n" for line in lines)
        path = self.world.place / name
        path.write_text(text, "utf-8")
        return str(path)

    def rlm(self, *words: str, buyer: str = "buyer") -> Done:
        """`pylon rlm …`."""
        return self.world.run(buyer, "rlm", *words)

    def books(self, buyer: str = "buyer") -> Books:
        """The money as it is now."""
        world = self.world
        earned = tuple(world.earned(name)[0] for name in self.names)
        return Books(world.spendable(buyer), earned, len(world.payments(buyer)))

    def spent(self, before: Books, document: Document, buyer: str = "buyer") -> int:
        """What a run cost (msat): the same by its own word, by the wallet and by what the providers earned; within its budget."""
        after = self.books(buyer)
        spent = number(document, "spent_msat")
        assert spent == before.buyer - after.buyer == sum(after.earned) - sum(before.earned)
        assert 0 <= spent <= number(document, "budget_msat")
        return spent

    def started(self) -> int:
        """How many answers the providers have begun so far."""
        return sum(line.startswith("start") for line in self._lines())

    def peak(self, *, skip: int = 0) -> int:
        """The most answers that were under way at once, over all providers, since line `skip` of the log."""
        peak = now = 0
        for line in self._lines()[skip:]:
            now += 1 if line.startswith("start") else -1
            peak = max(peak, now)
        return peak

    def lines(self) -> int:
        """Lines of the log so far."""
        return len(self._lines())

    def _lines(self) -> list[str]:
        return self.log.read_text("utf-8").splitlines() if self.log.exists() else []


def coverage(document: Document) -> tuple[int, int]:
    """Pieces that were answered, and pieces."""
    found = msgspec.convert(document["coverage"], dict[str, int])
    return found["answered"], found["pieces"]


def shares(document: Document) -> dict[str, int]:
    """How many pieces each provider answered, by key."""
    rows = msgspec.convert(document["providers"], list[dict[str, str | int]])
    return {str(row["provider"]): int(row["pieces"]) for row in rows}


def lacking(document: Document) -> list[tuple[int, str]]:
    """The pieces without an answer, each with its reason."""
    rows = msgspec.convert(document["lacking"], list[dict[str, str | int]])
    return [(int(row["piece"]), str(row["reason"])) for row in rows]


def write(path: Path, data: bytes) -> str:
    """A file, by its name."""
    path.write_bytes(data)
    return str(path)
