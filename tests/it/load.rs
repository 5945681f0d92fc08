//! What is read from disk: whole or not at all, and with a remedy that does no harm.

use std::fs;
use std::path::Path;

use pxe_serve::load::{Sources, load};

/// The findings about the shipped site in a folder of its own, after `meddle` was there.
fn findings(meddle: impl Fn(&Path)) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    fs::copy(root.join("inventory.yaml"), here.join("inventory.yaml")).unwrap();
    for name in ["secrets", "templates/configs", "static"] {
        fs::create_dir_all(here.join(name)).unwrap();
    }
    fs::write(here.join("secrets/keepalived-auth-pass"), "ownpass1").unwrap();
    fs::write(here.join("secrets/k3s-token"), "0123456789abcdef0123").unwrap();
    meddle(here);
    let sources = Sources {
        inventory: here.join("inventory.yaml"),
        templates: Some(here.join("templates")),
        static_dir: Some(here.join("static")),
    };
    load(&sources).report.to_text(false)
}

#[test]
fn a_file_that_is_too_long_is_refused_and_not_cut_off() {
    let template = |here: &Path| {
        fs::write(here.join("templates/configs/k3s-token.j2"), "a".repeat(1024 * 1024 + 1)).unwrap()
    };
    assert!(findings(template).contains("k3s-token.j2: cannot be read: it is longer than the 1048576 bytes"));
    let secret = |here: &Path| fs::write(here.join("secrets/k3s-token"), "a".repeat(4097)).unwrap();
    assert!(
        findings(secret)
            .contains("k3s.token: the file named here cannot be read: it is longer than the 4096 bytes")
    );
}

#[test]
fn only_a_secret_that_is_not_there_is_said_to_be_created() {
    let gone = findings(|here| fs::remove_file(here.join("secrets/k3s-token")).unwrap());
    assert!(gone.contains("openssl rand -hex 32"), "{gone}");
    // A remedy that overwrites it would cost a living cluster its token.
    let unreadable = findings(|here| fs::write(here.join("secrets/k3s-token"), b"\xff\xfe").unwrap());
    assert!(unreadable.contains("not UTF-8") && !unreadable.contains("openssl"), "{unreadable}");
}

#[test]
fn the_secrets_of_this_repository_are_known_to_everybody() {
    let published = findings(|here| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for name in ["secrets/keepalived-auth-pass", "secrets/k3s-token"] {
            fs::copy(root.join(name), here.join(name)).unwrap();
        }
    });
    assert_eq!(published.matches("the example's secret, which everybody knows").count(), 2, "{published}");
    assert!(!findings(|_| ()).contains("everybody knows"));
}

#[test]
fn links_that_are_not_followed_are_named() {
    let found = findings(|here| {
        std::os::unix::fs::symlink(here.join("secrets"), here.join("static/fcos")).unwrap();
        std::os::unix::fs::symlink(here.join("nowhere"), here.join("static/gone")).unwrap();
    });
    assert!(found.contains("static/fcos: is a link to a folder"), "{found}");
    assert!(found.contains("static/gone: is a link that leads nowhere"), "{found}");
}

/// Neither secrets nor the files of `--static` that the inventory names have to be there.
#[test]
fn failover_is_predicted_from_the_inventory_alone() {
    let folder = tempfile::tempdir().unwrap();
    let shipped = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("inventory.yaml")).unwrap();
    let offline = "  phase: reinstall\n  binary: pxe/k3s/k3s\n  install_script: pxe/k3s/install.sh\n";
    let text = shipped.replacen("  phase: reinstall", offline, 1);
    assert_ne!(text, shipped);
    fs::write(folder.path().join("inventory.yaml"), text).unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_pxe-serve"));
    let output = command.arg("failover").current_dir(&folder).output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success() && said.contains("1. lenovo1"), "{said}");
}
