//! The command line as a shell sees it: exit status, stdout, stderr, and what is on the disk after a kill.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// The inventory in the repository, which is also the one of the README.
const INVENTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/inventory.yaml");

fn program(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pxe-serve"));
    command.args(args).stdin(Stdio::null());
    command
}

fn run(args: &[&str]) -> Output {
    program(args).output().unwrap()
}

/// Runs it and expects an exit status; gives stdout and stderr.
#[track_caller]
fn expect(status: i32, args: &[&str]) -> (String, String) {
    let output = run(args);
    let (stdout, stderr) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(status), "{args:?}\n{stdout}\n{stderr}");
    (stdout, stderr)
}

/// An inventory that no version of the program accepts.
fn broken_inventory(folder: &Path) -> String {
    let path = folder.join("broken.yaml");
    fs::write(&path, "nonsense: true\n").unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn help_of_every_verb_answers_and_names_every_option() {
    let mut verbs = Vec::new();
    for verb in pxe_serve::cli::command().get_subcommands() {
        verbs.push((vec![verb.get_name().to_owned()], verb.clone()));
        for part in verb.get_subcommands() {
            verbs.push((vec![verb.get_name().to_owned(), part.get_name().to_owned()], part.clone()));
        }
    }
    assert!(verbs.iter().any(|(words, _)| words.len() == 2) && verbs.len() >= 5);
    for (words, verb) in verbs {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let (help, _) = expect(0, &[&words[..], &["--help"]].concat());
        let (man, _) = expect(0, &[&["man"], &words[..]].concat());
        for argument in verb.get_arguments() {
            let written = match argument.get_long() {
                Some(long) => format!("--{long}"),
                None => argument.get_value_names().unwrap()[0].to_string(),
            };
            assert!(help.contains(&written), "{words:?} --help is silent on {written}");
            assert!(man.replace("\\-", "-").contains(&written), "man {words:?} is silent on {written}");
        }
    }
}

#[test]
fn completions_know_the_verbs_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (script, _) = expect(0, &["completions", shell]);
        for verb in ["render", "check", "show"] {
            assert!(script.contains(verb), "{shell}: {verb}");
        }
    }
    let (page, _) = expect(0, &["man"]);
    assert!(page.contains("pxe\\-serve\\-render"), "{page}");
}

#[test]
fn a_usage_error_ends_with_two() {
    for args in
        [&[][..], &["rendr"], &["render"], &["check", "--format", "xml"], &["man", "rendr"], &["show"]]
    {
        let (_, stderr) = expect(2, args);
        assert!(!stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn check_ends_with_zero_when_clean_one_with_findings_and_two_without_an_inventory() {
    let tmp = tempfile::tempdir().unwrap();
    let (stdout, stderr) = expect(0, &["check", "--inventory", INVENTORY]);
    assert!(stdout.ends_with(" would be served\n"), "{stdout}");
    assert_eq!(stderr, "");
    let (stdout, stderr) = expect(1, &["check", "--inventory", &broken_inventory(tmp.path())]);
    assert!(stdout.contains("error") && stdout.contains("nonsense"), "{stdout}");
    assert!(stdout.ends_with("; nothing can be served\n"), "{stdout}");
    assert!(!stdout.contains('\x1b'), "colour is for terminals");
    assert_eq!(stderr, "");
    let missing = tmp.path().join("missing.yaml");
    expect(2, &["check", "--inventory", missing.to_str().unwrap()]);
    expect(2, &["check", "--inventory", tmp.path().to_str().unwrap()]);
}

#[test]
fn check_as_json_is_one_document_with_the_same_keys_whether_clean_or_not() {
    let tmp = tempfile::tempdir().unwrap();
    let keys = ["artifacts", "errors", "findings", "generation", "notes", "warnings"];
    for (status, inventory) in [(0, INVENTORY.to_owned()), (1, broken_inventory(tmp.path()))] {
        let (stdout, _) = expect(status, &["check", "--format", "json", "--inventory", &inventory]);
        let document: serde_json::Value = serde_json::from_str(&stdout).unwrap();
        let mut found: Vec<&str> = document.as_object().unwrap().keys().map(String::as_str).collect();
        found.sort_unstable();
        assert_eq!(found, keys);
        assert_eq!(document["errors"].as_u64() == Some(0), status == 0, "{document}");
        assert_eq!(document["generation"].is_string(), status == 0, "{document}");
        for finding in document["findings"].as_array().unwrap() {
            assert!(
                finding["severity"].is_string()
                    && finding["path"].is_string()
                    && finding["message"].is_string()
            );
        }
    }
}

#[test]
fn show_prints_what_render_writes_with_and_without_the_leading_slash() {
    let tmp = tempfile::tempdir().unwrap();
    let www = tmp.path().join("www");
    let (stdout, stderr) = expect(0, &["render", "--inventory", INVENTORY, "--out", www.to_str().unwrap()]);
    assert_eq!(stdout, "");
    assert!(stderr.contains(" files, ") && stderr.contains("generation "), "{stderr}");
    for path in ["pxe/configs/keepalived-lenovo1.conf", "/pxe/SHA256SUMS", "/pxe/manifest.json"] {
        let shown = run(&["show", "--inventory", INVENTORY, path]);
        assert!(shown.status.success());
        assert_eq!(shown.stdout, fs::read(www.join(path.trim_start_matches('/'))).unwrap(), "{path}");
    }
}

#[test]
fn a_word_that_nearly_fits_is_answered_with_the_right_one() {
    let (_, stderr) = expect(2, &["show", "--inventory", INVENTORY, "/pxe/configs/keepalived-lenovo1.con"]);
    assert!(stderr.contains("did you mean `pxe/configs/keepalived-lenovo1.conf`?"), "{stderr}");
    let (_, stderr) = expect(2, &["show", "--inventory", INVENTORY, "keepalived-lenovo1.conf"]);
    assert!(stderr.contains("did you mean `pxe/configs/keepalived-lenovo1.conf`?"), "{stderr}");
    let tmp = tempfile::tempdir().unwrap();
    let www = tmp.path().join("www");
    let (_, stderr) =
        expect(2, &["render", "--inventory", INVENTORY, "--out", www.to_str().unwrap(), "--host", "lenvo1"]);
    assert!(stderr.contains("did you mean `lenovo1`?") && stderr.contains("lenovo2, lenovo3"), "{stderr}");
    assert!(!www.exists());
}

#[test]
fn a_host_gets_its_own_files_and_not_those_of_others() {
    let tmp = tempfile::tempdir().unwrap();
    let (www, tar) = (tmp.path().join("www"), tmp.path().join("bundle.tar"));
    let (out, tar_path) = (www.to_str().unwrap(), tar.to_str().unwrap());
    expect(0, &["render", "--inventory", INVENTORY, "--host", "lenovo2", "--out", out, "--tar", tar_path]);
    assert!(www.join("pxe/configs/keepalived-lenovo2.conf").exists());
    assert!(!www.join("pxe/configs/keepalived-lenovo1.conf").exists());
    assert!(sums_are_clean(&www));
    let mut archive = tar::Archive::new(fs::File::open(&tar).unwrap());
    let names: Vec<_> =
        archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().into_owned()).collect();
    assert!(names.contains(&"pxe/configs/keepalived-lenovo2.conf".into()));
    assert!(!names.contains(&"pxe/configs/keepalived-lenovo1.conf".into()));
}

#[test]
fn nothing_is_written_from_a_broken_inventory() {
    let tmp = tempfile::tempdir().unwrap();
    let www = tmp.path().join("www");
    let broken = broken_inventory(tmp.path());
    let (_, stderr) = expect(2, &["render", "--inventory", &broken, "--out", www.to_str().unwrap()]);
    assert!(stderr.contains("nonsense") && stderr.contains("cannot be rendered"), "{stderr}");
    assert!(!www.exists());
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    for args in [
        &["show", "--inventory", INVENTORY, "pxe/SHA256SUMS"][..],
        &["check", "--inventory", INVENTORY],
        &["man"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let child = program(args).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{args:?} {output:?}");
    }
}

fn sums_are_clean(www: &Path) -> bool {
    let mut sha256sum = Command::new("sha256sum");
    sha256sum.args(["-c", "--quiet", "--strict", "SHA256SUMS"]).current_dir(www.join("pxe"));
    sha256sum.output().unwrap().status.success()
}

/// Two trees that differ, from one inventory: all of it, and what one host may have.
fn render(www: &Path, all: bool) -> Child {
    let mut command = program(&["render", "--inventory", INVENTORY, "--out"]);
    command.arg(www).stderr(Stdio::null());
    if !all {
        command.args(["--host", "lenovo1"]);
    }
    command.spawn().unwrap()
}

#[test]
fn a_kill_at_any_moment_leaves_a_whole_tree_and_no_reader_ever_sees_another() {
    /// Spread evenly over the time that a run takes.
    const KILLS: u32 = 30;
    let tmp = tempfile::tempdir().unwrap();
    let www = tmp.path().join("www");
    let sums = www.join("pxe/SHA256SUMS");
    let mut whole = Vec::new();
    // The shortest of several: a disk that is busy for a moment must not move all kills behind the end.
    let mut duration = Duration::MAX;
    for all in [true, false, true, false] {
        let begin = Instant::now();
        assert!(render(&www, all).wait().unwrap().success());
        duration = duration.min(begin.elapsed());
        whole.push(fs::read(&sums).unwrap());
    }
    assert_ne!(whole[0], whole[1]);

    let done = AtomicBool::new(false);
    let (reads, killed) = thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut reads = 0;
            while !done.load(Ordering::Relaxed) {
                let seen = fs::read(&sums).expect("the file is there at every moment");
                assert!(whole.contains(&seen), "neither the old nor the new file");
                reads += 1;
            }
            reads
        });
        // Ends the reader also when an assertion below fails.
        let stop = StopOnDrop(&done);
        let mut killed = 0;
        for kill in 0..KILLS {
            let mut child = render(&www, kill % 2 == 0);
            thread::sleep(duration * kill / KILLS);
            killed += u32::from(child.try_wait().unwrap().is_none());
            child.kill().unwrap();
            child.wait().unwrap();
            assert!(sums_are_clean(&www), "after kill {kill}");
        }
        drop(stop);
        (reader.join().unwrap(), killed)
    });
    assert!(killed >= KILLS / 3, "only {killed} of {KILLS} runs were still running when they were killed");
    assert!(reads > KILLS, "{reads}");

    assert!(render(&www, true).wait().unwrap().success(), "the next run cleans up");
    let mut left: Vec<_> =
        fs::read_dir(tmp.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, [".www.pxe-serve-lock", "www"]);
}

struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn without_a_server_to_ask_it_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    for why in ["No such file", "refused"] {
        for verb in
            [&["hosts"][..], &["arm", "lenovo1", "lenovo2"], &["arm", "--new"], &["arm", "lenovo1", "--off"]]
        {
            let (stdout, stderr) = expect(2, &[verb, &["--state-dir", dir]].concat());
            assert_eq!(stdout, "");
            let remedy = format!("no server uses {dir}");
            assert!(stderr.contains(&remedy) && stderr.contains(why), "{stderr}");
            assert!(stderr.contains(&format!("start pxe-serve serve --state-dir {dir}")), "{stderr}");
        }
        // What a server that was killed leaves.
        drop(std::os::unix::net::UnixListener::bind(folder.path().join("operator.sock")));
    }
    expect(2, &["arm", "lenovo1", "--off", "--bootstrap"]);
    expect(2, &["arm", "--new", "lenovo1"]);
    expect(2, &["arm"]);
    expect(2, &["arm", "Not_A_Host"]);
}

#[test]
fn what_it_started_ends_with_it() {
    for (signal, name) in [(Signal::TERM, "SIGTERM"), (Signal::INT, "SIGINT"), (Signal::HUP, "SIGHUP")] {
        let folder = tempfile::tempdir().unwrap();
        // In place of the real one, with a child that would outlive it.
        let ssh = folder.path().join("ssh");
        fs::write(
            &ssh,
            "#!/bin/sh\nsleep 60 &\necho $! > \"$PIDS.new.$$\"\nmv \"$PIDS.new.$$\" \"$PIDS\"\nwait\n",
        )
        .unwrap();
        fs::set_permissions(&ssh, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let pids = folder.path().join("pids");
        let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
        let mut command = program(&["token", "fetch", "--inventory", INVENTORY, "--host", "lenovo1"]);
        let child = command.env("PATH", path).env("PIDS", &pids).stderr(Stdio::piped()).spawn().unwrap();
        let begin = Instant::now();
        while !pids.exists() {
            assert!(begin.elapsed() < Duration::from_secs(20), "ssh was not started");
            thread::sleep(Duration::from_millis(10));
        }
        let sleep = fs::read_to_string(&pids).unwrap();
        kill_process(Pid::from_child(&child), signal).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains(name), "{}: {said}", output.status);
        let state = || fs::read_to_string(format!("/proc/{}/stat", sleep.trim())).unwrap_or_default();
        let is_over = || state().is_empty() || state().contains(") Z ");
        let ended = (0..100).any(|_| {
            is_over() || {
                thread::sleep(Duration::from_millis(20));
                false
            }
        });
        assert!(ended, "{name}: {}", state());
    }
}
