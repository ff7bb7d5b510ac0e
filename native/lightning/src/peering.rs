//! Keeps the connection to the hub: ldk-node tries again every minute only.

use crate::error::{Error, Result};
use crate::held;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How often it looks.
pub const PACE: Duration = Duration::from_millis(250);
/// So many attempts at that pace; then the pauses grow.
const QUICK: u32 = 40;

/// The loop.
pub struct Peering {
    stopped: Arc<(Mutex<bool>, Condvar)>,
}

impl Peering {
    /// Calls `connect` where `connected` says no, in a thread of this name; pauses between attempts grow up to `longest`.
    pub fn start(
        name: &str,
        longest: Duration,
        connected: impl Fn() -> bool + Send + 'static,
        connect: impl Fn() + Send + 'static,
    ) -> Result<Self> {
        let stopped = Arc::new((Mutex::new(false), Condvar::new()));
        let told = stopped.clone();
        std::thread::Builder::new()
            .name(name.into())
            .spawn(move || {
                let mut attempts = 0;
                let mut pause = Duration::ZERO;
                while !waited(&told, pause) {
                    pause = PACE;
                    let attempt = AssertUnwindSafe(|| {
                        connected() || {
                            connect();
                            false
                        }
                    });
                    if catch_unwind(attempt).unwrap_or(true) {
                        attempts = 0;
                    } else {
                        attempts += 1;
                        pause = pause_after(attempts, longest);
                    }
                }
            })
            .map_err(|error| Error::new("failed", error))?;
        Ok(Self { stopped })
    }

    /// Ends the loop; an attempt that is under way ends by itself.
    pub fn stop(&self) {
        *held(&self.stopped.0) = true;
        self.stopped.1.notify_all();
    }
}

fn pause_after(attempts: u32, longest: Duration) -> Duration {
    let doublings = attempts.saturating_sub(QUICK).min(16);
    PACE.saturating_mul(1 << doublings).min(longest)
}

/// Whether it was stopped within this time.
fn waited(stopped: &(Mutex<bool>, Condvar), time: Duration) -> bool {
    let flag = held(&stopped.0);
    *stopped.1.wait_timeout_while(flag, time, |stopped| !*stopped).unwrap_or_else(PoisonError::into_inner).0
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn it_connects_again_and_is_quiet_while_connected() {
        let (tried, tries) = mpsc::channel();
        let (asked, asks) = mpsc::channel();
        let up = Arc::new(Mutex::new(false));
        let state = up.clone();
        let peering = Peering::start(
            "peer",
            PACE,
            move || {
                asked.send(()).unwrap();
                *state.lock().unwrap()
            },
            move || {
                *up.lock().unwrap() = true;
                tried.send(()).unwrap();
            },
        )
        .unwrap();
        tries.recv().unwrap();
        asks.recv().unwrap();
        asks.recv().unwrap();
        asks.recv().unwrap(); // it looked again, and did not try
        assert!(tries.try_recv().is_err());
        peering.stop();
    }

    #[test]
    fn pauses_grow_up_to_the_longest() {
        let longest = Duration::from_secs(15);
        assert_eq!(pause_after(1, longest), PACE);
        assert_eq!(pause_after(QUICK, longest), PACE);
        assert_eq!(pause_after(QUICK + 2, longest), 4 * PACE);
        assert_eq!(pause_after(u32::MAX, longest), longest);
        assert_eq!(pause_after(u32::MAX, PACE), PACE);
    }
}
