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

/// What the program carries lies where the container and the package have it too.
#[test]
fn what_is_compiled_in_is_copied_into_the_container_and_packed_into_the_crate() {
    let (containerfile, manifest) =
        (fs::read_to_string(top("Containerfile")).unwrap(), fs::read_to_string(top("Cargo.toml")).unwrap());
    let mut found = 0;
    let mut folders = vec![top("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                // What tests read is not built there.
                folders.extend((path.file_name().unwrap() != "tests").then_some(path));
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            let embedded = ["include_str!(\"", "include_bytes!(\"", "folder = \""];
            for name in embedded
                .iter()
                .flat_map(|how| text.split(how).skip(1))
                .filter_map(|rest| rest.split('"').next())
            {
                let top_level = name.split('/').find(|part| !part.contains('.') && !part.starts_with('$'));
                let top_level = top_level.unwrap_or_else(|| panic!("{}: {name}", path.display()));
                assert!(containerfile.contains(&format!("COPY {top_level} {top_level}\n")), "{name}");
                assert!(manifest.contains(&format!("\"{top_level}\"")), "{name}");
                found += 1;
            }
        }
    }
    assert!(found > 0);
}
