//! A load and what becomes of it: a good one is served from then on, a bad one leaves the last good one in place.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use crate::generation::Loaded;
use crate::report::{Finding, Report, Severity};

use super::log::short;
use super::state::{Failure, Served, ServerState, Status};

/// Reads all sources anew. The server does not know how, or from where.
pub type Load = dyn Fn() -> Loaded + Send + Sync;

#[derive(Clone)]
pub struct Reloader {
    load: Arc<Load>,
    state: Arc<ServerState>,
}

impl Reloader {
    pub fn new(load: Arc<Load>, state: Arc<ServerState>) -> Self {
        Reloader { load, state }
    }

    /// Loads and swaps; gives the files it depended on, none if the loader itself broke. Off the two threads that
    /// answer requests: it reads files and renders. Never call it twice at once.
    pub async fn reload(&self) -> Option<BTreeSet<PathBuf>> {
        let this = self.clone();
        let task = tokio::task::spawn_blocking(move || this.reload_blocking());
        // It catches what the loader panics with; an error is the runtime shutting down.
        task.await.ok().flatten()
    }

    fn reload_blocking(&self) -> Option<BTreeSet<PathBuf>> {
        match std::panic::catch_unwind(AssertUnwindSafe(|| (self.load)())) {
            Ok(Loaded { generation, report, inputs }) => {
                match generation {
                    Some(generation) => self.accept(Served::new(generation, SystemTime::now()), &report),
                    None => self.reject(Failure::of(&report)),
                }
                Some(inputs)
            }
            Err(_) => {
                let reason = "pxe-serve broke while it loaded (a bug); its log says more".to_owned();
                self.reject(Failure { report: reason.clone(), reason });
                None
            }
        }
    }

    fn accept(&self, new: Served, report: &Report) {
        let before = self.state.status();
        let same = before.served.as_ref().filter(|old| old.id == new.id);
        // Swapped even so: whose address is whose, and the static files, are not in the digest.
        let loaded_at = same.map_or(new.loaded_at, |old| old.loaded_at);
        let unchanged = same.is_some() && before.failure.is_none();
        let served = Arc::new(Served { loaded_at, ..new });
        self.state.archive.turn(before.served.as_ref().map(|old| &old.generation), &served.generation);
        self.state.set_status(Status { served: Some(served.clone()), failure: None });
        if !unchanged {
            let warnings =
                report.findings().iter().filter(|finding| finding.severity == Severity::Warning).count();
            tracing::info!(
                generation = short(served.id),
                artifacts = served.generation.catalogue.len(),
                static_files = served.generation.static_files.len(),
                warnings,
                "{}",
                if same.is_some() {
                    "mended: back to the generation that was served all along"
                } else {
                    "serving a new generation"
                }
            );
            report.findings().iter().for_each(log_finding);
        }
    }

    fn reject(&self, failure: Failure) {
        let before = self.state.status();
        if before.failure.as_deref() == Some(&failure) {
            return;
        }
        match &before.served {
            Some(served) => tracing::error!(
                still_serving = short(served.id),
                "the edit is not served: {}\n{}",
                failure.reason,
                failure.report
            ),
            None => tracing::error!("nothing to serve: {}\n{}", failure.reason, failure.report),
        }
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
        Failure { reason, report: report.to_text(false).trim_end().to_owned() }
    }
}

/// `inventory.yaml:31: hosts.lenovo3.mac: …`
fn titled(finding: &Finding) -> String {
    match &finding.place {
        Some(place) => format!("{}:{}: {}", place.file, place.line, finding.title()),
        None => finding.title(),
    }
}

fn log_finding(finding: &Finding) {
    match finding.severity {
        Severity::Note => tracing::info!("note: {}", titled(finding)),
        Severity::Warning | Severity::Error => tracing::warn!("{}", titled(finding)),
    }
}
