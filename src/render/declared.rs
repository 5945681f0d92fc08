//! `artifacts.yaml`: which template makes which file, for which hosts, and where Ignition puts it.

use std::cell::RefCell;

use crate::document::{At, Document, Fields, Item};
use crate::ids::NodePath;
use crate::report::Report;

use super::templates::{TemplateSource, Templates};

/// One entry of `artifacts.yaml`.
#[derive(Debug)]
pub struct Declaration {
    /// With `{host}` or `{name}` still in it.
    pub path: At<String>,
    pub template: At<String>,
    /// For which hosts; `None` for all.
    pub hosts: Option<At<String>>,
    pub install: Option<Install>,
}

#[derive(Debug)]
pub struct Install {
    pub path: NodePath,
    pub mode: At<u32>,
    pub enable: bool,
    pub when: Option<At<String>>,
}

/// How many files an entry makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    Shared,
    Host,
    Boot,
}

impl Declaration {
    pub fn scope(&self) -> Scope {
        if self.path.value.contains("{name}") {
            Scope::Boot
        } else if self.path.value.contains("{host}") {
            Scope::Host
        } else {
            Scope::Shared
        }
    }
}

/// Our list, then the user's; an entry with the path of one of ours replaces it. Within one list, entries of one path
/// stand side by side: they may be for different hosts, and where they are not, the path is found to be taken.
pub fn read(templates: &Templates, report: &mut Report) -> Vec<Declaration> {
    let mut declarations: Vec<Declaration> = Vec::new();
    for list in &templates.artifact_lists {
        let theirs = read_list(list, templates, report);
        declarations.retain(|ours| theirs.iter().all(|their| their.path.value != ours.path.value));
        declarations.extend(theirs);
    }
    declarations
}

fn read_list(list: &TemplateSource, templates: &Templates, report: &mut Report) -> Vec<Declaration> {
    let cell = RefCell::new(Report::new());
    let declarations = Document::parse(&list.file, list.text.as_bytes(), &cell).and_then(|document| {
        let mut fields = Fields::of(&Item::root(&document.root, &cell))?;
        let entries =
            fields.require("artifacts", "write `artifacts:` and a list of entries below it")?.list()?;
        let declarations: Vec<_> =
            entries.iter().filter_map(|item| read_entry(item, list, templates)).collect();
        fields.finish();
        Some(declarations)
    });
    report.extend(cell.into_inner());
    declarations.unwrap_or_default()
}

fn read_entry(item: &Item<'_>, list: &TemplateSource, templates: &Templates) -> Option<Declaration> {
    let mut fields = Fields::of(item)?;
    let text = |item: Item<'_>| item.text().map(|text| item.at(text.to_owned()));
    let path = fields.require("path", "say where it is served, such as pxe/configs/NAME").and_then(text);
    let template =
        fields.require("template", "name its template, relative to the templates folder").and_then(text);
    let hosts = fields.get("hosts").and_then(text);
    let install = fields.get("install").map(|item| read_install(&item, list));
    fields.finish();
    if let Some(template) =
        template.as_ref().filter(|template| !templates.sources.contains_key(&template.value))
    {
        let known: Vec<&str> = templates.sources.keys().map(String::as_str).collect();
        let help = crate::document::suggest(&template.value, &known)
            .unwrap_or_else(|| "add the file to the templates folder".into());
        item.push(template.error("there is no such template").help(help));
        return None;
    }
    let install = match install {
        Some(None) => return None,
        Some(install) => install,
        None => None,
    };
    Some(Declaration { path: path?, template: template?, hosts, install })
}

fn read_install(item: &Item<'_>, list: &TemplateSource) -> Option<Install> {
    let mut fields = Fields::of(item)?;
    let path =
        fields.require("path", "say where it goes on the node").and_then(|item| item.parse::<NodePath>());
    let mode = fields
        .require("mode", "write 0644, 0755 for a script, 0600 for a secret")
        .and_then(|item| read_mode(&item, list));
    let enable = fields.get("enable").and_then(|item| item.truth()).unwrap_or(false);
    let when = fields.get("when").and_then(|item| item.text().map(|text| item.at(text.to_owned())));
    fields.finish();
    Some(Install { path: path?.value, mode: mode?, enable, when })
}

fn read_mode(item: &Item<'_>, list: &TemplateSource) -> Option<At<u32>> {
    let number = item.integer()?;
    // 400 without the zero is 0o620, a mode like any other: only how it was written tells. An alias stands for a
    // number that is written elsewhere.
    let written = list.text.get(item.node.place.bytes.clone()).unwrap_or_default();
    let is_octal = written.starts_with(['0', '*']);
    match u32::try_from(number) {
        Ok(mode) if is_octal && mode <= 0o777 && mode & 0o400 != 0 => Some(item.at(mode)),
        _ => {
            let help = "write it in octal, with a leading zero: 0644, 0755, 0600";
            item.push(item.at(()).error(format!("{written} is not a file mode")).help(help));
            None
        }
    }
}
