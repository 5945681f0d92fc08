//! Earlier generations of artifacts, by path and SHA-256: a boot that began before an edit gets what it was promised.
//!
//! A node fetches its Ignition at install and the files it names, with their hashes, minutes later. Kept for a term,
//! within a budget (what was replaced first goes first), in memory or, with `--state-dir`, on disk across restarts.
//! There the current artifacts are recorded as well: the process that reads an edited inventory has never seen them.
//! Who may fetch what is decided elsewhere, by the audience that is remembered here.

mod index;
mod kept;
mod store;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;

use crate::catalogue::{Artifact, ArtifactPath, Digest, Sha256};
use crate::generation::Generation;

use super::Error;
use super::state_dir::StateDir;
use kept::{Content, Expiry, Kept};
use store::Store;

type Entries = BTreeMap<(ArtifactPath, Sha256), Kept>;

/// No boot takes a year; and the clocks' arithmetic has an end.
const KEEP_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

#[derive(Debug)]
pub struct Archive {
    entries: ArcSwap<Entries>,
    keep_for: Duration,
    /// For what is retired, and once more for what is current and recorded.
    budget_bytes: usize,
    store: Option<Arc<Store>>,
}

impl Archive {
    pub fn open(
        keep_for: Duration,
        budget_bytes: usize,
        state_dir: Option<Arc<StateDir>>,
    ) -> Result<Self, Error> {
        let keep_for = keep_for.min(KEEP_MAX);
        let store = state_dir.map(Store::open).transpose()?.map(Arc::new);
        let recorded = store.as_ref().map(|store| store.read_index(keep_for)).unwrap_or_default();
        let entries = recorded.into_iter().map(|kept| ((kept.path.clone(), kept.sha256), kept)).collect();
        Ok(Archive { entries: ArcSwap::from_pointee(entries), keep_for, budget_bytes, store })
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

    /// What `new` replaces is kept from now on. Called before `new` is served, so that no request falls in between;
    /// blocking, and never twice at once.
    pub fn turn(&self, old: Option<&Generation>, new: &Generation) {
        let mut entries = Entries::clone(&self.entries.load());
        let expiry = Some(Expiry::after(self.keep_for));
        // Recorded as current, perhaps by the process before this one.
        for kept in entries.values_mut().filter(|kept| kept.expiry.is_none()) {
            if !has_form(new, &kept.path, &kept.sha256) {
                kept.expiry = expiry;
            }
        }
        for (old, path, artifact) in old.into_iter().flat_map(artifacts) {
            for (digest, bytes) in kept::forms(artifact) {
                if !has_form(new, path, &digest.sha256) {
                    let kept = self.keep(old, path, artifact, &digest, bytes, expiry);
                    entries.insert((path.clone(), digest.sha256), kept);
                }
            }
        }
        if self.store.is_some() {
            self.record_current(&mut entries, new);
        }
        self.settle(entries);
    }

    /// Drops what is over. Secrets do not stay longer than was said.
    pub fn purge(&self) {
        self.settle(Entries::clone(&self.entries.load()));
    }

    fn record_current(&self, entries: &mut Entries, new: &Generation) {
        let mut left = self.budget_bytes;
        let mut skipped = 0_usize;
        for (path, artifact) in new.catalogue.iter() {
            for (digest, bytes) in kept::forms(artifact) {
                if bytes.len() > left {
                    skipped += 1;
                    continue;
                }
                left -= bytes.len();
                let kept = self.keep(new, path, artifact, &digest, bytes, None);
                entries.insert((path.clone(), digest.sha256), kept);
            }
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
        digest: &Digest,
        bytes: &Bytes,
        expiry: Option<Expiry>,
    ) -> Kept {
        let stored = self.store.as_ref().is_some_and(|store| store.write_blob(&digest.sha256, bytes));
        Kept {
            path: path.clone(),
            sha256: digest.sha256,
            size: bytes.len(),
            sensitivity: artifact.sensitivity,
            audience: artifact.audience.clone(),
            addresses: kept::addresses(artifact, &from.inventory),
            expiry,
            content: if stored { Content::StateDir } else { Content::Memory(bytes.clone()) },
        }
    }

    /// Makes `entries` what is kept: without those that are over and, beyond the budget, without the oldest.
    fn settle(&self, mut entries: Entries) {
        let mut retired: Vec<_> =
            entries.iter().filter_map(|(key, kept)| Some((kept.expiry?, kept.size, key.clone()))).collect();
        // Youngest first: what no longer fits is what was replaced longest ago.
        retired.sort_by(|a, b| b.cmp(a));
        let mut used = 0_usize;
        for (expiry, size, key) in retired {
            used = used.saturating_add(size);
            if expiry.is_over() || used > self.budget_bytes {
                entries.remove(&key);
            }
        }
        let entries = Arc::new(entries);
        self.entries.store(entries.clone());
        if let Some(store) = &self.store {
            store.write_index(entries.values());
        }
    }
}

fn artifacts(generation: &Generation) -> impl Iterator<Item = (&Generation, &ArtifactPath, &Artifact)> {
    generation.catalogue.iter().map(move |(path, artifact)| (generation, path, artifact))
}

fn has_form(generation: &Generation, path: &ArtifactPath, digest: &Sha256) -> bool {
    let artifact = generation.catalogue.get(path.as_str());
    artifact.is_some_and(|artifact| kept::forms(artifact).any(|(form, _)| form.sha256 == *digest))
}
