//! The `Accept` header (RFC 9110 §12.5.1), as far as it changes what we answer.
//!
//! Ignition says which spec it reads: `application/vnd.coreos.ignition+json;version=3.3.0, */*;q=0.1`.

use axum::http::{HeaderMap, header};

const IGNITION: &str = "application/vnd.coreos.ignition+json";

/// One entry of the header, in lower case.
struct MediaRange {
    name: String,
    parameters: Vec<(String, String)>,
}

impl MediaRange {
    fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// 1 unless it says otherwise; what is no number counts as not wanted.
    fn quality(&self) -> f32 {
        self.parameter("q").map_or(1.0, |q| q.parse().unwrap_or(0.0))
    }
}

fn accepted(headers: &HeaderMap) -> impl Iterator<Item = MediaRange> {
    let values = headers.get_all(header::ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(|entry| {
        let lower = entry.to_ascii_lowercase();
        let mut parts = lower.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_owned();
        let parameters = parts
            .filter_map(|parameter| parameter.split_once('='))
            .map(|(key, value)| (key.trim().to_owned(), value.trim().trim_matches('"').to_owned()));
        MediaRange { name, parameters: parameters.collect() }
    })
}

/// The newest Ignition spec the client says it reads; none: it does not say.
pub fn ignition_version(headers: &HeaderMap) -> Option<(u32, u32)> {
    accepted(headers)
        .filter(|range| range.name == IGNITION && range.quality() > 0.0)
        .filter_map(|range| parse_version(range.parameter("version")?))
        .max()
}

/// `3.4.0-experimental` reads as 3.4, which is what it is a draft of.
fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split('.').map(|part| part.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

/// Whether a program is asking: JSON is named, and wanted more than HTML.
pub fn prefers_json(headers: &HeaderMap) -> bool {
    let quality = |wanted: &str| {
        let named = accepted(headers).filter(|range| range.name == wanted);
        named.map(|range| range.quality()).fold(0.0, f32::max)
    };
    quality("application/json") > quality("text/html")
}
