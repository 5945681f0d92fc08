//! One artifact over HTTP.

use super::client::{config, start};
use super::site::{CONF, SCRIPT, broken, generation, good};

#[tokio::test]
async fn an_artifact_is_served_at_its_path_with_its_digests() {
    let server = start(config(), || good(generation("a"))).await;
    let reply = server.get(&format!("/{SCRIPT}")).await;
    assert_eq!((reply.status, reply.text()), (200, "#!/bin/sh\n# a\n"), "{}", reply.head);
    let generation = generation("a");
    let digest = generation.catalogue.get(SCRIPT).unwrap().digest();
    assert_eq!(reply.header("etag"), Some(format!("\"sha256-{}\"", digest.sha256).as_str()));
    assert_eq!(reply.header("x-checksum-sha512"), Some(digest.sha512.to_string().as_str()));
    assert_eq!(reply.header("cache-control"), Some("no-cache"));
    assert!(reply.head.contains("\r\nContent-Length: 14\r\n"), "{}", reply.head);
}

#[tokio::test]
async fn head_has_the_headers_of_get_and_no_body() {
    let server = start(config(), || good(generation("a"))).await;
    for target in [format!("/{SCRIPT}"), format!("/{CONF}"), "/nothing".to_owned(), "/".to_owned()] {
        let (get, head) = (server.get(&target).await, server.send("HEAD", &target, &[]).await);
        assert_eq!(get.status, head.status);
        assert_eq!(get.headers(), head.headers());
        assert!(head.body.is_empty());
    }
}

#[tokio::test]
async fn what_does_not_exist_is_404_and_what_cannot_be_served_yet_is_503() {
    let server = start(config(), || good(generation("a"))).await;
    let reply = server.get("/pxe/configs/keepalived-lenovo9.conf").await;
    assert_eq!(reply.status, 404);
    assert!(reply.text().starts_with("there is nothing at /pxe/configs/keepalived-lenovo9.conf"));

    let server = start(config(), || broken("it is no MAC")).await;
    let reply = server.get(&format!("/{SCRIPT}")).await;
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("5")));
    assert_eq!(reply.text(), "nothing to serve yet: hosts.lenovo3.mac: it is no MAC\n");
}
