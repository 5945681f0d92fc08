//! Ignition's merge rule: a child config laid over its parent.
//!
//! Entries of a list that have the same key are merged field by field in the parent's position; entries only the
//! child has come last. Some lists have no keys and are concatenated. A path is a file, a directory or a link, never
//! two of them: the child's kind replaces the parent's.

use std::collections::{BTreeMap, BTreeSet};

use crate::butane::findings::Findings;
use crate::butane::record::{Node, Record, Value};
use crate::butane::schema::{Field, Presence, Side};

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
    let is_unset = match child.value {
        Value::Null => true,
        Value::Int(0) => field.presence == Presence::NotZero,
        _ => false,
    };
    if is_unset {
        return parent;
    }
    let value = match (parent.value, child.value) {
        (Value::Record(parent), Value::Record(child)) => Value::Record(merge(parent, child)),
        (Value::List(mut parent), Value::List(child)) if field.free => {
            parent.extend(child);
            Value::List(parent)
        }
        (Value::List(parent), Value::List(child)) => Value::List(merge_lists(parent, child)),
        (_, child) => child,
    };
    Node { origin: child.origin, value }
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

/// Says where `over` sets a field to something else than `under` does. Of two configs that are equals, neither is to win
/// silently.
pub fn contradictions(under: &Record, over: &Record, findings: &mut Findings<'_>) {
    for (field, over) in over.fields().filter(|(field, _)| field.side != Side::Butane) {
        let Some(under) = under.get(field.yaml) else { continue };
        match (&under.value, &over.value) {
            (Value::Record(under), Value::Record(over)) => contradictions(under, over, findings),
            (Value::List(_), Value::List(_)) if field.free => {}
            (Value::List(under), Value::List(over)) => list_contradictions(under, over, findings),
            // Follows from the source, which is told already.
            _ if field.yaml == "compression" => {}
            (was, is) if was.is_same_scalar(is) => {}
            _ => {
                let place = findings.place_name(under.origin);
                findings.error(over.origin, format!("another value is set at {place}"));
            }
        }
    }
}

fn list_contradictions(under: &[Node], over: &[Node], findings: &mut Findings<'_>) {
    let by_key: BTreeMap<String, &Record> =
        under.iter().filter_map(|node| Some((node.key()?, node.record()?))).collect();
    for node in over {
        if let (Some(key), Some(over)) = (node.key(), node.record())
            && let Some(under) = by_key.get(&key)
        {
            contradictions(under, over, findings);
        }
    }
}
