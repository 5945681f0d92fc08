//! systemd units, as Ignition wants them, and the syntax of unit files as far as Ignition looks at it.
//!
//! Ignition reads units with go-systemd: text before the first section is skipped, a section ends at the first `]`,
//! a line with its end has at most [`MAX_LINE`] bytes.

use super::generated::Checker;
use crate::butane::record::Record;

const MAX_LINE: usize = 2048;

impl Checker<'_, '_> {
    /// An instance is enabled by the `[Install]` section of its template.
    pub(super) fn instances(&mut self, systemd: &Record) {
        for unit in systemd.records("units").filter(|unit| unit.is_true("enabled")) {
            let name = unit.text_or_empty("name");
            let Some(template) = template_of(name) else { continue };
            let named = |other: &&Record| other.text("name") == Some(template.as_str());
            let contents = systemd.records("units").find(named).and_then(|unit| unit.filled("contents"));
            if contents.is_some_and(|text| UnitText::read(text).is_ok_and(|text| !text.has_install)) {
                let message = format!("template unit {template:?} for {name:?} doesn't have Install section");
                self.findings.field_warning(unit, "contents", message);
            }
        }
    }

    pub(super) fn unit(&mut self, unit: &Record) {
        /// systemd.unit(5), and `snapshot`, which systemd dropped.
        const EXTENSIONS: [&str; 12] = [
            "service",
            "socket",
            "device",
            "mount",
            "automount",
            "swap",
            "target",
            "path",
            "timer",
            "snapshot",
            "slice",
            "scope",
        ];
        let name = unit.text_or_empty("name");
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        if !EXTENSIONS.contains(&extension) {
            self.findings.field_error(unit, "name", "invalid systemd unit extension");
        }
        let Some(contents) = unit.filled("contents") else { return };
        match UnitText::read(contents) {
            Err(problem) => {
                self.findings.field_error(unit, "contents", format!("invalid unit content: {problem}"));
            }
            Ok(text) if unit.is_true("enabled") && !text.has_install => {
                let message =
                    format!("unit \"{name}\" is enabled, but has no install section so enable does nothing");
                self.findings.field_warning(unit, "contents", message);
            }
            Ok(_) => {}
        }
    }

    pub(super) fn dropin(&mut self, dropin: &Record) {
        if !dropin.text_or_empty("name").ends_with(".conf") {
            self.findings.field_error(dropin, "name", "invalid systemd drop-in extension");
        }
        if let Some(Err(problem)) = dropin.filled("contents").map(UnitText::read) {
            self.findings.field_error(dropin, "contents", format!("invalid unit content: {problem}"));
        }
    }
}

/// `a@.service` for `a@b.service`.
fn template_of(name: &str) -> Option<String> {
    let (prefix, instance) = name.strip_suffix(".service")?.split_once('@')?;
    (!prefix.is_empty() && !instance.is_empty()).then(|| format!("{prefix}@.service"))
}

pub struct UnitText {
    /// An `[Install]` section with at least one setting.
    pub has_install: bool,
}

impl UnitText {
    pub fn read(text: &str) -> Result<Self, String> {
        if text.split('\n').any(|line| line.len() >= MAX_LINE) {
            return Err(format!("line too long (max {MAX_LINE} bytes)"));
        }
        let mut rest = text;
        let mut has_install = false;
        let mut section_name = None;
        while !rest.is_empty() {
            let (line, after_line) = rest.split_once('\n').unwrap_or((rest, ""));
            let indent = line.len() - line.trim_ascii_start().len();
            let line = &line[indent..];
            let section_at = match section_name {
                Some(_) => line.starts_with('[').then_some(indent),
                None => line.find('[').map(|at| indent + at),
            };
            rest = if line.starts_with(['#', ';']) {
                after_continued(rest)
            } else if line.is_empty() {
                after_line
            } else if let Some(at) = section_at {
                let (name, after) = section(&rest[at + 1..])?;
                section_name = Some(name);
                after
            } else if let Some(name) = section_name {
                has_install |= name == "Install";
                setting(rest)?
            } else {
                after_line
            };
        }
        Ok(UnitText { has_install })
    }
}

/// Reads `NAME]` and the end of its line: the name, and what follows.
fn section(text: &str) -> Result<(&str, &str), String> {
    let (name, after) = text.split_once(']').ok_or("unable to find end of section")?;
    let (garbage, after) = after.split_once('\n').unwrap_or((after, ""));
    match garbage.trim_ascii() {
        "" => Ok((name, after)),
        garbage => Err(format!("found garbage after section name : {garbage:?}")),
    }
}

/// Reads `NAME=VALUE`: what follows.
fn setting(text: &str) -> Result<&str, String> {
    match text.find(['=', '\n']) {
        None => Err("EOF".into()),
        Some(at) if text[at..].starts_with('\n') => {
            Err("unexpected newline encountered while parsing option name".into())
        }
        Some(_) => Ok(after_continued(text)),
    }
}

/// What follows this line and the lines that a final backslash continues, comments included.
fn after_continued(text: &str) -> &str {
    let mut rest = text;
    while let Some((line, after)) = rest.split_once('\n') {
        rest = after;
        if !line.trim_ascii_end().ends_with('\\') {
            return rest;
        }
    }
    ""
}
