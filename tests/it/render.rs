//! What is rendered, byte for byte: every site of `tests/cases/sites` beside the tree that is expected of it.
//!
//! `seed` and `tower` are kept whole, since between them they take every branch of every template but the health
//! check's; of the others only what is different in them, named in their `selected`. The manifest and the sums are
//! left out everywhere: they would double every change, and `views` compares them with every artifact; so are the
//! images, which `ipxe` unpacks.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use pxe_serve::catalogue::{Catalogue, MANIFEST_PATH, SHA256SUMS_PATH};
use pxe_serve::generation::Loaded;
use pxe_serve::load::load;

use crate::site::{self, SITES};

/// What `check` prints, kept beside the tree.
const FINDINGS: &str = "findings.txt";

#[test]
fn every_site_renders_to_its_expected_tree_and_to_nothing_else() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut wrong = Vec::new();
    for site in SITES {
        let folder = Path::new("tests/cases/sites").join(site);
        let Loaded { generation, report, .. } = load(&site::sources(site));
        let mut rendered =
            generation.map_or_else(BTreeMap::new, |loaded| selected(&folder, &loaded.catalogue));
        rendered.insert(FINDINGS.into(), report.to_text(false).into_bytes());
        let expected = folder.join("expected");
        if update {
            let _ = fs::remove_dir_all(&expected);
            for (path, bytes) in &rendered {
                fs::create_dir_all(expected.join(path).parent().unwrap()).unwrap();
                fs::write(expected.join(path), bytes).unwrap();
            }
        }
        wrong.extend(differences(&expected, &rendered));
    }
    assert!(
        wrong.is_empty(),
        "\n{}\nif this is meant, run UPDATE_GOLDEN=1 cargo test --test it render, and look at the diff\n",
        wrong.join("\n")
    );
}

#[test]
fn every_folder_of_sites_is_a_site() {
    let folders = fs::read_dir("tests/cases/sites").unwrap();
    let found: BTreeSet<String> =
        folders.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(found, SITES.map(str::to_owned).into());
}

#[test]
fn an_unexpected_an_unproduced_and_a_changed_file_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["same", "pxe/changed", "pxe/unproduced"] {
        fs::create_dir_all(folder.path().join("pxe")).unwrap();
        fs::write(folder.path().join(name), "a\nb\n").unwrap();
    }
    let rendered = ["same", "pxe/changed", "pxe/unexpected"]
        .map(|name| (name.to_owned(), if name == "pxe/changed" { "a\nc\n" } else { "a\nb\n" }.into()));
    let wrong = differences(folder.path(), &BTreeMap::from(rendered)).join("\n");
    let at = |name: &str| folder.path().join(name).display().to_string();
    assert!(wrong.contains(&format!("{}: not produced", at("pxe/unproduced"))), "{wrong}");
    assert!(wrong.contains(&format!("{}: not expected", at("pxe/unexpected"))), "{wrong}");
    assert!(wrong.contains(&format!("{}:2: \"b\" expected, \"c\" rendered", at("pxe/changed"))), "{wrong}");
    assert!(!wrong.contains("same"), "{wrong}");
}

/// The artifacts that are kept of this site: all, or those of `selected`, each of which there must be.
fn selected(folder: &Path, catalogue: &Catalogue) -> BTreeMap<String, Vec<u8>> {
    let all = catalogue.iter().map(|(path, artifact)| (path.to_string(), artifact.bytes().to_vec()));
    let all = all.filter(|(path, _)| ![MANIFEST_PATH, SHA256SUMS_PATH].contains(&path.as_str()));
    let all = all.filter(|(path, _)| !path.ends_with(".img"));
    match fs::read_to_string(folder.join("selected")) {
        Err(_) => all.collect(),
        Ok(list) => {
            let mut all: BTreeMap<String, Vec<u8>> = all.collect();
            let wanted = list.lines().filter(|line| !line.starts_with('#'));
            wanted
                .map(|path| {
                    let bytes = all.remove(path);
                    (path.to_owned(), bytes.unwrap_or_else(|| panic!("{}: no {path}", folder.display())))
                })
                .collect()
        }
    }
}

fn differences(expected: &Path, rendered: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
    let mut left = files(expected);
    let mut wrong = Vec::new();
    for (path, bytes) in rendered {
        let at = expected.join(path);
        match left.remove(path).map(|file| fs::read(file).unwrap()) {
            None => wrong.push(format!("{}: not expected", at.display())),
            Some(golden) if golden != *bytes => wrong.push(first_difference(&at, &golden, bytes)),
            Some(_) => {}
        }
    }
    wrong.extend(left.keys().map(|path| format!("{}: not produced", expected.join(path).display())));
    wrong
}

fn first_difference(path: &Path, expected: &[u8], rendered: &[u8]) -> String {
    let (expected, rendered) = (String::from_utf8_lossy(expected), String::from_utf8_lossy(rendered));
    let (mut old, mut new) = (expected.lines(), rendered.lines());
    for line in 1.. {
        match (old.next(), new.next()) {
            (None, None) => break,
            (old, new) if old == new => {}
            (old, new) => {
                let same = old
                    .unwrap_or("")
                    .chars()
                    .zip(new.unwrap_or("").chars())
                    .take_while(|(a, b)| a == b)
                    .count();
                // From a little before: an Ignition config is one line.
                let part =
                    |line: &str| line.chars().skip(same.saturating_sub(30)).take(80).collect::<String>();
                let show = |line: Option<&str>| {
                    line.map_or("nothing".to_owned(), |line| format!("{:?}", part(line)))
                };
                return format!("{}:{line}: {} expected, {} rendered", path.display(), show(old), show(new));
            }
        }
    }
    format!("{}: differs in line ends", path.display())
}

fn files(root: &Path) -> BTreeMap<String, PathBuf> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned(), path);
            }
        }
    }
    found
}
