//! `storage.trees` → files, directories and links for everything below a local directory.

use std::collections::BTreeMap;

use super::Translator;
use crate::butane::local::TreeKind;
use crate::butane::record::{Node, Record, Value};
use crate::butane::schema::{CONTENTS, DIRECTORY, FILE, LINK, Shape};
use crate::butane::yaml::NodeId;

const NODE_EXISTS: &str = "matching filesystem node has existing contents or different type";

/// Whoever checked the tree out decides the other bits, so only `x` of a file means anything.
pub const FILE_MODE: i64 = 0o644;
const EXECUTABLE_MODE: i64 = 0o755;
const DIRECTORY_MODE: i64 = 0o755;

/// The files, directories and links of a config by path: in which list, and where in it.
pub struct Nodes(BTreeMap<String, (&'static str, usize)>);

impl Nodes {
    pub fn of(storage: &Record) -> Self {
        let mut nodes = BTreeMap::new();
        for list in ["directories", "files", "links"] {
            for (index, node) in storage.records(list).enumerate() {
                nodes.insert(node.text_or_empty("path").to_owned(), (list, index));
            }
        }
        Nodes(nodes)
    }

    /// Adds a node to the config, where there may be none at that path.
    pub fn add<'s>(
        &mut self,
        storage: &'s mut Record,
        (list, shape): (&'static str, &'static Shape),
        path: &str,
        origin: NodeId,
    ) -> Result<&'s mut Record, &'static str> {
        if self.0.contains_key(path) {
            return Err(NODE_EXISTS);
        }
        let items = storage.list_mut(list);
        self.0.insert(path.to_owned(), (list, items.len()));
        items.push(Record::new(shape, origin).with("path", path).into());
        items.last_mut().and_then(Node::record_mut).ok_or(NODE_EXISTS)
    }
}

impl Translator<'_, '_> {
    pub(super) fn trees(&mut self, config: &mut Record) {
        let Some(storage) = config.record_mut("storage") else { return };
        let Some(Node { value: Value::List(trees), .. }) = storage.take("trees") else { return };
        let mut nodes = Nodes::of(storage);
        for tree in trees.iter().filter_map(Node::record) {
            self.tree(tree, storage, &mut nodes);
        }
    }

    fn tree(&mut self, tree: &Record, storage: &mut Record, nodes: &mut Nodes) {
        let origin = tree.origin;
        let root = tree.text_or_empty("local");
        let Some(entries) = self.reported(origin, self.files.walk(root)) else { return };
        let base = tree.filled("path").unwrap_or("/");
        for entry in entries {
            let path = join(base, &entry.path);
            let source =
                if entry.path.is_empty() { root.to_owned() } else { format!("{root}/{}", entry.path) };
            let placed = match &entry.kind {
                TreeKind::Directory => directory(tree, storage, nodes, &path),
                TreeKind::File { executable } => self.file(tree, storage, nodes, &path, &source, *executable),
                TreeKind::Link { target } => link(tree, storage, nodes, &path, target),
                TreeKind::Other => Err("trees may only contain files, directories, and symlinks"),
            };
            if let Err(message) = placed {
                self.findings.error(origin, message);
            }
        }
    }

    fn file(
        &mut self,
        tree: &Record,
        storage: &mut Record,
        nodes: &mut Nodes,
        path: &str,
        source: &str,
        executable: bool,
    ) -> Result<(), &'static str> {
        let origin = tree.origin;
        let file = place(tree, storage, nodes, ("files", &FILE), path)?;
        if file.record("contents").is_some_and(|contents| contents.has("source")) {
            return Err(NODE_EXISTS);
        }
        let Some(bytes) = self.read(source, origin) else { return Ok(()) };
        let mut contents = match file.take("contents").map(|node| node.value) {
            Some(Value::Record(contents)) => contents,
            _ => Record::new(&CONTENTS, origin),
        };
        self.embed(&mut contents, origin, &bytes);
        file.set("contents", origin, contents);
        if !file.has("mode") {
            let mode = tree.int("file_mode").unwrap_or(if executable { EXECUTABLE_MODE } else { FILE_MODE });
            file.set("mode", origin, mode);
        }
        Ok(())
    }
}

/// Directories appear by themselves below files; they are named only to give them an owner or a mode.
fn directory(tree: &Record, storage: &mut Record, nodes: &mut Nodes, path: &str) -> Result<(), &'static str> {
    match nodes.0.get(path) {
        Some(("directories", _)) => return Ok(()),
        Some(_) => return Err(NODE_EXISTS),
        None => {}
    }
    if !(tree.has("user") || tree.has("group") || tree.has("dir_mode")) {
        return Ok(());
    }
    let directory = place(tree, storage, nodes, ("directories", &DIRECTORY), path)?;
    directory.set("mode", tree.origin, tree.int("dir_mode").unwrap_or(DIRECTORY_MODE));
    Ok(())
}

fn link(
    tree: &Record,
    storage: &mut Record,
    nodes: &mut Nodes,
    path: &str,
    target: &str,
) -> Result<(), &'static str> {
    let link = place(tree, storage, nodes, ("links", &LINK), path)?;
    if link.filled("target").is_some() {
        return Err(NODE_EXISTS);
    }
    link.set("target", tree.origin, target);
    Ok(())
}

/// The node at `path`: the one the config lists already, or a new one with the tree's owner.
fn place<'s>(
    tree: &Record,
    storage: &'s mut Record,
    nodes: &mut Nodes,
    (list, shape): (&'static str, &'static Shape),
    path: &str,
) -> Result<&'s mut Record, &'static str> {
    match nodes.0.get(path) {
        Some((listed, index)) if *listed == list => {
            storage.list_mut(list).get_mut(*index).and_then(Node::record_mut).ok_or(NODE_EXISTS)
        }
        Some(_) => Err(NODE_EXISTS),
        None => {
            let node = nodes.add(storage, (list, shape), path, tree.origin)?;
            for owner in ["group", "user"] {
                if let Some(given) = tree.get(owner) {
                    node.set(owner, tree.origin, in_place_of(given, tree.origin));
                }
            }
            Ok(node)
        }
    }
}

/// A copy of a value of the tree that points at the tree.
fn in_place_of(node: &Node, origin: NodeId) -> Value {
    match &node.value {
        Value::Record(record) => {
            let mut record = record.clone();
            record.origin = origin;
            Value::Record(record)
        }
        value => value.clone(),
    }
}

/// `filepath.Join` for a base that is as the user wrote it and a clean relative path.
fn join(base: &str, relative: &str) -> String {
    let joined = format!("{base}/{relative}");
    let absolute = joined.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in joined.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if absolute => {}
            part => parts.push(part),
        }
    }
    let clean = parts.join("/");
    match (absolute, clean.is_empty()) {
        (true, _) => format!("/{clean}"),
        (false, true) => ".".to_owned(),
        (false, false) => clean,
    }
}
