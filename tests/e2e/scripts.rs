//! shellcheck and systemd read the scripts and units; the health check runs against a server that answers anything.

use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use crate::site::{Site, files};
use crate::tools::{command, have, run, said};

/// The shipped inventory with keepalived's settings begun by `line`.
pub fn with_keepalived(line: &str) -> Site {
    Site::edited(|text| {
        text.replace("  virtual_router_id: 26 ", &format!("  {line}\n  virtual_router_id: 26 "))
    })
}

#[test]
fn shellcheck_finds_nothing_in_the_scripts() {
    if !have(&["shellcheck"], false) {
        return;
    }
    let old_k3s = Site::edited(|text| text.replace("v1.37.0+k3s1", "v1.30.4+k3s1"));
    let host = with_keepalived("health_check: {run_on: host}");
    let policy = |selinux: &str| {
        Site::edited(|text| {
            text.replace("  version: v1.37.0+k3s1", &format!("  selinux: {selinux}\n  version: v1.37.0+k3s1"))
        })
    };
    let sites =
        [(Site::seed(), 12), (old_k3s, 12), (host, 13), (policy("image"), 12), (policy("layered"), 13)];
    for (site, scripts) in sites {
        let bundle = site.render();
        let mut checked = 0;
        for folder in ["pxe/configs", "pxe/scripts"] {
            let is_script = |file: &std::path::PathBuf| file.extension().is_some_and(|ending| ending == "sh");
            for file in files(&bundle.join(folder)).into_iter().filter(is_script) {
                let output = run(command("shellcheck").arg(&file), Duration::from_secs(30));
                assert!(output.status.success(), "{}", said(&output));
                checked += 1;
            }
        }
        assert_eq!(checked, scripts);
    }
}

/// A root that has what the units start, so that systemd has nothing to complain about but the units.
pub fn root_with_units(bundle: &Path) -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt as _;
    let root = tempfile::tempdir().unwrap();
    let units = root.path().join("etc/systemd/system");
    std::fs::create_dir_all(&units).unwrap();
    for program in [
        "usr/bin/curl",
        "usr/bin/podman",
        "usr/bin/test",
        "usr/bin/touch",
        "usr/sbin/restorecon",
        "usr/local/bin/k3s-install.sh",
        "usr/local/bin/k3s-selinux.sh",
        "usr/local/bin/k3s-health.sh",
        "usr/local/bin/keepalived-image.sh",
        "usr/local/bin/pxe-serve-report",
        "usr/local/bin/pxe-serve-failed",
        "usr/local/bin/pxe-serve-joined",
        "usr/bin/sh",
    ] {
        let file = root.path().join(program);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    for unit in ["keepalived.service", "keepalived-image.service", "k3s-health.service"] {
        std::fs::copy(bundle.join("pxe/configs").join(unit), units.join(unit)).unwrap();
    }
    let config: serde_json::Value =
        serde_json::from_slice(&std::fs::read(bundle.join("pxe/ignition/lenovo1.ign")).unwrap()).unwrap();
    for unit in config["systemd"]["units"].as_array().unwrap() {
        if let Some(contents) = unit["contents"].as_str() {
            std::fs::write(units.join(unit["name"].as_str().unwrap()), contents).unwrap();
        }
    }
    // systemd's own targets, which the units name.
    let own = root.path().join("usr/lib/systemd/system");
    std::fs::create_dir_all(own.parent().unwrap()).unwrap();
    run(command("cp").args(["-r", "/lib/systemd/system"]).arg(&own), Duration::from_secs(20));
    root
}

/// Keys that systemd has since 254 and Debian 12 (252) does not know; there a step is tried again every RestartSec=.
/// Fedora CoreOS has had 254 since its release 39 (2023).
const KEYS_SINCE_254: [&str; 2] = ["RestartSteps", "RestartMaxDelaySec"];

#[test]
fn systemd_finds_nothing_in_the_units() {
    if !have(&["systemd-analyze"], false) {
        return;
    }
    let site = Site::edited(|text| {
        text.replace("  virtual_router_id: 26 ", "  health_check: {run_on: host}\n  virtual_router_id: 26 ")
            .replace("  version: v1.37.0+k3s1", "  selinux: layered\n  version: v1.37.0+k3s1")
    });
    let root = root_with_units(&site.render());
    let verify = |unit: &str| {
        let mut analyze = command("systemd-analyze");
        // With --root the search path is the root's own.
        analyze.arg("verify").arg(format!("--root={}", root.path().display())).args(["--man=no", unit]);
        run(&analyze, Duration::from_secs(30))
    };
    let complaints = |output: &std::process::Output| {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let is_known = |line: &&str| {
            KEYS_SINCE_254.iter().any(|key| line.contains(&format!("Unknown key '{key}' in section")))
        };
        text.lines().filter(|line| !is_known(line)).map(str::to_owned).collect::<Vec<_>>()
    };
    for unit in [
        "keepalived.service",
        "keepalived-image.service",
        "k3s-health.service",
        "k3s-install.service",
        "k3s-selinux.service",
        "selinux-context.service",
        "pxe-serve-booted.service",
        "pxe-serve-joined.service",
    ] {
        let output = verify(unit);
        // An unknown key is a complaint with status 0, so silence is what counts.
        assert!(output.status.success() && complaints(&output).is_empty(), "{unit}: {}", said(&output));
    }
    let broken = root.path().join("etc/systemd/system/selinux-context.service");
    let text = std::fs::read_to_string(&broken).unwrap();
    std::fs::write(&broken, text.replace("RemainAfterExit", "RemainAfterwards")).unwrap();
    assert!(!complaints(&verify("selinux-context.service")).is_empty(), "this check cannot fail");
}

#[test]
fn shellcheck_and_systemd_find_nothing_in_what_drains_a_node() {
    if !have(&["shellcheck", "systemd-analyze"], false) {
        return;
    }
    let site = Site::edited(|text| {
        let host = "  health_check: {run_on: host}\n  virtual_router_id: 26 ";
        let drain = "updates: {drain: {kubeconfig: {file: secrets/drain}}}\n\ndefaults:\n";
        text.replace("  virtual_router_id: 26 ", host).replace("defaults:\n", drain)
    });
    std::fs::write(site.path("secrets/drain"), "clusters: []\ncontexts: []\nusers: []\nserver: x\n").unwrap();
    let bundle = site.render();
    let script = bundle.join("pxe/scripts/pxe-serve-drain.sh");
    let output = run(command("shellcheck").arg(&script), Duration::from_secs(30));
    assert!(output.status.success(), "{}", said(&output));

    let root = root_with_units(&bundle);
    std::fs::copy("/bin/true", root.path().join("usr/bin/true")).unwrap();
    std::fs::copy(root.path().join("usr/bin/sh"), root.path().join("usr/local/bin/pxe-serve-drain")).unwrap();
    for unit in ["pxe-serve-drain.service", "pxe-serve-uncordon.service"] {
        let path = root.path().join("etc/systemd/system").join(unit);
        std::fs::copy(bundle.join("pxe/configs").join(unit), path).unwrap();
        let mut analyze = command("systemd-analyze");
        analyze.arg("verify").arg(format!("--root={}", root.path().display())).args(["--man=no", unit]);
        let output = run(&analyze, Duration::from_secs(30));
        assert!(output.status.success() && output.stderr.is_empty(), "{unit}: {}", said(&output));
    }
}

#[test]
fn podman_makes_a_unit_of_the_quadlet() {
    let generator = concat!(env!("CARGO_MANIFEST_DIR"), "/target/quadlet/quadlet");
    if !have(&[generator], false) {
        return;
    }
    for check in ["container", "host"] {
        let site = with_keepalived(&format!("health_check: {{run_on: {check}}}"));
        let bundle = site.render();
        let folder = tempfile::tempdir().unwrap();
        let unit = folder.path().join("keepalived.container");
        std::fs::copy(bundle.join("pxe/configs/keepalived.container"), &unit).unwrap();
        let dry_run = || {
            run(
                command(generator).arg("-dryrun").env("QUADLET_UNIT_DIRS", folder.path()),
                Duration::from_secs(20),
            )
        };
        let output = dry_run();
        assert!(output.status.success(), "{}", said(&output));
        let made = String::from_utf8_lossy(&output.stdout).into_owned();
        for word in
            ["Type=notify", "--sdnotify=conmon", "--replace", "--rm", ":/etc/pxe-serve/keepalived:ro,Z"]
        {
            assert!(made.contains(word), "{word} is not in {made}");
        }
        let text = std::fs::read_to_string(&unit).unwrap();
        std::fs::write(&unit, text.replace("AddCapability=", "AddCapabilities=")).unwrap();
        assert!(!dry_run().status.success(), "this check cannot fail");
    }
}

/// `/run/k3s-health/status` after each of `steps`, shell commands in a namespace of its own where `health` is the rendered
/// script, and systemd has a job of the type that stands in `/run/job`.
fn statuses(steps: &[&str]) -> Vec<String> {
    let site = with_keepalived("health_check: {run_on: host}");
    let bundle = site.render();
    let stub = site.path("stub");
    std::fs::create_dir(&stub).unwrap();
    let write = |name: &str, text: &str| {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::write(stub.join(name), text).unwrap();
        std::fs::set_permissions(stub.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    write(
        "systemctl",
        "#!/bin/sh\n[ ! -e /run/job ] || echo \"7 k3s-health.service $(cat /run/job) running\"\n",
    );
    write(
        "health",
        &format!("#!/bin/sh\nexec sh {} \"$@\"\n", bundle.join("pxe/scripts/k3s-health.sh").display()),
    );
    let unit = std::fs::read_to_string(bundle.join("pxe/configs/k3s-health.service")).unwrap();
    let before = unit.lines().find_map(|line| line.strip_prefix("ExecStartPre=")).unwrap();
    let mut commands = format!(
        "mount -t tmpfs none /run && mkdir /run/k3s-health && mkdir -p /etc/keepalived && mount -t tmpfs none /etc/keepalived || exit 99\n\
         PATH={}:$PATH; before() {{ {before}; }}\n\
         answer() {{ printf '#!/bin/sh\\nexit %s\\n' $1 >/etc/keepalived/k3s-healthcheck.sh; chmod 755 /etc/keepalived/k3s-healthcheck.sh; }}\n",
        stub.display()
    );
    for step in steps {
        commands += &format!("{step}\necho \"status: $(cat /run/k3s-health/status)\"\n");
    }
    let mut unshare = command("unshare");
    unshare.args(["--mount", "--propagation", "private", "sh", "-c", &commands]);
    let output = run(&unshare, Duration::from_secs(60));
    assert!(output.status.success(), "{}", said(&output));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().filter_map(|line| line.strip_prefix("status: ")).map(str::to_owned).collect()
}

#[test]
fn a_restart_of_the_check_keeps_its_last_word_and_any_other_end_says_unhealthy() {
    if !have(&["unshare", "mount", "timeout"], true) {
        return;
    }
    let run_for = |seconds: u32| format!("before; timeout {seconds} health || true");
    let (short, long) = (run_for(1), run_for(5));
    let steps = [
        // The first boot: unhealthy until proven, healthy after two checks.
        "answer 0; before",
        &short,
        &long,
        "echo restart >/run/job; health stopped",
        // Healthy still, before the first result and after it.
        &short,
        // The API has failed meanwhile: two checks as ever, and not one more.
        "answer 1; health stopped; before",
        &short,
        &long,
        // Ended by `systemctl stop`, or by itself, in health.
        "rm /run/job; answer 0",
        &long,
        "echo stop >/run/job; health stopped",
        "rm /run/job; echo 0 >/run/k3s-health/status; health stopped",
        "echo start >/run/job; echo 0 >/run/k3s-health/status; health stopped",
    ];
    let expected = ["1", "1", "0", "0", "0", "0", "0", "1", "1", "0", "1", "1", "1"];
    assert_eq!(statuses(&steps), expected);
}

/// A TLS server on 127.0.0.1:6443 in a namespace of its own, that answers every request with `answer`, and the exit
/// status of the rendered check against it.
fn health_status(shell: &str, script: &Path, answer: &str) -> (Option<i32>, Duration) {
    let work = tempfile::tempdir().unwrap();
    let at = |name: &str| work.path().join(name);
    std::fs::write(at("answer"), answer).unwrap();
    // openssl s_server -HTTP would choose the status itself; python's ssl says just what the case says.
    let server = "import socket,ssl,sys,time\n\
        c=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER); c.load_cert_chain(sys.argv[1]+'/cert', sys.argv[1]+'/key')\n\
        s=socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(('127.0.0.1',6443)); s.listen(8)\n\
        open(sys.argv[1]+'/ready','w').close()\n\
        answer=open(sys.argv[1]+'/answer').read()\n\
        k,_=s.accept()\n\
        if answer=='hang': time.sleep(20)\n\
        if answer=='reset': k.close(); sys.exit()\n\
        if answer=='plain': k.sendall(b'HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n'); k.close(); sys.exit()\n\
        t=c.wrap_socket(k, server_side=True); t.recv(4096); t.sendall(answer.encode()); t.close()\n";
    std::fs::write(at("server.py"), server).unwrap();
    let commands = format!(
        "ip link set lo up\n\
         openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=k3s \
           -keyout {work}/key -out {work}/cert 2>/dev/null || exit 98\n\
         if [ \"$(cat {work}/answer)\" != refused ]; then\n\
           timeout 30 python3 {work}/server.py {work} & server=$!\n\
           i=0; while [ ! -e {work}/ready ]; do i=$((i+1)); [ $i -lt 200 ] || exit 99; sleep 0.05; done\n\
         fi\n\
         date +%s%N >{work}/begin; {shell} {script}; status=$?; date +%s%N >{work}/end\n\
         [ -z \"$server\" ] || kill $server 2>/dev/null\n\
         exit $status",
        work = work.path().display(),
        script = script.display()
    );
    let mut unshare = command("unshare");
    unshare.args(["--net", "sh", "-c", &commands]);
    let output = run(&unshare, Duration::from_secs(40));
    let nanoseconds = |name: &str| {
        let mut text = String::new();
        std::fs::File::open(at(name))
            .and_then(|mut file| file.read_to_string(&mut text))
            .unwrap_or_else(|_| panic!("{}", said(&output)));
        text.trim().parse::<u64>().unwrap()
    };
    (output.status.code(), Duration::from_nanos(nanoseconds("end") - nanoseconds("begin")))
}

/// The issue's bound, whatever the API does. keepalived's own timeout is 2 s, and the check's limit half a second less.
const CHECK_LIMIT: Duration = Duration::from_millis(2500);

fn response(status: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

#[test]
fn the_health_check_judges_every_answer_of_the_api() {
    if !have(&["unshare", "ip", "openssl", "curl", "python3"], true) {
        return;
    }
    let new = Site::seed();
    let old = Site::edited(|text| text.replace("v1.37.0+k3s1", "v1.30.4+k3s1"));
    // Answer, whether it is healthy with an authentication-config, and without.
    let cases = [
        (response("200 OK"), true, true),
        (response("401 Unauthorized"), false, true),
        (response("403 Forbidden"), false, false),
        (response("500 Internal Server Error"), false, false),
        (response("503 Service Unavailable"), false, false),
        ("hang".to_owned(), false, false),
        ("reset".to_owned(), false, false),
        ("plain".to_owned(), false, false),
        ("refused".to_owned(), false, false),
    ];
    for (site, which) in [(&new, 0), (&old, 1)] {
        let script = site.render().join("pxe/configs/k3s-healthcheck.sh");
        for (answer, with_configuration, without) in &cases {
            let healthy = if which == 0 { *with_configuration } else { *without };
            let (status, took) = health_status("sh", &script, answer);
            let line = answer.lines().next().unwrap();
            assert_eq!(status, Some(if healthy { 0 } else { 1 }), "{line} with k3s of mode {which}");
            assert!(took < CHECK_LIMIT, "{line} took {took:?}");
        }
    }
}

#[test]
fn the_health_check_is_the_same_under_every_shell() {
    if !have(&["unshare", "ip", "openssl", "curl", "python3", "bash", "busybox"], true) {
        return;
    }
    let site = Site::seed();
    let script = site.render().join("pxe/configs/k3s-healthcheck.sh");
    for shell in ["bash", "busybox ash"] {
        for (answer, healthy) in [
            (response("200 OK"), true),
            (response("401 Unauthorized"), false),
            (response("500 Internal Server Error"), false),
            ("hang".to_owned(), false),
            ("refused".to_owned(), false),
        ] {
            let (status, took) = health_status(shell, &script, &answer);
            let line = answer.lines().next().unwrap();
            assert_eq!(status, Some(if healthy { 0 } else { 1 }), "{line} under {shell}");
            assert!(took < CHECK_LIMIT, "{line} under {shell} took {took:?}");
        }
    }
}
