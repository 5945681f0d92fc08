//! Files, filesystems, RAIDs and encrypted volumes, as Ignition wants them.

use std::collections::BTreeSet;

use super::generated::{Checker, path_problem};
use super::url;
use crate::butane::record::Record;

/// Longest label each `mkfs` takes, in bytes. `none` is a format since 3.3 and has no label of its own.
const FORMATS: [(&str, usize); 5] = [("ext4", 16), ("btrfs", 256), ("xfs", 12), ("swap", 15), ("vfat", 11)];

impl Checker<'_, '_> {
    /// What the lists have to say about each other.
    pub(super) fn storage(&mut self, storage: &Record) {
        let paths = |list| storage.records(list).map(|node| node.text_or_empty("path"));
        let directories: BTreeSet<&str> = paths("directories").collect();
        let links: BTreeSet<&str> = paths("links").collect();
        for (list, message) in [
            ("directories", "directory path includes link in config"),
            ("files", "file path includes link in config"),
            ("links", "link path includes link in config"),
        ] {
            for node in storage.records(list) {
                for _ in parents(node.text_or_empty("path")).filter(|parent| links.contains(parent)) {
                    self.findings.error(node.origin, message);
                }
            }
        }
        for link in storage.records("links").filter(|link| link.is_true("hard")) {
            if link.text("target").is_some_and(|target| directories.contains(target)) {
                self.findings.error(link.origin, "hard link target is a directory");
            }
            for owner in ["user", "group"] {
                let Some(owner) = link.record(owner) else { continue };
                for field in ["id", "name"] {
                    if owner.has("id") && field == "id" || owner.filled("name").is_some() && field == "name" {
                        self.findings.field_warning(owner, field, "user/group ignored for hard link");
                    }
                }
            }
        }
        self.filesystems_over_disks(storage);
    }

    fn filesystems_over_disks(&mut self, storage: &Record) {
        for filesystem in storage.records("filesystems") {
            let same = |disk: &&Record| disk.text("device") == filesystem.text("device");
            for disk in storage.records("disks").filter(same) {
                let message = if !disk.list("partitions").is_empty() {
                    "filesystem overwrites partitioned device"
                } else if disk.is_true("wipe_table") && !filesystem.is_true("wipe_filesystem") {
                    "device matches disk with wipeTable enabled; filesystem will be wiped"
                } else {
                    continue;
                };
                self.findings.field_warning(filesystem, "device", message);
            }
        }
    }

    pub(super) fn node(&mut self, node: &Record, has_mode: bool) {
        self.absolute(node, "path");
        let Some(mode) = node.int("mode").filter(|_| has_mode) else { return };
        if !(0..=0o7777).contains(&mode) {
            self.findings.field_error(node, "mode", "illegal file mode");
        }
        // Ignition dropped these bits until 3.6 (ignition#2042).
        if mode & 0o7000 != 0 && self.minor < 6 {
            let message =
                "setuid/setgid/sticky bits are not supported or functional in spec versions older than 3.6.0";
            self.findings.field_warning(node, "mode", message);
        }
    }

    pub(super) fn file(&mut self, file: &Record) {
        self.node(file, true);
        let has_source = file.record("contents").is_some_and(|contents| contents.has("source"));
        if file.is_true("overwrite") && !has_source {
            let message = "overwrite must be false if source is unspecified";
            self.findings.field_error(file, "overwrite", message);
        }
    }

    pub(super) fn link(&mut self, link: &Record) {
        self.absolute(link, "path");
        if self.minor >= 3 && link.filled("target").is_none() {
            self.findings.field_error(link, "target", "link target is required");
        }
    }

    pub(super) fn filesystem(&mut self, filesystem: &Record) {
        self.absolute(filesystem, "device");
        let format = filesystem.filled("format");
        let is_known = |format| FORMATS.iter().any(|(known, _)| *known == format);
        match format {
            Some("none") if self.minor >= 3 => {}
            Some(format) if !is_known(format) => {
                self.findings.field_error(filesystem, "format", "invalid filesystem format");
            }
            Some(_) => {}
            None if needs_format(filesystem) => {
                let message = "format cannot be empty when path, label, uuid, wipeFilesystem, options, or \
                               mountOptions is specified";
                self.findings.field_error(filesystem, "format", message);
            }
            None => {}
        }
        if let Some(problem) = filesystem.filled("path").and_then(path_problem) {
            self.findings.field_error(filesystem, "path", problem);
        }
        self.filesystem_label(filesystem, format);
    }

    fn filesystem_label(&mut self, filesystem: &Record, format: Option<&str>) {
        let Some(label) = filesystem.filled("label") else { return };
        let Some(format) = format else {
            let message = "filesystem must specify format if label is specified";
            return self.findings.field_error(filesystem, "label", message);
        };
        let limit = FORMATS.iter().find(|(known, _)| *known == format);
        if let Some((_, limit)) = limit.filter(|(_, limit)| label.len() > *limit) {
            let message =
                format!("filesystem labels cannot be longer than {limit} characters when using {format}");
            self.findings.field_error(filesystem, "label", message);
        }
    }

    pub(super) fn luks(&mut self, luks: &Record) {
        if luks.text_or_empty("name").contains('/') {
            self.findings.field_error(luks, "name", "device names cannot contain slashes");
        }
        if luks.text("label").is_some_and(|label| label.len() > 47) {
            let message = "luks device labels cannot be longer than 47 characters";
            self.findings.field_error(luks, "label", message);
        }
        self.required_device(luks);
        if let Some(cex) = luks.record("cex").filter(|cex| cex.is_true("enabled")) {
            if luks.record("clevis").is_some_and(|clevis| !clevis.is_empty()) {
                self.findings.error(cex.origin, "cannot use cex with clevis");
            }
            if luks.record("key_file").is_some_and(|key| key.filled("source").is_some()) {
                self.findings.error(cex.origin, "cannot use key file with cex");
            }
        }
        // The source's own mistake is told as well; this one names a field that does not exist.
        let source = luks.record("key_file").and_then(|key| key.filled("source"));
        if source.is_some_and(|source| url::check(source, self.minor).is_err()) {
            self.findings.missing(crate::report::Severity::Error, luks, "keys", "invalid key-file source");
        }
    }

    pub(super) fn clevis(&mut self, clevis: &Record) {
        let has_custom = clevis.record("custom").is_some_and(|custom| !is_unset(custom));
        let has_pins = clevis.is_true("tpm2")
            || !clevis.list("tang").is_empty()
            || clevis.int("threshold").is_some_and(|threshold| threshold != 0);
        if has_custom && has_pins {
            let message = "cannot use custom clevis config with tpm2, tang, or threshold";
            self.findings.error(clevis.origin, message);
        }
    }

    pub(super) fn custom(&mut self, custom: &Record) {
        if is_unset(custom) {
            return;
        }
        match custom.filled("pin") {
            None => self.findings.field_error(custom, "pin", "missing required custom clevis pin"),
            // From 3.6 on, whatever pin the image has a program for.
            Some(pin) if self.minor < 6 && !["tpm2", "tang", "sss"].contains(&pin) => {
                self.findings.field_error(custom, "pin", "unsupported clevis pin");
            }
            Some(_) => {}
        }
        if custom.filled("config").is_none() {
            self.findings.field_error(custom, "config", "missing required custom clevis config");
        }
    }

    pub(super) fn tang(&mut self, tang: &Record) {
        match url::is_http(tang.text_or_empty("url")) {
            Ok(true) => {}
            Ok(false) => self.findings.field_error(tang, "url", "invalid url scheme"),
            Err(problem) => self.findings.field_error(tang, "url", problem),
        }
        if tang.filled("thumbprint").is_none() {
            self.findings.field_error(tang, "thumbprint", "thumbprint is required");
        }
        let advertisement = tang.filled("advertisement");
        if advertisement.is_some_and(|text| serde_json::from_str::<serde::de::IgnoredAny>(text).is_err()) {
            self.findings.field_error(tang, "advertisement", "advertisement is not valid JSON");
        }
    }

    pub(super) fn raid(&mut self, raid: &Record) {
        // Without spares first; mdadm(8) and Ignition's aliases.
        const LEVELS: [&str; 15] = [
            "linear", "raid0", "0", "stripe", "raid1", "1", "mirror", "raid4", "4", "raid5", "5", "raid6",
            "6", "raid10", "10",
        ];
        let position = |level| LEVELS.iter().position(|known| *known == level);
        match raid.filled("level").map(position) {
            None if self.minor >= 3 => self.findings.field_error(raid, "level", "raid level is required"),
            None | Some(None) => self.findings.field_error(raid, "level", "unrecognized raid level"),
            Some(Some(..4)) if raid.int("spares").is_some_and(|spares| spares != 0) => {
                let message = "spares unsupported for linear and raid0 arrays";
                self.findings.field_error(raid, "level", message);
            }
            Some(Some(_)) => {}
        }
        if raid.list("devices").is_empty() {
            self.findings.field_error(raid, "devices", "raid devices required");
        }
        self.absolute_entries(raid.list("devices"), raid.texts("devices"));
    }
}

fn needs_format(filesystem: &Record) -> bool {
    ["path", "label", "uuid"].iter().any(|field| filesystem.filled(field).is_some())
        || filesystem.is_true("wipe_filesystem")
        || ["options", "mount_options"].iter().any(|field| !filesystem.list(field).is_empty())
}

fn is_unset(custom: &Record) -> bool {
    custom.filled("pin").is_none() && custom.filled("config").is_none() && !custom.is_true("needs_network")
}

/// `/a/b` and `/a` for `/a/b/c`.
fn parents(path: &str) -> impl Iterator<Item = &str> {
    path.char_indices().rev().filter(|(_, c)| *c == '/').map(|(at, _)| &path[..at])
}
