//! The catalogue is one, and server, bundle and `show` are views of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use pxe_serve::catalogue::{MANIFEST_PATH, SHA256SUMS_PATH, parse_sum_line};
use pxe_serve::load::load;
use serde_json::Value;

use crate::serving::{Served, operator, options};
use crate::site::{self, SITES};

fn program(verb: &str, site: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pxe-serve"));
    command.arg(verb).args(options(&site::sources(site)));
    command
}

#[test]
fn every_artifact_is_the_same_over_http_in_the_bundle_and_from_show() {
    for site in ["seed", "tower"] {
        let tmp = tempfile::tempdir().unwrap();
        let www = tmp.path().join("www");
        assert!(program("render", site).arg("--out").arg(&www).output().unwrap().status.success());
        let state = tmp.path().join("state");
        let options = ["--state-dir", state.to_str().unwrap(), "--secrets", "loopback"];
        let served = Served::start(&site::sources(site), &options);
        // Else no script installs.
        operator(&state, &["arm", "--new"]);
        let catalogue = site::generation(site).catalogue;
        let sums = fs::read_to_string(www.join(SHA256SUMS_PATH)).unwrap();
        let sums: BTreeMap<String, String> = sums
            .lines()
            .map(|line| parse_sum_line(line).unwrap())
            .map(|(path, sum)| (path, sum.to_string()))
            .collect();
        let manifest: Value = serde_json::from_slice(&fs::read(www.join(MANIFEST_PATH)).unwrap()).unwrap();
        let entries: BTreeMap<&str, &Value> = manifest["artifacts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| (entry["path"].as_str().unwrap(), entry))
            .collect();
        for (path, artifact) in catalogue.iter() {
            let path = path.as_str();
            let answer = served.get(&format!("/{path}"));
            assert_eq!(answer.status, 200, "{site} {path}");
            let bytes = artifact.bytes().as_ref();
            assert!(answer.body == bytes, "{site} {path}: over HTTP");
            assert!(fs::read(www.join(path)).unwrap() == bytes, "{site} {path}: in the bundle");
            assert!(program("show", site).arg(path).output().unwrap().stdout == bytes, "{site} {path}: show");

            let sha256 = artifact.digest().sha256.to_string();
            assert_eq!(answer.header("etag"), Some(format!("\"sha256-{sha256}\"").as_str()), "{path}");
            assert_eq!(answer.header("content-length"), Some(bytes.len().to_string().as_str()), "{path}");
            assert_eq!(answer.header("content-type"), Some(artifact.media_type.as_str()), "{path}");
            let kept = answer.header("cache-control").is_some_and(|value| value.contains("no-store"));
            // What a machine boots may be something else the next time.
            let is_decided = path.strip_prefix("pxe/ipxe/").is_some_and(|name| !name.contains('/'));
            assert_eq!(kept, artifact.is_secret() || is_decided, "{path}");
            assert!(served.get(&format!("/{path}?sha256={sha256}")).body == bytes, "{path}: by its digest");
            if path != SHA256SUMS_PATH {
                assert_eq!(sums[path], sha256);
            }
            if ![SHA256SUMS_PATH, MANIFEST_PATH].contains(&path) {
                let entry = entries[path];
                assert_eq!(entry["sha256"], sha256, "{path}");
                assert_eq!(entry["sha512"], artifact.digest().sha512.to_string(), "{path}");
                assert_eq!(entry["size"], bytes.len(), "{path}");
                assert_eq!(entry["sensitivity"] == "secret", artifact.is_secret(), "{path}");
            }
        }
        assert_eq!(sums.len() + 1, catalogue.len());
        assert_eq!(entries.len() + 2, catalogue.len());
    }
}

#[test]
fn rendering_again_gives_the_same_bytes() {
    for site in SITES {
        assert_eq!(site::generation(site).catalogue, site::generation(site).catalogue, "{site}");
    }
}

#[test]
fn bytes_depend_on_neither_time_zone_nor_folder_nor_home_nor_language() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for site in ["seed", "tower"] {
        let tmp = tempfile::tempdir().unwrap();
        let [here, there] = ["here.tar", "there.tar"].map(|name| tmp.path().join(name));
        assert!(program("render", site).arg("--tar").arg(&here).output().unwrap().status.success());
        let mut elsewhere = Command::new(env!("CARGO_BIN_EXE_pxe-serve"));
        let sources = site::sources(site);
        elsewhere.arg("render").arg("--inventory").arg(root.join(sources.inventory));
        if let Some(templates) = sources.templates {
            elsewhere.arg("--templates").arg(root.join(templates));
        }
        elsewhere.arg("--tar").arg(&there).current_dir(tmp.path()).env_clear().envs([
            ("TZ", "Pacific/Kiritimati"),
            ("HOME", "/nonexistent"),
            ("LANG", "tr_TR.UTF-8"),
            ("LC_ALL", "tr_TR.UTF-8"),
            ("USER", "somebody"),
            ("SOURCE_DATE_EPOCH", "1"),
        ]);
        assert!(elsewhere.output().unwrap().status.success(), "{site}");
        assert!(fs::read(&here).unwrap() == fs::read(&there).unwrap(), "{site}");
    }
}

#[test]
fn every_link_below_the_base_url_leads_to_an_artifact_with_the_digest_beside_it() {
    for site in SITES {
        let generation = site::generation(site);
        let links = crate::laws::links(&generation.inventory, &generation.catalogue);
        assert!(links.len() > 10, "{site}: {links:?}");
        for link in links {
            crate::laws::assert_leads_somewhere(&generation.inventory, &generation.catalogue, &link);
        }
    }
}

/// By a reader that is not ours. What it does not know it drops, so what it writes again must have every key.
#[test]
fn every_ignition_config_is_read_by_somebody_else_without_unknown_keys() {
    let mut read = 0;
    for site in SITES {
        for (path, artifact) in site::generation(site).catalogue.iter() {
            if !path.as_str().ends_with(".ign") {
                continue;
            }
            let lower = artifact.alternative.as_ref().map(|alternative| &alternative.bytes);
            for bytes in std::iter::once(artifact.bytes()).chain(lower) {
                let (config, warnings) = ignition_config::Config::parse_slice(bytes).unwrap();
                assert!(warnings.is_empty(), "{site} {path}: {warnings:?}");
                let ours = keys(&serde_json::from_slice(bytes).unwrap());
                let theirs = keys(&serde_json::to_value(&config).unwrap());
                let lost: Vec<&String> = ours.difference(&theirs).collect();
                assert!(lost.is_empty(), "{site} {path}: {lost:?}");
                read += 1;
            }
        }
    }
    assert!(read > 25, "{read}");
}

/// Every key by its path, where it has a value; list items by their place.
fn keys(value: &Value) -> BTreeSet<String> {
    fn walk(value: &Value, path: &str, found: &mut BTreeSet<String>) {
        match value {
            Value::Null => return,
            Value::Object(map) => {
                map.iter().for_each(|(key, value)| walk(value, &format!("{path}/{key}"), found))
            }
            Value::Array(items) => {
                items
                    .iter()
                    .enumerate()
                    .for_each(|(index, value)| walk(value, &format!("{path}/{index}"), found));
            }
            _ => {}
        }
        found.insert(path.to_owned());
    }
    let mut found = BTreeSet::new();
    walk(value, "", &mut found);
    found
}

#[test]
fn no_site_of_the_repository_is_served_with_an_error() {
    for site in SITES {
        assert!(!load(&site::sources(site)).report.has_errors(), "{site}");
    }
}
