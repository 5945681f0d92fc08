//! The real programs against the real binary. A program that is missing is skipped aloud, and is a failure when
//! `PXE_SERVE_E2E=required`, as `./check` and CI set it.
#![allow(clippy::disallowed_methods, reason = "tests write files, run programs and wait for them")]

#[path = "../api/mod.rs"]
mod api;
mod cluster_ca;
mod day2;
mod fcos_stream;
mod ignition;
mod installer;
mod joined;
mod k3s_offline;
mod k3s_selinux;
mod k3s_started;
mod keepalived;
mod keepalived_image;
mod namespace;
mod netboot;
mod node;
mod reports;
mod restore;
mod router;
mod scripts;
mod server;
mod site;
mod ssh;
mod static_server;
mod tools;
mod vrrp;

#[test]
fn the_program_starts_and_says_its_version() {
    assert_cmd::Command::cargo_bin("pxe-serve").unwrap().arg("--version").assert().success().stdout(concat!(
        "pxe-serve ",
        env!("CARGO_PKG_VERSION"),
        "\n"
    ));
}
