//! Messages of each kind, as others write them, and messages made to harm.

#[path = "../../../mail/tests/hostile/cyclic.rs"]
mod cyclic;

use mail::disposition::Fate;
use mssante::receipt::Code;
use mssante::xdm::{self, Package, Sender, Software};
use proptest::prelude::*;
use time::macros::datetime;

use super::*;

const N1: &[u8] = include_bytes!("../../../../tests/fixtures/cda-n1-biologie.xml");
const N3: &[u8] = include_bytes!("../../../../tests/fixtures/cda-n3-lettre-liaison.xml");

/// A fixture; every line of it ends in CRLF.
macro_rules! fixture {
    ($name:literal) => {
        crlf(include_str!(concat!("../../../../tests/fixtures/mail/", $name, ".eml")))
    };
}

fn crlf(text: &str) -> Vec<u8> {
    text.replace("\r\n", "\n").replace('\n', "\r\n").into_bytes()
}

fn open(octets: Vec<u8>) -> Message {
    Message::open(octets, Limits::default()).expect("not too large")
}

/// An archive of these documents.
fn archive(documents: &[&[u8]]) -> Vec<u8> {
    let package = Package {
        documents,
        sender: Sender { name: "Dr".into(), organization: "H".into(), postal_address: None, phone: None },
        software: Software { name: "V".into(), version: "1".into(), vendor: "V".into() },
        source_id: "1.2.250.1.999.1.1",
        content_type: None,
        created: datetime!(2025-03-05 10:00 UTC),
    };
    xdm::build(&package).expect("sound documents").archive
}

fn base64(octets: &[u8]) -> String {
    let text = openssl::base64::encode_block(octets);
    text.as_bytes().chunks(76).map(|line| format!("{}\r\n", String::from_utf8_lossy(line))).collect()
}

/// A mail with these fields and attachments (name, type, octets).
fn mail(fields: &str, attachments: &[(&str, &str, &[u8])]) -> Vec<u8> {
    let mut out = format!(
        "From: Dr_Marie_MARTIN <m@alpha.formation.mssante.fr>\r\nTo: <b@beta.formation.mssante.fr>\r\nMessage-ID: <1@alpha>\r\n{fields}MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=BB\r\n\r\n--BB\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nBonjour\r\n"
    );
    for (name, kind, octets) in attachments {
        out += &format!(
            "--BB\r\nContent-Type: {kind}; name=\"{name}\"\r\nContent-Disposition: attachment; filename=\"{name}\"\r\nContent-Transfer-Encoding: base64\r\n\r\n{}",
            base64(octets)
        );
    }
    (out + "--BB--\r\n").into_bytes()
}

const SUBJECT: &str = "Subject: XDM/1.0/DDM+2 documents COURRIER-ESSAI JEANNE 15/06/1955\r\nX-MSS-NIL: 3734\r\nX-MSS-CODECDA: 11502-2,11490-0\r\nX-MSS-INS: O\r\n";

#[test]
fn a_mail_with_documents() {
    // ECO.2.1.2, ECO.3.1.3, SC.CDA/DD.15
    let zip = archive(&[N1, N3]);
    let message = open(mail(
        SUBJECT,
        &[
            ("ihe_xdm.ZIP", "application/octet-stream", &zip),
            (
                "20250303_Lettre de liaison a la sortie d'un etabl_COURRIER-ESSAI_JEANNE.pdf",
                "application/pdf",
                b"%PDF-2",
            ),
            (
                "20250304_CR d'examens biologiques_COURRIER-ESSAI_JEANNE_12150302014578.pdf",
                "application/pdf",
                b"%PDF-1",
            ),
            ("photo.png", "image/png", b"x"),
        ],
    ));
    assert_eq!(message.subject.shown, "2 documents COURRIER-ESSAI JEANNE 15/06/1955");
    assert!(message.subject.marked);
    assert_eq!(message.kind, Kind::Mail);
    assert_eq!(message.warnings, []);
    assert_eq!(message.text.as_ref().map(|t| t.text.as_str()), Some("Bonjour"));
    let documents: Vec<_> = message.documents().collect();
    assert_eq!(documents.iter().map(|d| d.octets()).collect::<Vec<_>>(), [N1, N3]);
    let codes: Vec<_> = documents.iter().map(|d| d.header.as_ref().expect("a CDA").code.code.as_str()).collect();
    assert_eq!(codes, ["11502-2", "11490-0"]);
    let biology = documents[0].copy.expect("named so");
    assert_eq!(message.content(&message.attachments[biology]), b"%PDF-1");
    let (ins, _) = message.patient().and_then(|p| p.ins).expect("in METADATA.XML");
    assert_eq!(ins.as_str(), "255069999999934");
    assert_eq!(documents[1].copy, Some(0), "no date, no accents");
    assert_eq!(message.attachments.len(), 3);
    assert_eq!(message.content(&message.archives[0].attachment), zip);
    assert!(!format!("{message:?}").contains("COURRIER"));
}

#[test]
fn what_does_not_fit_is_told() {
    let zip = archive(&[N1, N3]);
    let other = String::from_utf8_lossy(N3).replace("255069999999934", "279035121518989").replace("IPP0001", "IPP2");
    let stranger = archive(&[other.as_bytes()]);
    let warnings = |fields: &str, zips: &[&[u8]]| {
        let attached: Vec<_> = zips.iter().map(|zip| ("IHE_XDM.zip", "application/zip", *zip)).collect();
        open(mail(fields, &attached)).warnings
    };
    assert_eq!(warnings(&SUBJECT.replace("COURRIER-ESSAI", "VIAL"), &[&zip]), [Warning::SubjectDiffers]);
    assert_eq!(warnings(&SUBJECT.replace("11490-0", "34112-3"), &[&zip]), [Warning::CodesDiffer]);
    assert_eq!(warnings(&SUBJECT.replace("INS: O", "INS: N"), &[&zip]), [Warning::InsPresenceDiffers]);
    assert_eq!(warnings(SUBJECT, &[]), [Warning::NoArchive]);
    assert_eq!(warnings(SUBJECT, &[b"PK not a zip"]), [Warning::Archive(0)]);
    let one = SUBJECT.replace(",11490-0", "");
    let both = warnings(&one, &[&archive(&[N1]), &stranger]);
    assert!(both.contains(&Warning::SeveralPatients) && both.iter().any(|w| w.is_grave()), "{both:?}");
    // A lie about a hash: the metadata are rewritten with another's.
    let mut entries = zip::ZipArchive::new(std::io::Cursor::new(&zip)).expect("a zip");
    let mut lying = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for at in 0..entries.len() {
        use std::io::{Read, Write};
        let mut entry = entries.by_index(at).expect("an entry");
        let name = entry.name().expect("a name").into_owned();
        let mut octets = Vec::new();
        entry.read_to_end(&mut octets).expect("inflated");
        if name.ends_with("DOC0001.XML") {
            octets = String::from_utf8_lossy(&octets).replace("MARTIN", "MARTEN").into_bytes();
        }
        lying.start_file(name, zip::write::SimpleFileOptions::default()).expect("in memory");
        lying.write_all(&octets).expect("in memory");
    }
    let lying = lying.finish().expect("in memory").into_inner();
    assert_eq!(warnings(SUBJECT, &[&lying]), [Warning::Integrity(0)]);
    let many: Vec<&[u8]> = vec![b"x"; MAX_ARCHIVES + 5];
    assert_eq!(warnings(SUBJECT, &many).len(), MAX_ARCHIVES + 1);
}

#[test]
fn one_document_and_one_pdf_belong_together() {
    let zip = archive(&[N1]);
    let message =
        open(mail("", &[("scan.PDF", "application/octet-stream", b"%PDF"), ("IHE_XDM.zip", "application/zip", &zip)]));
    assert_eq!(message.documents().next().expect("one").copy, Some(0));
}

#[test]
fn documents_inflate_within_the_limit() {
    let zip = archive(&[N1]);
    let limits = Limits { inflated: N1.len() as u64 + 10, ..Limits::default() };
    let two = mail("", &[("IHE_XDM.zip", "application/zip", &zip), ("IHE_XDM.zip", "application/zip", &zip)]);
    let message = Message::open(two.clone(), limits).expect("not too large");
    assert_eq!(message.archives[1].fault, Some(ArchiveFault::Inflated));
    assert_eq!(message.documents().count(), 1);
    let small = Limits { octets: 100, ..Limits::default() };
    assert!(matches!(Message::open(two, small), Err(ReadError::TooLarge { limit: 100 })));
}

#[test]
fn notices_in_both_formats() {
    // ECO-RECEIPT; client.md §2.7
    for (octets, form) in [
        (fixture!("mdn-ko-2025"), Form::Mdn),
        (fixture!("mdn-ko-v1.1.3"), Form::Mdn),
        (fixture!("notice-ordinary"), Form::Mail),
    ] {
        let message = open(octets);
        let Kind::Notice(notice) = &message.kind else { panic!("{:?}", message.kind) };
        assert_eq!(notice.form, form);
        let Integration::Failed(errors) = &notice.outcome else { panic!("a failure") };
        assert_eq!((errors[0].code, errors[0].words()), (Code::UNKNOWN_PATIENT, "Identifiant de patient inconnu"));
        assert_eq!(notice.about.message_ids, ["<20240219230100.23456@chb.mssante.fr>"]);
        assert_eq!(notice.about.belief(|id| id == "<20240219230100.23456@chb.mssante.fr>"), Belief::Ours);
        assert_eq!(notice.about.belief(|_| false), Belief::Foreign);
        assert!(message.documents().next().is_none());
        assert!(message.original().is_some_and(|original| original.starts_with(b"Message-ID: <20240219230100")));
    }
    let message = open(fixture!("mdn-ok"));
    let Kind::Notice(notice) = &message.kind else { panic!("{:?}", message.kind) };
    assert_eq!(notice.outcome, Integration::Done);
    assert!(message.automatic && message.from[0].nature == Nature::Application);
}

#[test]
fn read_receipts() {
    let message = open(fixture!("mdn-displayed"));
    let Kind::Receipt(receipt) = &message.kind else { panic!("{:?}", message.kind) };
    assert_eq!((receipt.fate, receipt.automatic), (Fate::Displayed, false));
    assert_eq!(receipt.recipient, "b@beta.formation.mssante.fr");
}

#[test]
fn bounces_become_causes() {
    // client.md §2.6
    let outcome = |octets: Vec<u8>| {
        let message = open(octets);
        let Kind::Bounce(bounce) = message.kind else { panic!("{:?}", message.kind) };
        bounce
    };
    let size = outcome(fixture!("bounce-postfix-size"));
    assert_eq!(size.outcome(), Outcome::Failed(Cause::TooLargeForPatient));
    assert_eq!(
        (size.source, size.about.message_ids.as_slice()),
        (Source::Fields, &["<42@alpha.formation.mssante.fr>".to_owned()][..])
    );
    assert_eq!(size.about.envelope_id.as_deref(), Some("42@alpha.formation.mssante.fr"));
    let closed = outcome(fixture!("bounce-mes-closed"));
    assert_eq!(closed.outcome(), Outcome::Failed(Cause::MailboxClosed));
    assert_eq!((closed.source, closed.recipients.len()), (Source::Words, 1));
    assert_eq!(closed.recipients[0].address, "255069999999934@patient.mssante.fr");
    let unknown = outcome(fixture!("bounce-exchange"));
    assert_eq!(unknown.outcome(), Outcome::Failed(Cause::UnknownAddress));
    let delayed = outcome(fixture!("dsn-delayed"));
    assert_eq!(delayed.outcome(), Outcome::Delayed(Cause::Unreachable));
    let answered =
        String::from_utf8(fixture!("bounce-mes-closed")).expect("UTF-8").replace("Subject: ", "Subject: Re: ");
    assert_eq!(open(answered.into_bytes()).kind, Kind::Mail, "an answer to a bounce is mail");
}

#[test]
fn our_own_reports_are_read() {
    use mail::report::{Action, Recipient, Report, Returned};
    let report = Report {
        message_id: "<r@mx>".into(),
        date: Moment::utc(1_700_000_000),
        from: "postmaster@alpha.formation.mssante.fr".into(),
        to: "a@alpha.formation.mssante.fr".into(),
        reporting_mta: "mx.alpha.fr".into(),
        envelope_id: None,
        arrival: None,
        recipients: vec![Recipient {
            original: None,
            address: "b@beta.formation.mssante.fr".into(),
            action: Action::Delivered,
            status: "2.1.5".parse().expect("a status"),
            remote_mta: None,
            diagnostic: None,
            last_attempt: None,
            will_retry_until: None,
        }],
        returned: Returned::Header(b"Message-ID: <m1@alpha>\r\nSubject: x\r\n\r\n".to_vec()),
    };
    let message = open(report.write().expect("sound"));
    let Kind::Bounce(bounce) = &message.kind else { panic!("{:?}", message.kind) };
    assert_eq!(bounce.outcome(), Outcome::Delivered);
    assert_eq!(bounce.about.belief(|id| id == "<m1@alpha>"), Belief::Ours);
    assert_eq!(About::default().belief(|_| true), Belief::Unsaid);
}

#[test]
fn texts_and_pieces() {
    let message = open(fixture!("html-related"));
    let text = message.text.as_ref().expect("a text");
    assert!(text.from_html);
    assert_eq!(text.text, "Bonjour,\n\nVoir <la> photo & l'été.");
    let names: Vec<_> = message.attachments.iter().map(|a| (a.name.as_str(), a.inline)).collect();
    assert_eq!(names, [("photo.png", true), ("passwd", false), ("piece-3.eml", false)]);
    assert_eq!(message.receipt_to, ["c@alpha.formation.mssante.fr"]);
    assert_eq!(message.in_reply_to, ["<a@x>"]);
    assert_eq!(message.references, ["<r1@x>", "<a@x>"]);
    assert!(!message.automatic && !message.from_list);
}

#[test]
fn hostile_structures_are_read_quickly() {
    let deep: String =
        (0..5000).map(|n| format!("Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n")).collect();
    let wide = format!(
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n{}",
        "--b\r\nContent-Disposition: attachment\r\n\r\nx\r\n".repeat(100_000)
    );
    let to = format!("To: {}\r\n\r\n", "a@b.mssante.fr, ".repeat(100_000));
    let references = format!("References: {}\r\n\r\n", "<a@b> ".repeat(100_000));
    let html = format!("Content-Type: text/html\r\n\r\n{}", "<p>&eacute;<".repeat(500_000));
    for hostile in [deep, wide, to, references, html] {
        let work = patience::Work::begin();
        let message = open(hostile.into_bytes());
        assert!(message.attachments.len() <= MAX_ATTACHMENTS && message.references.len() <= MAX_REFERENCES);
        assert!(work.spent().as_secs() < 20, "debug builds included");
    }
}

/// Whoever shows a message follows its references: none leads back into it.
#[test]
fn cyclic_messages_are_read_once() {
    for (what, message) in cyclic::messages() {
        let (work, length) = (patience::Work::begin(), message.len());
        let message = open(message.into_bytes());
        assert_eq!(message.subject.shown, "cyclique", "{what}");
        assert!(message.attachments.len() <= MAX_ATTACHMENTS && message.references.len() <= MAX_REFERENCES, "{what}");
        assert!(message.text.as_ref().is_none_or(|text| text.text.len() <= length), "{what}");
        let _ = (message.original(), message.patient(), message.kind.about());
        assert!(work.spent().as_secs() < 20, "debug builds included: {what}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_octets_are_a_message(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
        let message = open(octets.clone());
        prop_assert_eq!(message.octets(), octets);
    }

    #[test]
    fn damage_is_survived(which in 0usize..8, at in any::<prop::sample::Index>(), octet in any::<u8>(), cut in any::<prop::sample::Index>()) {
        let mut octets = match which {
            0 => fixture!("mdn-ko-2025"),
            1 => fixture!("mdn-ko-v1.1.3"),
            2 => fixture!("notice-ordinary"),
            3 => fixture!("bounce-postfix-size"),
            4 => fixture!("bounce-mes-closed"),
            5 => fixture!("html-related"),
            6 => fixture!("mdn-displayed"),
            _ => mail(SUBJECT, &[("IHE_XDM.zip", "application/zip", b"PK\x03\x04")]),
        };
        let place = at.index(octets.len());
        octets[place] = octet;
        octets.truncate(cut.index(octets.len()) + 1);
        let message = open(octets);
        let _ = (message.original(), message.patient(), message.kind.about());
        for warning in &message.warnings {
            let _ = warning.message(crate::explain::Language::French);
        }
    }
}
