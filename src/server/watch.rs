//! Hot reload: waits until an input has changed or somebody asks, lets the dust settle, and loads once.
//!
//! inotify wakes it where it can; the clock does everywhere, seldom beside inotify and often without. Loads never
//! overlap: this loop is the only one who makes them.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{RecursiveMode, Watcher as _};
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::generation::Unfinished;

use super::config::Limits;
use super::inputs::Inputs;
use super::reload::{Reloader, Trigger};

/// A folder in which something happens all the time is not waited for longer than this many debounces.
const DEBOUNCES_MAX: u32 = 10;

/// How much longer than promised a secret may lie in memory or in the state directory; it is not answered with.
const PURGE_EVERY: Duration = Duration::from_secs(10 * 60);

/// Tells when something happens in a folder.
pub struct Notifier {
    watcher: notify::RecommendedWatcher,
    folders: BTreeSet<PathBuf>,
    wake: Arc<Notify>,
}

impl Notifier {
    /// None where there is no inotify, or no instance of it left.
    pub fn new() -> Option<Self> {
        let wake = Arc::new(Notify::new());
        let on_event = wake.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // An error is a reason to look, too: events may have been lost.
            if event.is_ok_and(|event| is_reading(event.kind)) {
                return;
            }
            on_event.notify_one();
        });
        match watcher {
            Ok(watcher) => Some(Notifier { watcher, folders: BTreeSet::new(), wake }),
            Err(error) => {
                tracing::warn!(%error, "no inotify: looking at the files every now and then instead");
                None
            }
        }
    }

    /// False when a folder cannot be watched. Those that were watched already are asked for again, since a folder
    /// that was deleted and made anew takes its watch with it.
    fn watch(&mut self, folders: BTreeSet<PathBuf>) -> bool {
        for folder in self.folders.difference(&folders) {
            // It may be gone, and the watch with it.
            let _ = self.watcher.unwatch(folder);
        }
        let mut all = true;
        for folder in &folders {
            if let Err(error) = self.watcher.watch(folder, RecursiveMode::NonRecursive) {
                tracing::warn!(folder = %folder.display(), %error, "cannot watch; looking every now and then instead");
                all = false;
            }
        }
        self.folders = folders;
        all
    }
}

/// Our own loads open and read the files.
fn is_reading(kind: EventKind) -> bool {
    matches!(kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write))
}

/// Who reloads, when.
pub struct Watch {
    pub reloader: Reloader,
    pub inputs: Inputs,
    pub notifier: Option<Notifier>,
    pub limits: Limits,
    /// Somebody wants a load whether or not a file has changed: SIGHUP.
    pub asked: Arc<Notify>,
    pub beside: Beside,
}

/// The work that loads leave over, on a thread of its own: no request waits for it, and no stop.
#[derive(Default)]
pub struct Beside {
    is_running: bool,
    done: Arc<Notify>,
}

impl Beside {
    /// Does nothing while something runs; the load after that leaves over again what is still to be done.
    pub fn start(&mut self, work: Option<Unfinished>) {
        let Some(work) = work.filter(|_| !self.is_running) else { return };
        /// Behind everybody else who wants the processor: nice(2) goes to 19.
        const NICE: i32 = 10;
        let done = self.done.clone();
        let thread = std::thread::Builder::new().name("beside".to_owned()).spawn(move || {
            // On Linux it is the thread's own.
            let _ = rustix::process::setpriority_process(None, NICE);
            // A panic is in the log; the load that follows tries again what is left.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work.finish()));
            done.notify_one();
        });
        self.is_running = thread.is_ok();
    }

    async fn done(&mut self) {
        self.done.notified().await;
        self.is_running = false;
    }
}

impl Watch {
    /// Runs until it is dropped.
    pub async fn run(mut self) {
        let mut purge = tokio::time::interval(PURGE_EVERY);
        let mut poll = self.watch_folders();
        loop {
            // Also right after a load: what changed before the watch was set is not told by it.
            if self.have_changed().await {
                self.reload(Trigger::Change).await;
                poll = self.watch_folders();
                // Gives a file that changes all the time no chance to keep us loading.
                sleep(self.limits.debounce).await;
                continue;
            }
            tokio::select! {
                () = woken(&self.notifier) => self.settle().await,
                () = sleep(poll) => {}
                () = self.asked.notified() => {
                    self.reload(Trigger::Asked).await;
                    poll = self.watch_folders();
                }
                () = self.beside.done() => {
                    self.reload(Trigger::Change).await;
                    poll = self.watch_folders();
                }
                _ = purge.tick() => self.reloader.purge().await,
            }
        }
    }

    /// Until nothing has happened for a debounce: an editor writes, renames and sets modes one after the other.
    async fn settle(&self) {
        let at_latest = Instant::now() + self.limits.debounce * DEBOUNCES_MAX;
        let quiet = async { while timeout(self.limits.debounce, woken(&self.notifier)).await.is_ok() {} };
        // Late or quiet, either way it is time to look.
        let _ = timeout_at(at_latest, quiet).await;
    }

    async fn have_changed(&self) -> bool {
        let inputs = self.inputs.clone();
        // Off the threads that answer: a stat(2) on a network file system may hang.
        spawn_blocking(move || inputs.have_changed()).await.unwrap_or(false)
    }

    async fn reload(&mut self, trigger: Trigger) {
        let (inputs, unfinished) = load(&self.reloader, &self.inputs, trigger).await;
        self.inputs = inputs;
        self.beside.start(unfinished);
    }

    /// Returns how often to look besides.
    fn watch_folders(&mut self) -> Duration {
        let folders = self.inputs.folders();
        match self.notifier.as_mut().is_some_and(|notifier| notifier.watch(folders)) {
            true => self.limits.poll_beside_inotify,
            false => self.limits.poll,
        }
    }
}

/// One load: what its inputs looked like when it began, and what it has left over.
pub async fn load(reloader: &Reloader, known: &Inputs, trigger: Trigger) -> (Inputs, Option<Unfinished>) {
    let (before, began) = (known.look_again(), SystemTime::now());
    match reloader.reload(trigger).await {
        Some(left) => (Inputs::after_load(left.inputs, &before, began), left.unfinished),
        // The loader broke: another edit of the same files may mend it.
        None => (before, None),
    }
}

async fn woken(notifier: &Option<Notifier>) {
    match notifier {
        Some(notifier) => notifier.wake.notified().await,
        None => std::future::pending().await,
    }
}
