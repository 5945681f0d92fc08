//! Notations, escapes, placeholders and contradictions.

use super::super::{Fact, Identity, Machine, identify};
use super::three;

/// The host's name, `-`, or the reasons of a conflict.
fn who(name: Option<&str>, query: &str) -> String {
    match identify(&three("reinstall"), &Machine::parse(name, Some(query))) {
        Identity::Host(host) => host.name.to_string(),
        Identity::Unknown => "-".to_owned(),
        Identity::Conflict(conflict) => conflict.reasons().join("; "),
    }
}

#[test]
fn a_host_is_found_by_each_of_its_facts_in_every_notation_and_escaping() {
    for (query, expected) in [
        ("mac=52:54:00:00:00:01", "one"),
        ("mac=52%3A54%3a00%3A00%3A00%3A01", "one"),
        ("mac=52-54-00-00-00-01", "one"),
        ("mac=525400000001", "one"),
        ("mac=5254.0000.0001", "one"),
        ("mac=%35%32-54-00-00-00-02", "two"),
        ("mac=52-54-00-00-01-01", "one"),
        ("mac=aa-bb-cc-dd-ee-ff", "-"),
        ("mac=52-54-00-00-00", "-"),
        ("mac=", "-"),
        ("mac", "-"),
        ("uuid=00112233-4455-6677-8899-aabbccddeeff", "one"),
        ("uuid=00112233-4455-6677-8899-AABBCCDDEEFF", "one"),
        // The first three fields in the other byte order, and one that is in neither.
        ("uuid=33221100-5544-7766-8899-aabbccddeeff", "one"),
        ("uuid=33221100-5544-7766-9988-aabbccddeeff", "-"),
        ("serial=PF0ABC/2", "two"),
        ("serial=%20PF0ABC%2F2%20", "two"),
        ("serial=pf0abc%2f2", "two"),
        ("hostname=two", "two"),
        ("hostname=TWO.Lab.Internal", "two"),
        ("hostname=two.lan.", "two"),
        ("hostname=two-", "-"),
        ("hostname=localhost", "-"),
        ("", "-"),
        ("&&=&a=b&", "-"),
        // A field is broken, the others count.
        ("serial=%FFFFFFC3%FFFFFFA4&mac=525400000002", "two"),
        ("serial=%C3%A4&hostname=%&uuid=%zz&mac=52%3A54%3A00%3A00%3A00%3A02", "two"),
        ("mac=%FFFFFF52&hostname=two", "two"),
        // What nobody has is no contradiction.
        ("mac=aa-bb-cc-dd-ee-ff&hostname=three", "three"),
        ("mac=52-54-00-00-00-01&mac=52-54-00-00-01-01&uuid=00112233-4455-6677-8899-aabbccddeeff", "one"),
    ] {
        assert_eq!(who(None, query), expected, "{query}");
    }
}

#[test]
fn the_name_in_the_path_counts_like_a_fact() {
    for (name, expected) in [
        ("52-54-00-00-00-01", "one"),
        ("52:54:00:00:00:01", "one"),
        ("52%3A54%3A00%3A00%3A00%3A01", "one"),
        ("525400000001", "one"),
        ("two", "two"),
        ("Two.lab.internal", "two"),
        ("%FFFFFFC3", "-"),
        ("..%2f..%2fetc", "-"),
        ("four", "-"),
    ] {
        assert_eq!(who(Some(name), ""), expected, "{name}");
    }
    assert_eq!(
        who(Some("52-54-00-00-00-01"), "hostname=two"),
        "MAC 52:54:00:00:00:01 is one's; host name two is two's"
    );
}

#[test]
fn facts_of_two_hosts_are_refused_and_each_is_named() {
    assert_eq!(
        who(None, "mac=525400000001&uuid=11112222-3333-4444-5555-666677778888"),
        "MAC 52:54:00:00:00:01 is one's; UUID 11112222-3333-4444-5555-666677778888 is two's"
    );
    assert_eq!(
        who(None, "mac=aa-bb-cc-dd-ee-ff&serial=S-3&mac=52-54-00-00-00-02"),
        "serial number S-3 is three's; MAC 52:54:00:00:00:02 is two's"
    );
}

#[test]
fn what_a_vendor_left_in_the_firmware_is_no_fact() {
    for query in [
        "serial=To%20Be%20Filled%20By%20O.E.M.",
        "serial=Default%20string",
        "serial=System%20Serial%20Number",
        "serial=NOT%20SPECIFIED",
        "serial=0",
        "serial=00000000",
        "serial=........",
        "serial=0123456789",
        "uuid=00000000-0000-0000-0000-000000000000",
        "uuid=FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF",
        "uuid=03000200-0400-0500-0006-000700080009",
        "mac=00-00-00-00-00-00",
        "mac=ff:ff:ff:ff:ff:ff",
    ] {
        assert_eq!(Machine::parse(None, Some(query)).facts, [], "{query}");
    }
    let real = Machine::parse(None, Some("serial=PF11XYZ")).facts;
    assert!(matches!(&real[..], [Fact::Serial(_)]));
}

#[test]
fn a_machine_says_no_more_than_is_kept_of_it() {
    let many: String = (0..255).map(|last| format!("mac=52-54-00-00-02-{last:02x}&")).collect();
    let machine = Machine::parse(None, Some(&format!("{many}&buildarch=x86_64&platform=%1b[2Jefi")));
    assert_eq!(
        (machine.facts.len(), machine.buildarch.as_deref(), machine.platform),
        (16, Some("x86_64"), None)
    );
}

proptest::proptest! {
    #[test]
    fn whatever_a_machine_says_it_is_one_host_none_or_refused(name in ".{0,40}", query in "[a-z=&%:.0-9A-F-]{0,200}") {
        let _ = who(Some(&name), &query);
    }
}
