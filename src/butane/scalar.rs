//! What a YAML scalar means when it is read into a field of a known type.
//!
//! Butane reads YAML with go-yaml v3, which keeps parts of YAML 1.1: `0644` is octal, `1_000` is a number,
//! `yes` and `on` are true, but only where a boolean is expected. A text field takes any scalar verbatim.

use base64::Engine;

/// A scalar resolved without knowing its target.
#[derive(Debug, PartialEq)]
pub enum Resolved {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text,
}

impl Resolved {
    /// The name go-yaml gives the type in a message.
    pub fn tag(&self) -> &'static str {
        match self {
            Resolved::Null => "!!null",
            Resolved::Bool(_) => "!!bool",
            Resolved::Int(_) => "!!int",
            Resolved::Float(_) => "!!float",
            Resolved::Text => "!!str",
        }
    }
}

pub fn resolve(text: &str, quoted: bool, tag: Option<&str>) -> Resolved {
    match tag {
        None if quoted => Resolved::Text,
        None => resolve_plain(text),
        Some("!!null") => Resolved::Null,
        Some("!!int" | "!!bool") => resolve_plain(text),
        Some("!!float") => match resolve_plain(text) {
            Resolved::Int(number) => Resolved::Float(number as f64),
            other => other,
        },
        Some(_) => Resolved::Text,
    }
}

fn resolve_plain(text: &str) -> Resolved {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Resolved::Null,
        "true" | "True" | "TRUE" => return Resolved::Bool(true),
        "false" | "False" | "FALSE" => return Resolved::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Resolved::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Resolved::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Resolved::Float(f64::NEG_INFINITY),
        _ => {}
    }
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return Resolved::Text;
    }
    let plain: std::borrow::Cow<str> =
        if text.contains('_') { text.replace('_', "").into() } else { text.into() };
    if let Some(number) = parse_int(&plain) {
        return Resolved::Int(number);
    }
    if looks_like_float(&plain)
        && let Ok(number) = plain.parse::<f64>()
    {
        return Resolved::Float(number);
    }
    Resolved::Text
}

/// Go's `ParseInt(text, 0, 64)` and the YAML forms go-yaml adds to it.
fn parse_int(text: &str) -> Option<i64> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    if !digits.starts_with(|c: char| c.is_ascii_hexdigit()) {
        return None;
    }
    let magnitude = i128::from_str_radix(digits, radix).ok()?;
    i64::try_from(if negative { -magnitude } else { magnitude }).ok()
}

/// `^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`
fn looks_like_float(text: &str) -> bool {
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mantissa_ok = all_digits(whole) && all_digits(fraction) && !(whole.is_empty() && fraction.is_empty());
    let exponent_ok = exponent.is_none_or(|digits| {
        let digits = digits.strip_prefix(['-', '+']).unwrap_or(digits);
        !digits.is_empty() && all_digits(digits)
    });
    mantissa_ok && exponent_ok
}

/// `None`: not a boolean. The YAML 1.1 words count even when quoted, as in go-yaml.
pub fn to_bool(text: &str, resolved: &Resolved) -> Option<bool> {
    match (resolved, text) {
        (Resolved::Bool(value), _) => Some(*value),
        (Resolved::Text, "y" | "Y" | "yes" | "on") => Some(true),
        (Resolved::Text, "n" | "N" | "no" | "off") => Some(false),
        _ => None,
    }
}

/// `None`: not a whole number.
pub fn to_int(resolved: &Resolved) -> Option<i64> {
    match resolved {
        Resolved::Int(number) => Some(*number),
        // `1.0` is 1; a float beyond 2^63 would wrap.
        Resolved::Float(number) if number.fract() == 0.0 && number.abs() < i64::MAX as f64 => {
            Some(*number as i64)
        }
        _ => None,
    }
}

/// The text of a scalar; `None` for a `!!binary` that is not base64.
pub fn to_text(text: &str, tag: Option<&str>) -> Option<String> {
    if tag != Some("!!binary") {
        return Some(text.to_owned());
    }
    let packed: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let bytes = base64::engine::general_purpose::STANDARD.decode(packed).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_go_yaml() {
        for (text, number) in [
            ("0644", 420),
            ("017", 15),
            ("0o644", 420),
            ("0x1a4", 420),
            ("0b11", 3),
            ("+5", 5),
            ("1_000", 1000),
            ("08", 8),
            ("1.0", 1),
            ("1e3", 1000),
            ("-0x10", -16),
        ] {
            assert_eq!(to_int(&resolve(text, false, None)), Some(number), "{text}");
        }
        for text in ["1.5", "x", "", "--1", "0x", "99999999999999999999", ".nan", "true"] {
            assert_eq!(to_int(&resolve(text, false, None)), None, "{text}");
        }
        assert_eq!(to_int(&resolve("0644", true, None)), None);
        assert_eq!(to_int(&resolve("7", true, Some("!!int"))), Some(7));
    }

    #[test]
    fn words_are_booleans_only_where_a_boolean_is_expected() {
        for (text, value) in [("on", Some(true)), ("no", Some(false)), ("True", Some(true)), ("maybe", None)]
        {
            assert_eq!(to_bool(text, &resolve(text, false, None)), value, "{text}");
        }
        assert_eq!(to_bool("true", &resolve("true", true, None)), None);
    }
}
