//! `PUT /pxe/snapshots/HOST/NAME?sha256=HEX`: a server hands in its snapshot.

use std::io::{self, Read};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::{Buf as _, Bytes};
use http_body_util::BodyExt as _;
use tokio::sync::mpsc;

use crate::ids::SnapshotName;

use super::super::caller::Caller;
use super::super::refusal::Refusal;
use super::super::state::ServerState;
use super::super::target::Target;
use super::refusal::SnapshotRefusal;
use super::store::{Announced, SNAPSHOT_BYTES_MAX};

/// Between two pieces of it. A link that comes back behind spanning tree is silent for 30 s (802.1D).
const PIECE_WITHIN: Duration = Duration::from_secs(60);

/// All of it: the most that is taken, at 600 KB/s, as Wi-Fi or an old stick manages.
const ALL_WITHIN: Duration = Duration::from_secs(15 * 60);

/// Between the socket and the disk; a piece is at most what hyper reads at once.
const PIECES_WAITING: usize = 4;

pub async fn receive(
    state: &ServerState,
    caller: &Caller,
    (host, name): (&str, &str),
    target: &Target,
    body: Body,
) -> Result<StatusCode, Refusal> {
    let served = state.status().served()?;
    let inventory = &served.generation.inventory;
    let host = inventory.host(host).ok_or_else(|| Refusal::no_host(host))?;
    caller.must_be_host(&host.name, inventory, state.secrets)?;
    if !host.is_control_plane() {
        return Err(SnapshotRefusal::Worker(host.name.clone()).into());
    }
    let keep = inventory.k3s.snapshots.ok_or(SnapshotRefusal::NotAsked)?.keep;
    let name: SnapshotName = name.parse().map_err(|error| Refusal::BadBody(format!("{error}")))?;
    let sha256 = target.pinned.ok_or(Refusal::BadDigest)?;
    let bytes = length(&target.headers)?;
    let store = state.snapshots.store()?.clone();
    let turn = state.snapshots.turn.clone().try_acquire_owned().map_err(|_| SnapshotRefusal::Busy)?;
    let announced = Announced { host: host.name.clone(), name, sha256, bytes };
    let (before, said) = (store.clone(), announced.clone());
    // Before the first look at the body: that is what lets a client with `Expect: 100-continue` begin to send.
    off_thread(move || before.prepare(&said, keep)).await?;
    let (pieces, waiting) = mpsc::channel(PIECES_WAITING);
    let said = announced.clone();
    let writing = off_thread(move || {
        // Until it is written or gone, whether or not somebody still waits for the answer.
        let _turn = turn;
        store.write(&said, Pieces { waiting, piece: Bytes::new() }, keep)
    });
    let (written, arrived) = tokio::join!(writing, tokio::time::timeout(ALL_WITHIN, hand_over(body, pieces)));
    arrived.map_err(|_| Refusal::SlowBody)??;
    written?;
    tracing::info!(host = host.name.as_str(), bytes, "keeps the snapshot {}", announced.name);
    Ok(StatusCode::NO_CONTENT)
}

/// Begins at once; an error of the task is the runtime shutting down, and then nothing is acknowledged.
fn off_thread(
    work: impl FnOnce() -> Result<(), SnapshotRefusal> + Send + 'static,
) -> impl Future<Output = Result<(), SnapshotRefusal>> {
    let task = tokio::task::spawn_blocking(work);
    async { task.await.map_err(|_| SnapshotRefusal::Disk)? }
}

fn length(headers: &HeaderMap) -> Result<u64, SnapshotRefusal> {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    match length.ok_or(SnapshotRefusal::NoLength)? {
        length if length > SNAPSHOT_BYTES_MAX => Err(SnapshotRefusal::TooBig(length)),
        length => Ok(length),
    }
}

/// Until the body ends, or nobody takes it any more, who then says why.
async fn hand_over(mut body: Body, pieces: mpsc::Sender<Bytes>) -> Result<(), Refusal> {
    loop {
        let frame = tokio::time::timeout(PIECE_WITHIN, body.frame()).await.map_err(|_| Refusal::SlowBody)?;
        // Where it broke off the writer sees by the length.
        let Some(Ok(frame)) = frame else { return Ok(()) };
        let Ok(piece) = frame.into_data() else { continue };
        if pieces.send(piece).await.is_err() {
            return Ok(());
        }
    }
}

/// The pieces as one stream, for a thread that may block.
struct Pieces {
    waiting: mpsc::Receiver<Bytes>,
    piece: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.waiting.blocking_recv() {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let length = self.piece.len().min(buffer.len());
        self.piece.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}
