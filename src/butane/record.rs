//! A config as a tree whose shape the table gives and whose every value knows where it was written.
//!
//! The same tree is the Butane config that was read and the Ignition config that is printed: translation
//! rewrites it in place, so a finding about the result is a finding about the line the user wrote.

use super::schema::{Key, Shape};
use super::yaml::NodeId;

/// A value and the YAML node it comes from, itself or what it was generated for.
#[derive(Debug, Clone)]
pub struct Node {
    pub origin: NodeId,
    pub value: Value,
}

#[derive(Debug, Clone)]
pub enum Value {
    /// Written as null: absent, but with a place.
    Null,
    Bool(bool),
    Int(i64),
    Text(String),
    List(Vec<Node>),
    Record(Record),
}

/// One mapping: a slot for each field of its shape.
#[derive(Debug, Clone)]
pub struct Record {
    pub shape: &'static Shape,
    pub origin: NodeId,
    slots: Vec<Option<Node>>,
}

impl Record {
    pub fn new(shape: &'static Shape, origin: NodeId) -> Self {
        Record { shape, origin, slots: vec![None; shape.fields.len()] }
    }

    /// Generated code spells fields; a field the shape does not have is a mistake in this module.
    fn index(&self, name: &str) -> usize {
        let index = self.shape.index(name);
        debug_assert!(index.is_some(), "{:?} has no field {name}", self.shape.kind);
        index.unwrap_or(0)
    }

    /// The slot of the field at `index` in the shape's table.
    pub fn slot(&self, index: usize) -> Option<&Node> {
        self.slots[index].as_ref()
    }

    pub fn set_slot(&mut self, index: usize, node: Node) {
        self.slots[index] = Some(node);
    }

    pub fn take_slot(&mut self, index: usize) -> Option<Node> {
        self.slots[index].take()
    }

    /// The field as written, null included.
    pub fn written(&self, name: &str) -> Option<&Node> {
        self.slot(self.index(name))
    }

    /// The field, if it has a value.
    pub fn get(&self, name: &str) -> Option<&Node> {
        self.written(name).filter(|node| !matches!(node.value, Value::Null))
    }

    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        match &self.get(name)?.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The text, `None` also when it is empty.
    pub fn filled(&self, name: &str) -> Option<&str> {
        self.text(name).filter(|text| !text.is_empty())
    }

    /// The text of a field that is never absent in Ignition: empty when it was left out.
    pub fn text_or_empty(&self, name: &str) -> &str {
        self.text(name).unwrap_or("")
    }

    pub fn int(&self, name: &str) -> Option<i64> {
        match self.get(name)?.value {
            Value::Int(number) => Some(number),
            _ => None,
        }
    }

    pub fn bool(&self, name: &str) -> Option<bool> {
        match self.get(name)?.value {
            Value::Bool(value) => Some(value),
            _ => None,
        }
    }

    pub fn is_true(&self, name: &str) -> bool {
        self.bool(name) == Some(true)
    }

    pub fn list(&self, name: &str) -> &[Node] {
        match self.get(name).map(|node| &node.value) {
            Some(Value::List(items)) => items,
            _ => &[],
        }
    }

    pub fn texts(&self, name: &str) -> impl Iterator<Item = &str> {
        self.list(name).iter().map(|node| match &node.value {
            Value::Text(text) => text.as_str(),
            _ => "",
        })
    }

    pub fn records(&self, name: &str) -> impl Iterator<Item = &Record> {
        self.list(name).iter().filter_map(Node::record)
    }

    pub fn record(&self, name: &str) -> Option<&Record> {
        self.get(name)?.record()
    }

    pub fn record_mut(&mut self, name: &str) -> Option<&mut Record> {
        let index = self.index(name);
        self.slots[index].as_mut()?.record_mut()
    }

    pub fn record_or_insert(&mut self, name: &str, make: impl FnOnce() -> Record) -> &mut Record {
        let index = self.index(name);
        let slot = self.slots[index].take().filter(|node| node.record().is_some());
        let node = self.slots[index].insert(slot.unwrap_or_else(|| make().into()));
        match &mut node.value {
            Value::Record(record) => record,
            _ => unreachable!("made a record one line above"),
        }
    }

    /// Every record directly below this one, in fields and in lists.
    pub fn children_mut(&mut self) -> impl Iterator<Item = &mut Record> {
        let nodes = self.slots.iter_mut().flatten().flat_map(|node| match node.value {
            Value::Record(_) => std::slice::from_mut(node),
            Value::List(ref mut items) => items.as_mut_slice(),
            _ => &mut [],
        });
        nodes.filter_map(Node::record_mut)
    }

    /// The list, made if it is not there.
    pub fn list_mut(&mut self, name: &str) -> &mut Vec<Node> {
        let index = self.index(name);
        let origin = self.origin;
        let node = self.slots[index].get_or_insert_with(|| Node { origin, value: Value::List(Vec::new()) });
        if !matches!(node.value, Value::List(_)) {
            node.value = Value::List(Vec::new());
        }
        match &mut node.value {
            Value::List(items) => items,
            _ => unreachable!("made a list one line above"),
        }
    }

    pub fn take(&mut self, name: &str) -> Option<Node> {
        self.take_slot(self.index(name))
    }

    pub fn set(&mut self, name: &str, origin: NodeId, value: impl Into<Value>) {
        let index = self.index(name);
        self.slots[index] = Some(Node { origin, value: value.into() });
    }

    /// A field of a generated record, which comes from wherever the record does.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.set(name, self.origin, value);
        self
    }

    /// The fields that have a value, with their rows.
    pub fn fields(&self) -> impl Iterator<Item = (&'static super::schema::Field, &Node)> {
        let rows = self.shape.fields.iter();
        rows.zip(&self.slots).filter_map(|(row, slot)| match slot {
            Some(node) if !matches!(node.value, Value::Null) => Some((row, node)),
            _ => None,
        })
    }

    /// Nothing in it, however deep.
    pub fn is_empty(&self) -> bool {
        self.fields().all(|(_, node)| match &node.value {
            Value::List(items) => items.is_empty(),
            Value::Record(record) => record.is_empty(),
            _ => false,
        })
    }
}

impl Value {
    pub fn is_same_scalar(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Int(a), Value::Int(b)) => a == b,
            (Value::Text(a), Value::Text(b)) => a == b,
            _ => false,
        }
    }
}

impl Node {
    pub fn new(origin: NodeId, value: impl Into<Value>) -> Self {
        Node { origin, value: value.into() }
    }

    pub fn record(&self) -> Option<&Record> {
        match &self.value {
            Value::Record(record) => Some(record),
            _ => None,
        }
    }

    pub fn record_mut(&mut self) -> Option<&mut Record> {
        match &mut self.value {
            Value::Record(record) => Some(record),
            _ => None,
        }
    }

    /// What makes this entry of a list the same as another one; `None` if nothing does.
    pub fn key(&self) -> Option<String> {
        match &self.value {
            Value::Text(text) => Some(text.clone()),
            Value::Record(record) => match record.shape.key {
                Key::None => None,
                Key::Field(name) => Some(record.text_or_empty(name).to_owned()),
                Key::Partition => Some(match (record.int("number").unwrap_or(0), record.text("label")) {
                    (0, Some(label)) => format!("label:{label}"),
                    (0, None) => String::new(),
                    (number, _) => format!("number:{number}"),
                }),
            },
            _ => None,
        }
    }
}

impl From<Record> for Node {
    fn from(record: Record) -> Self {
        Node { origin: record.origin, value: Value::Record(record) }
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Value::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Value::Int(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Value::Text(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Value::Text(value)
    }
}

impl From<Record> for Value {
    fn from(value: Record) -> Self {
        Value::Record(value)
    }
}

impl From<Vec<Node>> for Value {
    fn from(value: Vec<Node>) -> Self {
        Value::List(value)
    }
}
