//! iPXE scripts: the entry, what each host can be told (install, live, local), and under the host's name and its MACs
//! what it is told when nobody has armed it.

use minijinja::context;

use crate::catalogue::Audience;
use crate::inventory::{BootPolicy, Host};

use super::Kitchen;
use super::boots::Boot;
use super::context::Contexts;
use super::templates::Compiled;

pub fn render_ipxe(
    kitchen: &mut Kitchen<'_>,
    compiled: &Compiled<'_>,
    contexts: &Contexts<'_>,
    boots: &[Boot<'_>],
) {
    let base_url = &kitchen.site.inventory.router.base_url;
    for boot in boots {
        let ignition = format!("pxe/ignition/{}.ign", boot.name);
        // Without its Ignition the config has a finding already.
        let Some(artifact) = kitchen.catalogue.get(&ignition) else { continue };
        let audience = Audience::host(&boot.host.name);
        let context = context! {
            ignition_url => format!("{base_url}/{ignition}?sha256={}", artifact.digest().sha256),
            ..contexts.boot(boot)
        };
        let path = format!("pxe/ipxe/{}/install.ipxe", boot.name);
        kitchen.render(compiled, "ipxe/install.ipxe.j2", &path, &context, audience.clone());
        if boot.is_current {
            for script in ["live", "local"] {
                let path = format!("pxe/ipxe/{}/{script}.ipxe", boot.host.name);
                let template = format!("ipxe/{script}.ipxe.j2");
                kitchen.render(compiled, &template, &path, &context, audience.clone());
            }
            add_default(kitchen, boot);
        }
    }
    for (template, path) in
        [("ipxe/boot.ipxe.j2", "pxe/boot.ipxe"), ("ipxe/unknown.ipxe.j2", "pxe/ipxe/unknown.ipxe")]
    {
        kitchen.render(compiled, template, path, contexts.site(), Audience::Everyone);
    }
}

/// The script that a static server gives, which knows nothing of what was installed already.
fn add_default(kitchen: &mut Kitchen<'_>, boot: &Boot<'_>) {
    let Host { name, macs, boot: policy, .. } = boot.host;
    let path = match policy {
        BootPolicy::InstallOnce | BootPolicy::Install => format!("pxe/ipxe/{}/install.ipxe", boot.name),
        BootPolicy::Live => format!("pxe/ipxe/{name}/live.ipxe"),
        BootPolicy::Local => format!("pxe/ipxe/{name}/local.ipxe"),
    };
    let Some(script) = kitchen.catalogue.get(&path).cloned() else { return };
    kitchen.add(&format!("pxe/ipxe/{name}.ipxe"), script.clone());
    for mac in macs {
        // As iPXE's `${mac:hexhyp}` writes it.
        let mac = mac.to_string().replace(':', "-");
        kitchen.add(&format!("pxe/ipxe/{mac}.ipxe"), script.clone());
    }
}
