//! The real programs against the real binary. A program that is missing is skipped aloud, and is a failure when
//! `PXE_SERVE_E2E=required`, as `./check` and CI set it.

#[test]
fn the_program_starts_and_says_its_version() {
    assert_cmd::Command::cargo_bin("pxe-serve").unwrap().arg("--version").assert().success().stdout(concat!(
        "pxe-serve ",
        env!("CARGO_PKG_VERSION"),
        "\n"
    ));
}
