"""PDF files as strangers send them: encrypted, without text, and such as take more time or memory than they are worth."""

from __future__ import annotations

import hashlib
import zlib

from pylon.cli.paper import assemble

PADDING = bytes.fromhex("28bf4e5e4e758a4164004e56fffa01082e2e00b6d0683e802f0ca9fe6453697a")


def rc4(key: bytes, data: bytes) -> bytes:
    """RC4, which the standard security handler of PDF uses."""
    state = list(range(256))
    j = 0
    for i in range(256):
        j = (j + state[i] + key[i % len(key)]) % 256
        state[i], state[j] = state[j], state[i]
    out, i, j = bytearray(), 0, 0
    for byte in data:
        i = (i + 1) % 256
        j = (j + state[i]) % 256
        state[i], state[j] = state[j], state[i]
        out.append(byte ^ state[(state[i] + state[j]) % 256])
    return bytes(out)


def encrypted(password: bytes) -> bytes:
    """One page under RC4 with 40 bits (ISO 32000-1, 7.6.3); its stream is encrypted too. An empty password opens for everybody."""
    identity, rights = b"0123456789abcdef", -4
    owner = rc4(hashlib.md5((b"owner" + PADDING)[:32]).digest()[:5], (password + PADDING)[:32])
    key = hashlib.md5((password + PADDING)[:32] + owner + rights.to_bytes(4, "little", signed=True) + identity).digest()[:5]
    user = rc4(key, PADDING)
    of_stream = hashlib.md5(key + (5).to_bytes(3, "little") + bytes(2)).digest()[:10]
    stream = rc4(of_stream, b"BT /F1 11 Tf 60 780 Td (under lock and key) Tj ET")
    return assemble(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [4 0 R] /Count 1 >>",
            b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources << /Font << /F1 3 0 R >> >> /Contents 5 0 R >>",
            b"<< /Length %d >>\nstream\n%b\nendstream" % (len(stream), stream),
            b"<< /Filter /Standard /V 1 /R 2 /O <%b> /U <%b> /P %d >>" % (owner.hex().encode(), user.hex().encode(), rights),
        ],
        b"/Encrypt 6 0 R /ID [<%b> <%b>]" % (identity.hex().encode(), identity.hex().encode()),
    )


def scanned(pages: int) -> bytes:
    """Pages that show a picture and no letter."""
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b""]
    stream = b"q 595 0 0 842 0 0 cm BI /W 1 /H 1 /CS /G /BPC 8 ID \x80 EI Q"
    for _ in range(pages):
        objects.append(b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents %d 0 R >>" % (len(objects) + 2))
        objects.append(b"<< /Length %d >>\nstream\n%b\nendstream" % (len(stream), stream))
    kids = b" ".join(b"%d 0 R" % (3 + 2 * number) for number in range(pages))
    objects[1] = b"<< /Type /Pages /Kids [%b] /Count %d >>" % (kids, pages)
    return assemble(objects)


def packed(content: bytes, pages: int) -> bytes:
    """So many pages that share one stream, which is packed."""
    stream = zlib.compress(content, 9)
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources << /Font << /F1 3 0 R >> >> /Contents 4 0 R >>"
    kids = b" ".join(b"%d 0 R" % (5 + number) for number in range(pages))
    return assemble(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [%b] /Count %d >>" % (kids, pages),
            b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
            b"<< /Length %d /Filter /FlateDecode >>\nstream\n%b\nendstream" % (len(stream), stream),
            *[page] * pages,
        ]
    )


def endless() -> bytes:
    """A thousand pages of five million operations that show nothing, in some kilobytes."""
    return packed(b"0 w\n" * 5_000_000, 1000)


def swollen() -> bytes:
    """A page of twenty million letters, in some kilobytes."""
    return packed(b"BT /F1 11 Tf 60 780 Td\n" + b"(mill) Tj\n" * 5_000_000 + b"ET", 1)
