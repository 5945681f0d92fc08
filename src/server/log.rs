//! The log: one line a request and one a load, on standard error, for people or as JSON. Never a body, never a secret.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use tracing::{Level, Subscriber};
use tracing_subscriber::fmt::MakeWriter;

use super::answer::Answered;
use super::peer::Peer;
use super::state::ServerState;

/// How a log line is written, `--log-format`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// One line for people
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

/// Of a path that somebody else chose, in bytes.
const PATH_MAX: usize = 256;

/// Enough of a SHA-256 to tell generations apart by eye.
const SHORT_DIGEST: usize = 12;

/// Sets the process's log; a second call changes nothing.
pub fn init(format: LogFormat) {
    let colour = std::io::stderr().is_terminal();
    // An error means that there is a log already.
    let _ = tracing::subscriber::set_global_default(lines(format, colour, std::io::stderr));
}

/// One line an event, to `writer`.
pub fn lines<W>(format: LogFormat, colour: bool, writer: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt().with_writer(writer).with_target(false).with_max_level(Level::INFO);
    match format {
        LogFormat::Text => Box::new(lines.with_ansi(colour).finish()),
        LogFormat::Json => Box::new(lines.json().flatten_event(true).finish()),
    }
}

pub fn short(digest: impl std::fmt::Display) -> String {
    digest.to_string().chars().take(SHORT_DIGEST).collect()
}

/// Outermost: it sees every answer, a panic's as well.
pub async fn request(State(state): State<Arc<ServerState>>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let path = request.uri().path();
    let path = path.get(..PATH_MAX).unwrap_or(path).to_owned();
    let client = request.extensions().get::<Peer>().copied();
    let response = next.run(request).await;
    let status = response.status();
    let took_us = began.elapsed().as_micros() as u64;
    let known = state.status();
    let host =
        client.and_then(Peer::network).and_then(|address| known.host_at(address)).map(|host| host.as_str());
    let answered = response.extensions().get::<Answered>();
    let artifact = answered.map(|answered| answered.path.as_str());
    let digest = answered.and_then(|answered| answered.sha256).map(short);
    let client = client.map(tracing::field::display);
    macro_rules! line {
        ($level:expr) => {
            tracing::event!(
                $level,
                client,
                host,
                artifact,
                digest,
                status = status.as_u16(),
                took_us,
                "{method} {path:?}"
            )
        };
    }
    match level(&method, status, &path) {
        Level::WARN => line!(Level::WARN),
        Level::DEBUG => line!(Level::DEBUG),
        _ => line!(Level::INFO),
    }
    response
}

/// A probe that finds everything well, every few seconds, is no news.
fn level(method: &Method, status: StatusCode, path: &str) -> Level {
    let probe = matches!(path, "/healthz" | "/readyz") && matches!(*method, Method::GET | Method::HEAD);
    match status {
        StatusCode::FORBIDDEN => Level::WARN,
        status if status.is_server_error() => Level::WARN,
        _ if probe => Level::DEBUG,
        _ => Level::INFO,
    }
}
