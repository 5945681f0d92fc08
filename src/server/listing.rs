//! A folder, for people (HTML) or programs (JSON).
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};

use super::state::Served;

pub fn answer(served: &Served, folder: &str, _headers: &HeaderMap) -> Response {
    format!("{} {folder}\n", served.id).into_response()
}
