//! Boots of simulated nodes against the program, while it is killed, and a thousand at once.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::node::{Node, Request};
use crate::serving::{Served, operator};
use crate::site::Site;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn address(number: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 1, (number / 250) as u8, (number % 250 + 1) as u8)
}

fn node(number: usize) -> Node {
    let mac = format!("02-00-00-00-{:02x}-{:02x}", number / 250, number % 250);
    Node { name: format!("n{number}"), address: address(number).into(), mac }
}

/// Three servers and workers, on addresses of loopback, so that each node has its own.
fn site(nodes: usize) -> Site {
    let hosts = (0..nodes).map(|number| {
        let Node { name, address, mac } = node(number);
        let role = if number < 3 { "control_plane" } else { "worker" };
        format!("  {name}: {{address: {address}, mac: {mac}, role: {role}}}\n")
    });
    let head = "\
vips: {control_planes: 127.9.9.9}
router: {base_url: http://127.9.9.8}
network: {cidr: 127.0.0.0/8}
ssh_authorized_keys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGVzUp9aFGSVtaxGK8Eh0x8QiFO19CrkKiJT5XWMKW2E me]
keepalived: {virtual_router_id: 26, auth_pass: {file: password}}
k3s: {version: v1.32.5+k3s1, token: {file: token}, agent_token: {file: agent-token}, phase: bootstrap}
defaults: {interface: eth0, install_device: /dev/nvme0n1}
hosts:
";
    Site::new().file("inventory.yaml", &(head.to_owned() + &hosts.collect::<String>()))
}

fn start(site: &Site, state_dir: &Path) -> Served {
    Served::start(&site.sources(), &["--state-dir", state_dir.to_str().unwrap()])
}

fn post(target: String, body: String) -> Request {
    Request { method: "POST", target, body }
}

#[test]
fn a_boot_completes_when_the_server_is_killed_before_any_of_its_requests() {
    let (site, node) = (site(3), node(0));
    // How many requests a boot has, and that one with a kill before each of them completes.
    let folder = tempfile::tempdir().unwrap();
    let mut server = Some(start(&site, folder.path()));
    operator(folder.path(), &["arm", "n0"]);
    let requests = runtime().block_on(node.installs(async |request| {
        drop(server.take());
        let server = server.insert(start(&site, folder.path()));
        node.try_send(server.address, &request).await
    }));
    assert!(requests > 8, "{requests}");
    // One kill, before each in turn, each with a history of its own. That request finds nobody.
    for killed_before in 0..requests {
        let folder = tempfile::tempdir().unwrap();
        let mut server = start(&site, folder.path());
        operator(folder.path(), &["arm", "n0"]);
        let (mut asked, mut unanswered) = (0, 0);
        runtime().block_on(node.installs(async |request| {
            asked += 1;
            if asked != killed_before + 1 {
                return node.try_send(server.address, &request).await;
            }
            let gone = server.address;
            server.kill();
            let reply = node.try_send(gone, &request).await;
            unanswered += usize::from(reply.is_err());
            server = start(&site, folder.path());
            reply
        }));
        assert_eq!(unanswered, 1, "of {asked}");
    }
}

/// SIGKILL shows that nothing acknowledged waits in the process; that it is on the medium is fsync's, which a test on
/// one machine cannot show.
#[test]
fn a_hundred_kills_lose_nothing_that_was_acknowledged() {
    const KILLS: u64 = 100;
    let (site, node) = (site(1), node(0));
    let folder = tempfile::tempdir().unwrap();
    let runtime = runtime();
    let (mut number, mut acknowledged, mut total) = (0, Vec::new(), 0);
    for kill in 0..=KILLS {
        let server = start(&site, folder.path());
        let known = operator(folder.path(), &["hosts", "--json"]);
        let known: serde_json::Value = serde_json::from_str(&known).unwrap();
        let events = known["hosts"][0]["events"].as_array().unwrap();
        let kept: Vec<u64> =
            events.iter().filter_map(|event| event["message"].as_str()?.parse().ok()).collect();
        // Forty events are kept of a host; what came after the last acknowledged one may be there or not.
        let lost: Vec<&u64> =
            acknowledged.iter().rev().take(30).filter(|number| !kept.contains(number)).collect();
        assert!(lost.is_empty(), "after {kill} kills: {lost:?} of {acknowledged:?} are not in {kept:?}");
        total += acknowledged.len();
        acknowledged.clear();
        let server = Arc::new(std::sync::Mutex::new(Some(server)));
        let address = server.lock().unwrap().as_ref().unwrap().address;
        let killer = std::thread::spawn({
            let server = server.clone();
            move || {
                std::thread::sleep(Duration::from_millis(5 + kill * 7 % 40));
                drop(server.lock().unwrap().take());
            }
        });
        runtime.block_on(async {
            loop {
                number += 1;
                let body =
                    format!(r#"{{"event":"install_failed","config":"n0-bootstrap","message":"{number}"}}"#);
                // A connection that breaks is the kill.
                match node.try_send(address, &post("/pxe/events/n0".into(), body)).await {
                    Ok(reply) => {
                        assert_eq!(reply.status, 204, "{}", reply.text());
                        acknowledged.push(number);
                    }
                    Err(_) => break,
                }
            }
        });
        killer.join().unwrap();
    }
    assert!(total as u64 > KILLS, "only {total} were acknowledged");
    eprintln!("{total} reports acknowledged over {KILLS} kills, none lost");
}

#[test]
fn a_thousand_nodes_at_once_all_complete() {
    const NODES: usize = 1000;
    // Each has a connection open; most systems allow 1,024 files.
    let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current = limit.maximum;
    rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
    let site = site(NODES);
    let folder = tempfile::tempdir().unwrap();
    let server = start(&site, folder.path());
    let armed = operator(folder.path(), &["arm", "--new"]);
    assert_eq!(armed.lines().count(), NODES);
    let (address, begin) = (server.address, Instant::now());
    let requests = Arc::new(AtomicUsize::new(0));
    let boots = async {
        let mut boots = tokio::task::JoinSet::new();
        for number in 0..NODES {
            let requests = requests.clone();
            boots.spawn_local(async move {
                let node = node(number);
                let sent = node.installs(async |request| node.try_send(address, &request).await).await;
                requests.fetch_add(sent, Ordering::Relaxed);
            });
        }
        while let Some(boot) = boots.join_next().await {
            boot.unwrap();
        }
    };
    runtime().block_on(tokio::task::LocalSet::new().run_until(boots));
    let requests = requests.load(Ordering::Relaxed);
    eprintln!("{NODES} boots, {requests} requests in {:.1} s", begin.elapsed().as_secs_f64());
    let journal = std::fs::metadata(folder.path().join("journal")).unwrap().len();
    assert!(journal < 16 * 1024 * 1024, "the journal has {journal} bytes");
    drop(server);
    // And nobody is forgotten.
    let server = start(&site, folder.path());
    let last = node(NODES - 1);
    let script =
        runtime().block_on(last.send(server.address, &Request::get(format!("/pxe/ipxe/{}.ipxe", last.mac))));
    assert!(script.text().contains("starts from its disk"), "{}", script.text());
}
