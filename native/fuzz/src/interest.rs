//! Filters and events from so few values that they often match, and what NIP-01 says of each pair, word for word.

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use pylon_core::filter::Filter;

/// Eight letters, of either case.
const LETTERS: [u8; 8] = *b"epatEPdz";
/// Values of tags, as JSON writes them and as they read.
const VALUES: [(&str, &str); 8] = [
    ("", ""),
    ("a", "a"),
    (r"\u0061", "a"),
    (r#"\"]["#, "\"]["),
    (r"\\", "\\"),
    ("🦊", "🦊"),
    (r"\ud83e\udd8a", "🦊"),
    ("a value of more than sixteen bytes", "a value of more than sixteen bytes"),
];
/// Names of tags that no filter can ask for, and one that is a letter in disguise.
const NAMES: [(&str, &str); 4] = [("", ""), ("ee", "ee"), ("é", "é"), (r"\u0065", "e")];

/// What happens to an index.
#[derive(Arbitrary, Debug)]
pub enum Step {
    /// A filter comes.
    Add(u8, Wanted),
    /// The filters of a key go.
    Remove(u8),
    /// An event comes.
    Match(Happening),
}

/// A filter, each of whose values stands for one of the values above.
#[derive(Arbitrary, Clone, Debug)]
#[expect(missing_docs, reason = "NIP-01 names them")]
pub struct Wanted {
    pub ids: Option<Vec<u8>>,
    pub authors: Option<Vec<u8>>,
    pub kinds: Option<Vec<u8>>,
    pub tags: Vec<(u8, Vec<u8>)>,
    pub since: Option<u8>,
    pub until: Option<u8>,
}

/// An event, likewise.
#[derive(Arbitrary, Debug)]
#[expect(missing_docs, reason = "NIP-01 names them")]
pub struct Happening {
    pub id: u8,
    pub pubkey: u8,
    pub created_at: u8,
    pub kind: u8,
    pub tags: Vec<(u8, Vec<u8>)>,
    /// White space between the parts of the tags.
    pub loose: bool,
}

fn value(which: u8) -> (&'static str, &'static str) {
    VALUES[usize::from(which) % VALUES.len()]
}

fn letter(which: u8) -> u8 {
    LETTERS[usize::from(which) % LETTERS.len()]
}

fn name(which: u8) -> (String, String) {
    match NAMES.get(usize::from(which) % 16) {
        Some((written, read)) => ((*written).to_owned(), (*read).to_owned()),
        None => (char::from(letter(which)).to_string(), char::from(letter(which)).to_string()),
    }
}

/// One of four ids or keys.
#[must_use]
pub fn bytes(which: u8) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[usize::from(which >> 1 & 1) * 31] = which & 1;
    bytes
}

/// One of four kinds.
#[must_use]
pub fn kind(which: u8) -> u16 {
    [0, 1, 256, 65_535][usize::from(which % 4)]
}

impl Wanted {
    /// The filter itself.
    #[must_use]
    pub fn filter(&self) -> Filter {
        let list = |values: &[u8]| values.iter().copied().map(bytes).collect();
        Filter {
            ids: self.ids.as_deref().map(list),
            authors: self.authors.as_deref().map(list),
            kinds: self.kinds.as_ref().map(|kinds| kinds.iter().copied().map(kind).collect()),
            tags: self.tags.iter().map(|(name, values)| (letter(*name), texts(values))).collect(),
            since: self.since.map(u64::from),
            until: self.until.map(u64::from),
        }
    }

    /// Whether an event meets every condition.
    #[must_use]
    pub fn matches(&self, event: &Happening) -> bool {
        let one_of = |list: &Option<Vec<u8>>, own: u8, what: fn(u8) -> [u8; 32]| {
            list.as_ref().is_none_or(|list| list.iter().any(|&one| what(one) == what(own)))
        };
        one_of(&self.ids, event.id, bytes)
            && one_of(&self.authors, event.pubkey, bytes)
            && self.kinds.as_ref().is_none_or(|kinds| kinds.iter().any(|&one| kind(one) == kind(event.kind)))
            && self.since.is_none_or(|since| since <= event.created_at)
            && self.until.is_none_or(|until| event.created_at <= until)
            && self.tags.iter().all(|(asked, wanted)| {
                event.tags.iter().filter(|(tag, _)| *tag < 240).any(|(tag, values)| {
                    name(*tag).1.as_bytes() == [letter(*asked)]
                        && values.first().is_some_and(|first| wanted.iter().any(|&one| value(one).1 == value(*first).1))
                })
            })
    }
}

impl Happening {
    /// The JSON text of the tags.
    #[must_use]
    pub fn tags(&self) -> String {
        let space = if self.loose { "\t \n" } else { "" };
        let comma = format!("{space},{space}");
        let tag = |(tag, values): &(u8, Vec<u8>)| {
            // Every 16th tag is empty.
            let written = (*tag < 240).then(|| name(*tag).0);
            let values = if written.is_some() { values.as_slice() } else { &[] };
            let strings = written.into_iter().chain(values.iter().map(|&one| value(one).0.to_owned()));
            let strings: Vec<String> = strings.map(|string| format!("\"{string}\"")).collect();
            format!("[{space}{}{space}]", strings.join(&comma))
        };
        format!("[{space}{}{space}]", self.tags.iter().map(tag).collect::<Vec<_>>().join(&comma))
    }
}

fn texts(values: &[u8]) -> Vec<Box<[u8]>> {
    values.iter().map(|&one| Box::from(value(one).1.as_bytes())).collect()
}
