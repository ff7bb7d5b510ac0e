//! Follows the chain: one loop, so that whoever asks for a sync gets one that began after it asked.
//!
//! ldk-node's own loop runs every ten seconds at most, and a call of its `sync_wallets` joins whatever is under way.
//!
//! Its Electrum client (0.24.2) loses a wake-up now and then where two threads use it (a sync, and a broadcast): a thread that was
//! told to read finds the reader's lock still held, and waits until another call is made, twenty seconds later. So another call is made.

use crate::error::{Error, Result};
use crate::held;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

#[derive(Default)]
struct State {
    wanted: u64,
    begun: u64,
    ended: u64,
    stopped: bool,
    last: Option<Result<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        held(&self.state)
    }
}

/// The loop.
pub struct Syncing {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Another call of the client, made again and again while a sync takes longer than this.
pub struct Nudge {
    /// How long a sync may take, and how long the next nudge waits.
    pub after: Duration,
    /// The call; it may last as long as the sync, so each has a thread.
    pub call: Arc<dyn Fn() + Send + Sync>,
}

/// So many nudges at the first pace (a nudge may lose a wake-up in its turn); then each waits twice as long as the one before.
const QUICK_NUDGES: u32 = 8;

impl Syncing {
    /// Runs `work` now, after every `interval`, and whenever it is asked for, in a thread of this name.
    pub fn start(name: &str, interval: Duration, work: impl Fn() -> Result<()> + Send + 'static) -> Result<Self> {
        let shared = Arc::new(Shared::default());
        let told = shared.clone();
        let thread = std::thread::Builder::new()
            .name(name.into())
            .spawn(move || run(&told, interval, &work))
            .map_err(|error| Error::new("failed", error))?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// From now on makes another call where a sync takes long.
    pub fn nudged(self, name: &str, nudge: Nudge) -> Result<Self> {
        let (shared, own) = (self.shared.clone(), name.to_owned());
        let nudging = move || watch(&shared, &own, &nudge);
        std::thread::Builder::new().name(name.into()).spawn(nudging).map_err(|error| Error::new("failed", error))?;
        Ok(self)
    }

    /// Waits for a sync that began after this call, and says how it ended.
    pub fn sync(&self) -> Result<()> {
        let mut state = self.shared.state();
        let mine = state.begun + 1;
        state.wanted = state.wanted.max(mine);
        self.shared.changed.notify_all();
        while state.ended < mine {
            if state.stopped {
                return Err(Error::new("not_running", "the node was stopped"));
            }
            state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.last.clone().unwrap_or(Ok(()))
    }

    /// Why the last sync failed, where it did.
    pub fn problem(&self) -> Option<String> {
        match &self.shared.state().last {
            Some(Err(error)) => Some(error.to_string()),
            _ => None,
        }
    }

    /// Ends the loop; a sync that is under way is waited for, but no longer than `patience`.
    pub fn stop(&self, patience: Duration) {
        let end = Instant::now() + patience;
        let mut state = self.shared.state();
        state.stopped = true;
        self.shared.changed.notify_all();
        while state.begun > state.ended {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return; // it ends by itself: the source of the chain answers, or its time is over
            }
            state = self.shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(state);
        if let Some(thread) = held(&self.thread).take() {
            let _ = thread.join(); // its panics are caught within
        }
    }
}

fn run(shared: &Shared, interval: Duration, work: &impl Fn() -> Result<()>) {
    let mut due = Instant::now();
    let mut state = shared.state();
    while !state.stopped {
        let left = due.saturating_duration_since(Instant::now());
        if state.wanted <= state.begun && !left.is_zero() {
            state = shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            continue;
        }
        state.begun += 1;
        shared.changed.notify_all();
        drop(state);
        let done = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(Error::panic(&*panic)));
        due = Instant::now() + interval;
        state = shared.state();
        state.ended = state.begun;
        state.last = Some(done);
        shared.changed.notify_all();
    }
}

fn watch(shared: &Shared, name: &str, nudge: &Nudge) {
    let mut state = shared.state();
    while !state.stopped {
        let watched = state.begun;
        let running = |state: &mut State| !state.stopped && state.ended < watched;
        for count in 0u32.. {
            let pause = nudge.after.saturating_mul(1 << count.saturating_sub(QUICK_NUDGES).min(16));
            let waited = shared.changed.wait_timeout_while(state, pause, running);
            let (now, waited) = waited.unwrap_or_else(PoisonError::into_inner);
            state = now;
            if !waited.timed_out() {
                break;
            }
            let call = nudge.call.clone();
            // What it says the sync says too; without a thread for it there will be one next time.
            let _ = std::thread::Builder::new().name(name.into()).spawn(move || call());
        }
        while !state.stopped && state.begun == watched {
            state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::mpsc;

    #[test]
    fn a_sync_that_was_under_way_does_not_answer_a_later_call() {
        let (begin, begun) = mpsc::channel();
        let (go, gate) = mpsc::channel::<()>();
        let syncing = Syncing::start("sync", Duration::from_secs(3600), move || {
            begin.send(()).unwrap();
            gate.recv().map_err(|error| Error::new("failed", error))
        })
        .unwrap();
        begun.recv().unwrap(); // the first is under way
        std::thread::scope(|scope| {
            let asked = scope.spawn(|| syncing.sync());
            while syncing.shared.state().wanted == 0 {
                std::thread::yield_now();
            }
            go.send(()).unwrap(); // the first ends, and the one who asked still waits
            begun.recv().unwrap();
            assert!(!asked.is_finished());
            go.send(()).unwrap();
            asked.join().unwrap().unwrap();
        });
        syncing.stop(Duration::from_secs(1));
    }

    #[test]
    fn those_who_wait_share_one_sync_and_learn_how_it_ended() {
        let count = Arc::new(AtomicU64::new(0));
        let counted = count.clone();
        let syncing =
            Syncing::start("sync", Duration::from_secs(3600), move || match counted.fetch_add(1, Ordering::SeqCst) {
                0 => Ok(()),
                _ => Err(Error::new("chain_source", "away")),
            })
            .unwrap();
        while syncing.shared.state().ended == 0 {
            std::thread::yield_now();
        }
        assert_eq!(syncing.problem(), None);
        assert_eq!(syncing.sync().unwrap_err().code, "chain_source");
        assert_eq!(syncing.problem().as_deref(), Some("chain_source: away"));
        syncing.stop(Duration::from_secs(1));
        assert_eq!(syncing.sync().unwrap_err().code, "not_running");
    }

    #[test]
    fn a_panic_in_a_sync_is_an_error_of_that_sync() {
        let syncing = Syncing::start("sync", Duration::from_secs(3600), || panic!("what a chain")).unwrap();
        assert_eq!(syncing.sync().unwrap_err(), Error::new("panic", "what a chain"));
        syncing.stop(Duration::from_secs(1));
    }

    #[test]
    fn a_sync_that_takes_long_is_nudged_and_a_quick_one_is_not() {
        let (nudged, nudges) = mpsc::channel();
        let (go, gate) = mpsc::channel::<()>();
        let work = move || gate.recv().map_err(|error| Error::new("failed", error));
        let call = Arc::new(move || nudged.send(()).unwrap());
        let syncing = Syncing::start("sync", Duration::from_secs(3600), work).unwrap();
        let syncing = syncing.nudged("nudge", Nudge { after: Duration::from_millis(20), call }).unwrap();
        nudges.recv().unwrap();
        nudges.recv().unwrap();
        go.send(()).unwrap();
        go.send(()).unwrap();
        syncing.sync().unwrap();
        syncing.stop(Duration::from_secs(1));
    }
}
