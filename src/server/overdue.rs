//! A host that was told it may reboot and never came back keeps the lock, since nobody here knows what it does. That is said
//! once it takes too long, and an operator decides.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::boot::{Moment, RebootLock};
use crate::ids::HostName;

use super::journal::now;
use super::state::ServerState;

/// Against half an hour that a reboot may take, a minute later is as good.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Looks until it is aborted.
pub async fn watch(state: Arc<ServerState>) {
    let mut said = BTreeSet::new();
    loop {
        for (host, lock) in overdue(&state, now()) {
            if said.insert((host.clone(), lock.at)) {
                tracing::error!(
                    host = host.as_str(),
                    "was told that it may reboot {}, and is not back: nobody else like it may until it is, or `pxe-serve unlock {host}` says that it is off for good",
                    lock.at
                );
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn overdue(state: &ServerState, now: Moment) -> Vec<(HostName, RebootLock)> {
    let history = state.chronicle.history();
    let locks = history.iter().filter_map(|(host, known)| Some((host.clone(), known.reboot.clone()?)));
    locks.filter(|(_, lock)| lock.is_overdue(now)).collect()
}
