//! `tls-san` on one server: what its configuration says, and what has to be done there so that the certificate shows all.

use crate::ids::Invalid;

use super::k3s_config::{ConfigFile, FOLDER, effective};
use super::{Certificate, San, ServerState};

/// Our drop-in, and the name it takes where a later file would drop what ours adds.
const NAMES: [&str; 2] =
    ["config.yaml.d/90-pxe-serve-tls-san.yaml", "config.yaml.d/zz-pxe-serve-tls-san.yaml"];
const KEY: &str = "tls-san";

/// What is to be done on a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Nothing,
    /// k3s has read a configuration that is right, and does not show it yet.
    Wait,
    /// The configuration is right, and k3s is older than it.
    Restart,
    /// Write, then restart.
    Write(DropIn),
}

/// A file of ours below [`FOLDER`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DropIn {
    pub name: &'static str,
    pub contents: String,
}

impl DropIn {
    pub fn path(&self) -> String {
        format!("{FOLDER}/{}", self.name)
    }

    /// JSON's strings are YAML's, and `::` is quoted.
    fn of(name: &'static str, demanded: &[String]) -> Self {
        let mut contents =
            "# Written by `pxe-serve tls-san apply` from its inventory, and written anew when that changes.\ntls-san+:\n".to_owned();
        for name in demanded {
            contents.push_str(&format!("- {}\n", serde_json::Value::from(name.as_str())));
        }
        DropIn { name, contents }
    }
}

/// Names and addresses in `tls-san` after all files; k3s splits at commas, and at nothing else.
pub fn configured(files: &[ConfigFile]) -> Result<Vec<San>, Invalid> {
    let values = effective(files, KEY)?.values;
    Ok(values
        .iter()
        .flat_map(|value| value.split(','))
        .filter(|name| !name.is_empty())
        .map(San::of)
        .collect())
}

/// Those of `demanded` that are not `configured`. A wildcard counts for itself alone: k3s up to 1.36.2 leaves it out of its
/// certificate ("dropping invalid CN" in its log), and to list a name beside it costs nothing.
pub fn missing(demanded: &[String], configured: &[San]) -> Vec<String> {
    demanded.iter().filter(|name| !configured.contains(&San::of(name))).cloned().collect()
}

/// The drop-in that makes the configuration right; none where it is right already.
pub fn drop_in(files: &[ConfigFile], demanded: &[String]) -> Result<Option<DropIn>, Invalid> {
    if missing(demanded, &configured(files)?).is_empty() {
        return Ok(None);
    }
    for name in NAMES {
        let drop_in = DropIn::of(name, demanded);
        let mut after: Vec<ConfigFile> = files.iter().filter(|file| file.name != name).cloned().collect();
        after.push(ConfigFile { name: name.to_owned(), bytes: drop_in.contents.clone().into_bytes() });
        if missing(demanded, &configured(&after)?).is_empty() {
            return Ok(Some(drop_in));
        }
    }
    let last = effective(files, KEY)?.replaced_in.unwrap_or_default();
    Err(Invalid::new(
        format!("{FOLDER}/{last} has a plain `{KEY}:`, which drops whatever a file before it adds"),
        format!(
            "write `{KEY}+:` there, or rename it to come before {}",
            NAMES[0].trim_start_matches("config.yaml.d/")
        ),
    ))
}

/// What is to be done on a server that is in this state and shows this certificate, if it shows one.
pub fn next_step(
    state: &ServerState,
    certificate: Option<&Certificate>,
    demanded: &[String],
) -> Result<Step, Invalid> {
    if let Some(drop_in) = drop_in(&state.files, demanded)? {
        return Ok(Step::Write(drop_in));
    }
    let shows_all = certificate.is_some_and(|shown| shown.lacks(demanded).is_empty());
    Ok(if shows_all && state.is_up() {
        Step::Nothing
    } else if state.has_read_its_files() {
        Step::Wait
    } else {
        Step::Restart
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_counts_in_the_certificate_and_in_the_configuration_for_itself_alone() {
        let demanded = ["k3s.lab.internal".to_owned()];
        let certificate = Certificate {
            subject: String::new(),
            issuer: String::new(),
            sans: vec![San::of("*.lab.internal")],
            not_before: 0,
            not_after: 0,
            sha256: String::new(),
        };
        let state = |value: &str| {
            let bytes = format!("tls-san: [\"{value}\"]\n").into_bytes();
            let files = vec![ConfigFile { name: "config.yaml".to_owned(), bytes }];
            ServerState { unit: "active".into(), ready: "ok".into(), files, ..ServerState::default() }
        };
        let step = |value| next_step(&state(value), Some(&certificate), &demanded).unwrap();
        assert_eq!(step("k3s.lab.internal"), Step::Nothing);
        assert!(matches!(step("*.lab.internal"), Step::Write(_)));
        let demanded = ["*.lab.internal".to_owned()];
        let step = |value| next_step(&state(value), Some(&certificate), &demanded).unwrap();
        assert_eq!(step("*.lab.internal"), Step::Nothing);
        assert!(matches!(step("k3s.lab.internal"), Step::Write(_)));
    }
}
