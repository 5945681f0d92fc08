//! Places outside the sources that have to agree with each other.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn top(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

#[test]
fn the_container_is_built_with_the_rust_version_of_the_manifest() {
    let containerfile = fs::read_to_string(top("Containerfile")).unwrap();
    let image = format!("FROM docker.io/library/rust:{}-", env!("CARGO_PKG_RUST_VERSION"));
    assert!(containerfile.contains(&image), "expected {image}");
}

#[test]
fn ci_calls_check_and_nothing_else_and_both_are_executable() {
    let run = fs::read_to_string(top(".ci/run")).unwrap();
    let commands: Vec<&str> = run.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
    assert_eq!(commands, [r#"exec "$(dirname "$0")/../check""#]);
    for script in [".ci/run", "check"] {
        assert_eq!(fs::metadata(top(script)).unwrap().permissions().mode() & 0o111, 0o111, "{script}");
    }
}
