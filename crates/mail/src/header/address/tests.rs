//! Clean lists, doubtful lists, and any text.

use super::*;
use proptest::prelude::*;

fn mailbox(name: Option<&str>, local: &str, domain: &str) -> Address {
    Address::Mailbox { name: name.map(str::to_owned), route: None, local: local.into(), domain: domain.into() }
}

#[test]
fn clean_lists() {
    for (text, wanted) in [
        ("a@b.c", vec![mailbox(None, "a", "b.c")]),
        ("\"Martin, Marie\" <marie.martin@x.fr>", vec![mailbox(Some("Martin, Marie"), "marie.martin", "x.fr")]),
        (
            "=?utf-8?Q?L=C3=A9a?= M. <l@x>, , b@y (Bob (x))",
            vec![mailbox(Some("=?utf-8?Q?L=C3=A9a?= M."), "l", "x"), mailbox(Some("Bob (x)"), "b", "y")],
        ),
        (
            "Team: a@b, \"c d\"@e; , f@g",
            vec![
                Address::GroupStart("Team".into()),
                mailbox(None, "a", "b"),
                mailbox(None, "c d", "e"),
                Address::GroupEnd,
                mailbox(None, "f", "g"),
            ],
        ),
        ("undisclosed-recipients:;", vec![Address::GroupStart("undisclosed-recipients".into()), Address::GroupEnd]),
        ("john . q @ host . org", vec![mailbox(None, "john.q", "host.org")]),
        (
            "<@r1,@r2:a@[127.0.0.1]>",
            vec![Address::Mailbox {
                name: None,
                route: Some("@r1,@r2".into()),
                local: "a".into(),
                domain: "[127.0.0.1]".into(),
            }],
        ),
        ("\"a\\\"b\"@c", vec![mailbox(None, "a\"b", "c")]),
        ("Léa <léa@é.fr>", vec![mailbox(Some("Léa"), "léa", "é.fr")]),
        ("", vec![]),
    ] {
        assert_eq!(parse_addresses(text, 100), AddressList { addresses: wanted, clean: true }, "{text}");
    }
}

#[test]
fn doubtful_lists_are_told() {
    for text in [
        "a",
        "a@",
        "@b",
        "a@b@c",
        "a@b <c@d>",
        "<a@b> x",
        "<a@b> <c@d>",
        "<a@b",
        "\"a@b",
        "(a@b",
        "a b@c",
        "a..b@c",
        ".a@b",
        "a.@b",
        "a@b.",
        "a@b c",
        "x: a@b",
        "a@b;",
        "<a@b,c@d>",
        "<>",
        "x: y: a@b;;",
        "a\\b@c",
        "a@b)",
        "a@<b>",
        "a@b:c",
        "a\0@b",
        "a@b!",
        "a@[1\\\\2]",
        "\"a\0\"@b",
        "a .. b@c",
    ] {
        assert!(!parse_addresses(text, 100).clean, "{text}");
    }
    let list = parse_addresses("a@b,c@d", 1);
    assert_eq!((list.addresses.len(), list.clean), (1, false));
    assert_eq!(parse_addresses("<a@b, c@d", 9).addresses, [mailbox(None, "a", "b"), mailbox(None, "c", "d")]);
}

#[test]
fn writes_addresses() {
    let text = |a: &Address| a.address();
    assert_eq!(text(&mailbox(None, "a.b", "c")).as_deref(), Some("a.b@c"));
    assert_eq!(text(&mailbox(None, "a \"b", "c")).as_deref(), Some("\"a \\\"b\"@c"));
    assert_eq!(text(&mailbox(None, "a", "")), None);
    assert_eq!(text(&Address::GroupEnd), None);
}

proptest! {
    #[test]
    fn never_panics_and_is_bounded(text in "[a-c@<>,;:.\"()\\\\\\[\\] é]{0,60}") {
        let list = parse_addresses(&text, 10);
        prop_assert!(list.addresses.len() <= 10);
    }

    #[test]
    fn a_clean_address_reads_back(text in "[a-c@<>,;:.\"()\\\\ é]{0,16}") {
        let list = parse_addresses(&text, 10);
        for address in list.addresses.iter().filter(|_| list.clean) {
            if let (Some(written), Address::Mailbox { local, domain, .. }) = (address.address(), address) {
                let again = parse_addresses(&written, 10);
                prop_assert!(again.clean, "{}", written);
                prop_assert_eq!(again.addresses, vec![mailbox(None, local, domain)]);
            }
        }
    }
}
