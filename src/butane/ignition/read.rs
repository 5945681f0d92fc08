//! Ignition JSON → a record of the same table.
//!
//! For inline configs, whose mistakes are found before a machine finds them, and for [`crate::butane::lowest`].

use serde_json::Value as Json;

use crate::butane::record::{Node, Record, Value};
use crate::butane::schema::{CONFIG, Minor, Shape, Side, Type};
use crate::butane::yaml::NodeId;

/// The version an Ignition config says it is.
pub fn version(json: &Json) -> Option<&str> {
    json.get("ignition")?.get("version")?.as_str()
}

/// A config of 3.`minor`; every value comes from `origin`. Keys that version does not have go to `unused`.
pub fn config(json: &Json, minor: Minor, origin: NodeId, unused: &mut Vec<String>) -> Result<Record, String> {
    let mut reader = Reader { minor, origin, unused };
    reader.record(json, &CONFIG)
}

struct Reader<'r> {
    minor: Minor,
    origin: NodeId,
    unused: &'r mut Vec<String>,
}

impl Reader<'_> {
    fn record(&mut self, json: &Json, shape: &'static Shape) -> Result<Record, String> {
        let Json::Object(entries) = json else {
            return Err(format!("cannot unmarshal {} into an object", kind(json)));
        };
        let mut record = Record::new(shape, self.origin);
        for (key, json) in entries {
            let known = |field: &crate::butane::schema::Field| {
                field.side != Side::Butane && field.since <= self.minor && field.json == key
            };
            match shape.fields.iter().position(known) {
                None => self.unused.push(key.clone()),
                Some(_) if json.is_null() => {}
                Some(index) => {
                    let value = self.value(json, &shape.fields[index].ty)?;
                    record.set_slot(index, Node { origin: self.origin, value });
                }
            }
        }
        Ok(record)
    }

    fn value(&mut self, json: &Json, ty: &'static Type) -> Result<Value, String> {
        Ok(match (ty, json) {
            (Type::Bool, Json::Bool(value)) => Value::Bool(*value),
            (Type::Int, Json::Number(number)) if number.as_i64().is_some() => {
                Value::Int(number.as_i64().unwrap_or_default())
            }
            (Type::Text, Json::String(text)) => Value::Text(text.clone()),
            (Type::Record(shape), json) => Value::Record(self.record(json, shape)?),
            (Type::List(of), Json::Array(items)) => {
                let mut nodes = Vec::with_capacity(items.len());
                for item in items {
                    nodes.push(Node { origin: self.origin, value: self.value(item, of)? });
                }
                Value::List(nodes)
            }
            _ => return Err(format!("cannot unmarshal {}", kind(json))),
        })
    }
}

fn kind(json: &Json) -> &'static str {
    match json {
        Json::Null => "null",
        Json::Bool(_) => "bool",
        Json::Number(_) => "number",
        Json::String(_) => "string",
        Json::Array(_) => "array",
        Json::Object(_) => "object",
    }
}
