//! Events through the public face of the core: what `cargo test` alone can say without Python.

use pylon_core::event::{
    BAD_ID, BAD_SIGNATURE, BAD_UTF8, Canonical, OK, Part, SYNTAX, check_ids, id_codes, id_of, scan, tags, unescaped,
};
use pylon_core::ingest::codes;
use pylon_core::keys::{Signer, public_key, verify};
use pylon_core::{Error, bip32, bolt11, nip44, seal};

fn hex(bytes: &[u8]) -> String {
    faster_hex::hex_string(bytes)
}

fn signed(content: &str, written: &str) -> String {
    let signer = Signer::new(&[7; 32]).expect("a secret key");
    let pubkey = hex(&signer.pubkey());
    let mut buffer = Vec::new();
    let mut canonical = Canonical::new(&mut buffer, &pubkey, 1, 1).expect("fields in range");
    canonical.tag();
    canonical.value("p");
    canonical.value("a\"b");
    canonical.tag();
    let id = canonical.id(content);
    let (id_hex, sig) = (hex(&id), hex(&signer.sign(&id, &[0; 32])));
    format!(
        r#"{{"id":"{id_hex}","pubkey":"{pubkey}","created_at":1,"kind":1,"tags":[["p","a\"b"],[]],"content":"{written}","sig":"{sig}"}}"#
    )
}

/// An event is accepted in every spelling of its JSON and refused when anything else changes.
#[test]
fn checks_events() {
    let good = signed("a/\n\u{1}🦊", r"a/\n\u0001🦊");
    let loose = good.replace("a/", r"a\/").replace('🦊', r"\ud83e\udd8a").replace("[[", "[ [ ").replace(':', " :\t");
    let half = good.replace('🦊', r"\ud83e");
    let other = good.replace('🦊', "🐻");
    let unsigned = good.replace(&good[good.len() - 10..good.len() - 2], "00000000");
    let found = codes(&[&*good, &loose, &half, &other, &unsigned, "", "{}"], true);
    assert_eq!(found, [OK, OK, SYNTAX, BAD_ID, BAD_SIGNATURE, SYNTAX, SYNTAX]);
    assert_eq!(codes(&[b"\xff"], true)[0], BAD_UTF8);
}

/// A whole frame is taken as its event is; nothing else may stand in it.
#[test]
fn scans_frames() {
    let event = signed("a", "\\u0061");
    let text = format!(r#" [ "EVENT" , "s\u0075b" , {event} ] "#);
    let scanned = scan(text.as_bytes()).expect("a frame");
    assert_eq!(&text[scanned.object.0..scanned.object.1], event);
    assert_eq!(*unescaped(text.as_bytes(), scanned.subscription.expect("a subscription")), *b"sub");
    assert_eq!(*unescaped(text.as_bytes(), scanned.content), *b"a");
    assert_eq!((scanned.created_at, scanned.kind, scanned.content.canonical), (1, 1, false));
    assert_eq!(id_of(text.as_bytes(), &scanned, &mut Vec::new()), scanned.id);
    let raw = scanned.tags.of(text.as_bytes());
    let parts: Vec<_> = tags(raw)
        .map(|part| match part {
            Part::Value(value) => Some(unescaped(raw, value).into_owned()),
            Part::End => None,
        })
        .collect();
    assert_eq!(parts, [Some(b"p".to_vec()), Some(b"a\"b".to_vec()), None, None]);
    let bare = format!(r#"["EVENT",{event}]"#);
    assert_eq!(check_ids(&[&bare])[0].map(|scanned| scanned.subscription), Ok(None));
    let others = [
        format!(r#"["EVENT",1,{event}]"#),
        format!(r#"["EVENT","a","b",{event}]"#),
        format!(r#"["EVENT",{event},"a"]"#),
        format!(r#"["EVENT",{event},]"#),
        format!(r#"["event",{event}]"#),
        format!(r#"["EVENT",{event}"#),
        format!(r#"["EVENT",{event}]]"#),
        format!(r#"[{event}]"#),
        r#"["EVENT","a"]"#.to_owned(),
    ];
    assert_eq!(id_codes(&others), [SYNTAX; 9]);
}

/// Any cut of an event, at any byte, has a code and no panic.
#[test]
fn cuts() {
    let good = signed("x🦊\\\"", r#"x\ud83e\udd8a\\\""#);
    for end in 0..good.len() {
        assert_ne!(codes(&[&good.as_bytes()[..end]], true)[0], OK);
        assert_ne!(codes(&[&good.as_bytes()[end + 1..]], true)[0], OK);
    }
}

/// A signature of a message of any length holds for that message alone.
#[test]
fn signs() {
    let signer = Signer::new(&[7; 32]).expect("a secret key");
    for length in [0, 1, 31, 32, 33, 1000] {
        let message = vec![5; length];
        let signature = signer.sign(&message, &[1; 32]);
        assert!(verify(signer.pubkey(), signature, &message));
        assert!(!verify(signer.pubkey(), signature, b"another"));
    }
    assert_eq!(public_key(&[7; 32]).expect("a secret key")[1..], signer.pubkey());
    assert_eq!(Signer::new(&[0; 32]).err(), Some(Error::SecretKey));
}

/// What is encrypted comes back, and the limits hold.
#[test]
fn encrypts() {
    let key = nip44::conversation_key(&[7; 32], &public_key(&[8; 32]).expect("a secret key")[1..]).expect("two keys");
    for length in [1, 32, 33, 65_535, 65_536, 70_000] {
        let plaintext = vec![b'a'; length];
        let payload = nip44::encrypt(&key, &plaintext, &[9; 32]).expect("a plaintext");
        assert_eq!(nip44::decrypt(&key, &payload).expect("our own payload"), plaintext);
        assert_eq!(nip44::decrypt(&[0; 32], &payload), Err(Error::Decrypt));
    }
    assert_eq!(nip44::encrypt(&key, b"", &[9; 32]), Err(Error::Plaintext));
    let sealed = seal::seal(&[1; 32], &[2; 24], b"secret", b"name").expect("a key and a nonce");
    assert_eq!(seal::unseal(&[1; 32], &[2; 24], &sealed, b"name").expect("our own"), b"secret");
    assert_eq!(seal::unseal(&[1; 32], &[2; 24], &sealed, b"other"), Err(Error::Decrypt));
}

/// An invoice of ours is read back; a changed one is not.
#[test]
fn invoices() {
    let draft = bolt11::Draft {
        currency: "bcrt",
        amount_msat: Some(1_000),
        payment_hash: &[1; 32],
        payment_secret: &[2; 32],
        description: "coffee ☕",
        timestamp: 1_700_000_000,
        expiry: 60,
        min_final_cltv_expiry: 18,
    };
    let text = bolt11::encode(&[7; 32], &draft).expect("a draft in range");
    let invoice = bolt11::decode(&text).expect("our own invoice");
    assert_eq!((invoice.currency, invoice.amount_msat, invoice.expiry), ("bcrt", Some(1_000), 60));
    assert_eq!(invoice.payee, public_key(&[7; 32]).expect("a secret key"));
    assert_eq!(bolt11::decode(&text.to_uppercase()), Ok(invoice));
    assert!(bolt11::decode(&text.replacen("10n", "20n", 1)).is_err());
    assert!(bip32::derive(&[0; 64], "m/0'/1").is_ok());
    assert!(bip32::derive(&[0; 64], "m/0''").is_err());
}
