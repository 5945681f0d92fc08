//! Templates of the user's that nothing asks for: a misspelt name must not quietly give a machine somebody else's file.

use std::collections::BTreeSet;

use crate::document::suggest;
use crate::report::{Finding, Report};

use super::boots::{Boot, own_templates};
use super::declared::Declaration;
use super::ipxe::own_script;
use super::templates::Templates;

/// What pxe-serve asks for by itself.
const FIXED: [&str; 11] = [
    "butane/install.bu.j2",
    "butane/node.bu.j2",
    "ipxe/boot.ipxe.j2",
    "ipxe/install.ipxe.j2",
    "ipxe/live.ipxe.j2",
    "ipxe/local.ipxe.j2",
    "ipxe/unknown.ipxe.j2",
    "pages/failover.html.j2",
    "router/dhcp.uci.j2",
    "router/dnsmasq.conf.j2",
    "router/firewall.uci.j2",
];

pub fn check(templates: &Templates, declarations: &[Declaration], boots: &[Boot<'_>], report: &mut Report) {
    let special = boots.iter().flat_map(|boot| {
        let own = own_templates(boot, "butane", "bu").into_iter().chain(own_templates(boot, "ipxe", "ipxe"));
        own.chain(["live", "local"].map(|script| own_script(boot, script)))
    });
    let special: BTreeSet<String> = special.collect();
    let declared = declarations.iter().map(|declaration| declaration.template.value.as_str());
    let asked: BTreeSet<&str> =
        FIXED.into_iter().chain(special.iter().map(String::as_str)).chain(declared).collect();
    for (name, source) in &templates.sources {
        if source.built_in || asked.contains(name.as_str()) || is_included(name, templates) {
            continue;
        }
        let known: Vec<&str> = asked.iter().copied().collect();
        let help = suggest(name, &known).unwrap_or_else(|| {
            "add an entry for it to artifacts.yaml; in butane/ or ipxe/ it needs the name of a host or of an Ignition config"
                .into()
        });
        report.push(Finding::warning(&source.file, "nothing is made from this template").help(help));
    }
}

/// `include`, `import` and `extends` name it in quotes.
fn is_included(name: &str, templates: &Templates) -> bool {
    let quoted = [format!("\"{name}\""), format!("'{name}'")];
    templates.sources.values().any(|source| quoted.iter().any(|quoted| source.text.contains(quoted)))
}
