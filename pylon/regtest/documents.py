"""What the private network says about itself. Fields may be added, never renamed."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

from pylon.regtest.chain import Chain
from pylon.regtest.hub import Hub

Document = dict[str, object]
PROTOCOL = 1
"""Of the calls. A client that knows a smaller number must not use them."""


def network(chain: Chain, hub: Hub, electrum: str) -> Document:
    """What a wallet has to know to join."""
    return {
        "network": "regtest", "protocol": PROTOCOL, "genesis": chain.genesis, "height": chain.height, "electrum": electrum,
        "hub": {"node_id": hub.node_id, "address": hub.address},
    }


async def hub_document(chain: Chain, hub: Hub) -> Document:
    """The hub: coins, channels with their place in the chain, peers."""
    height = chain.height
    channels: list[Document] = []
    for channel in await hub.node.channels():
        txid, _, vout = channel.funding.partition(":")
        where = chain.where(txid) if txid else None
        channels.append({
            "peer": channel.peer, "capacity_sat": channel.capacity_sat,
            "outbound_msat": channel.outbound_msat, "inbound_msat": channel.inbound_msat,
            "funding_txid": txid or None, "funding_vout": int(vout) if vout else None,
            "block_height": where[0] if where else None, "block_hash": where[1] if where else None,
            "confirmations": height - where[0] + 1 if where else 0, "usable": channel.usable,
        })
    peers = [{"node_id": peer.node_id, "connected": peer.connected} for peer in await hub.node.peers()]
    coins = (await hub.node.balances()).onchain_sat
    closing = [{"peer": one.peer, "funding": one.funding, "reason": one.reason} for one in hub.record.unresolved()]
    return {
        "node_id": hub.node_id, "address": hub.address, "onchain_sat": coins, "channels": channels, "closing": closing, "peers": peers,
    }


def processes() -> list[Document]:
    """The processes of the network: this one, which holds the chain, the Electrum server and the hub."""
    return [{"name": "chain, electrum server and hub", "pid": os.getpid(), "rss_bytes": resident()}]


def resident() -> int:
    """Bytes of memory that this process holds now; where the system does not say (macOS), the most that it ever held."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except FileNotFoundError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024
    return pages * os.sysconf("SC_PAGE_SIZE")
