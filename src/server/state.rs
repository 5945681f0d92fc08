//! What the server knows: the generation it serves, how the last load went, and what it keeps of earlier ones.
//!
//! A request takes one [`Status`] and uses nothing else, so no answer mixes two generations.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use tokio::sync::Semaphore;

use crate::boot::Strangers;
use crate::catalogue::Sha256;
use crate::generation::Generation;
use crate::ids::HostName;

use super::access::SecretsPolicy;
use super::archive::Archive;
use super::journal::Chronicle;
use super::peer::Peer;
use super::readiness::AskReadiness;
use super::refusal::Refusal;
use super::snapshots::Snapshots;
use super::static_file;

#[derive(Debug)]
pub struct ServerState {
    status: ArcSwap<Status>,
    pub secrets: SecretsPolicy,
    pub archive: Archive,
    /// What happened to the hosts.
    pub chronicle: Chronicle,
    /// Snapshots of the cluster's etcd.
    pub snapshots: Snapshots,
    strangers: Mutex<Strangers>,
    pub readiness: AskReadiness,
    /// Whose turn it is to be told whether it may reboot.
    pub reboots: tokio::sync::Mutex<()>,
    /// Whose turn it is to read from `--static`.
    pub static_reads: Arc<Semaphore>,
    /// Who was already warned about, so that a retrying client does not fill the log.
    warned: Mutex<BTreeSet<(Peer, String)>>,
}

/// One moment. `served` without `failure`: all is well; both: an edit is broken and the last good one is served.
#[derive(Debug, Clone, Default)]
pub struct Status {
    pub served: Option<Arc<Served>>,
    pub failure: Option<Arc<Failure>>,
}

/// A generation, and what looking things up in it needs.
#[derive(Debug)]
pub struct Served {
    pub generation: Generation,
    pub id: Sha256,
    pub loaded_at: SystemTime,
    /// Every folder that holds something, without slashes at its ends; "" is the root.
    pub folders: BTreeSet<String>,
}

/// Why the last load gave no generation.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    /// On one line.
    pub reason: String,
    /// For everybody: the errors, without lines of the sources.
    pub brief: String,
    /// For the log: every finding with its line and remedy.
    pub report: String,
}

/// Enough for every node of a big site to be named once.
const WARNED_CLIENTS: usize = 1024;

impl ServerState {
    pub fn new(secrets: SecretsPolicy, archive: Archive, chronicle: Chronicle) -> Self {
        let (status, strangers, warned, reboots, readiness, snapshots) = Default::default();
        let static_reads = Arc::new(Semaphore::new(static_file::READS_MAX));
        ServerState {
            status,
            secrets,
            archive,
            chronicle,
            snapshots,
            strangers,
            readiness,
            reboots,
            static_reads,
            warned,
        }
    }

    /// Who is to be asked whether the cluster's servers are ready.
    pub fn asking(self, readiness: AskReadiness) -> Self {
        ServerState { readiness, ..self }
    }

    /// Where snapshots of the cluster are kept.
    pub fn keeping(self, snapshots: Snapshots) -> Self {
        ServerState { snapshots, ..self }
    }

    pub fn status(&self) -> Arc<Status> {
        self.status.load_full()
    }

    pub fn set_status(&self, status: Status) {
        self.status.store(Arc::new(status));
    }

    /// Machines that asked for a boot script and are nobody.
    pub fn strangers(&self) -> MutexGuard<'_, Strangers> {
        self.strangers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this is the first time; forgets everybody when it knows too many.
    pub fn first_warning(&self, client: Peer, path: &str) -> bool {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.len() >= WARNED_CLIENTS {
            warned.clear();
        }
        warned.insert((client, path.to_owned()))
    }
}

impl Status {
    /// What is served, or why nothing is.
    pub fn served(&self) -> Result<Arc<Served>, Refusal> {
        let why_not = || self.failure.as_ref().map_or("still loading", |failure| &failure.reason);
        self.served.clone().ok_or_else(|| Refusal::NotReady(why_not().to_owned()))
    }

    /// The host that the inventory has at this address.
    pub fn host_at(&self, address: IpAddr) -> Option<&HostName> {
        let served = self.served.as_ref()?;
        served.generation.inventory.host_at(address).map(|host| &host.name)
    }
}

impl Served {
    pub fn new(generation: Generation, loaded_at: SystemTime) -> Self {
        let mut folders = BTreeSet::from([String::new()]);
        let artifacts = generation.catalogue.iter().map(|(path, _)| path);
        for path in artifacts.chain(generation.catalogue.static_files.keys()) {
            let slashes = path.as_str().match_indices('/');
            folders.extend(slashes.map(|(index, _)| path.as_str()[..index].to_owned()));
        }
        Served { id: generation.catalogue.generation(), generation, loaded_at, folders }
    }
}
