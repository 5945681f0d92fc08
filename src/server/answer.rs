//! An artifact as an HTTP answer: validators, digests and caching; 304 when the client has it already.
//!
//! Nothing is compressed and nothing redirects: Ignition hashes what arrives, iPXE runs it.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;

use crate::catalogue::{ArtifactPath, Sensitivity, Sha256};

use super::precondition::has_current;
use super::representation::Representation;

/// For the request's log line; travels with the response, not in it.
#[derive(Debug, Clone)]
pub struct Answered {
    pub path: ArtifactPath,
    /// None for a file of `--static` that nobody has read to its end yet.
    pub sha256: Option<Sha256>,
}

/// RFC 9530 §3.
pub const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");
/// For people who compare with `sha256sum` by eye.
pub const X_CHECKSUM_SHA256: HeaderName = HeaderName::from_static("x-checksum-sha256");
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
    response.extensions_mut().insert(Answered { path: found.path, sha256: Some(found.digest.sha256) });
    response
}
