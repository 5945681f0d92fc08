//! Files of `--static` on the wire: ranges, validators, digests, and what happens to them while they are read.

use std::os::unix::fs::{FileExt as _, MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::catalogue::{Sha256, Stamp, StaticFile, nanoseconds};
use crate::generation::Generation;

use super::client::{Reply, Running, config, start};
use super::site::{SCRIPT, generation, good};

const IMAGE: &str = "/pxe/fcos/rootfs.img";

/// `DIR/fcos/rootfs.img`, as a load finds it; with the digest if it was read.
fn with_image(folder: &Path, hashed: bool) -> Generation {
    let file = folder.join("fcos/rootfs.img");
    let meta = std::fs::metadata(&file).unwrap();
    let stamp = Stamp {
        device: meta.dev(),
        inode: meta.ino(),
        size: meta.size(),
        modified_ns: nanoseconds(meta.mtime(), meta.mtime_nsec()),
        changed_ns: nanoseconds(meta.ctime(), meta.ctime_nsec()),
    };
    let sha256 = hashed.then(|| Sha256::of(&std::fs::read(&file).unwrap()));
    let mut generation = generation("a");
    generation.static_dir = Some(folder.to_owned());
    generation.catalogue.static_files.insert(IMAGE[1..].parse().unwrap(), StaticFile { stamp, sha256 });
    generation
}

/// A server that has just this image; it is loaded once.
async fn serving(bytes: &[u8], hashed: bool) -> (Running, tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("fcos/rootfs.img");
    std::fs::create_dir(folder.path().join("fcos")).unwrap();
    std::fs::write(&image, bytes).unwrap();
    let path = folder.path().to_owned();
    let loaded = std::sync::Mutex::new(Some(with_image(&path, hashed)));
    let server = start(config(), move || good(loaded.lock().unwrap().take().unwrap())).await;
    (server, folder, image)
}

/// Big enough that sockets cannot hold it.
fn big(mark: u8) -> Vec<u8> {
    (0..48 * 1024 * 1024_usize).map(|index| mark ^ (index / 4096) as u8).collect()
}

#[tokio::test]
async fn a_file_has_validators_its_length_and_a_digest_once_that_is_known() {
    for hashed in [false, true] {
        let (server, _folder, _) = serving(b"0123456789", hashed).await;
        let reply = server.get(IMAGE).await;
        assert_eq!((reply.status, reply.text()), (200, "0123456789"));
        assert_eq!(reply.header("content-length"), Some("10"));
        assert_eq!(reply.header("accept-ranges"), Some("bytes"));
        assert_eq!(reply.header("content-type"), Some("application/octet-stream"));
        assert_eq!(reply.header("cache-control"), Some("no-cache"));
        assert!(reply.header("last-modified").unwrap().ends_with(" GMT"));
        assert!(reply.header("etag").unwrap().starts_with('"'), "a strong one");
        // printf 0123456789 | sha256sum, and openssl dgst -sha256 -binary | base64
        let (hex, base64) = (
            "84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882",
            "sha-256=:hNiYd/DUBB77a/kaFvAkjy/Vc+avBcGflr7bn4gveII=:",
        );
        assert_eq!(reply.header("x-checksum-sha256"), hashed.then_some(hex));
        assert_eq!(reply.header("repr-digest"), hashed.then_some(base64));
    }
}

#[tokio::test]
async fn head_says_what_get_says() {
    let (server, _folder, _) = serving(b"0123456789", true).await;
    let etag = server.get(IMAGE).await.header("etag").unwrap().to_owned();
    let cases: [&[(&str, &str)]; 5] = [
        &[],
        &[("If-None-Match", &etag)],
        &[("If-Match", "\"other\"")],
        &[("If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT")],
        &[("If-Unmodified-Since", "Thu, 01 Jan 1970 00:00:01 GMT")],
    ];
    for (headers, status) in cases.into_iter().zip([200, 304, 412, 304, 412]) {
        let (get, head) =
            (server.send("GET", IMAGE, headers).await, server.send("HEAD", IMAGE, headers).await);
        assert_eq!((get.status, head.status), (status, status), "{headers:?}");
        // hyper leaves it out of a 304 to GET; RFC 9110 §8.6 allows both.
        let without_length = |reply: &Reply| -> Vec<String> {
            let is_kept = |line: &&str| status != 304 || !line.starts_with("Content-Length:");
            reply.headers().into_iter().filter(is_kept).map(str::to_owned).collect()
        };
        assert_eq!(without_length(&get), without_length(&head), "{headers:?}");
        assert!(head.header("content-length").is_some(), "{headers:?}");
        assert_eq!(head.body, b"", "{headers:?}");
    }
}

#[tokio::test]
async fn a_part_says_which_and_what_is_behind_the_end_is_416() {
    let (server, _folder, _) = serving(b"0123456789", true).await;
    let etag = server.get(IMAGE).await.header("etag").unwrap().to_owned();
    let ask = async |headers: &[(&str, &str)]| server.send("GET", IMAGE, headers).await;
    let part = ask(&[("Range", "bytes=2-4")]).await;
    assert_eq!((part.status, part.text()), (206, "234"));
    assert_eq!(part.header("content-range"), Some("bytes 2-4/10"));
    assert_eq!((part.header("content-length"), part.header("etag")), (Some("3"), Some(etag.as_str())));
    let beyond = ask(&[("Range", "bytes=10-")]).await;
    assert_eq!((beyond.status, beyond.header("content-range")), (416, Some("bytes */10")));
    assert_eq!((beyond.header("content-length"), beyond.text()), (Some("0"), ""));
    let resumed = ask(&[("Range", "bytes=8-"), ("If-Range", &etag)]).await;
    assert_eq!((resumed.status, resumed.text()), (206, "89"));
    let modified = part.header("last-modified").unwrap();
    for other in ["\"another\"", &format!("W/{etag}"), modified] {
        let whole = ask(&[("Range", "bytes=8-"), ("If-Range", other)]).await;
        assert_eq!((whole.status, whole.text()), (200, "0123456789"), "{other}");
    }
    let several = ask(&[("Range", "bytes=0-1,4-5")]).await;
    assert_eq!((several.status, several.text()), (200, "0123456789"));
    // §13.2.2: what the client has already comes before the part.
    assert_eq!(ask(&[("Range", "bytes=0-1"), ("If-None-Match", &etag)]).await.status, 304);
}

#[tokio::test]
async fn a_pin_is_answered_with_just_these_bytes_or_not_at_all() {
    let digest = Sha256::of(b"0123456789");
    let pinned = |digest: Sha256| format!("{IMAGE}?sha256={digest}");
    let (server, _folder, image) = serving(b"0123456789", true).await;
    assert_eq!(server.get(&pinned(digest)).await.text(), "0123456789");
    let other = server.get(&pinned(Sha256::of(b"other"))).await;
    assert_eq!(other.status, 404);
    assert!(other.text().contains(&digest.to_string()), "{}", other.text());
    // Changed, and not loaded yet: nobody knows what it is.
    std::fs::write(&image, "9876543210").unwrap();
    let reply = server.get(&pinned(digest)).await;
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("5")));
    let unpinned = server.get(IMAGE).await;
    assert_eq!((unpinned.status, unpinned.text(), unpinned.header("repr-digest")), (200, "9876543210", None));

    let (server, _folder, _) = serving(b"0123456789", false).await;
    assert_eq!(server.get(&pinned(digest)).await.status, 503, "not read yet");
}

#[tokio::test]
async fn what_is_gone_or_no_file_any_more_is_503() {
    let (server, folder, image) = serving(b"0123456789", true).await;
    let elsewhere = folder.path().join("secret");
    std::fs::write(&elsewhere, "0123456789").unwrap();
    std::fs::remove_file(&image).unwrap();
    let refused = async || {
        let reply = server.get(IMAGE).await;
        assert_eq!((reply.status, reply.header("retry-after")), (503, Some("5")), "{}", reply.text());
    };
    refused().await;
    symlink(&elsewhere, &image).unwrap();
    refused().await;
    std::fs::remove_file(&image).unwrap();
    std::fs::create_dir(&image).unwrap();
    refused().await;
    std::fs::remove_dir_all(folder.path().join("fcos")).unwrap();
    std::fs::create_dir(folder.path().join("elsewhere")).unwrap();
    std::fs::write(folder.path().join("elsewhere/rootfs.img"), "0123456789").unwrap();
    symlink("elsewhere", folder.path().join("fcos")).unwrap();
    refused().await;
}

/// Asks for the image, reads its first MiB, lets `meanwhile` happen, and reads the rest.
async fn interrupted(server: &Running, meanwhile: impl FnOnce()) -> Reply {
    let mut stream = server.connect().await;
    let request = format!("GET {IMAGE} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = vec![0; 1024 * 1024];
    stream.read_exact(&mut bytes).await.unwrap();
    meanwhile();
    // A cut connection may be a reset one.
    let _ = stream.read_to_end(&mut bytes).await;
    Reply::parse(&bytes)
}

#[tokio::test]
async fn a_file_replaced_while_it_is_read_goes_on_as_it_was() {
    let old = big(0);
    let (server, folder, image) = serving(&old, false).await;
    let new = folder.path().join("new");
    std::fs::write(&new, big(0xff)).unwrap();
    let reply = interrupted(&server, || std::fs::rename(&new, &image).unwrap()).await;
    assert!(reply.body == old, "{} bytes", reply.body.len());
    let reply = server.get(IMAGE).await;
    assert!(reply.body == big(0xff), "and the next request gets the new one");
}

#[tokio::test]
async fn a_file_overwritten_while_it_is_read_is_cut_off_before_the_first_byte_that_changed() {
    let old = big(0);
    let (server, _folder, image) = serving(&old, false).await;
    let etag = server.send("HEAD", IMAGE, &[]).await.header("etag").unwrap().to_owned();
    let reply = interrupted(&server, || {
        let file = std::fs::File::options().write(true).open(&image).unwrap();
        file.write_all_at(&big(0xff), 0).unwrap();
    })
    .await;
    assert_eq!(reply.header("content-length"), Some(old.len().to_string().as_str()));
    assert!(reply.body.len() < old.len(), "nobody can take it for whole");
    assert!(old.starts_with(&reply.body), "and what came is of the old file");
    let rest = [("Range", "bytes=1000-"), ("If-Range", etag.as_str())];
    let resumed = server.send("GET", IMAGE, &rest).await;
    assert_eq!(resumed.status, 200, "whoever resumes gets the whole new file");
    assert!(resumed.body == big(0xff));
}

#[tokio::test]
async fn clients_that_read_slowly_and_many_that_read_keep_nobody_waiting_for_a_small_answer() {
    let (server, _folder, _) = serving(&big(0), false).await;
    let mut slow = Vec::new();
    for _ in 0..16 {
        let mut stream = server.connect().await;
        stream.write_all(format!("GET {IMAGE} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
        slow.push(stream);
    }
    let downloads = async {
        for _ in 0..2 {
            let (a, b, c, d) =
                tokio::join!(server.get(IMAGE), server.get(IMAGE), server.get(IMAGE), server.get(IMAGE));
            for reply in [a, b, c, d] {
                assert_eq!(reply.body.len(), big(0).len());
            }
        }
    };
    let small = async {
        for _ in 0..20 {
            let reply = tokio::time::timeout(Duration::from_secs(5), server.get(&format!("/{SCRIPT}"))).await;
            assert_eq!(reply.expect("it is answered").status, 200);
        }
    };
    tokio::join!(downloads, small);
    drop(slow);
}
