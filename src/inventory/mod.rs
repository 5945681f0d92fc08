//! `inventory.yaml`: from text to a model in which nothing can be invalid, with everything wrong said at once.

mod model;

pub use model::*;
