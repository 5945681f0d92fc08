//! The bundle on disk: whole, ours, reproducible.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use pxe_serve::bundle::{write_tar, write_tree};
use pxe_serve::catalogue::{Artifact, Audience, Catalogue, Sensitivity};

/// A sealed catalogue of a public and a secret file; `text` is the content of both.
fn catalogue(text: &str) -> Catalogue {
    let mut catalogue = Catalogue::default();
    for (path, sensitivity) in [
        ("pxe/boot.ipxe", Sensitivity::Public),
        ("pxe/configs/keepalived-lenovo1.conf", Sensitivity::Secret),
        ("pxe/configs/same.txt", Sensitivity::Public),
    ] {
        let text = if path.ends_with("same.txt") { "always the same\n" } else { text };
        let artifact = Artifact::new(path, text.to_owned(), sensitivity, Audience::Everyone);
        catalogue.insert(path.parse().unwrap(), artifact).unwrap();
    }
    catalogue.seal()
}

/// Every file below a folder, by path from it.
fn files(root: &Path) -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push((path.strip_prefix(root).unwrap().to_str().unwrap().to_owned(), path));
            }
        }
    }
    found.sort();
    found
}

fn assert_holds(root: &Path, catalogue: &Catalogue) {
    let found: Vec<String> = files(root).into_iter().map(|(path, _)| path).collect();
    let mut wanted: Vec<&str> = catalogue.iter().map(|(path, _)| path.as_str()).collect();
    wanted.sort_unstable();
    assert_eq!(found, wanted);
    for (path, artifact) in catalogue.iter() {
        let on_disk = root.join(path.as_str());
        assert_eq!(fs::read(&on_disk).unwrap(), artifact.bytes().as_ref(), "{path}");
        let mode = fs::metadata(&on_disk).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode, if artifact.is_secret() { 0o600 } else { 0o644 }, "{path}");
    }
}

fn sums_are_clean(root: &Path) -> bool {
    let mut sha256sum = Command::new("sha256sum");
    sha256sum.args(["-c", "--quiet", "--strict", "SHA256SUMS"]).current_dir(root.join("pxe"));
    sha256sum.output().unwrap().status.success()
}

/// What lies in a folder beside the named one and its lock.
fn leftovers(parent: &Path, name: &str) -> Vec<String> {
    let lock = format!(".{name}.pxe-serve-lock");
    let names = fs::read_dir(parent).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|entry| *entry != name && *entry != lock).collect()
}

#[test]
fn a_tree_holds_the_catalogue_and_nothing_else_before_and_after_a_change() {
    let tmp = tempfile::tempdir().unwrap();
    let www = tmp.path().join("new/www");
    for text in ["first\n", "second\n", "second\n"] {
        let written = write_tree(&catalogue(text), &www).unwrap();
        assert_eq!(written.files, 5);
        assert_eq!(written.generation, catalogue(text).generation());
        assert_holds(&www, &catalogue(text));
        assert!(sums_are_clean(&www));
        assert_eq!(leftovers(www.parent().unwrap(), "www"), Vec::<String>::new());
        assert_eq!(fs::metadata(www.join("pxe/configs")).unwrap().permissions().mode() & 0o7777, 0o755);
    }
}

#[test]
fn a_file_that_a_power_cut_left_empty_is_nothing_to_lose() {
    let tmp = tempfile::tempdir().unwrap();
    let www = tmp.path().join("www");
    write_tree(&catalogue("first\n"), &www).unwrap();
    fs::write(www.join("pxe/boot.ipxe"), "").unwrap();
    write_tree(&catalogue("second\n"), &www).unwrap();
    assert_holds(&www, &catalogue("second\n"));
}

#[test]
fn what_changed_gets_a_later_second_and_what_did_not_keeps_its_time() {
    let tmp = tempfile::tempdir().unwrap();
    let www = tmp.path().join("www");
    let time = |path: &str| fs::metadata(www.join(path)).unwrap().modified().unwrap();
    let second = |path: &str| fs::metadata(www.join(path)).unwrap().mtime();
    write_tree(&catalogue("priority 100\n"), &www).unwrap();
    let (same, changed) = (time("pxe/configs/same.txt"), second("pxe/boot.ipxe"));
    write_tree(&catalogue("priority 101\n"), &www).unwrap();
    assert_eq!(time("pxe/configs/same.txt"), same);
    assert!(second("pxe/boot.ipxe") > changed, "nginx would answer 304");
}

#[test]
fn a_folder_with_anybody_elses_files_is_refused_and_stays_as_it_is() {
    type Meddle = fn(&Path);
    let cases: [(&str, Meddle, &str); 6] = [
        ("a file", |www| fs::write(www.join("index.html"), "x").unwrap(), "index.html: not listed"),
        ("an edit", |www| fs::write(www.join("pxe/boot.ipxe"), "x").unwrap(), "pxe/boot.ipxe: changed"),
        (
            "a folder",
            |www| fs::create_dir(www.join("images")).unwrap(),
            "images/: a folder with nothing of ours",
        ),
        (
            "a link",
            |www| std::os::unix::fs::symlink("/etc/passwd", www.join("pxe/link")).unwrap(),
            "pxe/link: neither a file nor a folder",
        ),
        (
            "no manifest",
            |www| fs::remove_file(www.join("pxe/manifest.json")).unwrap(),
            "pxe/manifest.json: missing",
        ),
        ("no sums", |www| fs::remove_file(www.join("pxe/SHA256SUMS")).unwrap(), "pxe/SHA256SUMS: missing"),
    ];
    for (what, meddle, said) in cases {
        let tmp = tempfile::tempdir().unwrap();
        let www = tmp.path().join("www");
        write_tree(&catalogue("first\n"), &www).unwrap();
        meddle(&www);
        let before = files(&www);
        let error = write_tree(&catalogue("second\n"), &www).unwrap_err().to_string();
        assert!(error.contains(said), "{what}: {error}");
        assert!(error.contains("move that away"), "{what}: {error}");
        assert_eq!(files(&www), before, "{what}");
        assert_eq!(leftovers(tmp.path(), "www"), Vec::<String>::new(), "{what}");
    }
}

#[test]
fn a_refusal_names_ten_files_and_counts_the_rest() {
    let tmp = tempfile::tempdir().unwrap();
    for number in 10..25 {
        fs::write(tmp.path().join(format!("photo-{number}")), "x").unwrap();
    }
    let error = write_tree(&catalogue("x"), tmp.path()).unwrap_err().to_string();
    assert!(
        error.contains("photo-10") && error.contains("photo-18") && !error.contains("photo-19"),
        "{error}"
    );
    assert!(error.contains("and 6 more"), "{error}");
}

#[test]
fn an_empty_folder_and_a_link_to_our_folder_are_written_to() {
    let tmp = tempfile::tempdir().unwrap();
    let real = tmp.path().join("real");
    fs::create_dir(&real).unwrap();
    let link = tmp.path().join("www");
    std::os::unix::fs::symlink(&real, &link).unwrap();
    for text in ["first\n", "second\n"] {
        write_tree(&catalogue(text), &link.join("")).unwrap();
        assert!(link.is_symlink());
        assert_holds(&real, &catalogue(text));
    }
}

#[test]
fn two_runs_at_once_do_not_mix() {
    let tmp = tempfile::tempdir().unwrap();
    let www = tmp.path().join("www");
    write_tree(&catalogue("first\n"), &www).unwrap();
    let lock = fs::File::open(tmp.path().join(".www.pxe-serve-lock")).unwrap();
    lock.lock().unwrap();
    let error = write_tree(&catalogue("second\n"), &www).unwrap_err().to_string();
    assert!(error.contains("another pxe-serve"), "{error}");
    assert_holds(&www, &catalogue("first\n"));
    drop(lock);
    write_tree(&catalogue("second\n"), &www).unwrap();
}

#[test]
fn a_tar_is_the_same_each_time_and_equal_to_the_tree() {
    let tmp = tempfile::tempdir().unwrap();
    let [first, second, www] = ["first.tar", "second.tar", "www"].map(|name| tmp.path().join(name));
    write_tar(&catalogue("text\n"), &first).unwrap();
    write_tar(&catalogue("text\n"), &second).unwrap();
    assert_eq!(fs::read(&first).unwrap(), fs::read(&second).unwrap());
    assert_eq!(fs::metadata(&first).unwrap().permissions().mode() & 0o7777, 0o600, "it holds a secret");

    fs::create_dir(&www).unwrap();
    let unpacked = Command::new("tar").arg("-xpf").arg(&first).arg("-C").arg(&www).output().unwrap();
    assert!(unpacked.status.success(), "{unpacked:?}");
    assert_holds(&www, &catalogue("text\n"));
    assert!(sums_are_clean(&www));
    // So it is a tree of ours, which a later run may replace.
    write_tree(&catalogue("more\n"), &www).unwrap();
}

#[test]
fn a_tar_says_another_time_for_other_bytes_of_the_same_size() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("bundle.tar");
    let mut times = Vec::new();
    for text in ["priority 100\n", "priority 101\n"] {
        write_tar(&catalogue(text), &path).unwrap();
        let mut archive = tar::Archive::new(fs::File::open(&path).unwrap());
        let headers = archive.entries().unwrap().map(|entry| entry.unwrap().header().clone());
        let times_of: Vec<_> = headers
            .filter(|header| header.entry_type().is_file())
            .map(|header| (header.path().unwrap().into_owned(), header.mtime().unwrap()))
            .collect();
        times.push(times_of);
    }
    let differing: Vec<&Path> =
        times[0].iter().zip(&times[1]).filter(|(a, b)| a.1 != b.1).map(|(a, _)| a.0.as_path()).collect();
    assert!(differing.contains(&Path::new("pxe/boot.ipxe")), "{times:?}");
    assert!(!differing.contains(&Path::new("pxe/configs/same.txt")), "{times:?}");
}

#[test]
fn a_file_that_is_no_tar_of_ours_is_not_overwritten() {
    let tmp = tempfile::tempdir().unwrap();
    let inventory = tmp.path().join("inventory.yaml");
    fs::write(&inventory, "vips: {}\n").unwrap();
    let error = write_tar(&catalogue("x"), &inventory).unwrap_err().to_string();
    assert!(error.contains("not a tar that pxe-serve wrote"), "{error}");
    assert_eq!(fs::read(&inventory).unwrap(), b"vips: {}\n");
}

#[test]
fn an_error_names_the_file_and_the_remedy() {
    let tmp = tempfile::tempdir().unwrap();
    let file = tmp.path().join("file");
    fs::write(&file, "x").unwrap();
    let error = write_tree(&catalogue("x"), &file).unwrap_err().to_string();
    assert!(error.contains(file.to_str().unwrap()) && error.contains("choose another name"), "{error}");
    let error = write_tree(&catalogue("x"), Path::new("/proc/www")).unwrap_err().to_string();
    assert!(error.contains("/proc"), "{error}");
    let error = write_tree(&catalogue("x"), Path::new("/")).unwrap_err().to_string();
    assert!(error.contains("names no file or folder"), "{error}");
}
