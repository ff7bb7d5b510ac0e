"""Where things are and what the operator wants: the home, the shared state folder, and config.toml.

A home belongs to one identity (`PYLON_HOME`, default `~/.pylon`). What all homes of one user share (the simulated bank, the record of
the embedded engine, the local relay) stands in `PYLON_STATE_DIR` (default `~/.local/state/pylon`).
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import tomllib
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from pylon.errors import ConfigError, NotSetUp
from pylon.units import MAX_MSAT

LOCAL_RELAY = "ws://127.0.0.1:7700"
"""The relay of the default configuration: a Nexus that the node starts itself when nobody listens there."""

SOCKET_PATH_LIMIT = 100
"""Bytes. A Unix socket's path may have about 108 (Linux) or 104 (macOS); longer ones get a hashed name elsewhere."""


class Home:
    """The files of one identity."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.toml"
        self.identity = path / "identity.json"
        self.ledger = path / "ledger.sqlite3"
        self.lock = path / "node.lock"
        self.pid = path / "node.pid"
        self.log = path / "node.log"
        self.control = short_socket(path / "control.sock")

    @classmethod
    def find(cls, given: str | None = None) -> Home:
        """The home named on the command line, by PYLON_HOME, or `~/.pylon`."""
        return cls(Path(given or os.environ.get("PYLON_HOME") or "~/.pylon").expanduser().absolute())

    def create(self) -> None:
        """Make the folder, readable by its owner alone. Raises NotSetUp where that cannot be."""
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            hint = "choose another with --home or PYLON_HOME"
            raise NotSetUp(f"the home {self.path} cannot be made: {error.strerror}", hint=hint) from error


def short_socket(path: Path) -> Path:
    """`path`, or a hashed name in the runtime directory where it is too long for a socket."""
    if len(os.fsencode(path)) <= SOCKET_PATH_LIMIT:
        return path
    runtime = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    return Path(runtime) / f"pylon-{os.getuid()}-{hashlib.sha256(os.fsencode(path)).hexdigest()[:32]}.sock"


def state_dir() -> Path:
    """What all homes of this user share. Made when missing."""
    base = os.environ.get("PYLON_STATE_DIR") or Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state") / "pylon"
    path = Path(base).expanduser().absolute()
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def models_dir() -> Path:
    """Where pulled models are kept: a cache, so that deleting it loses nothing."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser().absolute() / "pylon" / "models"


class ProviderConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What this node sells and for how much (msat)."""

    min_price_msats: int = 1000
    price_per_1k_msats: int = 0
    require_payment: bool = True
    slots: int = 0
    """Jobs computed at a time; 0 means as many as the backend has slots."""
    queue: int = 64
    default_model: str = ""
    name: str = "Pylon"


class LimitsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What may be spent, in sats with the fees counted; 0 is no limit."""

    per_job_sats: int = 0
    per_peer_sats: int = 0
    """To one provider, or one node, within 24 hours."""
    per_day_sats: int = 0
    """In all, within 24 hours."""
    total_sats: int = 0
    """In all, ever, on this network."""
    allow: list[str] = msgspec.field(default_factory=list)
    """Providers (npub or hex) and nodes (hex) that may be paid; empty: all."""
    failures: int = 5
    """So many payments in a row that fail within an hour stop paying for `cool_down` seconds; 0: never."""
    cool_down: int = 600


class WalletConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which wallet; empty means the best one built in. The last four are for the embedded Lightning node."""

    backend: str = ""
    max_fee_msats: int = 5000
    chain: str = ""
    """Where blocks come from: ssl:// or tcp:// (Electrum), http(s):// (Esplora), bitcoind://user:password@host:port. Unset on regtest: the
    private network of this computer."""
    lsp: str = ""
    """`node_id@host:port` of a provider of inbound room (LSPS2); unset on regtest: the hub of the private network."""
    lsp_token: str = ""
    channels: int = 1
    """How many channels to the hub are kept; each carries about 25 payments at a time."""
    limits: LimitsConfig = msgspec.field(default_factory=LimitsConfig)


class BackendsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which engines are looked for, and servers at other addresses."""

    use: list[str] = msgspec.field(default_factory=lambda: ["llama-server", "ollama", "embedded"])
    urls: list[str] = msgspec.field(default_factory=list)
    script: str = ""
    """The replies of the scripted backend (a TOML file), used only where `use` names `scripted`."""


class NexusConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The relay of `pylon nexus`."""

    host: str = "127.0.0.1"
    port: int = 7700
    urls: list[str] = msgspec.field(default_factory=list)
    """Names under which clients reach this relay (wss://…): accepted in the relay tag of NIP-42."""
    name: str = "Nexus"
    max_message_bytes: int = 1_048_576


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """config.toml as values."""

    relays: list[str] = msgspec.field(default_factory=lambda: [LOCAL_RELAY])
    network: str = "regtest"
    recheck_signatures: bool = True
    """Verify every event of ours once more before it is published (BIP-340 recommends it), many at once."""
    provider: ProviderConfig = msgspec.field(default_factory=ProviderConfig)
    wallet: WalletConfig = msgspec.field(default_factory=WalletConfig)
    backends: BackendsConfig = msgspec.field(default_factory=BackendsConfig)
    nexus: NexusConfig = msgspec.field(default_factory=NexusConfig)


MOST_CHANNELS = 20
MOST_SECONDS = 86_400
NETWORKS = ("regtest", "signet", "testnet", "mainnet")
CURRENCY = {"regtest": "bcrt", "signet": "tbs", "testnet": "tb", "mainnet": "bc"}
"""BOLT11 prefixes after `ln`."""


def load(path: Path) -> Config:
    """Read config.toml; a missing file means the defaults. Raises ConfigError naming the line and the key."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return Config()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        where = str(error).replace("(at end of document)", f"(at line {len(text.splitlines())}, the end of the document)")
        raise ConfigError(f"{path} is not TOML: {where}", hint="mend that line") from error
    try:
        config = msgspec.convert(table, Config)
    except msgspec.ValidationError as error:
        raise _explain(path, text, str(error)) from error
    _check(path, text, config)
    return config


def _check(path: Path, text: str, config: Config) -> None:
    """Values that have the right type and are still wrong."""

    def wrong(key: str, why: str) -> ConfigError:
        return ConfigError(f"{path}, line {_line_of(text, key)}: `{key}` {why}")

    if config.network not in NETWORKS:
        raise wrong("network", f"must be one of {', '.join(NETWORKS)}, not {config.network!r}")
    for url in config.relays:
        if not _names_relay(url):
            raise wrong("relays", f"holds {url!r}, which is not a ws:// or wss:// address")
    for key in ("min_price_msats", "price_per_1k_msats", "slots", "queue"):
        if not 0 <= getattr(config.provider, key) <= MAX_MSAT:
            raise wrong(f"provider.{key}", f"must be from 0 to {MAX_MSAT}")
    if not 0 <= config.wallet.max_fee_msats <= MAX_MSAT:
        raise wrong("wallet.max_fee_msats", f"must be from 0 to {MAX_MSAT}")
    if not 1 <= config.wallet.channels <= MOST_CHANNELS:
        raise wrong("wallet.channels", f"must be from 1 to {MOST_CHANNELS}")
    if config.wallet.chain and not re.match(r"(ssl|tcp|https?|bitcoind)://[^\s/]", config.wallet.chain):
        raise wrong("wallet.chain", "must begin with ssl://, tcp://, https://, http:// or bitcoind:// and name a host")
    if config.wallet.lsp and not re.fullmatch(r"0[23][0-9a-f]{64}@\S+:\d{1,5}", config.wallet.lsp):
        raise wrong("wallet.lsp", "must be node_id@host:port with the 66 hex characters of the node's key")
    _check_limits(config.wallet.limits, config.network == "mainnet", wrong)
    if not 0 <= config.nexus.port <= 65535:
        raise wrong("nexus.port", "must be a port from 0 to 65535")


def _check_limits(limits: LimitsConfig, real: bool, wrong: Callable[[str, str], ConfigError]) -> None:
    for key in ("per_job_sats", "per_peer_sats", "per_day_sats", "total_sats"):
        if not 0 <= getattr(limits, key) <= MAX_MSAT // 1000:
            raise wrong(f"wallet.limits.{key}", f"must be from 0 to {MAX_MSAT // 1000}")
    for key in ("failures", "cool_down"):
        if not 0 <= getattr(limits, key) <= MOST_SECONDS:
            raise wrong(f"wallet.limits.{key}", f"must be from 0 to {MOST_SECONDS}")
    for peer in limits.allow:
        if not re.fullmatch(r"npub1[02-9ac-hj-np-z]{58}|[0-9a-fA-F]{64}|0[23][0-9a-fA-F]{64}", peer):
            raise wrong("wallet.limits.allow", f"holds {peer!r}, which is neither an npub nor a key in hex")
    if real and not (limits.per_job_sats and limits.per_day_sats):
        raise wrong(
            "wallet.limits", "must set per_job_sats and per_day_sats on mainnet: paying real money is beta, lose no more than you choose to"
        )


def _names_relay(url: str) -> bool:
    """Whether `url` can be a relay's address: ws:// or wss://, a host, a port that exists (`nostr.relay_url` has the whole rule)."""
    try:
        parts = urlsplit(url)
        named = bool(parts.hostname) and parts.port != 0 and "@" not in parts.netloc
        return parts.scheme in ("ws", "wss") and named and not re.search(r"\s", url)
    except ValueError:  # a port over 65535, half an IPv6 address
        return False


def _explain(path: Path, text: str, error: str) -> ConfigError:
    """Turn msgspec's sentence into one that names the line."""
    where = re.search(r"at `\$\.?([^`]*)`", error)
    prefix = re.sub(r"\[[^\]]*\]", "", where.group(1)) if where else ""
    unknown = re.search(r"unknown field `([^`]*)`", error)
    if unknown:
        key = f"{prefix}.{unknown.group(1)}".lstrip(".")
        line = _line_of(text, key)
        return ConfigError(f"{path}, line {line}: there is no setting `{key}`", hint="check the spelling, or delete the line")
    return ConfigError(f"{path}, line {_line_of(text, prefix)}: `{prefix}` is wrong: {error.split(' - at ')[0].lower()}")


def _line_of(text: str, dotted: str) -> int:
    """The line that sets `dotted` (`provider.queue`), or its table's, or 1."""
    *tables, key = dotted.split(".")
    table, wanted, fallback = "", ".".join(tables), 1
    for number, line in enumerate(text.splitlines(), 1):
        if head := re.match(r"\s*\[+\s*([^\]]+?)\s*\]+", line):
            table = head.group(1).replace('"', "").replace(" ", "")
            if table in (wanted, dotted):
                fallback = number
            if table == dotted:
                return number
        elif (table == wanted and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=", line)) or (
            not table and re.match(rf"\s*{re.escape(dotted)}\s*=", line)
        ):
            return number
    return fallback
