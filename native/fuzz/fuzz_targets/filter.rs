//! Filters come and go and events arrive: the index must find what asking every filter finds.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pylon_core::filter::{Index, View};
use pylon_fuzz::interest::{Happening, Step, Wanted, bytes, kind};
use std::collections::BTreeMap;

type Model = BTreeMap<u64, Vec<Wanted>>;

fuzz_target!(|steps: Vec<Step>| {
    let Ok(mut index) = Index::new() else { return };
    let mut model = Model::new();
    for step in steps {
        match step {
            Step::Add(key, wanted) => {
                index.add(u64::from(key), wanted.filter());
                model.entry(u64::from(key)).or_default().push(wanted);
            }
            Step::Remove(key) => {
                let gone = model.remove(&u64::from(key)).map_or(0, |filters| filters.len());
                assert_eq!(index.remove(u64::from(key)), gone);
            }
            Step::Match(event) => agrees(&index, &model, &event),
        }
        assert_eq!(index.len(), model.values().map(Vec::len).sum::<usize>());
    }
});

fn agrees(index: &Index, model: &Model, event: &Happening) {
    let (id, pubkey, tags) = (bytes(event.id), bytes(event.pubkey), event.tags());
    let (created_at, kind) = (u64::from(event.created_at), kind(event.kind));
    let view = View { id: &id, pubkey: &pubkey, created_at, kind, tags: tags.as_bytes() };
    let matching = |filters: &Vec<Wanted>| filters.iter().any(|wanted| wanted.matches(event));
    let expected: Vec<u64> = model.iter().filter(|(_, filters)| matching(filters)).map(|(key, _)| *key).collect();
    let mut found = vec![0];
    index.matches(&view, &mut found);
    assert_eq!(found, expected);
    assert_eq!(index.matches_any(&view), !expected.is_empty());
    for wanted in model.values().flatten() {
        assert_eq!(wanted.filter().matches(&view), wanted.matches(event));
    }
}
