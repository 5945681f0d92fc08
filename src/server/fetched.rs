//! What a host fetched, noted: only if it really was the host, by its address, and only what it got.

use axum::http::Method;

use crate::boot::{Event, is_config_of};
use crate::catalogue::ArtifactPath;

use super::find::Found;
use super::representation::Representation;
use super::state::ServerState;
use super::target::{Place, Target};

pub fn note(state: &ServerState, target: &Target, found: &Found) {
    let status = state.status();
    let address = target.caller.address().filter(|_| target.method == Method::GET);
    let Some(host) = address.and_then(|address| status.host_at(address)) else { return };
    let event = match (found, &target.place) {
        (Found::Artifact(Representation { path, digest, .. }), _) => match config_name(path) {
            Some(config) if is_config_of(host, config) => {
                Event::Ignition { config: config.to_owned(), sha256: digest.sha256 }
            }
            _ => Event::File { path: path.to_string(), sha256: Some(digest.sha256) },
        },
        (Found::Static(place), Place::Path(path)) => {
            Event::Image { path: path.to_string(), sha256: place.known.sha256 }
        }
        _ => return,
    };
    state.chronicle.note(host, event);
}

/// `NAME` of `pxe/ignition/NAME.ign`.
fn config_name(path: &ArtifactPath) -> Option<&str> {
    path.as_str().strip_prefix("pxe/ignition/")?.strip_suffix(".ign")
}
