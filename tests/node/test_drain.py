"""The end of a provider: what is being computed is answered and delivered first."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from pylon.config import BackendsConfig, Config, Home, NexusConfig, WalletConfig
from pylon.market.effects import Generate
from pylon.market.job import ProviderJob, ProviderState
from pylon.market.prompt import Prompt
from pylon.nexus.server import serve
from pylon.node.ledger import Ledger
from pylon.node.service import Service
from pylon.nostr.keys import Identity
from tests.node.stage import asks, now

SCRIPT = 'model = "scripted"\ndefault = "one two three four"\ndelay_ms = 60\n'


async def test_the_end_waits_for_what_is_being_computed(tmp_path: Path) -> None:
    """Asked to end while a paid answer is under way: it is finished and a relay has it before the node is gone."""
    relay = await serve(NexusConfig(port=0), tmp_path / "nexus")
    home = Home(tmp_path / "home")
    home.create()
    (tmp_path / "script.toml").write_text(SCRIPT, "utf-8")
    request = asks()
    job = ProviderJob(
        id=request.id, request=request, state=ProviderState.RUNNING, prompt=Prompt("What is 2+2?"), deadline=now() + 300,
        created_at=time.time(), paid_at=time.time(),
    )
    ledger = Ledger(home.ledger)
    with ledger.transaction():
        ledger.put(job, [Generate()])
    ledger.close()
    config = Config(
        relays=[relay.url], wallet=WalletConfig(backend="sim"),
        backends=BackendsConfig(use=["scripted"], script=str(tmp_path / "script.toml")),
    )
    async with asyncio.timeout(20), Service(home, config, Identity.generate(), provides=True) as service:
        service.stop()
        await service.run()
    ledger = Ledger(home.ledger, readonly=True)
    after = ledger.provider_job(job.id)
    ledger.close()
    await relay.aclose()
    assert after is not None
    assert (after.state, after.answer) == (ProviderState.DELIVERED, "one two three four")
