//! What `make counts` lays callgrind over: `counts NAME N` does one piece of work N times, always with the same input.
//! Without arguments it lists the names.

use pylon_core::batch::{Item, verify_seeded};
use pylon_core::event::{Canonical, Scanned, id_of, scan};
use pylon_core::filter::{Filter, Index, View};
use pylon_core::{bolt11, chunk, keys, nip44};
use std::hint::black_box;

type Work = Box<dyn FnMut()>;
type Make = fn() -> Work;

/// Each piece of work with what makes its input; only the one that is asked for is made.
const WORKS: [(&str, Make); 11] = [
    ("verify", verify),
    ("verify-batch-64", verify_batch),
    ("sign", sign),
    ("event-392", || scan_and_id(16)),
    ("event-2k", || scan_and_id(1_650)),
    ("event-id-2k", event_id),
    ("match-1000-filters-256", match_filters),
    ("nip44-encrypt-1k", nip44_encrypt),
    ("nip44-decrypt-1k", nip44_decrypt),
    ("bolt11-decode", bolt11_decode),
    ("chunk-spans-4k", chunk_spans),
];

fn main() {
    let mut arguments = std::env::args().skip(1);
    let Some(name) = arguments.next() else {
        WORKS.iter().for_each(|(name, _)| println!("{name}"));
        return;
    };
    let (_, make) = WORKS.iter().find(|(known, _)| *known == name).expect("a known name");
    let times: usize = arguments.next().and_then(|text| text.parse().ok()).expect("how many times");
    let mut work = make();
    work();
    (0..times).for_each(|_| work());
}

const SECRET: [u8; 32] = [7; 32];
const AUX: [u8; 32] = [0; 32];

fn signer() -> keys::Signer {
    keys::Signer::new(&SECRET).expect("a secret key")
}

/// 32 bytes that differ for each number.
fn message(number: u8) -> [u8; 32] {
    std::array::from_fn(|place| number.wrapping_mul(31).wrapping_add(place as u8))
}

/// About so many bytes of prose, with quotes and line ends here and there, and a paragraph's end now and then.
fn prose(size: usize) -> String {
    let words = [
        "the", "node", "answers", "a", "\"job\"", "request", "with", "some", "result", "and", "asks", "for\n", "more.",
    ];
    let (mut text, mut state) = (String::new(), 1_u64);
    while text.len() < size {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.push_str(words[(state >> 33) as usize % words.len()]);
        text.push_str(if (state >> 40) % 90 == 0 { "\n\n" } else { " " });
    }
    text.truncate(size);
    text
}

fn verify() -> Work {
    let (key, message) = (signer().pubkey(), message(1));
    let signature = signer().sign(&message, &AUX);
    Box::new(move || assert!(keys::verify(black_box(key), signature, &message)))
}

/// 64 signatures by as many keys, with randomizers from a fixed seed.
fn verify_batch() -> Work {
    let item = |number: u8| {
        let signer = keys::Signer::new(&message(number)).expect("a secret key");
        let message = message(number + 100);
        Item { pubkey: signer.pubkey(), signature: signer.sign(&message, &AUX), message }
    };
    let items: Vec<Item> = (1..=64).map(item).collect();
    Box::new(move || assert!(verify_seeded(black_box(&items), &AUX).into_iter().all(|right| right)))
}

fn sign() -> Work {
    let (signer, message) = (signer(), message(2));
    Box::new(move || {
        black_box(signer.sign(black_box(&message), &AUX));
    })
}

/// A frame as a relay sends it, with one tag.
fn frame(content: usize, job: usize) -> String {
    let (pubkey, content) = (faster_hex::hex_string(&signer().pubkey()), prose(content));
    let mut buffer = Vec::new();
    let mut canonical = Canonical::new(&mut buffer, &pubkey, 1_700_000_000, 5050).expect("fields in range");
    canonical.tag();
    canonical.value("t");
    canonical.value(&format!("job {job}"));
    let (id, escaped) = (canonical.id(&content), content.replace('"', "\\\"").replace('\n', "\\n"));
    let (id_hex, sig) = (faster_hex::hex_string(&id), faster_hex::hex_string(&signer().sign(&id, &AUX)));
    format!(
        r#"["EVENT","sub1",{{"id":"{id_hex}","pubkey":"{pubkey}","created_at":1700000000,"kind":5050,"tags":[["t","job {job}"]],"content":"{escaped}","sig":"{sig}"}}]"#
    )
}

/// Its form, and its id from its own text.
fn scan_and_id(content: usize) -> Work {
    let (frame, mut buffer) = (frame(content, 7), Vec::new());
    Box::new(move || {
        let scanned = scan(black_box(frame.as_bytes())).expect("a frame");
        assert_eq!(id_of(frame.as_bytes(), &scanned, &mut buffer), scanned.id);
    })
}

/// 1,000 filters for tags, authors and kinds.
fn filters() -> Index {
    let mut index = Index::new().expect("a secret");
    for number in 0..1_000 {
        let filter = match number % 4 {
            0 => Filter { authors: Some(vec![message((number / 4) as u8)]), ..Filter::default() },
            1 => Filter { kinds: Some(vec![5049 + number as u16]), since: Some(1), ..Filter::default() },
            _ => Filter { tags: vec![(b't', vec![format!("job {number}").into_bytes().into()])], ..Filter::default() },
        };
        index.add(number, filter);
    }
    index
}

/// 4 events, which two filters each want, against 64 indexes: the secrets of so many even out what one secret does to the count.
fn match_filters() -> Work {
    let indexes: Vec<Index> = (0..64).map(|_| filters()).collect();
    let texts: Vec<String> = (0..4).map(|number| frame(200, 4 * number + 2)).collect();
    let scanned: Vec<Scanned> = texts.iter().map(|text| scan(text.as_bytes()).expect("a frame")).collect();
    let mut found = Vec::new();
    Box::new(move || {
        for index in &indexes {
            for (text, event) in texts.iter().zip(&scanned) {
                index.matches(black_box(&View::new(text.as_bytes(), event)), &mut found);
                assert_eq!(found.len(), 2);
            }
        }
    })
}

fn event_id() -> Work {
    let (pubkey, content, mut buffer) = (faster_hex::hex_string(&signer().pubkey()), prose(1_650), Vec::new());
    Box::new(move || {
        let mut canonical = Canonical::new(&mut buffer, &pubkey, 1_700_000_000, 5050).expect("fields in range");
        canonical.tag();
        canonical.value("t");
        canonical.value("x");
        black_box(canonical.id(black_box(&content)));
    })
}

fn nip44_encrypt() -> Work {
    let plaintext = prose(1_024);
    Box::new(move || {
        black_box(nip44::encrypt(&message(3), black_box(plaintext.as_bytes()), &message(4)).expect("a plaintext"));
    })
}

fn nip44_decrypt() -> Work {
    let payload = nip44::encrypt(&message(3), prose(1_024).as_bytes(), &message(4)).expect("a plaintext");
    Box::new(move || {
        black_box(nip44::decrypt(&message(3), black_box(&payload)).expect("a payload"));
    })
}

fn bolt11_decode() -> Work {
    let draft = bolt11::Draft {
        currency: "bcrt",
        amount_msat: Some(1_000_000),
        payment_hash: &message(5),
        payment_secret: &message(6),
        description: "one answer",
        timestamp: 1_700_000_000,
        expiry: 600,
        min_final_cltv_expiry: 18,
    };
    let invoice = bolt11::encode(&SECRET, &draft).expect("an invoice");
    Box::new(move || {
        black_box(bolt11::decode(black_box(&invoice)).expect("an invoice"));
    })
}

/// 256 KB into spans of at most 4 KB.
fn chunk_spans() -> Work {
    let text = prose(256 << 10);
    Box::new(move || {
        black_box(chunk::ends(black_box(text.as_bytes()), 4096, false).expect("a limit"));
    })
}
