"""The id that a frame claims, and the table of delivered events, which the listener asks before it makes an object."""

from typing_extensions import disjoint_base

def peek_id(text: bytes, /) -> str | None:
    """The id (64 hex) that an EVENT message claims, found without parsing; None where there is none in plain sight.

    A hint, to be used for one thing: to drop a message whose id was *already verified and delivered* for its subscription, before the cost
    of parsing and verifying it again. It proves nothing. A message can claim the id of another event, so an id that was only peeked must
    never be noted as seen. Dropping by it is safe: inside a JSON string a quotation mark is always escaped, so `"id":` can stand in a
    message only where a key ends, and no other key of an event ends so; what has that key twice or deeper, or one that ends in `\\"id`, is
    refused by the check. So for every message that the check would accept, the answer is the event's own id, or None (a key or a value
    written with escapes).
    """

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
    def add(self, scope: int, event_id: str, /) -> bool:
        """Note an event that was verified and is delivered; never one whose id was only read in a frame. False where that was known."""
    def holds(self, scope: int, event_id: str, /) -> bool: ...
    def repeats(self, text: bytes, /) -> bool:
        """Whether `text` is an EVENT for an open subscription that claims the id of a delivered event, as far as plain sight goes.

        Plain sight: `["EVENT","sub",{` without white space, with a name without escapes, and an id as `peek_id` finds it. If this is true,
        the event of a message that passes the check is the delivered one. False proves nothing.
        """
