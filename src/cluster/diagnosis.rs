//! What a look at the living cluster says about it, against the inventory.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::catalogue::Sha256;
use crate::ids::{DnsName, Invalid};
use crate::inventory::Inventory;
use crate::report::Severity;

use super::certificate::UnixSeconds;
use super::choice::Via;
use super::failure::Failure;
use super::kubelet::{KubeletLook, kubelet};
use super::shown::{self, Holder, Shown, holder, subject};
use super::verdict::Verdict;

/// What one address answered.
#[derive(Debug, Clone)]
pub struct ApiLook {
    pub shown: Shown,
    /// The status of `/readyz` without credentials, as the health check asks for it.
    pub ready: Result<u16, Failure>,
    /// Its clock less ours, in seconds.
    pub clock_off: Option<i64>,
    /// `gitVersion` of `/version`, asked with the client certificate; `None` without a kubeconfig.
    pub version: Option<Result<String, Failure>>,
}

/// A name, the addresses that it should have, and those it has.
#[derive(Debug, Clone)]
pub struct NameLook {
    pub name: DnsName,
    pub expected: Vec<IpAddr>,
    pub found: Result<Vec<IpAddr>, Failure>,
}

/// What the router serves, by path, and what this inventory gives; `None` where that cannot be rendered here.
#[derive(Debug, Clone)]
pub struct RouterLook {
    pub url: String,
    pub served: Result<BTreeMap<String, Sha256>, Failure>,
    pub rendered: Option<BTreeMap<String, Sha256>>,
}

#[derive(Debug, Clone)]
pub struct Observed {
    pub now: UnixSeconds,
    /// What [`super::Access::check_dates`] says of the kubeconfig; `None` without one.
    pub dates: Option<Result<Option<Invalid>, Invalid>>,
    /// The VIPs and every server.
    pub apis: Vec<ApiLook>,
    /// Every server's.
    pub kubelets: Vec<KubeletLook>,
    pub names: Vec<NameLook>,
    pub router: RouterLook,
    /// As `/proc/net/arp`, after the VIPs were asked.
    pub neighbours: String,
}

pub fn diagnose(inventory: &Inventory, observed: &Observed) -> Vec<Verdict> {
    let shown: Vec<Shown> = observed.apis.iter().map(|look| look.shown.clone()).collect();
    let mut verdicts = Vec::new();
    for vip in &inventory.vips.control_planes {
        verdicts.push(held(*vip, holder(inventory, *vip, &shown, &observed.neighbours), &shown));
    }
    for look in &observed.apis {
        verdicts.extend(shown::verdicts(inventory, &look.shown, observed.now));
        if look.shown.certificate.is_ok() {
            verdicts.push(ready(inventory, look));
        }
        verdicts.extend(version(inventory, look));
    }
    if observed.apis.iter().all(|look| look.version.is_none()) {
        let help = "give a kubeconfig with --kubeconfig: k3s answers /version to nobody else";
        let version = inventory.k3s.version;
        verdicts.push(Verdict::wrong(
            Severity::Note,
            "version",
            version,
            "the servers were not asked for it",
            help,
        ));
    }
    verdicts.extend(observed.kubelets.iter().map(|look| kubelet(look, observed.now)));
    verdicts.extend(observed.dates.as_ref().map(dates));
    verdicts.extend(clocks(&observed.apis));
    verdicts.extend(observed.names.iter().map(name));
    verdicts.extend(router(&observed.router));
    verdicts
}

fn held(vip: IpAddr, holder: Holder, shown: &[Shown]) -> Verdict {
    let wrong = |severity, message: String, help: &str| Verdict::wrong(severity, "vip", vip, message, help);
    let at_vip = shown.iter().find(|shown| shown.via == Via::Vip && shown.address == vip);
    if let Some(Err(failure)) = at_vip.map(|shown| &shown.certificate) {
        let help = "look at `journalctl -u keepalived` on the servers; `pxe-serve kubeconfig` gives a way in meanwhile";
        return wrong(Severity::Error, format!("nobody answers for it as the API: {failure}"), help);
    }
    match holder {
        Holder::Mac { host } => {
            let message = format!(
                "held by {host}, whose MAC answers; a second holder would show only as a MAC that changes"
            );
            Verdict::fine("vip", vip, message)
        }
        Holder::Certificate { host } => {
            Verdict::fine("vip", vip, format!("held by {host}, which alone shows that certificate"))
        }
        Holder::Stranger { mac } => wrong(
            Severity::Error,
            format!("{mac} answers for it, which is no host's MAC in the inventory"),
            "find that machine: it has the VIP's address, or the inventory has another MAC for the interface",
        ),
        Holder::NoServer => wrong(
            Severity::Error,
            "it shows a certificate that no server of the inventory shows".into(),
            "another machine has the VIP's address: look for it with `arping`, and at virtual_router_id of other clusters",
        ),
        Holder::Unknown { why } => wrong(
            Severity::Note,
            format!("it answers; who holds it cannot be said: {why}"),
            "look from a machine on the servers' network, or at `ip address` on each server",
        ),
    }
}

/// Whether the answer to the health check's question is one that the rendered check takes for healthy.
fn ready(inventory: &Inventory, look: &ApiLook) -> Verdict {
    let subject = subject(&look.shown.via, look.shown.address);
    let strict = inventory.k3s.version.has_authentication_config();
    let wrong =
        |message: String, help: &str| Verdict::wrong(Severity::Error, "readyz", &subject, message, help);
    match &look.ready {
        Ok(200) => Verdict::fine("readyz", subject, "ready; the health check takes that for healthy"),
        Ok(401) if !strict => Verdict::fine(
            "readyz",
            subject,
            "401 without credentials, which the check for this k3s takes for healthy; it says no more than that the server answers",
        ),
        Ok(401) => wrong(
            "401 without credentials, but the health check wants 200: keepalived takes this server for sick"
                .into(),
            "the server lacks authentication-config.yaml or runs an older k3s: install it anew, or bring /etc/rancher/k3s to what `pxe-serve show` prints, and restart k3s",
        ),
        Ok(status) => wrong(
            format!("{status}: the server itself says that it is not ready"),
            "`kubectl get --raw '/readyz?verbose'` at this server says which check fails; look at `journalctl -u k3s`",
        ),
        Err(failure) => wrong(failure.to_string(), failure.remedy()),
    }
}

fn version(inventory: &Inventory, look: &ApiLook) -> Option<Verdict> {
    let subject = subject(&look.shown.via, look.shown.address);
    let expected = inventory.k3s.version.to_string();
    Some(match look.version.as_ref()? {
        Ok(version) if *version == expected => Verdict::fine("version", subject, format!("runs {version}")),
        Ok(version) => Verdict::wrong(
            Severity::Warning,
            "version",
            subject,
            format!("runs {version}, the inventory says {expected}"),
            "set k3s.version to what runs, so that a node that is installed anew fits in; or upgrade the servers, one after the other",
        ),
        // Said already where nothing answers at all.
        Err(_) if look.shown.certificate.is_err() => return None,
        Err(failure) => Verdict::wrong(
            Severity::Error,
            "access",
            subject,
            format!("refuses the kubeconfig: {failure}"),
            failure.remedy(),
        ),
    })
}

fn dates(checked: &Result<Option<Invalid>, Invalid>) -> Verdict {
    let wrong = |severity, why: &Invalid| {
        Verdict::wrong(severity, "access", "the kubeconfig", why.message.as_str(), why.help.as_str())
    };
    match checked {
        Ok(None) => Verdict::fine("access", "the kubeconfig", "its certificates are valid"),
        Ok(Some(soon)) => wrong(Severity::Warning, soon),
        Err(expired) => wrong(Severity::Error, expired),
    }
}

/// etcd warns of members that are a second apart; the `Date` of an answer adds one more.
const CLOCKS_APART_SECONDS: i64 = 2;

fn clocks(apis: &[ApiLook]) -> Option<Verdict> {
    let servers = apis.iter().filter_map(|look| match &look.shown.via {
        Via::Server(name) => Some((name, look.clock_off?)),
        Via::Vip => None,
    });
    let off: Vec<_> = servers.collect();
    let (first, last) = (off.iter().map(|(_, off)| *off).min()?, off.iter().map(|(_, off)| *off).max()?);
    Some(if last - first > CLOCKS_APART_SECONDS {
        let each: Vec<String> = off.iter().map(|(name, off)| format!("{name} {off:+} s")).collect();
        let message = format!("they differ by {} s: {} from this machine's", last - first, each.join(", "));
        let help = "look at `chronyc tracking` on the servers: etcd and certificates want equal clocks";
        Verdict::wrong(Severity::Warning, "clock", "the servers' clocks", message, help)
    } else if first.abs().min(last.abs()) > CLOCKS_APART_SECONDS {
        let message = format!("the servers agree with each other, and are {first:+} s from it");
        Verdict::wrong(
            Severity::Warning,
            "clock",
            "this machine's clock",
            message,
            "set this machine's clock, by NTP",
        )
    } else {
        Verdict::fine("clock", "the servers' clocks", "agree with this machine's")
    })
}

fn name(look: &NameLook) -> Verdict {
    let NameLook { name, expected, found } = look;
    let listed =
        |addresses: &[IpAddr]| addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let help = format!("let the DNS server that this machine asks answer {} for {name}", listed(expected));
    match found {
        Ok(found) if !found.is_empty() && found.iter().all(|address| expected.contains(address)) => {
            Verdict::fine("dns", name, listed(found))
        }
        Ok(found) => {
            let message = format!("resolves to {}, the inventory says {}", listed(found), listed(expected));
            Verdict::wrong(Severity::Error, "dns", name, message, help)
        }
        Err(failure) => Verdict::wrong(Severity::Warning, "dns", name, failure.to_string(), help),
    }
}

/// So many paths are named; nobody reads more.
const PATHS_NAMED: usize = 3;

fn router(look: &RouterLook) -> Vec<Verdict> {
    let served = match &look.served {
        Ok(served) => served,
        Err(failure) => {
            let help = "start `pxe-serve serve` there, or copy what `pxe-serve render` writes to the router's document root; without it nothing can be installed";
            let message = format!("does not give the list of its files: {failure}");
            return vec![Verdict::wrong(Severity::Error, "router", &look.url, message, help)];
        }
    };
    let Some(rendered) = &look.rendered else {
        let message =
            format!("answers with {} files; whether they are current cannot be said here", served.len());
        let help = "run it where the inventory can be rendered: with its secrets and templates";
        return vec![Verdict::wrong(Severity::Note, "router", &look.url, message, help)];
    };
    let differ: Vec<&String> = rendered
        .iter()
        .filter(|(path, digest)| served.get(*path) != Some(digest))
        .map(|(path, _)| path)
        .collect();
    let gone = served.keys().filter(|path| !rendered.contains_key(*path));
    let differ: Vec<&String> = differ.into_iter().chain(gone).collect();
    if differ.is_empty() {
        return vec![Verdict::fine(
            "router",
            &look.url,
            format!("serves this generation, {} files", served.len()),
        )];
    }
    let named: Vec<&str> = differ.iter().take(PATHS_NAMED).map(|path| path.as_str()).collect();
    let more = if differ.len() > PATHS_NAMED { " …" } else { "" };
    let message =
        format!("serves another generation: {} files differ, {}{more}", differ.len(), named.join(", "));
    let help = "a `pxe-serve serve` follows the inventory that it was given: is it this one? Else render and copy anew";
    vec![Verdict::wrong(Severity::Warning, "router", &look.url, message, help)]
}
