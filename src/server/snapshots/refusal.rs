//! Why a snapshot is not taken or given. What comes again by itself is 503 or 507, what would end the same way is 4xx.

use std::io;

use axum::http::StatusCode;

use crate::catalogue::Sha256;
use crate::ids::{HostName, SnapshotName};

use super::store::SNAPSHOT_BYTES_MAX;

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotRefusal {
    #[error("snapshots are kept in --state-dir, and this server was started without one")]
    NoStateDir,
    #[error("the inventory does not ask for snapshots; write `k3s.snapshots: router`")]
    NotAsked,
    #[error("{0} is a worker, and only servers have snapshots")]
    Worker(HostName),
    #[error("the request does not say how long the snapshot is; a Content-Length is needed")]
    NoLength,
    #[error("the snapshot has {0} bytes, at most {SNAPSHOT_BYTES_MAX} are taken")]
    TooBig(u64),
    #[error("the snapshot is kept already")]
    Known,
    #[error("{0} is kept already, and with another SHA-256")]
    Taken(SnapshotName),
    #[error("the snapshot broke off after {received} of {announced} bytes; it is not kept")]
    BrokeOff { received: u64, announced: u64 },
    #[error("the SHA-256 of what arrived is {received}, and {announced} was announced; it is not kept")]
    WrongHash { received: Sha256, announced: Sha256 },
    #[error(
        "the disk of --state-dir is nearly full: {free} bytes are free and {needed} are needed, with the room that the journal keeps; free some, or lower k3s.snapshots.keep"
    )]
    NoRoom { free: u64, needed: u64 },
    #[error(
        "a snapshot holds all secrets of the cluster: only the operator gets one, and the host that was installed to be restored from it, until it has joined"
    )]
    Secret,
    #[error(
        "there is no snapshot whose bytes are what was received; `pxe-serve snapshots` lists what is kept"
    )]
    None,
    #[error("another snapshot is just being received")]
    Busy,
    #[error("the snapshot cannot be written to --state-dir; the log of this server says why")]
    Disk,
}

impl SnapshotRefusal {
    pub fn status(&self) -> StatusCode {
        match self {
            // What a server says that does not have a function, as a static one does of PUT.
            SnapshotRefusal::NoStateDir => StatusCode::NOT_IMPLEMENTED,
            SnapshotRefusal::NotAsked | SnapshotRefusal::Worker(_) => StatusCode::FORBIDDEN,
            SnapshotRefusal::Secret => StatusCode::FORBIDDEN,
            SnapshotRefusal::None => StatusCode::NOT_FOUND,
            SnapshotRefusal::NoLength => StatusCode::LENGTH_REQUIRED,
            SnapshotRefusal::TooBig(_) => StatusCode::PAYLOAD_TOO_LARGE,
            SnapshotRefusal::Known => StatusCode::CONFLICT,
            SnapshotRefusal::Taken(_) => StatusCode::UNPROCESSABLE_ENTITY,
            SnapshotRefusal::BrokeOff { .. } | SnapshotRefusal::WrongHash { .. } => StatusCode::BAD_REQUEST,
            SnapshotRefusal::NoRoom { .. } => StatusCode::INSUFFICIENT_STORAGE,
            SnapshotRefusal::Busy | SnapshotRefusal::Disk => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    pub fn disk(error: &io::Error) -> Self {
        tracing::error!(%error, "cannot keep a snapshot");
        SnapshotRefusal::Disk
    }
}
