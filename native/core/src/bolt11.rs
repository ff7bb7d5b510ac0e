//! BOLT11 invoices, strict (lightning/bolts a3772650, 11-payment-encoding.md). The crate `lightning-invoice` reads and
//! writes them; what it lets through and the specification forbids is refused here.

use crate::error::{Error, array};
use crate::keys::secret_key;
use bitcoin::hashes::{Hash, sha256};
use bitcoin::secp256k1::{Secp256k1, SecretKey};
use bitcoin::{Address, Network, WitnessProgram};
use lightning_invoice::{
    Currency, Fallback, InvoiceBuilder, PaymentSecret, RawBolt11Invoice, SignedRawBolt11Invoice, TaggedField,
};
use std::time::Duration;

/// The longest invoice that is read, in characters. BOLT11 has no limit; LND reads no more than this either.
pub const MAX_LENGTH: usize = 7_089;
const DEFAULT_EXPIRY: u64 = 3_600;
const DEFAULT_CLTV: u64 = 18;

/// An invoice whose checksum, form, amount, features and signature obey the specification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invoice {
    /// `bc`, `tb`, `tbs`, `bcrt` or `sb`.
    pub currency: &'static str,
    /// None: the payer chooses.
    pub amount_msat: Option<u64>,
    /// Unix seconds.
    pub timestamp: u64,
    /// Seconds after `timestamp`.
    pub expiry: u64,
    /// SHA-256 of the preimage.
    pub payment_hash: [u8; 32],
    /// The secret that the payer has to show.
    pub payment_secret: [u8; 32],
    /// The compressed key of the payee, given or recovered.
    pub payee: [u8; 33],
    /// The description, if it is not given as a hash.
    pub description: Option<String>,
    /// SHA-256 of a description that is told elsewhere.
    pub description_hash: Option<[u8; 32]>,
    /// Blocks for the last hop.
    pub min_final_cltv_expiry: u64,
    /// Addresses on the chain, the preferred one first.
    pub fallback_addresses: Vec<String>,
    /// How many private routes it names.
    pub route_hints: usize,
}

fn refuse<T>(why: impl Into<String>) -> Result<T, Error> {
    Err(Error::Invoice(why.into()))
}

fn currency_name(currency: &Currency) -> &'static str {
    match currency {
        Currency::Bitcoin => "bc",
        Currency::BitcoinTestnet => "tb",
        Currency::Regtest => "bcrt",
        Currency::Simnet => "sb",
        Currency::Signet => "tbs",
    }
}

/// How often each field with a meaning comes.
#[derive(Default)]
struct Counts {
    hash: usize,
    secret: usize,
    description: usize,
    payee: usize,
    expiry: usize,
    cltv: usize,
    features: usize,
    metadata: usize,
}

fn check_fields(raw: &RawBolt11Invoice) -> Result<(), Error> {
    let mut n = Counts::default();
    for field in raw.known_tagged_fields() {
        match field {
            TaggedField::PaymentHash(_) => n.hash += 1,
            TaggedField::PaymentSecret(_) => n.secret += 1,
            TaggedField::Description(_) | TaggedField::DescriptionHash(_) => n.description += 1,
            TaggedField::PayeePubKey(_) => n.payee += 1,
            TaggedField::ExpiryTime(_) => n.expiry += 1,
            TaggedField::MinFinalCltvExpiryDelta(_) => n.cltv += 1,
            TaggedField::Features(_) => n.features += 1,
            TaggedField::PaymentMetadata(_) => n.metadata += 1,
            TaggedField::Fallback(_) | TaggedField::PrivateRoute(_) => {}
        }
    }
    match &n {
        Counts { hash: 0, .. } => refuse("it has no payment hash"),
        // "if a valid s field is not provided: MUST fail the payment"
        Counts { secret: 0, .. } => refuse("it has no payment secret"),
        // "MUST fail the payment if neither a d field nor a h field is present, or if both are present"
        Counts { description: 0, .. } => refuse("it has no description"),
        Counts { description: 2.., .. } => refuse("it has more than one description"),
        Counts { hash: 2.., .. } => refuse("it has more than one payment hash"),
        Counts { secret: 2.., .. } => refuse("it has more than one payment secret"),
        _ if [n.payee, n.expiry, n.cltv, n.features, n.metadata].iter().any(|&count| count > 1) => {
            refuse("it has a field twice that may come once")
        }
        _ => Ok(()),
    }
}

fn amount_msat(raw: &RawBolt11Invoice) -> Result<Option<u64>, Error> {
    let Some(amount) = raw.hrp.raw_amount else { return Ok(None) };
    // An overflow must not turn into "any amount".
    let Some(pico) = raw.amount_pico_btc() else { return refuse("its amount is too large") };
    if amount == 0 {
        return refuse("its amount is zero"); // "a positive decimal integer"
    }
    // "if multiplier is p and the last decimal of amount is not 0: MUST fail the payment"
    if pico % 10 != 0 {
        return refuse("its amount has a part below a millisatoshi");
    }
    Ok(Some(pico / 10))
}

fn fallback_address(fallback: &Fallback, network: Network) -> Option<String> {
    Some(match fallback {
        Fallback::SegWitProgram { version, program } => {
            Address::from_witness_program(WitnessProgram::new(*version, program).ok()?, network).to_string()
        }
        Fallback::PubKeyHash(hash) => Address::p2pkh(*hash, network).to_string(),
        Fallback::ScriptHash(hash) => Address::p2sh_from_hash(*hash, network).to_string(),
    })
}

/// Reads an invoice. Everything that the specification forbids is an error with one sentence.
pub fn decode(text: &str) -> Result<Invoice, Error> {
    if text.len() > MAX_LENGTH {
        return refuse("it is too long");
    }
    if !text.is_ascii() {
        return refuse("it has a character that bech32 does not know");
    }
    let signed: SignedRawBolt11Invoice = text.parse().or_else(|error| refuse(format!("{error}")))?;
    // "if a c, x, or 9 field is provided which has a non-minimal data_length: SHOULD treat the invoice as invalid",
    // "MUST pad field data using 0s", "no leading 0s" in the amount. The signature covers the text that came, and the
    // crate checks it over the text that it would write: they must be one.
    if signed.to_string() != text.to_ascii_lowercase() {
        return refuse("a field is not in its shortest form");
    }
    let raw = signed.raw_invoice();
    check_fields(raw)?;
    // "if the 9 field contains unknown even bits that are non-zero: MUST fail the payment". Bits 8 and 14 are ASSUMED
    // (BOLT 9), so no known bit depends on one that may be missing.
    if raw.features().is_some_and(|features| features.requires_unknown_bits()) {
        return refuse("it requires a feature that is not known");
    }
    let amount_msat = amount_msat(raw)?;
    // With an n field: verified, and high-S refused; without: recovered, high-S allowed.
    if !signed.check_signature() {
        return refuse("its signature is not valid");
    }
    let payee = match raw.payee_pub_key() {
        Some(key) => key.0,
        None => match signed.recover_payee_pub_key() {
            Ok(key) => key.0,
            Err(_) => return refuse("its signature is not valid"),
        },
    };
    let (Some(payment_hash), Some(payment_secret)) = (raw.payment_hash(), raw.payment_secret()) else {
        return refuse("it has no payment hash or secret");
    };
    let network = Network::from(raw.currency());
    Ok(Invoice {
        currency: currency_name(&raw.currency()),
        amount_msat,
        timestamp: raw.data.timestamp.as_unix_timestamp(),
        expiry: raw.expiry_time().map_or(DEFAULT_EXPIRY, lightning_invoice::ExpiryTime::as_seconds),
        payment_hash: payment_hash.0.to_byte_array(),
        payment_secret: payment_secret.0,
        payee: payee.serialize(),
        description: raw.description().map(|description| description.as_inner().0.clone()),
        description_hash: raw.description_hash().map(|hash| hash.0.to_byte_array()),
        min_final_cltv_expiry: raw.min_final_cltv_expiry_delta().map_or(DEFAULT_CLTV, |delta| delta.0),
        fallback_addresses: raw.fallbacks().into_iter().filter_map(|f| fallback_address(f, network)).collect(),
        route_hints: raw.private_routes().len(),
    })
}

/// What an invoice of our own says.
pub struct Draft<'a> {
    /// `bc`, `tb`, `tbs`, `bcrt` or `sb`.
    pub currency: &'a str,
    /// None: the payer chooses.
    pub amount_msat: Option<u64>,
    /// SHA-256 of the preimage (32 bytes).
    pub payment_hash: &'a [u8],
    /// The secret that the payer has to show (32 bytes).
    pub payment_secret: &'a [u8],
    /// At most 639 bytes.
    pub description: &'a str,
    /// Unix seconds, below 2^35.
    pub timestamp: u64,
    /// Seconds after `timestamp`.
    pub expiry: u64,
    /// Blocks for the last hop.
    pub min_final_cltv_expiry: u64,
}

/// The invoice, signed by the node key of the payee. It is read again before it is given away.
pub fn encode(secret: &[u8], draft: &Draft<'_>) -> Result<String, Error> {
    let mut checked = secret_key(secret)?;
    checked.non_secure_erase();
    let key = SecretKey::from_slice(secret).map_err(|_| Error::SecretKey)?;
    let currency: Currency = draft.currency.parse().or_else(|_| refuse("its currency is not known"))?;
    let hash = sha256::Hash::from_byte_array(array(draft.payment_hash, "a payment hash")?);
    let payment_secret = PaymentSecret(array(draft.payment_secret, "a payment secret")?);
    let mut builder = InvoiceBuilder::new(currency)
        .description(draft.description.to_owned())
        .payment_hash(hash)
        .payment_secret(payment_secret)
        .duration_since_epoch(Duration::from_secs(draft.timestamp))
        .expiry_time(Duration::from_secs(draft.expiry))
        .min_final_cltv_expiry_delta(draft.min_final_cltv_expiry);
    if let Some(amount) = draft.amount_msat {
        if amount == 0 || amount.checked_mul(10).is_none() {
            return refuse("its amount is zero or too large");
        }
        builder = builder.amount_milli_satoshis(amount);
    }
    let secp = Secp256k1::signing_only();
    let invoice = builder
        .build_signed(|message| secp.sign_ecdsa_recoverable(message, &key))
        .or_else(|error| refuse(format!("{error}")))?
        .to_string();
    decode(&invoice)?;
    Ok(invoice)
}
