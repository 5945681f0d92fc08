//! What is said on a machine's console does nothing but be read.

use super::super::console;

#[test]
fn it_says_why_waits_and_begins_again_for_ten_minutes() {
    assert_eq!(
        console(&["inventory.yaml:31: hosts.three.mac: no MAC".to_owned()]),
        "#!ipxe\n:again\necho pxe-serve: inventory.yaml:31: hosts.three.mac: no MAC\n\
         echo pxe-serve: trying again in 10 s\nsleep 10\ninc waits ||\niseq ${waits} 60 && goto disk ||\n\
         chain --replace /pxe/boot.ipxe || goto again\n\n:disk\nexit 1\n"
    );
}

#[test]
fn it_may_go_on_to_the_disk() {
    assert_eq!(
        super::super::console_then_disk(&["two: arm it".to_owned()]),
        "#!ipxe\necho pxe-serve: two: arm it\necho pxe-serve: starting from its disk in 10 s\nsleep 10\nexit 1\n"
    );
}

/// Lines after the text.
const TAIL: usize = 8;

#[test]
fn text_is_made_harmless() {
    for (text, expected) in [
        ("${net0/mac}", "$ {net0/mac}"),
        ("$${x}", "$$ {x}"),
        ("a || reboot && b ||| c", "a | | reboot & & b | | | c"),
        ("#1 broke; reboot # now ; really", "'#'1 broke; reboot '#' now ';' really"),
        ("a\nreboot", "a?reboot"),
        ("a\u{1b}[2J", "a?[2J"),
        ("“naïve” — it’s …", "\"na?ve\" - it's ..."),
    ] {
        let script = console(&[text.to_owned()]);
        assert_eq!(script.lines().nth(2), Some(format!("echo pxe-serve: {expected}").as_str()), "{text:?}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_breaks_out_of_its_echo(lines in proptest::collection::vec("(\\PC|[\n\r$|&{}; #]){0,300}", 0..20)) {
        let script = console(&lines);
        let said: Vec<&str> = script.lines().collect();
        // #!ipxe, :again; at most eight, and how many more; then those that wait, count and go on.
        let echoes = lines.len().min(8) + usize::from(lines.len() > 8);
        proptest::prop_assert_eq!(said.len(), 2 + echoes + TAIL);
        for line in &said[2..2 + echoes] {
            proptest::prop_assert!(line.starts_with("echo pxe-serve: ") && line.len() < 200);
            let works = ["${", "||", "&&", " ;", " #"].iter().find(|works| line.contains(*works));
            proptest::prop_assert_eq!(works, None);
            proptest::prop_assert!(line.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()));
        }
    }
}
