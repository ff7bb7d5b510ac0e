//! What happened to the node, in the words that Python reads.

use crate::views::{hex, snake};
use ldk_node::Event;
use serde::Serialize;

/// One event; what does not belong to its type is null.
#[derive(Default, Serialize)]
pub struct Told {
    /// sent, failed, received, claimable, forwarded, channel_pending, channel_ready, channel_closed, other.
    #[serde(rename = "type")]
    pub kind: &'static str,
    payment_hash: Option<String>,
    preimage: Option<String>,
    fee_msat: Option<u64>,
    amount_msat: Option<u64>,
    deadline: Option<u32>,
    reason: Option<String>,
    channel: Option<String>,
    user_id: Option<String>,
    peer: Option<String>,
    funding: Option<String>,
    detail: Option<String>,
}

/// Texts of peers are cut here.
const DETAIL: usize = 300;

fn detail(value: &impl std::fmt::Debug) -> Option<String> {
    Some(format!("{value:?}").chars().take(DETAIL).collect())
}

/// The event in our words.
pub fn told(event: &Event) -> Told {
    match event {
        Event::PaymentSuccessful { payment_hash, payment_preimage, fee_paid_msat, .. } => Told {
            kind: "sent",
            payment_hash: Some(hex(&payment_hash.0)),
            preimage: payment_preimage.map(|preimage| hex(&preimage.0)),
            fee_msat: *fee_paid_msat,
            ..Told::default()
        },
        Event::PaymentFailed { payment_hash, reason, .. } => Told {
            kind: "failed",
            payment_hash: payment_hash.map(|hash| hex(&hash.0)),
            reason: reason.as_ref().map(snake),
            ..Told::default()
        },
        Event::PaymentReceived { payment_hash, amount_msat, .. } => Told {
            kind: "received",
            payment_hash: Some(hex(&payment_hash.0)),
            amount_msat: Some(*amount_msat),
            ..Told::default()
        },
        Event::PaymentClaimable { payment_hash, claimable_amount_msat, claim_deadline, .. } => Told {
            kind: "claimable",
            payment_hash: Some(hex(&payment_hash.0)),
            amount_msat: Some(*claimable_amount_msat),
            deadline: *claim_deadline,
            ..Told::default()
        },
        Event::PaymentForwarded {
            next_channel_id,
            next_user_channel_id,
            next_node_id,
            total_fee_earned_msat,
            outbound_amount_forwarded_msat,
            ..
        } => Told {
            kind: "forwarded",
            fee_msat: *total_fee_earned_msat,
            amount_msat: *outbound_amount_forwarded_msat,
            channel: Some(hex(&next_channel_id.0)),
            user_id: next_user_channel_id.map(|id| id.0.to_string()),
            peer: next_node_id.map(|id| id.to_string()),
            ..Told::default()
        },
        Event::ChannelPending { channel_id, user_channel_id, counterparty_node_id, funding_txo, .. } => Told {
            kind: "channel_pending",
            channel: Some(hex(&channel_id.0)),
            user_id: Some(user_channel_id.0.to_string()),
            peer: Some(counterparty_node_id.to_string()),
            funding: Some(funding_txo.to_string()),
            ..Told::default()
        },
        Event::ChannelReady { channel_id, user_channel_id, counterparty_node_id, funding_txo } => Told {
            kind: "channel_ready",
            channel: Some(hex(&channel_id.0)),
            user_id: Some(user_channel_id.0.to_string()),
            peer: counterparty_node_id.map(|id| id.to_string()),
            funding: funding_txo.map(|outpoint| outpoint.to_string()),
            ..Told::default()
        },
        Event::ChannelClosed { channel_id, user_channel_id, counterparty_node_id, reason } => Told {
            kind: "channel_closed",
            channel: Some(hex(&channel_id.0)),
            user_id: Some(user_channel_id.0.to_string()),
            peer: counterparty_node_id.map(|id| id.to_string()),
            reason: reason.as_ref().map(snake),
            detail: reason.as_ref().and_then(|reason| detail(&reason.to_string())),
            ..Told::default()
        },
        other => Told { kind: "other", detail: detail(other), ..Told::default() },
    }
}
