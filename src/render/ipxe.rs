//! iPXE scripts: the entry, what each host can be told (install, live, local), and under the host's name and its MACs
//! what it is told when nobody has armed it.

use std::net::IpAddr;

use minijinja::context;

use crate::catalogue::Audience;
use crate::inventory::{BootPolicy, Host, InstallForm};

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
    let install_form = kitchen.site.inventory.fcos.install;
    for boot in boots {
        let url = |path: String| pinned_url(kitchen, &path);
        let (ignition, initrd) =
            (url(format!("pxe/ignition/{}.ign", boot.name)), url(format!("pxe/initrd/{}.img", boot.name)));
        let install_initrd = url(format!("pxe/initrd/install/{}.img", boot.name));
        // Without its Ignition, or the installer's, the config has a finding already.
        if ignition.is_none() || install_form == InstallForm::Verified && install_initrd.is_none() {
            continue;
        }
        let audience = Audience::host(&boot.host.name);
        let context = context! {
            ignition_url => ignition,
            initrd_url => initrd,
            install_initrd_url => install_initrd,
            live_arguments => live_arguments(boot.host),
            ..contexts.boot(boot)
        };
        let path = format!("pxe/ipxe/{}/install.ipxe", boot.name);
        let template = boot.template(compiled, "ipxe", "ipxe");
        let template = template.unwrap_or_else(|| "ipxe/install.ipxe.j2".to_owned());
        kitchen.render(compiled, &template, &path, &context, audience.clone());
        if boot.is_current {
            for script in ["live", "local"] {
                let path = format!("pxe/ipxe/{}/{script}.ipxe", boot.host.name);
                let own = own_script(boot, script);
                let template = if compiled.has(&own) { own } else { format!("ipxe/{script}.ipxe.j2") };
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

/// The user's own template for what a host is told when it is not installed.
pub fn own_script(boot: &Boot<'_>, script: &str) -> String {
    format!("ipxe/{}/{script}.ipxe.j2", boot.host.name)
}

/// The URL of an artifact, with the digest of the bytes it has now.
fn pinned_url(kitchen: &Kitchen<'_>, path: &str) -> Option<String> {
    let digest = kitchen.catalogue.get(path)?.digest().sha256;
    Some(format!("{}/{path}?sha256={digest}", kitchen.site.inventory.router.base_url))
}

/// What every live system is told, whether it installs or stays: how it gets its network, where it speaks to people,
/// and the host's own arguments. These Ignition demands in a live system (`kernel_arguments.should_exist`), where it
/// cannot add them.
fn live_arguments(host: &Host) -> String {
    let mut arguments = vec![network_arguments(host), "console=tty0", "console=ttyS0,115200n8"];
    arguments.extend(host.kernel_arguments.iter().map(|argument| argument.as_str()));
    arguments.join(" ")
}

/// What brings the network up in the initramfs (dracut.cmdline(7)), and on the first boot, for which the installer
/// keeps it. With IPv6 alone `ip=dhcp` waits for an IPv4 lease in vain; `auto6`, not `dhcp6`, since only router
/// advertisements bring a default route, and they say whether DHCPv6 is to be asked besides.
fn network_arguments(host: &Host) -> &'static str {
    if host.addresses.iter().any(IpAddr::is_ipv4) { "rd.neednet=1 ip=dhcp" } else { "rd.neednet=1 ip=auto6" }
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
