//! Preconditions of a request (RFC 9110 §13): whether the client has it already, or wants only what it has.

use std::time::SystemTime;

use axum::http::{HeaderMap, HeaderName, header};

#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    Go,
    NotModified,
    Failed,
}

/// In the order of §13.2.2, for GET and HEAD. `etag` is strong; `modified` has whole seconds.
pub fn judge(headers: &HeaderMap, etag: &str, modified: Option<SystemTime>) -> Verdict {
    let at_most = |name| Some(modified? <= date(headers, name)?);
    let failed = match headers.contains_key(header::IF_MATCH) {
        true => !lists(headers, header::IF_MATCH, |tag| tag == etag),
        false => at_most(header::IF_UNMODIFIED_SINCE) == Some(false),
    };
    if failed {
        return Verdict::Failed;
    }
    let has_it = match headers.contains_key(header::IF_NONE_MATCH) {
        true => has_current(headers, etag),
        false => at_most(header::IF_MODIFIED_SINCE) == Some(true),
    };
    if has_it { Verdict::NotModified } else { Verdict::Go }
}

/// `If-None-Match` by weak comparison (§13.1.2).
pub fn has_current(headers: &HeaderMap, etag: &str) -> bool {
    lists(headers, header::IF_NONE_MATCH, |tag| tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// Splitting at commas is exact here: our tags hold none, and no piece of a foreign tag that does can equal one, quotes
/// included.
fn lists(headers: &HeaderMap, name: HeaderName, is_ours: impl Fn(&str) -> bool) -> bool {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).any(|tag| tag == "*" || is_ours(tag))
}

/// What is no date is ignored (§13.1.3).
fn date(headers: &HeaderMap, name: HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn each_precondition_has_its_verdict_and_its_rank() {
        use Verdict::{Failed, Go, NotModified};
        let modified = UNIX_EPOCH + Duration::from_secs(1_795_363_200);
        let same = "Sun, 22 Nov 2026 16:00:00 GMT";
        let (before, after) = ("Sun, 22 Nov 2026 15:59:59 GMT", "Sun, 22 Nov 2026 16:00:01 GMT");
        let cases: [(&[(&'static str, &str)], Verdict); 22] = [
            (&[], Go),
            (&[("if-none-match", "\"now\"")], NotModified),
            (&[("if-none-match", "\"x\", W/\"now\"")], NotModified),
            (&[("if-none-match", "*")], NotModified),
            (&[("if-none-match", "\"x\"")], Go),
            (&[("if-modified-since", same)], NotModified),
            (&[("if-modified-since", after)], NotModified),
            (&[("if-modified-since", before)], Go),
            (&[("if-modified-since", "yesterday")], Go),
            (&[("if-none-match", "\"x\""), ("if-modified-since", same)], Go),
            (&[("if-match", "\"now\"")], Go),
            (&[("if-match", "*")], Go),
            (&[("if-match", "\"x\",\"now\"")], Go),
            (&[("if-match", "W/\"now\"")], Failed),
            (&[("if-match", "\"x\"")], Failed),
            (&[("if-unmodified-since", same)], Go),
            (&[("if-unmodified-since", after)], Go),
            (&[("if-unmodified-since", before)], Failed),
            (&[("if-unmodified-since", "yesterday")], Go),
            (&[("if-match", "\"now\""), ("if-unmodified-since", before)], Go),
            (&[("if-match", "\"now\""), ("if-none-match", "\"now\"")], NotModified),
            (&[("if-match", "\"x\""), ("if-none-match", "\"now\"")], Failed),
        ];
        for (lines, verdict) in cases {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                headers.append(*name, value.parse().unwrap());
            }
            assert_eq!(judge(&headers, "\"now\"", Some(modified)), verdict, "{lines:?}");
        }
    }
}
