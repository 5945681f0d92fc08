//! Generations that survive a restart, and state directories that have seen better days.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use crate::server::reload::Trigger;
use crate::server::{Config, Error, Server};

use super::client::{config, start};
use super::pinning::{pinned, start_counting};
use super::site::{CONF, SCRIPT, broken, generation, good};

fn keeping(folder: &Path) -> Config {
    Config { state_dir: Some(folder.to_owned()), ..config() }
}

#[tokio::test]
async fn a_restart_with_an_edited_inventory_answers_the_old_digests() {
    let folder = tempfile::tempdir().unwrap();
    let server = start_counting(keeping(folder.path())).await;
    server.reloader.reload(Trigger::Change).await;
    server.end().await;
    // Nobody was there to see c become current.
    let server = start(keeping(folder.path()), || good(generation("c"))).await;
    for mark in ["a", "b", "c"] {
        for path in [SCRIPT, CONF] {
            let reply = server.get(&pinned(path, mark)).await;
            let artifact = generation(mark).catalogue.get(path).unwrap().clone();
            assert_eq!(
                (reply.status, reply.body.as_slice()),
                (200, artifact.bytes().as_ref()),
                "{path} {mark}"
            );
        }
    }
}

#[tokio::test]
async fn after_a_restart_with_a_broken_inventory_boots_under_way_are_still_served() {
    let folder = tempfile::tempdir().unwrap();
    start_counting(keeping(folder.path())).await.end().await;
    let server = start(keeping(folder.path()), || broken("oh")).await;
    assert_eq!(server.get(&format!("/{SCRIPT}")).await.status, 503);
    assert_eq!(server.get(&pinned(SCRIPT, "a")).await.status, 200);
    assert_eq!(server.get(&pinned(SCRIPT, "b")).await.status, 503, "perhaps it will be there once it loads");
}

#[tokio::test]
async fn what_lies_there_is_for_its_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("var/lib");
    start_counting(keeping(&state)).await.end().await;
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(
        (mode(&state), mode(&state.join("blobs")), mode(&state.join("index.json"))),
        (0o700, 0o700, 0o600)
    );
    for blob in std::fs::read_dir(state.join("blobs")).unwrap() {
        assert_eq!(mode(&blob.unwrap().path()), 0o600);
    }
}

fn inodes(folder: &Path) -> BTreeMap<String, (u64, i64)> {
    let files = std::fs::read_dir(folder.join("blobs")).unwrap().chain(std::fs::read_dir(folder).unwrap());
    let files = files.map(|file| file.unwrap()).filter(|file| file.file_type().unwrap().is_file());
    files
        .map(|file| {
            let meta = file.metadata().unwrap();
            (file.file_name().into_string().unwrap(), (meta.ino(), meta.mtime_nsec()))
        })
        .collect()
}

#[tokio::test]
async fn what_has_not_changed_is_not_written_again() {
    let folder = tempfile::tempdir().unwrap();
    start(keeping(folder.path()), || good(generation("a"))).await.end().await;
    let before = inodes(folder.path());
    let server = start(keeping(folder.path()), || good(generation("a"))).await;
    server.reloader.reload(Trigger::Change).await;
    assert_eq!(inodes(folder.path()), before);
}

#[tokio::test]
async fn what_is_over_is_deleted() {
    let folder = tempfile::tempdir().unwrap();
    // Longer than a turn takes on a machine that is busy.
    let term = std::time::Duration::from_secs(2);
    let server = start_counting(Config { keep_generations_for: term, ..keeping(folder.path()) }).await;
    server.reloader.reload(Trigger::Change).await;
    let blob = |mark| folder.path().join(format!("blobs/{}", pinned(CONF, mark).rsplit('=').next().unwrap()));
    assert!(blob("a").exists() && blob("b").exists());
    tokio::time::sleep(term).await;
    server.reloader.purge().await;
    assert!(!blob("a").exists() && blob("b").exists());
}

#[tokio::test]
async fn damaged_and_foreign_files_cost_what_they_held_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    start_counting(keeping(folder.path())).await.end().await;
    let blobs = folder.path().join("blobs");
    let blob = |path| blobs.join(pinned(path, "a").rsplit('=').next().unwrap());
    std::fs::write(blob(SCRIPT), "#!/bin/sh\n# x\n").unwrap();
    std::fs::write(blobs.join("README"), "mine").unwrap();
    let server = start(keeping(folder.path()), || good(generation("b"))).await;
    assert_eq!(server.get(&pinned(SCRIPT, "a")).await.status, 404, "not what its name says");
    assert_eq!(server.get(&pinned(CONF, "a")).await.status, 200);
    assert!(blobs.join("README").exists());
}

#[tokio::test]
async fn an_index_that_is_none_is_started_without() {
    for text in
        ["", "{", "[]", r#"{"version":2,"artifacts":[]}"#, "\u{0}\u{0}", r#"{"version":1,"artifacts":[{}]}"#]
    {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("index.json"), text).unwrap();
        let server = start(keeping(folder.path()), || good(generation("a"))).await;
        assert_eq!(server.get(&pinned(SCRIPT, "a")).await.status, 200, "{text}");
    }
    // Times at the end of time, and a path that wants out.
    let digest = "0".repeat(64);
    for (path, time) in [("pxe/x", u64::MAX), ("../../etc/passwd", 0)] {
        let entry = format!(
            r#"{{"path":"{path}","sha256":"{digest}","size":9,"secret":false,"hosts":null,"addresses":[],"expires_unix_seconds":{time}}}"#
        );
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("index.json"), format!(r#"{{"version":1,"artifacts":[{entry}]}}"#))
            .unwrap();
        let server = start(keeping(folder.path()), || good(generation("a"))).await;
        assert_eq!(server.get(&format!("/pxe/x?sha256={digest}")).await.status, 404);
    }
}

#[tokio::test]
async fn two_processes_do_not_share_a_state_directory() {
    let folder = tempfile::tempdir().unwrap();
    let _first = start_counting(keeping(folder.path())).await;
    let second = Server::start(&keeping(folder.path()), || good(generation("a"))).await;
    assert!(matches!(second, Err(Error::StateDirInUse { .. })));
}

#[tokio::test]
async fn a_state_directory_that_cannot_be_made_is_an_error_at_the_start() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let server = Server::start(&keeping(file.path()), || good(generation("a"))).await;
    assert!(matches!(server, Err(Error::StateDir { .. })));
}
