//! Mistakes in the Ignition config that came out, reported where their cause was written.
//!
//! These are Ignition's own rules, at the version the config is for; most are younger than the oldest version and
//! apply to all of them. First duplicates, then each record by itself, parents first.

use std::collections::BTreeSet;

use super::{url, walk};
use crate::butane::findings::Findings;
use crate::butane::record::{Node, Record, Value};
use crate::butane::schema::{Kind, Minor, Side, Type};
use crate::butane::spec::Spec;

pub struct Checker<'c, 'a> {
    pub minor: Minor,
    pub findings: &'c mut Findings<'a>,
}

/// What the variant has no use for.
pub fn forbidden(config: &Record, spec: &Spec, findings: &mut Findings<'_>) {
    for (path, message) in spec.forbidden() {
        let Some((field, parents)) = path.split_last() else { continue };
        let section = parents.iter().try_fold(config, |record, parent| record.record(parent));
        let Some(node) = section.and_then(|section| section.get(field)) else { continue };
        let is_empty = match &node.value {
            Value::Record(record) => record.is_empty(),
            Value::List(items) => items.is_empty(),
            _ => false,
        };
        if !is_empty {
            findings.error(node.origin, *message);
        }
    }
    let Some((field, message)) = spec.forbidden_in_luks() else { return };
    for luks in config.record("storage").iter().flat_map(|storage| storage.records("luks")) {
        if luks.record(field).is_some_and(|record| !record.is_empty()) {
            findings.field_error(luks, field, message);
        }
    }
}

pub fn check(config: &Record, minor: Minor, findings: &mut Findings<'_>) {
    let mut checker = Checker { minor, findings };
    walk(config, &mut |record| checker.duplicates(record));
    walk(config, &mut |record| checker.record(record));
}

impl Checker<'_, '_> {
    /// Entries of the same key, in one list or in lists that share their keys.
    fn duplicates(&mut self, record: &Record) {
        let shares = |name: &str| record.shape.namespace.contains(&name);
        let mut shared = BTreeSet::new();
        for field in record.shape.fields {
            if field.side == Side::Butane || field.free || !matches!(field.ty, Type::List(_)) {
                continue;
            }
            let mut own = BTreeSet::new();
            let seen = if shares(field.yaml) { &mut shared } else { &mut own };
            for node in record.list(field.yaml) {
                if node.key().is_some_and(|key| !seen.insert(key)) {
                    self.findings.error(node.origin, "duplicate entry defined");
                }
            }
        }
    }

    fn record(&mut self, record: &Record) {
        match record.shape.kind {
            Kind::Config => self.systemd_paths(record),
            Kind::IgnitionConfig => self.sources_required(record, "merge"),
            Kind::Tls => self.sources_required(record, "certificate_authorities"),
            Kind::Proxy => self.proxy(record),
            Kind::Reference | Kind::Contents => self.resource(record),
            Kind::Header => self.header(record),
            Kind::Storage => self.storage(record),
            Kind::Directory => self.node(record, true),
            Kind::File => self.file(record),
            Kind::Link => self.link(record),
            Kind::Owner => self.owner(record),
            Kind::Disk => self.disk(record),
            Kind::Partition => self.partition(record),
            Kind::Filesystem => self.filesystem(record),
            Kind::Luks => self.luks(record),
            Kind::Clevis => self.clevis(record),
            Kind::Custom => self.custom(record),
            Kind::Tang => self.tang(record),
            Kind::Raid => self.raid(record),
            Kind::Systemd => self.instances(record),
            Kind::Unit => self.unit(record),
            Kind::Dropin => self.dropin(record),
            _ => {}
        }
    }

    /// systemd's units are written by name, and a file at the same path would race with them.
    fn systemd_paths(&mut self, config: &Record) {
        let mut units = BTreeSet::new();
        for unit in config.record("systemd").iter().flat_map(|systemd| systemd.records("units")) {
            let path = format!("/etc/systemd/system/{}", unit.text_or_empty("name"));
            for dropin in unit.records("dropins").filter(|dropin| dropin.filled("contents").is_some()) {
                units.insert(format!("{path}.d/{}", dropin.text_or_empty("name")));
            }
            if unit.filled("contents").is_some() {
                units.insert(path);
            }
        }
        let Some(storage) = config.record("storage").filter(|_| !units.is_empty()) else { return };
        for node in storage.shape.namespace.iter().flat_map(|list| storage.records(list)) {
            if units.contains(node.text_or_empty("path")) {
                self.findings.field_error(node, "path", "path conflicts with systemd unit or dropin");
            }
        }
    }

    /// From 3.1 on, an entry without a source is an error of the entry, and a bad source counts twice. In 3.0 a certificate
    /// authority's source was no option and so was always looked at.
    fn sources_required(&mut self, record: &Record, list: &str) {
        for reference in record.records(list) {
            let source = reference.filled("source");
            match source.map(|source| url::check(source, self.minor)) {
                None if self.minor > 0 => self.findings.error(reference.origin, "source is required"),
                None if record.shape.kind == Kind::Tls => {
                    self.findings.field_error(reference, "source", url::INVALID_SCHEME);
                }
                Some(Err(problem)) if self.minor > 0 => self.findings.error(reference.origin, problem),
                _ => {}
            }
        }
    }

    fn proxy(&mut self, proxy: &Record) {
        for field in ["http_proxy", "https_proxy"] {
            let Some(address) = proxy.text(field) else { continue };
            match url::scheme(address).as_deref() {
                Ok("https") => {}
                Ok("http") if field == "http_proxy" => {}
                Ok("http") => {
                    let message = "insecure plaintext HTTP proxy specified for HTTPS resources";
                    self.findings.field_warning(proxy, field, message);
                }
                Ok(_) => self.findings.field_error(proxy, field, "proxies must be http(s)"),
                Err(problem) => self.findings.field_error(proxy, field, *problem),
            }
        }
    }

    fn resource(&mut self, resource: &Record) {
        if !matches!(resource.filled("compression"), None | Some("gzip")) {
            self.findings.field_error(resource, "compression", "invalid compression method");
        }
        if let Some(verification) = resource.record("verification")
            && let Some(hash) = verification.text("hash")
        {
            // In 3.0, references had this check only by way of requiring the source.
            let may_lack_source = self.minor == 0 && resource.shape.kind == Kind::Reference;
            if !resource.has("source") && !may_lack_source {
                let message = "source must be specified if verification is specified";
                self.findings.field_error(verification, "hash", message);
            }
            if let Some(problem) = hash_problem(hash, self.minor) {
                self.findings.field_error(verification, "hash", problem);
            }
        }
        let source = resource.text_or_empty("source");
        if !source.is_empty()
            && let Err(problem) = url::check(source, self.minor)
        {
            self.findings.field_error(resource, "source", problem);
        }
        if !resource.list("http_headers").is_empty() {
            match url::is_http(source) {
                _ if source.is_empty() => self.findings.field_error(resource, "http_headers", url::INVALID),
                Ok(true) => {}
                Ok(false) => {
                    let message = "cannot use HTTP headers with this source scheme";
                    self.findings.field_error(resource, "http_headers", message);
                }
                Err(problem) => self.findings.field_error(resource, "http_headers", problem),
            }
        }
    }

    fn header(&mut self, header: &Record) {
        if header.filled("name").is_none() {
            self.findings.field_error(header, "name", "HTTP header name can't be empty");
        }
        // No value removes a header of Ignition's own; an empty one is neither.
        if header.text("value") == Some("") {
            self.findings.field_error(header, "value", "unable to parse HTTP header");
        }
    }

    fn owner(&mut self, owner: &Record) {
        if owner.has("id") && owner.filled("name").is_some() {
            self.findings.error(owner.origin, "cannot set both id and name");
        }
    }
}

/// What is wrong with an absolute path.
pub fn path_problem(path: &str) -> Option<&'static str> {
    if path.is_empty() {
        return Some("path not specified");
    }
    let Some(rest) = path.strip_prefix('/') else { return Some("path not absolute") };
    let clean = rest.is_empty() || rest.split('/').all(|part| !matches!(part, "" | "." | ".."));
    (!clean).then_some("path is not fully simplified")
}

fn hash_problem(hash: &str, minor: Minor) -> Option<&'static str> {
    let Some((function, sum)) = hash.split_once('-') else { return Some("malformed hash specifier") };
    let length = match function {
        "sha512" => 128,
        "sha256" if minor >= 1 => 64,
        _ => return Some("unrecognized hash function"),
    };
    (sum.len() != length).then_some("incorrect size for hash sum")
}

impl Checker<'_, '_> {
    pub(super) fn absolute(&mut self, record: &Record, field: &str) {
        if let Some(problem) = path_problem(record.text_or_empty(field)) {
            self.findings.field_error(record, field, problem);
        }
    }

    pub(super) fn absolute_entries(&mut self, nodes: &[Node], texts: impl Iterator<Item = impl AsRef<str>>) {
        for (node, text) in nodes.iter().zip(texts) {
            if let Some(problem) = path_problem(text.as_ref()) {
                self.findings.error(node.origin, problem);
            }
        }
    }
}
