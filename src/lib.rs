//! pxe-serve: one inventory in, everything a freshly reinstalled node needs out.
//!
//! A `render::Site` is everything bytes may depend on; `render::render` turns it into a
//! [`catalogue::Catalogue`]; everything else is a view of the catalogue. See `docs/architecture.md`.

pub mod boot;
pub mod bundle;
pub mod butane;
pub mod catalogue;
pub mod cli;
pub mod cluster;
pub mod document;
pub mod failover;
pub mod generation;
pub mod ids;
pub mod inventory;
pub mod load;
pub mod probe;
pub mod render;
pub mod report;
pub mod server;
