//! The options that say what to load, the same for every verb that loads something.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::generation::{Generation, Loaded};
use crate::inventory::Inventory;
use crate::load::{self, Hashing, Sources, load_with};

use super::progress::Shown;

#[derive(Debug, Clone, clap::Args)]
pub struct SourceArgs {
    /// The inventory to render
    #[arg(long, value_name = "FILE", default_value = "inventory.yaml")]
    pub inventory: PathBuf,

    /// A folder of templates laid over the built-in ones, file by file
    #[arg(long, value_name = "DIR")]
    pub templates: Option<PathBuf>,

    /// A folder of big files (kernel, initramfs, images) served as they are beside what is rendered
    #[arg(long = "static", value_name = "DIR")]
    pub static_dir: Option<PathBuf>,
}

impl SourceArgs {
    pub fn sources(&self) -> Sources {
        Sources {
            inventory: self.inventory.clone(),
            templates: self.templates.clone(),
            static_dir: self.static_dir.clone(),
        }
    }

    /// Loads, and says how far it is with the static files when that takes a while.
    pub(super) fn load(&self) -> Loaded {
        let mut shown = Shown::new();
        let loaded =
            load_with(&self.sources(), &Arc::default(), Hashing::Now(&mut |progress| shown.show(progress)));
        shown.end();
        loaded
    }

    /// Loads for a verb that can do nothing without a generation; errors and warnings go to stderr.
    pub(super) fn generation(&self) -> anyhow::Result<Generation> {
        let Loaded { generation, report, .. } = self.load();
        super::tell(&report.without_notes().to_text(super::colour(&io::stderr())));
        generation
            .ok_or_else(|| anyhow::anyhow!("{} cannot be rendered, see above", self.inventory.display()))
    }
}

/// The inventory alone, for verbs that look at the living cluster: they need no secret to be there.
#[derive(Debug, Clone, clap::Args)]
pub struct InventoryArg {
    /// The inventory that says what should be
    #[arg(long = "inventory", value_name = "FILE", default_value = "inventory.yaml")]
    pub file: PathBuf,
}

impl InventoryArg {
    /// Errors and warnings go to stderr.
    pub(super) fn read(&self) -> anyhow::Result<Inventory> {
        let (inventory, report) = load::inventory(&self.file);
        super::tell(&report.without_notes().to_text(super::colour(&io::stderr())));
        inventory.ok_or_else(|| anyhow::anyhow!("{} cannot be read, see above", self.file.display()))
    }
}
