"""config.toml: what it may hold, and the sentence with the line and the key for what it may not; the files of a home."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from pylon.config import SOCKET_PATH_LIMIT, Config, Home, load
from pylon.errors import ConfigError, NotSetUp
from pylon.template import TEMPLATE
from pylon.units import MAX_MSAT


def read(folder: Path, text: str | bytes) -> Config:
    """What `text` says as config.toml."""
    path = folder / "config.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load(path)


def test_the_template_says_what_holds_without_it(tmp_path: Path) -> None:
    """`init` writes the defaults, so deleting a line changes nothing; no file at all means the same."""
    assert read(tmp_path, TEMPLATE) == Config() == load(tmp_path / "nowhere.toml")


def test_what_the_template_shows_as_a_comment_can_be_set(tmp_path: Path) -> None:
    """Every commented setting of the template is one: without the `#` the file can still be read."""
    assert read(tmp_path, re.sub(r"(?m)^# (?=\w+ = )", "", TEMPLATE)).provider.slots == 2


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [
        ("[provider]\n\nmin_price_msat = 1\n", 3, "provider.min_price_msat"), ("\nrelay = []\n", 2, "relay"),
        ("[provder]\nslots = 1\n", 1, "provder"),
        ("a.b.c = 1\n", 1, "a"), ('relays = "ws://x"\n', 1, "relays"), ("relays = [1]\n", 1, "relays"), ("network = 5\n", 1, "network"),
        ('network = "mainet"\n', 1, "network"), ("[provider]\nslots = true\n", 2, "provider.slots"),
        ("[provider]\nmin_price_msats = 1.5\n", 2, "provider.min_price_msats"), ("[provider]\nqueue = -1\n", 2, "provider.queue"),
        (f"[provider]\nmin_price_msats = {MAX_MSAT + 1}\n", 2, "provider.min_price_msats"), ("[[provider]]\n", 1, "provider"),
        ("[wallet]\nmax_fee_msats = -1\n", 2, "wallet.max_fee_msats"),
        ("[wallet]\nchannels = 0\n", 2, "wallet.channels"), ("[wallet]\nchannels = 21\n", 2, "wallet.channels"),
        ('[wallet]\nchain = "ftp://host"\n', 2, "wallet.chain"), ('[wallet]\nchain = "ssl://"\n', 2, "wallet.chain"),
        ('[wallet]\n\nlsp = "02ab@host:1"\n', 3, "wallet.lsp"), ("[nexus]\nport = 65536\n", 2, "nexus.port"),
    ],
)
def test_a_mistake_has_its_line_and_its_key(tmp_path: Path, text: str, line: int, key: str) -> None:
    """A name that is none, a wrong type, a value out of range."""
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert caught.value.exit_status == 3
    assert f"line {line}:" in caught.value.message
    assert f"`{key}`" in caught.value.message


@pytest.mark.parametrize(
    "url", ["http://x", "ws://", "wss:///path", "ws://a b", "ws://[::", "ws://h:99999", "ws://h:0", "ws://user:pass@h", "x", "", "ws://h:port"]
)
def test_what_is_no_relay(tmp_path: Path, url: str) -> None:
    """It is said when the file is read, and not by the first command that needs a relay."""
    with pytest.raises(ConfigError, match="line 2: `relays` holds"):
        read(tmp_path, f"\nrelays = ['wss://good.example', '{url}']\n")


@pytest.mark.parametrize("url", ["ws://127.0.0.1:7700", "wss://relay.example.org/path?x=1", "ws://[::1]:80", "wss://é.example"])
def test_what_is_a_relay(tmp_path: Path, url: str) -> None:
    """Names, both kinds of numbers, ports, paths."""
    assert read(tmp_path, f'relays = ["{url}"]\n').relays == [url]


@pytest.mark.parametrize("text", ["x = = 1\n", "relays = [\n", 'network="regtest"\nnetwork="signet"\n', b"\xff\xfe", b"\x00"])
def test_what_is_no_toml(tmp_path: Path, text: str | bytes) -> None:
    """The file is named, and the line where there is one."""
    with pytest.raises(ConfigError, match=r"config\.toml (is not TOML: .*line \d|cannot be read: )"):
        read(tmp_path, text)


def test_a_socket_has_a_short_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long home has its socket elsewhere, always the same one and nobody else's."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/0")
    long, other = Home(tmp_path / ("ü" * 60)), Home(tmp_path / ("ü" * 61))
    assert Home(Path("/a/.pylon")).control == Path("/a/.pylon/control.sock")
    assert len(os.fsencode(long.control)) <= SOCKET_PATH_LIMIT
    assert long.control == Home(long.path).control != other.control


def test_a_home_that_cannot_be_made(tmp_path: Path) -> None:
    """Exit 3, with the reason; a home that is made is for its owner alone."""
    (tmp_path / "file").write_text("")
    with pytest.raises(NotSetUp, match="cannot be made"):
        Home(tmp_path / "file" / "home").create()
    home = Home(tmp_path / "a" / "b")
    home.create()
    assert home.path.stat().st_mode & 0o777 == 0o700


LIMITED = 'network = "mainnet"\n[wallet.limits]\nper_job_sats = 100\nper_day_sats = 1000\n'


def test_mainnet_needs_limits_of_spending(tmp_path: Path) -> None:
    """Both of them, and the sentence says that it is beta; a test network needs none."""
    assert read(tmp_path, LIMITED).wallet.limits.per_day_sats == 1000
    for key in ("per_job_sats", "per_day_sats"):
        for text in (re.sub(rf"{key} = \d+\n", "", LIMITED), re.sub(rf"{key} = \d+", f"{key} = 0", LIMITED)):
            with pytest.raises(ConfigError, match=r"`wallet\.limits` must set per_job_sats and per_day_sats on mainnet: .* beta"):
                read(tmp_path, text)
    for network in ("regtest", "signet", "testnet"):
        assert read(tmp_path, f'network = "{network}"\n').wallet.limits.per_day_sats == 0


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("per_day_sats = -1", 3, "from 0"), ("total_sats = 10000000000000000000", 3, "from 0"), ("failures = -1", 3, "from 0"),
        ("cool_down = 86401", 3, "from 0 to 86400"), ('allow = ["alice"]', 3, "neither an npub nor a key"),
        ('allow = ["npub1abc"]', 3, "neither an npub nor a key"), ('allow = [""]', 3, "neither an npub nor a key"),
        ('allow = "npub1"', 3, "is wrong"), ("per_day_sats = 1.5", 3, "is wrong"), ("per_year_sats = 1", 3, "there is no setting"),
    ],
)
def test_limits_that_are_none(tmp_path: Path, text: str, line: int, why: str) -> None:
    """Each wrong limit names its line: nobody shall believe that he has one."""
    with pytest.raises(ConfigError, match=f"line {line}: .*{why}"):
        read(tmp_path, f"\n[wallet.limits]\n{text}\n")
