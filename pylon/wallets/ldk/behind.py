"""A store that an old copy has taken the place of: its channels are given up, and what is ours in them comes back on the chain.

A peer proves, when it connects again, that a channel went on after the copy. The library cannot go on with any channel then, and panics
each time (lightning::ln::channel, "We have fallen behind"). Its advice: begin with an empty ChannelManager, by which every peer is told
that we know nothing any more. Each closes its channel with its newest state, and the monitors, which stay, find what is ours in that.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from pylon.errors import PylonError
from pylon.lightning.values import NodeStatus

SAID = "We have fallen behind"
"""How the library's panic begins."""
LOST = "DELETE FROM kv WHERE ns='' AND sub='' AND key='manager'"
FORGET = (
    "import fcntl, sqlite3, sys; fcntl.flock(open(sys.argv[1] + '/ldk.lock', 'a'), fcntl.LOCK_EX | fcntl.LOCK_NB); "
    f"db = sqlite3.connect(sys.argv[1] + '/ldk.sqlite'); db.execute(\"{LOST}\"); db.commit(); db.close()"
)
"""For a process of its own: two SQLite libraries in one lose each other's locks on a file (sqlite.org/howtocorrupt.html, 2.2.1)."""


def is_behind(status: NodeStatus) -> bool:
    """Whether this node has broken because its channels are older than what their peers know."""
    return status.panic is not None and SAID in status.panic


def give_up_channels(folder: Path) -> None:
    """Let the store of a stopped node forget its channels, and nothing else. Raises PylonError."""
    done = subprocess.run([sys.executable, "-c", FORGET, folder], capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().rpartition("\n")[2]
        raise PylonError(f"the old channels in {folder} cannot be given up: {said}", hint="it is tried again")
