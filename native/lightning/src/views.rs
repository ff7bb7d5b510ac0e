//! What the node knows (channels, balances, payments, peers), in the words that Python reads.

use ldk_node::lightning_types::payment::{PaymentHash, PaymentPreimage};
use ldk_node::payment::{PaymentDetails, PaymentDirection, PaymentKind, PaymentStatus};
use ldk_node::{BalanceDetails, ChannelDetails, LightningBalance, PeerDetails, PendingSweepBalance};
use serde::Serialize;
use std::fmt::Write;

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        write!(text, "{byte:02x}").unwrap_or_default(); // a String takes all
    }
    text
}

/// The name of a variant as one snake case word: `RecipientRejected` is `recipient_rejected`.
pub fn snake(value: &impl std::fmt::Debug) -> String {
    let name = format!("{value:?}");
    let mut word = String::new();
    for c in name.chars().take_while(char::is_ascii_alphanumeric) {
        if c.is_ascii_uppercase() && !word.is_empty() && !word.ends_with(|l: char| l.is_ascii_digit()) {
            word.push('_');
        }
        word.push(c.to_ascii_lowercase());
    }
    word
}

/// A channel.
#[derive(Serialize)]
pub struct Channel {
    id: String,
    user_id: String,
    peer: String,
    funding: String,
    capacity_sat: u64,
    outbound_msat: u64,
    inbound_msat: u64,
    reserve_sat: u64,
    confirmations: Option<u32>,
    ready: bool,
    usable: bool,
    is_outbound: bool,
    next_limit_msat: u64,
}

impl From<&ChannelDetails> for Channel {
    fn from(channel: &ChannelDetails) -> Self {
        Self {
            id: hex(&channel.channel_id.0),
            user_id: channel.user_channel_id.0.to_string(),
            peer: channel.counterparty_node_id.to_string(),
            funding: channel.funding_txo.map(|outpoint| outpoint.to_string()).unwrap_or_default(),
            capacity_sat: channel.channel_value_sats,
            outbound_msat: channel.outbound_capacity_msat,
            inbound_msat: channel.inbound_capacity_msat,
            reserve_sat: channel.unspendable_punishment_reserve.unwrap_or(0),
            confirmations: channel.confirmations,
            ready: channel.is_channel_ready,
            usable: channel.is_usable,
            is_outbound: channel.is_outbound,
            next_limit_msat: channel.next_outbound_htlc_limit_msat,
        }
    }
}

/// A peer.
#[derive(Serialize)]
pub struct Peer {
    node_id: String,
    address: String,
    connected: bool,
}

impl From<&PeerDetails> for Peer {
    fn from(peer: &PeerDetails) -> Self {
        Self { node_id: peer.node_id.to_string(), address: peer.address.to_string(), connected: peer.is_connected }
    }
}

/// What of a channel is ours, or may be.
#[derive(Default, Serialize)]
pub struct Claim {
    /// open, confirming, contentious, timeout, preimage, revoked.
    kind: &'static str,
    channel: String,
    sat: u64,
    outgoing_payment: bool,
    outgoing_forward_msat: u64,
    payment_hash: Option<String>,
    height: Option<u32>,
}

impl From<&LightningBalance> for Claim {
    fn from(balance: &LightningBalance) -> Self {
        use LightningBalance as B;
        match balance {
            B::ClaimableOnChannelClose {
                channel_id,
                amount_satoshis,
                outbound_payment_htlc_rounded_msat,
                outbound_forwarded_htlc_rounded_msat,
                ..
            } => Self {
                kind: "open",
                channel: hex(&channel_id.0),
                sat: *amount_satoshis,
                outgoing_payment: *outbound_payment_htlc_rounded_msat > 0,
                outgoing_forward_msat: *outbound_forwarded_htlc_rounded_msat,
                ..Self::default()
            },
            B::ClaimableAwaitingConfirmations { channel_id, amount_satoshis, confirmation_height, .. } => Self {
                kind: "confirming",
                channel: hex(&channel_id.0),
                sat: *amount_satoshis,
                height: Some(*confirmation_height),
                ..Self::default()
            },
            B::ContentiousClaimable { channel_id, amount_satoshis, timeout_height, payment_hash, .. } => Self {
                kind: "contentious",
                channel: hex(&channel_id.0),
                sat: *amount_satoshis,
                payment_hash: Some(hex(&payment_hash.0)),
                height: Some(*timeout_height),
                ..Self::default()
            },
            B::MaybeTimeoutClaimableHTLC {
                channel_id,
                amount_satoshis,
                claimable_height,
                payment_hash,
                outbound_payment,
                ..
            } => Self {
                kind: "timeout",
                channel: hex(&channel_id.0),
                sat: *amount_satoshis,
                outgoing_payment: *outbound_payment,
                outgoing_forward_msat: if *outbound_payment { 0 } else { amount_satoshis.saturating_mul(1000) },
                payment_hash: Some(hex(&payment_hash.0)),
                height: Some(*claimable_height),
            },
            B::MaybePreimageClaimableHTLC { channel_id, amount_satoshis, expiry_height, payment_hash, .. } => Self {
                kind: "preimage",
                channel: hex(&channel_id.0),
                sat: *amount_satoshis,
                payment_hash: Some(hex(&payment_hash.0)),
                height: Some(*expiry_height),
                ..Self::default()
            },
            B::CounterpartyRevokedOutputClaimable { channel_id, amount_satoshis, .. } => {
                Self { kind: "revoked", channel: hex(&channel_id.0), sat: *amount_satoshis, ..Self::default() }
            }
        }
    }
}

/// What of a closed channel is on its way to the on-chain wallet.
#[derive(Default, Serialize)]
pub struct Sweep {
    /// pending, broadcast, confirmed.
    kind: &'static str,
    channel: Option<String>,
    sat: u64,
    txid: Option<String>,
    height: Option<u32>,
}

impl From<&PendingSweepBalance> for Sweep {
    fn from(sweep: &PendingSweepBalance) -> Self {
        use PendingSweepBalance as S;
        match sweep {
            S::PendingBroadcast { channel_id, amount_satoshis } => Self {
                kind: "pending",
                channel: channel_id.map(|id| hex(&id.0)),
                sat: *amount_satoshis,
                ..Self::default()
            },
            S::BroadcastAwaitingConfirmation {
                channel_id,
                latest_broadcast_height,
                latest_spending_txid,
                amount_satoshis,
            } => Self {
                kind: "broadcast",
                channel: channel_id.map(|id| hex(&id.0)),
                sat: *amount_satoshis,
                txid: Some(latest_spending_txid.to_string()),
                height: Some(*latest_broadcast_height),
            },
            S::AwaitingThresholdConfirmations {
                channel_id,
                latest_spending_txid,
                confirmation_height,
                amount_satoshis,
                ..
            } => Self {
                kind: "confirmed",
                channel: channel_id.map(|id| hex(&id.0)),
                sat: *amount_satoshis,
                txid: Some(latest_spending_txid.to_string()),
                height: Some(*confirmation_height),
            },
        }
    }
}

/// All that the node owns.
#[derive(Serialize)]
pub struct Balances {
    onchain_sat: u64,
    onchain_spendable_sat: u64,
    anchor_reserve_sat: u64,
    claims: Vec<Claim>,
    sweeps: Vec<Sweep>,
}

impl From<&BalanceDetails> for Balances {
    fn from(balances: &BalanceDetails) -> Self {
        Self {
            onchain_sat: balances.total_onchain_balance_sats,
            onchain_spendable_sat: balances.spendable_onchain_balance_sats,
            anchor_reserve_sat: balances.total_anchor_channels_reserve_sats,
            claims: balances.lightning_balances.iter().map(Claim::from).collect(),
            sweeps: balances.pending_balances_from_channel_closures.iter().map(Sweep::from).collect(),
        }
    }
}

/// A payment that the node knows.
#[derive(Default, Serialize)]
pub struct Payment {
    payment_hash: Option<String>,
    direction: &'static str,
    status: &'static str,
    amount_msat: Option<u64>,
    fee_msat: Option<u64>,
    preimage: Option<String>,
    kind: &'static str,
    txid: Option<String>,
    at: u64,
}

impl From<&PaymentDetails> for Payment {
    fn from(payment: &PaymentDetails) -> Self {
        type Parts<'a> = (&'static str, Option<&'a PaymentHash>, Option<&'a PaymentPreimage>, Option<String>);
        let (kind, hash, preimage, txid): Parts<'_> = match &payment.kind {
            PaymentKind::Onchain { txid, .. } => ("onchain", None, None, Some(txid.to_string())),
            PaymentKind::Bolt11 { hash, preimage, .. } => ("bolt11", Some(hash), preimage.as_ref(), None),
            PaymentKind::Bolt11Jit { hash, preimage, .. } => ("bolt11_jit", Some(hash), preimage.as_ref(), None),
            PaymentKind::Bolt12Offer { hash, preimage, .. } => ("bolt12", hash.as_ref(), preimage.as_ref(), None),
            PaymentKind::Bolt12Refund { hash, preimage, .. } => ("bolt12", hash.as_ref(), preimage.as_ref(), None),
            PaymentKind::Spontaneous { hash, preimage } => ("spontaneous", Some(hash), preimage.as_ref(), None),
        };
        Self {
            payment_hash: hash.map(|hash| hex(&hash.0)),
            direction: if payment.direction == PaymentDirection::Inbound { "in" } else { "out" },
            status: match payment.status {
                PaymentStatus::Pending => "pending",
                PaymentStatus::Succeeded => "succeeded",
                PaymentStatus::Failed => "failed",
            },
            amount_msat: payment.amount_msat,
            fee_msat: payment.fee_paid_msat,
            preimage: preimage.map(|preimage| hex(&preimage.0)),
            kind,
            txid,
            at: payment.latest_update_timestamp,
        }
    }
}
