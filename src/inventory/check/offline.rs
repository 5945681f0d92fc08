//! k3s without the internet: a binary for each host's architecture, and the script that installs it.

use std::collections::BTreeMap;

use crate::inventory::model::{Host, Offline};
use crate::inventory::raw::{self, Binary};

use super::Checker;

/// None when nobody asked for it, or with an error in the report.
pub fn offline(raw: &raw::K3s, hosts: &[Host], checker: &Checker<'_>) -> Option<Offline> {
    let (binary, install_script) = match (&raw.binary, &raw.install_script) {
        (Some(binary), Some(script)) => (binary, script.clone()),
        (Some(binary), None) => {
            let help =
                "add `install_script: pxe/k3s/install.sh`, the text of https://get.k3s.io; it needs both";
            checker.push(binary.error("comes without k3s.install_script").help(help));
            return None;
        }
        (None, Some(script)) => {
            let help = "add `binary: pxe/k3s/k3s`, the file of k3s' release; it needs both";
            checker.push(script.error("comes without k3s.binary").help(help));
            return None;
        }
        (None, None) => return None,
    };
    let mut binaries = BTreeMap::new();
    for host in hosts {
        let found = match &binary.value {
            Binary::ByArch(paths) => paths.get(&host.arch),
            Binary::Only(path) if host.arch == hosts[0].arch => Some(path),
            Binary::Only(_) => None,
        };
        match found {
            Some(path) => drop(binaries.insert(host.arch, path.clone())),
            None => {
                let arch = host.arch.name();
                let help = "write one for each: `binary: {x86_64: pxe/k3s/k3s, aarch64: pxe/k3s/k3s-arm64}`";
                let message = format!("there is none for {}, which is {arch}", host.name);
                checker.push(binary.error(message).help(help));
                return None;
            }
        }
    }
    Some(Offline { install_script, binaries })
}
