//! What others read: messages of all sorts, compared by Python's `email` and `zipfile` with what they were made from.

use std::path::{Path, PathBuf};
use std::process::Command;

use lps::compose::{
    Attachment, Draft, Origin, Outgoing, PatientRecipient, QualifiedIdentity, Recipient, Sender, Source,
};
use lps::documents::{DocumentSet, Given, Preparation};
use lps::{Content, Software};
use mssante::label::Label;
use mssante::xdm;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRng, TestRunner};
use serde_json::{Value, json};

const MARIE: &str = "marie.martin@alpha.formation.mssante.fr";
const PAUL: &str = "paul.durand@beta.formation.mssante.fr";
/// Messages of random texts.
const RANDOM: usize = 300;

fn label() -> Label {
    Label::personal(Some("Dr"), "Maëlle", "Lœwe", Some("Hôpital « Alpha », service d'hématologie et de transfusion"))
        .expect("a label")
}

fn draft(label: &Label) -> Draft {
    let sender = Sender { address: MARIE.parse().expect("an address"), label: label.clone() };
    Draft::new("3734".parse().expect("a reference"), sender)
}

fn someone(address: &str) -> Recipient {
    Recipient::new(address.parse().expect("an address")).expect("no patient")
}

fn sha256(octets: &[u8]) -> String {
    openssl::sha::sha256(octets).iter().map(|octet| format!("{octet:02x}")).collect()
}

async fn write(folder: &Path, name: &str, message: &Outgoing, expected: &Value) {
    let mut file = tokio::fs::File::create(folder.join(format!("{name}.eml"))).await.expect("made");
    message.write_to(&mut file).await.expect("written");
    std::fs::write(folder.join(format!("{name}.json")), expected.to_string()).expect("written");
}

fn expected(label: &Label, message: &Outgoing, text: &str) -> Value {
    json!({
        "headers": { "X-MSS-NIL": "3734", "Message-ID": message.message_id().as_str(), "MIME-Version": "1.0" },
        "absent": ["Bcc", "Sender", "Return-Path"],
        "subject": message.subject(),
        "from": [[label.as_str(), MARIE]],
        "to": [["", PAUL]],
        "cc": [],
        "text": text,
        "html": null,
        "attachments": [],
    })
}

fn read(folder: &Path) -> usize {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/read_mail.py");
    let done = Command::new("python3").arg(script).arg(folder).output().expect("python3 is there");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).trim().parse().expect("a number")
}

/// Documents of the fixtures, as a set.
fn documents() -> DocumentSet {
    let file = |name: &str| Given::file(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures").join(name));
    let software = Software {
        nil: "3734".parse().expect("a reference"),
        name: "Essai".into(),
        version: "1".into(),
        vendor: "Nous".into(),
        source_id: "1.2.250.1.999.1.1".into(),
    };
    let sender = xdm::Sender {
        name: "Dr Maëlle LŒWE".into(),
        organization: "Hôpital Alpha".into(),
        postal_address: None,
        phone: None,
    };
    let how = Preparation::new(&software, sender, time::macros::datetime!(2026-11-22 8:00 UTC));
    DocumentSet::prepare(&[file("cda-n1-biologie.xml")], &how).expect("prepared")
}

#[tokio::test]
async fn of_each_sort() {
    let folder = tempfile::tempdir().expect("a folder");
    let label = label();
    let own = draft;

    // Text alone, and everything else at once.
    let message =
        own(&label).to(someone(PAUL)).bcc(someone("x@y.mssante.fr")).subject("Été").text("Voilà\n.\n..\nFrom moi\n");
    let message = message.build().await.expect("built");
    write(folder.path(), "text", &message, &expected(&label, &message, "Voilà\n.\n..\nFrom moi\n")).await;

    let origin =
        Origin::of_header(b"Message-ID: <m@x.fr>\r\nReferences: <a@x.fr>\r\nSubject: Avis\r\nFrom: p@x.fr\r\n\r\n");
    let forwarded = "Subject: =?utf-8?q?d=C3=A9j=C3=A0?=\r\nFrom: p@x.fr\r\n\r\nDéjà lu\r\n";
    let names = ["plan.pdf", "Épreuve d'effort.pdf", "a \"b\" %41 'c'.txt", &"très long ".repeat(20)];
    let attach = |draft: Draft, name: &&str| {
        draft.attach(Attachment::new(name, "application/x-essai", Source::Bytes(name.repeat(1000).into_bytes())))
    };
    let message = names.iter().fold(own(&label).to(someone(PAUL)).cc(someone("c@y.mssante.fr").named("Zoé")), attach);
    let message =
        message.text("oui").html("<p>oui, à 5 €</p>").reply_to("autre@y.mssante.fr".parse().expect("an address"));
    let message =
        message.ask_receipt().forward(origin.clone(), Source::Bytes(forwarded.into())).build().await.expect("built");
    let mut attachments: Vec<Value> = names
        .iter()
        .map(|name| json!([name.trim(), "application/x-essai", sha256(name.repeat(1000).as_bytes())]))
        .collect();
    attachments.push(json!(["message.eml", "message/rfc822", "déjà"]));
    let mut wanted = expected(&label, &message, "oui");
    wanted["html"] = json!("<p>oui, à 5 €</p>");
    wanted["cc"] = json!([["Zoé", "c@y.mssante.fr"]]);
    wanted["attachments"] = json!(attachments);
    for (name, value) in [
        ("Reply-To", "autre@y.mssante.fr"),
        ("In-Reply-To", "<m@x.fr>"),
        ("References", "<a@x.fr> <m@x.fr>"),
        ("Disposition-Notification-To", "<marie.martin@alpha.formation.mssante.fr>"),
    ] {
        wanted["headers"][name] = json!(value);
    }
    write(folder.path(), "all", &message, &wanted).await;

    // Documents, to their patient, who may not answer.
    let set = documents();
    let identity = QualifiedIdentity::of_document(&set.headers[0].patient).expect("a qualified INS");
    let name = format!("{} {}", identity.first_name, identity.birth_name);
    let (patient, _) = PatientRecipient::from_qualified(identity).expect("qualified");
    let message = own(&label).to(Recipient::patient(&patient)).text("Vos résultats").documents(&set).end_of_exchange();
    let message = message.build().await.expect("built");
    let octets = |content: &Content| content.bytes().expect("read");
    let mut attachments = vec![json!(["IHE_XDM.zip", "application/zip", sha256(&octets(&set.xdm))])];
    for (name, pdf) in &set.pdfs {
        attachments.push(json!([name, "application/pdf", sha256(&octets(pdf))]));
    }
    let mut wanted = expected(&label, &message, "Vos résultats");
    wanted["to"] = json!([[name, patient.address().to_string()]]);
    wanted["subject"] = json!(set.subject);
    wanted["attachments"] = json!(attachments);
    wanted["headers"]["X-MSS-CODECDA"] = json!(set.facts.codes.to_string());
    wanted["headers"]["X-MSS-INS"] = json!("O");
    wanted["headers"]["X-MSS-MES"] = json!("FIN");
    write(folder.path(), "documents", &message, &wanted).await;
    assert_eq!(read(folder.path()), 3);
}

/// Texts meant to break out of where they are put.
fn any_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "\\PC{1,20}",
        4 => "[a-zA-Zéèœ€ ]{1,30}",
        2 => "[ <>\"'()@,;:=?_\\\\%*.\t-]{1,10}",
        1 => Just("=?utf-8?q?x?=".to_owned()),
        1 => Just("\r\nBcc: mal@x.fr\r\n\r\n".to_owned()),
        1 => Just("\u{202e}\u{feff}\0\u{85}\u{2028}".to_owned()),
    ];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

#[tokio::test]
async fn of_any_text() {
    let folder = tempfile::tempdir().expect("a folder");
    let algorithm = proptest::test_runner::RngAlgorithm::ChaCha;
    let rng = TestRng::from_seed(algorithm, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let (mut made, mut refused) = (0, 0);
    while made < RANDOM {
        let mut text = || any_text().new_tree(&mut runner).expect("a text").current();
        let (name, subject, body, file) = (text(), text(), text(), text());
        let Ok(label) = Label::entity(&name) else { continue };
        let octets = body.clone().into_bytes();
        let draft = draft(&label).to(someone(PAUL)).subject(subject.clone()).text(body.clone());
        let draft = draft.attach(Attachment::new(&file, "application/x-essai", Source::Bytes(octets.clone())));
        let Ok(message) = draft.build().await else {
            refused += 1;
            continue;
        };
        let mut wanted = expected(&label, &message, &body);
        wanted["attachments"] = json!([[file.trim(), "application/x-essai", sha256(&octets)]]);
        assert_eq!(message.subject(), subject.trim());
        write(folder.path(), &format!("{made:04}"), &message, &wanted).await;
        made += 1;
    }
    assert!(refused > RANDOM / 10, "what must be refused was among them: {refused}");
    assert_eq!(read(folder.path()), RANDOM);
}
