//! A node while it is there: its store, its runtime and its loops, made together and ended together.

use crate::error::{Error, Result};
use crate::held;
use crate::logs::{Log, level};
use crate::peering::Peering;
use crate::pump::{Pump, Waiting};
use crate::settings::Settings;
use crate::store::Store;
use crate::syncing::Syncing;
use ldk_node::bitcoin::secp256k1::PublicKey;
use ldk_node::lightning::ln::msgs::SocketAddress;
use ldk_node::tokio::runtime::{Builder as RuntimeBuilder, Runtime};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SYNC_REGTEST: Duration = Duration::from_secs(10);
const SYNC_ELSEWHERE: Duration = Duration::from_secs(30);
/// How long a stop goes on trying to write what cannot be written.
const PATIENCE: Duration = Duration::from_secs(3);

/// A node that is there.
pub struct Live {
    pub node: Arc<ldk_node::Node>,
    pub store: Arc<Store>,
    runtime: Mutex<Option<Runtime>>,
    loops: Mutex<Option<(Pump, Option<Peering>)>>,
    syncing: Mutex<Option<Arc<Syncing>>>,
}

impl Live {
    pub fn build(settings: &Settings) -> Result<Self> {
        std::fs::create_dir_all(&settings.folder).map_err(|error| Error::new("storage", error))?;
        let store = Store::open(&settings.folder, settings.full_sync)?;
        let log = Arc::new(Log::new(&settings.folder, level(&settings.log_level)));
        let runtime = RuntimeBuilder::new_multi_thread()
            .worker_threads(settings.workers.max(2))
            .thread_name("ldk")
            .enable_all()
            .build()
            .map_err(|error| Error::new("failed", error))?;
        let builder = settings.builder(log, runtime.handle().clone())?;
        let node = Arc::new(builder.build_with_store(store.clone())?);
        Ok(Self { node, store, runtime: Mutex::new(Some(runtime)), loops: Mutex::new(None), syncing: Mutex::new(None) })
    }

    pub fn start(&self, settings: &Settings, waiting: &Arc<Waiting>) -> Result<()> {
        self.node.start().map_err(|error| match error {
            ldk_node::NodeError::ConnectionFailed => Error::new("chain_source", "the source of the chain is away"),
            ldk_node::NodeError::InvalidSocketAddress => Error::new("listen", "the address cannot be listened on"),
            error => error.into(),
        })?;
        let node = self.node.clone();
        let interval = match (settings.follows_itself(), settings.is_regtest()) {
            (true, _) => Duration::from_secs(3600),
            (false, true) => SYNC_REGTEST,
            (false, false) => SYNC_ELSEWHERE,
        };
        let twice = settings.follows_itself();
        let syncing = Syncing::start(interval, move || {
            node.sync_wallets()?;
            if twice {
                node.sync_wallets()?; // the first may have joined one of ldk-node's own loop
            }
            Ok(())
        })?;
        *held(&self.syncing) = Some(Arc::new(syncing));
        let peering = match &settings.trusted {
            Some((id, address)) => Some(self.peering(settings, *id, address.clone())?),
            None => None,
        };
        let runtime = held(&self.runtime);
        let runtime = runtime.as_ref().ok_or_else(|| Error::new("not_running", "the node was stopped"))?;
        *held(&self.loops) = Some((Pump::start(runtime, self.node.clone(), waiting.clone()), peering));
        Ok(())
    }

    fn peering(&self, settings: &Settings, id: PublicKey, address: SocketAddress) -> Result<Peering> {
        let (asked, told) = (self.node.clone(), self.node.clone());
        let longest = Duration::from_secs(if settings.is_regtest() { 1 } else { 15 });
        Peering::start(
            longest,
            move || asked.list_peers().iter().any(|peer| peer.node_id == id && peer.is_connected),
            move || {
                let _ = told.connect(id, address.clone(), false); // told in the log, and tried again
            },
        )
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
        // It panics where its last writes failed; the store holds what was answered.
        let _ = catch_unwind(AssertUnwindSafe(|| self.node.stop()));
        if let Some(runtime) = runtime {
            runtime.shutdown_timeout(Duration::from_secs(2));
        }
        self.store.close();
    }
}
