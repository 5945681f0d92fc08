//! One artifact over HTTP.

use super::client::{config, start};
use super::site::{CONF, IGNITION, SCRIPT, broken, generation, good};

#[tokio::test]
async fn every_artifact_is_served_at_its_path_with_its_digests() {
    let server = start(config(), || good(generation("a"))).await;
    for (path, artifact) in generation("a").catalogue.iter() {
        let reply = server.get(&format!("/{path}")).await;
        assert_eq!((reply.status, reply.body.as_slice()), (200, artifact.bytes().as_ref()), "{path}");
        let digest = artifact.digest();
        assert_eq!(reply.header("etag"), Some(format!("\"sha256-{}\"", digest.sha256).as_str()));
        assert_eq!(reply.header("x-checksum-sha256"), Some(digest.sha256.to_string().as_str()));
        assert_eq!(reply.header("x-checksum-sha512"), Some(digest.sha512.to_string().as_str()));
        assert_eq!(reply.header("content-length"), Some(artifact.bytes().len().to_string().as_str()));
        assert_eq!(reply.header("content-type"), Some(artifact.media_type.as_str()));
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        let caching = if artifact.is_secret() { "no-store" } else { "no-cache" };
        assert_eq!(reply.header("cache-control"), Some(caching));
    }
}

#[tokio::test]
async fn the_digest_header_is_what_rfc_9530_says() {
    let server = start(config(), || good(generation("a"))).await;
    let reply = server.get(&format!("/{SCRIPT}")).await;
    // printf '#!/bin/sh\n# a\n' | openssl dgst -sha256 -binary | base64, and -sha512
    assert_eq!(reply.text(), "#!/bin/sh\n# a\n");
    assert_eq!(
        reply.header("repr-digest"),
        Some(
            "sha-256=:OANZUNTEhlQ3MZMR6ivT6oiVwhVstCfP7hX8m4L95T8=:, \
             sha-512=:wWm2h08W0/5K086+ppZEbULK9603alBUtcifszJpNBi8SKHhK9kYZ8Z7AHv2rCo997jegc+9M94veHUfCjwLVA==:"
        )
    );
}

#[tokio::test]
async fn header_names_have_the_capitals_that_legacy_u_boot_looks_for() {
    let server = start(config(), || good(generation("a"))).await;
    let reply = server.get(&format!("/{SCRIPT}")).await;
    assert!(reply.head.contains("\r\nContent-Length: 14\r\n"), "{}", reply.head);
}

#[tokio::test]
async fn head_has_the_headers_of_get_and_no_body() {
    let server = start(config(), || good(generation("a"))).await;
    let targets = [SCRIPT, CONF, IGNITION, "nothing", "", "pxe/", "healthz", "readyz", "..", "pxe?sha256=x"];
    for target in targets.map(|target| format!("/{target}")) {
        let (get, head) = (server.get(&target).await, server.send("HEAD", &target, &[]).await);
        assert_eq!(get.status, head.status, "{target}");
        assert_eq!(get.headers(), head.headers(), "{target}");
        assert_eq!(get.header("content-length"), Some(get.body.len().to_string().as_str()), "{target}");
        assert!(head.body.is_empty(), "{target}");
    }
}

#[tokio::test]
async fn a_client_that_has_it_already_gets_304_in_every_form_of_if_none_match() {
    let server = start(config(), || good(generation("a"))).await;
    let full = server.get(&format!("/{SCRIPT}")).await;
    let etag = full.header("etag").unwrap();
    let has = [
        etag.to_owned(),
        format!("W/{etag}"),
        format!("\"a,b\", {etag}"),
        format!("\"x\",W/\"y\",  {etag}  , \"z\""),
        "*".to_owned(),
    ];
    for tag in has {
        let reply = server.send("GET", &format!("/{SCRIPT}"), &[("If-None-Match", &tag)]).await;
        assert_eq!((reply.status, reply.body.len()), (304, 0), "{tag}");
        assert_eq!(reply.header("etag"), Some(etag), "{tag}");
        assert_eq!(reply.header("cache-control"), full.header("cache-control"));
        assert!(reply.header("content-length").is_none_or(|length| length == "14"), "{}", reply.head);
    }
    for tag in ["\"sha256-00\"", etag.trim_matches('"'), "", "\"\"", "W/"] {
        let reply = server.send("GET", &format!("/{SCRIPT}"), &[("If-None-Match", tag)]).await;
        assert_eq!(reply.status, 200, "{tag}");
    }
}

#[tokio::test]
async fn every_method_but_get_and_head_is_405_and_says_which_are_allowed() {
    let server = start(config(), || good(generation("a"))).await;
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "get"] {
        for target in [&format!("/{SCRIPT}"), "/nothing", "/", "/healthz"] {
            let reply = server.send(method, target, &[("Content-Length", "0")]).await;
            assert_eq!((reply.status, reply.header("allow")), (405, Some("GET, HEAD")), "{method} {target}");
        }
    }
}

#[tokio::test]
async fn http_1_0_without_a_host_works_and_the_connection_is_closed() {
    let server = start(config(), || good(generation("a"))).await;
    let reply = server.raw(&format!("GET /{SCRIPT} HTTP/1.0\r\n\r\n")).await;
    assert_eq!((reply.status, reply.text()), (200, "#!/bin/sh\n# a\n"));
    assert_eq!(reply.header("transfer-encoding"), None);
}

#[tokio::test]
async fn what_does_not_exist_is_404_and_what_cannot_be_served_yet_is_503() {
    let server = start(config(), || good(generation("a"))).await;
    let reply = server.get("/pxe/configs/keepalived-lenovo9.conf").await;
    assert_eq!((reply.status, reply.header("content-type")), (404, Some("text/plain; charset=utf-8")));
    assert_eq!(
        reply.text(),
        "there is nothing at /pxe/configs/keepalived-lenovo9.conf; / lists what there is\n"
    );

    let server = start(config(), || broken("it is no MAC")).await;
    for target in [&format!("/{SCRIPT}"), "/nothing", "/", "/pxe/"] {
        let reply = server.get(target).await;
        assert_eq!((reply.status, reply.header("retry-after")), (503, Some("5")), "{target}");
        assert_eq!(reply.text(), "nothing to serve yet: hosts.lenovo3.mac: it is no MAC\n");
    }
}

#[tokio::test]
async fn a_loader_that_panics_is_our_failure_and_not_the_end() {
    let server = start(config(), || panic!("a bug in the loader")).await;
    let reply = server.get(&format!("/{SCRIPT}")).await;
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("5")));
    assert_eq!(server.get("/healthz").await.status, 200);
}
