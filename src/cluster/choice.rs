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

/// So many rounds in a row must agree before `--watch` turns from one server to another. Three rounds of
/// three seconds are longer than a failover of the VIP takes (docs/failover.md: 2.6 to 4.7 s), which is no reason to turn.
pub const ROUNDS_THAT_AGREE: u32 = 3;

/// Turns from one candidate to another only when it is sure.
#[derive(Debug, Default)]
pub struct Steady {
    current: Option<usize>,
    /// What the last rounds chose instead, and how many of them.
    instead: Option<(usize, u32)>,
}

impl Steady {
    /// One more round; gives the candidate to turn to, if any. With nobody to turn to, what is there stays.
    pub fn round(&mut self, choice: Choice) -> Option<usize> {
        let Choice::Use(place) = choice else {
            self.instead = None;
            return None;
        };
        if self.current == Some(place) {
            self.instead = None;
            return None;
        }
        let rounds = match self.instead {
            Some((same, rounds)) if same == place => rounds + 1,
            _ => 1,
        };
        if self.current.is_some() && rounds < ROUNDS_THAT_AGREE {
            self.instead = Some((place, rounds));
            return None;
        }
        (self.current, self.instead) = (Some(place), None);
        Some(place)
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
        fn it_turns_only_after_three_rounds_that_agree(
            rounds in prop::collection::vec(prop_oneof![Just(Choice::Nobody), (0..3_usize).prop_map(Choice::Use)], 1..40),
        ) {
            let mut steady = Steady::default();
            let mut turned = Vec::new();
            for (index, round) in rounds.iter().enumerate() {
                if let Some(place) = steady.round(*round) {
                    turned.push(index);
                    let needed = if turned.len() == 1 { 1 } else { ROUNDS_THAT_AGREE as usize };
                    prop_assert!(index + 1 >= needed);
                    prop_assert!(rounds[index + 1 - needed..=index].iter().all(|round| *round == Choice::Use(place)));
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
}
