//! An artifact as an HTTP answer: validators, digests and caching; 304 when the client has it already.
//!
//! Nothing is compressed and nothing redirects: Ignition hashes what arrives, iPXE runs it.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;

use crate::catalogue::{ArtifactPath, Digest, Sensitivity};

use super::representation::Representation;

/// For the request's log line; travels with the response, not in it.
#[derive(Debug, Clone)]
pub struct Answered {
    pub path: ArtifactPath,
    pub digest: Digest,
}

/// RFC 9530 §3.
const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");
/// For people who compare with `sha256sum` by eye.
const X_CHECKSUM_SHA256: HeaderName = HeaderName::from_static("x-checksum-sha256");
const X_CHECKSUM_SHA512: HeaderName = HeaderName::from_static("x-checksum-sha512");

pub fn answer(found: Representation, request: &HeaderMap) -> Response {
    let etag = format!("\"sha256-{}\"", found.digest.sha256);
    let unchanged = has_current(request, &etag);
    let mut response = match unchanged {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => Body::from(found.bytes.clone()).into_response(),
    };
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, text: String| {
        // Hex, base64 and numbers: always a valid header value.
        if let Ok(value) = HeaderValue::from_maybe_shared(Bytes::from(text)) {
            headers.insert(name, value);
        }
    };
    // RFC 9110 §8.6: HEAD and 304 carry the length that GET's 200 would have.
    set(header::CONTENT_LENGTH, found.bytes.len().to_string());
    set(header::ETAG, etag);
    set(X_CHECKSUM_SHA256, found.digest.sha256.to_string());
    set(X_CHECKSUM_SHA512, found.digest.sha512.to_string());
    let sha256 = BASE64.encode(found.digest.sha256.as_bytes());
    let sha512 = BASE64.encode(found.digest.sha512.as_bytes());
    set(REPR_DIGEST, format!("sha-256=:{sha256}:, sha-512=:{sha512}:"));
    let mut set = |name, text| headers.insert(name, HeaderValue::from_static(text));
    set(header::CONTENT_TYPE, found.media_type.as_str());
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(
        header::CACHE_CONTROL,
        match found.sensitivity {
            Sensitivity::Secret => "no-store",
            // A cache may keep it but asks each time; the ETag makes that cheap.
            Sensitivity::Public => "no-cache",
        },
    );
    if found.varies_by_accept {
        set(header::VARY, "Accept");
    }
    response.extensions_mut().insert(Answered { path: found.path, digest: found.digest });
    response
}

/// `If-None-Match` by weak comparison (RFC 9110 §13.1.2). Splitting at commas is exact here: our tag holds none, and
/// no piece of a foreign tag that does can equal it, quotes included.
fn has_current(request: &HeaderMap, etag: &str) -> bool {
    let values = request.get_all(header::IF_NONE_MATCH).into_iter().filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}
