//! A virtual machine on the lab's network. It has a limit on its time, and ends with the test.

use std::io::Read as _;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::namespace::Process;

use super::lab::{Lab, TAP};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Firmware {
    /// SeaBIOS; the network card brings iPXE.
    Bios,
    /// OVMF fetches ipxe.efi by TFTP.
    UefiPxe,
    /// OVMF fetches ipxe.efi by HTTP.
    UefiHttp,
}

/// The inventory's lenovo1.
pub const LENOVO1: &str = "52:54:00:12:34:56";

const UUID: &str = "4c4c4544-0042-3010-8057-b7c04f4d3132";

/// Emulated machines are slow, and this one is shared; an install and the start from the disk take a minute beside others.
const LIMIT: Duration = Duration::from_secs(600);

/// A machine that is switched off.
#[derive(Debug, Clone, Copy)]
pub struct Machine<'a> {
    pub firmware: Firmware,
    pub mac: &'a str,
    pub disk: Option<&'a Path>,
    /// A restart boots again in the same way; otherwise it is the end.
    pub restarts: bool,
}

impl Machine<'_> {
    /// Boots over the network, and from the disk when that sends it there.
    pub fn boot(self, lab: &Lab) -> Running {
        let Machine { firmware, mac, disk, restarts } = self;
        let permit = Permit::take();
        // timeout ends it when it hangs, and it ends with timeout, which ends with the test.
        let mut qemu = lab.network.patient_command("timeout");
        qemu.args(["--kill-after=5", &LIMIT.as_secs().to_string()]);
        qemu.args(["setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64"]);
        // Without erms: the kernel clears pages eight bytes at a time then, and not one by one, each of which is a call
        // where the page held code once.
        qemu.args([
            "-accel",
            "tcg",
            "-cpu",
            "max,-erms",
            "-m",
            "1024",
            "-display",
            "none",
            "-monitor",
            "none",
        ]);
        qemu.args(["-serial", "stdio", "-uuid", UUID]);
        qemu.args(["-netdev", &format!("tap,id=n0,ifname={TAP},script=no,downscript=no")]);
        match firmware {
            Firmware::Bios => {
                qemu.args(["-machine", "pc,graphics=off"]);
                qemu.args(["-device", &format!("virtio-net-pci,netdev=n0,mac={mac},bootindex=1")]);
            }
            Firmware::UefiPxe | Firmware::UefiHttp => {
                let variables = lab.path("variables.fd");
                std::fs::copy("/usr/share/OVMF/OVMF_VARS_4M.fd", &variables).unwrap();
                qemu.args(["-machine", "q35"]);
                qemu.args(["-device", &format!("virtio-net-pci,netdev=n0,mac={mac},romfile=,bootindex=1")]);
                let code = "if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd";
                qemu.args(["-drive", code]);
                qemu.args(["-drive", &format!("if=pflash,format=raw,file={}", variables.display())]);
                // Without randomness OVMF has no network.
                qemu.args(["-device", "virtio-rng-pci"]);
            }
        }
        // What takes a minute to find nobody.
        let off: &[&str] = match firmware {
            Firmware::Bios => &[],
            Firmware::UefiPxe => &["IPv6PXESupport"],
            Firmware::UefiHttp => &["IPv4PXESupport", "IPv6PXESupport"],
        };
        for protocol in off {
            qemu.args(["-fw_cfg", &format!("name=opt/org.tianocore/{protocol},string=n")]);
        }
        if let Some(disk) = disk {
            qemu.args(["-drive", &format!("if=none,id=d0,format=raw,cache=unsafe,file={}", disk.display())]);
            qemu.args(["-device", "nvme,drive=d0,serial=lab,bootindex=2"]);
        }
        if !restarts {
            qemu.arg("-no-reboot");
        }
        let (process, mut output) = Process::piped(&mut qemu);
        let console = Arc::new(Mutex::new(String::new()));
        let writer = Arc::clone(&console);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = output.read(&mut bytes) {
                writer.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..read]));
            }
        });
        Running { process, console, begin: Instant::now(), is_silent: false, _permit: permit }
    }
}

pub struct Running {
    process: Process,
    console: Arc<Mutex<String>>,
    begin: Instant,
    is_silent: bool,
    _permit: Permit,
}

impl Running {
    /// What it has printed until now, without the movements of the cursor.
    pub fn console(&self) -> String {
        plain(&self.console.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until it has printed this, or has ended. A BIOS' console breaks lines after 80 characters.
    pub fn says(&mut self, text: &str) {
        while !self.console().replace(['\r', '\n'], "").contains(text) {
            assert!(
                !self.is_silent && self.begin.elapsed() < LIMIT,
                "never said {text:?}:\n{}",
                self.console()
            );
            // Looked at once more after the end: it may have said it last.
            self.is_silent = self.has_ended();
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub fn since_power_on(&self) -> Duration {
        self.begin.elapsed()
    }

    pub fn has_ended(&mut self) -> bool {
        self.process.has_ended()
    }

    /// Waits until it is off.
    pub fn ends(mut self) -> Boot {
        self.process.end(LIMIT);
        // What is still in the pipe.
        std::thread::sleep(Duration::from_millis(100));
        Boot { console: self.console(), took: self.begin.elapsed() }
    }
}

/// What was seen of a machine, from power on to power off.
pub struct Boot {
    pub console: String,
    pub took: Duration,
}

impl Boot {
    /// From where it says this.
    pub fn after(&self, text: &str) -> Boot {
        let at = self.console.find(text).unwrap_or_else(|| panic!("never said {text:?}: {}", self.console));
        Boot { console: self.console[at..].to_owned(), took: self.took }
    }

    /// The lines of the stand-in that begin with this word, without it.
    pub fn lines(&self, word: &str) -> Vec<&str> {
        let start = format!("LAB {word} ");
        self.console.lines().filter_map(|line| line.trim_end().strip_prefix(&start)).collect()
    }

    /// How often it said that.
    pub fn count(&self, text: &str) -> usize {
        self.console.matches(text).count()
    }
}

/// Without what tells a terminal to move, colour and clear.
fn plain(console: &str) -> String {
    let mut plain = String::new();
    let mut rest = console;
    while let Some(at) = rest.find('\u{1b}') {
        plain.push_str(&rest[..at]);
        let sequence = rest[at + 1..].trim_start_matches('[');
        let end =
            sequence.find(|letter: char| letter.is_ascii_alphabetic()).map_or(sequence.len(), |end| end + 1);
        rest = &sequence[end..];
    }
    plain + rest
}

/// An emulated machine takes a whole processor, and these tests run beside others.
struct Permit;

const AT_ONCE: usize = 2;
static RUNNING: Mutex<usize> = Mutex::new(0);
static ENDED: Condvar = Condvar::new();

impl Permit {
    fn take() -> Permit {
        let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        let mut running =
            ENDED.wait_while(running, |running| *running >= AT_ONCE).unwrap_or_else(PoisonError::into_inner);
        *running += 1;
        Permit
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        ENDED.notify_one();
    }
}
