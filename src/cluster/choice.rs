//! By which address a kubeconfig reaches the API: the VIP if it is good, else the first server that is.

use std::net::IpAddr;

use serde::Serialize;

use crate::ids::{DnsName, HostName};
use crate::inventory::Inventory;

use super::API_PORT;
use super::failure::Failure;

/// What an address leads to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    Vip,
    Server(HostName),
}

/// How the certificate and the URL name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    Name(DnsName),
    Address(IpAddr),
}

/// One way to the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    pub via: Via,
    pub host: Host,
}

impl Candidate {
    /// As in a kubeconfig.
    pub fn server(&self) -> String {
        match &self.host {
            Host::Name(name) => format!("https://{name}:{API_PORT}"),
            Host::Address(address) => format!("https://{}", std::net::SocketAddr::new(*address, API_PORT)),
        }
    }
}

/// Best first: the VIP's name, which stays when its address changes; the VIPs; the servers in the inventory's order.
pub fn candidates(inventory: &Inventory) -> Vec<Candidate> {
    let name = inventory.network.control_planes_name.iter();
    let names = name.map(|name| Candidate { via: Via::Vip, host: Host::Name(name.clone()) });
    let vips = inventory.vips.control_planes.iter();
    let vips = vips.map(|vip| Candidate { via: Via::Vip, host: Host::Address(*vip) });
    let servers = inventory.control_planes().flat_map(|host| {
        let candidate = |address: &IpAddr| Candidate {
            via: Via::Server(host.name.clone()),
            host: Host::Address(*address),
        };
        host.addresses.iter().map(candidate)
    });
    names.chain(vips).chain(servers).collect()
}

/// What a name of the VIP resolves to, if that is the VIP: the first of its addresses that is one.
pub fn resolved_vip(vips: &[IpAddr], addresses: &[IpAddr]) -> Result<IpAddr, Failure> {
    let vip = addresses.iter().find(|address| vips.contains(address));
    vip.copied().ok_or_else(|| {
        let shown: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        Failure::Elsewhere(shown.join(", "))
    })
}

/// What came of a candidate; `None` as long as nothing did.
pub type Outcome = Option<Result<(), Failure>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// The place of the best one that is good.
    Use(usize),
    Nobody,
    /// A better one than the best so far may still answer.
    Undecided,
}

/// The first that is good, as soon as all before it have failed.
pub fn choose(outcomes: &[Outcome]) -> Choice {
    match outcomes.iter().position(|outcome| !matches!(outcome, Some(Err(_)))) {
        None => Choice::Nobody,
        Some(place) if outcomes[place].is_some() => Choice::Use(place),
        Some(_) => Choice::Undecided,
    }
}

/// So many rounds in a row must agree that the current server has failed, or that another is better, before `--watch`
/// turns. From the first of three rounds, 3 s apart, to the answer of the last it is longer than a failover of the VIP
/// takes (docs/failover.md), which is no reason to turn.
pub const ROUNDS_THAT_AGREE: u32 = 3;

/// Turns from one candidate to another only when it is sure.
#[derive(Debug, Default)]
pub struct Steady {
    current: Option<usize>,
    /// Why the last rounds would have turned, and how many of them.
    streak: Option<(Reason, u32)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    /// The current one is not good, whoever is.
    Failed,
    /// This one is good, and comes before the current one.
    Better(usize),
}

impl Steady {
    /// One more round; gives the candidate to turn to, if any. With nobody to turn to, what is there stays.
    pub fn round(&mut self, choice: Choice) -> Option<usize> {
        let chosen = if let Choice::Use(place) = choice { Some(place) } else { None };
        let Some(current) = self.current else {
            self.current = chosen;
            return chosen;
        };
        let reason = match chosen {
            Some(place) if place == current => {
                self.streak = None;
                return None;
            }
            Some(place) if place < current => Reason::Better(place),
            _ => Reason::Failed,
        };
        let rounds = match self.streak {
            Some((same, rounds)) if same == reason => rounds + 1,
            _ => 1,
        };
        self.streak = Some((reason, rounds));
        let turned = chosen.filter(|_| rounds >= ROUNDS_THAT_AGREE);
        if turned.is_some() {
            (self.current, self.streak) = (turned, None);
        }
        turned
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn outcome() -> impl Strategy<Value = Outcome> {
        prop_oneof![Just(None), Just(Some(Ok(()))), Just(Some(Err(Failure::Refused)))]
    }

    #[test]
    fn every_combination_of_dead_and_alive_gives_the_first_that_lives() {
        // A VIP's name, a VIP and seven servers: all 512.
        for alive in 0..1_u32 << 9 {
            let lives = |place: u32| alive & 1 << place != 0;
            let outcomes: Vec<Outcome> =
                (0..9).map(|place| Some(if lives(place) { Ok(()) } else { Err(Failure::Refused) })).collect();
            let expected = match alive {
                0 => Choice::Nobody,
                _ => Choice::Use(alive.trailing_zeros() as usize),
            };
            assert_eq!(choose(&outcomes), expected, "{alive:b}");
        }
    }

    proptest! {
        #[test]
        fn a_choice_is_never_overturned_by_what_comes_later(
            outcomes in prop::collection::vec(outcome(), 0..8),
            later in prop::collection::vec(outcome(), 8),
        ) {
            let chosen = choose(&outcomes);
            if chosen != Choice::Undecided {
                let all: Vec<Outcome> =
                    outcomes.iter().zip(later).map(|(now, later)| now.clone().or(later)).collect();
                prop_assert_eq!(choose(&all), chosen);
            }
        }

        #[test]
        fn who_is_undecided_decides_when_all_have_answered(outcomes in prop::collection::vec(outcome(), 0..8)) {
            let all: Vec<Outcome> =
                outcomes.into_iter().map(|outcome| outcome.or(Some(Err(Failure::Refused)))).collect();
            prop_assert_ne!(choose(&all), Choice::Undecided);
        }

        #[test]
        fn it_turns_after_three_rounds_that_are_against_the_current_one_and_never_before(
            rounds in prop::collection::vec(prop_oneof![Just(Choice::Nobody), (0..3_usize).prop_map(Choice::Use)], 1..40),
        ) {
            let (mut steady, mut current, mut since) = (Steady::default(), None, 0);
            for (index, round) in rounds.iter().enumerate() {
                let against = |round: &Choice| *round != Choice::Use(current.unwrap_or(usize::MAX));
                let last = &rounds[since.max((index + 1).saturating_sub(3))..=index];
                let all_against = last.len() == 3 && last.iter().all(against);
                let turned = steady.round(*round);
                if let Some(place) = turned {
                    prop_assert_eq!(Choice::Use(place), *round);
                    prop_assert!(current.is_none() || all_against);
                    (current, since) = (turned, index + 1);
                } else if let (Some(now), Choice::Use(place), true) = (current, round, all_against) {
                    // All agree that it has failed, or all that the same one is better: then it turns.
                    let failed = |round: &Choice| matches!(round, Choice::Nobody) || matches!(round, Choice::Use(place) if *place > now);
                    prop_assert!(!last.iter().all(failed));
                    prop_assert!(*place > now || !last.iter().all(|other| other == round));
                }
            }
        }
    }

    #[test]
    fn a_vip_that_comes_and_goes_in_one_round_changes_nothing() {
        let mut steady = Steady::default();
        assert_eq!(steady.round(Choice::Use(0)), Some(0));
        for round in [1, 0, 1, 1, 0, 1, 0].map(Choice::Use) {
            assert_eq!(steady.round(round), None);
        }
        for _ in 0..2 {
            assert_eq!(steady.round(Choice::Use(1)), None);
        }
        assert_eq!(steady.round(Choice::Use(1)), Some(1));
    }

    #[test]
    fn a_dead_one_is_left_even_when_the_others_come_and_go() {
        let mut steady = Steady::default();
        assert_eq!(steady.round(Choice::Use(0)), Some(0));
        assert_eq!(steady.round(Choice::Use(1)), None);
        assert_eq!(steady.round(Choice::Nobody), None);
        assert_eq!(steady.round(Choice::Use(2)), Some(2));
    }
}
