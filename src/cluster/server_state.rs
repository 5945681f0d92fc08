//! What a server says about itself when it is looked at over ssh: its unit, its API, its configuration.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::ids::Invalid;

use super::UnixSeconds;
use super::k3s_config::ConfigFile;

/// Prints the state, for [`ServerState::parse`]. One look is one round trip.
///
/// `%Z`, the time of the last change, counts renames as well. The API is asked through k3s' own kubectl, so that "ready"
/// is this server's `/readyz`, of whatever version and with whatever is open to strangers.
pub const LOOK: &str = r#"
PATH=$PATH:/usr/local/bin
systemctl show k3s.service --property=ActiveState,ExecMainStartTimestamp --timestamp=unix || exit
printf 'Ready=%s\n' "$(timeout 5 k3s kubectl get --raw=/readyz --request-timeout=4s 2>/dev/null)"
cd /etc/rancher/k3s 2>/dev/null || exit 0
for file in config.yaml config.yaml.d/* config.yaml.d/.[!.]*; do
    [ -f "$file" ] || continue
    contents=$(base64 -w0 "$file") || exit
    printf 'File=%s %s %s\n' "$(printf %s "$file" | base64 -w0)" "$(stat -Lc %Z "$file")" "$contents"
done
"#;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerState {
    /// systemd's word for the unit: `active`, `activating`, `failed` …
    pub unit: String,
    pub started_at: Option<UnixSeconds>,
    /// What `/readyz` answers, empty when it does not.
    pub ready: String,
    pub files: Vec<ConfigFile>,
    /// The latest of the files.
    pub changed_at: UnixSeconds,
}

impl ServerState {
    pub fn parse(text: &[u8]) -> Result<Self, Invalid> {
        let strange = |what: &str| {
            let help = "is it a k3s server with systemd 251 or later, as Fedora CoreOS has it?";
            Invalid::new(format!("the node's answer is not understood: {what}"), help)
        };
        let text = std::str::from_utf8(text).map_err(|_| strange("it is no text"))?;
        let mut state = ServerState::default();
        for line in text.lines() {
            match line.split_once('=') {
                Some(("ActiveState", word)) => state.unit = word.to_owned(),
                // Empty for a unit that never started.
                Some(("ExecMainStartTimestamp", time)) => {
                    state.started_at = time.strip_prefix('@').and_then(|seconds| seconds.parse().ok());
                }
                Some(("Ready", word)) => state.ready = word.to_owned(),
                Some(("File", rest)) => {
                    let (file, changed_at) = read_file(rest).ok_or_else(|| strange("a file is cut off"))?;
                    state.changed_at = state.changed_at.max(changed_at);
                    state.files.push(file);
                }
                // The API's own words, where it is not ready, are several lines.
                _ => {}
            }
        }
        if state.unit.is_empty() {
            Err(strange("it does not name the state of k3s.service"))
        } else {
            Ok(state)
        }
    }

    /// systemd's view alone.
    pub fn is_active(&self) -> bool {
        self.unit == "active"
    }

    pub fn is_up(&self) -> bool {
        self.is_active() && self.ready == "ok"
    }

    /// Whether the process that runs is younger than its files. Times are whole seconds: of the same second, it is not.
    pub fn has_read_its_files(&self) -> bool {
        let runs = ["active", "activating", "reloading"].contains(&self.unit.as_str());
        runs && self.started_at.is_some_and(|started_at| started_at > self.changed_at)
    }

    /// Why it is not up, for people.
    pub fn complaint(&self) -> String {
        match self.unit.as_str() {
            "active" => "k3s runs, but its API is not ready".to_owned(),
            unit => format!("k3s is {unit}"),
        }
    }
}

fn read_file(line: &str) -> Option<(ConfigFile, UnixSeconds)> {
    let mut words = line.split(' ');
    let name = String::from_utf8(BASE64_STANDARD.decode(words.next()?).ok()?).ok()?;
    let changed_at = words.next()?.parse().ok()?;
    let bytes = BASE64_STANDARD.decode(words.next()?).ok()?;
    Some((ConfigFile { name, bytes }, changed_at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_is_read_whatever_is_in_the_files() {
        let answer = b"ActiveState=active\nExecMainStartTimestamp=@1700000001\nReady=ok\n\
            File=Y29uZmlnLnlhbWw= 1700000000 dG9rZW46IGE9YgpGaWxlPXggeQo=\nFile=Y29uZmlnLnlhbWwuZC9h 1600000000 \n";
        let state = ServerState::parse(answer).unwrap();
        assert!(state.is_up() && state.has_read_its_files());
        assert_eq!(state.files[0].bytes, b"token: a=b\nFile=x y\n");
        assert_eq!((state.files[1].name.as_str(), state.files[1].bytes.len()), ("config.yaml.d/a", 0));
        assert_eq!(state.changed_at, 1_700_000_000);
        assert!(!format!("{state:?}").contains("token"));
    }

    #[test]
    fn a_server_that_is_not_ready_or_not_active_is_not_up() {
        for (answer, up) in [
            ("ActiveState=active\nReady=ok\n", true),
            ("ActiveState=active\nReady=\n", false),
            ("ActiveState=active\nReady=[+]ping ok\n[-]etcd failed\nreadyz check failed\n", false),
            ("ActiveState=deactivating\nReady=ok\n", false),
            ("ActiveState=failed\nExecMainStartTimestamp=\nReady=\n", false),
        ] {
            assert_eq!(ServerState::parse(answer.as_bytes()).unwrap().is_up(), up, "{answer}");
        }
    }

    #[test]
    fn an_answer_that_is_none_is_refused() {
        for answer in [
            &b""[..],
            b"Ready=ok\n",
            b"ActiveState=active\nFile=Y29u\n",
            b"ActiveState=active\nFile=? 1 \n",
            b"\xff",
        ] {
            assert!(ServerState::parse(answer).is_err(), "{answer:?}");
        }
    }

    #[test]
    fn of_the_same_second_k3s_may_not_have_read_its_files() {
        let state = |started, changed| ServerState {
            unit: "active".into(),
            started_at: Some(started),
            changed_at: changed,
            ..ServerState::default()
        };
        assert!(state(11, 10).has_read_its_files());
        assert!(!state(10, 10).has_read_its_files());
        assert!(!state(9, 10).has_read_its_files());
    }
}
