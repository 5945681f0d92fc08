//! `/healthz`: is the process well; `/readyz`: can it serve. Both say what is wrong, in JSON.

use std::time::SystemTime;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::refusal::RETRY_AFTER_SECONDS;
use super::state::Status;

#[derive(serde::Serialize)]
struct Health {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    loaded_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// 200 as long as the process lives: restarting it does not mend an inventory.
pub fn healthz(status: &Status) -> Response {
    answer(StatusCode::OK, status)
}

pub fn readyz(status: &Status) -> Response {
    if status.served.is_some() {
        return answer(StatusCode::OK, status);
    }
    let mut response = answer(StatusCode::SERVICE_UNAVAILABLE, status);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
    response
}

fn answer(code: StatusCode, status: &Status) -> Response {
    let health = Health {
        status: match (&status.served, &status.failure) {
            (Some(_), None) => "ok",
            (Some(_), Some(_)) => "degraded",
            (None, _) => "broken",
        },
        generation: status.served.as_ref().map(|served| served.id.to_string()),
        loaded_at: status.served.as_ref().map(|served| rfc3339(served.loaded_at)),
        error: status.failure.as_ref().map(|failure| failure.brief.clone()),
    };
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    match serde_json::to_string(&health) {
        Ok(body) => (code, headers, body + "\n").into_response(),
        // Strings only: this cannot fail, and if it did, the status is what counts.
        Err(_) => code.into_response(),
    }
}

fn rfc3339(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}
