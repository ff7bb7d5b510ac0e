//! The index of filters against the plain definition of a match, on filters and events over few values, so that they meet.

use pylon_core::filter::{Filter, Index, View};
use std::collections::BTreeMap;

/// Numbers that look random, the same in every run (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as usize % end
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// None now and then, else up to three, some of them twice.
    fn some<T: Copy>(&mut self, of: &[T]) -> Option<Vec<T>> {
        (self.below(3) > 0).then(|| (0..self.below(4)).map(|_| self.one(of)).collect())
    }

    fn filter(&mut self) -> Filter {
        let mut letters: Vec<u8> = self.some(b"aeEtZ\x00#").unwrap_or_default();
        letters.sort_unstable();
        letters.dedup();
        let values = ["", "a", "b", "\"\\", "\u{e9}", "\u{1f600}"];
        let time = |n: usize| Some(n as u64).filter(|&time| time < 8);
        Filter {
            ids: self.some(&[[1; 32], [2; 32]]).filter(|_| self.below(3) == 0),
            authors: self.some(&[[1; 32], [2; 32]]),
            kinds: self.some(&[0, 1, 65535]),
            tags: letters
                .into_iter()
                .map(|letter| (letter, (0..=self.below(3)).map(|_| Box::from(self.one(&values).as_bytes())).collect()))
                .collect(),
            since: time(self.below(24)),
            until: time(self.below(12)),
        }
    }

    /// The text of tags in one of its many spellings.
    fn tags(&mut self) -> String {
        let names = ["a", "e", "E", "t", "Z", "", "ee", "#", "\u{e9}", r"\u0065", r"\\", r"\u005a"];
        let values =
            ["", "a", "b", r#"\"\\"#, r"\u0022\u005c", r"\u0061", "\u{e9}", r"\u00E9", r"\ud83d\uDE00", "]", "[", ","];
        let space = ["", "", "", " ", "\n\t "];
        let mut text = String::from("[");
        for tag in 0..self.below(5) {
            text += if tag == 0 { "" } else { "," };
            text += self.one(&space);
            text += "[";
            for item in 0..self.below(4) {
                text += self.one(&space);
                text += if item == 0 { "" } else { "," };
                text += self.one(&space);
                text += "\"";
                text += if item == 0 { self.one(&names) } else { self.one(&values) };
                text += "\"";
            }
            text += self.one(&space);
            text += "]";
        }
        text + self.one(&space) + "]"
    }
}

const IDS: [[u8; 32]; 3] = [[1; 32], [2; 32], [3; 32]];

/// While filters come and go, every event finds exactly the keys of which a filter matches, each once.
#[test]
fn finds_what_matches() {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut index = Index::new().expect("randomness");
    let mut filters: BTreeMap<u64, Vec<Filter>> = BTreeMap::new();
    let (mut found, mut hits) = (vec![9], 0);
    for round in 0..30_000 {
        let key = numbers.below(40) as u64;
        if numbers.below(5) < 2 {
            assert_eq!(index.remove(key), filters.remove(&key).map_or(0, |gone| gone.len()));
        } else {
            let filter = numbers.filter();
            index.add(key, filter.clone());
            filters.entry(key).or_default().push(filter);
        }
        assert_eq!(index.len(), filters.values().map(Vec::len).sum());
        let tags = numbers.tags();
        let event = View {
            id: &numbers.one(&IDS),
            pubkey: &numbers.one(&IDS),
            created_at: numbers.below(9) as u64,
            kind: numbers.one(&[0, 1, 2, 65535]),
            tags: tags.as_bytes(),
        };
        let wanted = filters.iter().filter(|(_, all)| all.iter().any(|filter| filter.matches(&event)));
        let wanted: Vec<u64> = wanted.map(|(&key, _)| key).collect();
        index.matches(&event, &mut found);
        assert_eq!(found, wanted, "round {round}: {event:?}");
        assert_eq!(index.matches_any(&event), !wanted.is_empty());
        hits += wanted.len();
    }
    assert!(hits > 30_000);
    for key in 0..40 {
        index.remove(key);
    }
    assert!(index.is_empty());
}

fn view(tags: &str) -> View<'_> {
    View { id: &[1; 32], pubkey: &[2; 32], created_at: 5, kind: 1, tags: tags.as_bytes() }
}

fn tagged(letter: u8, value: &str) -> Filter {
    Filter { tags: vec![(letter, vec![Box::from(value.as_bytes())])], ..Filter::default() }
}

/// Only the string right after a name of one ASCII letter counts, whatever it holds and however it is written.
#[test]
fn reads_tags() {
    let both = |tags: &str, letter, value| {
        let mut index = Index::new().expect("randomness");
        index.add(1, tagged(letter, value));
        let found = index.matches_any(&view(tags));
        assert_eq!(found, tagged(letter, value).matches(&view(tags)), "{tags}");
        found
    };
    for tags in [
        r#"[["e","x"]]"#,
        r#"[["p","x"],["e","x","y"]]"#,
        r#"[[],["e"],["e","x"]]"#,
        r#"[["\u0065","\u0078"]]"#,
        "[ [ \"e\" ,\n\"x\" ] ]",
        r#"[["t","]],[\"e\"","["],["e","x"]]"#,
    ] {
        assert!(both(tags, b'e', "x"), "{tags}");
    }
    for tags in [
        "[]",
        r#"[["e"]]"#,
        r#"[["e","y","x"]]"#,
        r#"[["E","x"]]"#,
        r#"[["ee","x"]]"#,
        r#"[["","e","x"]]"#,
        r#"[["t","\"e\",\"x\""]]"#,
        r#"[["e","\\u0078"]]"#,
    ] {
        assert!(!both(tags, b'e', "x"), "{tags}");
    }
    assert!(both(r#"[["e",""]]"#, b'e', ""));
    assert!(!both("[[\"\u{e9}\",\"x\"]]", 0xe9, "x"));
    assert!(!both(r#"[["1","x"]]"#, b'1', "x"));
}

/// Text that is no array of tags does no harm: any cut of one, at any byte.
#[test]
fn cuts() {
    let text = "[ [\"e\",\"x\\u0078\"], [\"p\" ,\"\\\"\u{1f600}]\" ] ]";
    let mut index = Index::new().expect("randomness");
    index.add(1, tagged(b'e', "xx"));
    let mut found = Vec::new();
    for end in (0..=text.len()).filter(|&end| text.is_char_boundary(end)) {
        index.matches(&view(&text[..end]), &mut found);
        index.matches(&view(&text[end..]), &mut found);
    }
    index.matches(&view(text), &mut found);
    assert_eq!(found, [1]);
}

/// Filters with many values against events with many tags find what the plain definition finds.
#[test]
fn many_values_and_many_tags() {
    let mut numbers = Numbers(0x2545_f491_4f6c_dd1d);
    let mut index = Index::new().expect("randomness");
    let (mut filters, mut found, mut hits) = (Vec::new(), Vec::new(), 0);
    for key in 0..300 {
        let mut values =
            || (0..=numbers.below(20)).map(|_| Box::from(numbers.below(400).to_string().as_bytes())).collect();
        let tags = [(b'e', values()), (b'p', values())];
        let since = Some(numbers.below(12) as u64);
        let until = Some(numbers.below(24) as u64).filter(|&time| time < 12);
        let kinds = numbers.some(&[0, 1, 2]);
        let filter = Filter { tags: tags[numbers.below(2)..].to_vec(), kinds, since, until, ..Filter::default() };
        index.add(key / 2, filter.clone());
        filters.push((key / 2, filter));
    }
    for _ in 0..500 {
        let tag = |_| format!(r#"["{}","{}"]"#, numbers.one(&["e", "p"]), numbers.below(400));
        let tags: Vec<String> = (0..60).map(tag).collect();
        let tags = format!("[{}]", tags.join(","));
        let event = View { created_at: numbers.below(12) as u64, kind: numbers.one(&[0, 1, 2, 3]), ..view(&tags) };
        let mut wanted: Vec<u64> = filters.iter().filter(|(_, one)| one.matches(&event)).map(|(key, _)| *key).collect();
        wanted.dedup();
        index.matches(&event, &mut found);
        assert_eq!(found, wanted);
        hits += found.len();
    }
    assert!(hits > 1_000, "{hits}");
}
