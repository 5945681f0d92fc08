//! What the documents say is run: console blocks, complete inventories, links, and the names of keys, variables, options,
//! modules and crates, each compared with the code.
//!
//! In a document, ```` ```console ```` is a session: `$ ` begins a command, `> ` goes on with it, the rest is what it prints, with `…` for
//! anything. A block whose first line names a file (```` ```yaml mine/artifacts.yaml ````) is that file. ```` ```sh ```` is not run.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::api::lab::{LENOVOS, Lab, VIP};
use crate::api::{A_YEAR, BlackHole, Does};

const TOP: &str = env!("CARGO_MANIFEST_DIR");
const PROGRAM: &str = env!("CARGO_BIN_EXE_pxe-serve");

/// What documents write for the port that `serve` listens on; each run takes a free one instead.
const SHOWN_ADDRESS: &str = "127.0.0.1:8080";
/// For one command, and for the server to answer.
const LIMIT: Duration = Duration::from_secs(60);

/// The network of the shipped inventory. In a session that speaks of `k3s.yaml` a cluster lives on a part of the loopback
/// instead: lenovo1 is off, the VIP is a black hole, the other two are well.
const SHOWN_NETWORK: &str = "192.168.26.";

struct Document {
    /// From the top folder.
    path: String,
    text: String,
}

struct Block<'d> {
    /// What stands behind the fence: `console`, `yaml tower1-inventory.yaml`.
    info: &'d str,
    text: String,
    line: usize,
}

fn documents() -> Vec<Document> {
    let mut found: Vec<PathBuf> =
        ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "static/README.md", "secrets/README.md"]
            .map(|name| Path::new(TOP).join(name))
            .into();
    for folder in ["docs", "docs/decisions"] {
        let entries = fs::read_dir(Path::new(TOP).join(folder)).unwrap();
        found.extend(
            entries
                .map(|entry| entry.unwrap().path())
                .filter(|path| path.extension().is_some_and(|e| e == "md")),
        );
    }
    found.sort();
    let name = |path: &Path| path.strip_prefix(TOP).unwrap().to_str().unwrap().to_owned();
    found.iter().map(|path| Document { path: name(path), text: fs::read_to_string(path).unwrap() }).collect()
}

fn document(path: &str) -> String {
    documents().into_iter().find(|document| document.path == path).unwrap().text
}

/// The fenced blocks, without the indentation of their fence.
fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut open: Option<(Block<'_>, usize)> = None;
    for (index, line) in text.lines().enumerate() {
        let trimmed = line.trim_start();
        match (&mut open, trimmed.strip_prefix("```")) {
            (None, Some(info)) => {
                open =
                    Some((Block { info, text: String::new(), line: index + 1 }, line.len() - trimmed.len()));
            }
            (Some(_), Some(_)) => blocks.extend(open.take().map(|(block, _)| block)),
            (Some((block, indent)), None) => {
                block.text.push_str(line.get(*indent..).unwrap_or(""));
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    blocks
}

/// The name of the file that a block is.
fn file_name<'d>(block: &Block<'d>) -> Option<&'d str> {
    block.info.split_once(' ').map(|(_, name)| name)
}

/// One command and what it prints.
struct Step {
    command: String,
    expected: Vec<String>,
}

fn steps(block: &Block<'_>) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in block.text.lines() {
        match (line.strip_prefix("$ "), line.strip_prefix("> "), steps.last_mut()) {
            (Some(command), _, _) => {
                steps.push(Step { command: command.to_owned(), expected: Vec::new() });
            }
            (None, Some(more), Some(step)) if step.expected.is_empty() => {
                step.command.push('\n');
                step.command.push_str(more);
            }
            (_, _, Some(step)) => step.expected.push(line.to_owned()),
            (_, _, None) => panic!("line {}: output without a command", block.line),
        }
    }
    steps
}

/// A copy of the user's files, in which the sessions of one document run, and the server that they start.
struct Session {
    folder: tempfile::TempDir,
    address: String,
    server: Option<Child>,
    /// With the black hole.
    lab: Option<(Lab, BlackHole)>,
}

impl Session {
    fn new(lab: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let secrets = folder.path().join("secrets");
        fs::create_dir(&secrets).unwrap();
        for name in ["inventory.yaml", "secrets/k3s-token", "secrets/keepalived-auth-pass"] {
            fs::copy(Path::new(TOP).join(name), folder.path().join(name)).unwrap();
        }
        for document in documents() {
            for block in blocks(&document.text) {
                let Some(name) = file_name(&block) else { continue };
                let path = folder.path().join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, &block.text).unwrap();
            }
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let lab = lab.then(|| {
            let mut lab = Lab::new();
            let names = ["k3s", "lenovo1", "lenovo2", "lenovo3"].map(|name| format!("{name}.lab.internal"));
            for host in [LENOVOS[1], LENOVOS[2]] {
                lab.start_with(host, &[lab.sans(), names.to_vec()].concat(), A_YEAR, Does::Answers);
            }
            for name in ["inventory.yaml", "k3s.yaml"] {
                let text = fs::read_to_string(folder.path().join(name));
                let text = text.or_else(|_| fs::read_to_string(lab.path(name))).unwrap();
                fs::write(folder.path().join(name), text.replace(SHOWN_NETWORK, &lab.network)).unwrap();
            }
            let hole = BlackHole::start(lab.address(VIP));
            (lab, hole)
        });
        Session { folder, address: format!("127.0.0.1:{port}"), server: None, lab }
    }

    /// As in the document, with the addresses and columns of what it shows.
    fn shown(&self, text: &str) -> String {
        let text = text.replace(&self.address, SHOWN_ADDRESS);
        match &self.lab {
            Some((lab, _)) => text.replace(&lab.network, SHOWN_NETWORK),
            None => text,
        }
    }

    fn command(&self, line: &str) -> Command {
        let bin = Path::new(PROGRAM).parent().unwrap().display();
        let path = format!("{bin}:{}", std::env::var("PATH").unwrap_or_default());
        let mut bash = Command::new("timeout");
        bash.args([&LIMIT.as_secs().to_string(), "bash", "-euo", "pipefail", "-c", line]);
        bash.current_dir(self.folder.path()).env("PATH", path).env_remove("NO_COLOR").stdin(Stdio::null());
        bash.env("HOME", self.folder.path()).env_remove("KUBECONFIG");
        bash
    }

    /// Runs a step; gives what went wrong.
    fn run(&mut self, step: &Step) -> Result<(), String> {
        let command = step.command.replace("cargo run --release --", "pxe-serve");
        let command = command.replace(SHOWN_ADDRESS, &self.address);
        if command == "./check" {
            // It runs this test.
            return Ok(());
        }
        if command.starts_with("kubectl") && !has("kubectl") {
            eprintln!("SKIPPED: {command}: there is no kubectl here");
            return Ok(());
        }
        if let Some(arguments) = command.strip_prefix("pxe-serve serve") {
            return self.serve(arguments, step);
        }
        // Both streams in the order in which they were written, as on a terminal.
        let output = self.command(&format!("exec 2>&1; {command}")).output().unwrap();
        let text = self.shown(&String::from_utf8_lossy(&output.stdout));
        let shows_an_error = step.expected.iter().any(|line| line.starts_with("error"));
        if output.status.success() == shows_an_error {
            return Err(format!("{}\n{text}", output.status));
        }
        compare(step, &text)
    }

    /// In the background, until the document ends or starts another; what it says is what it says at first.
    fn serve(&mut self, arguments: &str, step: &Step) -> Result<(), String> {
        self.stop();
        let said = self.folder.path().join(".said");
        let mut server = Command::new(PROGRAM);
        server.arg("serve").args(["--listen", &self.address]).args(arguments.split_whitespace());
        server.current_dir(self.folder.path()).stderr(Stdio::null()).stdin(Stdio::null());
        self.server = Some(server.stdout(fs::File::create(&said).unwrap()).spawn().unwrap());
        let begin = Instant::now();
        loop {
            let text = self.shown(&fs::read_to_string(&said).unwrap());
            match compare(step, &text) {
                Ok(()) if std::net::TcpStream::connect(&self.address).is_ok() => return Ok(()),
                Err(why) if begin.elapsed() > LIMIT => return Err(why),
                _ if begin.elapsed() > LIMIT => return Err("it does not answer".into()),
                _ => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.stop();
    }
}

fn has(program: &str) -> bool {
    std::env::var("PATH")
        .unwrap_or_default()
        .split(':')
        .any(|folder| Path::new(folder).join(program).exists())
}

/// A step that shows no output is satisfied with any.
fn compare(step: &Step, text: &str) -> Result<(), String> {
    let expected: Vec<&str> = step.expected.iter().map(|line| line.trim_end()).collect();
    let actual: Vec<&str> = text.lines().map(str::trim_end).collect();
    match expected.is_empty() || lines_match(&expected, &actual) {
        true => Ok(()),
        false => Err(format!("expected\n{}\n\nbut it printed\n{text}", expected.join("\n"))),
    }
}

/// A line that is only `…` stands for any lines.
fn lines_match(expected: &[&str], actual: &[&str]) -> bool {
    match expected {
        [] => actual.is_empty(),
        ["…", rest @ ..] => (0..=actual.len()).any(|skipped| lines_match(rest, &actual[skipped..])),
        [line, rest @ ..] => match actual {
            [first, others @ ..] => line_matches(line, first) && lines_match(rest, others),
            [] => false,
        },
    }
}

/// `…` within a line stands for any text.
fn line_matches(expected: &str, actual: &str) -> bool {
    match expected.split_once('…') {
        None => expected == actual,
        Some((before, after)) => actual.strip_prefix(before).is_some_and(|rest| {
            rest.char_indices()
                .map(|(index, _)| index)
                .chain([rest.len()])
                .any(|at| line_matches(after, &rest[at..]))
        }),
    }
}

#[test]
fn an_ellipsis_stands_for_any_text_and_alone_for_any_lines() {
    for (expected, actual, fits) in [
        ("a", "a", true),
        ("a", "b", false),
        ("a … c", "a b c", true),
        ("a … c", "a b d", false),
        ("…z", "z", true),
        ("a\n…\nz", "a\nz", true),
        ("a\n…\nz", "a\nb\nc\nz", true),
        ("a\n…", "b", false),
        ("a", "a\nb", false),
    ] {
        let (left, right): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), actual.lines().collect());
        assert_eq!(lines_match(&left, &right), fits, "{expected:?} {actual:?}");
    }
}

/// docs/butane.md is left to the tests of the compiler.
#[test]
fn the_sessions_in_the_documents_print_what_they_show() {
    let mut wrong = Vec::new();
    let mut ran = 0;
    for document in documents().iter().filter(|document| document.path != "docs/butane.md") {
        let is_console = |block: &&Block<'_>| block.info == "console";
        let blocks_of = blocks(&document.text);
        let mut session =
            Session::new(blocks_of.iter().filter(is_console).any(|block| block.text.contains("k3s.yaml")));
        for block in blocks_of.iter().filter(is_console) {
            for step in steps(block) {
                ran += 1;
                if let Err(why) = session.run(&step) {
                    wrong.push(format!("{}:{}: $ {}\n{why}", document.path, block.line, step.command));
                }
            }
        }
    }
    assert!(ran > 20, "{ran}");
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n\n"));
}

#[test]
fn every_inventory_in_the_documents_is_clean() {
    let mut found = 0;
    for document in documents() {
        for block in blocks(&document.text) {
            let Some(name) = file_name(&block).filter(|name| name.ends_with("inventory.yaml")) else {
                continue;
            };
            let (inventory, report) = pxe_serve::inventory::parse(name, block.text.as_bytes());
            assert!(inventory.is_some() && report.is_empty(), "{}", report.to_text(false));
            found += 1;
        }
    }
    assert!(found > 0);
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut dead = Vec::new();
    for document in documents() {
        let folder = Path::new(&document.path).parent().unwrap();
        for (_, after) in document.text.match_indices("](").map(|(at, _)| document.text.split_at(at + 2)) {
            let target = after.split(')').next().unwrap();
            if target.starts_with("http") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let path = if file.is_empty() {
                Path::new(TOP).join(&document.path)
            } else {
                Path::new(TOP).join(folder).join(file)
            };
            let good = path.exists()
                && (anchor.is_empty()
                    || anchors(&fs::read_to_string(&path).unwrap()).iter().any(|a| a == anchor));
            if !good {
                dead.push(format!("{}: {target}", document.path));
            }
        }
    }
    assert!(dead.is_empty(), "{}", dead.join("\n"));
}

/// As GitHub makes them of headings.
fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            let kept = title.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.collect::<String>().replace(' ', "-")
        })
        .collect()
}

/// As code: `` `word` ``, or the last part of `` `vips.word` ``.
fn documents_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        text[..at].ends_with(['`', '.']) && text[at + word.len()..].starts_with(['`', '.', ' '])
    })
}

#[track_caller]
fn assert_documented(path: &str, words: &[String], at_least: usize) {
    let text = document(path);
    let missing: Vec<&String> = words.iter().filter(|word| !documents_word(&text, word)).collect();
    assert!(words.len() >= at_least, "found only {words:?}");
    assert!(missing.is_empty(), "{path} is silent on {missing:?}");
}

fn source(path: &str) -> String {
    fs::read_to_string(Path::new(TOP).join("src").join(path)).unwrap()
}

/// The string literals of a source that are one word: in a reader, the keys and the values to choose from.
fn words_in(source: &str) -> Vec<String> {
    let is_word = |text: &&str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    let literals = source.split('"').skip(1).step_by(2);
    literals.filter(is_word).map(str::to_owned).collect()
}

#[test]
fn every_key_of_the_inventory_is_documented() {
    let readers =
        ["mod", "fcos", "hosts", "k3s", "keepalived"].map(|name| source(&format!("inventory/raw/{name}.rs")));
    assert_documented("docs/inventory.md", &words_in(&readers.concat()), 60);
}

#[test]
fn every_key_of_artifacts_yaml_is_documented() {
    assert_documented("docs/templates.md", &words_in(&source("render/declared.rs")), 8);
}

#[test]
fn every_variable_of_a_template_is_documented() {
    let mut variables = Vec::new();
    for file in ["context", "keepalived", "ignition", "ipxe", "failover_page", "router"] {
        let (mut derives, mut in_struct) = (false, false);
        for line in source(&format!("render/{file}.rs")).lines() {
            // The fields of what is serialised, and the keys of `context!`.
            in_struct = line != "}" && (in_struct || derives && line.contains("struct "));
            derives = line.starts_with("#[derive(") && line.contains("Serialize");
            let line = line.trim_start().trim_start_matches("pub ");
            let name = line.split(if in_struct { ": " } else { " => " }).next().unwrap_or_default();
            let is_name = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
            if name != line && is_name && !["", "_"].contains(&name) {
                variables.push(name.to_owned());
            }
        }
    }
    variables.extend(["secrets", "k3s_token", "keepalived_auth_pass", "node_password"].map(str::to_owned));
    assert_documented("docs/templates.md", &variables, 50);
}

#[test]
fn every_template_that_ships_is_found_in_the_documents_or_in_the_list_of_artifacts() {
    let list = fs::read_to_string(Path::new(TOP).join("templates/artifacts.yaml")).unwrap();
    let text = document("docs/templates.md") + &list;
    for folder in ["", "butane", "configs", "ipxe", "pages", "router", "scripts"] {
        for entry in fs::read_dir(Path::new(TOP).join("templates").join(folder)).unwrap() {
            let name = Path::new(folder).join(entry.unwrap().file_name());
            let name = name.to_str().unwrap();
            assert!(!name.ends_with(".j2") || text.contains(name), "{name}");
        }
    }
}

#[test]
fn every_option_is_documented() {
    let text: String = documents().into_iter().map(|document| document.text).collect();
    let assert_documented = |name: &str, verb: &clap::Command| {
        assert!(text.contains(&format!("pxe-serve {name}")), "{name}");
        for long in verb.get_arguments().filter_map(|argument| argument.get_long()) {
            assert!(text.contains(&format!("`--{long}")), "{name} --{long}");
        }
    };
    for verb in pxe_serve::cli::command().get_subcommands() {
        assert_documented(verb.get_name(), verb);
        for part in verb.get_subcommands() {
            assert_documented(&format!("{} {}", verb.get_name(), part.get_name()), part);
        }
    }
}

#[test]
fn the_ranks_of_the_architecture_are_those_that_the_test_enforces() {
    let text = document("docs/architecture.md");
    let test = include_str!("architecture.rs");
    let table = test.split("RANKS: &[(&str, u8)] = &[").nth(1).unwrap().split("];").next().unwrap();
    for line in table.lines().filter(|line| !line.trim().is_empty()) {
        let parts: Vec<&str> = line.trim().trim_matches(|c| "(),".contains(c)).split(", ").collect();
        let (module, rank) = (parts[0].trim_matches('"'), parts[1]);
        let row = text.lines().find(|line| line.starts_with(&format!("| {rank} |"))).unwrap_or_default();
        assert!(row.contains(&format!("`{module}`")), "rank {rank}: {module}");
    }
}

#[test]
fn every_dependency_has_its_reason() {
    let text = document("docs/architecture.md");
    let manifest = fs::read_to_string(Path::new(TOP).join("Cargo.toml")).unwrap();
    let section = manifest.split("[dependencies]\n").nth(1).unwrap().split("\n[").next().unwrap();
    let crates: Vec<&str> = section.lines().filter_map(|line| Some(line.split_once(" = ")?.0)).collect();
    assert!(crates.len() > 20, "{crates:?}");
    for name in &crates {
        assert!(
            text.contains(&format!("| `{name}` |")),
            "{name} is not in the table of docs/architecture.md"
        );
    }
    for line in text.lines().filter(|line| line.starts_with("| `") && line.matches('|').count() == 3) {
        let name = line.split('`').nth(1).unwrap();
        assert!(crates.contains(&name), "{name} is no dependency any more");
    }
}

#[test]
fn decisions_are_short_and_no_two_have_one_number() {
    let decisions: Vec<Document> =
        documents().into_iter().filter(|document| document.path.starts_with("docs/decisions/")).collect();
    let mut numbers = BTreeSet::new();
    for decision in &decisions {
        let number: u32 = decision.path["docs/decisions/".len()..][..4].parse().unwrap();
        assert!(numbers.insert(number), "there is another {number}: {}", decision.path);
        assert!(decision.text.starts_with(&format!("# {number}. ")), "{}", decision.path);
        assert!(decision.text.lines().count() <= 30, "{} is long", decision.path);
        for heading in ["## Context", "## Decision", "## Consequences"] {
            assert!(decision.text.contains(heading), "{}: {heading}", decision.path);
        }
    }
}
