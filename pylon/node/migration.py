"""Ledgers of before, led to the schema of now. Every row is kept.

Version 1 knew one wallet, `sim` on regtest. What it called `pending` may have reached the wallet or not: it is `unknown`, and looked up.
Its preimages stood in clear, in the journal, in jobs and in receipts to customers: they are sealed, or taken out where the job has them.
"""

from __future__ import annotations

import hashlib

from msgspec.structs import replace

from pylon.market.effects import Publish
from pylon.market.job import BuyerJob, Role
from pylon.market.payment import Status
from pylon.node import differences, journal
from pylon.node.database import Database
from pylon.node.records import Records, as_kept_before
from pylon.node.vault import Vault
from pylon.wallets.base import Direction

WALLET, NETWORK = "sim", "regtest"


def from_1(database: Database, vault: Vault) -> None:
    """To version 2, inside a transaction."""
    database.run("ALTER TABLE payments RENAME TO payments_1")
    database.run("DROP INDEX payments_by_status")
    for statement in (*journal.SCHEMA, *differences.SCHEMA):
        database.run(statement)
    database.run("CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT")
    database.run("INSERT INTO facts VALUES ('wallet', ?)", f"{WALLET} {NETWORK}")
    database.run("UPDATE marks SET name=? WHERE name=?", f"wallet.{WALLET}.{NETWORK}", f"wallet.{WALLET}")
    database.run(
        "INSERT INTO payments (n, direction, payment_hash, bolt11, wallet, network, status, amount, fee, tries, at, sent_at, settled_at, "
        "memo, job, own) SELECT n, direction, payment_hash, bolt11, ?, ?, "
        "CASE WHEN status<>'pending' THEN status WHEN direction=? THEN ? ELSE ? END, amount, fee, "
        "direction=?, at, CASE WHEN direction=? THEN at END, settled_at, memo, job, own FROM payments_1",
        WALLET, NETWORK, Direction.OUT, Status.UNKNOWN, Status.OPEN, Direction.OUT, Direction.OUT,
    )
    for n, hashed, preimage in database.rows("SELECT n, payment_hash, preimage FROM payments_1 WHERE preimage IS NOT NULL"):
        database.run("UPDATE payments SET preimage=? WHERE n=?", vault.seal(preimage, hashed), n)
    database.run("DROP TABLE payments_1")
    _seal_jobs(database, vault)
    _seal_receipts(database, Records(vault))


def _seal_jobs(database: Database, vault: Vault) -> None:
    records = Records(vault)
    for role, job_id, body in database.rows("SELECT role, id, body FROM jobs WHERE payment_hash IS NOT NULL"):
        job = as_kept_before(role, body)
        if job.preimage:
            database.run("UPDATE jobs SET body=? WHERE role=? AND id=?", records.job(job), role, job_id)
        peer = job.quote.provider if isinstance(job, BuyerJob) and job.quote else job.request.pubkey
        direction = Direction.OUT if role == Role.BUYER else Direction.IN
        database.run("UPDATE payments SET peer=? WHERE direction=? AND job=?", peer, direction, job_id)


def _seal_receipts(database: Database, records: Records) -> None:
    hashes = {bytes(row[0]) for row in database.rows("SELECT payment_hash FROM payments")}
    for n, body in database.rows("SELECT n, body FROM effects WHERE role=?", Role.PROVIDER):
        effect = records.read_effect(body)
        if isinstance(effect, Publish) and effect.seal_to and _preimage_of(effect.draft.content) in hashes:
            draft = type(effect.draft)(effect.draft.kind, effect.draft.created_at, "", effect.draft.tags)
            database.run("UPDATE effects SET body=? WHERE n=?", records.effect(replace(effect, draft=draft, reveal=True)), n)


def _preimage_of(content: str) -> bytes:
    """The payment hash of which a receipt tells the preimage, or nothing."""
    try:
        return hashlib.sha256(bytes.fromhex(content)).digest() if len(content) == 64 else b""
    except ValueError:
        return b""
