//! systemd units and Quadlets that run a container.

use crate::report::Severity;

use super::Lint;

/// With a container's label the host's own programs and settings in them would be refused by SELinux.
const NEVER_RELABELLED: [&str; 6] = ["", "/usr", "/usr/bin", "/usr/local", "/usr/local/bin", "/etc"];

pub fn check(lint: &mut Lint<'_>) {
    let code: Vec<(usize, &str)> =
        lint.text.lines().enumerate().filter(|(_, line)| !is_comment(line)).collect();
    let has = |what: &str| code.iter().any(|(_, line)| line.contains(what));
    let waits = code.iter().find(|(_, line)| line.replace(' ', "").starts_with("Type=notify"));
    let is_told = has("--sdnotify=conmon") || has("--sdnotify conmon");
    if let (true, Some((index, _)), false) = (has("podman run"), waits, is_told) {
        let help = "add --sdnotify=conmon to podman run: what is in the container notifies nobody, and systemd restarts it for ever";
        lint.push(Severity::Error, index + 1, "Type=notify waits for a message that never comes", help);
    }
    for (index, line) in code {
        if let Some(folder) = line.split([' ', '\t', '=', '"', '\'']).find_map(relabelled) {
            let help = "mount a folder of its own: with the container's label k3s itself would not start";
            lint.push(Severity::Error, index + 1, &format!("relabels {folder} for a container"), help);
        }
        if line.split([' ', '\t', '=', '"', '\'']).any(hides_etc_keepalived) {
            let help = "mount it where no image has anything, such as /etc/pxe-serve/keepalived, and name that in --use-file and in keepalived.conf: keepalived of Debian 13 does not start without the file of its own";
            lint.push(Severity::Warning, index + 1, "hides what the image has in /etc/keepalived", help);
        }
    }
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with(['#', ';'])
}

/// The folder of `FOLDER:MOUNTED:OPTIONS`, where the options relabel and the folder is the host's own.
fn relabelled(word: &str) -> Option<&str> {
    let mut parts = word.split(':');
    let (folder, _, options) = (parts.next()?, parts.next()?, parts.next()?);
    let relabels = options.split(',').any(|option| option.eq_ignore_ascii_case("z"));
    let is_hosts = folder.starts_with('/') && NEVER_RELABELLED.contains(&folder.trim_end_matches('/'));
    (relabels && is_hosts).then_some(folder)
}

/// `FOLDER:/etc/keepalived`, with options or without.
fn hides_etc_keepalived(word: &str) -> bool {
    let mut parts = word.split(':');
    let from = parts.next().unwrap_or_default();
    let to = parts.next().unwrap_or_default().trim_end_matches('/');
    from.starts_with('/') && to == "/etc/keepalived"
}

/// The units whose text stands in an Ignition config itself.
pub fn in_ignition(text: &str) -> Vec<String> {
    let Ok(config) = serde_json::from_str::<serde_json::Value>(text) else { return Vec::new() };
    let units = config["systemd"]["units"].as_array();
    units.into_iter().flatten().filter_map(|unit| Some(unit["contents"].as_str()?.to_owned())).collect()
}
