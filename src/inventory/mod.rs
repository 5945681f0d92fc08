//! `inventory.yaml`: from text to a model in which nothing can be invalid, with everything wrong said at once.
//!
//! `raw` is the inventory as written, `check` compares, `model` is what the rest of the house sees. Names of images may
//! stand in a file besides: `images` reads it.

mod check;
mod images;
mod k3s_keys;
mod model;
mod raw;
mod secret;
mod tls_san;
mod updates;

use std::cell::RefCell;

pub use images::*;
pub use model::*;
pub use secret::*;
pub use updates::*;

pub use crate::ids::{K3sToken, TokenKind};

use crate::document::{Document, Item};
use crate::report::Report;

/// Parses and checks an inventory; findings name `file`. The model is there when the report has no error.
pub fn parse(file: &str, bytes: &[u8]) -> (Option<Inventory>, Report) {
    let report = RefCell::new(Report::new());
    let inventory = Document::parse(file, bytes, &report).and_then(|document| {
        let raw = raw::read(&Item::root(&document.root, &report));
        check::check(raw, &report)
    });
    let mut report = report.into_inner();
    report.sort_by_place();
    (inventory, report)
}
