//! `?sha256=`: a boot keeps the generation it began with.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::catalogue::{Artifact, Audience, Sensitivity, Sha256};
use crate::generation::Loaded;
use crate::server::Config;
use crate::server::reload::Trigger;

use super::client::{Running, config, start};
use super::site::{CONF, IGNITION, INSTALL, SCRIPT, artifact, generation, good, naming, public, with};

const MARKS: [&str; 4] = ["a", "b", "c", "d"];

/// Serves generation a, and after each reload the next.
pub async fn start_counting(config: Config) -> Running {
    let loads = AtomicUsize::new(0);
    start(config, move || good(generation(MARKS[loads.fetch_add(1, Ordering::SeqCst).min(3)]))).await
}

pub fn pinned(path: &str, mark: &str) -> String {
    format!("/{path}?sha256={}", generation(mark).catalogue.get(path).unwrap().digest().sha256)
}

#[tokio::test]
async fn exactly_the_generation_asked_for_is_answered_current_or_earlier() {
    let server = start_counting(config()).await;
    for reload in 0..3 {
        for mark in &MARKS[..=reload] {
            for path in [SCRIPT, CONF, IGNITION] {
                let reply = server.get(&pinned(path, mark)).await;
                let artifact = generation(mark).catalogue.get(path).unwrap().clone();
                assert_eq!(
                    (reply.status, reply.body.as_slice()),
                    (200, artifact.bytes().as_ref()),
                    "{path} {mark}"
                );
                assert_eq!(reply.header("x-checksum-sha512"), Some(&*artifact.digest().sha512.to_string()));
                assert_eq!(reply.header("content-type"), Some(artifact.media_type.as_str()));
                let caching = if artifact.is_secret() { "no-store" } else { "no-cache" };
                assert_eq!(reply.header("cache-control"), Some(caching), "{path} {mark}");
            }
        }
        server.reloader.reload(Trigger::Change).await;
    }
}

#[tokio::test]
async fn a_digest_that_is_not_kept_is_404_and_names_the_current_one() {
    let server = start_counting(config()).await;
    let reply = server.get(&pinned(SCRIPT, "b")).await;
    assert_eq!(reply.status, 404);
    let current = generation("a").catalogue.get(SCRIPT).unwrap().digest().sha256.to_string();
    assert!(reply.text().contains(&current), "{}", reply.text());
    assert_eq!(server.get(&format!("/nothing?sha256={current}")).await.status, 404);
    assert_eq!(server.get(&format!("/{CONF}?sha256={current}")).await.status, 404, "another file's digest");
}

#[tokio::test]
async fn a_malformed_digest_is_400() {
    let server = start_counting(config()).await;
    let good = generation("a").catalogue.get(SCRIPT).unwrap().digest().sha256.to_string();
    let bad = [
        "sha256=",
        "sha256",
        "sha256=00",
        &format!("sha256={}", "g".repeat(64)),
        &format!("sha256={good}0"),
        &format!("sha256=sha256-{good}"),
        &format!("sha256={good}&sha256={good}"),
        &format!("sha256=%00{good}"),
    ];
    for query in bad {
        assert_eq!(server.get(&format!("/{SCRIPT}?{query}")).await.status, 400, "{query}");
    }
    for query in [format!("sha256={}", good.to_uppercase()), format!("mac=52&sha256={good}&x"), String::new()]
    {
        assert_eq!(server.get(&format!("/{SCRIPT}?{query}")).await.status, 200, "{query}");
    }
}

#[tokio::test]
async fn the_promise_ends_after_its_term() {
    let term = Duration::from_millis(300);
    let server = start_counting(Config { keep_generations_for: term, ..config() }).await;
    server.reloader.reload(Trigger::Change).await;
    assert_eq!(server.get(&pinned(SCRIPT, "a")).await.status, 200);
    tokio::time::sleep(term).await;
    assert_eq!(server.get(&pinned(SCRIPT, "a")).await.status, 404);
    assert_eq!(server.get(&pinned(SCRIPT, "b")).await.status, 200, "what is current has no term");
}

#[tokio::test]
async fn what_nothing_names_with_its_digest_is_not_kept() {
    let server = start_counting(config()).await;
    server.reloader.reload(Trigger::Change).await;
    assert_eq!(server.get(&pinned(IGNITION, "a")).await.status, 200);
    let lower = generation("a").catalogue.get(IGNITION).unwrap().alternative.clone().unwrap().digest.sha256;
    assert_eq!(server.get(&format!("/{IGNITION}?sha256={lower}")).await.status, 404);
    assert_eq!(
        server.get(&pinned(INSTALL, "a")).await.status,
        404,
        "a script is chosen when it is asked for"
    );
    assert_eq!(
        server.get(&pinned(INSTALL, "b")).await.status,
        200,
        "what is current is answered whoever names it"
    );
}

#[tokio::test]
async fn what_is_no_longer_named_is_still_promised_to_who_was_told_before() {
    let page = || public("pxe/page", "the same all along");
    let unnamed = move || with(vec![("pxe/page", page())]);
    let named = move || with(vec![("pxe/page", page()), (INSTALL, naming(&[("pxe/page", &page())]))]);
    let loads = AtomicUsize::new(0);
    let server = start(config(), move || {
        good(match loads.fetch_add(1, Ordering::SeqCst) {
            0 => named(),
            1 => unnamed(),
            _ => with(vec![("pxe/page", public("pxe/page", "another"))]),
        })
    });
    let server = server.await;
    let pinned = format!("/pxe/page?sha256={}", page().digest().sha256);
    for _ in 0..3 {
        assert_eq!(server.get(&pinned).await.status, 200);
        server.reloader.reload(Trigger::Change).await;
    }
}

/// A page and what promises it.
fn promised_page(text: &str) -> Loaded {
    let page = public("pxe/page", text);
    good(with(vec![(INSTALL, naming(&[("pxe/page", &page)])), ("pxe/page", page)]))
}

#[tokio::test]
async fn beyond_the_budget_what_was_replaced_first_goes_first() {
    let page = |mark: usize| mark.to_string().repeat(1000);
    let loads = AtomicUsize::new(0);
    let mut config = config();
    config.limits.archive_bytes = 2500..=2500;
    let server = start(config, move || promised_page(&page(loads.fetch_add(1, Ordering::SeqCst))));
    let server = server.await;
    for _ in 0..5 {
        // Their terms begin one after the other.
        tokio::time::sleep(Duration::from_millis(5)).await;
        server.reloader.reload(Trigger::Change).await;
    }
    for (mark, status) in [(5, 200), (4, 200), (3, 200), (2, 404), (1, 404), (0, 404)] {
        let digest = Sha256::of(page(mark).as_bytes());
        assert_eq!(server.get(&format!("/pxe/page?sha256={digest}")).await.status, status, "{mark}");
    }
}

#[tokio::test]
async fn the_budget_grows_with_the_site_so_that_two_whole_edits_fit() {
    let page = |mark: usize| mark.to_string().repeat(1000);
    let loads = AtomicUsize::new(0);
    let mut config = config();
    config.limits.archive_bytes = 1..=1 << 20;
    let server = start(config, move || promised_page(&page(loads.fetch_add(1, Ordering::SeqCst))));
    let server = server.await;
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        server.reloader.reload(Trigger::Change).await;
    }
    for (mark, status) in [(3, 200), (2, 200), (1, 200), (0, 404)] {
        let digest = Sha256::of(page(mark).as_bytes());
        assert_eq!(server.get(&format!("/pxe/page?sha256={digest}")).await.status, status, "{mark}");
    }
}

/// Two hosts with a big and a small file each, and one for everyone that is named last.
fn two_hosts(mark: &str) -> Loaded {
    let own = |host: &str, name: &str, size: usize| {
        let path = format!("pxe/{name}/{host}");
        let audience = Audience::host(&host.parse().unwrap());
        let artifact =
            artifact(&path, &format!("{host}{name}{mark}").repeat(size), Sensitivity::Public, audience);
        (path, artifact)
    };
    let mut files: Vec<(String, Artifact)> = [("big", 100), ("small", 1)]
        .iter()
        .flat_map(|(name, size)| ["lenovo1", "lenovo2"].map(|host| own(host, name, *size)))
        .collect();
    files.push(("pxe/zz".into(), public("pxe/zz", &format!("for all{mark}").repeat(100))));
    let named: Vec<(&str, &Artifact)> =
        files.iter().map(|(path, artifact)| (path.as_str(), artifact)).collect();
    let naming = naming(&named);
    let mut all: Vec<(&str, Artifact)> = named.into_iter().map(|(path, file)| (path, file.clone())).collect();
    all.push((INSTALL, naming));
    good(with(all))
}

#[tokio::test]
async fn of_one_edit_too_big_to_keep_one_host_loses_all_and_the_other_nothing() {
    let loads = AtomicUsize::new(0);
    let mut config = config();
    // For everyone 800 bytes; for each host 1300.
    config.limits.archive_bytes = 2500..=2500;
    let server = start(config, move || two_hosts(["a", "b"][loads.fetch_add(1, Ordering::SeqCst).min(1)]));
    let server = server.await;
    server.reloader.reload(Trigger::Change).await;
    let catalogue = two_hosts("a").generation.unwrap().catalogue;
    for (path, artifact) in catalogue.iter().filter(|(path, _)| path.as_str() != INSTALL) {
        let expected = if path.as_str().ends_with("lenovo2") { 404 } else { 200 };
        let reply = server.get(&format!("/{path}?sha256={}", artifact.digest().sha256)).await;
        assert_eq!(reply.status, expected, "{path}");
    }
}
