//! Canonical bytes and ids against an encoder that writes one character after another.

use pylon_core::event::{BAD_ID, Canonical, OK, SYNTAX, check_ids, id_codes, id_of, scan};
use sha2::{Digest, Sha256};

const PUBKEY: &str = "d8a4962732ef09d16193252781c929f82d8e79cf67d8f3f7ce4c82f7c3807997";

/// A string as NIP-01 writes it.
fn written(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out + "\""
}

/// A string with every character as `\uXXXX`.
fn escaped(text: &str) -> String {
    text.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect()
}

fn id(tag: &str, content: &str) -> [u8; 32] {
    let text = format!(r#"[0,"{PUBKEY}",1,1,[["t",{}]],{}]"#, written(tag), written(content));
    Sha256::digest(text).into()
}

fn event(id: [u8; 32], tag: &str, content: &str) -> String {
    let (id, sig) = (faster_hex::hex_string(&id), "0".repeat(128));
    format!(
        r#"{{"id":"{id}","pubkey":"{PUBKEY}","created_at":1,"kind":1,"tags":[["t",{tag}]],"content":{content},"sig":"{sig}"}}"#
    )
}

/// The id of Python's path: one value after another.
fn built(tag: &str, content: &str) -> [u8; 32] {
    let mut buffer = Vec::new();
    let mut canonical = Canonical::new(&mut buffer, PUBKEY, 1, 1).expect("fields in range");
    canonical.tag();
    canonical.value("t");
    canonical.value(tag);
    canonical.id(content)
}

/// Every character there is, in a tag and in the content, raw where JSON allows it and as `\uXXXX`.
#[test]
fn every_character() {
    let mut buffer = Vec::new();
    let all: Vec<char> = (0..=0x10FFFF).filter_map(char::from_u32).collect();
    for some in all.chunks(97) {
        let text: String = some.iter().collect();
        let expected = id(&text, &text);
        assert_eq!(built(&text, &text), expected, "{some:?}");
        for spelled in [written(&text), format!("\"{}\"", escaped(&text))] {
            let event = event(expected, &spelled, &spelled);
            let scanned = scan(event.as_bytes()).unwrap_or_else(|code| panic!("{some:?}: code {code}"));
            assert_eq!(id_of(event.as_bytes(), &scanned, &mut buffer), expected, "{some:?}");
        }
    }
}

/// Characters that are special, at every place of texts as long as a few blocks.
#[test]
fn every_place() {
    let specials = ['"', '\\', '\n', '\u{8}', '\u{1}', '\u{1f}', '/', 'é', '🦊'];
    let mut events = Vec::new();
    for length in [0, 1, 30, 62, 63, 64, 65, 127, 128, 129, 200] {
        for at in 0..=length {
            let special = specials[at % specials.len()];
            let mut text = "a".repeat(at);
            text.extend([special, special]);
            text.push_str(&"b".repeat(length - at));
            let expected = id("x", &text);
            assert_eq!(built("x", &text), expected, "{text:?}");
            for spelled in [written(&text), format!("\"{}\"", escaped(&text)), written(&text).replace('/', "\\/")] {
                events.push(event(expected, "\"x\"", &spelled));
            }
        }
    }
    assert!(id_codes(&events).iter().all(|&code| code == OK));
    assert!(check_ids(&events).iter().all(Result::is_ok));
}

/// Runs of backslashes of every length at every place: an even number ends before the quote, an odd number escapes it.
#[test]
fn backslashes() {
    for before in 0..70 {
        for count in 0..140 {
            let spelled = format!("\"{}{}\"", "a".repeat(before), "\\".repeat(count));
            let event = event([0; 32], "\"x\"", &spelled);
            let expected = if count % 2 == 0 { BAD_ID } else { SYNTAX };
            assert_eq!(id_codes(&[&event]), [expected], "{before} letters, {count} backslashes");
            if count % 2 == 0 {
                let text = "a".repeat(before) + &"\\".repeat(count / 2);
                let scanned = scan(event.as_bytes()).expect("an event");
                assert_eq!(id_of(event.as_bytes(), &scanned, &mut Vec::new()), id("x", &text));
            }
        }
    }
}

/// A batch gives each event its own verdict, whatever stands beside it and however long.
#[test]
fn batches() {
    let mut texts = Vec::new();
    let mut expected = Vec::new();
    for i in 0..40 {
        let content = "x".repeat([0, 10, 1_000, 64, 100_000][i % 5]);
        let good = event(id("x", &content), "\"x\"", &written(&content));
        let (text, code) = match i % 3 {
            0 => (good, OK),
            1 => (good.replace("\"kind\":1", "\"kind\":2"), BAD_ID),
            _ => (good + "x", SYNTAX),
        };
        texts.push(text);
        expected.push(code);
    }
    for count in 0..texts.len() {
        assert_eq!(id_codes(&texts[..count]), expected[..count]);
    }
    for (text, verdict) in texts.iter().zip(check_ids(&texts)) {
        assert_eq!(verdict.is_ok(), id_codes(&[text]) == [OK]);
        assert!(verdict.is_err() || verdict == scan(text.as_bytes()));
    }
}

/// Texts that are deep or long are refused or read in the time that their length takes.
#[test]
fn bombs() {
    const MANY: usize = 1 << 20;
    let whole = event([0; 32], "\"x\"", "\"\"");
    let in_tags = |inside: String| whole.replace(r#"[["t","x"]]"#, &inside);
    let in_content = |inside: String| whole.replace(r#""content":"""#, &format!(r#""content":"{inside}""#));
    let refused = [
        "[".repeat(MANY),
        "{\"id\":".repeat(MANY),
        in_tags("[".repeat(MANY)),
        in_tags("[".repeat(MANY) + &"]".repeat(MANY)),
        in_tags("[[\"".repeat(MANY)),
        in_tags(format!("[{}]", "[],".repeat(MANY))),
        in_content("\\u".repeat(MANY)),
        in_content("\\ud83e".repeat(MANY)),
        whole.replace("\"kind\":1", &format!("\"kind\":{}", "1".repeat(MANY))),
        whole.replace("\"kind\":1", &"\"kind\":1,".repeat(MANY)),
        whole.replace("\"kind\"", &format!("\"{}\"", "\\u006b".repeat(MANY))),
    ];
    assert_eq!(id_codes(&refused), [SYNTAX; 11]);
    let read = [
        in_tags(format!("[{}[]]", "[],".repeat(MANY))),
        in_tags(format!("[[{}\"\"]]", "\"\",".repeat(MANY))),
        in_tags(format!("[{}[]]", " ".repeat(MANY))),
        in_content("\\\\".repeat(MANY)),
        in_content("\\u00e9".repeat(MANY)),
        in_content("\\/".repeat(MANY)),
    ];
    assert_eq!(id_codes(&read), [BAD_ID; 6]);
}
