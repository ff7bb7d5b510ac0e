"""The Cython listener for picows: frames in, whole text messages out, once per read."""

from typing import Protocol

from picows import WSFrame, WSListener, WSTransport
from typing_extensions import disjoint_base

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

@disjoint_base
class FrameListener(WSListener):
    """Joins fragments, refuses messages over `max_message` bytes (close 1009), binary ones (1003) and fragments out of order (1002)."""

    def __init__(self, sink: Sink, max_message: int, /) -> None: ...
    def on_ws_connected(self, transport: WSTransport) -> None: ...
    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None: ...
    def on_ws_disconnected(self, transport: WSTransport) -> None: ...
    def pause_writing(self) -> None: ...
    def resume_writing(self) -> None: ...
