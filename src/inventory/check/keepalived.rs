//! Rules about keepalived: ids that collide, images that lack what the check needs, timers out of proportion.

use crate::document::At;
use crate::ids::{ImageReference, VirtualRouterId};
use crate::inventory::model::{HealthCheck, InstallAs, Keepalived, RunOn, Transport};
use crate::inventory::raw;
use crate::report::Finding;

use super::Checker;

/// 2.0.20 has curl; see [`KNOWN_IMAGES`].
const DEFAULT_IMAGE: &str = "docker.io/osixia/keepalived:2.0.20";

/// Repository, beginning of the tag, and whether curl is in the image. The first match counts. Where an image keeps its
/// own configuration does not matter: the unit names ours. BusyBox's wget would not do: when the API hangs, the helper
/// that speaks TLS for it outlives every time limit.
const KNOWN_IMAGES: &[(&str, &str, bool)] = &[
    ("osixia/keepalived", "2.0.", true),
    // The rewrite of 2026 (keepalived 2.3.4) has removed it.
    ("osixia/keepalived", "", false),
];

/// The health check's usual timers, in seconds: a failure is noticed within interval × fall.
const INTERVAL_SECONDS: u32 = 2;
const TIMEOUT_SECONDS: u32 = 2;
const FALL: u32 = 2;
const RISE: u32 = 2;

pub fn check(raw: &raw::Inventory, servers: usize, checker: &Checker<'_>) {
    let keepalived = &raw.keepalived;
    check_router_ids(keepalived, checker);
    if servers > 0 && servers.is_multiple_of(2) {
        let message = format!("{servers} servers keep a quorum no better than {}", servers - 1);
        let help = "etcd needs more than half of its members: use 1, 3 or 5 control planes";
        checker.push(Finding::warning("hosts", message).help(help));
    }
    check_timers(keepalived, checker);
    check_families(raw, checker);
    check_image(keepalived, checker);
    check_hmac(keepalived, checker);
}

fn check_router_ids(keepalived: &raw::Keepalived, checker: &Checker<'_>) {
    let Some(id) = &keepalived.virtual_router_id else { return };
    if id.value == VirtualRouterId::EVERYBODYS {
        let help = "51 is in every example (keepalived, kubeadm, k3s); two groups with one id on a network break each other: choose another";
        checker.push(id.warning("51 is everybody's virtual router id").help(help));
    }
    if let Some(other) = keepalived.other_virtual_router_ids.iter().find(|other| other.value == id.value) {
        let message =
            format!("{} is used by another group on this network (line {})", id.value, other.place.line);
        let help = "two groups with one id take each other's adverts for their own; choose another";
        checker.push(id.error(message).help(help));
    }
}

fn check_timers(keepalived: &raw::Keepalived, checker: &Checker<'_>) {
    let value =
        |written: &Option<At<u32>>, usual: u32| written.as_ref().map_or(usual, |written| written.value);
    let interval = value(&keepalived.interval, INTERVAL_SECONDS);
    let timeout = value(&keepalived.timeout, TIMEOUT_SECONDS);
    let fall = value(&keepalived.fall, FALL);
    // Usual values give no warning, so one of those in question is written.
    let warn = |written: [&Option<At<u32>>; 2], message: String, help: &str| {
        if let Some(written) = written.into_iter().flatten().next() {
            checker.push(written.warning(message).help(help));
        }
    };
    if timeout > interval {
        let message = format!("a check may take {timeout} s and is made every {interval} s");
        let help = "choose a timeout of at most the interval: keepalived waits for a check that runs, and a hang is noticed late";
        warn([&keepalived.timeout, &keepalived.interval], message, help);
    }
    if interval * fall > 10 {
        let message =
            format!("a dead API server is noticed only after {interval} s × {fall} = {} s", interval * fall);
        let help = "choose an interval and a fall whose product is at most 10 s";
        warn([&keepalived.interval, &keepalived.fall], message, help);
    }
    if value(&keepalived.rise, RISE) == 1 && keepalived.preempt_delay.is_some() {
        let help = "choose rise 2 or more: with preemption, a server that answers once now and then makes the address flap";
        warn([&keepalived.rise, &None], "one good answer takes the address back".to_owned(), help);
    }
    if fall == 1 {
        let help = "choose fall 2 or more: a single slow answer of a busy etcd would move the address";
        warn([&keepalived.fall, &None], "one bad answer gives the address away".to_owned(), help);
    }
    if let Some(advert_int) = keepalived.advert_int.as_ref().filter(|advert_int| advert_int.value > 3) {
        let message = format!("a dead host is noticed only after 3 × {} s", advert_int.value);
        checker.push(advert_int.warning(message).help("1 s is usual, and costs one small packet a second"));
    }
}

/// With unicast, every control plane needs an address of each VIP's family.
fn check_families(raw: &raw::Inventory, checker: &Checker<'_>) {
    if raw.keepalived.transport.as_ref().is_none_or(|transport| transport.value == Transport::Multicast) {
        return;
    }
    for vip in &raw.vips.control_planes {
        for host in &raw.hosts {
            let has_family =
                host.addresses.iter().any(|address| address.value.is_ipv4() == vip.value.is_ipv4());
            if !has_family
                && host.settings.role.as_ref().is_none_or(|role| role.value == raw::RoleWord::ControlPlane)
            {
                let message = format!("has no address of the family of the VIP {}", vip.value);
                let help = "unicast adverts of a VIP travel in its family: give the host a second address, or use multicast";
                checker.push(host.name.error(message).help(help));
            }
        }
    }
}

fn check_image(keepalived: &raw::Keepalived, checker: &Checker<'_>) {
    let Some(image) = &keepalived.image else { return };
    if !image.value.is_pinned_by_digest() && keepalived.image_archive.is_none() {
        let help = "pin it: `skopeo inspect docker://IMAGE` prints the digest, write IMAGE@sha256:…";
        checker.push(image.note("a tag can be moved to other contents").help(help));
    }
    if keepalived.run_on.as_ref().is_some_and(|run_on| run_on.value == RunOn::Host) {
        return;
    }
    match keepalived.image_has_curl.as_ref().map(|has| has.value).or_else(|| has_curl(&image.value)) {
        Some(true) => {}
        Some(false) => {
            let help = "write `health_check: {run_on: host}`, or take an image with curl, such as docker.io/osixia/keepalived:2.0.20";
            checker.push(
                image
                    .error("there is no curl in the image, so the health check in it never succeeds")
                    .help(help),
            );
        }
        None => {
            let help = "look (`podman run --rm --entrypoint which IMAGE curl`) and write `image_has_curl: true`, or `health_check: {run_on: host}`";
            checker.push(image.warning("whether there is curl in this image is not known").help(help));
        }
    }
}

/// `auth_hmac` came with keepalived 2.4; older ones refuse the word and do not start.
fn check_hmac(keepalived: &raw::Keepalived, checker: &Checker<'_>) {
    let Some(hmac) = &keepalived.auth_hmac else { return };
    if let Some(auth_pass) = &keepalived.auth_pass {
        let message = format!("there is a password as well (line {})", auth_pass.place.line);
        checker
            .push(hmac.error(message).help("keep one of auth_pass and auth_hmac; keepalived takes only one"));
    }
    match &keepalived.image {
        // All that are known are older.
        Some(image) if has_curl(&image.value).is_none() => {
            let help = "look: `podman run --rm --entrypoint keepalived IMAGE --version`";
            checker.push(hmac.note("the image needs keepalived 2.4 or later").help(help));
        }
        _ => {
            let help = "name an image with keepalived 2.4 or later in `image`, or use auth_pass";
            checker.push(
                hmac.error("the image's keepalived is older than 2.4 and does not know auth_hmac").help(help),
            );
        }
    }
}

fn has_curl(image: &ImageReference) -> Option<bool> {
    let (repository, tag) = image.repository_and_tag();
    let known = KNOWN_IMAGES.iter().find(|(name, tag_begins, _)| {
        repository.ends_with(name) && tag.is_some_and(|tag| tag.starts_with(tag_begins))
    });
    known.map(|(_, _, has_curl)| *has_curl)
}

pub fn build(raw: raw::Keepalived) -> Option<Keepalived> {
    Some(Keepalived {
        virtual_router_id: raw.virtual_router_id?.value,
        advert_int_seconds: raw.advert_int.map_or(1, |seconds| seconds.value),
        preempt_delay_seconds: raw.preempt_delay.map(|seconds| seconds.value),
        auth_pass: raw.auth_pass,
        auth_hmac: raw.auth_hmac,
        transport: raw.transport.map_or(Transport::Multicast, |transport| transport.value),
        image: match raw.image {
            Some(image) => image.value,
            None => DEFAULT_IMAGE.parse().ok()?,
        },
        image_archive: raw.image_archive,
        install: raw.install.map_or(InstallAs::Service, |install| install.value),
        health_check: HealthCheck {
            run_on: raw.run_on.map_or(RunOn::Container, |run_on| run_on.value),
            interval_seconds: raw.interval.map_or(INTERVAL_SECONDS, |number| number.value),
            timeout_seconds: raw.timeout.map_or(TIMEOUT_SECONDS, |number| number.value),
            fall: raw.fall.map_or(FALL, |number| number.value),
            rise: raw.rise.map_or(RISE, |number| number.value),
        },
    })
}
