//! The embedded Lightning node: ldk-node over our own store, with calls that say what went wrong in one word.

pub mod error;
mod events;
mod live;
mod logs;
pub mod node;
mod panics;
mod peering;
pub mod pump;
pub mod settings;
pub mod store;
mod syncing;
mod views;
mod writer;

pub use error::{Error, Result};
pub use node::Node;
pub use settings::Settings;

/// What a mutex holds. A thread that panicked while it held it has left a value of ours whole: none is changed in steps.
fn held<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
