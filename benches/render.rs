//! How long rendering takes, as a process and in process, and how much memory an idle server needs:
//! `cargo bench --bench render`.
//!
//! The way it replaces, Ansible and four runs of butane, takes 3.1 to 3.4 s on this class of machine.
#![allow(clippy::disallowed_methods, reason = "a benchmark looks at the clock and starts processes")]

use std::fmt::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use pxe_serve::load::{Sources, load};

const RUNS: usize = 100;

fn main() {
    // In memory where there is such a place: ext4 does not reuse inodes that were just freed, so each run of this on a
    // disk would find it slower than the one before (7, 14, 23, 32 ms).
    let memory = std::path::Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
    let root = env!("CARGO_MANIFEST_DIR");
    let render = |out: &std::path::Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pxe-serve"));
        command.current_dir(root).args(["render", "--out"]).arg(out).stderr(Stdio::null());
        assert!(command.status().unwrap().success());
    };
    let mut run = 0;
    report("render --out of the shipped inventory to a new folder, as a process", RUNS, || {
        run += 1;
        render(&folder.path().join(run.to_string()));
    });
    report("the same again, nothing changed", RUNS, || render(&folder.path().join("1")));
    report("/bin/true, as a process", RUNS, || {
        assert!(Command::new("/bin/true").status().unwrap().success())
    });
    report_idle_memory(root);
    let sources = |inventory| Sources { inventory, templates: None, static_dir: None };
    let shipped = sources(std::path::Path::new(root).join("inventory.yaml"));
    report("load of the shipped inventory, in process", RUNS, || {
        assert!(load(&shipped).generation.is_some())
    });
    for hosts in [300, 3_000] {
        let inventory = folder.path().join(format!("{hosts}.yaml"));
        std::fs::write(&inventory, many(hosts, root)).unwrap();
        let many = sources(inventory);
        report(&format!("load of {hosts} hosts, in process"), 5, || {
            assert!(load(&many).generation.is_some())
        });
    }
}

fn report(what: &str, runs: usize, mut work: impl FnMut()) {
    work();
    let mut times: Vec<Duration> = (0..runs)
        .map(|_| {
            let begin = Instant::now();
            work();
            begin.elapsed()
        })
        .collect();
    times.sort();
    println!("{what}: median {:.2?}, p90 {:.2?} of {runs} runs", times[runs / 2], times[runs * 9 / 10]);
}

/// What the kernel counts for `serve`, two seconds after its start and after a hundred requests.
fn report_idle_memory(root: &str) {
    let server = Command::new(env!("CARGO_BIN_EXE_pxe-serve"))
        .current_dir(root)
        .args(["serve", "--listen", "127.0.0.1:18080"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let server = Ended(server);
    std::thread::sleep(Duration::from_secs(2));
    let status = format!("/proc/{}/status", server.0.id());
    let resident = || {
        let status = std::fs::read_to_string(&status).unwrap();
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap().trim().to_owned()
    };
    let idle = resident();
    let path = "http://127.0.0.1:18080/pxe/ignition/lenovo1.ign";
    for _ in 0..100 {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--noproxy", "*", "--output", "/dev/null", path]);
        assert!(curl.status().unwrap().success());
    }
    println!("serve with the shipped inventory, resident: {idle} idle, {} after 100 requests", resident());
}

/// A process that ends with us, also when we panic.
struct Ended(std::process::Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The shipped inventory with `hosts` workers more.
fn many(hosts: usize, root: &str) -> String {
    let shipped = std::fs::read_to_string(std::path::Path::new(root).join("inventory.yaml")).unwrap();
    let secrets = format!("{root}/secrets/");
    let mut text = shipped
        .replace("192.168.26.0/24", "192.168.0.0/16")
        .replace("  phase:", "  agent_token: {file: secrets/k3s-agent-token}\n  phase:")
        .replace("file: secrets/", &format!("file: {secrets}"));
    for host in 0..hosts {
        let (high, low) = (host / 200, host % 200 + 1);
        writeln!(
            text,
            "  worker{host}:\n    role: worker\n    address: 192.168.{}.{low}\n    mac: 52:54:01:00:{high:02x}:{low:02x}",
            high + 100
        )
        .unwrap();
    }
    text
}
