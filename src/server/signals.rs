//! What the outside says by signal: SIGTERM and SIGINT stop, SIGHUP reloads.

use std::io;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;

pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// From now on none of them ends the process by itself.
    pub fn catch() -> io::Result<Self> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Ready when it is time to stop; passes every SIGHUP on to `reload` meanwhile.
    pub async fn until_stop(mut self, reload: Arc<Notify>) {
        loop {
            let name = tokio::select! {
                _ = self.terminate.recv() => "SIGTERM",
                _ = self.interrupt.recv() => "SIGINT",
                _ = self.hangup.recv() => {
                    reload.notify_one();
                    continue;
                }
            };
            return tracing::info!("{name}: stopping");
        }
    }
}
