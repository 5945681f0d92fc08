//! Network and mount namespaces without a name: they end with the process that holds them, and that with the test.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::tools::{command, run, said};

/// A process of the test, which ends when the test does, even by a kill.
pub struct Process(Child);

impl Process {
    /// Output goes to the end of `log`.
    pub fn start(command: &mut Command, log: &Path) -> Process {
        let file = File::options().create(true).append(true).open(log).unwrap();
        command.stdout(file.try_clone().unwrap()).stderr(file);
        Process(command.spawn().unwrap())
    }

    pub fn piped(command: &mut Command) -> (Process, BufReader<impl std::io::Read + Send + 'static>) {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        (Process(child), output)
    }

    pub fn id(&self) -> u32 {
        self.0.id()
    }

    pub fn signal(&self, signal: Signal) {
        let _ = kill_process(Pid::from_child(&self.0), signal);
    }

    pub fn has_ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }

    /// Waits for the end, and brings it about after `limit`.
    pub fn end(&mut self, limit: Duration) {
        let begin = Instant::now();
        while begin.elapsed() < limit {
            if self.has_ended() {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end(Duration::ZERO);
    }
}

/// A command that the kernel ends with the thread that starts it.
fn bound_to_this_thread(program: &str) -> Command {
    let mut bound = command("setpriv");
    bound.args(["--pdeathsig", "KILL", program]);
    bound
}

pub struct Namespace {
    holder: Process,
}

impl Namespace {
    pub fn new() -> Namespace {
        let mut unshare = bound_to_this_thread("unshare");
        unshare.args(["--net", "--mount", "--propagation", "private"]);
        unshare.args(["sh", "-c", "echo here; exec sleep 3600"]);
        let (holder, mut output) = Process::piped(&mut unshare);
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert_eq!(line, "here\n");
        Namespace { holder }
    }

    pub fn id(&self) -> String {
        self.holder.id().to_string()
    }

    /// A command that runs in here, as the process that is started; before others, since this machine is shared.
    pub fn command(&self, program: &str) -> Command {
        self.with_niceness(-10, program)
    }

    /// The same, but after others.
    pub fn patient_command(&self, program: &str) -> Command {
        self.with_niceness(10, program)
    }

    fn with_niceness(&self, niceness: i8, program: &str) -> Command {
        let mut inside = bound_to_this_thread("nsenter");
        inside.args(["--target", &self.id(), "--net", "--mount"]);
        inside.args(["nice", &format!("--adjustment={niceness}"), program]);
        inside
    }

    /// Runs a shell script in here, which must go well.
    pub fn sh(&self, script: &str) {
        let mut shell = self.command("sh");
        let output = run(shell.args(["-e", "-c", script]), Duration::from_secs(20));
        assert!(output.status.success(), "{script}\n{}", said(&output));
    }
}
