//! `prepare-reinstall`: the plan, its order, that it can be run again, and that it refuses to stop the cluster.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::process::Output;
use std::sync::{Arc, Mutex};
use std::thread;

use super::world::World;
use crate::api::A_YEAR;
use crate::tools::{have, said};

/// A cluster of three as far as these steps go: a file a node, of the words `ready`, `etcd` and `removed`.
const KUBECTL: &str = r#"#!/bin/sh
echo "$*" >>"$LAB/kubectl.log"
case "$*" in
    *"$FAIL"*) [ -z "$FAIL" ] || { echo "error: refused by the test" >&2; exit 1; } ;;
esac
cd "$LAB/cluster" || exit
case "$*" in
    *'config current-context') echo lab ;;
    *'get nodes --output=json')
        [ ! -e "$LAB/away" ] || { echo 'connection refused' >&2; exit 1; }
        printf '{"items":['
        separator=
        for node in *; do
            ready=False etcd= removed=
            grep -q ready "$node" && ready=True
            grep -q etcd "$node" && etcd='"node-role.kubernetes.io/etcd":"true"'
            grep -q removed "$node" && removed='"etcd.k3s.cattle.io/removed-node-name":"x"'
            printf '%s{"metadata":{"name":"%s","labels":{%s},"annotations":{%s}},"status":{"conditions":[{"type":"Ready","status":"%s"}]}}' \
                "$separator" "$node" "$etcd" "$removed" "$ready"
            separator=,
        done
        printf ']}' ;;
    'drain '*) [ ! -e "$LAB/falls" ] || echo etcd >"$(cat "$LAB/falls")" ;;
    'annotate node '*' etcd.k3s.cattle.io/remove=true --overwrite')
        # With the member goes the API that was asked, for a moment.
        if [ -e "$LAB/slow" ]; then
            touch "$LAB/away"
            (sleep 2; rm "$LAB/away"; sleep 2; echo removed >>"$3") >/dev/null 2>&1 &
        else
            echo removed >>"$3"
        fi ;;
    'delete node '*) rm -f "$3" ;;
esac
"#;

const EFIBOOTMGR: &str = r#"#!/bin/sh
case $1 in
    -v) printf 'BootOrder: 0001,0004\nBoot0001* Fedora\tHD(1)/File(\\x)\nBoot0004* UEFI PXEv4\tPci(0x1)/MAC(525400123457,1)/IPv4(0.0.0.0)\n' ;;
    *) echo "$*" >"$NODE/bootnext" ;;
esac
"#;

/// What kubectl is asked for a plan.
const PLANNING: &str = "config current-context\nget nodes --output=json\n";

/// What `/pxe/hosts` says of lenovo2.
const ROSTER: &str = r#"{"hosts":[{"name":"lenovo2","policy":"install_once","boots":"local","why":"it is installed"}],"unknown":[]}"#;

/// A pxe-serve that arms, to the end of the test program.
struct Server {
    _folder: tempfile::TempDir,
    /// The same, for `--state-dir`.
    dir: String,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(status: &'static str) -> Server {
        Server::start_with(status, ROSTER)
    }

    fn start_with(status: &'static str, roster: &str) -> Server {
        let roster = roster.to_owned();
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("operator.sock")).unwrap();
        let dir = folder.path().to_str().unwrap().to_owned();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let server = Server { _folder: folder, dir, seen: seen.clone() };
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut request = String::new();
                let mut buffer = [0; 4096];
                while !(request.ends_with('}') || request.starts_with("GET") && request.ends_with("\r\n\r\n"))
                {
                    let count = stream.read(&mut buffer).unwrap();
                    assert!(count > 0, "{request}");
                    request.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
                }
                let body =
                    if request.starts_with("GET") && status == "200 OK" { &roster } else { "the body\n" };
                let length = body.len();
                seen.lock().unwrap().push(request);
                write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
            }
        });
        server
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

fn world() -> Option<World> {
    let world = World::new()?;
    world.user_program("kubectl", KUBECTL);
    world.user_program("ssh-keygen", "#!/bin/sh\nexec /usr/bin/ssh-keygen -f \"$LAB/known_hosts\" \"$@\"\n");
    world.node_program("efibootmgr", EFIBOOTMGR);
    fs::create_dir(world.path("cluster")).unwrap();
    for name in super::world::SERVERS {
        fs::write(world.path("cluster").join(name), "ready etcd\n").unwrap();
    }
    Some(world)
}

fn log(world: &World) -> String {
    fs::read_to_string(world.path("kubectl.log")).unwrap_or_default()
}

#[track_caller]
fn expect(status: i32, output: Output) -> String {
    assert_eq!(output.status.code(), Some(status), "{}", said(&output));
    said(&output)
}

#[test]
fn the_whole_plan_is_shown_and_done_in_order_and_may_be_done_again() {
    let Some(world) = world() else { return };
    let server = Server::start("200 OK");
    let address = world.address(1);
    let known = fs::read_to_string(world.path("known_hosts")).unwrap();
    let key = known.lines().next().unwrap().split_once(' ').unwrap().1;
    let old = format!("lenovo2 {key}\nlenovo2.lab.internal {key}\n{address} {key}\n");
    fs::write(world.path("known_hosts"), format!("lenovo1 {key}\n{old}{known}")).unwrap();
    let prepare = ["prepare-reinstall", "lenovo2", "--yes", "--reboot", "--state-dir", &server.dir];
    let text = expect(0, world.run(&prepare));
    for step in ["drain", "etcd-member", "delete-node", "node-password", "arm", "reboot", "host-keys"] {
        assert!(text.contains(&format!("  do    {step:<14} ")), "{step}: {text}");
    }
    let commands = [
        "config current-context",
        "get nodes --output=json",
        "drain lenovo2 --ignore-daemonsets --delete-emptydir-data --timeout=600s",
        "get nodes --output=json",
        "annotate node lenovo2 etcd.k3s.cattle.io/remove=true --overwrite",
        "get nodes --output=json",
        "get nodes --output=json",
        "delete node lenovo2 --ignore-not-found --timeout=120s",
        "--namespace=kube-system delete secret --ignore-not-found lenovo2.node-password.k3s",
        "get nodes --output=json",
    ];
    assert_eq!(log(&world).lines().collect::<Vec<_>>(), commands);
    assert_eq!(fs::read_to_string(world.on(1, "bootnext")).unwrap(), "--quiet --bootnext 0004\n");
    world.wait_for(|| world.on(1, "rebooted").exists());
    // The keys of lenovo2 are gone, at the port 22 that a known_hosts without one means; nobody else's.
    let left = fs::read_to_string(world.path("known_hosts")).unwrap();
    assert_eq!(left, format!("lenovo1 {key}\n{known}"));
    assert!(!text.contains("join etcd again"), "{text}");
    // Again: what is done is left.
    let text = expect(2, world.run(&prepare));
    assert!(text.contains("when etcd has none any more, --skip etcd-member"), "{text}");
    let text = expect(0, world.run(&[&prepare[..], &["--skip", "etcd-member"]].concat()));
    assert!(text.contains("  leave drain          it is no node of the cluster any more"), "{text}");
    let seen = server.seen();
    assert!(
        seen.iter().step_by(2).all(|request| request.starts_with("GET /pxe/hosts HTTP/1.1\r\n")),
        "{seen:?}"
    );
    for request in seen.iter().skip(1).step_by(2) {
        assert!(request.starts_with("POST /pxe/hosts/lenovo2/arm HTTP/1.1\r\n"), "{request}");
        assert!(request.ends_with("\r\n\r\n{\"for_seconds\":1800}"), "{request}");
    }
}

#[test]
fn it_refuses_when_etcd_would_lose_its_majority() {
    let Some(world) = world() else { return };
    fs::write(world.path("cluster/lenovo3"), "etcd\n").unwrap();
    let text = expect(2, world.run(&["prepare-reinstall", "lenovo2", "--yes"]));
    assert!(
        text.contains("without lenovo2, 1 of etcd's 3 members would be ready")
            && text.contains("bring lenovo3 back first"),
        "{text}"
    );
    assert_eq!(log(&world), PLANNING);
    // The one that is down may go.
    let text = expect(2, world.run(&["prepare-reinstall", "lenovo3", "--skip", "arm"]));
    assert!(
        text.contains("  leave drain          the node is not ready")
            && text.contains("nobody is here to ask"),
        "{text}"
    );
    assert_eq!(log(&world), PLANNING.repeat(2), "nothing without a yes");
}

#[test]
fn a_server_that_goes_down_during_the_drain_keeps_the_member_the_node_and_the_machine() {
    for (skip, fails) in [
        (&["arm"][..], "etcd-member"),
        (&["arm", "etcd-member"], "delete-node"),
        (&["arm", "etcd-member", "delete-node"], "reboot"),
    ] {
        let Some(world) = world() else { return };
        fs::write(world.path("falls"), "lenovo3").unwrap();
        let mut prepare = vec!["prepare-reinstall", "lenovo2", "--yes", "--reboot"];
        prepare.extend(skip.iter().flat_map(|step| ["--skip", step]));
        let text = expect(2, world.run(&prepare));
        assert!(
            text.contains(&format!("{fails} failed"))
                && text.contains("without lenovo2, 1 of etcd's 3 members would be ready"),
            "{text}"
        );
        let log = log(&world);
        assert!(!log.contains("annotate") && !log.contains("delete node"), "{log}");
        assert!(!world.on(1, "bootnext").exists(), "{text}");
    }
}

#[test]
fn a_member_that_goes_slowly_is_waited_for_while_the_api_is_away() {
    let Some(world) = world() else { return };
    fs::write(world.path("slow"), "").unwrap();
    let prepare = ["prepare-reinstall", "lenovo2", "--yes", "--skip", "arm", "--skip", "host-keys"];
    expect(0, world.run(&prepare));
    let log = log(&world);
    let waited = log.split("annotate node").nth(1).unwrap();
    let (polls, _) = waited.split_once("delete node").unwrap();
    assert!(polls.matches("get nodes").count() >= 4, "{log}");
}

/// Before and after each call of kubectl, ssh and ssh-keygen, in a cluster of its own each time.
#[test]
fn killed_at_every_step_and_run_again_the_machine_is_prepared_all_the_same() {
    let Some(calls) = prepared_after(None) else { return };
    assert!(calls >= 14, "{calls}");
    for number in 1..=calls {
        for moment in ["before", "after"] {
            prepared_after(Some(&format!("{moment} {number}")));
        }
    }
    eprintln!("killed {} times at {calls} calls", 2 * calls);
}

/// Prepares a machine, and again if the first time is ended by `kill`; how many programs the first time called.
fn prepared_after(kill: Option<&str>) -> Option<usize> {
    let world = world()?;
    let server = Server::start("200 OK");
    let known = fs::read_to_string(world.path("known_hosts")).unwrap();
    let key = known.lines().next().unwrap().split_once(' ').unwrap().1;
    fs::write(world.path("known_hosts"), format!("lenovo1 {key}\nlenovo2 {key}\n{known}")).unwrap();
    let prepare = ["prepare-reinstall", "lenovo2", "--yes", "--reboot", "--state-dir", &server.dir];
    let mut output = world.run_killed(&prepare, kill.unwrap_or_default());
    let calls = world.calls();
    if let Some(kill) = kill {
        assert_eq!(output.status.code(), None, "{kill}: {}", said(&output));
        output = world.run(&prepare);
        // Of a node that is gone the cluster does not say whether etcd still has the member.
        if output.status.code() != Some(0) {
            assert!(
                said(&output).contains("when etcd has none any more, --skip etcd-member"),
                "{kill}: {output:?}"
            );
            let log = log(&world);
            assert!(
                log.contains("annotate node lenovo2") && log.contains("delete node lenovo2"),
                "{kill}: {log}"
            );
            output = world.run(&[&prepare[..], &["--skip", "etcd-member"]].concat());
        }
    }
    let kill = kill.unwrap_or("not killed");
    assert_eq!(output.status.code(), Some(0), "{kill}: {}", said(&output));
    let log = log(&world);
    assert!(
        log.contains("annotate node lenovo2") && log.contains("lenovo2.node-password.k3s"),
        "{kill}: {log}"
    );
    let nodes = fs::read_dir(world.path("cluster")).unwrap();
    let mut nodes: Vec<_> = nodes.map(|entry| entry.unwrap().file_name()).collect();
    nodes.sort();
    assert_eq!(nodes, ["lenovo1", "lenovo3"], "{kill}");
    assert_eq!(fs::read_to_string(world.on(1, "bootnext")).unwrap(), "--quiet --bootnext 0004\n", "{kill}");
    world.wait_for(|| world.on(1, "rebooted").exists());
    let left = fs::read_to_string(world.path("known_hosts")).unwrap();
    assert_eq!(left, format!("lenovo1 {key}\n{known}"), "{kill}");
    assert!(
        server.seen().iter().any(|request| request.starts_with("POST /pxe/hosts/lenovo2/arm ")),
        "{kill}"
    );
    Some(calls)
}

#[test]
fn a_machine_that_cannot_be_started_from_the_network_is_not_taken_out_of_the_cluster() {
    let Some(world) = world() else { return };
    let prepare = ["prepare-reinstall", "lenovo2", "--yes", "--reboot", "--skip", "arm"];
    world.node_program("efibootmgr", "#!/bin/sh\necho 'BootOrder: 0001'\n");
    let text = expect(2, world.run(&prepare));
    assert!(
        text.contains("so nothing was done") && text.contains("no entry that boots from the network"),
        "{text}"
    );
    fs::write(world.path("known_hosts"), "").unwrap();
    let text = expect(2, world.run(&prepare));
    assert!(text.contains("so nothing was done") && text.contains("Host key verification failed"), "{text}");
    assert_eq!(log(&world), PLANNING.repeat(2));
}

#[test]
fn what_fails_after_the_member_is_out_says_so() {
    let Some(world) = world() else { return };
    let prepare = ["prepare-reinstall", "lenovo2", "--yes", "--skip", "arm", "--skip", "host-keys"];
    let mut program = world.pxe_serve(&prepare);
    let output = crate::tools::run(program.env("FAIL", "delete node"), std::time::Duration::from_secs(60));
    let text = expect(2, output);
    assert!(
        text.contains("--skip etcd-member, which is done") && text.contains("do not restart k3s"),
        "{text}"
    );
    let text = expect(0, world.run(&[&prepare[..], &["--skip", "etcd-member"]].concat()));
    assert!(text.contains("do not restart k3s"), "{text}");
}

#[test]
fn a_server_that_installs_nobody_for_now_is_none_to_prepare_for() {
    let Some(world) = world() else { return };
    let server =
        Server::start_with("200 OK", &ROSTER.replace("{\"hosts\"", "{\"broken\":\"line 7\",\"hosts\""));
    let text = expect(2, world.run(&["prepare-reinstall", "lenovo2", "--yes", "--state-dir", &server.dir]));
    assert!(text.contains("nobody is installed until it is mended: line 7"), "{text}");
    assert_eq!(log(&world), PLANNING);
}

#[test]
fn the_node_is_called_as_the_cluster_calls_it() {
    let Some(world) = world() else { return };
    fs::rename(world.path("cluster/lenovo2"), world.path("cluster/lenovo2.lab.internal")).unwrap();
    let prepare = ["prepare-reinstall", "lenovo2", "--yes", "--skip", "arm", "--skip", "host-keys"];
    let text = expect(0, world.run(&prepare));
    assert!(text.contains("lenovo2, the node lenovo2.lab.internal in the cluster of"), "{text}");
    let log = log(&world);
    for command in ["drain ", "annotate node ", "delete node "] {
        assert!(log.contains(&format!("\n{command}lenovo2.lab.internal ")), "{log}");
    }
    assert!(text.contains("it would join etcd again"), "its k3s goes on: {text}");
    assert!(log.ends_with(" lenovo2.lab.internal.node-password.k3s\n"), "{log}");
}

#[test]
fn it_refuses_a_cluster_that_is_not_the_inventorys() {
    let Some(world) = world() else { return };
    for (old, new) in [("lenovo1", "apple"), ("lenovo3", "pear")] {
        fs::rename(world.path("cluster").join(old), world.path("cluster").join(new)).unwrap();
    }
    let prepare = ["prepare-reinstall", "lenovo2", "--yes"];
    let text = expect(2, world.run(&prepare));
    assert!(text.contains("another cluster: in its context \"lab\""), "{text}");
    let text = expect(2, world.run(&[&prepare[..], &["--context", "work"]].concat()));
    assert!(text.contains("another cluster: in its context \"work\""), "{text}");
    assert_eq!(log(&world), format!("{PLANNING}--context=work get nodes --output=json\n"));
}

#[test]
fn a_step_that_fails_ends_it_and_may_be_skipped() {
    let Some(world) = world() else { return };
    let prepare = ["prepare-reinstall", "lenovo2", "--yes", "--skip", "arm", "--skip", "host-keys"];
    let mut program = world.pxe_serve(&prepare);
    let output = crate::tools::run(program.env("FAIL", "drain lenovo2"), std::time::Duration::from_secs(60));
    let text = expect(2, output);
    assert!(
        text.contains("drain failed; run it again when that is mended, or with --skip drain")
            && text.contains("refused by the test"),
        "{text}"
    );
    assert!(!log(&world).contains("delete node"), "{}", log(&world));
    let text = expect(0, world.run(&[&prepare[..], &["--skip", "drain"]].concat()));
    assert!(text.contains("  leave drain          skipped"), "{text}");
    assert!(log(&world).contains("delete node lenovo2"), "{}", log(&world));
    expect(2, world.run(&["prepare-reinstall", "lenovo2", "--skip", "nonsense"]));
    expect(2, world.run(&["prepare-reinstall", "nobody", "--yes"]));
}

#[test]
fn a_server_that_does_not_arm_is_said_with_its_reason_before_anything_is_done() {
    let Some(world) = world() else { return };
    let server = Server::start("403 Forbidden");
    let text = expect(2, world.run(&["prepare-reinstall", "lenovo2", "--yes", "--state-dir", &server.dir]));
    assert!(text.contains("arm would fail") && text.contains("the body"), "{text}");
    let prepare = ["prepare-reinstall", "lenovo2", "--yes", "--state-dir"];
    let text = expect(2, world.run(&[&prepare[..], &["nowhere"]].concat()));
    assert!(text.contains("no server uses nowhere"), "{text}");
    // One that arms others is none.
    let server = Server::start("200 OK");
    let text = expect(2, world.run(&["prepare-reinstall", "lenovo3", "--yes", "--state-dir", &server.dir]));
    assert!(text.contains("its inventory has no host lenovo3"), "{text}");
    assert_eq!(log(&world), PLANNING.repeat(3), "nothing is done before it is known that it can be finished");
}

#[test]
fn the_real_kubectl_lists_the_nodes_for_the_plan() {
    if !have(&["kubectl"], false) {
        return;
    }
    let Some(world) = world() else { return };
    fs::remove_file(world.path("user/kubectl")).unwrap();
    let kubeconfig =
        world.ca().k3s_yaml(&world.ca().issue(&[], A_YEAR)).replace("127.0.0.1", &world.address(0));
    fs::write(world.path("kubeconfig"), kubeconfig).unwrap();
    let prepare = ["prepare-reinstall", "lenovo1", "--skip", "etcd-member", "--kubeconfig", "kubeconfig"];
    let mut program = world.pxe_serve(&prepare);
    let output =
        crate::tools::run(program.env("HOME", world.folder.path()), std::time::Duration::from_secs(60));
    let text = expect(2, output);
    assert!(text.contains("  do    drain ") && text.contains("  leave etcd-member    skipped"), "{text}");
}
