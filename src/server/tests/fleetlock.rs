//! Hosts that ask whether they may reboot, as Zincati does.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use crate::boot::Event;
use crate::catalogue::Catalogue;
use crate::generation::Generation;
use crate::inventory::{self, Inventory};
use crate::server::AskReadiness;
use crate::server::peer::Peer;
use crate::server::state::{Served, Status};

use super::asking::{LENOVO1, LENOVO2, LOOPBACK, OPERATOR, Reply, STRANGER, Site, at};

const LENOVO3: Peer = at([192, 168, 26, 7]);
const WORKER1: Peer = at([192, 168, 26, 8]);
const WORKER2: Peer = at([192, 168, 26, 9]);

fn inventory(updates: &str) -> Inventory {
    let text = format!(
        "\
vips: {{control_planes: 192.168.26.253}}
router: {{base_url: http://192.168.26.1}}
network: {{cidr: 192.168.26.0/24}}
ssh_authorized_keys: [ssh-ed25519 AAAA me]
keepalived: {{virtual_router_id: 26}}
k3s: {{version: v1.32.5+k3s1, token: {{env: TOKEN}}, agent_token: {{env: AGENT_TOKEN}}}}
updates: {updates}
defaults: {{role: control_plane, interface: eth0, install_device: /dev/nvme0n1}}
hosts:
  lenovo1: {{address: 192.168.26.5, mac: 52:54:00:00:00:01}}
  lenovo2: {{address: 192.168.26.6, mac: 52:54:00:00:00:02}}
  lenovo3: {{address: 192.168.26.7, mac: 52:54:00:00:00:03}}
  worker1: {{address: 192.168.26.8, mac: 52:54:00:00:00:04, role: worker}}
  worker2: {{address: 192.168.26.9, mac: 52:54:00:00:00:05, role: worker}}
"
    );
    inventory::parse("inventory.yaml", text.as_bytes()).0.expect("a good inventory")
}

/// Of an address, the last number.
fn last(peer: Peer) -> u8 {
    match peer.network() {
        Some(IpAddr::V4(address)) => address.octets()[3],
        _ => panic!("{peer}"),
    }
}

/// Which servers are down, and a site whose server can ask them.
struct Lab {
    site: Site,
    down: Arc<Mutex<BTreeSet<IpAddr>>>,
}

impl Lab {
    fn new(updates: &str) -> Lab {
        Lab::with_state(updates, None)
    }

    fn with_state(updates: &str, state_dir: Option<&Path>) -> Lab {
        let down: Arc<Mutex<BTreeSet<IpAddr>>> = Arc::default();
        let known = down.clone();
        let ask = AskReadiness::by(move |address| {
            let is_down = known.lock().unwrap().contains(&address);
            async move {
                // Long enough for all to have asked before the first is answered.
                tokio::time::sleep(Duration::from_millis(20)).await;
                if is_down { Err("connection refused".into()) } else { Ok(200) }
            }
        });
        let site = Site::that_asks(ask, state_dir);
        let generation =
            Generation { inventory: inventory(updates), catalogue: Catalogue::default(), static_dir: None };
        let served = Some(Arc::new(Served::new(generation, SystemTime::UNIX_EPOCH)));
        site.state.set_status(Status { served, failure: None });
        Lab { site, down }
    }

    fn goes_down(&self, address: Peer) {
        self.down.lock().unwrap().insert(address.network().unwrap());
    }

    fn comes_up(&self, address: Peer) {
        self.down.lock().unwrap().remove(&address.network().unwrap());
    }

    async fn says(&self, peer: Peer, path: &str, id: &str, group: &str) -> Reply {
        // What Zincati sends (its src/fleet_lock/mod.rs): no Content-Type.
        let headers = [("host", "192.168.26.1"), ("fleet-lock-protocol", "true")];
        let body = format!(r#"{{"client_params":{{"id":"{id}","group":"{group}"}}}}"#);
        self.site.ask(peer, "POST", path, &headers, body).await
    }

    async fn pre_reboot(&self, peer: Peer) -> Reply {
        let group = if last(peer) < 8 { "control-plane" } else { "worker" };
        self.says(peer, "/v1/pre-reboot", &format!("id-{}", last(peer)), group).await
    }

    async fn steady_state(&self, peer: Peer) -> Reply {
        let group = if last(peer) < 8 { "control-plane" } else { "worker" };
        self.says(peer, "/v1/steady-state", &format!("id-{}", last(peer)), group).await
    }
}

impl Reply {
    /// FleetLock's error: `kind`, and `value` for people.
    fn error(&self) -> (String, String) {
        let error: serde_json::Value = serde_json::from_str(&self.text).expect(&self.text);
        assert_eq!(self.headers["content-type"], "application/json");
        ["kind", "value"].map(|key| error[key].as_str().unwrap().to_owned()).into()
    }
}

#[tokio::test]
async fn of_three_that_ask_at_once_exactly_one_may_reboot() {
    let lab = Lab::new("{}");
    let all = [LENOVO1, LENOVO2, LENOVO3];
    let replies = tokio::join!(lab.pre_reboot(all[0]), lab.pre_reboot(all[1]), lab.pre_reboot(all[2]));
    let replies = [replies.0, replies.1, replies.2];
    let holders: Vec<usize> = (0..3).filter(|index| replies[*index].status == 200).collect();
    let [holder] = holders[..] else { panic!("{holders:?}") };
    for (index, reply) in replies.iter().enumerate().filter(|(index, _)| *index != holder) {
        let (kind, value) = reply.error();
        assert_eq!((reply.status, kind.as_str()), (409, "lock_held"), "{index}");
        assert!(value.starts_with(&format!("lenovo{} (since ", holder + 1)), "{value}");
    }
    // The answer may have been lost: who has it gets it again, and nobody else does.
    assert_eq!(lab.pre_reboot(all[holder]).await.status, 200);
    assert_eq!(lab.steady_state(all[(holder + 1) % 3]).await.status, 200, "it released what it had: nothing");
    assert_eq!(lab.pre_reboot(all[(holder + 1) % 3]).await.status, 409);
    assert_eq!(lab.steady_state(all[holder]).await.status, 200);
    assert_eq!(lab.pre_reboot(all[(holder + 1) % 3]).await.status, 200);
}

#[tokio::test]
async fn a_server_that_is_back_releases_the_lock_and_the_next_one_waits_until_it_is_ready() {
    let lab = Lab::new("{}");
    assert_eq!(lab.pre_reboot(LENOVO1).await.status, 200);
    lab.goes_down(LENOVO1);
    assert_eq!(lab.steady_state(LENOVO1).await.status, 200, "its k3s is still starting");
    let reply = lab.pre_reboot(LENOVO2).await;
    assert_eq!((reply.status, reply.error().0.as_str()), (409, "no_majority"));
    let expected = "of the other 2 servers 2 must be ready, and lenovo1 is not: connection refused";
    assert_eq!(reply.error().1, expected);
    lab.comes_up(LENOVO1);
    assert_eq!(lab.pre_reboot(LENOVO2).await.status, 200);
    lab.goes_down(LENOVO3);
    assert_eq!(lab.pre_reboot(LENOVO2).await.status, 409, "it is up still, and now it is needed");
}

#[tokio::test]
async fn nobody_reboots_while_a_host_is_armed_or_being_installed() {
    let lab = Lab::new("{}");
    assert_eq!(lab.site.post(OPERATOR, "/pxe/hosts/worker1/arm", "").await.status, 204);
    for peer in [LENOVO1, WORKER1, WORKER2] {
        let (kind, value) = lab.pre_reboot(peer).await.error();
        assert_eq!(kind, "install_open");
        assert!(value.starts_with("worker1 is armed to be installed until "), "{value}");
    }
    let worker = inventory("{}").host("worker1").unwrap().name.clone();
    lab.site.state.chronicle.note(&worker, Event::Disarmed);
    assert_eq!(lab.pre_reboot(LENOVO1).await.status, 200);
    lab.steady_state(LENOVO1).await;
    let boots = crate::boot::Choice::Install("worker1".into());
    lab.site.state.chronicle.note(&worker, Event::Script { boots });
    let (_, value) = lab.pre_reboot(LENOVO1).await.error();
    assert!(value.starts_with("worker1 is being installed since "), "{value}");
    lab.site.state.chronicle.note(&worker, Event::Installed { config: "worker1".into(), ignition: None });
    assert_eq!(lab.pre_reboot(LENOVO1).await.status, 200);
}

#[tokio::test]
async fn a_server_that_reported_that_it_reboots_by_itself_counts_as_down_until_it_is_up() {
    let lab = Lab::new("{}");
    let name = inventory("{}").host("lenovo3").unwrap().name.clone();
    let config = || "lenovo3".to_owned();
    let happens = |event| lab.site.state.chronicle.note(&name, event);
    happens(Event::Rebooting { config: config(), message: "packages".into() });
    let (kind, value) = lab.pre_reboot(LENOVO1).await.error();
    assert_eq!(kind, "no_majority");
    assert!(value.contains("lenovo3 is not: it reported at "), "{value}");
    happens(Event::K3sStarted { config: config() });
    assert_eq!(lab.pre_reboot(LENOVO1).await.status, 200);
}

#[tokio::test]
async fn workers_are_counted_apart_from_control_planes() {
    let lab = Lab::new("{workers_at_once: 1}");
    assert_eq!(lab.pre_reboot(LENOVO1).await.status, 200);
    assert_eq!(lab.pre_reboot(WORKER1).await.status, 200);
    assert_eq!(lab.pre_reboot(WORKER2).await.status, 409);
    let lab = Lab::new("{workers_at_once: 2}");
    assert_eq!([lab.pre_reboot(WORKER1).await.status, lab.pre_reboot(WORKER2).await.status], [200, 200]);
    assert_eq!(lab.pre_reboot(LENOVO1).await.status, 200);
    assert_eq!(lab.pre_reboot(LENOVO2).await.status, 409);
}

#[tokio::test]
async fn where_updates_are_off_nobody_may_whatever_its_configuration_still_says() {
    let lab = Lab::new("{strategy: off}");
    assert_eq!(lab.pre_reboot(LENOVO1).await.error().0, "updates_off");
}

#[tokio::test]
async fn who_is_no_fleetlock_client_or_no_host_is_told_so_in_the_protocols_form() {
    let lab = Lab::new("{}");
    let good = r#"{"client_params":{"id":"a","group":"control-plane"}}"#;
    let ours: &[(&str, &str)] = &[("fleet-lock-protocol", "true")];
    let no: &[(&str, &str)] = &[("fleet-lock-protocol", "false")];
    let group = r#"{"client_params":{"id":"a","group":"worker"}}"#;
    let no_id = r#"{"client_params":{"id":"","group":"control-plane"}}"#;
    for (peer, headers, body, status, kind, says) in [
        (LENOVO1, &[][..], good, 400, "no_header", "fleet-lock-protocol: true is missing"),
        (LENOVO1, no, good, 400, "no_header", "is missing"),
        (LENOVO1, ours, "", 400, "bad_request", "EOF"),
        (LENOVO1, ours, "{}", 400, "bad_request", "missing field `client_params`"),
        (LENOVO1, ours, no_id, 400, "bad_id", "1 to 128"),
        (LENOVO1, ours, group, 400, "wrong_group", "\"worker\", and lenovo1 is in control-plane"),
        (STRANGER, ours, good, 403, "not_a_host", "192.168.26.99 is the address of no host"),
    ] {
        for path in ["/v1/pre-reboot", "/v1/steady-state"] {
            let reply = lab.site.ask(peer, "POST", path, headers, body.to_owned()).await;
            let (found, value) = reply.error();
            assert_eq!((reply.status, found.as_str()), (status, kind), "{value}");
            assert!(value.contains(says), "{value}");
        }
    }
    let proxied = ("x-forwarded-for", "192.168.26.5");
    for (peer, more, says) in [
        (LOOPBACK, &[][..], "127.0.0.1 is the address of no host"),
        (LENOVO1, &[proxied][..], "came through a proxy"),
    ] {
        let reply = lab.site.ask(peer, "POST", "/v1/pre-reboot", &[ours, more].concat(), good).await;
        let (kind, value) = reply.error();
        assert_eq!((reply.status, kind.as_str()), (403, "not_a_host"));
        assert!(value.contains(says), "{value}");
    }
    assert_eq!(lab.site.get(LENOVO1, "/v1/pre-reboot").await.status, 405);
    assert_eq!(lab.site.events("lenovo1").await, [""; 0]);
}

#[tokio::test]
async fn a_lock_outlives_the_server_and_is_released_by_its_own_id_or_an_operator() {
    let folder = tempfile::tempdir().unwrap();
    let lab = Lab::with_state("{}", Some(folder.path()));
    assert_eq!(lab.pre_reboot(LENOVO1).await.status, 200);
    drop(lab);
    let lab = Lab::with_state("{}", Some(folder.path()));
    assert_eq!(lab.pre_reboot(LENOVO2).await.error().0, "lock_held");
    let held = lab.site.roster().await.hosts.into_iter().find_map(|host| host.history.reboot);
    assert_eq!(held.unwrap().id, "id-5");
    // Another installation of the same host.
    assert_eq!(lab.says(LENOVO1, "/v1/steady-state", "anew", "control-plane").await.status, 200);
    assert_eq!(
        lab.says(LENOVO1, "/v1/pre-reboot", "anew", "control-plane").await.error().0,
        "lock_of_another_id"
    );
    assert_eq!(lab.pre_reboot(LENOVO2).await.status, 409);
    assert_eq!(lab.site.ask(LENOVO2, "DELETE", "/pxe/hosts/lenovo1/reboot-lock", &[], "").await.status, 403);
    for status in [204, 404] {
        let headers = [("host", "localhost")];
        let reply = lab.site.ask(OPERATOR, "DELETE", "/pxe/hosts/lenovo1/reboot-lock", &headers, "").await;
        assert_eq!(reply.status, status, "{}", reply.text);
    }
    assert_eq!(lab.pre_reboot(LENOVO2).await.status, 200);
    let events = lab.site.events("lenovo1").await;
    assert_eq!(events, ["may reboot into an update", "reboot lock released by an operator"]);
}

#[tokio::test]
async fn where_nothing_is_kept_or_something_was_lost_nobody_knows_who_may_be_rebooting() {
    let lab = Lab::new("{}");
    for (doubt, says) in [
        (crate::boot::Doubt::NothingKept, "runs without --state-dir"),
        (crate::boot::Doubt::Damaged, "delete journal.damaged"),
    ] {
        lab.site.state.chronicle.history().doubt = Some(doubt);
        let (kind, value) = lab.pre_reboot(LENOVO1).await.error();
        assert_eq!(kind, "lock_not_known");
        assert!(value.contains(says), "{value}");
    }
}
