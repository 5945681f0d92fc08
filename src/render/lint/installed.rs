//! Files that are right in themselves, and installed so that they do not work.

use crate::catalogue::Catalogue;
use crate::render::expand::{Installed, InstalledFile};
use crate::report::{Finding, Report};

/// Where systemd looks for the units of an administrator, and podman for Quadlets.
const UNIT_FOLDER: &str = "/etc/systemd/system/";
const QUADLET_FOLDER: &str = "/etc/containers/systemd/";

pub fn check(catalogue: &Catalogue, installed: &Installed, report: &mut Report) {
    let mut files: Vec<&InstalledFile> = installed.values().flatten().collect();
    files.sort_by_key(|file| &file.source);
    files.dedup_by_key(|file| &file.source);
    for file in files {
        let artifact = catalogue.get(&file.source);
        if let Some(text) = artifact.and_then(|artifact| std::str::from_utf8(artifact.bytes()).ok()) {
            check_file(file, text, report);
        }
    }
}

fn check_file(file: &InstalledFile, text: &str, report: &mut Report) {
    let mut error = |message: String, help: &str| {
        report.push(Finding::error(&file.source, message).help(help));
    };
    if text.starts_with("#!") && file.mode & 0o111 == 0 {
        let message = format!("is a script, installed with mode {:04o}", file.mode);
        let help = "write mode 0755: keepalived silently drops a check script without the x bit, and never fails over";
        error(message, help);
    }
    let has_install = text.lines().any(|line| line.trim() == "[Install]");
    if file.enable && !has_install {
        let help = "add `[Install]` and `WantedBy=multi-user.target`: without it systemd enables nothing, and says nothing";
        error("is enabled, but has no [Install] section".into(), help);
    }
    if file.enable && !file.path.starts_with(UNIT_FOLDER) {
        let help = "install it below /etc/systemd/system/; what is elsewhere is no unit that can be enabled, and a Quadlet enables itself by its [Install] section";
        error(format!("is enabled, but {} is no place for a unit", file.path), help);
    }
    if file.path.starts_with(QUADLET_FOLDER) && file.path.ends_with(".container") && !has_install {
        let help = "add `[Install]` and `WantedBy=multi-user.target`, unless another unit starts it";
        let message = "is a Quadlet without an [Install] section, which nothing starts at boot";
        report.push(Finding::warning(&file.source, message).help(help));
    }
}
