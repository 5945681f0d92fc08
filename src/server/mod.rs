//! The server: a look-up in the catalogue that was made at load, with HTTP around it.
//!
//! It owns sockets, the current generation and what is kept of earlier ones. It knows neither where generations come
//! from (a closure gives them) nor what is in them. It refuses to answer 404 for its own failures: a booting machine
//! takes that as final. Idle it costs two threads and a few MiB.

#![expect(clippy::disallowed_methods, reason = "the server keeps time, and its archive keeps files")]

mod access;
mod answer;
mod archive;
mod caller;
mod config;
mod connection;
mod error;
mod fetched;
mod find;
mod fleetlock;
mod health;
mod hosts;
mod inputs;
mod journal;
mod listen;
mod listing;
mod log;
mod negotiate;
mod operator;
mod overdue;
mod peer;
mod precondition;
mod readiness;
mod refusal;
mod reload;
mod report;
mod representation;
mod routes;
mod script;
mod signals;
mod snapshots;
mod stalled;
mod state;
mod state_dir;
mod static_file;
mod target;
#[cfg(test)]
mod tests;
mod watch;
mod welcome;

use std::future::Future;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Notify;

use crate::generation::Loaded;

pub use access::SecretsPolicy;
pub use config::{Config, KEEP_GENERATIONS_FOR, Limits};
pub use error::Error;
pub use hosts::{ARM_FOR, Arm};
pub use log::LogFormat;
pub use operator::OPERATOR_SOCKET;
pub use readiness::AskReadiness;
pub use snapshots::{SnapshotEntry, SnapshotList};

use archive::Archive;
use inputs::Inputs;
use journal::Chronicle;
use reload::{Reloader, Trigger};
use signals::Signals;
use snapshots::Snapshots;
use state::ServerState;
use state_dir::StateDir;
use watch::{Beside, Notifier, Watch};

/// Answers are look-ups: one thread could do it, the second keeps a slow system call from being noticed.
const WORKER_THREADS: usize = 2;

/// Loads, reads of `--static` and of the state directory. Each may hold a stack and a buffer.
const BLOCKING_THREADS_MAX: usize = 8;

/// After the last connection is closed: a load under way is not waited for any longer, its result would be for nobody.
const RUNTIME_STOP: Duration = Duration::from_millis(500);

/// Serves what `load` gives until SIGTERM or SIGINT; calls it again whenever an input changes, and on SIGHUP.
pub fn run(config: Config, load: impl Fn() -> Loaded + Send + Sync + 'static) -> Result<(), Error> {
    log::init(config.log_format);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKER_THREADS)
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .enable_all()
        .build()?;
    let served = runtime.block_on(async {
        // Before the first load, so that an impatient SIGHUP does not end us.
        let signals = Signals::catch()?;
        let server = Server::start(&config, load).await?;
        greet(&config, &server);
        let asked = server.asked.clone();
        server.serve(signals.until_stop(asked)).await;
        Ok(())
    });
    runtime.shutdown_timeout(RUNTIME_STOP);
    served
}

/// Whoever wants JSON has a program reading both streams, and no use for advice.
fn greet(config: &Config, server: &Server) {
    let addresses = server.addresses();
    tracing::info!(?addresses, "listening");
    if config.log_format == LogFormat::Text {
        let text = welcome::welcome(&addresses, config.secrets, &server.state.status());
        // Nobody reading it is no reason not to serve.
        let _ = std::io::stdout().lock().write_all(text.as_bytes());
    }
}

/// A server that listens and has loaded once, well or badly, but does not accept yet.
struct Server {
    listeners: Vec<TcpListener>,
    operator: Option<UnixListener>,
    limits: Limits,
    state: Arc<ServerState>,
    reloader: Reloader,
    inputs: Inputs,
    asked: Arc<Notify>,
    beside: Beside,
}

impl Server {
    /// A broken site is no error here: it comes up and says so.
    async fn start(
        config: &Config,
        load: impl Fn() -> Loaded + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let listeners = listen::bind(&config.listen)?;
        let limits = config.limits.clone();
        let state_dir = config.state_dir.as_deref().map(StateDir::open).transpose()?.map(Arc::new);
        if state_dir.is_none() {
            tracing::warn!(
                "without --state-dir nothing is remembered of the hosts and nobody can arm one: `boot: install_once` installs nobody"
            );
        }
        let operator = state_dir.as_deref().map(operator::bind).transpose()?.flatten();
        let archive =
            Archive::open(config.keep_generations_for, limits.archive_bytes.clone(), state_dir.clone())?;
        let snapshots = Snapshots::open(state_dir.clone())?;
        let state = ServerState::new(config.secrets, archive, Chronicle::open(state_dir)?);
        let state = Arc::new(state.asking(config.readiness.clone()).keeping(snapshots));
        let reloader = Reloader::new(Arc::new(load), state.clone());
        let (inputs, unfinished) = watch::load(&reloader, &Inputs::default(), Trigger::Start).await;
        let mut beside = Beside::default();
        beside.start(unfinished);
        Ok(Server { listeners, operator, limits, state, reloader, inputs, asked: Arc::default(), beside })
    }

    /// Where it really listens; port 0 is some port by now.
    fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }

    async fn serve(self, stop: impl Future<Output = ()>) {
        self.serve_watching(Notifier::new(), stop).await;
    }

    async fn serve_watching(self, notifier: Option<Notifier>, stop: impl Future<Output = ()>) {
        let Server { listeners, operator, limits, state, reloader, inputs, asked, beside } = self;
        let watch = Watch { reloader, inputs, notifier, limits: limits.clone(), asked, beside };
        let watching = tokio::spawn(watch.run());
        let overdue = tokio::spawn(overdue::watch(state.clone()));
        let waiting = tokio::spawn(stalled::watch(state.clone()));
        listen::accept(listeners, operator, routes::routes(state), limits, stop).await;
        watching.abort();
        overdue.abort();
        waiting.abort();
    }
}
