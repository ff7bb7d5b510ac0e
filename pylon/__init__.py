"""Pylon: sell and buy answers of language models over Nostr and Lightning."""

from __future__ import annotations

__version__ = "0.1.0"
