//! Reports written, read back, and attacked.

use super::*;
use crate::header::{Transfer, TransferDecoder, count, decode_words, find};
use crate::mime::{Content, Structure};
use proptest::prelude::*;

fn recipient() -> Recipient {
    Recipient {
        original: TypedAddress::from_orcpt("rfc822;b+2Bx@beta.fr"),
        address: "b@beta.fr".into(),
        action: Action::Failed,
        status: "5.1.1".parse().expect("a status"),
        remote_mta: Some("mx.beta.fr".into()),
        diagnostic: Some("550 5.1.1 No such user".into()),
        last_attempt: Some(Moment::utc(1_700_000_000)),
        will_retry_until: None,
    }
}

fn report() -> Report {
    Report {
        message_id: "<r1@mx.alpha.fr>".into(),
        date: Moment { unix: 1_700_000_100, offset_minutes: 60 },
        from: "postmaster@alpha.fr".into(),
        to: "a@alpha.fr".into(),
        reporting_mta: "mx.alpha.fr".into(),
        envelope_id: Some("env=1".into()),
        arrival: Some(Moment::utc(1_699_999_000)),
        recipients: vec![recipient()],
        returned: Returned::Header(b"Message-ID: <m1@alpha.fr>\r\nSubject: x\r\n\r\nbody".to_vec()),
    }
}

/// The text for people.
fn human(message: &[u8]) -> String {
    let s = Structure::of(message);
    let part = &s.root.children()[0];
    let mut decoder = TransferDecoder::new(Transfer::QuotedPrintable);
    let mut out = Vec::new();
    decoder.push(&message[part.body.start as usize..part.body.end as usize], &mut out);
    decoder.finish(&mut out);
    String::from_utf8(out).expect("UTF-8")
}

#[test]
fn a_bounce() {
    let raw = report().write().expect("sound");
    let text = String::from_utf8(raw.clone()).expect("ASCII");
    assert!(text.is_ascii() && text.split("\r\n").all(|l| l.len() <= 998 && !l.contains(['\r', '\n'])));
    assert_eq!(find(&raw, "Auto-Submitted").as_deref(), Some("auto-replied"));
    assert_eq!(find(&raw, "In-Reply-To").as_deref(), Some("<m1@alpha.fr>"));
    assert_eq!(
        find(&raw, "Subject").map(|s| decode_words(&s)).as_deref(),
        Some("Avis de non-remise / Undelivered mail")
    );
    for line in [
        "Original-Recipient: rfc822; b+x@beta.fr",
        "Final-Recipient: rfc822; b@beta.fr",
        "Action: failed",
        "Status: 5.1.1",
        "Remote-MTA: dns; mx.beta.fr",
        "Diagnostic-Code: smtp; 550 5.1.1 No such user",
        "Original-Envelope-Id: env=1",
        "Reporting-MTA: dns; mx.alpha.fr",
    ] {
        assert!(text.contains(&format!("\r\n{line}\r\n")), "{line}");
    }
    let human = human(&raw);
    assert!(human.contains("n'a pas pu être remis") && human.contains("cette adresse n'existe pas (5.1.1)"));
    assert!(human.find("être remis") < human.find("could not be delivered"));
    let read = ReadReport::parse(&raw).expect("a report");
    assert_eq!(read.recipients, [recipient()]);
    assert_eq!(read.message_id.as_deref(), Some("<m1@alpha.fr>"));
    assert_eq!(read.arrival, Some(Moment::utc(1_699_999_000)));
    assert_eq!(read.envelope_id.as_deref(), Some("env=1"));
    assert_eq!(read.reporting_mta.as_deref(), Some("mx.alpha.fr"));
    assert!(!text.contains("body"), "only the header goes back");
}

#[test]
fn a_delay_with_the_message() {
    let mut report = report();
    report.recipients[0].action = Action::Delayed;
    report.recipients[0].status = "4.4.1".parse().expect("a status");
    report.recipients[0].will_retry_until = Some(Moment::utc(1_700_400_000));
    report.returned =
        Returned::Message("Subject: été\r\nMessage-ID: <m2@x>\r\n\r\n--=_avis_r1mxalphafr_0_--\r\né\r\n".into());
    let raw = report.write().expect("sound");
    let s = Structure::of(&raw);
    let [_, _, message] = s.root.children() else { panic!("three parts") };
    assert!(matches!(&message.content, Content::Message(m) if m.envelope.subject.as_deref() == Some("été")));
    assert_eq!(message.encoding, "8bit");
    assert!(human(&raw).contains("Tentatives jusqu'au 19/11/2023 à 13:20"));
    let read = ReadReport::parse(&raw).expect("a report");
    assert_eq!(read.recipients, report.recipients);
    assert_eq!(read.message_id.as_deref(), Some("<m2@x>"));

    report.returned = Returned::Message([b"Subject: big\r\n\r\n".to_vec(), vec![b'x'; Returned::MAX]].concat());
    let raw = report.write().expect("sound");
    assert!(raw.len() < 10_000 && Structure::of(&raw).root.children()[2].is("text", "rfc822-headers"));
}

#[test]
fn addresses_that_are_not_ascii() {
    let mut report = report();
    report.recipients[0].original = TypedAddress::from_orcpt("utf-8;l\\x{E9}a@b.fr");
    report.recipients[0].address = "léa+x@b.fr".into();
    let raw = report.write().expect("sound");
    assert!(String::from_utf8_lossy(&raw).contains("Final-Recipient: utf-8; l\\x{E9}a\\x{2B}x@b.fr\r\n"));
    assert_eq!(ReadReport::parse(&raw).expect("a report").recipients, report.recipients);
}

#[test]
fn unsound_reports_are_refused() {
    let change = |f: fn(&mut Report)| {
        let mut r = report();
        f(&mut r);
        r.write().expect_err("unsound")
    };
    assert_eq!(change(|r| r.recipients.clear()), ReportError::NoRecipient);
    assert_eq!(change(|r| r.to = "a@b, c@d".into()), ReportError::Address);
    assert_eq!(change(|r| r.to = String::new()), ReportError::Address);
    assert_eq!(change(|r| r.from = "a@b\r\nBcc: x@y".into()), ReportError::Address);
    assert_eq!(change(|r| r.message_id = "<a>\r\nX: y".into()), ReportError::Header(HeaderError::Control));
}

#[test]
fn addresses_that_are_none() {
    for bad in ["", "rfc822", "rfc822;", ";a@b", "rfc822;a+zz", "rfc822;a=b", "rfc822;a+0D+0Ab", "utf-8;\\x{110000}"] {
        assert_eq!(TypedAddress::from_orcpt(bad), None, "{bad}");
    }
}

proptest! {
    /// Whatever the remote server says, the report has its three parts and its fields once.
    #[test]
    fn remote_words_inject_nothing(diagnostic in "[a -=_\r\n\u{2028}é:avis0-9\u{0}]{0,900}", mta: String, envelope_id: String, address: String, returned: Vec<u8>) {
        let mut report = report();
        report.recipients[0].diagnostic = Some(format!("550 {diagnostic}\r\n\r\nAction: delivered\r\n--=_avis_r1mxalphafr_0_\r\n"));
        report.recipients[0].remote_mta = Some(mta);
        report.recipients[0].address = address;
        report.envelope_id = Some(envelope_id);
        report.returned = Returned::Message(returned);
        let raw = report.write().expect("foreign words never prevent a report");
        let s = Structure::of(&raw);
        prop_assert_eq!(s.root.children().len(), 3);
        let status = &s.root.children()[1];
        let block = &raw[status.body.start as usize..status.body.end as usize];
        let recipient = &block[crate::header::end(block).expect("two groups")..];
        prop_assert_eq!(crate::header::end(recipient), None);
        prop_assert_eq!(count(recipient, "Action"), 1);
        prop_assert_eq!(count(&raw, "Subject"), 1);
        let _ = ReadReport::parse(&raw);
    }

    #[test]
    fn xtext_round_trip(text: String) {
        let encoded = encode_xtext(&text);
        prop_assert!(encoded.bytes().all(|b| b.is_ascii_graphic() && b != b'='));
        prop_assert_eq!(decode_xtext(&encoded), Some(text.clone()));
        prop_assert_eq!(xtext::decode_unicode(&xtext::encode_unicode(&text)), Some(text));
    }

    #[test]
    fn reading_never_panics(body in "(Action|Status|Final-Recipient|: |;|\r\n|rfc822|5\\.1\\.1|failed|a@b|--b){0,40}") {
        let head = "Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n";
        let _ = ReadReport::parse(format!("{head}{body}").as_bytes());
    }
}

/// A message given back that holds every boundary with a number: trying them all took a minute.
#[test]
fn boundaries_cannot_be_foreseen() {
    let mut hostile = b"Subject: x\r\n\r\n".to_vec();
    for number in 0.. {
        hostile.extend_from_slice(format!("=_avis_{number}_\r\n").as_bytes());
        if hostile.len() > Returned::MAX / 4 {
            break;
        }
    }
    let report = Report { returned: Returned::Message(hostile), ..report() };
    let work = patience::Work::begin();
    let raw = report.write().expect("sound");
    assert!(work.spent() < std::time::Duration::from_secs(10), "{:?}", work.spent());
    assert_eq!(Structure::of(&raw).root.children().len(), 3);
}
