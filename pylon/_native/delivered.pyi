"""The table of delivered events, which the listener asks before it makes an object."""

from typing_extensions import disjoint_base

@disjoint_base
class Delivered:
    """Pairs of subscription and event id: at least the last `capacity` that were added, at most twice as many (48 bytes each).

    ValueError for a `capacity` outside 1 to 2**30, and for an id that is not 64 lower-case hexadecimal digits. MemoryError changes nothing.
    """

    def __new__(cls, capacity: int, /) -> Delivered: ...
    def __len__(self) -> int: ...
    def open(self, sub: str, /) -> int:
        """The number that stands for the subscription `sub` until it is closed; none is used twice."""
    def close(self, sub: str, /) -> None:
        """End a subscription: nothing of that name repeats anything until it is opened again."""
    def add(self, scope: int, event_id: str, /) -> None:
        """Note an event that was verified and delivered. Never one whose id was only read in a frame."""
    def holds(self, scope: int, event_id: str, /) -> bool: ...
    def repeats(self, text: bytes, /) -> bool:
        """Whether `text` is an EVENT for an open subscription that claims the id of a delivered event, as far as plain sight goes.

        Plain sight: `["EVENT","sub",{`, with a name without escapes, and behind it `"id":"` with 64 lower-case hexadecimal digits. The
        event of a frame that passes the check is the delivered one, if this is true. False proves nothing.
        """
