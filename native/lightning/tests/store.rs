//! The store: what was answered is there, one process has it, a later version is left alone, a full disk is waited for.
#![allow(clippy::unwrap_used)]

use ldk_node::lightning::io::ErrorKind;
use ldk_node::lightning::util::persist::{KVStore, KVStoreSync};
use ldk_node::tokio;
use pylon_lightning::store::{FILE, Store, VERSION};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A folder that is removed, and unmounted where it was mounted.
struct Place(PathBuf, bool);

impl Place {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("pylon-store-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path, false)
    }

    /// A file system of one megabyte; None where this user may mount nothing.
    fn small(name: &str) -> Option<Self> {
        let mut place = Self::new(name);
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(&place.0).output();
        place.1 = mount.is_ok_and(|done| done.status.success());
        place.1.then_some(place)
    }

    fn open(&self) -> Arc<Store> {
        Store::open(&self.0, false).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.1 {
            Command::new("umount").arg("-l").arg(&self.0).status().unwrap();
        }
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

fn write(store: &Store, key: &str, value: Vec<u8>) -> bool {
    KVStoreSync::write(store, "ns", "sub", key, value).is_ok()
}

fn read(store: &Store, key: &str) -> Option<Vec<u8>> {
    match KVStoreSync::read(store, "ns", "sub", key) {
        Ok(value) => Some(value),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => panic!("{error}"),
    }
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < end, "waited for: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn what_was_answered_is_there_after_a_restart() {
    let place = Place::new("restart");
    let store = place.open();
    assert!(write(&store, "a", vec![1; 100_000]));
    assert!(write(&store, "a", vec![2]));
    assert!(write(&store, "b", vec![3]));
    KVStoreSync::remove(&*store, "ns", "sub", "b", false).unwrap();
    KVStoreSync::remove(&*store, "ns", "sub", "never", true).unwrap();
    drop(store);
    let store = place.open();
    assert_eq!(read(&store, "a"), Some(vec![2]));
    assert_eq!(read(&store, "b"), None);
    assert_eq!(KVStoreSync::list(&*store, "ns", "sub").unwrap(), ["a"]);
    assert!(KVStoreSync::list(&*store, "ns", "").unwrap().is_empty());
}

#[test]
fn writes_of_one_key_keep_the_order_in_which_they_were_called() {
    let place = Place::new("order");
    let store = place.open();
    let later: Vec<_> = (0..100u8).map(|value| KVStore::write(&*store, "ns", "sub", "key", vec![value])).collect();
    assert!(write(&store, "key", vec![200]));
    assert_eq!(read(&store, "key"), Some(vec![200]));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for future in later.into_iter().rev() {
        runtime.block_on(future).unwrap(); // asked in any order, they were all written before
    }
    assert_eq!(read(&store, "key"), Some(vec![200]));
}

#[test]
fn one_holder_a_folder_until_it_is_closed() {
    let place = Place::new("lock");
    let store = place.open();
    assert_eq!(Store::open(&place.0, false).err().unwrap().code, "locked");
    store.close();
    let second = place.open();
    assert!(!write(&store, "a", vec![1]), "what is closed takes nothing");
    assert!(KVStoreSync::list(&*store, "ns", "sub").is_err(), "and says nothing");
    assert_eq!(read(&second, "a"), None);
}

#[test]
fn a_later_version_is_not_opened_and_not_changed() {
    let place = Place::new("version");
    drop(place.open());
    let version = |path: &Path| -> i64 {
        let connection = rusqlite::Connection::open(path.join(FILE)).unwrap();
        connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap()
    };
    assert_eq!(version(&place.0), VERSION);
    let connection = rusqlite::Connection::open(place.0.join(FILE)).unwrap();
    connection.execute_batch(&format!("PRAGMA user_version={}", VERSION + 1)).unwrap();
    drop(connection);
    assert_eq!(Store::open(&place.0, false).err().unwrap().code, "newer_version");
    assert_eq!(version(&place.0), VERSION + 1);
}

#[test]
fn nobody_else_reads_its_files() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new("mode");
    let store = place.open();
    assert!(write(&store, "a", vec![1]));
    for entry in std::fs::read_dir(&place.0).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.path());
    }
}

#[test]
fn a_full_disk_is_waited_for() {
    let Some(place) = Place::small("full") else {
        eprintln!("not tested: this user may mount nothing");
        return;
    };
    let store = place.open();
    assert!(write(&store, "before", vec![1; 1000]));
    std::fs::write(place.0.join("ballast"), vec![0; 1 << 20]).unwrap_err();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| write(&store, "during", vec![2; 200_000]));
        until("the problem is told", || store.problem().is_some());
        assert!(store.problem().unwrap().contains("full"), "{:?}", store.problem());
        assert!(!writer.is_finished());
        assert_eq!(read(&store, "before"), Some(vec![1; 1000]), "reading goes on");
        std::fs::remove_file(place.0.join("ballast")).unwrap();
        assert!(writer.join().unwrap(), "it was written when there was room");
    });
    assert_eq!(store.problem(), None);
    assert_eq!(read(&store, "during"), Some(vec![2; 200_000]));
}

#[test]
fn a_full_disk_does_not_hold_up_a_stop_for_long() {
    let Some(place) = Place::small("stop") else {
        eprintln!("not tested: this user may mount nothing");
        return;
    };
    let store = place.open();
    assert!(write(&store, "before", vec![1; 1000]));
    std::fs::write(place.0.join("ballast"), vec![0; 1 << 20]).unwrap_err();
    let begin = Instant::now();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| write(&store, "during", vec![2; 200_000]));
        until("the problem is told", || store.problem().is_some());
        store.limit_patience(Duration::from_millis(500));
        assert!(!writer.join().unwrap(), "it was given up, and said so");
        assert!(!write(&store, "after", vec![3; 200_000]), "and so is what comes later");
    });
    store.close();
    assert!(begin.elapsed() < Duration::from_secs(10));
    std::fs::remove_file(place.0.join("ballast")).unwrap();
    let store = place.open();
    assert_eq!(read(&store, "before"), Some(vec![1; 1000]));
    assert_eq!(read(&store, "during"), None);
}
