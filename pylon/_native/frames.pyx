# cython: language_level=3, boundscheck=False, wraparound=False
"""The Cython listener for picows: frames in, whole text messages out, once per read (RFC 6455); and frames of a server, ready to be written.

Given a table of delivered events, the listener drops an EVENT that repeats one before any object is made of it: its id is read in the buffer
of the socket. It is compiled against the struct layout of one version of picows, which frames.pyi and pyproject.toml name too.
"""

import asyncio
import logging

import picows
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t
from libc.string cimport memcpy
from picows.picows cimport WSCloseCode, WSCloseInfo, WSFrame, WSListener, WSMsgType, WSTransport

from pylon._native.delivered cimport Delivered

if picows.__version__ != "2.3.1":
    raise ImportError(
        f"Pylon's websocket listener is compiled for picows 2.3.1, but picows {picows.__version__} is installed; "
        "run `pip install picows==2.3.1`"
    )

cdef object log = logging.getLogger("pylon.frames")
# How long the peer has to answer our CLOSE before the connection is cut, in seconds.
cdef double CLOSE_TIMEOUT = 5.0

cdef enum:
    ID = 32  # bytes
    REPEATS = 64  # ids of dropped events that are told together
    FIN_TEXT = 0x81  # FIN and the opcode of a text frame (RFC 6455 5.2)


cdef class FrameListener(WSListener):
    cdef:
        object sink
        object loop
        object flush_handle
        object close_handle
        WSTransport transport
        list texts
        bytearray partial
        Py_ssize_t max_message
        bint closing
        bint ended
        str why
        Delivered delivered
        readonly unsigned long long repeated
        int untold
        uint8_t[REPEATS * ID] repeats

    def __init__(self, sink, Py_ssize_t max_message, Delivered delivered=None, /):
        if max_message < 1:
            raise ValueError("max_message is 1 at least")
        self.sink = sink
        self.loop = None
        self.flush_handle = None
        self.close_handle = None
        self.transport = None
        self.texts = []
        self.partial = None
        self.max_message = max_message
        self.closing = False
        self.ended = False
        self.why = ""
        self.delivered = delivered
        self.repeated = 0
        self.untold = 0

    cpdef on_ws_connected(self, WSTransport transport):
        self.transport = transport
        self.loop = asyncio.get_running_loop()
        try:
            self.sink.connected(transport)
        except Exception:
            self._sink_failed()

    cpdef on_ws_frame(self, WSTransport transport, WSFrame frame):
        cdef WSMsgType kind = frame.msg_type
        if kind == WSMsgType.CLOSE:
            self._close_received(transport)
            return
        if self.closing:
            return  # nothing that comes after our CLOSE is wanted
        if frame.rsv1 or frame.rsv2 or frame.rsv3:
            self._refuse(WSCloseCode.PROTOCOL_ERROR, "a reserved bit is set")  # RFC 6455 5.2: no extension was negotiated
        elif kind == WSMsgType.TEXT:
            self._text(frame)
        elif kind == WSMsgType.CONTINUATION:
            self._continuation(frame)
        elif kind == WSMsgType.BINARY:
            self._refuse(WSCloseCode.UNSUPPORTED_DATA, "only text messages are spoken here")
        elif kind == WSMsgType.PING:
            # Only without picows' own answer (enable_auto_pong=False).
            transport.send_pong(frame.get_payload_as_bytes())
        if self.texts or self.untold:
            if frame.last_in_buffer:
                self._flush()
            elif self.flush_handle is None:
                # picows answers a PING itself and keeps the PONG that it waits for: if such a frame is the last of this
                # read, nobody says so here.
                self.flush_handle = self.loop.call_soon(self._flush)
        if transport.is_close_frame_sent:
            # By picows' parser, which reads one frame ahead: this frame was the last before the breach.
            self.closing = True

    cpdef on_ws_disconnected(self, WSTransport transport):
        if self.ended:
            return
        self.ended = True
        if self.close_handle is not None:
            self.close_handle.cancel()
            self.close_handle = None
        self._flush()
        self.closing = True
        self.partial = None
        cdef WSCloseInfo received = None
        if transport.close_handshake is not None:
            received = transport.close_handshake.recv
        code = None
        reason = self.why
        if received is not None:
            code = None if received.code == WSCloseCode.NO_INFO else <int>received.code
            reason = received.reason or reason
        try:
            self.sink.closed(code, reason)
        except Exception:
            log.exception("the receiver of a connection failed when told of its end")
        self.sink = None
        self.transport = None

    cpdef pause_writing(self):
        if self.ended:
            return
        try:
            self.sink.paused()
        except Exception:
            self._sink_failed()

    cpdef resume_writing(self):
        if self.ended:
            return
        try:
            self.sink.resumed()
        except Exception:
            self._sink_failed()

    cdef int _text(self, WSFrame frame) except -1:
        if self.partial is not None:
            self._refuse(WSCloseCode.PROTOCOL_ERROR, "a new message inside a fragmented one")  # RFC 6455 5.4
        elif frame.payload_size > self.max_message:
            self._too_big()
        elif frame.fin:
            self._message(frame.payload_ptr, frame.payload_size)
        else:
            self.partial = bytearray(PyBytes_FromStringAndSize(frame.payload_ptr, frame.payload_size))
        return 0

    cdef int _continuation(self, WSFrame frame) except -1:
        if self.partial is None:
            self._refuse(WSCloseCode.PROTOCOL_ERROR, "a continuation of nothing")  # RFC 6455 5.4
        elif len(self.partial) + frame.payload_size > self.max_message:
            self._too_big()
        else:
            self.partial += PyBytes_FromStringAndSize(frame.payload_ptr, frame.payload_size)
            if frame.fin:
                self._message(self.partial, len(self.partial))
                self.partial = None
        return 0

    cdef inline int _message(self, const char* text, Py_ssize_t size) except -1:
        """A whole message: kept until the flush, or dropped where it repeats what was delivered."""
        if self.delivered is None or not self.delivered.find(text, size, &self.repeats[self.untold * ID]):
            self.texts.append(PyBytes_FromStringAndSize(text, size))
            return 0
        self.repeated += 1
        self.untold += 1
        if self.untold == REPEATS:
            self._tell_repeats()
        return 0

    cdef int _tell_repeats(self) except -1:
        cdef bytes ids = PyBytes_FromStringAndSize(<const char*>self.repeats, self.untold * ID)
        self.untold = 0
        try:
            self.sink.repeated(ids)
        except Exception:
            self._sink_failed()
        return 0

    cdef int _too_big(self) except -1:
        self._refuse(WSCloseCode.MESSAGE_TOO_BIG, f"a message has more than {self.max_message} bytes")
        return 0

    def _flush(self):
        """Hand over what was read so far."""
        cdef list texts = self.texts
        if self.flush_handle is not None:
            self.flush_handle.cancel()
            self.flush_handle = None
        if self.untold:
            self._tell_repeats()
        if not texts:
            return
        self.texts = []
        try:
            self.sink.messages(texts)
        except Exception:
            self._sink_failed()

    cdef int _sink_failed(self) except -1:
        log.exception("the receiver of a connection failed; the connection is closed")
        self._refuse(WSCloseCode.INTERNAL_ERROR, "internal error")
        return 0

    cdef int _refuse(self, WSCloseCode code, str why) except -1:
        """Start the closing handshake for a reason of ours. What was complete before it is still handed over."""
        if self.closing or self.transport is None:
            return 0
        self.closing = True
        self.partial = None
        self.why = why
        self.transport.send_close(code, why.encode())
        self.close_handle = self.loop.call_later(CLOSE_TIMEOUT, self._cut)
        return 0

    def _cut(self):
        """End a connection whose peer does not answer our CLOSE."""
        if self.transport is not None:
            self.transport.disconnect(False)

    cdef int _close_received(self, WSTransport transport) except -1:
        """Answer a CLOSE, or take it as the answer to ours; then the connection ends (RFC 6455 5.5.1, 7.1.1)."""
        cdef WSCloseInfo received = transport.close_handshake.recv
        self._flush()
        self.closing = True
        self.partial = None
        if not transport.is_close_frame_sent:
            if received.code == WSCloseCode.NO_INFO:
                transport.send_close(WSCloseCode.OK)  # 1005 may not stand in a frame
            else:
                transport.send_close(received.code)
        transport.disconnect()
        return 0


cdef bytes _framed(const char* head, Py_ssize_t head_size, const char* body, Py_ssize_t body_size, bint closing):
    """One frame with `head`, `body` and, where it is asked for, a closing bracket; what a server sends is not masked (RFC 6455 5.1)."""
    cdef Py_ssize_t size = head_size + body_size + closing
    cdef int lead = 2 if size < 126 else 4 if size < 65536 else 10
    cdef bytes ready = PyBytes_FromStringAndSize(NULL, lead + size)
    cdef uint8_t* at = <uint8_t*>PyBytes_AS_STRING(ready)
    cdef int shift
    at[0] = FIN_TEXT
    at[1] = <uint8_t>(size if lead == 2 else 126 if lead == 4 else 127)
    for shift in range(lead - 2):
        at[lead - 1 - shift] = <uint8_t>(size >> 8 * shift)
    at += lead
    memcpy(at, head, head_size)
    memcpy(at + head_size, body, body_size)
    if closing:
        at[size - 1] = c"]"
    return ready


def server_frame(bytes text, /):
    return _framed(text, 0, text, len(text), 0)


def event_frame(bytes head, bytes event, /):
    return _framed(head, len(head), event, len(event), 1)
