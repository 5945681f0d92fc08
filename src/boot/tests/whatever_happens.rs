//! Any lifecycle, against a model that knows what operators said and what machines did, and nothing of the fold.

use proptest::prelude::*;

use super::super::{Choice, Event, History};
use super::inventory_with;
use super::told::{Told, armed_for, booted, ignition, installed};
use crate::inventory::{InstallForm, Inventory};

#[derive(Debug, Clone)]
enum Step {
    Boot(usize),
    Report(usize, Kind),
    Arm(usize, u64, bool),
    Disarm(usize),
    Wait(u64),
    ClockGoesBack(u64),
    /// To its other name, and back.
    Rename(usize),
    /// A line of the journal was lost.
    Damage,
    /// It is written anew, and read.
    Restart,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Installed,
    Booted,
    BootedAgain,
    Ignition,
    Failed,
    /// Whatever else a node says.
    Stage(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let host = || 0..2_usize;
    let kind = prop_oneof![
        Just(Kind::Installed),
        Just(Kind::Booted),
        Just(Kind::BootedAgain),
        Just(Kind::Ignition),
        Just(Kind::Failed),
        (0..5_u8).prop_map(Kind::Stage),
    ];
    prop_oneof![
        8 => host().prop_map(Step::Boot),
        8 => (host(), kind).prop_map(|(host, kind)| Step::Report(host, kind)),
        3 => (host(), 1..1000_u64, proptest::bool::ANY).prop_map(|(host, time, b)| Step::Arm(host, time, b)),
        2 => host().prop_map(Step::Disarm),
        4 => (0..60_u64).prop_map(Step::Wait),
        1 => (1..1000_u64).prop_map(Step::ClockGoesBack),
        1 => host().prop_map(Step::Rename),
        1 => Just(Step::Damage),
        1 => Just(Step::Restart),
    ]
}

const NAMES: [[&str; 2]; 2] = [["one", "uno"], ["two", "due"]];

/// A machine, as one sees it who stands beside it and hears what operators say.
#[derive(Default, Clone, Copy)]
struct Beside {
    /// Which of its names the inventory has.
    name: usize,
    /// From when, until when, and whether to bootstrap: under each of its names.
    armed: [Option<(u64, u64, bool)>; 2],
    /// Since it was armed under that name: the word may be used up.
    reported: [bool; 2],
    /// Since somebody looked.
    sent_to_install: u32,
    fetched_ignition: bool,
}

proptest! {
    #[test]
    fn whatever_happens_a_disk_is_written_only_by_an_operators_word_and_a_cluster_made_once(
        steps in proptest::collection::vec(step(), 1..80), silent in proptest::bool::ANY)
    {
        let form = if silent { InstallForm::KernelArguments } else { InstallForm::Verified };
        let inventories: Vec<Inventory> = (0..4).map(|names| {
            let [[one, two], ..] = [[NAMES[0][names & 1], NAMES[1][names >> 1]]];
            inventory_with("bootstrap", &format!(
                "  {one}: {{address: 192.168.26.5, mac: 52:54:00:00:00:01}}
  {two}: {{address: 192.168.26.6, mac: 52:54:00:00:00:02}}
  three: {{address: 192.168.26.7, mac: 52:54:00:00:00:03}}
"))
        }).collect();
        let mut told = Told::new(&inventories[0]);
        told.now = 10_000;
        let mut machines = [Beside::default(); 2];
        let (mut is_bootstrapped, mut is_damaged) = (false, false);
        for step in steps {
            let name = |machine: usize| NAMES[machine][machines[machine].name];
            match step {
                Step::Wait(seconds) => told.now += seconds,
                Step::ClockGoesBack(seconds) => told.now -= seconds.min(told.now),
                Step::Damage => {
                    is_damaged = true;
                    machines.iter_mut().for_each(|machine| machine.armed = [None; 2]);
                    told.history.disarm_all();
                    told.history.doubt();
                }
                Step::Restart => {
                    let mut read = History::default();
                    read.doubt = told.history.doubt.clone();
                    for (host, known) in told.history.iter() {
                        let json = serde_json::to_vec(known).unwrap();
                        read.insert(host.clone(), serde_json::from_slice(&json).unwrap());
                    }
                    prop_assert_eq!(&read, &told.history);
                    told.history = read;
                }
                Step::Rename(machine) => {
                    machines[machine].name ^= 1;
                    told.inventory = &inventories[machines[0].name | machines[1].name << 1];
                }
                Step::Arm(machine, time, bootstrap) => {
                    let bootstrap = bootstrap && machine == 0;
                    told.happens(name(machine), armed_for(&told, time, bootstrap));
                    let beside = &mut machines[machine];
                    beside.armed[beside.name] = Some((told.now, told.now + time, bootstrap));
                    beside.reported[beside.name] = false;
                    beside.sent_to_install = 0;
                }
                Step::Disarm(machine) => {
                    told.happens(name(machine), Event::Disarmed);
                    machines[machine].armed[machines[machine].name] = None;
                }
                Step::Report(machine, kind) => {
                    let name = name(machine);
                    let bootstraps = machine == 0 && !is_bootstrapped;
                    let config = match (machine, bootstraps) {
                        (0, true) => format!("{name}-bootstrap"),
                        (0, false) => format!("{name}-reinstall"),
                        _ => name.to_owned(),
                    };
                    let beside = &mut machines[machine];
                    if matches!(kind, Kind::Installed | Kind::Booted | Kind::BootedAgain) {
                        beside.reported[beside.name] = true;
                        is_bootstrapped |= bootstraps;
                    }
                    if matches!(kind, Kind::Installed) {
                        beside.armed[beside.name] = None;
                    }
                    if matches!(kind, Kind::Ignition) {
                        beside.fetched_ignition = true;
                    } else if !matches!(kind, Kind::Stage(_) | Kind::BootedAgain) {
                        beside.sent_to_install = 0;
                    }
                    told.reports(name, match kind {
                        Kind::Installed => installed(&config),
                        Kind::Booted => booted(&config),
                        Kind::BootedAgain => Event::Booted { config, ignition: None, again: true },
                        Kind::Stage(0) => Event::Layering { config, message: String::new() },
                        Kind::Stage(1) => Event::Rebooting { config, message: String::new() },
                        Kind::Stage(2) => Event::K3sStarted { config },
                        Kind::Stage(3) => Event::Joined { config, ca_sha256: None },
                        Kind::Stage(_) => Event::StepFailed { config, message: "a.service: timeout".into() },
                        Kind::Ignition => ignition(&config),
                        Kind::Failed => Event::InstallFailed { config, message: "no disk".into() },
                    });
                }
                Step::Boot(machine) => {
                    told.is_seen(name(machine));
                    let boots = told.boots(name(machine), form);
                    let now = told.now;
                    let beside = &mut machines[machine];
                    // Clocks drift by five minutes at most; one that went back further has forgotten.
                    let word = beside.armed[beside.name]
                        .filter(|(from, until, _)| *from <= now + 300 && now < *until);
                    if let Choice::Install(config) = boots {
                        prop_assert!(word.is_some(), "{config} without an operator's word");
                        let by_word = word.is_some_and(|(_, _, bootstrap)| bootstrap);
                        let is_second = config.ends_with("-bootstrap") && (is_bootstrapped || is_damaged);
                        prop_assert!(by_word || !is_second, "a second cluster");
                        beside.sent_to_install += 1;
                    } else if word.is_some() && !beside.reported[beside.name] && beside.sent_to_install < 3 {
                        prop_assert!(silent && beside.fetched_ignition, "an operator's word does not hold");
                    }
                }
            }
        }
        prop_assert!(told.history.iter().all(|(_, known)| known.events.len() <= 40));
    }
}
