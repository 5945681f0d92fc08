//! The syntax of systemd unit files, as far as Ignition looks at it.
//!
//! Ignition reads units with go-systemd: text before the first section is skipped, a section ends at the first `]`,
//! a line has at most [`MAX_LINE`] bytes.

const MAX_LINE: usize = 2048;

pub struct UnitText {
    /// An `[Install]` section with at least one setting.
    pub has_install: bool,
}

impl UnitText {
    pub fn read(text: &str) -> Result<Self, String> {
        if text.split_inclusive('\n').any(|line| line.len() > MAX_LINE) {
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
            rest = if line.is_empty() || line.starts_with(['#', ';']) {
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

/// Reads `NAME=VALUE`, with the lines that a final backslash continues: what follows.
fn setting(text: &str) -> Result<&str, String> {
    match text.find(['=', '\n']) {
        None => return Err("EOF".into()),
        Some(at) if text[at..].starts_with('\n') => {
            return Err("unexpected newline encountered while parsing option name".into());
        }
        Some(_) => {}
    }
    let mut rest = text;
    while let Some((line, after)) = rest.split_once('\n') {
        rest = after;
        if !line.trim_ascii_end().ends_with('\\') {
            return Ok(rest);
        }
    }
    Ok("")
}
