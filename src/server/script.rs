//! Which boot script a machine gets: who it is, what it boots now, and the artifact for that. An answer is always a script,
//! since iPXE shows no body of an error.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::response::{IntoResponse as _, Response};

use crate::boot::{
    Choice, Decision, Event, Identity, Machine, console, console_then_disk, decide, identify,
    presumed_installed,
};
use crate::catalogue::{ArtifactPath, BadPath, MediaType};
use crate::inventory::{Host, Inventory};

use super::answer::answer;
use super::find::{Found, find_in};
use super::journal::now;
use super::refusal::Refusal;
use super::state::ServerState;
use super::target::{Place, Target};

const FOLDER: &str = "/pxe/ipxe";
const UNKNOWN: &str = "unknown";

/// A request below `/pxe/ipxe`.
#[derive(Debug)]
pub enum Asked {
    /// For a file, by its path.
    File(Target),
    /// For what the machine boots.
    Script(ScriptRequest),
}

#[derive(Debug)]
pub struct ScriptRequest {
    machine: Machine,
    /// `/pxe/ipxe/NAME.ipxe`, if it is one: perhaps a script of the user's own.
    target: Target,
}

impl<S: Send + Sync> FromRequestParts<S> for Asked {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let (path, query) = (parts.uri.path(), parts.uri.query());
        let file = path.strip_prefix(FOLDER).unwrap_or_default().trim_start_matches('/');
        let is_pinned = query.is_some_and(|query| query.split('&').any(|field| field.starts_with("sha256=")));
        let name = match file.strip_suffix(".ipxe") {
            _ if is_pinned => return Ok(Asked::File(Target::from_request_parts(parts, state).await?)),
            Some(name) => Some(name).filter(|name| *name != UNKNOWN),
            None if file.is_empty() && query.is_some() => None,
            None => return Ok(Asked::File(Target::from_request_parts(parts, state).await?)),
        };
        let machine = Machine::parse(name, query);
        // A path that is none names no file; the machine may say who it is even so.
        let place = format!("pxe/ipxe/{file}").parse().map_or(Place::Root, Place::Path);
        Ok(Asked::Script(ScriptRequest { machine, target: Target::at(place, parts)? }))
    }
}

pub async fn script(state: &ServerState, request: ScriptRequest) -> Response {
    match chosen(state, request).await {
        Ok(response) => response,
        Err(lines) => said(&lines),
    }
}

/// `/pxe/boot.ipxe`, or why there is none.
pub fn or_said(answered: Result<Response, Refusal>) -> Result<Response, Refusal> {
    match answered {
        Err(refusal @ (Refusal::NotReady(_) | Refusal::Ours(_))) => Ok(said(&[refusal.to_string()])),
        other => other,
    }
}

async fn chosen(state: &ServerState, request: ScriptRequest) -> Result<Response, Vec<String>> {
    let ScriptRequest { machine, mut target } = request;
    let one = |refusal: Refusal| vec![refusal.to_string()];
    let status = state.status();
    let served = status.served().map_err(one)?;
    let generation = &served.generation;
    let is_boot = is_boot(&target);
    // Who is to be installed may just have been given another disk, and who is unknown, a name.
    let is_mended = |what: &str| match &status.failure {
        None => Ok(()),
        Some(failure) => Err(vec![format!("{what} until the inventory is mended:"), failure.reason.clone()]),
    };
    let mut booting = None;
    let path = match identify(&generation.inventory, &machine) {
        Identity::Host(host) => {
            let decision = decided(state, &generation.inventory, host, is_boot).await;
            if matches!(decision.boots, Choice::Install(_)) {
                is_mended(&format!("{} is not installed", host.name))?;
            }
            let path = script_path(host, &decision.boots);
            booting = Some((host, decision));
            path
        }
        Identity::Unknown => match &target.place {
            // A script that somebody declared in artifacts.yaml.
            Place::Path(path) if generation.catalogue.get(path.as_str()).is_some() => path.to_string(),
            _ => {
                see_stranger(state, &machine, &target, Vec::new());
                is_mended("this machine is no host of what is served")?;
                format!("pxe/ipxe/{UNKNOWN}.ipxe")
            }
        },
        Identity::Conflict(conflict) => {
            let reasons = conflict.reasons();
            see_stranger(state, &machine, &target, reasons.clone());
            let mut lines = vec!["this machine is two hosts of the inventory:".to_owned()];
            lines.extend(reasons);
            lines.push("mend hosts: in the inventory; nothing is installed until then".to_owned());
            return Err(lines);
        }
    };
    let path: ArtifactPath = path.parse().map_err(|bad: BadPath| vec![bad.to_string()])?;
    target.place = Place::Path(path.clone());
    let Found::Artifact(script) = find_in(state, status, &target).await.map_err(one)? else {
        return Err(vec![format!("{path} is no rendered file")]);
    };
    // What was not found was given to nobody.
    if let Some((host, decision)) = booting {
        if is_boot {
            tracing::info!(host = host.name.as_str(), boots = %decision.boots, why = decision.why, "boots");
            state.chronicle.note_of(host, Event::Script { boots: decision.boots });
        }
        if decision.is_held {
            return Ok(spoken(console_then_disk(&[format!("{}: {}", host.name, decision.why)])));
        }
    }
    Ok(not_kept(answer(script, &HeaderMap::new())))
}

async fn decided(state: &ServerState, inventory: &Inventory, host: &Host, is_boot: bool) -> Decision {
    if is_boot {
        let presumed = {
            let history = state.chronicle.history();
            let known = history.of(host.name.as_str());
            presumed_installed(inventory.fcos.install, known).map(str::to_owned)
        };
        // On the medium as a report is: else a power cut would send it to install again.
        if let Some(config) = presumed {
            let event = Event::PresumedInstalled { config };
            if let Err(error) = state.chronicle.record_of(host, event.clone()).await {
                tracing::error!(%error, host = host.name.as_str(), "cannot write the journal; a restart will not know of this");
                state.chronicle.note(&host.name, event);
            }
        }
    }
    decide(inventory, host, &state.chronicle.history(), now())
}

fn script_path(host: &Host, boots: &Choice) -> String {
    match boots {
        Choice::Install(config) => format!("pxe/ipxe/{config}/install.ipxe"),
        Choice::Live => format!("pxe/ipxe/{}/live.ipxe", host.name),
        Choice::Local => format!("pxe/ipxe/{}/local.ipxe", host.name),
    }
}

fn see_stranger(state: &ServerState, machine: &Machine, target: &Target, conflict: Vec<String>) {
    let Some(client) = target.caller.address().filter(|_| is_boot(target)) else { return };
    if state.strangers().see(machine, client, conflict.clone(), now()) {
        let conflict = Some(conflict.join(", ")).filter(|reasons| !reasons.is_empty());
        tracing::warn!(%client, conflict, "a machine that is no host of the inventory: it says {machine}");
    }
}

/// Somebody who looks with curl or a browser changes nothing.
fn is_boot(target: &Target) -> bool {
    let agent = target.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    let is_ipxe = agent.is_some_and(|agent| agent.starts_with("iPXE/"));
    is_ipxe && target.method == Method::GET && target.caller.address().is_some()
}

fn said(lines: &[String]) -> Response {
    let lines: Vec<String> = lines.iter().flat_map(|line| line.lines()).map(str::to_owned).collect();
    spoken(console(&lines))
}

/// A script that is made for one answer.
fn spoken(script: String) -> Response {
    let media_type = MediaType::of_path("boot.ipxe").as_str();
    not_kept(([(header::CONTENT_TYPE, media_type)], script).into_response())
}

/// The next boot may get another one.
fn not_kept(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
