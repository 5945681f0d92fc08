//! Whether the cluster's servers are ready. The server asks nobody itself: it is given a closure that does.

use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::boot::Readiness;
use crate::inventory::Host;

/// What `/readyz` answers, or why there is no answer.
type Answer = Pin<Box<dyn Future<Output = Result<u16, String>> + Send>>;

/// Asks the API server at an address for `/readyz`.
#[derive(Clone)]
pub struct AskReadiness(Arc<dyn Fn(IpAddr) -> Answer + Send + Sync>);

/// A server that is well answers within milliseconds, a busy one within keepalived's 2 s; whoever asks is asked again in
/// five minutes.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

impl AskReadiness {
    pub fn by<F>(ask: impl Fn(IpAddr) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<u16, String>> + Send + 'static,
    {
        AskReadiness(Arc::new(move |address| Box::pin(ask(address))))
    }

    /// All at once: the slowest answer is how long it takes.
    pub(super) async fn of(&self, servers: impl Iterator<Item = &Host>) -> Readiness {
        let mut asked = JoinSet::new();
        for server in servers {
            let (name, answer) = (server.name.clone(), (self.0)(server.address()));
            asked.spawn(async move {
                let answer = tokio::time::timeout(ANSWER_WITHIN, answer).await;
                (name, answer.unwrap_or_else(|_| Err("it does not answer in time".into())))
            });
        }
        asked.join_all().await.into_iter().collect()
    }
}

impl Default for AskReadiness {
    /// Who cannot ask takes nobody for ready.
    fn default() -> Self {
        AskReadiness::by(|_| async { Err("nobody asks it here".into()) })
    }
}

impl fmt::Debug for AskReadiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AskReadiness(…)")
    }
}
