//! The listening sockets: binds them, accepts up to a limit, and stops in good order.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Error;
use super::config::Limits;
use super::connection;
use super::peer::Peer;

/// The kernel would go to 4 MiB a connection (tcp_wmem), more than a router has for all of them; a gigabit at 2 ms needs
/// a quarter of one. It also makes the write timeout mean something: a socket takes more once a third of it is sent.
const SEND_BUFFER_BYTES: u32 = 256 * 1024;

/// Connections the kernel holds while all permits are taken; it caps this at net.core.somaxconn.
const BACKLOG: u32 = 1024;

/// After a failed accept. Out of file descriptors (EMFILE) does not pass within a microsecond, and must not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// An operator, some scripts of theirs, and a `watch`.
const OPERATORS_MAX: usize = 16;

pub fn bind(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, Error> {
    let bound = addresses
        .iter()
        .map(|address| bind_one(*address).map_err(|source| Error::Bind { address: *address, source }));
    bound.collect()
}

fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restart must not wait for the old connections' TIME-WAIT.
    socket.set_reuseaddr(true)?;
    // Connections inherit it.
    socket.set_send_buffer_size(SEND_BUFFER_BYTES)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves until `stop` is ready; then no new connection is taken, and what is in flight has `limits.stop` to finish.
pub async fn accept(
    listeners: Vec<TcpListener>,
    operator: Option<UnixListener>,
    routes: Router,
    limits: Limits,
    stop: impl Future<Output = ()>,
) {
    let limits = Arc::new(limits);
    let mut network = Network { listeners, permits: Arc::new(Semaphore::new(limits.connections)) };
    let mut operator = Operator { listener: operator, permits: Arc::new(Semaphore::new(OPERATORS_MAX)) };
    let graceful = GracefulShutdown::new();
    let mut stop = pin!(stop);
    loop {
        let (routes, limits, watcher) = (routes.clone(), limits.clone(), graceful.watcher());
        tokio::select! {
            biased;
            () = &mut stop => break,
            (stream, permit) = operator.next() => tokio::spawn(async move {
                connection::serve(stream, Peer::Operator, routes, &limits, watcher).await;
                drop(permit);
            }),
            (stream, peer, permit) = network.next() => tokio::spawn(async move {
                connection::serve(stream, peer, routes, &limits, watcher).await;
                drop(permit);
            }),
        };
    }
    drop((network, operator));
    if tokio::time::timeout(limits.stop, graceful.shutdown()).await.is_err() {
        tracing::warn!(seconds = limits.stop.as_secs(), "cut off what was still in flight");
    }
}

struct Operator {
    listener: Option<UnixListener>,
    permits: Arc<Semaphore>,
}

impl Operator {
    async fn next(&mut self) -> (UnixStream, OwnedSemaphorePermit) {
        let Some(listener) = &self.listener else { return std::future::pending().await };
        loop {
            let permit = permit(&self.permits).await;
            match listener.accept().await {
                Ok((stream, _)) => return (stream, permit),
                Err(error) => not_accepted(error).await,
            }
        }
    }
}

struct Network {
    listeners: Vec<TcpListener>,
    permits: Arc<Semaphore>,
}

impl Network {
    async fn next(&mut self) -> (TcpStream, Peer, OwnedSemaphorePermit) {
        loop {
            let permit = permit(&self.permits).await;
            match self.accept_any().await.and_then(|(stream, peer)| Ok((known(&stream, peer)?, stream))) {
                Ok((peer, stream)) => return (stream, peer, permit),
                Err(error) => not_accepted(error).await,
            }
        }
    }

    async fn accept_any(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        // Another one goes first each time, so that a busy address does not starve the others.
        if !self.listeners.is_empty() {
            self.listeners.rotate_left(1);
        }
        poll_fn(|context| {
            for listener in &self.listeners {
                if let Poll::Ready(accepted) = listener.poll_accept(context) {
                    return Poll::Ready(accepted);
                }
            }
            Poll::Pending
        })
        .await
    }
}

fn known(stream: &TcpStream, peer: SocketAddr) -> io::Result<Peer> {
    // Best effort: without it a small answer may wait for the peer's delayed ACK.
    let _ = stream.set_nodelay(true);
    Ok(Peer::at(peer.ip(), stream.local_addr()?.ip()))
}

/// Taken before a connection is accepted: beyond the limit a peer waits in the kernel's backlog and costs nothing here.
async fn permit(permits: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    // The semaphore is never closed; were it, we would wait for the stop signal as for any full house.
    let Ok(permit) = permits.clone().acquire_owned().await else { std::future::pending().await };
    permit
}

async fn not_accepted(error: io::Error) {
    tracing::warn!(%error, "could not accept a connection");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}
