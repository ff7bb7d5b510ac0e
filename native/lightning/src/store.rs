//! The key-value store of the node: one SQLite file in WAL mode, one writer thread, group commit, one process.
//!
//! A write is answered after the transaction that holds it is committed. LDK panics where a write of a channel's state
//! fails, so a write that cannot be committed (a full disk) is tried again until it can be, or until the node is stopped.

use crate::error::{Error, Result};
use crate::held;
use crate::writer::{Answer, Shared, Write, Written, failed, run};
use ldk_node::lightning::io;
use ldk_node::lightning::util::persist::{KVStore, KVStoreSync};
use ldk_node::tokio::sync::oneshot;
use rusqlite::{Connection, OptionalExtension, params};
use std::fs::{File, TryLockError};
use std::future::Future;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The file in the node's folder.
pub const FILE: &str = "ldk.sqlite";
/// The file that whoever uses the store holds locked.
pub const LOCK: &str = "ldk.lock";
/// What this build writes (`PRAGMA user_version`); a file of a later one is not opened.
pub const VERSION: i64 = 1;

type Fut<T> = Pin<Box<dyn Future<Output = std::result::Result<T, io::Error>> + Send + 'static>>;

/// The store; whoever holds it holds its folder.
pub struct Store {
    writes: Mutex<Option<mpsc::Sender<Write>>>,
    reads: Mutex<Option<Connection>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    shared: Arc<Shared>,
    lock: Mutex<Option<File>>,
}

fn closed() -> io::Error {
    failed("the store is closed")
}

fn storage(error: impl std::fmt::Display) -> Error {
    Error::new("storage", error)
}

/// A file that nobody else reads, made where there is none.
fn private(path: &Path) -> Result<File> {
    File::options().create(true).append(true).mode(0o600).open(path).map_err(storage)
}

fn locked(folder: &Path) -> Result<File> {
    let path = folder.join(LOCK);
    let file = private(&path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::new("locked", "another process uses this wallet")),
        Err(TryLockError::Error(error)) => Err(storage(error)),
    }
}

fn connect(path: &Path, full_sync: bool) -> Result<Connection> {
    let connection = Connection::open(path).map_err(storage)?;
    connection.busy_timeout(Duration::from_secs(5)).map_err(storage)?;
    let sync = if full_sync { "FULL" } else { "NORMAL" };
    connection
        .execute_batch(&format!(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous={sync}; PRAGMA wal_autocheckpoint=2000; \
             PRAGMA journal_size_limit=16777216;"
        ))
        .map_err(storage)?;
    Ok(connection)
}

fn prepare(connection: &mut Connection) -> Result<()> {
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(storage)?;
    if version > VERSION {
        return Err(Error::new("newer_version", format!("{FILE} is of version {version}; this build knows {VERSION}")));
    }
    if version < VERSION {
        let transaction = connection.transaction().map_err(storage)?;
        transaction
            .execute_batch(&format!(
                "CREATE TABLE IF NOT EXISTS kv (ns TEXT NOT NULL, sub TEXT NOT NULL, key TEXT NOT NULL, \
                 value BLOB NOT NULL, PRIMARY KEY (ns, sub, key)) WITHOUT ROWID; PRAGMA user_version={VERSION};"
            ))
            .map_err(storage)?;
        transaction.commit().map_err(storage)?;
    }
    Ok(())
}

impl Store {
    /// Opens the store of a folder, which exists; `full_sync`: every commit reaches the disk before it is answered.
    pub fn open(folder: &Path, full_sync: bool) -> Result<Arc<Self>> {
        let lock = locked(folder)?;
        let path = folder.join(FILE);
        private(&path)?; // what SQLite writes beside it has the same mode
        let mut connection = connect(&path, full_sync)?;
        prepare(&mut connection)?;
        let reads = connect(&path, full_sync)?;
        let (sender, receiver) = mpsc::channel();
        let shared = Arc::new(Shared::default());
        let told = shared.clone();
        let writer = std::thread::Builder::new()
            .name("ldk-store".into())
            .spawn(move || run(&mut connection, &receiver, &told))
            .map_err(storage)?;
        Ok(Arc::new(Self {
            writes: Mutex::new(Some(sender)),
            reads: Mutex::new(Some(reads)),
            writer: Mutex::new(Some(writer)),
            shared,
            lock: Mutex::new(Some(lock)),
        }))
    }

    /// Why writes wait, where they do.
    pub fn problem(&self) -> Option<String> {
        held(&self.shared.health).problem.clone()
    }

    /// From now on a write that cannot be committed is tried again for so long only.
    pub fn limit_patience(&self, patience: Duration) {
        held(&self.shared.health).patience = Some(Instant::now() + patience);
        self.shared.hurry.notify_all();
    }

    /// Commits what waits and lets go of the folder. What is asked of it afterwards fails.
    pub fn close(&self) {
        self.limit_patience(Duration::from_secs(2));
        held(&self.writes).take();
        if let Some(writer) = held(&self.writer).take() {
            let _ = writer.join(); // it panicked: there is nobody left to tell
        }
        held(&self.reads).take();
        held(&self.lock).take();
    }

    fn send(&self, ns: &str, sub: &str, key: &str, value: Option<Vec<u8>>, answer: Answer) -> Written {
        let write = Write { key: (ns.into(), sub.into(), key.into()), value, answer };
        held(&self.writes).as_ref().ok_or_else(closed)?.send(write).map_err(|_| closed())
    }

    fn put(&self, ns: &str, sub: &str, key: &str, value: Option<Vec<u8>>) -> Written {
        let (answer, wait) = mpsc::sync_channel(1);
        self.send(ns, sub, key, value, Answer::Now(answer))?;
        wait.recv().map_err(failed)?
    }

    /// Queued when it is called: writes of one key keep their order, whatever becomes of the futures.
    fn put_later(&self, ns: &str, sub: &str, key: &str, value: Option<Vec<u8>>) -> Fut<()> {
        let (answer, wait) = oneshot::channel();
        let sent = self.send(ns, sub, key, value, Answer::Later(answer));
        Box::pin(async move {
            sent?;
            wait.await.map_err(failed)?
        })
    }

    fn get(&self, ns: &str, sub: &str, key: &str) -> std::result::Result<Vec<u8>, io::Error> {
        let reads = held(&self.reads);
        let mut query = reads
            .as_ref()
            .ok_or_else(closed)?
            .prepare_cached("SELECT value FROM kv WHERE ns=?1 AND sub=?2 AND key=?3")
            .map_err(failed)?;
        let found: Option<Vec<u8>> =
            query.query_row(params![ns, sub, key], |row| row.get(0)).optional().map_err(failed)?;
        found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such key"))
    }

    fn keys(&self, ns: &str, sub: &str) -> std::result::Result<Vec<String>, io::Error> {
        let reads = held(&self.reads);
        let reads = reads.as_ref().ok_or_else(closed)?;
        let mut query = reads.prepare_cached("SELECT key FROM kv WHERE ns=?1 AND sub=?2").map_err(failed)?;
        let rows = query.query_map(params![ns, sub], |row| row.get(0)).map_err(failed)?;
        rows.collect::<rusqlite::Result<_>>().map_err(failed)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.close();
    }
}

impl KVStoreSync for Store {
    fn read(&self, ns: &str, sub: &str, key: &str) -> std::result::Result<Vec<u8>, io::Error> {
        self.get(ns, sub, key)
    }
    fn write(&self, ns: &str, sub: &str, key: &str, value: Vec<u8>) -> Written {
        self.put(ns, sub, key, Some(value))
    }
    fn remove(&self, ns: &str, sub: &str, key: &str, _lazy: bool) -> Written {
        self.put(ns, sub, key, None)
    }
    fn list(&self, ns: &str, sub: &str) -> std::result::Result<Vec<String>, io::Error> {
        self.keys(ns, sub)
    }
}

impl KVStore for Store {
    fn read(&self, ns: &str, sub: &str, key: &str) -> Fut<Vec<u8>> {
        let found = self.get(ns, sub, key);
        Box::pin(async move { found })
    }
    fn write(&self, ns: &str, sub: &str, key: &str, value: Vec<u8>) -> Fut<()> {
        self.put_later(ns, sub, key, Some(value))
    }
    fn remove(&self, ns: &str, sub: &str, key: &str, _lazy: bool) -> Fut<()> {
        self.put_later(ns, sub, key, None)
    }
    fn list(&self, ns: &str, sub: &str) -> Fut<Vec<String>> {
        let found = self.keys(ns, sub);
        Box::pin(async move { found })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn real_money_is_on_the_disk_before_it_counts() {
        let folder = std::env::temp_dir().join(format!("pylon-sync-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for (full_sync, level) in [(true, 2), (false, 1)] {
            let connection = connect(&folder.join(FILE), full_sync).unwrap();
            let sync: i64 = connection.query_row("PRAGMA synchronous", [], |row| row.get(0)).unwrap();
            let journal: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
            assert_eq!((sync, journal.as_str()), (level, "wal"));
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
