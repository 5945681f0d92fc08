//! The body of an answer from disk: a chunk at a time, read off the threads that answer.

use std::future::Future;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::Semaphore;

use crate::catalogue::ArtifactPath;

use super::open::Opened;

/// What a connection holds of a file at a time: 256 connections that all take an image hold 32 MiB. One that reads from
/// memory gets 1.2 GB/s, which no network of a router has.
const CHUNK: usize = 128 * 1024;

type Reading = Pin<Box<dyn Future<Output = io::Result<(Opened, Bytes)>> + Send>>;

/// The bytes of `rest`, and an error, which cuts the connection, when they are not those of one file any more.
pub struct Chunks {
    pub path: ArtifactPath,
    /// None while it is with a read.
    pub file: Option<Opened>,
    pub rest: Range<u64>,
    pub reads: Arc<Semaphore>,
    pub reading: Option<Reading>,
}

impl Chunks {
    pub fn new(path: ArtifactPath, file: Opened, rest: Range<u64>, reads: Arc<Semaphore>) -> Self {
        Chunks { path, file: Some(file), rest, reads, reading: None }
    }

    fn next(&mut self) -> Option<Reading> {
        let mut file = self.file.take()?;
        let (offset, left) = (self.rest.start, self.rest.end - self.rest.start);
        let length = left.min(CHUNK as u64) as usize;
        let reads = self.reads.clone();
        Some(Box::pin(off_thread(reads, move || file.read(offset, length).map(|bytes| (file, bytes)))))
    }
}

/// At most as many at a time as `reads` lets: a slow disk must not take all the threads that block. The turn ends with
/// the read, whether or not somebody still waits for it.
pub async fn off_thread<T: Send + 'static>(
    reads: Arc<Semaphore>,
    read: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let turn = reads.acquire_owned().await.map_err(io::Error::other)?;
    let task = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        read()
    });
    task.await.map_err(io::Error::other)?
}

impl Body for Chunks {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.reading.is_none() && !self.rest.is_empty() {
            self.reading = self.next();
        }
        let Some(reading) = &mut self.reading else { return Poll::Ready(None) };
        let read = ready!(reading.as_mut().poll(context));
        self.reading = None;
        Poll::Ready(Some(match read {
            Ok((file, bytes)) => {
                self.file = Some(file);
                self.rest.start += bytes.len() as u64;
                Ok(Frame::data(bytes))
            }
            Err(error) => {
                tracing::warn!(artifact = %self.path, %error, "cut off, so that no client takes a mix for the file");
                Err(error)
            }
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.end - self.rest.start)
    }
}
