//! The part of a file that a `Range` header asks for (RFC 9110 §14).

use std::ops::Range;

use axum::http::{HeaderMap, Method, header};

#[derive(Debug, PartialEq, Eq)]
pub enum Wanted {
    Whole,
    /// Never empty.
    Part(Range<u64>),
    /// It begins behind the end.
    Beyond,
}

/// What is no range, or several, is answered with the whole file, as §14.2 allows: nothing that boots asks for several.
/// GET is the only method with ranges there, so HEAD tells of the whole file.
pub fn wanted(method: &Method, headers: &HeaderMap, etag: &str, size: u64) -> Wanted {
    let mut lines = headers.get_all(header::RANGE).into_iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return Wanted::Whole };
    if *method != Method::GET || !still_has(headers, etag) {
        return Wanted::Whole;
    }
    line.to_str().ok().and_then(|text| parse(text, size)).unwrap_or(Wanted::Whole)
}

/// `If-Range` (§13.1.5) compares strongly. A date never holds: anybody can set a file's time of modification, so
/// `Last-Modified` is no strong validator.
fn still_has(headers: &HeaderMap, etag: &str) -> bool {
    headers.get_all(header::IF_RANGE).into_iter().all(|value| value.as_bytes() == etag.as_bytes())
}

fn parse(text: &str, size: u64) -> Option<Wanted> {
    let (unit, ranges) = text.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let mut ranges =
        ranges.split(',').map(|range| range.trim_matches([' ', '\t'])).filter(|range| !range.is_empty());
    let (range, None) = (ranges.next()?, ranges.next()) else { return None };
    Some(match range.split_once('-')? {
        ("", length) => match number(length)? {
            0 => Wanted::Beyond,
            // No Content-Range can express a part of nothing.
            _ if size == 0 => Wanted::Whole,
            length => Wanted::Part(size.saturating_sub(length)..size),
        },
        (first, last) => {
            let (first, last) = (number(first)?, if last.is_empty() { u64::MAX } else { number(last)? });
            match first {
                first if last < first => return None,
                first if first >= size => Wanted::Beyond,
                first => Wanted::Part(first..last.saturating_add(1).min(size)),
            }
        }
    })
}

/// Digits only; more than fit are as many as there can be.
fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ETAG: &str = "\"now\"";

    type Line = (&'static str, &'static str);

    fn ask(method: Method, lines: &[Line], size: u64) -> Wanted {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        wanted(&method, &headers, ETAG, size)
    }

    #[test]
    fn every_form_of_a_range_has_its_answer() {
        use Wanted::{Beyond, Part, Whole};
        let cases = [
            ("bytes=0-0", 10, Part(0..1)),
            ("bytes=2-4", 10, Part(2..5)),
            ("bytes=2-", 10, Part(2..10)),
            ("bytes=0-", 10, Part(0..10)),
            ("bytes=9-", 10, Part(9..10)),
            ("bytes=2-99", 10, Part(2..10)),
            ("bytes=0-18446744073709551615", 10, Part(0..10)),
            ("bytes=0-99999999999999999999999", 10, Part(0..10)),
            ("bytes=-1", 10, Part(9..10)),
            ("bytes=-10", 10, Part(0..10)),
            ("bytes=-99", 10, Part(0..10)),
            ("BYTES=1-2", 10, Part(1..3)),
            ("bytes= 1-2 ,", 10, Part(1..3)),
            ("bytes=10-", 10, Beyond),
            ("bytes=10-12", 10, Beyond),
            ("bytes=99999999999999999999999-", 10, Beyond),
            ("bytes=-0", 10, Beyond),
            ("bytes=0-", 0, Beyond),
            ("bytes=-5", 0, Whole),
            ("bytes=4-2", 10, Whole),
            ("bytes=0-1,4-5", 10, Whole),
            ("bytes=0-1,x", 10, Whole),
            ("bytes=", 10, Whole),
            ("bytes=-", 10, Whole),
            ("bytes=+1-2", 10, Whole),
            ("bytes=1-2-3", 10, Whole),
            ("bytes=1 - 2", 10, Whole),
            ("bytes=0x1-2", 10, Whole),
            ("bytes", 10, Whole),
            ("lines=1-2", 10, Whole),
            ("", 10, Whole),
        ];
        for (text, size, wanted) in cases {
            assert_eq!(ask(Method::GET, &[("range", text)], size), wanted, "{text} of {size}");
        }
    }

    #[test]
    fn a_range_counts_only_once_for_get_and_for_the_file_that_the_client_has() {
        let range = ("range", "bytes=2-4");
        let cases: [(Method, &[Line], bool); 9] = [
            (Method::GET, &[range], true),
            (Method::HEAD, &[range], false),
            (Method::GET, &[range, ("range", "bytes=0-1")], false),
            (Method::GET, &[range, ("if-range", ETAG)], true),
            (Method::GET, &[range, ("if-range", "W/\"now\"")], false),
            (Method::GET, &[range, ("if-range", "\"then\"")], false),
            (Method::GET, &[range, ("if-range", "Sun, 22 Nov 2026 16:00:00 GMT")], false),
            (Method::GET, &[range, ("if-range", "")], false),
            (Method::GET, &[], false),
        ];
        for (method, lines, part) in cases {
            let expected = if part { Wanted::Part(2..5) } else { Wanted::Whole };
            assert_eq!(ask(method, lines, 10), expected, "{lines:?}");
        }
    }
}
