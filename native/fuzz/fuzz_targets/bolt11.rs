//! Any text as an invoice, as it is and with its checksum and signature made anew: what is read must say what a slow
//! reader finds in its words, and an invoice of nothing but simple fields has to be read.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pylon_core::bolt11::{Invoice, MAX_LENGTH, decode};
use pylon_fuzz::invoice::{amount, read, sign, split};

fuzz_target!(|text: &str| {
    if let Ok(invoice) = decode(text) {
        agrees(text, &invoice);
    }
    let Some((hrp, words)) = split(text) else { return };
    let signed = sign(&hrp, words);
    match decode(&signed) {
        Ok(invoice) => {
            agrees(&signed, &invoice);
            assert_eq!(decode(&signed.to_ascii_uppercase()), Ok(invoice));
        }
        Err(error) => assert!(!simple(&signed), "{error}: {signed}"),
    }
});

fn agrees(text: &str, invoice: &Invoice) {
    let (hrp, words) = split(text).expect("what was read is bech32");
    let slow = read(&words).expect("what was read has whole fields");
    assert_eq!(amount(&hrp), Some(invoice.amount_msat));
    assert!(hrp[2..].starts_with(invoice.currency));
    assert_eq!(slow.timestamp, invoice.timestamp);
    assert_eq!(slow.payment_hash.as_deref(), Some(&invoice.payment_hash[..]));
    assert_eq!(slow.payment_secret.as_deref(), Some(&invoice.payment_secret[..]));
    assert_eq!(slow.description.as_deref(), invoice.description.as_ref().map(String::as_bytes));
    assert_eq!(slow.expiry.unwrap_or(3_600), invoice.expiry);
    assert_eq!(slow.min_final_cltv_expiry.unwrap_or(18), invoice.min_final_cltv_expiry);
}

fn simple(text: &str) -> bool {
    let Some((hrp, words)) = split(text) else { return false };
    text.len() <= MAX_LENGTH && amount(&hrp).is_some() && read(&words).is_some_and(|slow| slow.simple)
}
