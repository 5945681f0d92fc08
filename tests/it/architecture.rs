//! The house rules of `docs/architecture.md` that a machine can read off the sources: who may name whom, who may
//! touch the world, and how files begin, end and are called.

use std::fs;
use std::path::Path;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A module names only modules of a lower rank; those of one rank do not know each other.
const RANKS: &[(&str, u8)] = &[
    ("report", 0),
    ("ids", 0),
    ("document", 1),
    ("catalogue", 1),
    ("butane", 1),
    ("inventory", 2),
    ("failover", 3),
    ("boot", 3),
    ("render", 4),
    ("generation", 4),
    ("cluster", 4),
    ("load", 5),
    ("bundle", 5),
    ("probe", 5),
    ("server", 5),
    ("cli", 6),
];

/// Up to this rank, code is a function of its arguments: no files, sockets, clock, environment, randomness.
const PURE_UP_TO: u8 = 4;

/// Compiles bytes to bytes for whoever wants it, so it is to stay as easy to cut out as a crate.
const LIKE_A_CRATE: (&str, &[&str]) = ("butane", &["report"]);

/// What touches the world, or brings it along. Plain data such as `std::net::IpAddr` and `std::path::Path` does not.
const IMPURE: &[&str] = &[
    "std::fs",
    "std::env",
    "std::process",
    "std::thread",
    "std::os",
    "std::io::stdin",
    "std::io::stdout",
    "std::io::stderr",
    "std::net::TcpListener",
    "std::net::TcpStream",
    "std::net::UdpSocket",
    "std::net::ToSocketAddrs",
    "std::time::SystemTime",
    "std::time::Instant",
    "axum",
    "getrandom",
    "hyper",
    "hyper_util",
    "notify",
    "rand",
    "rustix",
    "rustls",
    "tokio",
    "tokio_rustls",
    "tower_http",
];

/// A file should be near 200 lines; past this it is two things in one.
const MOST_LINES: usize = 500;

/// Files that are tables, which nobody reads from top to bottom.
const TABLES: &[&str] = &["butane/schema.rs"];

/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &["utils", "util", "common", "manager", "helpers", "helper", "misc"];

#[test]
fn the_sources_keep_the_house_rules() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![src.clone()];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                files += 1;
                let name = path.strip_prefix(&src).unwrap().to_str().unwrap();
                found.extend(violations(name, &fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(files > 20, "found only {files} sources");
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn a_source_that_keeps_the_rules_passes() {
    let source = "//! Header.\nuse std::net::IpAddr;\nuse crate::{ids::{HostName, MacAddr}, report};\n\
                  // std::fs in a comment, and \"crate::server\" in a string:\nconst A: &str = \"crate::server\";\n\
                  pub(crate) fn f() { super::g(); self::h::i(); }\nmod tests { use super::*; use super::super::g; }\n";
    assert_eq!(violations("render/keepalived.rs", source), Vec::<String>::new());
}

#[test]
fn each_kind_of_violation_is_caught() {
    let header = |code: &str| format!("//! Header.\n{code}\n");
    let cases = [
        (
            "render/a.rs",
            header("use crate::bundle::write_tree;"),
            "render/a.rs:2: render (rank 4) names bundle (rank 5)",
        ),
        (
            "server/a.rs",
            header("use crate::{report, bundle};"),
            "server/a.rs:2: server (rank 5) names bundle (rank 5)",
        ),
        ("ids/a.rs", header("fn f() { super::super::cli::main() }"), "ids (rank 0) names cli (rank 6)"),
        ("ids.rs", header("mod tests { use super::super::load; }"), "ids (rank 0) names load (rank 5)"),
        (
            "ids/a.rs",
            header("fn f() { format!(\"{}\", crate::load::x()); }"),
            "ids (rank 0) names load (rank 5)",
        ),
        ("inventory/a.rs", header("use crate::misc2::x;"), "misc2 has no rank"),
        ("surprise.rs", header(""), "surprise has no rank"),
        ("butane/a.rs", header("use crate::ids::HostName;"), "butane may name only report"),
        (
            "render/a.rs",
            header("use std::{collections::BTreeMap, fs::read};"),
            "render/a.rs:2: std::fs in pure code",
        ),
        (
            "render/a.rs",
            header("use std::time;\nfn f() { time::Instant::now(); }"),
            "render/a.rs:3: std::time::Instant",
        ),
        (
            "ids/a.rs",
            header("fn f() { let t = std::time::SystemTime::now(); }"),
            "std::time::SystemTime in pure code",
        ),
        ("ids/a.rs", header("fn f() { std::env::var(\"X\"); }"), "std::env in pure code"),
        ("ids/a.rs", header("use std::net::{IpAddr, TcpStream};"), "std::net::TcpStream in pure code"),
        ("catalogue/a.rs", header("fn f() { rand::random() }"), "rand in pure code"),
        ("load.rs", "use std::fs;\n".to_owned(), "load.rs:1: a file begins with //!"),
        ("load/utils.rs", header(""), "load/utils.rs:1: utils says nothing"),
        ("load.rs", header(&"\n".repeat(MOST_LINES)), "502 lines"),
        ("load.rs", header("fn {"), "is not Rust"),
    ];
    for (name, source, expected) in cases {
        let found = violations(name, &source);
        assert!(found.iter().any(|violation| violation.contains(expected)), "{name}: {source}\n{found:?}");
    }
}

/// Everything that is wrong with one source; `name` is its path below `src/`.
fn violations(name: &str, source: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut say = |line: usize, what: String| found.push(format!("src/{name}:{line}: {what}"));
    if !source.starts_with("//!") {
        say(1, "a file begins with //! and what it owns, refuses and costs".into());
    }
    let lines = source.lines().count();
    if lines > MOST_LINES && !TABLES.contains(&name) {
        say(lines, format!("{lines} lines are more than {MOST_LINES}: which two things are in it?"));
    }
    let module: Vec<&str> = name.trim_end_matches(".rs").trim_end_matches("/mod").split('/').collect();
    for part in module.iter().filter(|part| EMPTY_NAMES.contains(part)) {
        say(1, format!("{part} says nothing about what is inside; name the one thing it defines"));
    }
    let Ok(tokens) = source.parse::<TokenStream>() else {
        say(1, "is not Rust".into());
        return found;
    };
    if ["lib", "main"].contains(&module[0]) {
        return found;
    }
    let Some(rank) = rank_of(module[0]) else {
        say(
            1,
            format!(
                "{} has no rank; give it one in tests/it/architecture.rs and in docs/architecture.md",
                module[0]
            ),
        );
        return found;
    };
    let mut paths = Paths::default();
    paths.collect(tokens, &module.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>());
    for (path, line) in &paths.ours {
        match rank_of(path) {
            _ if path == module[0] => {}
            _ if module[0] == LIKE_A_CRATE.0 && !LIKE_A_CRATE.1.contains(&path.as_str()) => {
                say(*line, format!("butane may name only {}, not {path}", LIKE_A_CRATE.1.join(", ")));
            }
            None => say(*line, format!("{path} has no rank")),
            Some(other) if other < rank => {}
            Some(other) => {
                let module = module[0];
                say(*line, format!("{module} (rank {rank}) names {path} (rank {other})"));
            }
        }
    }
    for (path, line) in paths.others.iter().filter(|_| rank <= PURE_UP_TO) {
        if let Some(impure) = IMPURE.iter().find(|impure| reaches(path, impure)) {
            say(*line, format!("{impure} in pure code"));
        }
    }
    found
}

fn rank_of(module: &str) -> Option<u8> {
    RANKS.iter().find(|(name, _)| *name == module).map(|(_, rank)| *rank)
}

/// Whether the path leads to or into what is impure; also after `use std::time;`, as `time::Instant`.
fn reaches(path: &str, impure: &str) -> bool {
    let below = |whole: &str| path == whole || path.starts_with(&format!("{whole}::"));
    let shortened = impure.strip_prefix("std::").filter(|rest| rest.contains("::"));
    below(impure) || shortened.is_some_and(below)
}

/// Every path in a source with its line: the top-level modules of ours that it names, and all other paths.
#[derive(Default)]
struct Paths {
    ours: Vec<(String, usize)>,
    others: Vec<(String, usize)>,
}

impl Paths {
    fn collect(&mut self, tokens: TokenStream, module: &[String]) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Ident(word) => {
                    let inline = match tokens.get(at + 2) {
                        Some(TokenTree::Group(body)) if *word == "mod" => {
                            Some((tokens[at + 1].to_string(), body))
                        }
                        _ => None,
                    };
                    if let Some((name, body)) = inline {
                        self.collect(body.stream(), &[module, &[name]].concat());
                        at += 3;
                    } else {
                        at = self.path(&tokens, at, &[], module);
                    }
                }
                TokenTree::Group(group) => {
                    self.collect(group.stream(), module);
                    at += 1;
                }
                _ => at += 1,
            }
        }
    }

    /// Reads the path that begins at `at`, with its `{…}` if it is a use tree; says where it ends.
    fn path(&mut self, tokens: &[TokenTree], mut at: usize, prefix: &[String], module: &[String]) -> usize {
        let line = tokens[at].span().start().line;
        let mut path = prefix.to_vec();
        while let Some(TokenTree::Ident(word)) = tokens.get(at) {
            path.push(word.to_string());
            at += 1;
            let colons = |offset: usize| matches!(tokens.get(at + offset), Some(TokenTree::Punct(p)) if p.as_char() == ':');
            if !(colons(0) && colons(1)) {
                break;
            }
            at += 2;
            if let Some(TokenTree::Group(tree)) = tokens.get(at)
                && tree.delimiter() == Delimiter::Brace
            {
                let branches: Vec<TokenTree> = tree.stream().into_iter().collect();
                let is_comma = |token: &TokenTree| matches!(token, TokenTree::Punct(p) if p.as_char() == ',');
                for branch in branches.split(is_comma).filter(|branch| !branch.is_empty()) {
                    self.path(branch, 0, &path, module);
                }
                return at + 1;
            }
        }
        self.add(&path, line, module);
        // A token that was no identifier (a `*` in a use tree) is passed over as well.
        at.max(1)
    }

    fn add(&mut self, path: &[String], line: usize, module: &[String]) {
        let supers = path.iter().take_while(|part| *part == "super").count();
        let absolute: Vec<String> = match path.first().map(String::as_str) {
            Some("crate" | "pxe_serve") => path[1..].to_vec(),
            Some("super") => [&module[..module.len().saturating_sub(supers)], &path[supers..]].concat(),
            _ => return self.others.push((path.join("::"), line)),
        };
        if let Some(top) = absolute.first() {
            self.ours.push((top.clone(), line));
        }
    }
}
