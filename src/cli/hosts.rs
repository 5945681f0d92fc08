//! `hosts`: what each host would boot now and why, what happened to it last, and who else asked.

use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::boot::{HostEntry, Moment, Roster, Stranger, Trouble};

use super::ask::OperatorArgs;

/// Say what each host would boot from the network now and why, what happened to it last, and which unknown machines asked
#[derive(Debug, clap::Args)]
pub struct HostsArgs {
    /// All that is known, as JSON: the last forty events of each host
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    operator: OperatorArgs,
}

pub fn run(args: HostsArgs) -> anyhow::Result<ExitCode> {
    let roster = args.operator.roster()?;
    let text = match args.json {
        true => serde_json::to_string_pretty(&roster)? + "\n",
        false => {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            to_text(&roster, Moment::from_unix(since.as_secs()))
        }
    };
    super::print(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

const HEADINGS: [&str; 7] = ["HOST", "STAGE", "BOOT", "BOOTS NOW", "BECAUSE", "LAST", "AGO"];

/// Of the last event; a table is for a screen.
const LAST_MAX: usize = 80;

fn to_text(roster: &Roster, now: Moment) -> String {
    let mut rows = vec![HEADINGS.map(str::to_owned)];
    rows.extend(roster.hosts.iter().map(|host| row(host, now)));
    let mut text = warnings(roster);
    super::table(&rows, &mut text);
    let reboots: String = roster.hosts.iter().filter_map(|host| reboot(host, now)).collect();
    if !reboots.is_empty() {
        text.push('\n');
        text.push_str(&reboots);
    }
    let mut troubles = roster.hosts.iter().filter_map(|host| Some((host, host.trouble.as_ref()?))).peekable();
    if troubles.peek().is_some() {
        text.push_str("\nHosts that need a look:\n");
        troubles.for_each(|(host, trouble)| text.push_str(&hangs(host, trouble, now)));
    }
    if !roster.unknown.is_empty() {
        text.push_str("\nMachines that are no host of the inventory:\n");
        roster.unknown.iter().for_each(|stranger| text.push_str(&describe(stranger, now)));
    }
    text
}

/// What to know before anything else about the hosts.
pub fn warnings(roster: &Roster) -> String {
    let doubt = |why| format!("Hosts that no install is known of may be installed: {why}\n");
    let doubt = roster.doubt.as_ref().map(doubt).unwrap_or_default();
    let snapshots = roster.snapshots.as_deref().map(warn_of_snapshots).unwrap_or_default();
    roster.broken.as_deref().map(broken).unwrap_or_default() + &doubt + &snapshots
}

pub fn broken(reason: &str) -> String {
    format!("The last edit is not served, and nobody is installed until it is mended: {reason}\n")
}

pub fn warn_of_snapshots(reason: &str) -> String {
    format!("Snapshots: {reason}\n")
}

fn row(host: &HostEntry, now: Moment) -> [String; 7] {
    let last = host.history.events.back();
    [
        host.name.to_string(),
        host.history.progress.as_ref().map_or("-".into(), |progress| progress.stage.to_string()),
        host.policy.clone(),
        host.boots.to_string(),
        host.why.clone(),
        last.map_or("-".into(), |last| short(last.event.to_string())),
        last.map_or("-".into(), |last| ago(now.since(last.at))),
    ]
}

/// Who holds the reboot lock, and that it holds it for too long.
fn reboot(host: &HostEntry, now: Moment) -> Option<String> {
    let lock = host.history.reboot.as_ref()?;
    let (name, since) = (&host.name, ago(now.since(lock.at)));
    let overdue = match lock.is_overdue(now) {
        true => format!(
            ": it is not back, and nobody else like it may reboot until it is, or until `pxe-serve unlock {name}`"
        ),
        false => String::new(),
    };
    Some(format!("{name} holds the reboot lock since {} ({since}){overdue}\n", lock.at))
}

/// Where a host hangs and since when, with the last lines of the unit that failed.
fn hangs(host: &HostEntry, trouble: &Trouble, now: Moment) -> String {
    let Trouble { since, reason, said } = trouble;
    let mut text = format!("  {}: {reason} ({} ago, {since})\n", host.name, ago(now.since(*since)));
    said.iter().for_each(|line| text.push_str(&format!("    {line}\n")));
    text
}

/// What a machine reports may be long, and --json has all of it.
fn short(text: String) -> String {
    match text.char_indices().nth(LAST_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn describe(stranger: &Stranger, now: Moment) -> String {
    let Stranger { machine, address, first_seen, last_seen, conflict } = stranger;
    let kind: Vec<&str> =
        [&machine.buildarch, &machine.platform].into_iter().flatten().map(String::as_str).collect();
    let kind = if kind.is_empty() { String::new() } else { format!(" ({})", kind.join(" ")) };
    let seen = format!("asked {} ago, first {first_seen}", ago(now.since(*last_seen)));
    let mut text = format!("  {machine}{kind} from {address}, {seen}\n");
    conflict.iter().for_each(|reason| text.push_str(&format!("    {reason}\n")));
    text
}

/// The two largest units: `3days 4h`, `12m 5s`.
pub fn ago(time: Duration) -> String {
    let long = humantime::format_duration(time).to_string();
    long.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_hangs_is_named_below_the_table_with_the_reason_the_time_and_the_last_lines() {
        let json = r#"{"unknown": [], "hosts": [
            {"name": "lenovo1", "policy": "install_once", "boots": "local", "why": "installed", "stage": "joined",
             "stage_since": "2026-11-25T10:00:00Z"},
            {"name": "lenovo2", "policy": "install_once", "boots": "local", "why": "installed", "stage": "booted",
             "stage_since": "2026-11-25T10:00:00Z",
             "trouble": {"since": "2026-11-25T10:05:00Z", "reason": "booted; k3s-install.service: timeout",
                         "said": ["curl: (6) no host"]}},
            {"name": "lenovo3", "policy": "local", "boots": "local", "why": "boot: local"}]}"#;
        let mut roster: Roster = serde_json::from_str(json).unwrap();
        let now: Moment = serde_json::from_str(r#""2026-11-25T10:15:30Z""#).unwrap();
        let expected = "\
HOST     STAGE   BOOT          BOOTS NOW   BECAUSE      LAST  AGO
lenovo1  joined  install_once  local disk  installed    -     -
lenovo2  booted  install_once  local disk  installed    -     -
lenovo3  -       local         local disk  boot: local  -     -

Hosts that need a look:
  lenovo2: booted; k3s-install.service: timeout (10m 30s ago, 2026-11-25T10:05:00Z)
    curl: (6) no host
";
        assert_eq!(to_text(&roster, now), expected);
        roster.hosts[1].trouble = None;
        assert!(!to_text(&roster, now).contains("need a look"));
    }
}
