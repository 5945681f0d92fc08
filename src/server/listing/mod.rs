//! A folder: a small page for people, or JSON for programs that say so in `Accept`.
//!
//! The page shows one level, JSON everything below: a person walks, a program filters. Both are made when asked for,
//! since nobody asks often.

mod document;
mod page;

use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Response};

use crate::catalogue::ArtifactPath;

use super::negotiate;
use super::refusal::Refusal;
use super::state::Served;

/// A folder that `served` has. `degraded`: the last edit is broken and this is what was there before it.
#[derive(Debug)]
pub struct Folder {
    pub served: std::sync::Arc<Served>,
    /// Without slashes at its ends; "" is the root.
    pub path: String,
    pub degraded: bool,
}

impl Folder {
    /// What remains of a path below this folder.
    fn rest<'a>(&self, path: &'a ArtifactPath) -> Option<&'a str> {
        match self.path.as_str() {
            "" => Some(path.as_str()),
            folder => path.as_str().strip_prefix(folder)?.strip_prefix('/'),
        }
    }
}

/// Nothing fetched from elsewhere, no script, in no frame: the page says so, and the browser holds it to it.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";

pub fn answer(folder: &Folder, request: &HeaderMap) -> Result<Response, Refusal> {
    let (media_type, body) = match negotiate::prefers_json(request) {
        true => ("application/json", document::render(folder)?),
        false => ("text/html; charset=utf-8", page::render(folder)?),
    };
    let headers = [
        (header::CONTENT_TYPE, media_type),
        (header::CACHE_CONTROL, "no-cache"),
        (header::VARY, "Accept"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    ];
    Ok((headers, body).into_response())
}
