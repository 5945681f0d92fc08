//! Paths that want out. Nothing of a request's path reaches the file system; this proves it from outside.

use super::client::{config, start};
use super::site::{SCRIPT, generation, good};

/// Every one is meant to reach /etc/passwd, or a file beside the served folder, by some reading of it.
const ESCAPES: [&str; 72] = [
    "/../etc/passwd",
    "/../../../../../../etc/passwd",
    "/pxe/../etc/passwd",
    "/pxe/configs/../../../etc/passwd",
    "/pxe/./configs/k3s-healthcheck.sh",
    "/pxe//configs/k3s-healthcheck.sh",
    "//etc/passwd",
    "///etc/passwd",
    "/pxe/configs/..",
    "/pxe/configs/../",
    "/..",
    "/../",
    "/.",
    "/./",
    "/...",
    "/..../etc/passwd",
    "/%2e%2e/etc/passwd",
    "/%2e%2e%2fetc%2fpasswd",
    "/..%2fetc/passwd",
    "/..%2Fetc%2Fpasswd",
    "/.%2e/etc/passwd",
    "/%2e./etc/passwd",
    "/%2E%2E/etc/passwd",
    "/%2E%2e%2Fetc/passwd",
    "/pxe/%2e%2e/etc/passwd",
    "/pxe/configs/%2e%2e%2f%2e%2e%2f%2e%2e%2fetc/passwd",
    "/%252e%252e/etc/passwd",
    "/%252e%252e%252fetc%252fpasswd",
    "/..%252fetc/passwd",
    "/%25252e%25252e/etc/passwd",
    "/%%32%65%%32%65/etc/passwd",
    "/%%32e%%32e%%32fetc/passwd",
    "/%c0%ae%c0%ae/etc/passwd",
    "/%c0%ae%c0%ae%c0%afetc/passwd",
    "/..%c0%afetc/passwd",
    "/..%c1%9cetc/passwd",
    "/%e0%80%ae%e0%80%ae/etc/passwd",
    "/%f0%80%80%ae%f0%80%80%ae/etc/passwd",
    "/%fe%80%80%80%80%80%ae/etc/passwd",
    "/%u002e%u002e/etc/passwd",
    "/%uff0e%uff0e/etc/passwd",
    "/%ef%bc%8e%ef%bc%8e/etc/passwd",
    "/%ef%bc%8e%ef%bc%8e%ef%bc%8fetc/passwd",
    "/%e2%80%a5/etc/passwd",
    "/%e2%81%84etc/passwd",
    "/..\\etc\\passwd",
    "/..%5cetc%5cpasswd",
    "/..%5c..%5cetc/passwd",
    "/%2e%2e%5cetc/passwd",
    "/%5c..%5cetc/passwd",
    "/..;/etc/passwd",
    "/..;a=b/etc/passwd",
    "/pxe;/../etc/passwd",
    "/..%00/etc/passwd",
    "/%00/../etc/passwd",
    "/pxe/configs/k3s-healthcheck.sh%00",
    "/pxe/configs/k3s-healthcheck.sh%00.txt",
    "/pxe/configs/k3s-healthcheck.sh/..",
    "/pxe/configs/k3s-healthcheck.sh%2f..%2f..",
    "/..%0d%0a/etc/passwd",
    "/..%09/etc/passwd",
    "/..%20/etc/passwd",
    "/%20../etc/passwd",
    "/~root/.ssh/id_ed25519",
    "/.git/config",
    "/pxe/.hidden",
    "/-rf",
    "/file:///etc/passwd",
    "/%2fetc%2fpasswd",
    "/%2f%2fetc/passwd",
    "/pxe/configs/%",
    "/pxe/configs/%FFFFFFC3",
];

#[tokio::test]
async fn no_encoding_of_dot_dot_gets_out_or_past_the_parser() {
    let server = start(config(), || good(generation("a"))).await;
    for target in ESCAPES {
        let reply = server.get(target).await;
        assert!(matches!(reply.status, 400 | 404), "{target}: {}", reply.status);
        let body = String::from_utf8_lossy(&reply.body);
        assert!(!body.contains("root:"), "{target}: {body}");
        assert!(!body.contains("#!/bin/sh"), "{target}: {body}");
    }
}

#[tokio::test]
async fn an_encoded_letter_is_that_letter() {
    let server = start(config(), || good(generation("a"))).await;
    let reply = server.get("/pxe/configs/k3s%2dhealthcheck%2Esh").await;
    assert_eq!((reply.status, reply.text()), (200, "#!/bin/sh\n# a\n"));
}

#[tokio::test]
async fn a_target_in_absolute_form_is_read_as_its_path() {
    let server = start(config(), || good(generation("a"))).await;
    let reply = server.get(&format!("http://192.168.26.1/{SCRIPT}")).await;
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn what_is_refused_is_quoted_and_cannot_forge_a_page() {
    let server = start(config(), || good(generation("a"))).await;
    let reply = server.get("/%3Cscript%3Ealert(1)%3C/script%3E%0d%0aSet-Cookie:%20a=b").await;
    assert_eq!((reply.status, reply.header("content-type")), (400, Some("text/plain; charset=utf-8")));
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(reply.header("set-cookie"), None);
}

#[tokio::test]
async fn garbage_instead_of_http_closes_the_connection_and_harms_nobody() {
    let server = start(config(), || good(generation("a"))).await;
    for garbage in ["\r\n\r\n\r\n", "\u{0}\u{1}\u{2}\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n"] {
        server.closed_after(garbage.as_bytes()).await;
    }
    server.closed_after(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS client hello\r\n\r\n").await;
    server.closed_after(format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(100_000)).as_bytes()).await;
    server.closed_after(format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(10_000)).as_bytes()).await;
    assert_eq!(server.get(&format!("/{SCRIPT}")).await.status, 200);
}
