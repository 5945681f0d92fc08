//! `?sha256=`: a boot keeps the generation it began with.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::server::Config;
use crate::server::reload::Trigger;

use super::client::{Running, config, start};
use super::site::{CONF, IGNITION, SCRIPT, generation, good, public, with};

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
async fn beyond_the_budget_what_was_replaced_first_goes_first() {
    let page = |mark: usize| public("pxe/page", &mark.to_string().repeat(1000));
    let loads = AtomicUsize::new(0);
    let mut config = config();
    config.limits.archive_bytes = 2500;
    let server =
        start(config, move || good(with(vec![("pxe/page", page(loads.fetch_add(1, Ordering::SeqCst)))])));
    let server = server.await;
    for _ in 0..5 {
        // Their terms begin one after the other.
        tokio::time::sleep(Duration::from_millis(5)).await;
        server.reloader.reload(Trigger::Change).await;
    }
    for (mark, status) in [(5, 200), (4, 200), (3, 200), (2, 404), (1, 404), (0, 404)] {
        let digest = page(mark).digest().sha256;
        assert_eq!(server.get(&format!("/pxe/page?sha256={digest}")).await.status, status, "{mark}");
    }
}
