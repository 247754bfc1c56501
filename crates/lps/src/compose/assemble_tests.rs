use mail::header::{Fields, decode_words, find};
use mssante::headers::{DocumentCodes, DocumentFacts, InsPresence, ReceivedHeaders};
use mssante::label::Label;
use proptest::prelude::*;
use time::macros::datetime;

use super::*;
use crate::compose::{Limits, Origin, PatientRecipient, QualifiedIdentity, Sender};
use crate::explain::Explain;

const INS: &str = "279035121518989";

fn draft() -> Draft {
    let sender = Sender {
        address: "marie.martin@alpha.formation.mssante.fr".parse().expect("an address"),
        label: Label::personal(Some("Dr"), "Marie", "Martin", Some("Cabinet Médical")).expect("a label"),
    };
    Draft::new("3734".parse().expect("a reference"), sender).date(datetime!(2026-11-22 08:30:00 +1))
}

fn someone(address: &str) -> Recipient {
    Recipient::new(address.parse().expect("an address")).expect("no patient")
}

fn paul() -> Recipient {
    someone("paul.durand@beta.formation.mssante.fr")
}

fn lea() -> Recipient {
    let identity = QualifiedIdentity {
        matricule: INS.into(),
        authority: mssante::InsAuthority::NirTest,
        birth_name: "PATIENT".into(),
        first_name: "Léa".into(),
        birth_date: time::macros::date!(1979 - 03 - 12),
        sex: mssante::Sex::Female,
    };
    Recipient::patient(&PatientRecipient::from_qualified(identity).expect("qualified").0)
}

fn carried(ins: Option<&str>) -> Carried {
    Carried {
        archive: crate::compose::Source::Bytes(b"PK archive".to_vec()),
        pdfs: vec![("20150802_CR d'anesthésie_VIAL_Paul.pdf".into(), crate::compose::Source::Bytes(b"%PDF".to_vec()))],
        facts: DocumentFacts {
            codes: DocumentCodes::new(["34112-3", "PRESC-BIO"]).expect("codes"),
            ins: InsPresence::Qualified,
        },
        subject: "XDM/1.0/DDM+2 documents VIAL Paul 26/11/1978".into(),
        ins: ins.map(|ins| ins.parse().expect("an INS")),
    }
}

fn octets(message: &Outgoing) -> Vec<u8> {
    message.spool.content().bytes().expect("read")
}

fn built(draft: Draft) -> (Outgoing, Vec<u8>) {
    let message = draft.build_blocking().expect("built");
    let octets = octets(&message);
    assert_eq!(octets.len() as u64, message.size());
    assert!(mail::header::is_sound(&octets[..mail::header::end(&octets).expect("an end")]));
    (message, octets)
}

fn refused(draft: Draft) -> &'static str {
    draft.build_blocking().expect_err("refused").code()
}

#[test]
fn a_plain_message() {
    // ECO.2.2.1, 2.2.3, 2.2.4, 2.2.7, 2.4.3
    let draft = draft().to(paul()).cc(someone("c@x.mssante.fr")).bcc(someone("secret@x.mssante.fr"));
    let (message, octets) = built(draft.subject("Suivi à domicile").text("Bonjour\nPaul").ask_receipt());
    let text = String::from_utf8(octets.clone()).expect("ASCII");
    let field = |name| find(&octets, name).unwrap_or_default();
    assert_eq!(field("Date"), "Sun, 22 Nov 2026 08:30:00 +0100");
    assert!(field("From").ends_with("<marie.martin@alpha.formation.mssante.fr>"));
    assert!(decode_words(&field("From")).starts_with("Dr_Marie_MARTIN_Cabinet Médical <"));
    assert_eq!(decode_words(&field("Subject")), "Suivi à domicile");
    assert_eq!(field("Message-ID"), message.message_id().as_str());
    assert_eq!(field("X-MSS-NIL"), "3734");
    assert_eq!(field("Disposition-Notification-To"), "<marie.martin@alpha.formation.mssante.fr>");
    assert!(!text.contains("secret") && !text.contains("Bcc"));
    assert!(!text.contains("X-MSS-CODECDA") && !text.contains("X-MSS-INS") && !text.contains("X-MSS-MES"));
    assert!(text.ends_with(
        "Content-Type: text/plain; charset=UTF-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\nBonjour\r\nPaul\r\n"
    ));
    let to: Vec<String> = message.recipients().iter().map(Address::to_string).collect();
    assert_eq!(to, ["paul.durand@beta.formation.mssante.fr", "c@x.mssante.fr", "secret@x.mssante.fr"]);
}

#[test]
fn documents_bring_their_fields_and_subject() {
    // ECO.2.1.1, 2.1.3, 2.1.6, 2.4.1, 2.4.2
    let (message, octets) = built(draft().to(paul()).text("…").carry(carried(Some(INS))));
    let about = Fields::new(&octets).map(|f| (f.name.to_owned(), f.value())).collect::<Vec<_>>();
    let read = ReceivedHeaders::read(about.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    assert!(read.defects.is_empty(), "{:?}", read.defects);
    assert_eq!(find(&octets, "X-MSS-CODECDA").as_deref(), Some("34112-3,PRESC-BIO"));
    assert_eq!(find(&octets, "X-MSS-INS").as_deref(), Some("O"));
    assert_eq!(message.subject(), "XDM/1.0/DDM+2 documents VIAL Paul 26/11/1978");
    let text = String::from_utf8(octets).expect("ASCII");
    assert!(text.contains("Content-Type: application/zip;\r\n name=\"IHE_XDM.zip\"\r\n"));
    assert!(text.contains("filename*=UTF-8''20150802_CR%20d%27anesth%C3%A9sie_VIAL_Paul.pdf\r\n"));
    assert_eq!(refused(draft().to(paul()).subject("autre").carry(carried(None))), "compose.subject-is-composed");
}

#[test]
fn one_patient() {
    // ECO-PATIENT, ECO.2.1.1, 2.2.8
    let (message, octets) = built(draft().to(lea()).subject("Votre rendez-vous").text("…").end_of_exchange());
    assert_eq!(find(&octets, "X-MSS-MES").as_deref(), Some("FIN"));
    assert_eq!(message.recipients()[0].to_string(), format!("{INS}@patient.mssante.fr"));
    assert_eq!(refused(draft().to(paul()).subject("x").end_of_exchange()), "compose.end-without-patient");
    assert_eq!(refused(draft().to(lea()).carry(carried(Some("255069999999934")))), "compose.other-patient");
    assert!(draft().to(lea()).carry(carried(Some(INS))).build_blocking().is_ok());
    let other = Origin::of_header(b"From: 255069999999934@patient.mssante.fr\r\n\r\n");
    let both = Recipient::answering(&other).into_iter().fold(draft().to(lea()), Draft::to);
    assert_eq!(refused(both.subject("x")), "compose.several-patients");
}

#[test]
fn sizes_are_known_before_sending() {
    let large = || crate::compose::Attachment::new("a.bin", "a/b", crate::compose::Source::Bytes(vec![7; 100_000]));
    let limits = Limits { message: 200_000, patient: 120_000 };
    let with = |to, count: usize| {
        (0..count).fold(draft().to(to).subject("x").limits(limits), |draft, _| draft.attach(large())).build_blocking()
    };
    assert!(with(paul(), 1).is_ok());
    assert!(matches!(with(paul(), 2), Err(ComposeError::TooLarge { limit: 200_000 })));
    assert!(matches!(with(lea(), 1), Err(ComposeError::TooLargeForPatient { limit: 120_000 })));
}

#[test]
fn what_is_missing_or_wrong_is_told() {
    assert_eq!(refused(draft().subject("x")), "compose.no-recipient");
    assert_eq!(refused(draft().to(paul())), "compose.no-subject");
    assert_eq!(refused(draft().to(paul()).subject(" ")), "compose.no-subject");
    assert_eq!(refused(draft().to(paul()).subject("x".repeat(301))), "compose.field");
    assert_eq!(refused(draft().to(paul()).subject("x").html("<p>x</p>")), "compose.html-alone");
    assert_eq!(refused(draft().to(paul()).subject("x").text("a\0b")), "compose.text");
    let many = (0..101).fold(draft().subject("x"), |d, n| d.to(someone(&format!("a{n}@x.mssante.fr"))));
    assert_eq!(refused(many), "compose.too-many-recipients");
    let absent = crate::compose::Attachment::file("/nonexistent/a.pdf");
    assert_eq!(refused(draft().to(paul()).subject("x").attach(absent)), "compose.io");
}

#[test]
fn answers_and_forwards() {
    // ECO.2.2.2
    let received =
        "Message-ID: <m@x.fr>\r\nReferences: <a@x.fr>\r\nSubject: =?utf-8?q?=C3=89tat?=\r\nFrom: paul@x.fr\r\n\r\n";
    let origin = Origin::of_header(received.as_bytes());
    let (message, octets) =
        built(draft().to(Recipient::answering(&origin).remove(0)).text("oui").answer(origin.clone()));
    assert_eq!(message.subject(), "Re: État");
    assert_eq!(find(&octets, "In-Reply-To").as_deref(), Some("<m@x.fr>"));
    assert_eq!(find(&octets, "References").as_deref(), Some("<a@x.fr> <m@x.fr>"));
    let whole = format!("{received}Déjà\r\n");
    let source = crate::compose::Source::Bytes(whole.clone().into_bytes());
    let (message, octets) = built(draft().to(paul()).text("voir").forward(origin, source));
    assert!(message.is_eight_bit());
    assert_eq!(message.subject(), "Fwd: État");
    let text = String::from_utf8(octets).expect("UTF-8");
    assert!(text.contains(&format!("Content-Transfer-Encoding: 8bit\r\nContent-Disposition: attachment;\r\n filename=\"message.eml\"\r\n\r\n{whole}\r\n--")));
}

#[test]
fn the_same_draft_gives_other_octets_and_the_same_message_the_same() {
    let make = || draft().to(paul()).subject("x").text("y");
    let (one, first) = built(make());
    let (other, second) = built(make());
    assert_ne!(one.message_id(), other.message_id());
    assert_ne!(first, second);
    assert_eq!(octets(&one), first);
}

#[tokio::test]
async fn a_large_message_is_read_in_pieces_by_several() {
    let bytes: Vec<u8> = (0..3_000_000u32).map(|n| (n.wrapping_mul(n) >> 7) as u8).collect();
    let source = crate::compose::Source::Bytes(bytes);
    let message = draft().to(paul()).subject("x").attach(crate::compose::Attachment::new("a", "a/b", source));
    let message = message.build().await.expect("built");
    assert!(!message.spool.content().is_in_memory());
    let wanted = octets(&message);
    let (mut one, mut two) = (Vec::new(), Vec::new());
    let written = tokio::try_join!(message.write_to(&mut one), message.write_to(&mut two)).expect("written");
    assert_eq!(written, (message.size(), message.size()));
    assert!(one == wanted && two == wanted);
    assert_eq!(message.digest(), &openssl::sha::sha256(&wanted));
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,80}",
        "[a-zé \\r\\n\\t\\x00:<>@\"=?_,;\\\\]{0,60}",
        Just("x\r\nBcc: evil@x.fr\r\n\r\nbody".to_owned()),
        Just("x\nSubject: two".to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever is given, either it is refused or the header has the fields it must have, once each, and no other.
    #[test]
    fn no_value_begins_another_field(
        subject in any_text(), name in any_text(), person in any_text(), text in any_text(),
        file in any_text(), old in any_text(),
    ) {
        let label = Label::personal(Some(&person), &name, &person, Some(&name));
        let Ok(label) = label else { return Ok(()) };
        let sender = Sender { address: "a@x.mssante.fr".parse().expect("an address"), label };
        let origin = Origin::of_header(format!("Message-ID: {old}\r\nReferences: {name}\r\nSubject: {old}\r\n\r\n").as_bytes());
        let attachment = Attachment::new(&file, "a/b", crate::compose::Source::Bytes(b"x".to_vec()));
        let draft = Draft::new("3734".parse().expect("a reference"), sender)
            .to(paul().named(&person)).cc(someone("c@x.mssante.fr").named(&name))
            .subject(subject.clone()).text(text).answer(origin).attach(attachment).ask_receipt();
        let Ok(message) = draft.build_blocking() else { return Ok(()) };
        let octets = octets(&message);
        prop_assert!(octets.is_ascii());
        let end = mail::header::end(&octets).expect("an end");
        prop_assert!(mail::header::is_sound(&octets[..end]));
        prop_assert!(octets.split(|b| *b == b'\n').all(|line| line.len() <= 999));
        let names: Vec<&str> = Fields::new(&octets).map(|f| f.name).collect();
        let known = ["Date", "From", "To", "Cc", "Subject", "Message-ID", "In-Reply-To", "References", "X-MSS-NIL",
            "Disposition-Notification-To", "MIME-Version", "Content-Type", "Content-Transfer-Encoding"];
        let mut last = None;
        for name in &names {
            let at = known.iter().position(|k| k == name);
            prop_assert!(at.is_some() && at > last, "{names:?}");
            last = at;
        }
        prop_assert_eq!(decode_words(&find(&octets, "Subject").unwrap_or_default()), subject.trim());
        // CRLF and nothing else.
        for (at, byte) in octets.iter().enumerate() {
            prop_assert!(*byte != b'\n' || (at > 0 && octets[at - 1] == b'\r'));
            prop_assert!(*byte != b'\r' || octets.get(at + 1) == Some(&b'\n'));
        }
    }
}
