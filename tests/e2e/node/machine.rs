//! A node: a virtual machine of the shipped inventory, its disks, and a way in by ssh.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::namespace::Process;
use crate::tools::{command, run, said};

use super::image;
use super::lab::Lab;

/// The longest that a boot may take: it is two minutes of an idle processor, and this one is shared.
const BOOT: Duration = Duration::from_secs(600);

/// lenovo1 to lenovo3 of the shipped inventory.
pub struct Node<'l> {
    lab: &'l Lab,
    pub number: usize,
    qemu: Process,
    /// The connection that the others go through, so that a question costs no handshake.
    ssh: Option<Process>,
    started: Instant,
}

impl<'l> Node<'l> {
    /// The first boot without an installer: the disk as coreos-installer writes it, the kernel as GRUB starts it, and
    /// the config by its URL.
    pub fn first_boot(lab: &'l Lab, number: usize, config: &str) -> Node<'l> {
        make_disks(lab, number);
        let url = format!("http://192.168.26.1/pxe/ignition/{config}.ign");
        let arguments = format!("ignition.firstboot rd.neednet=1 ip=eth0:dhcp ignition.config.url={url}");
        Node::start(lab, number, Some(&arguments))
    }

    /// With an empty disk, from the network.
    pub fn power_on(lab: &'l Lab, number: usize) -> Node<'l> {
        make_empty_disk(lab, number, "system");
        make_empty_disk(lab, number, "data");
        Node::start(lab, number, None)
    }

    /// As it was when it was switched off; from the network first, which sends it to its disk.
    pub fn boot(lab: &'l Lab, number: usize) -> Node<'l> {
        Node::start(lab, number, None)
    }

    fn start(lab: &'l Lab, number: usize, kernel: Option<&str>) -> Node<'l> {
        let mut qemu = lab.network.command("setpriv");
        qemu.args(["--pdeathsig", "KILL", "qemu-system-x86_64", "-accel", "tcg", "-cpu", "max"]);
        // One processor: with two, TCG's threads of QEMU 7.2 let the kernel panic where it changes its own code.
        qemu.args(["-machine", "pc,graphics=off", "-m", "1024"]);
        qemu.args(["-display", "none", "-monitor", "none", "-device", "virtio-rng-pci"]);
        qemu.args(["-serial", &format!("file:{}", console(lab, number).display())]);
        qemu.args(["-netdev", &format!("tap,id=n0,ifname=tap{number},script=no,downscript=no")]);
        qemu.args(["-device", &format!("virtio-net-pci,netdev=n0,mac={},bootindex=1", mac(number))]);
        for (id, device) in [("system", "nvme,serial=system,bootindex=2"), ("data", "scsi-hd")] {
            let file = disk(lab, number, id);
            qemu.args([
                "-drive",
                &format!("if=none,id={id},format=qcow2,cache=unsafe,file={}", file.display()),
            ]);
            if id == "data" {
                qemu.args(["-device", "virtio-scsi-pci"]);
            }
            qemu.args(["-device", &format!("{device},drive={id}")]);
        }
        if let Some(arguments) = kernel {
            // As the disk's own entry has it. A starved processor is no broken timer, and udev no broken disk.
            let always = "root=LABEL=root rw ignition.platform.id=metal net.ifnames=0 console=ttyS0 loglevel=4 audit=0 \
                no_timer_check systemd.default_device_timeout_sec=600";
            qemu.args(["-append", &format!("{always} {arguments}")]);
            qemu.arg("-kernel").arg(image().join("vmlinuz")).arg("-initrd").arg(image().join("initrd"));
        }
        let log = lab.path(&format!("qemu{number}.log"));
        Node { lab, number, qemu: Process::start(&mut qemu, &log), ssh: None, started: Instant::now() }
    }

    pub fn name(&self) -> String {
        format!("lenovo{}", self.number)
    }

    pub fn address(&self) -> String {
        format!("192.168.26.{}", 4 + self.number)
    }

    pub fn console(&self) -> String {
        std::fs::read_to_string(console(self.lab, self.number)).unwrap_or_default()
    }

    /// Waits until ssh answers: how long it took since power on.
    pub fn is_up(&mut self) -> Duration {
        loop {
            assert!(
                // Ignition says what it could not do before that.
                !self.qemu.has_ended()
                    && !self.console().contains("Entering emergency mode")
                    && self.started.elapsed() < BOOT,
                "{} is not up after {:?}:\n{}",
                self.name(),
                self.started.elapsed(),
                self.last_words()
            );
            let mut master = self.ssh_command();
            let control = self.lab.path(&format!("ssh{}", self.number));
            let _ = std::fs::remove_file(&control);
            master.args(["-M", "-N"]).arg(format!("core@{}", self.address()));
            let log = self.lab.path(&format!("ssh{}.log", self.number));
            let mut master = Process::start(&mut master, &log);
            while !master.has_ended() && !control.exists() && self.started.elapsed() < BOOT {
                std::thread::sleep(Duration::from_millis(200));
            }
            if control.exists() {
                self.ssh = Some(master);
                return self.started.elapsed();
            }
            std::thread::sleep(Duration::from_secs(1));
        }
    }

    /// What stopped in an initramfs stays there; what it could not do stands on the console.
    pub fn assert_no_emergency(&self) {
        let stopped = self.console().contains("Entering emergency mode");
        assert!(!stopped, "{} has stopped:\n{}", self.name(), self.last_words());
    }

    /// The end of what it has printed.
    fn last_words(&self) -> String {
        let console = self.console();
        let lines: Vec<&str> = console.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }

    fn ssh_command(&self) -> std::process::Command {
        let mut ssh = self.lab.network.command("ssh");
        ssh.arg("-i").arg(self.lab.path("key"));
        ssh.arg("-o").arg(format!("ControlPath={}", self.lab.path(&format!("ssh{}", self.number)).display()));
        for option in [
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "LogLevel=ERROR",
            "BatchMode=yes",
            "ConnectTimeout=20",
            "ServerAliveInterval=20",
        ] {
            ssh.args(["-o", option]);
        }
        ssh
    }

    /// Runs a script as root there, which must go well: what it printed.
    pub fn sh(&self, script: &str) -> String {
        self.sh_within(Duration::from_secs(120), script)
    }

    pub fn sh_within(&self, limit: Duration, script: &str) -> String {
        let output = self.try_sh(limit, script);
        assert!(output.status.success(), "{}: {script}\n{}", self.name(), said(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub fn try_sh(&self, limit: Duration, script: &str) -> std::process::Output {
        let mut ssh = self.ssh_command();
        // The login shell of core takes one word.
        let word = format!("'{}'", script.replace('\'', r"'\''"));
        ssh.arg(format!("core@{}", self.address())).arg(format!("sudo sh -euc {word}"));
        run(&ssh, limit)
    }

    /// Asks every half second until the script goes well: how long it took.
    pub fn waits(&self, what: &str, limit: Duration, script: &str) -> Duration {
        let begin = Instant::now();
        let seconds = limit.as_secs();
        let looped = format!(
            "end=$(($(date +%s) + {seconds})); until {script}; do [ $(date +%s) -lt $end ] || exit 99; sleep 0.5; done"
        );
        let output = self.try_sh(limit + Duration::from_secs(60), &looped);
        if !output.status.success() {
            let journal = self.try_sh(Duration::from_secs(60), "journalctl --no-pager --boot --lines 120; systemctl --no-pager --failed; systemctl list-jobs");
            panic!("{}: not within {limit:?}: {what}\n{}\n{}", self.name(), said(&output), said(&journal));
        }
        begin.elapsed()
    }

    /// The plug is pulled.
    pub fn power_off(mut self) {
        self.qemu.signal(rustix::process::Signal::KILL);
        self.qemu.end(Duration::from_secs(10));
    }
}

fn mac(number: usize) -> String {
    format!("52:54:00:12:34:5{}", 5 + number)
}

fn console(lab: &Lab, number: usize) -> PathBuf {
    lab.path(&format!("console{number}.log"))
}

fn disk(lab: &Lab, number: usize, id: &str) -> PathBuf {
    lab.path(&format!("{id}{number}.qcow2"))
}

/// The system disk as coreos-installer leaves it, over what is there already, and an empty one for /dev/sda.
fn make_disks(lab: &Lab, number: usize) {
    let (metal, system) = (image().join("metal.raw"), disk(lab, number, "system"));
    let over = ["create", "-q", "-f", "qcow2", "-F", "raw", "-b", metal.to_str().unwrap()];
    qemu_img(&[&over[..], &[system.to_str().unwrap()]].concat());
    make_empty_disk(lab, number, "data");
}

fn make_empty_disk(lab: &Lab, number: usize, id: &str) {
    qemu_img(&["create", "-q", "-f", "qcow2", disk(lab, number, id).to_str().unwrap(), "2G"]);
}

fn qemu_img(arguments: &[&str]) {
    let output = run(command("qemu-img").args(arguments), Duration::from_secs(60));
    assert!(output.status.success(), "{}", said(&output));
}
