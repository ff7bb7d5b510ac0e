"""What the Rust extension offers. Bytes in, bytes out; every length is checked; wrong lengths raise ValueError."""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol, final

from typing_extensions import Buffer

__version__: Final[str]
BUILD_PROFILE: Final[str]

OK: Final[int]
SYNTAX: Final[int]
BAD_ID: Final[int]
BAD_SIGNATURE: Final[int]
BAD_UTF8: Final[int]
DUPLICATE: Final[int]
UNWANTED: Final[int]

def event_id(pubkey: str, created_at: int, kind: int, tags: Sequence[Sequence[str]], content: str, /) -> bytes:
    """NIP-01 id, 32 bytes. ValueError on a kind over 65535, a negative time, a lone surrogate."""

@final
class VerifiedEvent:
    """An event whose form, id and signature hold (NIP-01). Only `check_events`, `Signer.sign_event` and `load_event` make one.

    It keeps the text that it came in; a field becomes a Python value when it is asked for, and stays. Equal are two events with the same
    id and the same signature."""

    @property
    def id(self) -> str:
        """64 lower-case hex characters."""
    @property
    def pubkey(self) -> str:
        """The x-only key of its author, 64 lower-case hex characters."""
    @property
    def created_at(self) -> int:
        """Unix seconds."""
    @property
    def kind(self) -> int: ...
    @property
    def tags(self) -> tuple[tuple[str, ...], ...]: ...
    @property
    def content(self) -> str: ...
    @property
    def sig(self) -> str:
        """128 lower-case hex characters."""
    @property
    def raw(self) -> bytes:
        """Its JSON object, as it came or as we wrote it."""
    def first(self, name: str, /) -> tuple[str, ...] | None:
        """The first tag called `name`, or None."""
    def values(self, name: str, /) -> tuple[str, ...]:
        """The second element of every tag called `name` that has one."""
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

def check_events(
    events: list[bytes],
    seen: Seen | None = None,
    scopes: Sequence[int | None] | None = None,
    wanted: Sequence[FilterIndex | None] | None = None,
    /,
) -> list[VerifiedEvent | int]:
    """Each JSON event object or `EVENT` message, in order: the event, or the code of what is wrong with it.

    Form (exactly the seven fields, once each), id and signature, in one pass without the GIL. `seen` spares signatures that were verified
    before. `scopes` and `wanted` (one for each event, with `seen`): an event comes out once for a scope, its copies as DUPLICATE, and
    what the index does not match as UNWANTED, whatever its signature."""

def check_codes(events: list[bytes], signatures: bool = True, /) -> bytes:
    """One code for each JSON event object or `EVENT` message, and no objects. Runs without the GIL."""

def load_event(raw: bytes, /) -> VerifiedEvent:
    """An event that was verified before and kept by ourselves: its form is checked, nothing else. ValueError where that fails."""

class Wanted(Protocol):
    """What an index reads of a filter, `pylon.nostr.filter.Filter`."""

    @property
    def ids(self) -> Sequence[str] | None: ...
    @property
    def authors(self) -> Sequence[str] | None: ...
    @property
    def kinds(self) -> Sequence[int] | None: ...
    @property
    def tags(self) -> Mapping[str, Sequence[str]]: ...
    @property
    def since(self) -> int | None: ...
    @property
    def until(self) -> int | None: ...

@final
class FilterIndex:
    """Which of many filters match an event (NIP-01), at the cost of those that could.

    Keys are chosen by the caller, 0 to 2^63-1, and several filters may have the same. Several threads may use an index at once; one that
    changes it waits for those that ask, for one event at most."""

    def __new__(cls) -> FilterIndex: ...
    def add(self, key: int, wanted: Wanted, /) -> None:
        """Add a filter to those of `key`. ValueError for what `decode_filter` would refuse: an id that is no hex, a kind over 65535."""
    def remove(self, key: int, /) -> None:
        """Remove all filters of `key`, if there are any. It takes as long as they are large."""
    def match(self, event: VerifiedEvent, /) -> list[int]:
        """The keys of which a filter matches, each once, ascending. `Filter.matches` says what a match is."""
    def match_many(self, events: list[VerifiedEvent], /) -> list[list[int]]:
        """`match` of each event."""
    def __len__(self) -> int:
        """How many filters there are."""

def verify(pubkey: bytes, signature: bytes, message: bytes, /) -> bool:
    """BIP-340: x-only key (32), signature (64), message of any length."""

def verify_batch(pubkeys: bytes, signatures: bytes, messages: bytes, /) -> bytes:
    """BIP-340 for n keys (32 bytes each), signatures (64) and messages (32), one after the other: n bytes, 1 for a right one, else 0.

    Runs without the GIL. A few are checked one by one; more at once, the more of one key the faster, and one by one only if that fails."""

def public_key(secret: bytes, /) -> bytes:
    """The compressed public key (33 bytes) of a secret key (32 bytes). ValueError outside 1..n-1."""

def bip32_derive(seed: bytes, path: str, /) -> bytes:
    """The private key (32 bytes) at `path` such as m/44'/1237'/0'/0/0, from a BIP-39 seed (64 bytes) (BIP-32)."""

@final
class Signer:
    """A BIP-340 signer with its own blinded context. `secret` is 32 bytes; ValueError outside 1..n-1."""

    def __new__(cls, secret: bytes, /) -> Signer: ...
    @property
    def pubkey(self) -> bytes: ...
    def sign(self, message: bytes, aux: bytes | None = None, check: bool = False, /) -> bytes:
        """64 bytes; `aux` is the auxiliary randomness of BIP-340 (32 bytes), fresh from the system when None.

        With `check` it is verified before it leaves; ValueError where it does not hold."""
    def sign_event(
        self,
        created_at: int,
        kind: int,
        tags: Sequence[Sequence[str]],
        content: str,
        aux: bytes | None = None,
        check: bool = False,
        /,
    ) -> VerifiedEvent:
        """A signed event, its JSON made beside. ValueError for a field outside what NIP-01 allows, as `event_id`."""

@final
class Seen:
    """What was verified (whole id and whole signature) and what was delivered (a scope and a whole id), in room taken at once.

    Of either at least the last `capacity` entries and at most twice as many are remembered, in some 300 bytes for each of `capacity`;
    ValueError outside 1 to 2^24. `check_events` asks and fills it; several threads may.
    """

    def __new__(cls, capacity: int, /) -> Seen: ...
    @property
    def verified(self) -> int:
        """How many verified events are remembered."""
    @property
    def delivered(self) -> int:
        """How many deliveries are remembered."""

def nip44_conversation_key(secret: bytes, pubkey: bytes, /) -> bytes:
    """NIP-44 v2: 32 bytes from our secret key and their x-only public key. ValueError for a key that is not on the curve."""

def nip44_encrypt(conversation_key: bytes, plaintext: bytes, nonce: bytes | None = None, /) -> str:
    """NIP-44 v2 payload (base64). Plaintext of 1 byte up to 2^32-1; `nonce` (32) is random when None; ValueError when empty."""

def nip44_decrypt(conversation_key: bytes, payload: str, /) -> bytes:
    """The plaintext. Every failure is a ValueError with the one message `cannot decrypt`."""

@final
class Bolt11:
    """A decoded BOLT11 invoice whose signature, checksum, features and amount obey the specification."""

    @property
    def currency(self) -> str:
        """`bc`, `tb`, `tbs`, `bcrt`, `sb`."""
    @property
    def amount_msat(self) -> int | None: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def expiry(self) -> int:
        """Seconds after `timestamp`."""
    @property
    def payment_hash(self) -> bytes: ...
    @property
    def payment_secret(self) -> bytes | None: ...
    @property
    def payee(self) -> bytes:
        """The node's compressed public key (33 bytes), given or recovered from the signature."""
    @property
    def description(self) -> str | None: ...
    @property
    def description_hash(self) -> bytes | None: ...
    @property
    def min_final_cltv_expiry(self) -> int: ...
    @property
    def fallback_addresses(self) -> list[str]: ...
    @property
    def route_hints(self) -> int:
        """How many private routes the invoice names."""

def bolt11_decode(invoice: str, /) -> Bolt11:
    """Strict BOLT11. ValueError with one sentence for anything that the specification forbids."""

def bolt11_encode(
    secret: bytes,
    currency: str,
    amount_msat: int | None,
    payment_hash: bytes,
    payment_secret: bytes,
    description: str,
    timestamp: int,
    expiry: int,
    min_final_cltv_expiry: int,
    /,
) -> str:
    """An invoice signed by `secret` (the node key of the payee)."""

def seal(key: bytes, nonce: bytes, plaintext: bytes, aad: bytes, /) -> bytes:
    """XChaCha20-Poly1305: key 32, nonce 24; the tag (16) stands at the end."""

def unseal(key: bytes, nonce: bytes, ciphertext: bytes, aad: bytes, /) -> bytes:
    """The plaintext. Every failure is a ValueError with the one message `cannot decrypt`."""

def chunk_spans(text: Buffer, max_bytes: int, content_defined: bool = False, /) -> list[tuple[int, int]]:
    """Spans (start, end) in bytes that follow each other without a gap, none longer than `max_bytes`. ValueError below 64.

    Each ends at the best boundary in the window before its bound (a quarter of it: 256 bytes at least, or half of a small bound, and 2048
    at most), the last of the best: before a heading (`#` to `######`; of several in a row, the first), after an empty line (one before
    something at column 0 first), before a fence that names a language or a line that begins a definition at column 0, after a line, after
    a sentence, after a space; else before the grapheme that does not fit any more (UAX #29), and inside one only if it is longer than
    `max_bytes`. Linear.

    With `content_defined` the text is cut first at places that outrank all others within a quarter of the bound, by their kind and then by
    a hash of what surrounds them: an edit changes only the spans around it. They are longer than a quarter, and half the bound on average.

    Any buffer in one piece is read in place: of a mapped file, only the windows are. A read-only one is read without the GIL. Bytes that
    are no UTF-8 are no error: each is a character of its own."""

def is_utf8(text: Buffer, /) -> bool:
    """Whether all bytes of a buffer are UTF-8."""
