//! The thread that writes: many writes a transaction, each answered after its commit, all tried again while the disk is full.

use crate::held;
use ldk_node::lightning::io;
use ldk_node::tokio::sync::oneshot;
use rusqlite::{Connection, params};
use std::sync::{Condvar, Mutex, mpsc};
use std::time::{Duration, Instant};

const BATCH: usize = 512;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What becomes of a write.
pub type Written = std::result::Result<(), io::Error>;
/// How a write is answered.
pub enum Answer {
    Now(mpsc::SyncSender<Written>),
    Later(oneshot::Sender<Written>),
}

/// One write.
pub struct Write {
    pub key: (String, String, String),
    pub value: Option<Vec<u8>>, // None: remove
    pub answer: Answer,
}

/// Whether writes get through.
#[derive(Default)]
pub struct Health {
    pub problem: Option<String>,
    /// After this the writer gives up what it cannot commit.
    pub patience: Option<Instant>,
}

/// What the thread and its store share.
#[derive(Default)]
pub struct Shared {
    pub health: Mutex<Health>,
    pub hurry: Condvar,
}

/// An error in the words of LDK.
pub fn failed(error: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::Other, error.to_string())
}

/// Writes until nobody can send any more.
pub fn run(connection: &mut Connection, writes: &mpsc::Receiver<Write>, shared: &Shared) {
    while let Ok(first) = writes.recv() {
        let mut batch = vec![first];
        while batch.len() < BATCH {
            match writes.try_recv() {
                Ok(write) => batch.push(write),
                Err(_) => break,
            }
        }
        let done = patiently(connection, &batch, shared);
        for write in batch {
            let told = done.as_ref().copied().map_err(failed);
            match write.answer {
                Answer::Now(answer) => drop(answer.send(told)), // nobody waits any more
                Answer::Later(answer) => drop(answer.send(told)),
            }
        }
    }
}

/// Tries to commit until it can be done, or until patience ends.
fn patiently(connection: &mut Connection, batch: &[Write], shared: &Shared) -> rusqlite::Result<()> {
    let mut pause = FIRST_PAUSE;
    loop {
        let error = match commit(connection, batch) {
            Ok(()) => {
                held(&shared.health).problem = None;
                return Ok(());
            }
            Err(error) => error,
        };
        let mut health = held(&shared.health);
        health.problem = Some(error.to_string());
        if health.patience.is_some_and(|end| Instant::now() >= end) {
            return Err(error);
        }
        let wait = health.patience.map_or(pause, |end| pause.min(end.saturating_duration_since(Instant::now())));
        drop(shared.hurry.wait_timeout(health, wait));
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn commit(connection: &mut Connection, batch: &[Write]) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    {
        let mut put = transaction
            .prepare_cached("INSERT INTO kv VALUES (?1,?2,?3,?4) ON CONFLICT DO UPDATE SET value=excluded.value")?;
        let mut remove = transaction.prepare_cached("DELETE FROM kv WHERE ns=?1 AND sub=?2 AND key=?3")?;
        for Write { key: (ns, sub, key), value, .. } in batch {
            match value {
                Some(value) => put.execute(params![ns, sub, key, value])?,
                None => remove.execute(params![ns, sub, key])?,
            };
        }
    }
    transaction.commit()
}
