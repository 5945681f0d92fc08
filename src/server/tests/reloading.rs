//! Edits while it serves: of real files, seen through inotify or without it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::catalogue::Sha256;
use crate::generation::{Loaded, Unfinished};
use crate::server::Config;

use super::client::{Running, config, start, start_polling};
use super::site::{CONF, SCRIPT, broken, generation, good};

/// The site is one file: its text is the mark, unless it says "broken".
fn load(file: &Path) -> Loaded {
    let mut loaded = match std::fs::read_to_string(file) {
        Ok(text) if text.contains("broken") => broken(&text),
        Ok(text) => good(generation(text.trim())),
        Err(error) => broken(&error.kind().to_string()),
    };
    loaded.inputs.insert(file.to_owned());
    loaded
}

fn quick() -> Config {
    let mut config = config();
    config.limits.debounce = Duration::from_millis(10);
    config.limits.poll = Duration::from_millis(20);
    // So that a test which passes has really been woken by inotify.
    config.limits.poll_beside_inotify = Duration::from_secs(3600);
    config
}

struct Site {
    _folder: tempfile::TempDir,
    file: PathBuf,
}

impl Site {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("inventory.yaml");
        std::fs::write(&file, text).unwrap();
        Site { _folder: folder, file }
    }

    async fn start(&self) -> Running {
        let file = self.file.clone();
        start(quick(), move || load(&file)).await
    }

    /// As editors do it: another file takes the name.
    fn replace(&self, text: &str) {
        let temporary = self.file.with_extension("swp");
        std::fs::write(&temporary, text).unwrap();
        std::fs::rename(&temporary, &self.file).unwrap();
    }
}

/// Until `target` answers with `status` and a body that has `text`.
async fn comes(server: &Running, target: &str, status: u16, text: &str) {
    let began = Instant::now();
    loop {
        let reply = server.get(target).await;
        if reply.status == status && reply.text().contains(text) {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(5), "still {} {}", reply.status, reply.text());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

const TARGET: &str = "/pxe/configs/k3s-healthcheck.sh";

#[tokio::test]
async fn an_edit_is_served_without_a_restart_whichever_way_it_is_saved() {
    let site = Site::new("one");
    let server = site.start().await;
    comes(&server, TARGET, 200, "# one\n").await;
    std::fs::write(&site.file, "two").unwrap();
    comes(&server, TARGET, 200, "# two\n").await;
    site.replace("three");
    comes(&server, TARGET, 200, "# three\n").await;
    std::fs::remove_file(&site.file).unwrap();
    comes(&server, "/readyz", 200, "degraded").await;
    std::fs::write(&site.file, "four").unwrap();
    comes(&server, TARGET, 200, "# four\n").await;
}

#[tokio::test]
async fn a_link_swapped_as_kubernetes_does_it_is_an_edit() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (name, text) in [("..one", "one"), ("..two", "two")] {
        std::fs::create_dir(at(name)).unwrap();
        std::fs::write(at(name).join("inventory.yaml"), text).unwrap();
    }
    std::os::unix::fs::symlink("..one", at("..data")).unwrap();
    std::os::unix::fs::symlink("..data/inventory.yaml", at("inventory.yaml")).unwrap();
    let file = at("inventory.yaml");
    let server = start(quick(), move || load(&file)).await;
    comes(&server, TARGET, 200, "# one\n").await;
    std::os::unix::fs::symlink("..two", at("..data_tmp")).unwrap();
    std::fs::rename(at("..data_tmp"), at("..data")).unwrap();
    comes(&server, TARGET, 200, "# two\n").await;
}

#[tokio::test]
async fn a_folder_deleted_and_made_anew_is_still_watched() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("site");
    let file = inner.join("inventory.yaml");
    std::fs::create_dir(&inner).unwrap();
    std::fs::write(&file, "one").unwrap();
    let path = file.clone();
    let server = start(quick(), move || load(&path)).await;
    comes(&server, TARGET, 200, "# one\n").await;
    std::fs::remove_dir_all(&inner).unwrap();
    comes(&server, "/readyz", 200, "degraded").await;
    std::fs::create_dir(&inner).unwrap();
    std::fs::write(&file, "two").unwrap();
    comes(&server, TARGET, 200, "# two\n").await;
    site_edit(&file, "three");
    comes(&server, TARGET, 200, "# three\n").await;
}

fn site_edit(file: &Path, text: &str) {
    std::fs::write(file, text).unwrap();
}

#[tokio::test]
async fn where_there_is_no_inotify_it_looks_every_now_and_then() {
    let site = Site::new("one");
    let file = site.file.clone();
    let server = start_polling(quick(), move || load(&file)).await;
    comes(&server, TARGET, 200, "# one\n").await;
    site.replace("two");
    comes(&server, TARGET, 200, "# two\n").await;
    std::fs::write(&site.file, "three").unwrap();
    comes(&server, TARGET, 200, "# three\n").await;
}

#[tokio::test]
async fn a_bad_edit_keeps_the_last_good_generation_and_says_so() {
    let site = Site::new("one");
    let server = site.start().await;
    comes(&server, "/healthz", 200, r#""status":"ok""#).await;
    site.replace("broken: no MAC");
    comes(&server, "/healthz", 200, r#""status":"degraded""#).await;
    let health: serde_json::Value = serde_json::from_slice(&server.get("/healthz").await.body).unwrap();
    assert!(health["error"].as_str().unwrap().contains("broken: no MAC"), "{health}");
    assert_eq!(health["generation"], generation("one").catalogue.generation().to_string());
    assert!(health["loaded_at"].as_str().unwrap().ends_with('Z'), "{health}");
    assert_eq!(server.get("/readyz").await.status, 200);
    assert_eq!(server.get(TARGET).await.text(), "#!/bin/sh\n# one\n");
    assert!(server.get("/").await.text().contains("The last edit is broken"));
    site.replace("two");
    comes(&server, "/readyz", 200, r#""status":"ok""#).await;
    comes(&server, TARGET, 200, "# two\n").await;
}

#[tokio::test]
async fn a_broken_start_answers_503_and_serves_once_it_is_mended() {
    let site = Site::new("broken: no MAC");
    let server = site.start().await;
    let reply = server.get(TARGET).await;
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("5")));
    assert!(reply.text().contains("broken: no MAC"));
    let reply = server.get("/readyz").await;
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("5")));
    let reply = server.get("/healthz").await;
    assert_eq!(reply.status, 200);
    assert!(reply.text().contains(r#""status":"broken""#));
    site.replace("one");
    comes(&server, TARGET, 200, "# one\n").await;
}

#[tokio::test]
async fn being_asked_loads_even_when_no_file_has_changed() {
    let loads = Arc::new(AtomicUsize::new(0));
    let count = loads.clone();
    let server = start(quick(), move || {
        count.fetch_add(1, Ordering::SeqCst);
        good(generation("one"))
    })
    .await;
    server.asked.notify_one();
    let began = Instant::now();
    while loads.load(Ordering::SeqCst) < 2 {
        assert!(began.elapsed() < Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(server.get(TARGET).await.status, 200);
}

#[tokio::test]
async fn a_busy_neighbour_in_the_folder_causes_no_load() {
    let site = Site::new("one");
    let (loads, file) = (Arc::new(AtomicUsize::new(0)), site.file.clone());
    let count = loads.clone();
    let server = start(quick(), move || {
        count.fetch_add(1, Ordering::SeqCst);
        load(&file)
    })
    .await;
    comes(&server, TARGET, 200, "# one\n").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let before = loads.load(Ordering::SeqCst);
    for index in 0..20 {
        std::fs::write(site.file.with_file_name(format!("log.{index}")), "x").unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(loads.load(Ordering::SeqCst), before);
}

/// 4 clients against 40 edits, a third of them broken.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edits_under_load_give_no_failed_and_no_mixed_response() {
    let site = Site::new("0");
    let server = Arc::new(site.start().await);
    let done = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (server, done) = (server.clone(), done.clone());
            tokio::spawn(async move {
                let mut answers = 0;
                while done.load(Ordering::SeqCst) == 0 {
                    let reply = server.get(&format!("/{SCRIPT}")).await;
                    assert_eq!(reply.status, 200, "{}", reply.text());
                    let digest = Sha256::of(&reply.body).to_string();
                    assert_eq!(reply.header("x-checksum-sha256"), Some(digest.as_str()));
                    assert_eq!(reply.header("etag"), Some(format!("\"sha256-{digest}\"").as_str()));
                    // What this boot was promised, and a companion of the same generation.
                    let mark = reply.text().trim_start_matches("#!/bin/sh\n# ").trim().to_owned();
                    let promised = server.get(&format!("/{SCRIPT}?sha256={digest}")).await;
                    assert_eq!((promised.status, &promised.body), (200, &reply.body));
                    let companion = generation(&mark).catalogue.get(CONF).unwrap().digest().sha256;
                    let promised = server.get(&format!("/{CONF}?sha256={companion}")).await;
                    assert_eq!((promised.status, Sha256::of(&promised.body)), (200, companion));
                    answers += 1;
                }
                answers
            })
        })
        .collect();
    for edit in 1..=40 {
        site.replace(&if edit % 3 == 0 { "broken".to_owned() } else { edit.to_string() });
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    comes(&server, TARGET, 200, "# 40\n").await;
    done.store(1, Ordering::SeqCst);
    for client in clients {
        assert!(client.await.unwrap() > 10);
    }
}

#[tokio::test]
async fn what_a_load_leaves_over_is_done_beside_it_and_then_it_loads_again() {
    let is_done = Arc::new(AtomicBool::new(false));
    let may_end = Arc::new(AtomicBool::new(false));
    let (done, end) = (is_done.clone(), may_end.clone());
    let load = move || {
        if done.load(Ordering::SeqCst) {
            return good(generation("b"));
        }
        let (done, end) = (done.clone(), end.clone());
        let work = move || {
            while !end.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(1));
            }
            done.store(true, Ordering::SeqCst);
        };
        Loaded { unfinished: Some(Unfinished::new(work)), ..good(generation("a")) }
    };
    let server = start(quick(), load).await;
    let script = async || server.get(&format!("/{SCRIPT}")).await.text().to_owned();
    assert_eq!(script().await, "#!/bin/sh\n# a\n", "nobody waits for it");
    may_end.store(true, Ordering::SeqCst);
    let begin = Instant::now();
    while script().await != "#!/bin/sh\n# b\n" {
        assert!(begin.elapsed() < Duration::from_secs(20), "it does not load again");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
