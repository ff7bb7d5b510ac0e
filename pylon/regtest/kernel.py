"""Bitcoin Core's own engine (`py-bitcoinkernel`): the one judge of blocks and of the scripts of transactions.

Its folder is a cache of what stands in our file: it may be deleted at any time, and is where it is damaged.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from pylon.errors import PylonError
from pylon.regtest.blocks import Output, Transaction, double_sha256, shown
from pylon.regtest.chainfile import ChainFile, Coin

FLUSH_BLOCKS: Final = 500
"""The engine writes when it is closed, and else about once an hour: so many blocks at most have to be handed over again after a kill."""


class BlockRefused(PylonError):
    """The engine does not take a block that we made."""

    code = "block_refused"


def engine() -> ModuleType:
    """The module `pbk`. Raises PylonError where this Python has none."""
    try:
        import pbk  # type: ignore[import-untyped]
    except ImportError as error:
        raise PylonError(
            f"the private network needs Bitcoin Core's engine, the package py-bitcoinkernel, which is not here ({error})",
            hint='its wheels are for Python 3.11 to 3.13 on Linux and macOS; without it `[wallet] backend = "sim"` works',
        ) from error
    return pbk  # type: ignore[no-any-return]


class Engine:
    """The chain as the engine sees it. Raises PylonError where it cannot be opened."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pbk = engine()
        self._manager: Any = None
        self._verdict: Any = None
        try:
            self._open()
        except RuntimeError:
            self.wipe()

    def _open(self) -> None:
        self._unwritten = 0
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        watch = self._pbk.ValidationInterfaceCallbacks(block_checked=self._checked)
        self._manager = self._pbk.load_chainman(self._folder, self._pbk.ChainType.REGTEST, watch)

    def wipe(self) -> None:
        """Begin again at the genesis block, in an empty folder."""
        self.close()
        shutil.rmtree(self._folder)
        try:
            self._open()
        except RuntimeError as error:
            raise PylonError(
                f"Bitcoin Core's engine cannot use {self._folder}", hint="look at its permissions and at the free space"
            ) from error

    def _reopen(self) -> None:
        self.close()
        try:
            self._open()
        except RuntimeError as error:
            raise BlockRefused(f"Bitcoin Core's engine does not open {self._folder} again") from error

    def close(self) -> None:
        """Let go of the folder; what the engine has not written yet is written."""
        if self._manager is not None:
            # Not left to the collector: an error on its way up may hold it, and its files stay locked until it is gone.
            self._manager.__exit__(None, None, None)
            self._manager = None

    def _checked(self, _data: object, _block: object, state: Any) -> None:
        self._verdict = state.block_validation_result

    def follow(self, file: ChainFile) -> None:
        """Bring it to the last block of the file, in a new folder where this one does not lead there. Raises BlockRefused."""
        try:
            self._take(file, self._fork(file) + 1)
        except BlockRefused:
            # A damaged folder is found out late, when an old block is read: whether it is that, a new folder tells.
            self.wipe()
            self._take(file, 1)

    def _take(self, file: ChainFile, first: int) -> None:
        last = file.height()
        for height in range(first, last + 1):
            self._feed(file.block(height))
            self._unwritten += 1
            if self._unwritten >= FLUSH_BLOCKS:
                self._reopen()
        if self._height() != last or self._hash(last) != double_sha256(file.standing(last, last)[0]):
            raise BlockRefused(f"Bitcoin Core's engine is at height {self._height()} and our file at {last}")

    def _fork(self, file: ChainFile) -> int:
        """The height up to which it has the blocks of the file."""
        height = min(file.height(), self._height())
        while self._hash(height) != double_sha256(file.standing(height, height)[0]):
            height -= 1
        return height

    def _height(self) -> int:
        return int(self._manager.get_active_chain().height)

    def _hash(self, height: int) -> bytes:
        return bytes(self._manager.get_active_chain().block_tree_entries[height].block_hash)

    def _feed(self, raw: bytes) -> None:
        self._verdict = None
        try:
            self._manager.process_block(self._pbk.Block._from_handle(self._pbk.capi.bindings.btck_block_create(raw, len(raw))))
        except (ValueError, self._pbk.ProcessBlockException) as error:  # ValueError: it cannot even read it
            raise self._refused(raw) from error
        # A block of a branch that is not the longest yet is only looked at, and gets no verdict.
        if self._verdict not in (None, self._pbk.BlockValidationResult.UNSET):
            raise self._refused(raw)

    def _refused(self, raw: bytes) -> BlockRefused:
        why = "no reason" if self._verdict is None else self._verdict.name.lower()
        return BlockRefused(f"Bitcoin Core's engine refuses block {shown(double_sha256(raw[:80]))}: {why}")


def verify_scripts(transaction: Transaction, spent: Sequence[Output | Coin]) -> None:
    """Every input against the output that it spends, with all the rules of the chain. Raises ValueError."""
    pbk = engine()
    with _as_value_error("the engine cannot read it"):
        handle = pbk.Transaction._from_handle(pbk.capi.bindings.btck_transaction_create(transaction.raw, len(transaction.raw)))
        scripts = [pbk.ScriptPubkey(output.script) for output in spent]
        outputs = [pbk.TransactionOutput(script, output.value) for script, output in zip(scripts, spent, strict=True)]
        together = pbk.script.PrecomputedTransactionData(handle, outputs)
    if bytes(handle.txid) != transaction.txid:
        raise ValueError("the engine reads another transaction")
    for i, (script, output) in enumerate(zip(scripts, spent, strict=True)):
        with _as_value_error(f"input {i}"):
            good = script.verify(output.value, handle, together, i, pbk.ScriptVerificationFlags.ALL)
        if not good:
            raise ValueError(f"mandatory-script-verify-flag-failed (input {i})")


@contextmanager
def _as_value_error(what: str) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, engine().KernelException) as error:
        raise ValueError(f"{what}: {error}") from error
