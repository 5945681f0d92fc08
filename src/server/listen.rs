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
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Error;
use super::config::Limits;
use super::connection;

/// The kernel would go to 4 MiB a connection (tcp_wmem), more than a router has for all of them; a gigabit at 2 ms needs
/// a quarter of one. It also makes the write timeout mean something: a socket takes more once a third of it is sent.
const SEND_BUFFER_BYTES: u32 = 256 * 1024;

/// Connections the kernel holds while all permits are taken; it caps this at net.core.somaxconn.
const BACKLOG: u32 = 1024;

/// After a failed accept. Out of file descriptors (EMFILE) does not pass within a microsecond, and must not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

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
    mut listeners: Vec<TcpListener>,
    routes: Router,
    limits: Limits,
    stop: impl Future<Output = ()>,
) {
    let limits = Arc::new(limits);
    let permits = Arc::new(Semaphore::new(limits.connections));
    let graceful = GracefulShutdown::new();
    let mut stop = pin!(stop);
    loop {
        let (stream, permit) = tokio::select! {
            biased;
            () = &mut stop => break,
            next = next_connection(&mut listeners, &permits) => next,
        };
        let (routes, limits, watcher) = (routes.clone(), limits.clone(), graceful.watcher());
        tokio::spawn(async move {
            connection::serve(stream, routes, &limits, watcher).await;
            drop(permit);
        });
    }
    drop(listeners);
    if tokio::time::timeout(limits.stop, graceful.shutdown()).await.is_err() {
        tracing::warn!(seconds = limits.stop.as_secs(), "cut off what was still in flight");
    }
}

/// Takes a permit before it accepts: beyond the limit a peer waits in the kernel's backlog and costs nothing here.
async fn next_connection(
    listeners: &mut [TcpListener],
    permits: &Arc<Semaphore>,
) -> (TcpStream, OwnedSemaphorePermit) {
    loop {
        // The semaphore is never closed; were it, we would wait for the stop signal as for any full house.
        let Ok(permit) = permits.clone().acquire_owned().await else { std::future::pending().await };
        match accept_any(listeners).await {
            Ok((stream, _)) => return (stream, permit),
            Err(error) => {
                tracing::warn!(%error, "could not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn accept_any(listeners: &mut [TcpListener]) -> io::Result<(TcpStream, SocketAddr)> {
    // Another one goes first each time, so that a busy address does not starve the others.
    if !listeners.is_empty() {
        listeners.rotate_left(1);
    }
    poll_fn(|context| {
        for listener in listeners.iter() {
            if let Poll::Ready(accepted) = listener.poll_accept(context) {
                return Poll::Ready(accepted);
            }
        }
        Poll::Pending
    })
    .await
}
