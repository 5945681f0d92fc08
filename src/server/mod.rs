//! The server: a look-up in the catalogue that was made at load, with HTTP around it.
//!
//! It owns sockets, the current generation and what is kept of earlier ones. It knows neither where generations come
//! from (a closure gives them) nor what is in them. It refuses to answer 404 for its own failures: a booting machine
//! takes that as final. Idle it costs two threads and a few MiB.

mod access;
mod answer;
mod archive;
mod config;
mod connection;
mod error;
mod find;
mod health;
mod listen;
mod listing;
mod log;
mod negotiate;
mod refusal;
mod reload;
mod representation;
mod routes;
mod state;
mod static_file;
mod target;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;

use crate::generation::Loaded;

pub use access::SecretsPolicy;
pub use config::{Config, KEEP_GENERATIONS_FOR, Limits};
pub use error::Error;
pub use log::LogFormat;

use archive::Archive;
use reload::Reloader;
use state::ServerState;

/// A server that listens and has loaded once, well or badly, but does not accept yet.
struct Server {
    listeners: Vec<TcpListener>,
    limits: Limits,
    state: Arc<ServerState>,
    reloader: Reloader,
}

impl Server {
    /// A broken site is no error here: it comes up and says so.
    async fn start(
        config: &Config,
        load: impl Fn() -> Loaded + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let listeners = listen::bind(&config.listen).await?;
        let archive = Archive::open(
            config.keep_generations_for,
            config.limits.archive_bytes,
            config.state_dir.as_deref(),
        )?;
        let state = Arc::new(ServerState::new(config.secrets, archive));
        let reloader = Reloader::new(Arc::new(load), state.clone());
        reloader.reload().await;
        Ok(Server { listeners, limits: config.limits.clone(), state, reloader })
    }

    /// Where it really listens; port 0 is some port by now.
    fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }

    async fn serve(self, stop: impl Future<Output = ()>) {
        listen::accept(self.listeners, routes::routes(self.state), self.limits, stop).await;
    }
}
