//! Kernels, initramfs and images from `--static`: streamed from disk with Range and HEAD, never rendered or held.

use std::path::Path;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use tower::ServiceExt as _;
use tower_http::services::ServeFile;

use super::refusal::Refusal;

/// `file` comes from the generation, never from the request.
pub async fn answer(file: &Path, method: Method, headers: HeaderMap) -> Response {
    let mut request = Request::new(Body::empty());
    *request.method_mut() = method;
    *request.headers_mut() = headers;
    match ServeFile::new(file).oneshot(request).await {
        // It was there at load: that it is gone is for us to mend, not for the client to take as final.
        Ok(response) if response.status().is_client_error() && !is_range_error(&response) => {
            tracing::error!(file = %file.display(), "a static file cannot be read any more");
            Refusal::Ours("the file cannot be read at the moment").into_response()
        }
        Ok(mut response) => {
            let headers = response.headers_mut();
            headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            response.into_response()
        }
        Err(never) => match never {},
    }
}

/// 412 and 416 are the client's own.
fn is_range_error<B>(response: &axum::http::Response<B>) -> bool {
    use axum::http::StatusCode;
    matches!(response.status(), StatusCode::RANGE_NOT_SATISFIABLE | StatusCode::PRECONDITION_FAILED)
}
