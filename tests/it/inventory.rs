//! What the user reads when the inventory is wrong, and what it takes to make it refuse.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use pxe_serve::inventory::{Inventory, parse};
use pxe_serve::report::{Report, Severity};

/// A new case is a new file in `tests/cases/inventory`; its findings are the snapshot, as `pxe-serve check` shows them.
#[test]
fn every_case_says_what_is_wrong_where_and_what_to_do() {
    insta::glob!("../cases/inventory", "*.yaml", |path| {
        let bytes = std::fs::read(path).unwrap();
        let (inventory, report) = parse("inventory.yaml", &bytes);
        assert_eq!(
            inventory.is_none(),
            report.has_errors(),
            "the model is there exactly when nothing is in error"
        );
        let outcome = if inventory.is_some() { "accepted" } else { "refused" };
        insta::assert_snapshot!(format!("{outcome}\n\n{}", report.to_text(false)));
    });
}

fn good() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases/inventory/good.yaml")).unwrap()
}

fn parse_text(text: &str) -> (Option<Inventory>, Report) {
    parse("inventory.yaml", text.as_bytes())
}

#[test]
fn the_shipped_inventory_is_clean() {
    let text = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/inventory.yaml")).unwrap();
    let (inventory, report) = parse("inventory.yaml", &text);
    // That the key is nobody's is all there is to say.
    let paths: Vec<&str> = report.findings().iter().map(|finding| finding.path.as_str()).collect();
    assert_eq!(paths, ["ssh_authorized_keys.0"], "{}", report.to_text(false));
    assert_eq!(report.findings()[0].severity, Severity::Note);
    let names: Vec<String> = inventory.unwrap().hosts.iter().map(|host| host.name.to_string()).collect();
    assert_eq!(names, ["lenovo1", "lenovo2", "lenovo3"]);
}

#[test]
fn priorities_follow_the_order_of_the_file_as_in_the_seed() {
    let (inventory, _) = parse_text(&good());
    let priorities: Vec<String> =
        inventory.unwrap().hosts.iter().map(|host| format!("{:?}", host.role)).collect();
    assert_eq!(
        priorities,
        [
            "ControlPlane { priority: Priority(100) }",
            "ControlPlane { priority: Priority(90) }",
            "ControlPlane { priority: Priority(80) }"
        ]
    );
}

/// Text that would end a statement, a block, a quotation or a line in one of the formats that values end up in.
const HOSTILE: &[&str] = &[
    "x\n}",
    "x\r",
    "x y",
    "\"",
    "'",
    "{",
    "}",
    "$HOME",
    "${x}",
    "@x",
    "#x",
    "!x",
    "`id`",
    "$(id)",
    "a;b",
    "a|b",
    "a&b",
    "a>b",
    "\\",
    "\0",
    "\u{1b}[31m",
    "\u{2028}",
    "ä",
    "../x",
    "%0a",
    "{{ x }}",
    "{% x %}",
    "*",
    "?",
    "~",
    "",
];

/// Every field whose text ends up in a configuration file, as a line of the good inventory to replace.
const FIELDS: &[(&str, &str)] = &[
    ("interface: eth0", "interface: VALUE"),
    ("install_device: /dev/nvme0n1", "install_device: VALUE"),
    ("install_device: /dev/nvme0n1", "install_device: /dev/nvme0n1, kernel_arguments: [VALUE]"),
    ("install_device: /dev/nvme0n1", "install_device: /dev/nvme0n1, labels: {a: VALUE}"),
    (
        "install_device: /dev/nvme0n1",
        "install_device: /dev/nvme0n1, disks: [{device: VALUE, path: /var/lib/x}]",
    ),
    (
        "install_device: /dev/nvme0n1",
        "install_device: /dev/nvme0n1, disks: [{device: /dev/sdb, path: VALUE}]",
    ),
    (
        "install_device: /dev/nvme0n1",
        "install_device: /dev/nvme0n1, disks: [{device: /dev/sdb, path: /var/lib/x, label: VALUE}]",
    ),
    ("  lenovo1:", "  VALUE:"),
    ("base_url: http://192.168.26.1", "base_url: VALUE"),
    ("cidr: 192.168.26.0/24", "cidr: 192.168.26.0/24\n  domain: VALUE"),
    ("cidr: 192.168.26.0/24", "cidr: 192.168.26.0/24\n  control_planes_name: VALUE"),
    ("virtual_router_id: 26", "virtual_router_id: 26\n  image: VALUE"),
    ("version: v1.32.5+k3s1", "version: VALUE"),
    ("version: v1.32.5+k3s1", "version: v1.32.5+k3s1\n  disable: [VALUE]"),
    ("version: v1.32.5+k3s1", "version: v1.32.5+k3s1\n  tls_san: [VALUE]"),
    ("mac: 52:54:00:aa:00:01", "mac: VALUE"),
    ("mac: 52:54:00:aa:00:01", "mac: 52:54:00:aa:00:01, uuid: VALUE"),
];

#[test]
fn no_value_can_break_out_of_a_configuration_file() {
    // What a field takes although it is in the list: kernel arguments are words of a command line, split at blanks only.
    let allowed = |field: &str, value: &str| {
        field.contains("kernel_arguments")
            && ["@x", "!x", "a;b", "a|b", "a&b", "a>b", "../x", "%0a", "*", "?", "~"].contains(&value)
            || field.contains("labels") && value.is_empty()
    };
    let mut accepted = String::new();
    for (line, replacement) in FIELDS {
        for value in HOSTILE {
            let quoted = serde_json::to_string(value).unwrap();
            let text = good().replacen(line, &replacement.replace("VALUE", &quoted), 1);
            assert_ne!(text, good(), "{line} is not in the good inventory");
            let (inventory, report) = parse_text(&text);
            if inventory.is_some() && !allowed(replacement, value) {
                writeln!(accepted, "{replacement} {value:?}\n{}", report.to_text(false)).unwrap();
            }
        }
    }
    assert_eq!(accepted, "");
}

#[test]
fn serial_numbers_and_ssh_comments_may_have_blanks_but_no_line_ends() {
    let with_serial = |serial: &str| {
        good().replacen("mac: 52:54:00:aa:00:01", &format!("mac: 52:54:00:aa:00:01, serial: {serial}"), 1)
    };
    assert!(parse_text(&with_serial("'PC 0ABCDE '")).0.is_some());
    assert!(parse_text(&with_serial("\"PC\\n0ABCDE\"")).0.is_none());
    let with_key = |comment: &str| good().replacen(" me\n", comment, 1);
    assert!(parse_text(&with_key(" me @ home\n")).0.is_some());
    assert!(
        parse_text(&good().replacen(
            "- ssh-ed25519 ",
            "- \"ssh-ed25519 AAAA\\nssh-rsa \"\n  - ssh-ed25519 ",
            1
        ))
        .0
        .is_none()
    );
}

/// A guard against hanging, far above what is measured (see the README): a bomb is refused, not survived.
const HANG: Duration = Duration::from_secs(20);

fn refused_soon(name: &str, text: &str) {
    let start = Instant::now();
    let (inventory, report) = parse_text(text);
    let elapsed = start.elapsed();
    assert!(inventory.is_none() && report.has_errors(), "{name} was accepted");
    assert!(elapsed < HANG, "{name} took {elapsed:?}");
    eprintln!("{name}: refused in {elapsed:?}");
}

#[test]
fn bombs_are_refused() {
    refused_soon("five mebibytes", &format!("{}# {}\n", good(), "x".repeat(5 * 1024 * 1024)));
    let mut laughs = String::from("a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n");
    for level in 1..12 {
        let alias = format!("*a{}, ", level - 1).repeat(9);
        writeln!(laughs, "a{level}: &a{level} [{}]", alias.trim_end_matches(", ")).unwrap();
    }
    refused_soon("a billion laughs", &laughs);
    refused_soon("deep lists", &"[".repeat(1_000_000));
    refused_soon(
        "deep maps",
        &(0..2_000).fold(String::new(), |text, depth| text + &" ".repeat(depth) + "a:\n"),
    );
    refused_soon("deep flow maps", &"{a: ".repeat(500_000));
    refused_soon(
        "many keys",
        &(0..300_000).fold(String::new(), |mut text, key| {
            writeln!(text, "k{key}: 1").unwrap();
            text
        }),
    );
    refused_soon("many merges", &format!("a: &a {{x: 1}}\n{}", "b: {<<: *a}\n".repeat(50_000)));
    refused_soon("no utf-8 in sight", "\u{feff}\u{0}");
}
