//! Says in the log, once, which hosts do not come further: nobody asks for a node that was forgotten at night.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::boot::{History, Moment, Progress, STALLED_AFTER};
use crate::ids::HostName;
use crate::inventory::Inventory;

use super::journal::now;
use super::state::ServerState;

/// What is looked for takes ten minutes.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Until the server ends.
pub async fn watch(state: Arc<ServerState>) {
    let mut said = Said::default();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        said.look(&state, now());
    }
}

/// Since when each host stood still that was spoken of.
#[derive(Default)]
struct Said(BTreeMap<HostName, Moment>);

impl Said {
    fn look(&mut self, state: &ServerState, now: Moment) {
        let Ok(served) = state.status().served() else { return };
        let news = self.news(&served.generation.inventory, &state.chronicle.history(), now);
        for (host, progress) in news {
            let (host, since, minutes) = (host.as_str(), progress.since, STALLED_AFTER.as_secs() / 60);
            tracing::warn!(host, %since, "{progress}, for more than {minutes} minutes; see `pxe-serve hosts`");
        }
    }

    /// Who stands still now and was not spoken of.
    fn news(&mut self, inventory: &Inventory, history: &History, now: Moment) -> Vec<(HostName, Progress)> {
        let hosts = inventory.hosts.iter().filter_map(|host| {
            let progress = history.of(host.name.as_str())?.progress.clone()?;
            let is_news = progress.is_stalled(now)
                && self.0.insert(host.name.clone(), progress.since) != Some(progress.since);
            is_news.then(|| (host.name.clone(), progress))
        });
        hosts.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::{Dated, Event};

    #[test]
    fn a_host_that_stands_still_is_named_once_and_again_when_it_stands_still_at_the_next_stage() {
        let inventory = crate::server::tests::site::generation("a").inventory;
        let (mut said, mut history) = (Said::default(), History::default());
        let host = inventory.hosts[0].name.clone();
        let at = |seconds: u64| Moment::from_unix(1_800_000_000 + seconds);
        let mut happens = |seconds, event| {
            history.apply(&host, Dated { at: at(seconds), event });
            history.clone()
        };
        let config = host.to_string();
        let history = happens(0, Event::Booted { config: config.clone(), ignition: None, again: false });
        for (seconds, count) in [(599, 0), (600, 1), (630, 0), (100_000, 0)] {
            assert_eq!(said.news(&inventory, &history, at(seconds)).len(), count, "{seconds}");
        }
        let history = happens(100_000, Event::K3sStarted { config: config.clone() });
        assert_eq!(said.news(&inventory, &history, at(100_599)), []);
        let news = said.news(&inventory, &history, at(100_600));
        assert_eq!(news[0].1.to_string(), "k3s started, not joined");
        let history = happens(100_601, Event::Joined { config, ca_sha256: None });
        assert_eq!(said.news(&inventory, &history, at(200_000)), []);
    }
}
