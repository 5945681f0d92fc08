//! Reboots against a model of the machines: whatever is asked, lost, crashed, armed and installed in whichever order, and
//! however the clock jumps, no two control planes reboot at once, etcd keeps its majority, and nobody waits for ever.

use std::time::Duration;

use super::super::reboot_lock::{NotNow, Readiness, ReleasedBy, is_turn_of, may_reboot};
use super::super::{Choice, Dated, Event, History, HostHistory, Moment};
use super::inventory_with;
use crate::inventory::{Host, Inventory, MINUTES_OF_A_WEEK};

/// What decides; the real one, or one with a mistake in it.
type Rule = fn(&Inventory, &Host, &History, &Readiness, &str, Moment) -> Result<(), NotNow>;

/// Half of them with three servers, half with five.
const SCHEDULES: u64 = 100_000;
const STEPS: u64 = 30;

/// As operators arm by default.
const ARMED_FOR: Duration = Duration::from_secs(30 * 60);

fn servers(count: usize, updates: &str) -> Inventory {
    let hosts =
        (1..=count).map(|n| format!("  s{n}: {{address: 192.168.26.{n}, mac: 52:54:00:00:00:0{n}}}\n"));
    let mut text = hosts.collect::<String>();
    text.push_str(updates);
    inventory_with("reinstall", &text)
}

/// splitmix64 (Steele, Lea, Flood 2014): a schedule is its number.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn one_in(&mut self, of: u64) -> bool {
        self.below(of) == 0
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Up,
    /// It was told that it may, and has not gone down yet.
    Allowed,
    Rebooting,
    /// Its system runs, its k3s does not answer yet.
    Starting,
    Crashed,
    Installing,
}

#[derive(Debug, Clone, Copy)]
struct Machine {
    state: State,
    /// It was up, and is not since it was told that it may reboot.
    is_down_by_us: bool,
    /// Zincati has heard since this boot that its lock is released; before that it asks for nothing.
    is_steady: bool,
    installations: u32,
    armed: Option<(u64, u64)>,
}

struct World<'i> {
    inventory: &'i Inventory,
    machines: Vec<Machine>,
    history: History,
    now: u64,
    grants: u64,
}

impl<'i> World<'i> {
    fn new(inventory: &'i Inventory, now: u64) -> Self {
        let machine = Machine {
            state: State::Up,
            is_down_by_us: false,
            is_steady: true,
            installations: 0,
            armed: None,
        };
        let machines = vec![machine; inventory.hosts.len()];
        World { inventory, machines, history: History::default(), now, grants: 0 }
    }

    fn happens(&mut self, of: usize, event: Event) {
        let host = &self.inventory.hosts[of].name;
        self.history.apply(host, Dated { at: Moment::from_unix(self.now), event });
    }

    fn is_ready(&self, of: usize) -> bool {
        matches!(self.machines[of].state, State::Up | State::Allowed)
    }

    fn ready(&self) -> usize {
        (0..self.machines.len()).filter(|of| self.is_ready(*of)).count()
    }

    fn id(&self, of: usize) -> String {
        format!("{of}.{}", self.machines[of].installations)
    }

    /// POST /v1/pre-reboot. What is asked in between may fail to arrive, and so may the answer.
    fn asks(&mut self, of: usize, rule: Rule, chance: &mut Chance) -> Result<(), String> {
        let host = &self.inventory.hosts[of];
        let mut readiness = Readiness::new();
        for (other, server) in self.inventory.hosts.iter().enumerate() {
            let answers = self.is_ready(other) && !chance.one_in(16);
            readiness.insert(server.name.clone(), if answers { Ok(200) } else { Err(String::new()) });
        }
        let (id, now) = (self.id(of), Moment::from_unix(self.now));
        if rule(self.inventory, host, &self.history, &readiness, &id, now).is_err() {
            return Ok(());
        }
        self.may_be_granted(of)?;
        self.grants += 1;
        self.happens(of, Event::RebootLocked { id });
        if !chance.one_in(8) {
            self.machines[of].state = State::Allowed;
        }
        Ok(())
    }

    /// What must be so when somebody is told that it may, said by looking at the machines and not at the journal.
    fn may_be_granted(&self, of: usize) -> Result<(), String> {
        let majority = self.machines.len() / 2 + 1;
        let others = (0..self.machines.len()).filter(|other| *other != of && self.is_ready(*other)).count();
        if others < majority {
            return Err(format!("{of} may reboot, and {others} others are ready"));
        }
        for (other, machine) in self.machines.iter().enumerate() {
            let in_force = |(at, until): (u64, u64)| at <= self.now + 300 && self.now < until;
            if machine.armed.is_some_and(in_force) {
                return Err(format!("{of} may reboot while {other} is armed"));
            }
        }
        let holds = self.holds(of);
        let minute = (self.now / 60 + 3 * 24 * 60) % u64::from(MINUTES_OF_A_WEEK);
        let has_windows = !self.inventory.updates.windows.is_empty();
        // Sun 23:00 for two hours, as `WINDOWS` has it.
        let is_open = !(60..6 * 24 * 60 + 23 * 60).contains(&minute);
        if has_windows && !is_open && !holds {
            return Err(format!("{of} may reboot in minute {minute} of the week"));
        }
        Ok(())
    }

    fn holds(&self, of: usize) -> bool {
        let known = self.history.of(self.inventory.hosts[of].name.as_str());
        known.is_some_and(|known| known.holds_reboot_lock(&self.id(of)))
    }

    /// POST /v1/steady-state, which Zincati sends until it is answered, while k3s may not be up yet.
    fn is_back(&mut self, of: usize, is_answered: bool) {
        if self.holds(of) {
            self.happens(of, Event::RebootReleased { by: ReleasedBy::Host });
        }
        self.machines[of].is_steady = is_answered;
    }

    fn starts(&mut self, of: usize) {
        self.machines[of].state = State::Starting;
        self.machines[of].is_steady = false;
    }

    fn ends_install(&mut self, of: usize) {
        self.machines[of].installations += 1;
        self.machines[of].armed = None;
        self.happens(of, Event::Installed { config: "c".into(), ignition: None });
        self.starts(of);
    }

    /// What was condensed into the journal and read again.
    fn server_restarts(&mut self) {
        let mut history = History::default();
        for (host, known) in self.history.iter() {
            let text = serde_json::to_string(known).unwrap();
            history.insert(host.clone(), serde_json::from_str::<HostHistory>(&text).unwrap());
        }
        self.history = history;
    }

    fn step(&mut self, rule: Rule, chance: &mut Chance) -> Result<(), String> {
        let of = usize::try_from(chance.below(self.machines.len() as u64)).unwrap();
        let state = self.machines[of].state;
        self.now += chance.below(120);
        match chance.below(64) {
            0 => self.now = (self.now + chance.below(10 * 86_400)).saturating_sub(5 * 86_400),
            1 => self.server_restarts(),
            2 | 3 => {
                self.machines[of].state = State::Crashed;
                self.machines[of].is_down_by_us = false;
            }
            4 => {
                let until = Moment::from_unix(self.now).plus(ARMED_FOR);
                self.machines[of].armed = Some((self.now, self.now + ARMED_FOR.as_secs()));
                self.happens(of, Event::Armed { until, bootstrap: false });
            }
            5 => {
                self.machines[of].armed = None;
                self.happens(of, Event::Disarmed);
            }
            6..=9 if self.machines[of].armed.is_some() => {
                self.machines[of].state = State::Installing;
                self.machines[of].is_down_by_us = false;
                self.happens(of, Event::Script { boots: Choice::Install("c".into()) });
            }
            // Somebody who has looked, and sees that it is off.
            10 if state == State::Crashed => {
                self.happens(of, Event::RebootReleased { by: ReleasedBy::Operator });
            }
            _ => match state {
                State::Up if !self.machines[of].is_steady => self.is_back(of, !chance.one_in(4)),
                State::Up => self.asks(of, rule, chance)?,
                // Somebody is logged in, so it asks once more.
                State::Allowed if chance.one_in(3) => self.asks(of, rule, chance)?,
                State::Allowed => {
                    self.machines[of].state = State::Rebooting;
                    self.machines[of].is_down_by_us = true;
                }
                State::Starting if chance.one_in(2) && !self.machines[of].is_steady => {
                    self.is_back(of, !chance.one_in(4));
                }
                State::Starting => {
                    self.machines[of].state = State::Up;
                    self.machines[of].is_down_by_us = false;
                }
                State::Rebooting | State::Crashed => self.starts(of),
                State::Installing => self.ends_install(of),
            },
        }
        self.is_well()
    }

    fn is_well(&self) -> Result<(), String> {
        let at_once = self.machines.iter().filter(|m| matches!(m.state, State::Allowed | State::Rebooting));
        if at_once.count() > 1 {
            return Err("two reboot at once".into());
        }
        let all_by_us =
            (0..self.machines.len()).all(|of| self.is_ready(of) || self.machines[of].is_down_by_us);
        let majority = self.machines.len() / 2 + 1;
        if all_by_us && self.ready() < majority {
            return Err(format!("only {} are ready, and nobody but us is to blame", self.ready()));
        }
        Ok(())
    }

    /// Everybody comes back, nothing is lost any more, armings and installs are over, and a window is open: somebody may.
    fn somebody_may_at_last(&mut self, rule: Rule) -> Result<(), String> {
        for of in 0..self.machines.len() {
            if self.machines[of].state == State::Installing {
                self.ends_install(of);
            }
            self.machines[of].state = State::Up;
            self.machines[of].armed = None;
            if !self.machines[of].is_steady || self.holds(of) {
                self.is_back(of, true);
            }
        }
        const WEEK: u64 = 7 * 86_400;
        // The first Sunday, 23:30, a month later: after all that clocks have said.
        let sunday = 3 * 86_400 + 23 * 3600 + 1800;
        self.now = (self.now / WEEK + 8) * WEEK + sunday;
        let all: Readiness = self.inventory.hosts.iter().map(|host| (host.name.clone(), Ok(200))).collect();
        let (host, now) = (&self.inventory.hosts[0], Moment::from_unix(self.now));
        rule(self.inventory, host, &self.history, &all, &self.id(0), now)
            .map_err(|not_now| not_now.to_string())
    }
}

const WINDOWS: &str = "updates: {windows: [{days: [Sun], start: \"23:00\", length: 2h}]}\n";

/// The first schedule that goes wrong and how, or how many reboots there were.
fn run(rule: Rule, count: usize, schedules: u64) -> Result<u64, String> {
    let sites = ["", WINDOWS].map(|updates| servers(count, updates));
    let mut grants = 0;
    for number in 0..schedules {
        let inventory = &sites[usize::try_from(number % 2).unwrap()];
        // Sunday, 22:50: ten minutes before the window.
        let mut world = World::new(inventory, 1_800_226_200);
        let mut chance = Chance(number << 20);
        let in_schedule = |step: u64, why| format!("schedule {number}, step {step}: {why}");
        for step in 0..STEPS {
            world.step(rule, &mut chance).map_err(|why| in_schedule(step, why))?;
        }
        grants += world.grants;
        world.somebody_may_at_last(rule).map_err(|why| in_schedule(STEPS, why))?;
    }
    Ok(grants)
}

fn keeps_the_cluster(count: usize) {
    let grants = run(may_reboot, count, SCHEDULES / 2).unwrap_or_else(|why| panic!("{why}"));
    // Where nobody ever may, nothing can go wrong.
    assert!(grants > SCHEDULES / 2, "{grants}");
}

#[test]
fn of_three_servers_never_two_reboot_at_once_etcd_keeps_its_majority_and_somebody_may_at_last() {
    keeps_the_cluster(3);
}

#[test]
fn of_five_servers_never_two_reboot_at_once_etcd_keeps_its_majority_and_somebody_may_at_last() {
    keeps_the_cluster(5);
}

/// Each is the rule with one mistake.
const MISTAKES: [(&str, Rule, &str); 8] = [
    ("everybody may", |_, _, _, _, _, _| Ok(()), "two reboot at once"),
    ("nobody may", |_, _, _, _, _, _| Err(NotNow::Off), "updates.strategy is off"),
    (
        "the lock does not count",
        |inventory, host, history, readiness, id, now| {
            let history = without(history, |known| known.reboot = None);
            may_reboot(inventory, host, &history, readiness, id, now)
        },
        "two reboot at once",
    ),
    (
        "a lock is over after half an hour",
        |inventory, host, history, readiness, id, now| {
            let overdue =
                |known: &HostHistory| known.reboot.as_ref().is_some_and(|lock| lock.is_overdue(now));
            let history = without(history, |known| {
                if overdue(known) {
                    known.reboot = None;
                }
            });
            may_reboot(inventory, host, &history, readiness, id, now)
        },
        "two reboot at once",
    ),
    (
        "one fewer need be ready",
        |inventory, host, history, readiness, id, now| {
            let mut readiness = readiness.clone();
            if let Some(down) = readiness.values_mut().find(|answer| answer.is_err()) {
                *down = Ok(200);
            }
            may_reboot(inventory, host, history, &readiness, id, now)
        },
        "others are ready",
    ),
    (
        "who holds the lock may whoever went down since",
        |inventory, host, history, readiness, id, now| {
            let known = history.of(host.name.as_str());
            match known.is_some_and(|known| known.holds_reboot_lock(id)) {
                true => is_turn_of(inventory, host, history, id, now),
                false => may_reboot(inventory, host, history, readiness, id, now),
            }
        },
        "others are ready",
    ),
    (
        "an arming does not count",
        |inventory, host, history, readiness, id, now| {
            may_reboot(inventory, host, &without(history, |known| known.armed = None), readiness, id, now)
        },
        "is armed",
    ),
    (
        "the windows are an hour off",
        |inventory, host, history, readiness, id, now| {
            // What it says of other times stays as it is.
            let then = now.plus(Duration::from_secs(3600));
            let mut inventory = inventory.clone();
            if may_reboot(&inventory, host, history, readiness, id, then).is_ok() {
                inventory.updates.windows.clear();
            }
            may_reboot(&inventory, host, history, readiness, id, now)
        },
        "of the week",
    ),
];

fn without(history: &History, change: impl Fn(&mut HostHistory)) -> History {
    let mut changed = history.clone();
    for (host, known) in history.iter() {
        let mut known = known.clone();
        change(&mut known);
        changed.insert(host.clone(), known);
    }
    changed
}

#[test]
fn the_model_finds_every_mistake_in_the_rule() {
    for (what, rule, found) in MISTAKES {
        let why = run(rule, 3, SCHEDULES / 2).expect_err(what);
        assert!(why.contains(found), "{what}: {why}");
    }
}
