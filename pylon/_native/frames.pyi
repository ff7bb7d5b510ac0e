"""The Cython listener for picows: frames in, whole text messages out, once per read; and frames of a server, ready to be written."""

from typing import Protocol, overload

from picows import WSFrame, WSListener, WSTransport
from typing_extensions import disjoint_base

from pylon._native.delivered import Delivered

class Sink(Protocol):
    """Who receives what a connection says. All calls come on the loop's thread."""

    def connected(self, transport: WSTransport, /) -> None: ...
    def messages(self, texts: list[bytes], /) -> None:
        """Whole text messages of one read, in order (continuation frames joined). Whoever decodes them checks that they are UTF-8."""
    def closed(self, code: int | None, reason: str, /) -> None:
        """Called once when the connection has ended, with the peer's close code where it sent one."""
    def paused(self, /) -> None:
        """The write buffer is over its high-water mark."""
    def resumed(self, /) -> None: ...

class Repeats(Sink, Protocol):
    """Who is told also of what a table of delivered events kept back."""

    def repeated(self, ids: bytes, /) -> None:
        """The ids (32 bytes each, in order) of the EVENT messages that were dropped since the last call, before `messages` of that read."""

@disjoint_base
class FrameListener(WSListener):
    """Joins fragments, refuses messages over `max_message` bytes (close 1009), binary ones (1003) and fragments out of order (1002).

    With `delivered`, a message for which `delivered.repeats` is true is dropped before any object is made of it.
    """

    @overload
    def __init__(self, sink: Sink, max_message: int, /) -> None: ...
    @overload
    def __init__(self, sink: Repeats, max_message: int, delivered: Delivered, /) -> None: ...
    @property
    def repeated(self) -> int:
        """How many messages were dropped as repetitions."""
    def on_ws_connected(self, transport: WSTransport) -> None: ...
    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None: ...
    def on_ws_disconnected(self, transport: WSTransport) -> None: ...
    def pause_writing(self) -> None: ...
    def resume_writing(self) -> None: ...

def server_frame(text: bytes, /) -> bytes:
    """`text` as one websocket frame of a server."""

def event_frame(head: bytes, event: bytes, /) -> bytes:
    """`["EVENT", sub, event]` as one websocket frame of a server; `head` is all that stands before the JSON text `event`."""
