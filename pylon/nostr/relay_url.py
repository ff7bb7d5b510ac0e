"""Addresses of relays: one spelling for each, so that they can be compared (NIP-42, RFC 3986 section 6.2)."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

_DEFAULT_PORTS: Final = {"ws": 80, "wss": 443}
_MAX_LENGTH: Final = 1024


def normalize_url(url: str) -> str | None:
    """A relay's address in one spelling: scheme and host in lower case, without default port, trailing slash and fragment.

    None for what is no address of a relay: another scheme, no host, a user or password, a space or control character.
    """
    if len(url) > _MAX_LENGTH or not url.isprintable() or " " in url:
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    scheme = parts.scheme.lower()
    host = (parts.hostname or "").rstrip(".")
    if scheme not in _DEFAULT_PORTS or not host or "@" in parts.netloc:
        return None
    if ":" in host:
        host = f"[{host}]"
    place = host if port in (None, _DEFAULT_PORTS[scheme]) else f"{host}:{port}"
    return f"{scheme}://{place}{parts.path.rstrip('/')}" + (f"?{parts.query}" if parts.query else "")
