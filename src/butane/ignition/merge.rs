//! Ignition's merge rule: a child config laid over its parent.
//!
//! Entries of a list that have the same key are merged field by field in the parent's position; entries only the
//! child has come last. Some lists have no keys and are concatenated. A path is a file, a directory or a link, never
//! two of them: the child's kind replaces the parent's.

use std::collections::{BTreeMap, BTreeSet};

use crate::butane::record::{Node, Record, Value};
use crate::butane::schema::{Field, Presence};

pub fn merge(mut parent: Record, mut child: Record) -> Record {
    drop_other_kinds(&mut parent, &child);
    let mut merged = Record::new(child.shape, child.origin);
    for (index, field) in child.shape.fields.iter().enumerate() {
        let node = match (parent.take_slot(index), child.take_slot(index)) {
            (Some(parent), Some(child)) => merge_field(field, parent, child),
            (Some(only), None) | (None, Some(only)) => only,
            (None, None) => continue,
        };
        merged.set_slot(index, node);
    }
    merged
}

fn merge_field(field: &Field, parent: Node, child: Node) -> Node {
    let origin = child.origin;
    let value = match (parent.value, child.value) {
        (parent, Value::Null) => return Node { origin: parent_origin(&parent, origin), value: parent },
        (Value::Record(parent), Value::Record(child)) => Value::Record(merge(parent, child)),
        (Value::List(mut parent), Value::List(child)) if field.free => {
            parent.extend(child);
            Value::List(parent)
        }
        (Value::List(parent), Value::List(child)) => Value::List(merge_lists(parent, child)),
        (parent, Value::Int(0)) if field.presence == Presence::NotZero => parent,
        (_, child) => child,
    };
    Node { origin, value }
}

fn parent_origin(parent: &Value, fallback: crate::butane::yaml::NodeId) -> crate::butane::yaml::NodeId {
    match parent {
        Value::Record(record) => record.origin,
        _ => fallback,
    }
}

fn merge_lists(parent: Vec<Node>, child: Vec<Node>) -> Vec<Node> {
    let mut by_key: BTreeMap<String, Node> = BTreeMap::new();
    let mut order = Vec::with_capacity(child.len());
    let mut repeated = Vec::new();
    for node in child {
        let key = node.key().unwrap_or_default();
        if by_key.contains_key(&key) {
            // A key the child repeats is its own mistake; kept for the check for duplicates to find.
            repeated.push(node);
            continue;
        }
        order.push(key.clone());
        by_key.insert(key, node);
    }
    let mut merged = Vec::with_capacity(parent.len() + order.len());
    for node in parent {
        match by_key.remove(&node.key().unwrap_or_default()) {
            None => merged.push(node),
            Some(over) => merged.push(merge_entries(node, over)),
        }
    }
    merged.extend(order.iter().filter_map(|key| by_key.remove(key)));
    merged.extend(repeated);
    merged
}

fn merge_entries(parent: Node, child: Node) -> Node {
    match (parent.value, child.value) {
        (Value::Record(parent), Value::Record(over)) => {
            Node { origin: child.origin, value: Value::Record(merge(parent, over)) }
        }
        (_, value) => Node { origin: child.origin, value },
    }
}

fn drop_other_kinds(parent: &mut Record, child: &Record) {
    for list in child.shape.namespace {
        let others: BTreeSet<String> = child
            .shape
            .namespace
            .iter()
            .filter(|other| *other != list)
            .flat_map(|other| child.list(other).iter().filter_map(Node::key))
            .collect();
        if !others.is_empty() && parent.has(list) {
            parent.list_mut(list).retain(|node| node.key().is_none_or(|key| !others.contains(&key)));
        }
    }
}
