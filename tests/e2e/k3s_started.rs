//! After `k3s-install.sh` k3s runs, on every system that k3s' own script treats in a way of its own. That script is played
//! by `node/standins/get-k3s-io.sh`, which says where it has its facts from; systemd, rpm and the internet by stubs that
//! write down how they are called.

use std::process::Output;
use std::time::Duration;

use crate::site::Site;
use crate::tools::{command, have, run, said};

const INSTALLER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/node/standins/get-k3s-io.sh");
const PROGRAMS: &[&str] = &["unshare", "mount", "sha256sum"];

/// A system by its `/etc/os-release`, and what else the installer looks at.
struct System {
    name: &'static str,
    os_release: &'static str,
    /// Commands that make the rest of it.
    rest: &'static str,
    /// What k3s' own script does there when nobody tells it otherwise: what it installs the policy with, and whether it
    /// starts k3s.
    by_itself: (&'static str, bool),
}

const SYSTEMS: &[System] = &[
    System {
        name: "Fedora CoreOS",
        os_release: "ID=fedora\nVERSION_ID=43\nVARIANT_ID=coreos\nOSTREE_VERSION=43.1\n",
        rest: "mkdir -p /usr/share/selinux /etc/yum.repos.d; echo Fedora >/etc/fedora-release",
        by_itself: ("rpm-ostree --idempotent install -y k3s-selinux", false),
    },
    System {
        name: "Debian",
        os_release: "ID=debian\nVERSION_ID=13\n",
        rest: "rm -rf /usr/share/selinux",
        by_itself: ("", true),
    },
    System {
        name: "Flatcar",
        os_release: "ID=flatcar\nID_LIKE=coreos\nVERSION_ID=4230.2.0\n",
        rest: "rm -rf /usr/share/selinux",
        by_itself: ("", true),
    },
    System {
        name: "SLE Micro",
        os_release: "ID=sle-micro\nID_LIKE=suse\nVARIANT_ID=sle-micro\nVERSION_ID=6.0\n",
        rest: "mkdir -p /usr/share/selinux /etc/zypp/repos.d; touch /usr/sbin/transactional-update; chmod 755 /usr/sbin/transactional-update",
        by_itself: (
            "transactional-update --no-selfupdate -d run zypper --gpg-auto-import-keys install -y k3s-selinux",
            false,
        ),
    },
];

/// Runs `script` as root of `system`, whose `/etc` and `/usr` are copies that end with it. Its last lines are the calls,
/// each with `call: ` before it.
fn run_on(system: &System, script: &str) -> Output {
    let work = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(work.path().join(name), text).unwrap();
    write("os-release", system.os_release);
    // As on a machine: what comes from the internet, by its URL.
    write("k3s", "#!/bin/sh\n");
    write(
        "curl",
        "#!/bin/sh\nout=/dev/stdout\nfor word; do case $last in -o | --output) out=$word ;; esac; case $word in http*) url=$word ;; esac; last=$word; done\n\
         echo \"curl $url\" >>/mnt/calls\n\
         case $url in https://get.k3s.io) cat /mnt/installer ;; */sha256sum-*) echo \"$(sha256sum </mnt/k3s | cut -d' ' -f1)  k3s\" ;; */k3s) cat /mnt/k3s ;; *) exit 22 ;; esac >\"$out\"\n",
    );
    // A unit is active when it was started and there is a file of it; what is started has its label by then.
    write(
        "systemctl",
        "#!/bin/sh\necho \"systemctl $*\" >>/mnt/calls\nverb=$1; for word; do unit=${word%.service}; done\n\
         case $verb in\n\
         start | restart) [ -e /etc/systemd/system/$unit.service ] && [ -z \"$DEAD\" ] && : >/mnt/active-$unit; exit 0 ;;\n\
         is-active) [ -e /mnt/active-$unit ] ;;\n\
         esac\n",
    );
    for name in ["rpm-ostree", "transactional-update", "zypper", "dnf", "chcon", "restorecon"] {
        write(name, &format!("#!/bin/sh\necho \"{name} $*\" >>/mnt/calls\n"));
    }
    // `sleep` is all that takes time here.
    write("sleep", "#!/bin/sh\n");
    std::fs::copy(INSTALLER, work.path().join("installer")).unwrap();
    std::fs::copy(script, work.path().join("script")).unwrap();
    let inside = format!(
        "set -e\n\
         mount --bind {work} /mnt; mount -t tmpfs none /media\n\
         for folder in etc usr/share usr/local usr/sbin; do\n\
           mkdir -p /media/$folder/upper /media/$folder/work\n\
           mount -t overlay overlay -o lowerdir=/$folder,upperdir=/media/$folder/upper,workdir=/media/$folder/work /$folder\n\
         done\n\
         rm -f /usr/local/bin/k3s /etc/os-release /etc/*-release; cp /mnt/os-release /etc/os-release\n\
         {rest}\n\
         chmod 755 /mnt/*; PATH=/mnt:$PATH\n\
         for try in 1 2; do status=0; sh /mnt/script server || status=$?; echo \"exit $status\" >>/mnt/calls; done\n\
         sed 's/^/call: /' /mnt/calls",
        work = work.path().display(),
        rest = system.rest,
    );
    let mut unshare = command("unshare");
    unshare.args(["--mount", "--propagation", "private", "sh", "-c", &inside]);
    run(&unshare, Duration::from_secs(60))
}

/// Its calls, up to the end of the first try, and those of the second.
fn calls(output: &Output) -> (Vec<String>, Vec<String>) {
    assert!(output.status.success(), "{}", said(output));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut calls: Vec<String> =
        text.lines().filter_map(|line| line.strip_prefix("call: ")).map(str::to_owned).collect();
    let end = calls.iter().position(|call| call.starts_with("exit ")).unwrap() + 1;
    let second = calls.split_off(end);
    (calls, second)
}

/// The rendered script, which gets k3s from the internet; `k3s_offline` has the other one.
fn script(site: &Site) -> String {
    site.render().join("pxe/scripts/k3s-install.sh").to_str().unwrap().to_owned()
}

#[test]
fn k3s_runs_after_the_install_on_every_system_and_nothing_is_layered() {
    if !have(PROGRAMS, true) {
        return;
    }
    let site = Site::seed();
    let script = script(&site);
    for system in SYSTEMS {
        let output = run_on(system, &script);
        let (first, second) = calls(&output);
        let all = said(&output);
        for calls in [&first, &second] {
            let at = |call: &str| calls.iter().position(|made| made.starts_with(call));
            let start = at("systemctl start --no-block k3s.service");
            assert!(start.is_some(), "{}: nobody starts k3s\n{all}", system.name);
            assert!(
                at("restorecon /usr/local/bin/k3s") < start,
                "{}: started without its label\n{all}",
                system.name
            );
            assert_eq!(calls.last().unwrap(), "exit 0", "{}\n{all}", system.name);
            for never in
                ["rpm-ostree", "transactional-update", "zypper", "dnf", "curl https://api.github.com"]
            {
                assert_eq!(at(never), None, "{}\n{all}", system.name);
            }
            assert!(at("systemctl is-active") > start, "{}: nobody looks\n{all}", system.name);
        }
    }
}

/// Were it harmless, what the script sets would be superstition: the same systems, and k3s' script as the internet says.
#[test]
fn k3s_own_script_alone_starts_nothing_where_it_layers_and_nothing_the_second_time() {
    if !have(PROGRAMS, true) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("alone.sh");
    std::fs::write(&script, "INSTALL_K3S_VERSION=v1.37.0+k3s1 INSTALL_K3S_EXEC=server sh /mnt/installer\n")
        .unwrap();
    for system in SYSTEMS {
        let output = run_on(system, script.to_str().unwrap());
        let (first, second) = calls(&output);
        let (package, starts) = system.by_itself;
        let all = said(&output);
        assert_eq!(first.last().unwrap(), "exit 0", "{}\n{all}", system.name);
        assert_eq!(first.iter().any(|call| call == package), !package.is_empty(), "{}\n{all}", system.name);
        let started = |calls: &[String]| calls.iter().any(|call| call == "systemctl restart k3s");
        assert_eq!((started(&first), started(&second)), (starts, false), "{}\n{all}", system.name);
    }
}

#[test]
fn an_install_after_which_k3s_does_not_run_fails_and_an_agent_has_a_unit_of_its_own() {
    if !have(PROGRAMS, true) {
        return;
    }
    let site = Site::seed();
    let text = std::fs::read_to_string(script(&site)).unwrap();
    let with = |name: &str, text: String| {
        let file = site.path(name);
        std::fs::write(&file, text).unwrap();
        run_on(&SYSTEMS[0], file.to_str().unwrap())
    };
    let dead = with("dead.sh", text.replacen("set -eu", "set -eu; export DEAD=yes", 1));
    let (first, _) = calls(&dead);
    assert_eq!(first.last().unwrap(), "exit 1", "{}", said(&dead));
    assert!(said(&dead).contains("k3s.service is not active after 300 s"), "{}", said(&dead));
    let agent = with("agent.sh", text.replacen("set -eu", "set -- agent; set -eu", 1));
    let (first, _) = calls(&agent);
    assert_eq!(first.last().unwrap(), "exit 0", "{}", said(&agent));
    assert!(
        first.iter().any(|call| call == "systemctl start --no-block k3s-agent.service"),
        "{}",
        said(&agent)
    );
}
