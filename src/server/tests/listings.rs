//! Folders, for people and for programs.

use super::client::{config, start};
use super::site::{CONF, IGNITION, SCRIPT, generation, good};

#[tokio::test]
async fn the_json_listing_is_the_catalogue() {
    let server = start(config(), || good(generation("a"))).await;
    let catalogue = generation("a").catalogue;
    for (folder, count) in [("/", 4), ("/pxe/", 4), ("/pxe", 4), ("/pxe/configs/", 2), ("/pxe/ignition", 1)] {
        let reply = server.send("GET", folder, &[("Accept", "application/json")]).await;
        assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")), "{folder}");
        let document: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(document["generation"], catalogue.generation().to_string());
        let items = document["artifacts"].as_array().unwrap();
        assert_eq!(items.len(), count, "{folder}");
        for item in items {
            let artifact = catalogue.get(item["path"].as_str().unwrap()).unwrap();
            assert_eq!(item["size"], artifact.bytes().len());
            assert_eq!(item["media_type"], artifact.media_type.as_str());
            assert_eq!(item["sha256"], artifact.digest().sha256.to_string());
            assert_eq!(item["sha512"], artifact.digest().sha512.to_string());
            assert_eq!(item["sensitivity"], if artifact.is_secret() { "secret" } else { "public" });
        }
    }
}

#[tokio::test]
async fn the_page_links_one_level_and_every_link_works() {
    let server = start(config(), || good(generation("a"))).await;
    let mut todo = vec!["/".to_owned()];
    let mut seen = std::collections::BTreeSet::new();
    while let Some(target) = todo.pop() {
        let reply = server.get(&target).await;
        assert_eq!(reply.status, 200, "{target}");
        let is_page = reply.header("content-type") == Some("text/html; charset=utf-8");
        if seen.insert(target) && is_page {
            let links = reply.text().split("href=\"").skip(1).filter_map(|rest| rest.split_once('"'));
            // minijinja escapes the slash as well.
            todo.extend(links.map(|(link, _)| link.replace("&#x2f;", "/")));
        }
    }
    for path in [CONF, SCRIPT, IGNITION, "pxe/", "pxe/configs/", "pxe/ignition/"] {
        assert!(seen.contains(&format!("/{path}")), "{path} in {seen:?}");
    }
}

#[tokio::test]
async fn the_page_loads_nothing_and_says_for_whom_a_secret_is() {
    let server = start(config(), || good(generation("a"))).await;
    let reply = server.get("/pxe/configs/").await;
    let page = reply.text();
    assert!(page.contains("secret of lenovo1"), "{page}");
    assert!(!page.contains("k3s-keep"), "no content, least of all a secret's");
    for foreign in ["<script", "src=", "@import", "url(", "https://"] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    assert!(reply.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
}

#[tokio::test]
async fn browsers_get_the_page_and_programs_that_name_json_get_json() {
    let server = start(config(), || good(generation("a"))).await;
    let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";
    for (accept, kind) in [
        (browser, "text/html; charset=utf-8"),
        ("*/*", "text/html; charset=utf-8"),
        ("text/html, application/json", "text/html; charset=utf-8"),
        ("application/json", "application/json"),
        ("application/json, text/html;q=0.5", "application/json"),
        ("Application/JSON; charset=utf-8", "application/json"),
    ] {
        let reply = server.send("GET", "/pxe/", &[("Accept", accept)]).await;
        assert_eq!(
            (reply.header("content-type"), reply.header("vary")),
            (Some(kind), Some("Accept")),
            "{accept}"
        );
    }
}

#[tokio::test]
async fn a_folder_is_no_file_and_a_file_no_folder() {
    let server = start(config(), || good(generation("a"))).await;
    for target in ["/pxe/nothing/", "/px", "/pxe/config", &format!("/{SCRIPT}/"), "/pxe/configs//"] {
        assert!(matches!(server.get(target).await.status, 400 | 404), "{target}");
    }
}
