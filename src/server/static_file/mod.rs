//! Kernels, initramfs and images from `--static`: streamed from disk, never rendered or held.
//!
//! A client gets the bytes of one file or a connection that breaks off, never a mix: what is replaced by rename goes on
//! as it was, and what is written in place is noticed.

mod body;
mod open;
mod range;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use tokio::sync::Semaphore;

use crate::catalogue::{ArtifactPath, Sha256, Stamp, StaticFile};

use super::answer::{Answered, REPR_DIGEST, X_CHECKSUM_SHA256};
use super::precondition::{self, Verdict};
use super::refusal::Refusal;
use super::target::Target;
use open::Opened;

pub use open::stamp;
use range::Wanted;

/// Reads and opens at a time, for all clients: half of the threads that block, so that loads and the archive have the
/// other half, also when the disk is a slow USB stick.
pub const READS_MAX: usize = super::BLOCKING_THREADS_MAX / 2;

/// A file of `--static` that a request asks for.
#[derive(Debug)]
pub struct Place {
    pub path: ArtifactPath,
    pub folder: PathBuf,
    /// Below the folder.
    pub name: String,
    /// As the load found it.
    pub known: StaticFile,
}

pub async fn answer(place: Place, target: &Target, reads: Arc<Semaphore>) -> Result<Response, Refusal> {
    let Place { path, folder, name, known } = place;
    let opened = body::off_thread(reads.clone(), move || open::open(&folder, &name)).await;
    let file = opened.map_err(|error| {
        // It was there at load: that it cannot be read is for us to mend, not for the client to take as final.
        tracing::error!(artifact = %path, %error, "a static file cannot be read");
        Refusal::Ours("the file cannot be read at the moment")
    })?;
    // The digest is of the bytes that had this stamp.
    let sha256 = known.sha256.filter(|_| file.stamp == known.stamp);
    match (target.pinned, sha256) {
        (Some(wanted), Some(current)) if wanted != current => {
            return Err(Refusal::Superseded { path, wanted, current });
        }
        (Some(_), None) => return Err(Refusal::Ours("the digest of this file is not known yet")),
        _ => {}
    }
    let mut response = respond(&path, file, target, reads);
    set_digests(response.headers_mut(), sha256);
    response.extensions_mut().insert(Answered { path, sha256 });
    Ok(response)
}

fn respond(path: &ArtifactPath, file: Opened, target: &Target, reads: Arc<Semaphore>) -> Response {
    let (size, etag, modified) = (file.stamp.size, etag(&file.stamp), last_modified(&file.stamp));
    let whole = |status: StatusCode| (status, 0..size, None);
    let (status, range, content_range) = match precondition::judge(&target.headers, &etag, modified) {
        Verdict::Failed => (StatusCode::PRECONDITION_FAILED, 0..0, None),
        Verdict::NotModified => whole(StatusCode::NOT_MODIFIED),
        Verdict::Go => match range::wanted(&target.method, &target.headers, &etag, size) {
            Wanted::Whole => whole(StatusCode::OK),
            Wanted::Beyond => (StatusCode::RANGE_NOT_SATISFIABLE, 0..0, Some(format!("bytes */{size}"))),
            Wanted::Part(range) => {
                let text = format!("bytes {}-{}/{size}", range.start, range.end - 1);
                (StatusCode::PARTIAL_CONTENT, range, Some(text))
            }
        },
    };
    let length = range.end - range.start;
    let body = match status.is_success() && target.method == Method::GET {
        true => Body::new(body::Chunks::new(path.clone(), file, range, reads)),
        false => Body::empty(),
    };
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, text: String| {
        // Hex, numbers and dates: always a valid header value.
        if let Ok(value) = HeaderValue::from_maybe_shared(Bytes::from(text)) {
            headers.insert(name, value);
        }
    };
    set(header::CONTENT_LENGTH, length.to_string());
    set(header::ETAG, etag);
    if let Some(modified) = modified {
        set(header::LAST_MODIFIED, httpdate::fmt_http_date(modified));
    }
    if let Some(content_range) = content_range {
        set(header::CONTENT_RANGE, content_range);
    }
    let mut set = |name, text| headers.insert(name, HeaderValue::from_static(text));
    set(header::ACCEPT_RANGES, "bytes");
    set(header::CONTENT_TYPE, "application/octet-stream");
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::CACHE_CONTROL, "no-cache");
    response
}

fn set_digests(headers: &mut axum::http::HeaderMap, sha256: Option<Sha256>) {
    let Some(sha256) = sha256 else { return };
    let texts = [
        (X_CHECKSUM_SHA256, sha256.to_string()),
        (REPR_DIGEST, format!("sha-256=:{}:", BASE64.encode(sha256.as_bytes()))),
    ];
    for (name, text) in texts {
        if let Ok(value) = HeaderValue::from_maybe_shared(Bytes::from(text)) {
            headers.insert(name, value);
        }
    }
}

/// Strong (RFC 9110 §8.8.1): the kernel changes the time of change at each write, replacing a file changes the inode, and
/// [`open`] waits out the one tick in which a write would not show. Not the SHA-256, which comes later: a download that is
/// resumed is to find the tag it began with. Hashed, since inode numbers are nobody's business.
fn etag(stamp: &Stamp) -> String {
    let Stamp { device, inode, size, modified_ns, changed_ns } = stamp;
    let digest = Sha256::of(format!("{device} {inode} {size} {modified_ns} {changed_ns}").as_bytes());
    /// 128 bits: no two files meet by chance.
    const DIGITS: usize = 32;
    format!("\"{}\"", &digest.to_string()[..DIGITS])
}

/// None for a time that HTTP cannot say, or that lies ahead, which §8.8.2.1 forbids.
fn last_modified(stamp: &Stamp) -> Option<SystemTime> {
    let seconds = u64::try_from(stamp.modified_ns / 1_000_000_000).ok()?;
    let time = UNIX_EPOCH + Duration::from_secs(seconds);
    (time <= SystemTime::now()).then_some(time)
}
