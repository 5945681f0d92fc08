//! What is told of hosts, event by event, as the server would note it; and the events by short names.

use super::super::{Choice, Dated, Event, History, Moment, decide, presumed_installed};
use crate::inventory::{InstallForm, Inventory};

pub fn at(seconds: u64) -> Moment {
    Moment::from_unix(1_800_000_000 + seconds)
}

pub struct Told<'i> {
    pub inventory: &'i Inventory,
    pub history: History,
    pub now: u64,
}

impl<'i> Told<'i> {
    pub fn new(inventory: &'i Inventory) -> Self {
        Told { inventory, history: History::default(), now: 0 }
    }

    pub fn happens(&mut self, host: &str, event: Event) {
        let host = &self.inventory.host(host).unwrap().name;
        self.history.apply(host, Dated { at: at(self.now), event });
    }

    pub fn now(&self, host: &str) -> Choice {
        decide(self.inventory, self.inventory.host(host).unwrap(), &self.history, at(self.now)).boots
    }

    /// As the server notes it before what a host does.
    pub fn is_seen(&mut self, host: &str) {
        if let Some(hardware) = self.history.hardware_of(self.inventory.host(host).unwrap()) {
            self.happens(host, hardware);
        }
    }

    pub fn reports(&mut self, host: &str, event: Event) {
        self.is_seen(host);
        self.happens(host, event);
    }

    /// A boot as the server does it.
    pub fn boots(&mut self, host: &str, form: InstallForm) -> Choice {
        if let Some(config) = presumed_installed(form, self.history.of(host)).map(str::to_owned) {
            self.happens(host, Event::PresumedInstalled { config });
        }
        let boots = self.now(host);
        self.happens(host, Event::Script { boots: boots.clone() });
        boots
    }
}

pub fn install(config: &str) -> Choice {
    Choice::Install(config.into())
}

pub fn installed(config: &str) -> Event {
    Event::Installed { config: config.into(), ignition: None }
}

pub fn booted(config: &str) -> Event {
    Event::Booted { config: config.into(), ignition: None, again: false }
}

pub fn armed_for(told: &Told<'_>, seconds: u64, bootstrap: bool) -> Event {
    Event::Armed { until: at(told.now + seconds), bootstrap }
}

pub fn ignition(config: &str) -> Event {
    Event::Ignition { config: config.into(), sha256: crate::catalogue::Sha256::of(b"") }
}
