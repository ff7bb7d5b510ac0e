"""The cutter finds what a search through the whole text finds, however the text is cut into pieces."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pylon.gateway.stop import Cutter

LETTERS = st.text("ab", max_size=6)


def said(pieces: list[str], stops: list[str]) -> tuple[list[str], bool]:
    """What the cutter says to each piece and at the end."""
    cutter = Cutter(stops)
    out = [cutter.feed(piece) for piece in pieces]
    return [*out, cutter.rest()], cutter.cut


@given(st.lists(LETTERS, max_size=8), st.lists(st.text("ab", min_size=1, max_size=4), max_size=3))
def test_pieces_do_not_matter(pieces: list[str], stops: list[str]) -> None:
    """The text ends before the first stop sequence that is complete first; without one it is whole."""
    text = "".join(pieces)
    out, cut = said(pieces, stops)
    assert cut == any(stop in text for stop in stops)
    assert text.startswith("".join(out))
    assert not any(stop in "".join(out) for stop in stops)
    if not cut:
        assert "".join(out) == text


@given(LETTERS, st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=3))
def test_in_one_piece(text: str, stops: list[str]) -> None:
    """In one piece the cut is at the first place of any stop sequence."""
    places = [text.find(stop) for stop in stops if stop in text]
    assert "".join(said([text], stops)[0]) == text[: min(places, default=len(text))]


def test_nothing_is_held_back_without_need() -> None:
    """Text that cannot begin a stop sequence goes out at once; what can waits for what follows."""
    assert said(["one ", "tw", "o s", "top"], ["stop", "tx"])[0] == ["one ", "tw", "o ", "", ""]
    assert said(["t", "o"], ["tx"])[0] == ["", "to", ""]
