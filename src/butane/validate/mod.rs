//! What may not be in a config: [`source`] before translation, in Butane's terms; [`generated`] after it, in
//! Ignition's. Both only read, and say everything they find.

mod disk;
pub mod generated;
mod mode;
pub mod source;
mod storage;
mod unit;
mod url;

pub use url::since as source_since;

use super::record::{Record, Value};

/// Calls `check` for a record and for everything below it, parents first.
fn walk(record: &Record, check: &mut dyn FnMut(&Record)) {
    check(record);
    for (_, node) in record.fields() {
        match &node.value {
            Value::Record(child) => walk(child, check),
            Value::List(items) => {
                items.iter().filter_map(super::record::Node::record).for_each(|child| walk(child, check))
            }
            _ => {}
        }
    }
}
