//! What a node is told when it is made, and what becomes of it in ldk-node's own words.

use crate::error::{Error, Result};
use crate::logs::Log;
use ldk_node::bitcoin::Network;
use ldk_node::bitcoin::secp256k1::PublicKey;
use ldk_node::config::{
    AnchorChannelsConfig, ChannelConfig, Config, ElectrumSyncConfig, EsploraSyncConfig, MaxDustHTLCExposure,
};
use ldk_node::lightning::ln::msgs::SocketAddress;
use ldk_node::liquidity::LSPS2ServiceConfig;
use ldk_node::{Builder, tokio};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

/// Dust is worth nothing on the private network, and many small payments may be in flight at once.
const REGTEST_DUST_MSAT: u64 = 5_000_000_000;

/// How a node is made.
#[derive(Clone)]
pub struct Settings {
    /// Where its store, its lock and its log are.
    pub folder: PathBuf,
    /// The entropy that all of its keys come from.
    pub seed: [u8; 64],
    /// The network of its chain.
    pub network: Network,
    /// `tcp://host:port`, `ssl://…` (Electrum), `http(s)://…` (Esplora), `bitcoind://user:password@host:port`.
    pub chain: String,
    /// `host:port` that it listens on for peers.
    pub listen: Option<String>,
    /// Its name in announcements.
    pub alias: Option<String>,
    /// The hub: it may open channels that need no confirmation, and no coins are kept back for its channels.
    pub trusted: Option<(PublicKey, SocketAddress)>,
    /// Who opens channels just in time (LSPS2), with its token; the hub, where nobody is named.
    pub lsps2: Option<(PublicKey, SocketAddress, Option<String>)>,
    /// The role of the hub: it opens channels just in time and forwards over private channels.
    pub service: bool,
    /// What it takes for a forwarded payment.
    pub fee_base_msat: u32,
    /// What it takes for a forwarded payment, in millionths of the amount.
    pub fee_ppm: u32,
    /// Every commit reaches the disk before it is answered.
    pub full_sync: bool,
    /// Threads of its runtime.
    pub workers: usize,
    /// gossip, trace, debug, info, warn or error.
    pub log_level: String,
}

/// The network of a name: regtest, signet, testnet, bitcoin.
pub fn network(name: &str) -> Result<Network> {
    Network::from_str(name).map_err(|error| Error::invalid("network", error))
}

/// A node id of 66 hex characters.
pub fn node_id(text: &str) -> Result<PublicKey> {
    PublicKey::from_str(text).map_err(|error| Error::invalid("node id", error))
}

/// `host:port`.
pub fn address(text: &str) -> Result<SocketAddress> {
    SocketAddress::from_str(text).map_err(|error| Error::invalid("address", format!("{error:?}")))
}

impl Settings {
    /// Whether the chain is the private one.
    pub fn is_regtest(&self) -> bool {
        self.network == Network::Regtest
    }

    /// Whether ldk-node follows the chain by itself (it does so for bitcoind alone).
    pub fn follows_itself(&self) -> bool {
        self.chain.starts_with("bitcoind://")
    }

    /// Whether the chain comes from an Electrum server.
    pub fn is_electrum(&self) -> bool {
        self.chain.starts_with("tcp://") || self.chain.starts_with("ssl://")
    }

    /// Our side of a channel.
    pub fn channel(&self) -> ChannelConfig {
        let mut config = ChannelConfig::default();
        if self.service {
            config.forwarding_fee_base_msat = self.fee_base_msat;
            config.forwarding_fee_proportional_millionths = self.fee_ppm;
        }
        if self.is_regtest() {
            config.max_dust_htlc_exposure = MaxDustHTLCExposure::FixedLimit { limit_msat: REGTEST_DUST_MSAT };
        }
        config
    }

    /// The builder of ldk-node, all but its store.
    pub fn builder(&self, log: Arc<Log>, runtime: tokio::runtime::Handle) -> Result<Builder> {
        let mut anchors = AnchorChannelsConfig::default();
        if self.service && self.is_regtest() {
            anchors.per_channel_reserve_sats = 0; // its purse is the faucet
        }
        let mut config = Config {
            network: self.network,
            storage_dir_path: self.folder.to_string_lossy().into_owned(),
            ..Config::default()
        };
        if let Some((id, _)) = &self.trusted {
            config.trusted_peers_0conf.push(*id);
            anchors.trusted_peers_no_reserve.push(*id);
        }
        config.anchor_channels_config = Some(anchors);
        let mut builder = Builder::from_config(config);
        builder.set_entropy_seed_bytes(self.seed);
        builder.set_runtime(runtime);
        builder.set_custom_logger(log);
        builder.set_gossip_source_p2p();
        self.follow(&mut builder)?;
        if let Some(listen) = &self.listen {
            builder.set_listening_addresses(vec![address(listen)?])?;
        }
        if let Some(alias) = &self.alias {
            builder.set_node_alias(alias.clone())?;
        }
        // A channel from whoever is asked for channels may be filled by one payment (10 % at once otherwise); a payment of
        // which they keep a part is refused, but for an invoice that was made so.
        let hub = self.trusted.clone().map(|(id, address)| (id, address, None));
        if let Some((id, address, token)) = self.lsps2.clone().or(hub) {
            builder.set_liquidity_source_lsps2(id, address, token);
        }
        if self.service {
            builder.set_liquidity_provider_lsps2(LSPS2ServiceConfig {
                require_token: None,
                advertise_service: false,
                channel_opening_fee_ppm: 0,
                channel_over_provisioning_ppm: 1_000_000,
                min_channel_opening_fee_msat: 0,
                min_channel_lifetime: 4320,
                max_client_to_self_delay: 2016,
                min_payment_size_msat: 0,
                max_payment_size_msat: 10_000_000_000,
                client_trusts_lsp: true,
            });
        }
        Ok(builder)
    }

    /// Where the chain comes from. Electrum and Esplora are followed by our own loop (syncing.rs).
    fn follow(&self, builder: &mut Builder) -> Result<()> {
        let chain = self.chain.as_str();
        if let Some(rest) = chain.strip_prefix("bitcoind://") {
            let (user, password, host, port) = bitcoind(rest)?;
            builder.set_chain_source_bitcoind_rpc(host, port, user, password);
        } else if chain.starts_with("http://") || chain.starts_with("https://") {
            builder.set_chain_source_esplora(chain.into(), Some(EsploraSyncConfig { background_sync_config: None }));
        } else if self.is_electrum() {
            builder.set_chain_source_electrum(chain.into(), Some(ElectrumSyncConfig { background_sync_config: None }));
        } else {
            return Err(Error::invalid("chain", "not tcp://, ssl://, http://, https:// or bitcoind://"));
        }
        Ok(())
    }
}

/// `user:password@host:port`.
fn bitcoind(rest: &str) -> Result<(String, String, String, u16)> {
    let bad = || Error::invalid("chain", "bitcoind://user:password@host:port");
    let (login, place) = rest.trim_end_matches('/').rsplit_once('@').ok_or_else(bad)?;
    let (user, password) = login.split_once(':').ok_or_else(bad)?;
    let (host, port) = place.rsplit_once(':').ok_or_else(bad)?;
    Ok((user.into(), password.into(), host.into(), port.parse().map_err(|_| bad())?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_bitcoind_address() {
        assert_eq!(bitcoind("u:p:@q@[::1]:8332/").unwrap(), ("u".into(), "p:@q".into(), "[::1]".into(), 8332));
        for bad in ["", "u:p@h", "u@h:1", "u:p@h:65536", "h:1"] {
            assert_eq!(bitcoind(bad).unwrap_err().code, "invalid");
        }
    }

    #[test]
    fn names_of_networks() {
        assert_eq!(network("regtest").unwrap(), Network::Regtest);
        assert_eq!(network("mainnet").unwrap_err().code, "invalid");
    }
}
