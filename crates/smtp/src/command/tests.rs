use proptest::prelude::*;

use super::*;
use crate::envelope::{Notify, Ret};

fn mail_of(line: &str) -> MailFrom {
    match parse(line.as_bytes()) {
        Ok(Command::Mail(from)) => from,
        other => panic!("{line}: {other:?}"),
    }
}

fn rcpt_of(line: &str) -> Rcpt {
    match parse(line.as_bytes()) {
        Ok(Command::Rcpt(to)) => to,
        other => panic!("{line}: {other:?}"),
    }
}

fn refused(line: &str) -> CommandError {
    parse(line.as_bytes()).expect_err(line)
}

#[test]
fn verbs_have_no_case_and_no_extra_arguments() {
    assert_eq!(parse(b"ehlo [127.0.0.1]"), Ok(Command::Ehlo("[127.0.0.1]".into())));
    assert_eq!(parse(b"HeLo my_pc.local"), Ok(Command::Helo("my_pc.local".into())));
    assert_eq!(parse(b"data "), Ok(Command::Data));
    assert_eq!(parse(b"NOOP whatever"), Ok(Command::Noop));
    assert_eq!(parse(b"BDAT 12"), Ok(Command::Bdat { size: 12, last: false }));
    assert_eq!(parse(b"bdat 0 last"), Ok(Command::Bdat { size: 0, last: true }));
    assert_eq!(parse(b"EXPN list"), Ok(Command::Unimplemented));
    for line in [
        "EHLO",
        "EHLO a b",
        "EHLO a(b)",
        "HELO",
        "DATA now",
        "QUIT now",
        "STARTTLS x",
        "BDAT",
        "BDAT -1",
        "BDAT +1",
        "BDAT 1 FIRST",
        "BDAT 99999999999999999999",
        "AUTH",
        "AUTH XOAUTH2 a b",
        "MAIL",
        "MAIL <a@b.fr>",
        "RCPT FROM:<a@b.fr>",
        "VRFY",
    ] {
        assert_eq!(refused(line), CommandError::Syntax, "{line}");
    }
    assert_eq!(refused("HELLO a"), CommandError::Unknown);
    assert_eq!(refused(""), CommandError::Unknown);
    assert_eq!(refused("NOOP\u{7f}"), CommandError::Characters);
    assert_eq!(refused("NOOP\ta"), CommandError::Characters);
    assert_eq!(parse(b"NOOP \xff"), Err(CommandError::Characters));
}

#[test]
fn auth_tells_no_initial_response_from_an_empty_one() {
    let auth = |initial: Option<&[u8]>| Command::Auth {
        mechanism: "XOAUTH2".into(),
        initial: initial.map(|i| Zeroizing::new(i.to_vec())),
    };
    assert_eq!(parse(b"AUTH xoauth2"), Ok(auth(None)));
    assert_eq!(parse(b"AUTH XOAUTH2 ="), Ok(auth(Some(b"="))));
    assert_eq!(parse(b"AUTH XOAUTH2 dXNlcg=="), Ok(auth(Some(b"dXNlcg=="))));
}

#[test]
fn mail_takes_the_parameters_offered() {
    let from = mail_of("MAIL FROM:<a.b@c.mssante.fr> SIZE=12 body=8bitmime SMTPUTF8 RET=hdrs ENVID=a+2Bb AUTH=<>");
    assert_eq!(from.path.to_string(), "a.b@c.mssante.fr");
    assert!(from.path.address().is_some() && from.smtputf8);
    assert_eq!((from.size, from.body, from.ret), (Some(12), BodyType::EightBit, Some(Ret::Headers)));
    assert_eq!(from.envid.map(|e| e.decode()).as_deref(), Some("a+b"));
    assert_eq!(mail_of("mail from: <>").path, ReversePath::Null);
    assert_eq!(mail_of("MAIL FROM:<@a.fr,@b.fr:c@d.fr>").path.to_string(), "c@d.fr");
    assert_eq!(mail_of("MAIL FROM:<\"a> b\"@d.fr> SIZE=1").path.to_string(), "\"a> b\"@d.fr");
    assert_eq!(mail_of("MAIL FROM:<a@localhost>").path, ReversePath::Other("a@localhost".into()));
    assert_eq!(mail_of("MAIL FROM:<é@d.fr> SMTPUTF8").path, ReversePath::Other("é@d.fr".into()));
    assert_eq!(refused("MAIL FROM:<é@d.fr>"), CommandError::Utf8);
    for line in [
        "SIZE=1 SIZE=1",
        "SIZE",
        "SIZE=x",
        "SIZE=-1",
        "BODY=BINARYMIME",
        "SMTPUTF8=1",
        "RET=ALL",
        "ENVID=a=b",
        "ENVID=",
    ] {
        assert_eq!(refused(&format!("MAIL FROM:<a@b.fr> {line}")), CommandError::Parameter, "{line}");
    }
    assert_eq!(refused(&format!("MAIL FROM:<a@b.fr> ENVID={}", "x".repeat(101))), CommandError::Parameter);
    assert_eq!(refused("MAIL FROM:<a@b.fr> REQUIRETLS"), CommandError::UnknownParameter);
}

#[test]
fn rcpt_takes_dsn_parameters() {
    let to = rcpt_of("RCPT TO:<a@b.fr> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a+2Bb@c.fr");
    assert_eq!(to.notify, Some(Notify::When { success: true, failure: false, delay: true }));
    assert_eq!(to.orcpt.map(|o| o.address().decode()).as_deref(), Some("a+b@c.fr"));
    assert_eq!(rcpt_of("RCPT TO:<Postmaster>").path, ForwardPath::Postmaster);
    for line in ["NOTIFY=NEVER,SUCCESS", "NOTIFY=", "ORCPT=a@b.fr", "ORCPT=rfc822;a b", "ORCPT=;a"] {
        let error = refused(&format!("RCPT TO:<a@b.fr> {line}"));
        assert!(matches!(error, CommandError::Parameter | CommandError::UnknownParameter), "{line}");
    }
}

#[test]
fn bad_addresses_are_told_by_their_own_code() {
    let long_local = format!("{}@b.fr", "x".repeat(65));
    let long = format!("a@{}.fr", vec!["x".repeat(60); 5].join("."));
    for address in [
        "a",
        "@b.fr",
        "a@",
        "a..b@c.fr",
        ".a@c.fr",
        "a@-b.fr",
        "a@b..fr",
        "a b@c.fr",
        "a@b@c.fr",
        "a@[300.1.1.1]",
        "\"a@b.fr",
        "\"a\"b\"@c.fr",
        "\"@c.fr",
        "a@[IPv6:xyz]",
        "<a@b.fr",
        "a\u{202e}b@c.fr",
        long_local.as_str(),
        long.as_str(),
    ] {
        assert_eq!(refused(&format!("MAIL FROM:<{address}> SMTPUTF8")), CommandError::Sender, "{address}");
        assert_eq!(refused(&format!("RCPT TO:<{address}>")), CommandError::Recipient, "{address}");
    }
    assert_eq!(refused("RCPT TO:<>"), CommandError::Recipient);
    assert_eq!(refused("RCPT TO:a@b.fr"), CommandError::Recipient);
    assert_eq!(refused("RCPT TO:<a@b.fr>NOTIFY=NEVER"), CommandError::Recipient);
    for address in ["a@[127.0.0.1]", "a@[IPv6:::1]", "\"a\\\"b\"@c.fr", "a+b=c@d.fr"] {
        assert_eq!(rcpt_of(&format!("RCPT TO:<{address}>")).path.to_string(), address);
    }
}

fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,120}",
        (
            "(MAIL FROM:|RCPT TO:|mail from: )<",
            "[a-z.@\"\\\\<>:,éÿ-]{0,30}",
            "> ?",
            "(SIZE=|BODY=|NOTIFY=|ORCPT=|RET=|ENVID=|[ A-Z])[\\PC]{0,20}"
        )
            .prop_map(|(a, b, c, d)| format!("{a}{b}{c}{d}")),
        "(EHLO|HELO|AUTH|BDAT|VRFY|NOOP) [\\PC]{0,60}",
    ]
}

proptest! {
    #[test]
    fn parsing_never_panics(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse(&octets);
    }

    /// What we accept we write back on one line, and read again as the same.
    #[test]
    fn envelopes_round_trip(line in line()) {
        let text = match parse(line.as_bytes()) {
            Ok(Command::Mail(from)) if from.auth.is_none() => write_mail(&from),
            Ok(Command::Rcpt(to)) => write_rcpt(&to),
            _ => return Ok(()),
        };
        let text = text.strip_suffix("\r\n").expect("one line");
        prop_assert!(!text.contains(['\r', '\n']));
        prop_assert_eq!(parse(text.as_bytes()), parse(line.as_bytes()));
    }

    /// A second opinion: what we accept of plain envelopes, `smtp-proto` reads alike.
    #[test]
    fn agrees_with_smtp_proto(local in "[a-z0-9.+_-]{1,20}", domain in "[a-z0-9.-]{1,20}", size in 0u32.., eight in any::<bool>()) {
        let line = format!("MAIL FROM:<{local}@{domain}> SIZE={size}{}", if eight { " BODY=8BITMIME" } else { "" });
        if let Ok(Command::Mail(from)) = parse(line.as_bytes()) {
            let octets = format!("{line}\r\n").into_bytes();
            match smtp_proto::Request::parse(&mut octets.iter()) {
                Ok(smtp_proto::Request::Mail { from: other }) => {
                    prop_assert_eq!(from.path.to_string(), other.address.as_ref());
                    prop_assert_eq!(from.size, Some(other.size as u64));
                    prop_assert_eq!(from.body == BodyType::EightBit, other.flags & smtp_proto::MAIL_BODY_8BITMIME != 0);
                }
                other => prop_assert!(false, "{line}: {other:?}"),
            }
        }
    }
}
