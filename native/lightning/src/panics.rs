//! What panics in a thread of a node is kept for its status, instead of being printed over somebody's terminal.

use crate::held;
use std::collections::BTreeMap;
use std::sync::{Mutex, Once};
use std::thread;

/// Threads of nodes have this name and a number, one number a node.
const PREFIX: &str = "ldk-";

static HOOK: Once = Once::new();
static SAID: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());

/// The name of all threads of the node with this number, whose panics are kept from now on.
pub fn name(number: u64) -> String {
    HOOK.call_once(|| {
        std::panic::set_hook(Box::new(|panic| {
            // Elsewhere it is caught, and becomes an error of the call.
            if let Some(name) = thread::current().name().filter(|name| name.starts_with(PREFIX)) {
                held(&SAID).entry(name.into()).or_insert_with(|| panic.to_string());
            }
        }));
    });
    format!("{PREFIX}{number}")
}

/// The first panic in a thread of this name.
pub fn said(name: &str) -> Option<String> {
    held(&SAID).get(name).cloned()
}

/// Nobody asks for this name any more.
pub fn forget(name: &str) {
    held(&SAID).remove(name);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_kept_for_its_node_alone() {
        let (one, other) = (name(u64::MAX), name(u64::MAX - 1));
        let thread = thread::Builder::new().name(one.clone()).spawn(|| panic!("out of order"));
        assert!(thread.unwrap().join().is_err());
        assert!(said(&one).unwrap().contains("out of order"));
        assert_eq!(said(&other), None);
        forget(&one);
        assert_eq!(said(&one), None);
    }
}
