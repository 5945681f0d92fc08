//! A valid Butane config → the Ignition config it stands for, rewritten in place.
//!
//! Order matters, as each step merges what it generates under what is there already: contents, mount units, trees,
//! the boot device, GRUB. Refuses nothing but local files it cannot read.

pub mod boot_device;
mod grub;
pub mod mount;
mod quadlet;
mod resource;
mod tree;

use super::findings::Findings;
use super::ignition::merge::merge;
use super::local::{LocalError, LocalFiles};
use super::record::{Node, Record, Value};
use super::schema::Kind;
use super::spec::Spec;
use super::yaml::NodeId;

pub struct Translator<'t, 'a> {
    spec: &'static Spec,
    files: &'t dyn LocalFiles,
    findings: &'t mut Findings<'a>,
}

pub fn translate(
    mut config: Record,
    spec: &'static Spec,
    files: &dyn LocalFiles,
    findings: &mut Findings<'_>,
) -> Record {
    let mut translator = Translator { spec, files, findings };
    translator.contents(&mut config);
    let mount_units = mount::units(&config, spec.minor);
    if let Some(units) = mount_units {
        config = merge(units, config);
    }
    translator.trees(&mut config);
    translator.quadlets(&mut config);
    if let Some(boot_device) = take_record(&mut config, "boot_device") {
        config = merge(boot_device::generate(&boot_device), config);
    }
    if let Some(grub) = take_record(&mut config, "grub") {
        config = merge(translator.grub(&grub), config);
    }
    config
}

fn take_record(config: &mut Record, name: &str) -> Option<Record> {
    match config.take(name)?.value {
        Value::Record(record) => Some(record),
        _ => None,
    }
}

impl Translator<'_, '_> {
    /// Whatever a record names by content or by local file, and everything below it.
    fn contents(&mut self, record: &mut Record) {
        match record.shape.kind {
            Kind::Reference | Kind::Contents => self.resource(record),
            Kind::User => self.keys_local(record),
            Kind::Unit | Kind::Dropin | Kind::Quadlet => self.contents_local(record),
            _ => {}
        }
        for child in record.children_mut() {
            self.contents(child);
        }
    }

    fn resource(&mut self, record: &mut Record) {
        let inline = record.take("inline");
        let local = record.take("local");
        let (origin, contents) = match (local, inline) {
            (Some(Node { origin, value: Value::Text(path) }), _) => match self.read(&path, origin) {
                Some(contents) => (origin, contents),
                None => return,
            },
            (_, Some(Node { origin, value: Value::Text(text) })) => (origin, text.into_bytes()),
            _ => return,
        };
        self.embed(record, origin, &contents);
    }

    /// Makes `contents` the source of a resource.
    fn embed(&mut self, record: &mut Record, origin: NodeId, contents: &[u8]) {
        // Ignition 3.0 did not decompress data URLs.
        if self.spec.minor == 0 {
            record.set("source", origin, resource::percent_url(contents));
            return;
        }
        let compressed_by_user = record.filled("compression").is_some();
        let encoded = resource::encode(contents, !compressed_by_user);
        record.set("source", origin, encoded.url);
        if !compressed_by_user {
            // Written even when empty, so that merging over a compressed parent does not inherit its value.
            record.set("compression", origin, if encoded.gzipped { "gzip" } else { "" });
        }
    }

    fn read(&mut self, path: &str, origin: NodeId) -> Option<Vec<u8>> {
        self.reported(origin, self.files.read(path))
    }

    fn reported<T>(&mut self, origin: NodeId, result: Result<T, LocalError>) -> Option<T> {
        result.map_err(|error| self.findings.error(origin, error.to_string())).ok()
    }

    fn keys_local(&mut self, user: &mut Record) {
        let Some(Node { value: Value::List(paths), .. }) = user.take("ssh_authorized_keys_local") else {
            return;
        };
        for path in paths {
            let Value::Text(name) = path.value else { continue };
            let Some(contents) = self.read(&name, path.origin) else { continue };
            let contents = String::from_utf8_lossy(&contents);
            let keys = contents.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
            let keys = keys.filter(|key| !key.trim().is_empty()).map(|key| Node::new(path.origin, key));
            user.list_mut("ssh_authorized_keys").extend(keys);
        }
    }

    fn contents_local(&mut self, record: &mut Record) {
        let Some(Node { origin, value: Value::Text(path) }) = record.take("contents_local") else { return };
        if let Some(contents) = self.read(&path, origin) {
            record.set("contents", origin, String::from_utf8_lossy(&contents).into_owned());
        }
    }
}
