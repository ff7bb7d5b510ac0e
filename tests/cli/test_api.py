"""`pylon api` as a process: its start, its refusals, its end."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import orjson
import pytest

ROOT = Path(__file__).parents[2]
PATIENCE = 120
SCRIPT = """
default = "Yes."
[[reply]]
when = "hang"
text = "a b c"
after = 1
fail = "hang"
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home whose only backend is scripted."""
    monkeypatch.setenv("PYLON_HOME", str(tmp_path))
    monkeypatch.setenv("PYLON_BACKENDS", "")
    monkeypatch.delenv("PYLON_API_KEY", raising=False)
    (tmp_path / "script.toml").write_text(SCRIPT, "utf-8")
    (tmp_path / "config.toml").write_text(f'[backends]\nuse = ["scripted"]\nscript = "{tmp_path}/script.toml"\n', "utf-8")
    return tmp_path


def refused(*arguments: str) -> tuple[int, dict[str, str]]:
    """The exit status and the error of a command that does not start; there is never a traceback."""
    done = subprocess.run(
        [sys.executable, "-m", "pylon", "api", *arguments, "--json"], cwd=ROOT, capture_output=True, timeout=PATIENCE, check=False
    )
    assert b"Traceback" not in done.stderr
    error: dict[str, str] = orjson.loads(done.stdout)["error"]
    return done.returncode, error


@contextmanager
def running(*arguments: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The command, listening: its address and its process."""
    with subprocess.Popen(
        [sys.executable, "-m", "pylon", "api", "--json", *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout is not None
            yield orjson.loads(process.stdout.readline())["url"], process
        finally:
            process.kill()


def ended(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    """How it ended, and what it said on stderr."""
    _, said = process.communicate(timeout=PATIENCE)
    return process.returncode, said.decode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_answers_and_ends(home: Path, number: signal.Signals) -> None:
    """It answers without identity or node, and ends on a signal without a word, though a client is connected."""
    with running("--bind", "127.0.0.1:0") as (url, process), httpx.Client(trust_env=False) as client:
        answer = client.post(f"{url}/v1/chat/completions", json={"messages": [{"role": "user", "content": "Are you there?"}]})
        assert answer.json()["choices"][0]["message"]["content"] == "Yes."
        process.send_signal(number)
        assert ended(process) == (0, "")
    assert sorted(path.name for path in home.iterdir()) == ["config.toml", "script.toml"]


def test_it_ends_in_the_middle_of_an_answer(home: Path) -> None:
    """An answer that hangs does not keep it."""
    assert home.exists()
    with running("--bind", "127.0.0.1:0") as (url, process), httpx.Client(trust_env=False, timeout=PATIENCE) as client:
        body = {"messages": [{"role": "user", "content": "hang"}], "stream": True}
        with client.stream("POST", f"{url}/v1/chat/completions", json=body) as answer:
            assert answer.status_code == 200
            process.terminate()
            assert ended(process) == (0, "")


def test_a_port_in_use(home: Path) -> None:
    """One sentence that names the port, and exit 1."""
    assert home.exists()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, error = refused("--bind", f"127.0.0.1:{port}")
    assert status == 1
    assert error["code"] == "api_address"
    assert f"port {port}" in error["message"]


def test_no_backend(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 4, and how to get one; also where the engine is found and cannot answer."""
    (home / "config.toml").write_text('[backends]\nuse = ["embedded"]\n', "utf-8")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "empty"))
    status, error = refused("--bind", "127.0.0.1:0")
    assert status == 4
    assert "pylon models pull" in error["hint"]


@pytest.mark.parametrize("bind", ["", "9899", ":9899", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "::1:9899", "a b:1"])
def test_a_wrong_address(home: Path, bind: str) -> None:
    """What is no HOST:PORT is a usage error."""
    assert home.exists()
    assert refused("--bind", bind)[0] == 2


def test_an_address_of_others(home: Path) -> None:
    """A name that leads nowhere, or an address that is not ours: exit 1 and a sentence."""
    assert home.exists()
    for bind in ("nowhere.invalid:0", "192.0.2.1:0"):
        status, error = refused("--bind", bind)
        assert (status, error["code"]) == (1, "api_address")


def test_a_warning_where_others_can_reach_it(home: Path) -> None:
    """Bound elsewhere than on the loopback it says who can use it; bound there it says nothing."""
    assert home.exists()
    for arguments, word in ((["--bind", "0.0.0.0:0"], "no key"), (["--bind", "0.0.0.0:0", "--key", "s3cret"], "in the clear")):
        with running(*arguments) as (url, process):
            assert url.startswith("http://127.0.0.1:")
            assert httpx.get(f"{url}/health", trust_env=False).status_code == 200
            process.terminate()
            status, said = ended(process)
        assert status == 0
        assert said.startswith("Warning: this listens on 0.0.0.0")
        assert word in said
        assert "s3cret" not in said


def test_the_key_of_the_environment(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PYLON_API_KEY is asked for; one with spaces is a usage error; an empty one is none."""
    assert home.exists()
    monkeypatch.setenv("PYLON_API_KEY", "s3cret")
    with running("--bind", "127.0.0.1:0") as (url, process):
        assert httpx.get(f"{url}/v1/models", trust_env=False).status_code == 401
        assert httpx.get(f"{url}/v1/models", headers={"Authorization": "Bearer s3cret"}, trust_env=False).status_code == 200
        process.terminate()
        assert ended(process) == (0, "")
    assert refused("--key", "two words")[0] == 2
    monkeypatch.setenv("PYLON_API_KEY", "")
    with running("--bind", "localhost:0") as (url, _):
        assert httpx.get(f"{url}/v1/models", trust_env=False).status_code == 200
