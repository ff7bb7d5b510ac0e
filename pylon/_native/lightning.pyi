"""The embedded Lightning node (ldk-node over our own store). Calls that can wait release the GIL; documents are JSON in bytes.

Only `pylon.lightning` imports it. Left out by `PYLON_BUILD_LIGHTNING=0`."""

from typing import Final, final

from typing_extensions import Buffer

__version__: Final[str]

class LightningError(Exception):
    """args: (code, message). The code is one snake case word.

    `pay` did not begin where the code is `invalid`, `wrong_network`, `own_invoice`, `not_running`, `duplicate_payment` (another call
    began it, or it was paid) or `payment_sending_failed`; after every other code (`storage`, `panic`, `failed`) it may be under way.
    Opening a node: `locked` (another process has it), `newer_version`, `wrong_seed`, `wrong_network`, `stale_store`, `storage`.
    Starting: `chain_source` (away), `listen`."""

@final
class Node:
    """A Lightning node. It holds its folder (one process a folder) from its making until `stop`."""

    def __new__(
        cls,
        folder: str,
        seed: bytes,  # 64 bytes
        network: str,  # regtest, signet, testnet, bitcoin
        chain: str,  # tcp:// or ssl://host:port (Electrum), http(s)://… (Esplora), bitcoind://user:password@host:port
        *,
        listen: str | None = None,
        alias: str | None = None,
        trusted: tuple[str, str] | None = None,
        lsps2: tuple[str, str, str | None] | None = None,
        service: bool = False,
        fee_base_msat: int = 0,
        fee_ppm: int = 0,
        full_sync: bool = False,
        workers: int = 2,
        log_level: str = "info",
    ) -> Node:
        """`trusted`: (node id, host:port) of the hub: 0-conf from it, no anchor reserve towards it, always connected, and `lsps2` too.

        `lsps2`: (node id, host:port, token) of who opens channels just in time. `service`: the role of the hub. `full_sync`: a commit
        is on the disk before it counts (real money)."""
    @property
    def node_id(self) -> str: ...
    def start(self) -> None:
        """Connects to the chain and to peers. `chain_source` where the source is away; it may be called again."""
    def stop(self) -> None:
        """Stops all and lets go of the folder; `start` makes it anew. Does nothing where it is stopped."""
    def fileno(self) -> int:
        """Readable while an event waits."""
    def event(self) -> bytes | None:
        """The event that waits; the same one until `acknowledge`."""
    def acknowledge(self) -> None:
        """The event is done with, and the next one follows. After a stop before this it is told again."""
    def status(self) -> bytes:
        """{height, hash, running, last_sync: {lightning, onchain, fees}, storage_error, sync_error, panic}."""
    def connect(self, node_id: str, address: str, /) -> None: ...
    def disconnect(self, node_id: str, /) -> None: ...
    def peers(self) -> bytes: ...
    def channels(self) -> bytes: ...
    def balances(self) -> bytes:
        """A payment that goes out in a forward over an open channel shows as a claim of kind `timeout` with `outgoing_payment` false, and,
        where it is dust, in `outgoing_forward_msat` of the claim `open`."""
    def payments(self) -> bytes: ...
    def payment(self, payment_hash: Buffer, /) -> bytes | None: ...
    def forget(self, payment_hash: Buffer, /) -> None:
        """An invoice that expired, say; what comes for it later is sent back. The node keeps in memory what is not forgotten."""
    def open_channel(self, node_id: str, address: str, sats: int, push_msat: int = 0) -> str:
        """The user's id of the channel. Opens one after the other, with a `sync` before each."""
    def close_channel(self, user_id: str, node_id: str, force: bool = False) -> None: ...
    def update_channel(self, user_id: str, node_id: str) -> None:
        """Our side of a channel as the settings have it: our fee for a forward, and how much dust may be in flight. Done by itself
        when a channel becomes ready, on regtest and for a hub."""
    def invoice(self, amount_msat: int, memo: str, expires_in: int, payment_hash: Buffer | None = None, jit: bool = False) -> str:
        """With a hash: claimed by `claim` alone."""
    def pay(self, bolt11: str, max_fee_msat: int) -> None:
        """Begins to pay; an event says how it ended."""
    def claim(self, preimage: Buffer, amount_msat: int) -> None: ...
    def fail(self, payment_hash: Buffer) -> None: ...
    def address(self) -> str: ...
    def send_onchain(self, address: str, sats: int | None = None, sat_per_vbyte: int | None = None) -> str:
        """The txid. Without an amount all that is spendable."""
    def sync(self) -> None:
        """Returns after a sync of both wallets that began after this call."""
