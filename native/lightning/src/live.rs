//! A node while it is there: its store, its runtime and its loops, made together and ended together.

use crate::error::{Error, Result};
use crate::held;
use crate::logs::{Log, level};
use crate::panics;
use crate::peering::Peering;
use crate::pump::{Pump, Waiting};
use crate::settings::Settings;
use crate::store::Store;
use crate::syncing::{Nudge, Syncing};
use ldk_node::Event;
use ldk_node::bitcoin::secp256k1::PublicKey;
use ldk_node::lightning::ln::msgs::SocketAddress;
use ldk_node::tokio::runtime::{Builder as RuntimeBuilder, Runtime};
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SYNC_REGTEST: Duration = Duration::from_secs(3);
const SYNC_ELSEWHERE: Duration = Duration::from_secs(30);
/// Syncs of the private network take some milliseconds.
const NUDGE_REGTEST: Duration = Duration::from_millis(250);
const NUDGE_ELSEWHERE: Duration = Duration::from_secs(3);
/// How long a stop goes on trying to write what cannot be written.
const PATIENCE: Duration = Duration::from_secs(3);

static COUNT: AtomicU64 = AtomicU64::new(0);

/// A node that is there.
pub struct Live {
    name: String,
    pub node: Arc<ldk_node::Node>,
    pub store: Arc<Store>,
    runtime: Mutex<Option<Runtime>>,
    loops: Mutex<Option<(Pump, Option<Peering>)>>,
    syncing: Mutex<Option<Arc<Syncing>>>,
}

impl Live {
    /// Opens the store and reads the node that is in it.
    pub fn build(settings: &Settings) -> Result<Self> {
        let folder = DirBuilder::new().recursive(true).mode(0o700).create(&settings.folder);
        folder.map_err(|error| Error::new("storage", error))?;
        let name = panics::name(COUNT.fetch_add(1, Ordering::Relaxed));
        let store = Store::open(&settings.folder, settings.full_sync)?;
        let log = Arc::new(Log::new(&settings.folder, level(&settings.log_level)));
        let runtime = RuntimeBuilder::new_multi_thread()
            .worker_threads(settings.workers.max(2))
            .thread_name(name.clone())
            .enable_all()
            .build()
            .map_err(|error| Error::new("failed", error))?;
        let builder = settings.builder(log, runtime.handle().clone())?;
        let node = Arc::new(builder.build_with_store(store.clone())?);
        let (runtime, loops, syncing) = (Mutex::new(Some(runtime)), Mutex::new(None), Mutex::new(None));
        Ok(Self { name, node, store, runtime, loops, syncing })
    }

    /// Connects to the chain and begins the loops.
    pub fn start(&self, settings: &Settings, waiting: &Arc<Waiting>) -> Result<()> {
        self.node.start().map_err(|error| match error {
            ldk_node::NodeError::ConnectionFailed => Error::new("chain_source", "the source of the chain is away"),
            ldk_node::NodeError::InvalidSocketAddress => Error::new("listen", "the address cannot be listened on"),
            error => error.into(),
        })?;
        *held(&self.syncing) = Some(Arc::new(self.follow(settings)?));
        let peering = match &settings.trusted {
            Some((id, address)) => Some(self.peering(settings, *id, address.clone())?),
            None => None,
        };
        let runtime = held(&self.runtime);
        let runtime = runtime.as_ref().ok_or_else(|| Error::new("not_running", "the node was stopped"))?;
        *held(&self.loops) = Some((self.pump(settings, runtime, waiting), peering));
        Ok(())
    }

    fn follow(&self, settings: &Settings) -> Result<Syncing> {
        let node = self.node.clone();
        let twice = settings.follows_itself();
        let interval = match (twice, settings.is_regtest()) {
            (true, _) => Duration::from_secs(3600),
            (false, true) => SYNC_REGTEST,
            (false, false) => SYNC_ELSEWHERE,
        };
        let syncing = Syncing::start(&self.name, interval, move || {
            node.sync_wallets()?;
            if twice {
                node.sync_wallets()?; // the first may have joined one of ldk-node's own loop
            }
            Ok(())
        })?;
        let node = self.node.clone();
        let nudge = Nudge {
            after: if settings.is_regtest() { NUDGE_REGTEST } else { NUDGE_ELSEWHERE },
            call: Arc::new(move || {
                let _ = node.sync_wallets(); // asks for fees first, and joins the sync that is under way
            }),
        };
        if settings.is_electrum() { syncing.nudged(&self.name, nudge) } else { Ok(syncing) }
    }

    fn peering(&self, settings: &Settings, id: PublicKey, address: SocketAddress) -> Result<Peering> {
        let (asked, told) = (self.node.clone(), self.node.clone());
        let longest = Duration::from_secs(if settings.is_regtest() { 1 } else { 15 });
        Peering::start(
            &self.name,
            longest,
            move || asked.list_peers().iter().any(|peer| peer.node_id == id && peer.is_connected),
            move || {
                let _ = told.connect(id, address.clone(), false); // told in the log, and tried again
            },
        )
    }

    /// On the private network, and for a hub, a channel is as the settings have it when its event is told.
    fn pump(&self, settings: &Settings, runtime: &Runtime, waiting: &Arc<Waiting>) -> Pump {
        let ours = (settings.is_regtest() || settings.service).then(|| settings.channel());
        let node = self.node.clone();
        Pump::start(runtime, self.node.clone(), waiting.clone(), move |event| {
            if let Event::ChannelReady { user_channel_id, counterparty_node_id: Some(peer), .. } = event
                && let Some(config) = ours
            {
                let _ = node.update_channel_config(user_channel_id, *peer, config); // it may be closed already
            }
        })
    }

    /// The first panic in a thread of this node.
    pub fn panic(&self) -> Option<String> {
        panics::said(&self.name)
    }

    /// The loop that follows the chain, while there is one.
    pub fn syncing(&self) -> Option<Arc<Syncing>> {
        held(&self.syncing).clone()
    }

    /// Ends everything. What cannot be written is given up after a while; nothing that was answered is lost.
    pub fn stop(&self) {
        self.store.limit_patience(PATIENCE);
        let runtime = held(&self.runtime).take();
        let syncing = held(&self.syncing).take();
        if let Some((pump, peering)) = held(&self.loops).take() {
            if let Some(peering) = peering {
                peering.stop();
            }
            if let Some(runtime) = &runtime {
                pump.stop(runtime, PATIENCE + Duration::from_secs(1));
            }
        }
        if let Some(syncing) = syncing {
            syncing.stop(PATIENCE);
        }
        // It panics where its last writes failed (the store holds what was answered), and would again when it is dropped.
        if catch_unwind(AssertUnwindSafe(|| self.node.stop())).is_err() {
            std::mem::forget(self.node.clone());
        }
        if let Some(runtime) = runtime {
            runtime.shutdown_timeout(Duration::from_secs(2));
        }
        self.store.close();
        panics::forget(&self.name);
    }
}
