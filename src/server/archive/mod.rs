//! Earlier generations of artifacts, by path and SHA-256: a boot that began before an edit gets what it was promised.
//!
//! A node fetches its Ignition at install and the files it names, with their hashes, minutes later. What a generation
//! has [`promised`] is kept for a term, within a budget that grows with the site (what was replaced first goes first,
//! and the log says so), in memory or, with `--state-dir`, on disk across restarts. There what is current is recorded
//! as well: the process that reads an edited inventory has never seen it.
//! Who may fetch what is decided elsewhere, by the audience that is remembered here.

mod index;
mod kept;
mod promised;
mod store;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;

use crate::catalogue::{Artifact, ArtifactPath, Digest, Sha256};
use crate::generation::Generation;

use super::Error;
use super::state_dir::StateDir;
pub use kept::Machines;
use kept::{Content, Expiry, Kept};
use promised::{Promised, bytes_of, promised};
use store::Store;

type Entries = BTreeMap<(ArtifactPath, Sha256), Kept>;

/// No boot takes a year; and the clocks' arithmetic has an end.
const KEEP_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// How often the whole site fits: an edit of everything, and the one that mends it.
const WHOLE_EDITS: usize = 2;

#[derive(Debug)]
pub struct Archive {
    entries: ArcSwap<Entries>,
    /// Held from reading `entries` to replacing them.
    turning: Mutex<()>,
    keep_for: Duration,
    /// Between these it grows with the site; for what is retired, and once more for what is current and recorded.
    budget_bytes: RangeInclusive<usize>,
    store: Option<Arc<Store>>,
}

impl Archive {
    pub fn open(
        keep_for: Duration,
        budget_bytes: RangeInclusive<usize>,
        state_dir: Option<Arc<StateDir>>,
    ) -> Result<Self, Error> {
        let keep_for = keep_for.min(KEEP_MAX);
        let store = state_dir.map(Store::open).transpose()?.map(Arc::new);
        let recorded = store.as_ref().map(|store| store.read_index(keep_for)).unwrap_or_default();
        let entries = recorded.into_iter().map(|kept| ((kept.path.clone(), kept.sha256), kept)).collect();
        Ok(Archive {
            entries: ArcSwap::from_pointee(entries),
            turning: Mutex::default(),
            keep_for,
            budget_bytes,
            store,
        })
    }

    pub fn find(&self, path: &ArtifactPath, digest: &Sha256) -> Option<Kept> {
        let entries = self.entries.load();
        let kept = entries.get(&(path.clone(), *digest))?;
        let over = kept.expiry.is_some_and(|expiry| expiry.is_over());
        (!over).then(|| kept.clone())
    }

    /// The bytes, if they still are what their name says.
    pub async fn read(&self, kept: &Kept) -> Option<(Bytes, Digest)> {
        let bytes = match (&kept.content, &self.store) {
            (Content::Memory(bytes), _) => bytes.clone(),
            (Content::StateDir, Some(store)) => {
                let (store, name, size) = (store.clone(), kept.sha256, kept.size);
                tokio::task::spawn_blocking(move || store.read_blob(&name, size)).await.ok()??
            }
            (Content::StateDir, None) => return None,
        };
        let digest = Digest::of(&bytes);
        if digest.sha256 != kept.sha256 {
            tracing::error!(artifact = %kept.path, "a file in --state-dir is not what its name says; ignored");
            return None;
        }
        Some((bytes, digest))
    }

    /// What `old` promised and `new` does not is kept from now on. Called before `new` is served, so that no request
    /// falls in between; blocking.
    pub fn turn(&self, old: Option<&Generation>, new: &Generation) {
        let _turning = self.turning.lock().unwrap_or_else(PoisonError::into_inner);
        let mut entries = Entries::clone(&self.entries.load());
        let current = promised(new);
        let expiry = Some(Expiry::after(self.keep_for));
        let mut budget = self.budget_for(bytes_of(&current));
        // What is promised again is no longer retired.
        entries.retain(|key, kept| kept.expiry.is_none() || !current.contains_key(key));
        // Recorded as current, perhaps by the process before this one.
        for (_, kept) in entries.iter_mut().filter(|(key, _)| !current.contains_key(key)) {
            kept.expiry = kept.expiry.or(expiry);
        }
        if let Some(old) = old {
            let replaced = promised(old);
            // An edit that takes hosts away leaves a bigger site behind than it makes.
            budget = budget.max(self.budget_for(bytes_of(&replaced)));
            for ((path, _), artifact) in replaced.iter().filter(|(key, _)| !current.contains_key(key)) {
                let kept = self.keep(old, path, artifact, expiry);
                entries.insert((path.clone(), kept.sha256), kept);
            }
        } else {
            // How big the site was that the process before this one served, nobody knows.
            budget = *self.budget_bytes.end();
        }
        if self.store.is_some() {
            self.record_current(&mut entries, new, &current, budget);
        }
        keep_within(budget, &mut entries);
        self.settle(entries);
    }

    /// Drops what is over. Secrets do not stay longer than was said.
    pub fn purge(&self) {
        let _turning = self.turning.lock().unwrap_or_else(PoisonError::into_inner);
        self.settle(Entries::clone(&self.entries.load()));
    }

    fn budget_for(&self, site_bytes: usize) -> usize {
        let (least, most) = (*self.budget_bytes.start(), *self.budget_bytes.end());
        site_bytes.saturating_mul(WHOLE_EDITS).clamp(least, most)
    }

    fn record_current(
        &self,
        entries: &mut Entries,
        new: &Generation,
        current: &Promised<'_>,
        budget_bytes: usize,
    ) {
        let mut room = Room::of(budget_bytes);
        let mut skipped = 0_usize;
        for ((path, digest), artifact) in current {
            if !room.takes(*digest, artifact.bytes().len()) {
                skipped += 1;
                continue;
            }
            entries.insert((path.clone(), *digest), self.keep(new, path, artifact, None));
        }
        if skipped > 0 {
            tracing::warn!(
                skipped,
                "the site is bigger than what --state-dir holds; a restart forgets the rest of this generation"
            );
        }
    }

    fn keep(
        &self,
        from: &Generation,
        path: &ArtifactPath,
        artifact: &Artifact,
        expiry: Option<Expiry>,
    ) -> Kept {
        let (sha256, bytes) = (artifact.digest().sha256, artifact.bytes());
        let stored = self.store.as_ref().is_some_and(|store| store.write_blob(&sha256, bytes));
        Kept {
            path: path.clone(),
            sha256,
            size: bytes.len(),
            sensitivity: artifact.sensitivity,
            audience: artifact.audience.clone(),
            machines: kept::machines(artifact, &from.inventory),
            expiry,
            content: if stored { Content::StateDir } else { Content::Memory(bytes.clone()) },
        }
    }

    /// Makes `entries` what is kept, without those that are over.
    fn settle(&self, mut entries: Entries) {
        entries.retain(|_, kept| !kept.expiry.is_some_and(|expiry| expiry.is_over()));
        let entries = Arc::new(entries);
        self.entries.store(entries.clone());
        if let Some(store) = &self.store {
            store.write_index(entries.values());
        }
    }
}

/// Drops what does not fit: first what was replaced first; of one edit host by host, so that as many boots as possible
/// lose nothing, and what is for everyone last.
fn keep_within(budget_bytes: usize, entries: &mut Entries) {
    let mut retired: Vec<&Kept> = entries.values().filter(|kept| kept.expiry.is_some()).collect();
    retired.sort_by_key(|kept| (Reverse(kept.expiry), kept.audience.hosts()));
    let mut room = Room::of(budget_bytes);
    let dropped = retired.into_iter().filter(|kept| !room.takes(kept.sha256, kept.size));
    let dropped: Vec<_> = dropped.map(|kept| (kept.path.clone(), kept.sha256)).collect();
    let mut promises = 0_usize;
    for key in &dropped {
        let kept = entries.remove(key);
        promises += usize::from(kept.and_then(|kept| kept.expiry).is_some_and(|expiry| !expiry.is_over()));
    }
    if promises > 0 {
        tracing::warn!(
            files = promises,
            budget_bytes,
            "more was edited within --keep-generations-for than is kept: a boot that began before the edits may ask for \
             a file that is gone and stop; start that machine again"
        );
    }
}

/// What fits in, each content once; what comes after the first that does not, does not.
struct Room {
    left: usize,
    inside: BTreeSet<Sha256>,
}

impl Room {
    fn of(bytes: usize) -> Self {
        Room { left: bytes, inside: BTreeSet::new() }
    }

    fn takes(&mut self, content: Sha256, size: usize) -> bool {
        if self.inside.contains(&content) {
            return true;
        }
        let left = self.left.checked_sub(size);
        self.left = left.unwrap_or_default();
        left.is_some() && self.inside.insert(content)
    }
}
