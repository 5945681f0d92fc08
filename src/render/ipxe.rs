//! iPXE scripts: the entry that finds the host, and for each host the one that installs it.

use minijinja::context;

use crate::catalogue::Audience;

use super::Kitchen;
use super::context::Contexts;
use super::templates::Compiled;

pub fn render_ipxe(kitchen: &mut Kitchen<'_>, compiled: &Compiled<'_>, contexts: &Contexts<'_>) {
    let site = kitchen.site;
    let base_url = &site.inventory.router.base_url;
    for host in &site.inventory.hosts {
        let ignition = format!("pxe/ignition/{}.ign", host.name);
        // Without its Ignition the host has a finding already.
        let Some(artifact) = kitchen.catalogue.get(&ignition) else { continue };
        let path = format!("pxe/ipxe/{}.ipxe", host.name);
        let context = context! {
            ignition_url => format!("{base_url}/{ignition}?sha256={}", artifact.digest().sha256),
            self_url => format!("{base_url}/{path}"),
            ..contexts.host(host)
        };
        kitchen.render(compiled, "ipxe/host.ipxe.j2", &path, &context, Audience::host(&host.name));
    }
    kitchen.render(compiled, "ipxe/boot.ipxe.j2", "pxe/boot.ipxe", contexts.site(), Audience::Everyone);
}
