//! Brings events to Python one at a time: a byte on a socket says that one waits, and the next follows its acknowledgement.

use crate::error::{Error, Result};
use crate::events::told;
use crate::held;
use ldk_node::Event;
use ldk_node::tokio::sync::Notify;
use ldk_node::tokio::task::JoinHandle;
use ldk_node::tokio::{self, runtime::Runtime};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// The place where an event waits, and the socket that says so. It outlives a stop of the node.
pub struct Waiting {
    event: Mutex<Option<Vec<u8>>>,
    acknowledged: Notify,
    readable: UnixStream,
    writable: UnixStream,
}

impl Waiting {
    /// Nothing waits.
    pub fn new() -> std::io::Result<Self> {
        let (readable, writable) = UnixStream::pair()?;
        readable.set_nonblocking(true)?;
        writable.set_nonblocking(true)?;
        Ok(Self { event: Mutex::new(None), acknowledged: Notify::new(), readable, writable })
    }

    /// Readable while an event waits.
    pub fn fileno(&self) -> RawFd {
        self.readable.as_raw_fd()
    }

    /// The event that waits.
    pub fn event(&self) -> Option<Vec<u8>> {
        self.held().clone()
    }

    /// The event that waited is done with.
    pub fn acknowledge(&self) -> Result<()> {
        if self.take().is_none() {
            return Err(Error::invalid("acknowledge", "no event waits"));
        }
        self.acknowledged.notify_one();
        Ok(())
    }

    /// Nothing waits any more, and what had waited was not acknowledged.
    pub fn clear(&self) {
        self.take();
    }

    fn held(&self) -> MutexGuard<'_, Option<Vec<u8>>> {
        held(&self.event)
    }

    fn take(&self) -> Option<Vec<u8>> {
        let mut event = self.held();
        let taken = event.take();
        if taken.is_some() {
            // One byte was written for it, and nobody else reads. An interrupted call is made again.
            while matches!((&self.readable).read(&mut [0]), Err(error) if error.kind() == ErrorKind::Interrupted) {}
        }
        taken
    }

    fn put(&self, text: Vec<u8>) {
        let mut event = self.held();
        *event = Some(text);
        // There is room for it: no other byte is in the socket.
        while matches!((&self.writable).write(&[1]), Err(error) if error.kind() == ErrorKind::Interrupted) {}
    }
}

/// The task that brings them.
pub struct Pump {
    stop: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Pump {
    /// Begins with the event that waits in the node's own queue; `before` sees each before it is told.
    pub fn start(
        runtime: &Runtime,
        node: Arc<ldk_node::Node>,
        waiting: Arc<Waiting>,
        before: impl Fn(&Event) + Send + 'static,
    ) -> Self {
        let stop = Arc::new(Notify::new());
        let stopped = stop.clone();
        let task = runtime.spawn(async move {
            loop {
                let event = tokio::select! {
                    event = node.next_event_async() => event,
                    () = stopped.notified() => return,
                };
                before(&event);
                // A struct of numbers and texts has a text.
                waiting.put(serde_json::to_vec(&told(&event)).unwrap_or_default());
                tokio::select! {
                    biased; // what was acknowledged before a stop is not told again
                    () = waiting.acknowledged.notified() => {}
                    () = stopped.notified() => return,
                }
                if node.event_handled().is_err() {
                    return; // the store was closed: the event is told again after the next start
                }
            }
        });
        Self { stop, task }
    }

    /// Ends the task, but waits no longer than this.
    pub fn stop(self, runtime: &Runtime, patience: Duration) {
        self.stop.notify_one();
        let _ = runtime.block_on(async { tokio::time::timeout(patience, self.task).await });
    }
}
