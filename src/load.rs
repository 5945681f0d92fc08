//! A stand-in until the real loader is merged: it keeps the shape, and says that nothing can be loaded.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::generation::Loaded;
use crate::report::{Finding, Report};

/// Where everything that bytes depend on comes from.
#[derive(Debug, Clone)]
pub struct Sources {
    pub inventory: PathBuf,
    pub templates: Option<PathBuf>,
    pub static_dir: Option<PathBuf>,
}

pub fn load(sources: &Sources) -> Loaded {
    let mut report = Report::new();
    report.push(Finding::error("", "the loader is not merged yet"));
    Loaded { generation: None, report, inputs: BTreeSet::from([sources.inventory.clone()]) }
}
