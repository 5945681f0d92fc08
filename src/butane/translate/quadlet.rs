//! `systemd.quadlets` → files where podman's systemd generator looks for them (podman-systemd.unit(5)).

use super::Translator;
use crate::butane::record::{Node, Record};
use crate::butane::schema::{CONFIG, CONTENTS, FILE, LINK, STORAGE};
use crate::butane::yaml::NodeId;

const SYSTEM: &str = "/etc/containers/systemd";
const USERS: &str = "/etc/containers/systemd/users";

const DEFAULT_MODE: i64 = 0o644;

impl Translator<'_, '_> {
    /// The generated part of the config, to be merged under the user's.
    pub(super) fn quadlets(&mut self, config: &Record, quadlets: &[Node]) -> Record {
        let mut storage = Record::new(&STORAGE, config.origin);
        for quadlet in quadlets.iter().filter_map(Node::record) {
            self.quadlet(&mut storage, quadlet);
        }
        Record::new(&CONFIG, config.origin).with("storage", storage)
    }

    fn quadlet(&mut self, storage: &mut Record, quadlet: &Record) {
        let name = quadlet.text_or_empty("name");
        let directory = if quadlet.is_true("rootful") { SYSTEM } else { USERS };
        let path = format!("{directory}/{name}");
        if let Some(contents) = quadlet.text("contents") {
            let file = self.quadlet_file(quadlet.origin, &path, contents);
            storage.list_mut("files").push(file);
        } else if let Some(template) = template_of(name) {
            // An instance: podman reads the template through a link that carries the instance's name.
            let link = Record::new(&LINK, quadlet.origin).with("path", path.as_str());
            storage.list_mut("links").push(link.with("target", template).into());
        }
        for dropin in quadlet.records("dropins") {
            if let Some(contents) = dropin.text("contents") {
                let path = format!("{path}.d/{}", dropin.text_or_empty("name"));
                let file = self.quadlet_file(dropin.origin, &path, contents);
                storage.list_mut("files").push(file);
            }
        }
    }

    fn quadlet_file(&mut self, origin: NodeId, path: &str, contents: &str) -> Node {
        let mut resource = Record::new(&CONTENTS, origin);
        self.embed(&mut resource, origin, contents.as_bytes());
        let file = Record::new(&FILE, origin).with("path", path).with("contents", resource);
        file.with("mode", DEFAULT_MODE).into()
    }
}

/// `foo@.container` for `foo@x.container`.
fn template_of(name: &str) -> Option<String> {
    let (prefix, rest) = name.split_once('@')?;
    let (instance, extension) = rest.rsplit_once('.')?;
    (!instance.is_empty()).then(|| format!("{prefix}@.{extension}"))
}
