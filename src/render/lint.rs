//! Reads what came out for the mistakes that the programs at the other end forgive silently.
//!
//! Our templates make none of them; this is for the user's. What surely breaks is an error, what probably does a warning.

use std::sync::Arc;

use crate::catalogue::Catalogue;
use crate::report::{Finding, Place, Report, Severity};

use super::expand::{Installed, InstalledFile};

pub fn lint(catalogue: &Catalogue, installed: &Installed, report: &mut Report) {
    for (path, artifact) in catalogue.iter() {
        let Ok(text) = std::str::from_utf8(artifact.bytes()) else { continue };
        let mut artifact_lint = Lint { path: path.as_str(), text, is_secret: artifact.is_secret(), report };
        if path.file_name().ends_with(".conf") && text.contains("vrrp_instance") {
            artifact_lint.keepalived();
        } else if path.file_name().ends_with(".service") {
            artifact_lint.unit();
        } else if text.starts_with("#!/") {
            artifact_lint.script();
        }
    }
    let mut files: Vec<&InstalledFile> = installed.values().flatten().collect();
    files.sort_by_key(|file| &file.source);
    files.dedup_by_key(|file| &file.source);
    for file in files {
        let Some(text) =
            catalogue.get(&file.source).and_then(|artifact| std::str::from_utf8(artifact.bytes()).ok())
        else {
            continue;
        };
        lint_installed(file, text, report);
    }
}

fn lint_installed(file: &InstalledFile, text: &str, report: &mut Report) {
    if text.starts_with("#!") && file.mode & 0o111 == 0 {
        let message = format!("is a script, installed with mode {:04o}", file.mode);
        let help = "write mode 0755: keepalived silently drops a check script without the x bit, and never fails over";
        report.push(Finding::error(&file.source, message).help(help));
    }
    if file.enable && !text.lines().any(|line| line.trim() == "[Install]") {
        let help = "add `[Install]` and `WantedBy=multi-user.target`: without it systemd enables nothing, and says nothing";
        report.push(Finding::error(&file.source, "is enabled, but has no [Install] section").help(help));
    }
}

/// One text under the glass.
struct Lint<'l> {
    path: &'l str,
    text: &'l str,
    is_secret: bool,
    report: &'l mut Report,
}

impl<'l> Lint<'l> {
    /// keepalived.conf(5): comments begin with `#` or `!`, a statement is a line of words.
    fn keepalived(&mut self) {
        let statements = self.statements();
        let find = |word: &str| statements.iter().find(|(_, words)| words[0] == word).cloned();
        if let Some((line, words)) = find("auth_pass")
            && words.get(1).is_some_and(|password| password.len() > 8)
        {
            let help = "keepalived uses the first 8 characters, and `keepalived -t` exits 5";
            self.push(Severity::Error, line, "the password has more than 8 characters", help);
        }
        let nopreempt = find("nopreempt").is_some();
        if let (true, Some((line, words))) = (nopreempt, find("weight"))
            && words.get(1).is_some_and(|weight| weight.parse() != Ok(0))
        {
            let help = "leave the weight out: a failed check then means FAULT, and the address moves";
            self.push(Severity::Error, line, "a weight together with nopreempt never fails over", help);
        }
        if let (true, Some((line, words))) = (nopreempt, find("state"))
            && words.get(1) == Some(&"MASTER")
        {
            self.push(
                Severity::Warning,
                line,
                "keepalived ignores nopreempt with state MASTER",
                "write state BACKUP on every node",
            );
        }
        if let Some((line, _)) = find("vrrp_strict")
            && (find("unicast_peer").is_some() || find("authentication").is_some())
        {
            self.push(
                Severity::Error,
                line,
                "vrrp_strict forbids unicast and authentication",
                "leave vrrp_strict out",
            );
        }
        if find("vrrp_script").is_some() && find("enable_script_security").is_none() {
            let line = find("vrrp_script").map_or(1, |(line, _)| line);
            let help = "add `enable_script_security` and `script_user root` to global_defs";
            self.push(Severity::Warning, line, "the script runs as root without script security", help);
        }
    }

    fn unit(&mut self) {
        let line_with = |what: &str| {
            self.text.lines().position(|line| line.replace(' ', "").contains(what)).map(|index| index + 1)
        };
        let runs_podman = self.text.contains("podman run");
        if let (true, Some(line), false) =
            (runs_podman, line_with("Type=notify"), self.text.contains("--sdnotify=conmon"))
        {
            let help = "add --sdnotify=conmon to podman run: what is in the container notifies nobody, and systemd restarts it for ever";
            self.push(Severity::Error, line, "Type=notify waits for a message that never comes", help);
        }
        let relabels = |line: &str| {
            line.contains("/usr/local/bin:")
                && (line.ends_with(":Z")
                    || line.ends_with(",Z")
                    || line.contains(",Z ")
                    || line.contains(":Z "))
        };
        if let Some(index) = self.text.lines().position(relabels) {
            let help = "mount a folder of its own: with the container's label k3s itself would not start";
            self.push(Severity::Error, index + 1, "relabels /usr/local/bin for a container", help);
        }
    }

    /// `curl -k URL` alone is healthy whatever the status is; with `-f` it is sick for a k3s that answers 401.
    fn script(&mut self) {
        let asks_health = |line: &str| {
            line.contains("curl") && ["healthz", "livez", "readyz"].iter().any(|word| line.contains(word))
        };
        let joined = self.text.replace("\\\n", " ");
        if self.path.ends_with("healthcheck.sh")
            && joined.lines().any(asks_health)
            && !joined.contains("http_code")
        {
            let line = self
                .text
                .lines()
                .position(|line| line.contains("curl") && !line.trim_start().starts_with('#'))
                .map_or(1, |index| index + 1);
            let help = "compare `--write-out '%{http_code}'`: curl exits 0 for a 500 as well, and -f takes k3s' 401 for an error";
            self.push(Severity::Warning, line, "curl without a look at the status is no health check", help);
        }
    }

    fn statements(&self) -> Vec<(usize, Vec<&'l str>)> {
        let words = |(index, line): (usize, &'l str)| {
            let code = line.split(['#', '!']).next().unwrap_or_default();
            let words: Vec<&str> = code.split_whitespace().collect();
            (!words.is_empty()).then_some((index + 1, words))
        };
        self.text.lines().enumerate().filter_map(words).collect()
    }

    fn push(&mut self, severity: Severity, line: usize, message: &str, help: &str) {
        if !self.is_secret {
            self.report.add_source(self.path, self.text);
        }
        let start: usize = self.text.split_inclusive('\n').take(line - 1).map(str::len).sum();
        let indent = self.text[start..].len() - self.text[start..].trim_start_matches([' ', '\t']).len();
        let length = self.text[start..].lines().next().map_or(0, |line| line.trim().len());
        let place = Place {
            file: Arc::from(self.path),
            line,
            column: indent + 1,
            bytes: start + indent..start + indent + length,
        };
        self.report.push(Finding::new(severity, self.path, message).help(help).at(Some(place)));
    }
}
