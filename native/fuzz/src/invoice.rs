//! BOLT11 invoices word by word (a word has five bits): signed anew after every mutation, and read field by field.

use bitcoin::hashes::{Hash, sha256};
use bitcoin::secp256k1::{Message, Secp256k1, SecretKey};

const CHARSET: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
/// The words of a signature and its recovery id.
const SIGNATURE: usize = 104;
const CHECKSUM: usize = 6;
/// The words of the timestamp.
const TIMESTAMP: usize = 7;

/// The human-readable part and the words of a bech32 string, checksum and signature cut off unseen.
#[must_use]
pub fn split(text: &str) -> Option<(String, Vec<u8>)> {
    let text = text.to_ascii_lowercase();
    let (hrp, data) = text.rsplit_once('1')?;
    let words: Option<Vec<u8>> = data
        .bytes()
        .map(|c| CHARSET.iter().position(|&known| known == c).and_then(|word| u8::try_from(word).ok()))
        .collect();
    let mut words = words?;
    words.truncate(words.len().checked_sub(SIGNATURE + CHECKSUM)?);
    Some((hrp.to_owned(), words))
}

/// The invoice with these words, signed by a key of our own.
#[must_use]
pub fn sign(hrp: &str, mut words: Vec<u8>) -> String {
    let preimage = [hrp.as_bytes(), &bytes(&words, true)].concat();
    let message = Message::from_digest(sha256::Hash::hash(&preimage).to_byte_array());
    let key = SecretKey::from_slice(&[7; 32]).expect("a secret key");
    let (recovery, compact) = Secp256k1::signing_only().sign_ecdsa_recoverable(&message, &key).serialize_compact();
    let mut signature = compact.to_vec();
    signature.push(u8::try_from(recovery.to_i32()).expect("0 to 3"));
    for i in 0..SIGNATURE {
        words.push(
            (0..5).fold(0, |word, bit| word << 1 | (signature[(5 * i + bit) / 8] >> (7 - (5 * i + bit) % 8) & 1)),
        );
    }
    let check = polymod(hrp, &words);
    words.extend((0..CHECKSUM).map(|i| (check >> (5 * (CHECKSUM - 1 - i)) & 31) as u8));
    let data: String = words.iter().map(|&word| char::from(CHARSET[usize::from(word)])).collect();
    format!("{hrp}1{data}")
}

/// The bech32 checksum (BIP-173) of these words.
fn polymod(hrp: &str, words: &[u8]) -> u32 {
    let high = hrp.bytes().map(|c| c >> 5);
    let low = hrp.bytes().map(|c| c & 31);
    let mut check = 1u32;
    for value in high.chain([0]).chain(low).chain(words.iter().copied()).chain([0; CHECKSUM]) {
        let top = check >> 25;
        check = (check & 0x1ff_ffff) << 5 ^ u32::from(value);
        for (bit, generator) in
            [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3].into_iter().enumerate()
        {
            if top >> bit & 1 == 1 {
                check ^= generator;
            }
        }
    }
    check ^ 1
}

/// The bytes in the words; what is left over makes one more byte if `padded`, and is dropped otherwise.
fn bytes(words: &[u8], padded: bool) -> Vec<u8> {
    let bit = |at: usize| words.get(at / 5).map_or(0, |word| word >> (4 - at % 5) & 1);
    let bits = 5 * words.len();
    let size = if padded { bits.div_ceil(8) } else { bits / 8 };
    (0..size).map(|i| (0..8).fold(0, |byte, k| byte << 1 | bit(8 * i + k))).collect()
}

fn number(words: &[u8]) -> Option<u64> {
    words.iter().try_fold(0u64, |value, &word| value.checked_mul(32)?.checked_add(u64::from(word)))
}

/// What the words of an invoice say of the fields that a payment needs.
#[derive(Debug, Default)]
pub struct Slow {
    /// Unix seconds.
    pub timestamp: u64,
    /// Of the first field `p` with 52 words, as all below are.
    pub payment_hash: Option<Vec<u8>>,
    /// Of the field `s`.
    pub payment_secret: Option<Vec<u8>>,
    /// Of the field `d`.
    pub description: Option<Vec<u8>>,
    /// Of the field `x`.
    pub expiry: Option<u64>,
    /// Of the field `c`.
    pub min_final_cltv_expiry: Option<u64>,
    /// Whether there is nothing but one `p`, one `s`, one `d`, and at most one `x` and one `c`, each in its shortest form:
    /// such an invoice has to be read.
    pub simple: bool,
}

/// The fields in the words of an invoice. None if they end in the middle of one.
#[must_use]
pub fn read(words: &[u8]) -> Option<Slow> {
    let (timestamp, mut rest) = words.split_at_checked(TIMESTAMP)?;
    let mut found = Slow { timestamp: number(timestamp)?, simple: true, ..Slow::default() };
    while let [name, high, low, tail @ ..] = rest {
        let (value, tail) = tail.split_at_checked(usize::from(*high) * 32 + usize::from(*low))?;
        rest = tail;
        let data = bytes(value, false);
        let whole =
            5 * value.len() - 8 * data.len() < 5 && !bytes(value, true).iter().skip(data.len()).any(|&byte| byte > 0);
        let shortest = value.first() != Some(&0) && number(value).is_some();
        let twice = match CHARSET[usize::from(*name)] {
            b'p' if value.len() == 52 && whole => found.payment_hash.replace(data).is_some(),
            b's' if value.len() == 52 && whole => found.payment_secret.replace(data).is_some(),
            b'd' if whole && std::str::from_utf8(&data).is_ok() => found.description.replace(data).is_some(),
            b'x' if shortest => found.expiry.replace(number(value)?).is_some(),
            b'c' if shortest => found.min_final_cltv_expiry.replace(number(value)?).is_some(),
            _ => true,
        };
        found.simple &= !twice;
    }
    let complete = found.payment_hash.is_some() && found.payment_secret.is_some() && found.description.is_some();
    found.simple &= complete && rest.is_empty();
    Some(found)
}

/// The amount in a human-readable part, in msat: of a known currency, without a leading zero, and payable.
#[must_use]
pub fn amount(hrp: &str) -> Option<Option<u64>> {
    let rest = hrp.strip_prefix("ln")?;
    let rest = ["bcrt", "bc", "tbs", "tb", "sb"].iter().find_map(|currency| rest.strip_prefix(currency))?;
    if rest.is_empty() {
        return Some(None);
    }
    let digits = rest.trim_end_matches(['m', 'u', 'n', 'p']);
    let pico: u64 = match &rest[digits.len()..] {
        "" => 1_000_000_000_000,
        "m" => 1_000_000_000,
        "u" => 1_000_000,
        "n" => 1_000,
        "p" => 1,
        _ => return None,
    };
    if digits.starts_with('0') || !digits.bytes().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let pico = digits.parse::<u64>().ok()?.checked_mul(pico)?;
    (pico % 10 == 0).then_some(Some(pico / 10))
}
