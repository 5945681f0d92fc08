//! A load and what becomes of it: a good one is served from then on, a bad one leaves the last good one in place.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use crate::generation::{Loaded, Unfinished};
use crate::report::{Finding, Report, Severity};

use super::log::short;
use super::state::{Failure, Served, ServerState, Status};

/// Reads all sources anew. The server does not know how, or from where.
pub type Load = dyn Fn() -> Loaded + Send + Sync;

/// Why there is a load. One that was asked for is answered in the log even when it changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    Start,
    Change,
    Asked,
}

/// What a load has left: the files it depended on, and work.
#[derive(Debug, Default)]
pub struct Left {
    pub inputs: BTreeSet<PathBuf>,
    pub unfinished: Option<Unfinished>,
}

#[derive(Clone)]
pub struct Reloader {
    load: Arc<Load>,
    state: Arc<ServerState>,
}

impl Reloader {
    pub fn new(load: Arc<Load>, state: Arc<ServerState>) -> Self {
        Reloader { load, state }
    }

    /// Loads and swaps; gives what the load left behind, none if the loader itself broke. Off the two threads that
    /// answer requests: it reads files and renders. Never call it twice at once.
    pub async fn reload(&self, trigger: Trigger) -> Option<Left> {
        let this = self.clone();
        let task = tokio::task::spawn_blocking(move || this.reload_blocking(trigger));
        // It catches what the loader panics with; an error is the runtime shutting down.
        task.await.ok().flatten()
    }

    pub fn reload_blocking(&self, trigger: Trigger) -> Option<Left> {
        match std::panic::catch_unwind(AssertUnwindSafe(|| (self.load)())) {
            Ok(Loaded { generation, report, inputs, unfinished }) => {
                match generation {
                    Some(generation) => {
                        self.accept(Served::new(generation, SystemTime::now()), &report, trigger)
                    }
                    None => self.reject(Failure::of(&report), trigger),
                }
                Some(Left { inputs, unfinished })
            }
            Err(_) => {
                let reason = "pxe-serve broke while it loaded (a bug); its log says more".to_owned();
                self.reject(Failure { report: reason.clone(), brief: reason.clone(), reason }, trigger);
                None
            }
        }
    }

    fn accept(&self, new: Served, report: &Report, trigger: Trigger) {
        let before = self.state.status();
        let same = before.served.as_ref().filter(|old| old.id == new.id);
        // Swapped even so: whose address is whose is not in the digest.
        let loaded_at = same.map_or(new.loaded_at, |old| old.loaded_at);
        let what = match (same.is_some(), &before.failure) {
            (false, _) => Some("serving a new generation"),
            (true, Some(_)) => Some("mended; the generation is the one that was served all along"),
            (true, None) => (trigger == Trigger::Asked).then_some("loaded again, nothing has changed"),
        };
        let served = Arc::new(Served { loaded_at, ..new });
        self.state.archive.turn(before.served.as_ref().map(|old| &old.generation), &served.generation);
        self.state.set_status(Status { served: Some(served.clone()), failure: None });
        if let Some(what) = what {
            log_load(what, &served, report);
        }
    }

    /// What is kept of earlier generations, without what is over.
    pub async fn purge(&self) {
        let state = self.state.clone();
        // An error is the runtime shutting down.
        let _ = tokio::task::spawn_blocking(move || state.archive.purge()).await;
    }

    fn reject(&self, failure: Failure, trigger: Trigger) {
        let before = self.state.status();
        if before.failure.as_deref() == Some(&failure) && trigger != Trigger::Asked {
            return;
        }
        match &before.served {
            Some(served) => tracing::error!(
                still_serving = short(served.id),
                "the edit is not served: {}",
                failure.reason
            ),
            None => tracing::error!("nothing to serve: {}", failure.reason),
        }
        // Of its own, so that it stays readable: every finding with its line and a caret.
        tracing::error!("all findings:\n{}", failure.report);
        self.state.set_status(Status { served: before.served.clone(), failure: Some(Arc::new(failure)) });
    }
}

impl Failure {
    fn of(report: &Report) -> Self {
        let errors: Vec<&Finding> =
            report.findings().iter().filter(|finding| finding.severity == Severity::Error).collect();
        let reason = match errors.as_slice() {
            [] => "the load gave nothing to serve and no reason".to_owned(),
            [only] => titled(only),
            [first, others @ ..] => format!("{} (and {} more, see /healthz)", titled(first), others.len()),
        };
        Failure {
            reason,
            brief: report.errors_in_brief(),
            report: report.to_text(false).trim_end().to_owned(),
        }
    }
}

/// `inventory.yaml:31: hosts.lenovo3.mac: …`
fn titled(finding: &Finding) -> String {
    match &finding.place {
        Some(place) => format!("{}:{}: {}", place.file, place.line, finding.title()),
        None => finding.title(),
    }
}

fn log_load(what: &str, served: &Served, report: &Report) {
    let findings = report.findings();
    tracing::info!(
        generation = short(served.id),
        artifacts = served.generation.catalogue.len(),
        static_files = served.generation.catalogue.static_files.len(),
        findings = findings.len(),
        "{what}"
    );
    findings.iter().for_each(log_finding);
}

fn log_finding(finding: &Finding) {
    match finding.severity {
        Severity::Note => tracing::info!("note: {}", titled(finding)),
        Severity::Warning | Severity::Error => tracing::warn!("{}", titled(finding)),
    }
}
