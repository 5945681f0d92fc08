//! The look-up: from what a request asks for to what it gets, or why not.
//!
//! It reads one status and decides; the bytes were made at load. The one thing it may wait for is a retired artifact
//! that lies in the state directory.

use std::sync::Arc;

use crate::catalogue::{Artifact, ArtifactPath, Audience, Sensitivity, Sha256};

use super::access::{Grant, is_name_of_ours};
use super::archive::Machines;
use super::listing::Folder;
use super::negotiate;
use super::refusal::Refusal;
use super::representation::Representation;
use super::state::{Served, ServerState, Status};
use super::static_file;
use super::target::{Place, Target};

#[derive(Debug)]
pub enum Found {
    Artifact(Representation),
    /// A big file, streamed from disk, which alone can tell whether it is what was asked for.
    Static(static_file::Place),
    Folder(Folder),
}

pub async fn find(state: &ServerState, target: &Target) -> Result<Found, Refusal> {
    find_in(state, state.status(), target).await
}

/// The same for who has decided by a status already.
pub async fn find_in(state: &ServerState, status: Arc<Status>, target: &Target) -> Result<Found, Refusal> {
    let lookup = Lookup { state, status, target };
    match (&target.place, &target.pinned) {
        (Place::Path(path), Some(digest)) => lookup.pinned(path, digest).await,
        (Place::Path(path), None) => lookup.current(path),
        (Place::Folder(path), _) => lookup.folder(path),
        (Place::Root, _) => lookup.root(),
    }
}

struct Lookup<'a> {
    state: &'a ServerState,
    status: Arc<Status>,
    target: &'a Target,
}

impl Lookup<'_> {
    fn root(&self) -> Result<Found, Refusal> {
        Ok(self.listing(self.status.served()?, ""))
    }

    fn folder(&self, path: &ArtifactPath) -> Result<Found, Refusal> {
        let served = self.status.served()?;
        match served.folders.contains(path.as_str()) {
            true => Ok(self.listing(served, path.as_str())),
            false => Err(Refusal::Unknown(path.clone())),
        }
    }

    fn listing(&self, served: Arc<Served>, path: &str) -> Found {
        let degraded = self.status.failure.is_some();
        Found::Folder(Folder { served, path: path.to_owned(), degraded })
    }

    fn current(&self, path: &ArtifactPath) -> Result<Found, Refusal> {
        let served = self.status.served()?;
        let generation = &served.generation;
        if let Some(artifact) = generation.catalogue.get(path.as_str()) {
            self.permit_artifact(path, artifact)?;
            return Ok(Found::Artifact(self.choose_form(path, artifact)));
        }
        match self.static_file(path)? {
            Some(place) => Ok(Found::Static(place)),
            None => self.folder(path),
        }
    }

    fn static_file(&self, path: &ArtifactPath) -> Result<Option<static_file::Place>, Refusal> {
        let generation = &self.status.served()?.generation;
        let known = generation.catalogue.static_files.get(path);
        Ok(known.zip(generation.place_of_static(path)).map(|(known, (folder, name))| static_file::Place {
            path: path.clone(),
            folder: folder.to_owned(),
            name: name.to_owned(),
            known: *known,
        }))
    }

    /// Exactly the generation asked for, current or kept; a kept one also while nothing else can be served.
    async fn pinned(&self, path: &ArtifactPath, digest: &Sha256) -> Result<Found, Refusal> {
        let served = self.status.served.as_ref();
        let current = served.and_then(|served| served.generation.catalogue.get(path.as_str()));
        if let Some(artifact) = current {
            let forms =
                [Some(Representation::of(path, artifact)), Representation::lower_form_of(path, artifact)];
            if let Some(form) = forms.into_iter().flatten().find(|form| form.digest.sha256 == *digest) {
                self.permit_artifact(path, artifact)?;
                return Ok(Found::Artifact(form));
            }
        }
        if let Some(kept) = self.state.archive.find(path, digest) {
            self.permit(path, kept.sensitivity, &kept.audience, &kept.machines)?;
            if let Some((bytes, digest)) = self.state.archive.read(&kept).await {
                let retired = Representation::retired(path, bytes, digest, kept.sensitivity);
                return Ok(Found::Artifact(retired));
            }
        }
        self.status.served()?;
        let Some(artifact) = current else {
            let place = self.static_file(path)?;
            return place.map(Found::Static).ok_or_else(|| Refusal::Unknown(path.clone()));
        };
        // The digest of a short secret gives the secret away to whoever can count.
        self.permit_artifact(path, artifact)?;
        let current = artifact.digest().sha256;
        Err(Refusal::Superseded { path: path.clone(), wanted: *digest, current })
    }

    fn permit_artifact(&self, path: &ArtifactPath, artifact: &Artifact) -> Result<(), Refusal> {
        self.permit(path, artifact.sensitivity, &artifact.audience, &Machines::default())
    }

    fn permit(
        &self,
        path: &ArtifactPath,
        sensitivity: Sensitivity,
        audience: &Audience,
        machines: &Machines,
    ) -> Result<(), Refusal> {
        if sensitivity == Sensitivity::Public {
            return Ok(());
        }
        let inventory = self.status.served.as_ref().map(|served| &served.generation.inventory);
        let (secrets, caller) = (self.state.secrets, &self.target.caller);
        caller.must_be_direct()?;
        match (secrets.grant(caller.peer, audience, machines, inventory), &caller.host) {
            (Some(Grant::ByPlace), Some(host)) if !is_name_of_ours(host, inventory) => {
                Err(Refusal::ForeignName { path: path.clone(), host: host.clone() })
            }
            (Some(_), _) => Ok(()),
            (None, _) => Err(Refusal::Secret { path: path.clone(), client: caller.peer, secrets }),
        }
    }

    /// What suits the `Accept` header. Where nothing does, the client gets the artifact as it is, since Ignition also
    /// sends `*/*;q=0.1`, and the log names the node that is too old.
    fn choose_form(&self, path: &ArtifactPath, artifact: &Artifact) -> Representation {
        let as_it_is = Representation::of(path, artifact);
        let (Some(version), Some(reads)) =
            (artifact.ignition_version, negotiate::ignition_version(&self.target.headers))
        else {
            return as_it_is;
        };
        if reads >= version {
            return as_it_is;
        }
        let fits = artifact.alternative.as_ref().is_some_and(|lower| lower.ignition_version <= reads);
        if let Some(lower) = Representation::lower_form_of(path, artifact).filter(|_| fits) {
            return lower;
        }
        self.warn_too_old(path, version, reads);
        as_it_is
    }

    fn warn_too_old(&self, path: &ArtifactPath, version: (u32, u32), reads: (u32, u32)) {
        let client = self.target.caller.peer;
        if self.state.first_warning(client, path.as_str()) {
            let (spec, newest) = (dotted(version), dotted(reads));
            let host = client.network().and_then(|address| self.status.host_at(address));
            tracing::warn!(%client, host = ?host.map(|host| host.as_str()), artifact = %path,
                "the client reads Ignition {newest} at most and this needs {spec}: it will refuse it; boot a newer image");
        }
    }
}

fn dotted((major, minor): (u32, u32)) -> String {
    format!("{major}.{minor}.0")
}
