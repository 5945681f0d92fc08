//! A record → Ignition JSON, byte for byte as Go's encoder prints it.
//!
//! Key order is the table's; what is left out is decided by [`Presence`]; strings are escaped as Go's
//! `json.Marshal` does with HTML escaping on, which serde_json does not offer.

use crate::butane::record::{Record, Value};
use crate::butane::schema::{Field, Minor, Presence, Side, Type};

/// `record` as a document of Ignition 3.`minor`, with a final newline.
pub fn to_json(record: &Record, minor: Minor, pretty: bool) -> Vec<u8> {
    let mut writer = Writer { out: Vec::with_capacity(4096), minor, pretty, depth: 0 };
    writer.record(record);
    writer.out.push(b'\n');
    writer.out
}

struct Writer {
    out: Vec<u8>,
    minor: Minor,
    pretty: bool,
    depth: usize,
}

impl Writer {
    fn record(&mut self, record: &Record) {
        self.open(b'{');
        let mut first = true;
        for (index, field) in record.shape.fields.iter().enumerate() {
            if field.side == Side::Butane {
                continue;
            }
            let value = record.slot(index).map_or(&Value::Null, |node| &node.value);
            if !self.is_printed(field, value) {
                continue;
            }
            self.separate(&mut first);
            self.text(field.json);
            self.out.extend_from_slice(if self.pretty { b": " } else { b":" });
            self.value(field, value);
        }
        self.close(b'}', first);
    }

    fn is_printed(&self, field: &Field, value: &Value) -> bool {
        match value {
            Value::Null => match field.presence {
                Presence::Always => true,
                Presence::AlwaysBefore(minor) | Presence::NullBefore(minor) => self.minor < minor,
                _ => false,
            },
            Value::Int(0) => field.presence != Presence::NotZero,
            Value::Text(text) => !text.is_empty() || field.presence != Presence::NotZero,
            Value::List(items) => !items.is_empty(),
            Value::Record(record) => {
                field.presence == Presence::KeptEmptyIn(self.minor) || !self.is_bare(record)
            }
            Value::Bool(_) | Value::Int(_) => true,
        }
    }

    /// Go's zero value: nothing in it was given, whatever would be printed for what is missing.
    fn is_bare(&self, record: &Record) -> bool {
        !record
            .fields()
            .any(|(field, node)| field.side != Side::Butane && self.is_printed(field, &node.value))
    }

    fn value(&mut self, field: &Field, value: &Value) {
        match value {
            Value::Null if matches!(field.presence, Presence::NullBefore(_)) => {
                self.out.extend_from_slice(b"null")
            }
            Value::Null => self.out.extend_from_slice(match field.ty {
                Type::Text => b"\"\"",
                _ => b"0",
            }),
            Value::Bool(value) => self.out.extend_from_slice(if *value { b"true" } else { b"false" }),
            Value::Int(number) => self.out.extend_from_slice(number.to_string().as_bytes()),
            Value::Text(text) => self.text(text),
            Value::Record(record) => self.record(record),
            Value::List(items) => {
                self.open(b'[');
                let mut first = true;
                for item in items {
                    self.separate(&mut first);
                    self.value(field, &item.value);
                }
                self.close(b']', first);
            }
        }
    }

    fn open(&mut self, bracket: u8) {
        self.out.push(bracket);
        self.depth += 1;
    }

    fn separate(&mut self, first: &mut bool) {
        if !std::mem::replace(first, false) {
            self.out.push(b',');
        }
        self.newline();
    }

    fn close(&mut self, bracket: u8, empty: bool) {
        self.depth -= 1;
        if !empty {
            self.newline();
        }
        self.out.push(bracket);
    }

    fn newline(&mut self) {
        if self.pretty {
            self.out.push(b'\n');
            self.out.extend(std::iter::repeat_n(b' ', 2 * self.depth));
        }
    }

    /// Go escapes `<`, `>`, `&` and the two line separators, and prints DEL and all else as it is.
    fn text(&mut self, text: &str) {
        self.out.push(b'"');
        let bytes = text.as_bytes();
        let mut done = 0;
        for (at, byte) in bytes.iter().enumerate() {
            let escape: &[u8] = match byte {
                b'"' => b"\\\"",
                b'\\' => b"\\\\",
                b'\n' => b"\\n",
                b'\r' => b"\\r",
                b'\t' => b"\\t",
                0..0x20 | b'<' | b'>' | b'&' => &unicode_escape(u16::from(*byte)),
                0xe2 => match bytes.get(at + 1..at + 3) {
                    Some([0x80, 0xa8]) => b"\\u2028",
                    Some([0x80, 0xa9]) => b"\\u2029",
                    _ => continue,
                },
                _ => continue,
            };
            self.out.extend_from_slice(&bytes[done..at]);
            self.out.extend_from_slice(escape);
            done = at + if *byte == 0xe2 { 3 } else { 1 };
        }
        self.out.extend_from_slice(&bytes[done..]);
        self.out.push(b'"');
    }
}

fn unicode_escape(code: u16) -> [u8; 6] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    [b'\\', b'u', b'0', b'0', HEX[usize::from(code >> 4 & 15)], HEX[usize::from(code & 15)]]
}
