//! What happened to the hosts, kept: each event is appended, and the history is what they fold to.
//!
//! Small, since one day several routers will share it: [`Journal`] is all that a store must do. With `--state-dir` it is a
//! file; without, memory, and since a restart forgets who is installed
//! nobody is taken for new.

mod disk;
mod line;
#[cfg(test)]
mod losses;
mod read;
#[cfg(test)]
mod tests;
mod witness;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::boot::{Dated, Doubt, Event, History, Moment};
use crate::ids::HostName;
use crate::inventory::Host;

use super::Error;
use super::state_dir::StateDir;
use disk::DiskJournal;

/// Where events are kept.
pub trait Journal: std::fmt::Debug + Send + Sync {
    /// In the system's hands: it outlives this process, but perhaps not a power cut. Quick.
    fn append(&self, host: &HostName, event: &Dated) -> io::Result<()>;

    /// What was appended before outlives a power cut. May take as long as the medium does.
    fn sync(&self) -> io::Result<()>;

    /// After each event, with all that is known by then: the chance to forget what led there.
    fn condense(&self, history: &History);
}

/// Nothing outlives the process.
#[derive(Debug)]
struct InMemory;

impl Journal for InMemory {
    fn append(&self, _: &HostName, _: &Dated) -> io::Result<()> {
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn condense(&self, _: &History) {}
}

/// The journal, and what it folds to.
#[derive(Debug)]
pub struct Chronicle {
    history: Mutex<History>,
    journal: Arc<dyn Journal>,
}

impl Chronicle {
    pub fn open(state_dir: Option<Arc<StateDir>>) -> Result<Self, Error> {
        let Some(dir) = state_dir else {
            let history = History::doubtful(Doubt::NothingKept);
            return Ok(Chronicle::over(InMemory, history));
        };
        let (journal, history) =
            DiskJournal::open(&dir.join("journal"), disk::LIVE_BYTES).map_err(|source| dir.failed(source))?;
        Ok(Chronicle::over(journal, history))
    }

    fn over(journal: impl Journal + 'static, history: History) -> Self {
        Chronicle { history: Mutex::new(history), journal: Arc::new(journal) }
    }

    /// For a look; nothing else happens meanwhile.
    pub fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what was seen. That it cannot be written keeps nobody from booting.
    pub fn note(&self, host: &HostName, event: Event) {
        let history = &mut *self.history();
        let event = Dated { at: now(), event };
        let is_news = !history.repeats(host, &event);
        // A machine that tries again every ten seconds shall not wear flash.
        if is_news && let Err(error) = self.journal.append(host, &event) {
            tracing::error!(%error, host = host.as_str(), "cannot write the journal; a restart will not know of this");
        }
        history.apply(host, event);
        self.journal.condense(history);
    }

    /// The same of a host that the inventory has, so that it is known again under another name.
    pub fn note_of(&self, host: &Host, event: Event) {
        let hardware = self.history().hardware_of(host);
        hardware.into_iter().chain([event]).for_each(|event| self.note(&host.name, event));
    }

    /// As [`Self::record`], and by which MACs the host is known again.
    pub async fn record_of(&self, host: &Host, event: Event) -> io::Result<()> {
        let hardware = self.history().hardware_of(host);
        if let Some(hardware) = hardware {
            self.note(&host.name, hardware);
        }
        self.record(&host.name, event).await
    }

    /// Notes what somebody was told would be kept: when this returns well, it is on the medium.
    pub async fn record(&self, host: &HostName, event: Event) -> io::Result<()> {
        {
            let mut history = self.history();
            let event = Dated { at: now(), event };
            // What repeats itself is there already.
            if !history.repeats(host, &event) {
                self.journal.append(host, &event)?;
            }
            history.apply(host, event);
            self.journal.condense(&history);
        }
        let journal = self.journal.clone();
        // An error is the runtime shutting down: then it is not acknowledged.
        tokio::task::spawn_blocking(move || journal.sync()).await.map_err(io::Error::other)?
    }
}

pub fn now() -> Moment {
    // Before 1970 is 1970.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Moment::from_unix(since.as_secs())
}
