//! YAML nodes → a record of the shape the table gives.
//!
//! Owns the type errors, the unknown keys, `<<` and aliases. As in go-yaml and vcontext, an alias is a leaf for
//! every question of place: whatever it stands for is reported where the alias is written.

use std::collections::BTreeSet;

use super::findings::Findings;
use super::record::{Node, Record, Value};
use super::scalar::{self, Resolved};
use super::schema::{CONFIG, Shape, Side, Type};
use super::spec::Spec;
use super::yaml::{Content, Documents, NodeId};

/// Values read through aliases in one document: enough for any honest config, and an end to
/// `&a [*b, *b, …]` (go-yaml: "document contains excessive aliasing").
const MAX_ALIASED: usize = 100_000;

/// One value of the wrong type.
#[derive(Debug)]
pub struct Mismatch {
    pub at: NodeId,
    pub message: String,
}

struct Decoder<'d, 'a> {
    documents: &'a Documents<'a>,
    spec: &'static Spec,
    /// Unknown keys and the like: warnings.
    findings: &'d mut Findings<'a>,
    mismatches: Vec<Mismatch>,
    aliased: usize,
    /// Aliases being followed, to refuse one that contains itself.
    following: Vec<NodeId>,
}

/// Where values come from: the node itself, or the alias or mapping they were reached through.
type Via = Option<NodeId>;

/// The document at `root` as a config of `spec`.
pub fn config<'a>(
    documents: &'a Documents<'a>,
    root: NodeId,
    spec: &'static Spec,
    findings: &mut Findings<'a>,
) -> Result<Record, Vec<Mismatch>> {
    let mut decoder =
        Decoder { documents, spec, findings, mismatches: Vec::new(), aliased: 0, following: Vec::new() };
    let record = decoder.record(root, None, &CONFIG);
    if !decoder.mismatches.is_empty() {
        return Err(decoder.mismatches);
    }
    Ok(record.unwrap_or_else(|| Record::new(&CONFIG, root)))
}

impl Decoder<'_, '_> {
    fn mismatch(&mut self, at: NodeId, message: impl Into<String>) {
        self.mismatches.push(Mismatch { at, message: message.into() });
    }

    fn cannot(&mut self, id: NodeId, what: &str, into: &str) {
        let quoted =
            self.documents.scalar(id).map(|text| format!(" `{}`", abridged(text))).unwrap_or_default();
        self.mismatch(id, format!("cannot unmarshal {what}{quoted} into {into}"));
    }

    fn value(&mut self, id: NodeId, via: Via, ty: &'static Type) -> Option<Node> {
        let origin = via.unwrap_or(id);
        if via.is_some() {
            self.aliased += 1;
            if self.aliased > MAX_ALIASED {
                return None;
            }
        }
        let documents = self.documents;
        if let Content::Alias(target) = documents.content(id) {
            if matches!(ty, Type::Record(_)) && via.is_none() {
                self.findings.not_a_mapping(origin);
            }
            return self.follow(id, *target, |decoder| decoder.value(*target, Some(origin), ty));
        }
        let value = match ty {
            Type::Record(shape) => match self.record(id, via, shape) {
                Some(record) => Value::Record(record),
                None => Value::Null,
            },
            Type::List(of) => self.list(id, via, of)?,
            Type::Bool | Type::Int | Type::Text => self.scalar(id, ty)?,
        };
        Some(Node { origin, value })
    }

    fn follow<T>(
        &mut self,
        alias: NodeId,
        target: NodeId,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<T> {
        if self.following.contains(&target) {
            self.mismatch(alias, "anchor value contains itself");
            return None;
        }
        self.aliased += 1;
        if self.aliased > MAX_ALIASED {
            return None;
        }
        self.following.push(target);
        let read = read(self);
        self.following.pop();
        if self.aliased > MAX_ALIASED && self.mismatches.is_empty() {
            self.mismatch(alias, "document contains excessive aliasing");
        }
        read
    }

    fn scalar(&mut self, id: NodeId, ty: &Type) -> Option<Value> {
        let into = match ty {
            Type::Bool => "bool",
            Type::Int => "int",
            _ => "string",
        };
        let (text, quoted, tag) = match self.documents.content(id) {
            Content::Scalar { text, quoted, tag } => (text, *quoted, tag.as_deref()),
            Content::Sequence(_) => {
                self.cannot(id, "!!seq", into);
                return None;
            }
            Content::Mapping(_) | Content::Alias(_) => {
                self.cannot(id, "!!map", into);
                return None;
            }
        };
        let resolved = scalar::resolve(text, quoted, tag);
        let value = match (ty, &resolved) {
            (_, Resolved::Null) => Some(Value::Null),
            (Type::Bool, _) => scalar::to_bool(text, &resolved).map(Value::Bool),
            (Type::Int, _) => scalar::to_int(&resolved).map(Value::Int),
            (..) => scalar::to_text(text, tag).map(Value::Text),
        };
        if value.is_none() {
            self.cannot(id, resolved.tag(), into);
        }
        value
    }

    fn list(&mut self, id: NodeId, via: Via, of: &'static Type) -> Option<Value> {
        match self.documents.content(id) {
            Content::Sequence(items) => {
                let mut list = Vec::with_capacity(items.len());
                for item in items {
                    if let Some(node) = self.value(*item, via, of) {
                        list.push(absent_as_zero(node, of));
                    }
                }
                Some(Value::List(list))
            }
            Content::Scalar { .. } if self.is_null(id) => Some(Value::Null),
            Content::Scalar { text, quoted, tag } => {
                let what = scalar::resolve(text, *quoted, tag.as_deref()).tag();
                self.cannot(id, what, "a list");
                None
            }
            Content::Mapping(_) | Content::Alias(_) => {
                self.cannot(id, "!!map", "a list");
                None
            }
        }
    }

    fn is_null(&self, id: NodeId) -> bool {
        match self.documents.content(id) {
            Content::Scalar { text, quoted, tag } => {
                scalar::resolve(text, *quoted, tag.as_deref()) == Resolved::Null
            }
            _ => false,
        }
    }

    /// `None` for a null and for what is no mapping at all.
    fn record(&mut self, id: NodeId, via: Via, shape: &'static Shape) -> Option<Record> {
        let documents = self.documents;
        let entries = match documents.content(id) {
            Content::Mapping(entries) => entries,
            Content::Scalar { .. } if self.is_null(id) => {
                if via.is_none() {
                    self.findings.not_a_mapping(id);
                }
                return None;
            }
            Content::Scalar { text, quoted, tag } => {
                let what = scalar::resolve(text, *quoted, tag.as_deref()).tag();
                self.cannot(id, what, "a mapping");
                return None;
            }
            Content::Sequence(_) | Content::Alias(_) => {
                self.cannot(id, "!!seq", "a mapping");
                return None;
            }
        };
        self.refuse_duplicates(entries);
        let mut record = Record::new(shape, via.unwrap_or(id));
        let mut merged = None;
        for (key, value) in entries {
            if documents.resolved(*key).is_none() {
                self.cannot(*key, "!!map", "string");
                continue;
            }
            if self.is_merge(*key) {
                merged = Some(*value);
            } else if let Some(index) = self.field(*key, shape) {
                if let Some(node) = self.value(*value, via, &shape.fields[index].ty) {
                    record.set_slot(index, node);
                }
                continue;
            }
            if via.is_none() {
                self.findings.unused_key(*key);
            }
        }
        if let Some(merged) = merged {
            self.merge(&mut record, merged);
        }
        Some(record)
    }

    fn refuse_duplicates(&mut self, entries: &[(NodeId, NodeId)]) {
        let documents = self.documents;
        let mut seen = BTreeSet::new();
        for (key, _) in entries {
            if let Some(text) = documents.scalar(*key)
                && !seen.insert(text)
            {
                self.mismatch(*key, format!("mapping key {text:?} already defined"));
            }
        }
    }

    fn is_merge(&self, key: NodeId) -> bool {
        match self.documents.content(key) {
            Content::Scalar { text, quoted, tag } => {
                text == "<<" && !quoted && matches!(tag.as_deref(), None | Some("!!merge"))
            }
            _ => false,
        }
    }

    /// The row a key names in this spec.
    fn field(&self, key: NodeId, shape: &'static Shape) -> Option<usize> {
        let documents = self.documents;
        let index = shape.index(documents.resolved(key)?)?;
        let field = &shape.fields[index];
        let here =
            field.since <= self.spec.minor && field.side != Side::Ignition && self.spec.has(field.gate);
        here.then_some(index)
    }

    /// `<<: *base`, `<<: [*a, *b]`: what is written next to it wins, then the earlier base.
    fn merge(&mut self, record: &mut Record, from: NodeId) {
        let documents = self.documents;
        match documents.content(from) {
            Content::Alias(target) => {
                let target = *target;
                self.follow(from, target, |decoder| {
                    decoder.merge(record, target);
                    Some(())
                });
            }
            Content::Mapping(_) => {
                let Some(mut base) = self.record(from, Some(record.origin), record.shape) else { return };
                for index in 0..record.shape.fields.len() {
                    if record.slot(index).is_none()
                        && let Some(node) = base.take_slot(index)
                    {
                        record.set_slot(index, node);
                    }
                }
            }
            Content::Sequence(bases) if !bases.iter().any(|base| self.is_sequence(*base)) => {
                for base in bases {
                    self.merge(record, *base);
                }
            }
            Content::Sequence(_) | Content::Scalar { .. } => {
                self.mismatch(from, "map merge requires map or sequence of maps as the value");
            }
        }
    }

    fn is_sequence(&self, id: NodeId) -> bool {
        matches!(self.documents.content(id), Content::Sequence(_))
    }
}

/// A null entry of a list is Go's zero value.
fn absent_as_zero(node: Node, of: &'static Type) -> Node {
    if !matches!(node.value, Value::Null) {
        return node;
    }
    let value = match of {
        Type::Text => Value::Text(String::new()),
        Type::Record(shape) => Value::Record(Record::new(shape, node.origin)),
        _ => Value::Null,
    };
    Node { value, ..node }
}

/// go-yaml shows seven characters of a long value.
fn abridged(text: &str) -> String {
    if text.chars().count() <= 10 {
        text.to_owned()
    } else {
        text.chars().take(7).chain("...".chars()).collect()
    }
}
