//! Answers made, and read back by our own reader.

use mail::mime::Structure;
use mssante::label::Label;
use mssante::receipt::Code;
use proptest::prelude::*;
use time::macros::datetime;
use tokio::io::AsyncReadExt;

use super::*;
use crate::read::Limits;

fn respondent() -> Respondent {
    Respondent {
        sender: Sender {
            address: "service@chb.mssante.fr".parse().expect("an address"),
            label: Label::entity("Hôpital B").expect("a name"),
        },
        nil: "3734".parse().expect("a NIL"),
        software: "Vaguemestre é 1".into(),
        limit: LIMIT,
        folder: None,
    }
}

fn stamp() -> Stamp {
    Stamp { id: "<00ff@chb.mssante.fr>".parse().expect("an id"), date: datetime!(2026-11-22 08:00:00.5 +1) }
}

const ASKED: &str = "Return-Path: <a@cha.mssante.fr>\r\nDisposition-Notification-To: <a@cha.mssante.fr>\r\n";

fn message(fields: &str) -> Message {
    let octets = format!(
        "{fields}From: A <a@cha.mssante.fr>\r\nTo: Service <service@chb.mssante.fr>\r\nSubject: XDM/1.0/DDM+CR ESSAI JEANNE\r\nMessage-ID: <1@cha>\r\n\r\nBonjour\r\n"
    );
    Message::open(octets.into_bytes(), Limits::default()).expect("small")
}

async fn octets(outgoing: &Outgoing) -> Vec<u8> {
    let mut octets = Vec::new();
    outgoing.reader().read_to_end(&mut octets).await.expect("in memory");
    octets
}

async fn reread(outgoing: &Outgoing) -> Message {
    assert!(outgoing.return_path().is_none());
    Message::open(octets(outgoing).await, Limits::default()).expect("small")
}

#[tokio::test]
async fn notices_of_success_and_failure() {
    // ECO-RECEIPT
    let received = message(ASKED);
    let done = notice(&respondent(), &received, &Integration::Done, false, &stamp()).expect("made").expect("asked");
    let read = reread(&done).await;
    assert_eq!(read.subject.full, received.subject.full);
    assert_eq!(read.headers.nil.as_ref().map(|nil| nil.as_str()), Some("3734"));
    assert_eq!(read.original().as_deref(), Some(received.octets()));
    let Kind::Notice(told) = &read.kind else { panic!("{:?}", read.kind) };
    assert_eq!((&told.outcome, told.form), (&Integration::Done, Form::Mdn));
    assert_eq!(told.about.message_ids, ["<1@cha>"]);
    assert_eq!(read.to[0].text, "a@cha.mssante.fr");
    assert!(octets(&done).await.is_ascii());

    let failure = Integration::Failed(vec![
        IntegrationError::of(Code::UNKNOWN_PATIENT),
        IntegrationError { code: Code::OTHER, label: Some("Service fermé".into()) },
    ]);
    let failed = notice(&respondent(), &received, &failure, false, &stamp()).expect("made").expect("told");
    let read = reread(&failed).await;
    assert_eq!(read.subject.full, "[KO Intégration système !][902] XDM/1.0/DDM+CR ESSAI JEANNE");
    let text = String::from_utf8_lossy(read.octets()).into_owned();
    assert!(text.contains("Disposition: automatic-action/MDN-sent-automatically; processed/error\r\n"), "{text}");
    assert!(
        text.contains("Error: 902^Identifiant de patient inconnu^applicationErrorCondition| E^Error^errorSeverity\r\n")
    );
    let Kind::Notice(told) = &read.kind else { panic!("{:?}", read.kind) };
    let Integration::Failed(errors) = &told.outcome else { panic!("a failure") };
    assert_eq!(
        errors.iter().map(|e| (e.code, e.words())).collect::<Vec<_>>(),
        [(Code::UNKNOWN_PATIENT, "Identifiant de patient inconnu"), (Code::OTHER, "Service ferme"),]
    );
    assert!(read.text.expect("words").text.contains("Code d'erreur : 906\n- Erreur détectée : Service fermé"));
    assert_eq!(
        octets(&failed).await,
        octets(&notice(&respondent(), &received, &failure, false, &stamp()).expect("made").expect("told")).await
    );
}

#[tokio::test]
async fn without_a_request_a_failure_is_an_ordinary_mail() {
    let received = message("");
    let none = notice(&respondent(), &received, &Integration::Done, false, &stamp()).expect("decided");
    assert!(none.is_none());
    let failure = Integration::Failed(vec![IntegrationError::of(Code::NO_INS)]);
    let sent = notice(&respondent(), &received, &failure, false, &stamp()).expect("made").expect("told");
    assert_eq!(sent.recipients()[0].to_string(), "a@cha.mssante.fr");
    let read = reread(&sent).await;
    let Kind::Notice(told) = &read.kind else { panic!("{:?}", read.kind) };
    assert_eq!(told.form, Form::Mail);
    assert_eq!(
        told.outcome,
        Integration::Failed(vec![IntegrationError {
            code: Code::NO_INS,
            label: Some("INS absente du document".into()),
        }])
    );
    // Asked for elsewhere: RFC 8098 forbids an automatic MDN; the failure goes to who wrote.
    let elsewhere = message("Return-Path: <a@cha.mssante.fr>\r\nDisposition-Notification-To: <z@cha.mssante.fr>\r\n");
    assert!(notice(&respondent(), &elsewhere, &Integration::Done, false, &stamp()).expect("decided").is_none());
    let sent = notice(&respondent(), &elsewhere, &failure, false, &stamp()).expect("made").expect("told");
    assert_eq!(sent.recipients()[0].to_string(), "a@cha.mssante.fr");
    let agreed = notice(&respondent(), &elsewhere, &Integration::Done, true, &stamp()).expect("made").expect("agreed");
    assert_eq!(agreed.recipients()[0].to_string(), "z@cha.mssante.fr");
    assert!(matches!(
        notice(&respondent(), &reread(&sent).await, &failure, false, &stamp()),
        Err(ReceiptError::Refused(Refusal::NoMail))
    ));
}

#[tokio::test]
async fn read_receipts_follow_the_rules() {
    // RFC 8098 §2.1, ECO.3.1.6
    let own = &respondent().sender.address;
    let asked = |fields: &str| request(&message(fields), own, &[]);
    let a: Address = "a@cha.mssante.fr".parse().expect("an address");
    assert_eq!(asked(ASKED), Request::Automatic(vec![a.clone()]));
    assert_eq!(asked(""), Request::Refused(Refusal::NotAsked));
    assert_eq!(request(&message(ASKED), own, &["$mdnsent".into()]), Request::Refused(Refusal::AlreadySent));
    assert_eq!(asked(&format!("{ASKED}Auto-Submitted: auto-generated\r\n")), Request::Refused(Refusal::Automatic));
    assert_eq!(asked(&format!("{ASKED}Auto-Submitted: no\r\n")), Request::Automatic(vec![a.clone()]));
    assert_eq!(asked(&format!("{ASKED}List-Id: <x>\r\n")), Request::Refused(Refusal::List));
    let doubt = |fields: &str| match asked(fields) {
        Request::AskPerson(_, doubt) => doubt,
        other => panic!("{other:?}"),
    };
    assert_eq!(doubt(&ASKED[ASKED.find("Disp").expect("there")..]), Doubt::NoReturnPath);
    assert_eq!(doubt(&ASKED.replace("Path: <a@", "Path: <b@")), Doubt::OtherAddress);
    assert_eq!(doubt(&ASKED.replace("Path: <a@cha.mssante.fr>", "Path: <>")), Doubt::NoReturnPath);
    assert_eq!(doubt(&ASKED.replace("To: <", "To: <b@cha.mssante.fr>, <")), Doubt::Several);
    let patient =
        "Return-Path: <a@cha.mssante.fr>\r\nDisposition-Notification-To: <255069999999934@patient.mssante.fr>\r\n";
    assert_eq!(asked(patient), Request::Refused(Refusal::BadAddress));
    let stranger: Address = "x@chb.mssante.fr".parse().expect("an address");
    assert!(matches!(request(&message(ASKED), &stranger, &[]), Request::AskPerson(_, Doubt::NotAddressed)));

    let made =
        read_receipt(&respondent(), &message(ASKED), &[], Fate::Displayed, Consent::Person, &stamp()).expect("made");
    let read = reread(&made).await;
    assert_eq!(read.subject.full, "Lu : CR ESSAI JEANNE");
    let Kind::Receipt(told) = &read.kind else { panic!("{:?}", read.kind) };
    assert_eq!(
        (told.fate, told.automatic, told.about.message_ids.as_slice()),
        (Fate::Displayed, false, &["<1@cha>".to_owned()][..])
    );
    assert!(read.original().expect("its header").starts_with(b"Return-Path"));
    assert_eq!(request(&read, &a, &[]), Request::Refused(Refusal::NotAsked));
    let other = message(&ASKED.replace("Path: <a@", "Path: <b@"));
    let alone = read_receipt(&respondent(), &other, &[], Fate::Displayed, Consent::Setting, &stamp());
    assert!(matches!(alone, Err(ReceiptError::PersonNeeded(Doubt::OtherAddress))));
}

#[tokio::test]
async fn what_is_too_large_is_left_out() {
    let big = format!("{ASKED}X: y\r\n");
    let mut octets_of = message(&big).octets().to_vec();
    octets_of.extend("é ligne\r\n".repeat(5000).into_bytes());
    let received = Message::open(octets_of, Limits::default()).expect("small");
    let small = Respondent { limit: 4000, ..respondent() };
    let failure = Integration::Failed(vec![IntegrationError::of(Code::OTHER)]);
    let cut = notice(&small, &received, &failure, false, &stamp()).expect("made").expect("told");
    assert!(cut.size() <= 4000);
    let original = reread(&cut).await.original().expect("the header");
    assert!(original.ends_with(b"Message-ID: <1@cha>\r\n"));
    let whole = notice(&respondent(), &received, &failure, false, &stamp()).expect("made").expect("told");
    assert!(whole.is_eight_bit());
    assert_eq!(reread(&whole).await.original().as_deref(), Some(received.octets()));
    let tiny = Respondent { limit: 100, ..respondent() };
    assert!(matches!(notice(&tiny, &received, &failure, false, &stamp()), Err(ReceiptError::TooLarge(100))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn nothing_of_the_message_breaks_out(subject in "(\\PC|\\n |=_recu_00ff|--|\\[KO\\]){0,30}", id in "<[ -~]{0,30}>", text in "(\\PC|\\r\\n|--=_recu_00ff--|\\x00|\\n){0,40}") {
        let text_of = format!("{ASKED}Subject: {subject}\r\nFrom: a@cha.mssante.fr\r\nTo: service@chb.mssante.fr\r\nMessage-ID: {id}\r\n\r\n{text}");
        let received = Message::open(text_of.into_bytes(), Limits::default()).expect("small");
        let failure = Integration::Failed(vec![IntegrationError { code: Code::OTHER, label: Some(text.clone()) }]);
        for outcome in [Integration::Done, failure] {
            // A stamp its writer could not know.
            let stamp = Stamp { id: "<5ca1ab1e@chb.mssante.fr>".parse().expect("an id"), ..stamp() };
            let Ok(Some(made)) = notice(&respondent(), &received, &outcome, false, &stamp) else { continue };
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            let octets = runtime.block_on(octets(&made));
            let structure = Structure::of(&octets);
            prop_assert_eq!(structure.root.children().len(), 3);
            let end = usize::try_from(structure.header_range().end).expect("small");
            prop_assert!(header::is_sound(&octets[..end]));
            prop_assert_eq!(header::count(&octets[..end], "Subject"), 1);
            let read = Message::open(octets, Limits::default()).expect("small");
            let original = read.original();
            if let Some(original) = original {
                prop_assert_eq!(original, received.octets());
            }
        }
    }
}
