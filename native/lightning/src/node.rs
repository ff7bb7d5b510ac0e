//! The node: its life, and its calls.

use crate::error::{Error, Result};
use crate::held;
use crate::live::Live;
use crate::pump::Waiting;
use crate::settings::{Settings, address, node_id};
use crate::views::{Balances, Channel, Payment, Peer};
use ldk_node::UserChannelId;
use ldk_node::bitcoin::hashes::{Hash, sha256};
use ldk_node::bitcoin::secp256k1::PublicKey;
use ldk_node::bitcoin::{Address, FeeRate};
use ldk_node::lightning::ln::channelmanager::PaymentId;
use ldk_node::lightning::routing::router::RouteParametersConfig;
use ldk_node::lightning_invoice::{Bolt11Invoice, Bolt11InvoiceDescription, Description};
use ldk_node::lightning_types::payment::{PaymentHash, PaymentPreimage};
use serde::Serialize;
use std::str::FromStr;
use std::sync::{Arc, Mutex};

/// A Lightning node with its store, its runtime and its loops.
pub struct Node {
    settings: Settings,
    id: PublicKey,
    waiting: Arc<Waiting>,
    control: Mutex<()>,
    live: Mutex<Option<Arc<Live>>>,
}

/// When the wallets were last in step with the chain, Unix seconds.
#[derive(Serialize, Default)]
struct LastSync {
    lightning: Option<u64>,
    onchain: Option<u64>,
    fees: Option<u64>,
}

#[derive(Serialize, Default)]
struct Status {
    height: u32,
    hash: String,
    running: bool,
    last_sync: LastSync,
    storage_error: Option<String>,
    sync_error: Option<String>,
    panic: Option<String>,
}

fn json(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| Error::new("failed", error))
}

fn user_channel(text: &str) -> Result<UserChannelId> {
    text.parse().map(UserChannelId).map_err(|error| Error::invalid("channel", error))
}

impl Node {
    /// Opens the folder and reads what is in it; nothing is connected to before `start`.
    pub fn new(settings: Settings) -> Result<Self> {
        let live = Live::build(&settings)?;
        let waiting = Arc::new(Waiting::new().map_err(|error| Error::new("failed", error))?);
        Ok(Self {
            settings,
            id: live.node.node_id(),
            waiting,
            control: Mutex::new(()),
            live: Mutex::new(Some(Arc::new(live))),
        })
    }

    fn live(&self) -> Option<Arc<Live>> {
        held(&self.live).clone()
    }

    fn set_live(&self, live: Option<Arc<Live>>) -> Option<Arc<Live>> {
        std::mem::replace(&mut *held(&self.live), live)
    }

    fn node(&self) -> Result<Arc<ldk_node::Node>> {
        self.live().map(|live| live.node.clone()).ok_or_else(|| Error::new("not_running", "the node is stopped"))
    }

    /// Connects to the chain and to peers.
    pub fn start(&self) -> Result<()> {
        let _one_at_a_time = held(&self.control);
        let live = match self.live() {
            Some(live) => live,
            None => Arc::new(Live::build(&self.settings)?),
        };
        self.set_live(Some(live.clone()));
        let started = live.start(&self.settings, &self.waiting);
        if started.as_ref().is_err_and(|error| error.code != "already_running") {
            self.set_live(None);
            live.stop(); // what had begun already; the next start builds it anew
        }
        started
    }

    /// Stops everything and lets go of the folder; does nothing where it is stopped.
    pub fn stop(&self) {
        let _one_at_a_time = held(&self.control);
        if let Some(live) = self.set_live(None) {
            live.stop();
            self.waiting.clear();
        }
    }

    /// Where events wait.
    pub fn waiting(&self) -> &Waiting {
        &self.waiting
    }

    /// Its public key, hex.
    pub fn node_id(&self) -> String {
        self.id.to_string()
    }

    /// Height, whether it runs, when it last saw the chain, and what is wrong.
    pub fn status(&self) -> Result<Vec<u8>> {
        let Some(live) = self.live() else { return json(&Status::default()) };
        let status = live.node.status();
        json(&Status {
            height: status.current_best_block.height,
            hash: status.current_best_block.block_hash.to_string(),
            running: status.is_running,
            last_sync: LastSync {
                lightning: status.latest_lightning_wallet_sync_timestamp,
                onchain: status.latest_onchain_wallet_sync_timestamp,
                fees: status.latest_fee_rate_cache_update_timestamp,
            },
            storage_error: live.store.problem(),
            panic: live.panic(),
            sync_error: live.syncing().and_then(|syncing| syncing.problem()),
        })
    }

    /// Connects to a peer and remembers it.
    pub fn connect(&self, id: &str, place: &str) -> Result<()> {
        Ok(self.node()?.connect(node_id(id)?, address(place)?, true)?)
    }

    /// Disconnects from a peer and forgets it.
    pub fn disconnect(&self, id: &str) -> Result<()> {
        Ok(self.node()?.disconnect(node_id(id)?)?)
    }

    /// JSON: the peers.
    pub fn peers(&self) -> Result<Vec<u8>> {
        json(&self.node()?.list_peers().iter().map(Peer::from).collect::<Vec<_>>())
    }

    /// JSON: the channels.
    pub fn channels(&self) -> Result<Vec<u8>> {
        json(&self.node()?.list_channels().iter().map(Channel::from).collect::<Vec<_>>())
    }

    /// JSON: all that is owned.
    pub fn balances(&self) -> Result<Vec<u8>> {
        json(&Balances::from(&self.node()?.list_balances()))
    }

    /// JSON: the payments that the node knows.
    pub fn payments(&self) -> Result<Vec<u8>> {
        json(&self.node()?.list_payments().iter().map(Payment::from).collect::<Vec<_>>())
    }

    /// JSON: one payment.
    pub fn payment(&self, hash: [u8; 32]) -> Result<Option<Vec<u8>>> {
        self.node()?.payment(&PaymentId(hash)).as_ref().map(|payment| json(&Payment::from(payment))).transpose()
    }

    /// Forgets a payment: an invoice that nobody paid, say. Does nothing where it is not known.
    pub fn forget(&self, hash: [u8; 32]) -> Result<()> {
        Ok(self.node()?.remove_payment(&PaymentId(hash))?)
    }

    /// Opens a channel and gives the peer `push_msat` of it; the user's id of the channel.
    pub fn open_channel(&self, id: &str, place: &str, sats: u64, push_msat: u64) -> Result<String> {
        let push = (push_msat > 0).then_some(push_msat);
        let channel = Some(self.settings.channel());
        let opened = self.node()?.open_channel(node_id(id)?, address(place)?, sats, push, channel)?;
        Ok(opened.0.to_string())
    }

    /// Closes a channel, together with the peer or by force.
    pub fn close_channel(&self, user_id: &str, id: &str, force: bool) -> Result<()> {
        let (node, channel, peer) = (self.node()?, user_channel(user_id)?, node_id(id)?);
        if force {
            node.force_close_channel(&channel, peer, None)?;
        } else {
            node.close_channel(&channel, peer)?;
        }
        Ok(())
    }

    /// Our side of a channel as the settings have it.
    pub fn update_channel(&self, user_id: &str, id: &str) -> Result<()> {
        let (channel, peer) = (user_channel(user_id)?, node_id(id)?);
        Ok(self.node()?.update_channel_config(&channel, peer, self.settings.channel())?)
    }

    /// An invoice; with a hash it is claimed by `claim` alone.
    pub fn invoice(&self, msat: u64, memo: &str, seconds: u32, hash: Option<[u8; 32]>, jit: bool) -> Result<String> {
        if msat == 0 {
            return Err(Error::invalid("amount", "an invoice over nothing"));
        }
        let memo = Description::new(memo.into()).map_err(|error| Error::invalid("memo", error))?;
        let memo = Bolt11InvoiceDescription::Direct(memo);
        let payments = self.node()?.bolt11_payment();
        let invoice = match (hash.map(PaymentHash), jit) {
            (Some(hash), false) => payments.receive_for_hash(msat, &memo, seconds, hash),
            (None, false) => payments.receive(msat, &memo, seconds),
            (Some(hash), true) => payments.receive_via_jit_channel_for_hash(msat, &memo, seconds, None, hash),
            (None, true) => payments.receive_via_jit_channel(msat, &memo, seconds, None),
        }?;
        Ok(invoice.to_string())
    }

    /// Begins to pay; an event says how it ended.
    pub fn pay(&self, bolt11: &str, max_fee_msat: u64) -> Result<()> {
        let invoice = Bolt11Invoice::from_str(bolt11).map_err(|error| Error::invalid("invoice", error))?;
        if invoice.amount_milli_satoshis().is_none() {
            return Err(Error::invalid("invoice", "it names no amount"));
        }
        if invoice.network() != self.settings.network {
            return Err(Error::new("wrong_network", format!("an invoice of {}", invoice.network())));
        }
        if invoice.get_payee_pub_key() == self.id {
            return Err(Error::new("own_invoice", "a node cannot pay itself"));
        }
        let route = RouteParametersConfig::default().with_max_total_routing_fee_msat(max_fee_msat);
        self.node()?.bolt11_payment().send(&invoice, Some(route))?;
        Ok(())
    }

    /// Claims a payment that is held.
    pub fn claim(&self, preimage: [u8; 32], amount_msat: u64) -> Result<()> {
        let hash = PaymentHash(sha256::Hash::hash(&preimage).to_byte_array());
        Ok(self.node()?.bolt11_payment().claim_for_hash(hash, amount_msat, PaymentPreimage(preimage))?)
    }

    /// Sends a payment that is held back to its payer.
    pub fn fail(&self, hash: [u8; 32]) -> Result<()> {
        Ok(self.node()?.bolt11_payment().fail_for_hash(PaymentHash(hash))?)
    }

    /// A new address of the on-chain wallet.
    pub fn address(&self) -> Result<String> {
        Ok(self.node()?.onchain_payment().new_address()?.to_string())
    }

    /// Sends coins, or all of them (but the anchor reserve); the id of the transaction.
    pub fn send_onchain(&self, to: &str, sats: Option<u64>, sat_per_vbyte: Option<u64>) -> Result<String> {
        let to = Address::from_str(to).and_then(|to| to.require_network(self.settings.network));
        let to = to.map_err(|error| Error::invalid("address", error))?;
        let rate = match sat_per_vbyte {
            Some(rate) => Some(FeeRate::from_sat_per_vb(rate).ok_or_else(|| Error::invalid("fee rate", rate))?),
            None => None,
        };
        let onchain = self.node()?.onchain_payment();
        let sent = match sats {
            Some(sats) => onchain.send_to_address(&to, sats, rate),
            None => onchain.send_all_to_address(&to, true, rate),
        }?;
        Ok(sent.to_string())
    }

    /// Returns after a sync of both wallets that began after this call.
    pub fn sync(&self) -> Result<()> {
        let syncing = self.live().and_then(|live| live.syncing());
        syncing.ok_or_else(|| Error::new("not_running", "the node is not started"))?.sync()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop();
    }
}
