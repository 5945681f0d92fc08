//! `systemd.quadlets` → files where podman's systemd generator looks for them (podman-systemd.unit(5)).

use super::Translator;
use super::tree::{FILE_MODE, Nodes};
use crate::butane::record::{Node, Record, Value};
use crate::butane::schema::{CONTENTS, FILE, LINK, STORAGE};
use crate::butane::yaml::NodeId;

const SYSTEM: &str = "/etc/containers/systemd";
const USERS: &str = "/etc/containers/systemd/users";

impl Translator<'_, '_> {
    pub(super) fn quadlets(&mut self, config: &mut Record) {
        let Some(systemd) = config.record_mut("systemd") else { return };
        let Some(Node { value: Value::List(quadlets), .. }) = systemd.take("quadlets") else { return };
        let origin = config.origin;
        let storage = config.record_or_insert("storage", || Record::new(&STORAGE, origin));
        let mut nodes = Nodes::of(storage);
        for quadlet in quadlets.iter().filter_map(Node::record) {
            if let Err(message) = self.quadlet(quadlet, storage, &mut nodes) {
                self.findings.error(quadlet.origin, message);
            }
        }
    }

    fn quadlet(
        &mut self,
        quadlet: &Record,
        storage: &mut Record,
        nodes: &mut Nodes,
    ) -> Result<(), &'static str> {
        let name = quadlet.text_or_empty("name");
        let directory = if quadlet.is_true("rootful") { SYSTEM } else { USERS };
        let path = format!("{directory}/{name}");
        if let Some(contents) = quadlet.text("contents") {
            self.quadlet_file(quadlet.origin, storage, nodes, &path, contents)?;
        } else if let Some(template) = template_of(name) {
            // An instance: podman reads the template through a link that carries the instance's name.
            let link = nodes.add(storage, ("links", &LINK), &path, quadlet.origin)?;
            link.set("target", quadlet.origin, template);
        }
        for dropin in quadlet.records("dropins") {
            if let Some(contents) = dropin.text("contents") {
                let path = format!("{path}.d/{}", dropin.text_or_empty("name"));
                self.quadlet_file(dropin.origin, storage, nodes, &path, contents)?;
            }
        }
        Ok(())
    }

    fn quadlet_file(
        &mut self,
        origin: NodeId,
        storage: &mut Record,
        nodes: &mut Nodes,
        path: &str,
        contents: &str,
    ) -> Result<(), &'static str> {
        let mut resource = Record::new(&CONTENTS, origin);
        self.embed(&mut resource, origin, contents.as_bytes());
        let file = nodes.add(storage, ("files", &FILE), path, origin)?;
        file.set("contents", origin, resource);
        file.set("mode", origin, FILE_MODE);
        Ok(())
    }
}

/// `foo@.container` for `foo@x.container`.
fn template_of(name: &str) -> Option<String> {
    let (prefix, rest) = name.split_once('@')?;
    let (instance, extension) = rest.rsplit_once('.')?;
    (!instance.is_empty()).then(|| format!("{prefix}@.{extension}"))
}
