//! Sets of documents: what goes in, what each refusal says.

use std::path::Path;

use mssante::headers::InsPresence;
use mssante::xdm::{self, Asked, Integrity};
use time::macros::datetime;

use super::save::{Folder, save};
use super::*;
use crate::explain::{Explain, Fault, Language};

const N1: &str = include_str!("../../../../tests/fixtures/cda-n1-biologie.xml");
const SECOND: &str = include_str!("../../../../tests/fixtures/cda-n1-remplacement.xml");
const N3: &str = include_str!("../../../../tests/fixtures/cda-n3-consultation.xml");
const LETTER: &str = include_str!("../../../../tests/fixtures/cda-n3-lettre-liaison.xml");
/// Official examples, on the machines of the project only.
const SAMPLES: &str = "/work/shared/samples/cda";

fn how() -> Preparation {
    Preparation {
        sender: xdm::Sender {
            name: "Dr Marie MARTIN".to_owned(),
            organization: "Hôpital Alpha".to_owned(),
            postal_address: None,
            phone: None,
        },
        software: xdm::Software { name: "Essai".to_owned(), version: "1".to_owned(), vendor: "Essai".to_owned() },
        source_id: "1.2.250.1.999.1.1".to_owned(),
        content_type: None,
        created: datetime!(2025-03-05 10:00 +1),
        audience: Audience::Professionals,
        allow_unqualified: false,
    }
}

fn given(texts: &[&str]) -> Vec<Given> {
    texts.iter().map(|text| Given::bytes(text.as_bytes())).collect()
}

fn prepared(texts: &[&str]) -> Result<DocumentSet, DocumentError> {
    DocumentSet::prepare(&given(texts), &how())
}

fn refused(texts: &[&str]) -> &'static str {
    prepared(texts).expect_err("refused").code()
}

#[test]
fn two_documents_make_a_set() {
    // ECO.2.1.1, 2.1.3, 2.1.5, 2.1.6, 2.4.1, 2.4.2
    let set = prepared(&[N3, N1]).expect("two documents of one patient");
    assert_eq!(set.subject, "XDM/1.0/DDM+2 documents COURRIER-ESSAI JEANNE 15/06/1955");
    assert_eq!(set.facts.codes.to_string(), "11488-4,11502-2");
    assert_eq!(set.facts.ins, InsPresence::Qualified);
    let names: Vec<&str> = set.pdfs.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "20250303_CR ou fiche de consultation ou de visite_COURRIER-ESSAI_JEANNE.pdf",
            "20250303_CR d'examens biologiques_COURRIER-ESSAI_JEANNE.pdf"
        ]
    );
    assert_eq!(set.pdfs[1].1.bytes().expect("kept"), render::pdf(N1.as_bytes()).expect("inside"));
    assert!(set.pdfs[0].1.bytes().expect("kept").starts_with(b"%PDF-1.4"));
    let archive = xdm::open(&set.xdm.bytes().expect("kept")).expect("our own");
    assert_eq!(archive.documents[0].bytes, N3.as_bytes());
    assert!(archive.documents.iter().all(|d| d.integrity == Integrity::Verified && d.asked == Asked::File));
    assert_eq!(archive.cda_headers().expect("two"), set.headers);
    // No chance in it.
    assert_eq!(prepared(&[N3, N1]).expect("again").xdm.bytes().expect("kept"), set.xdm.bytes().expect("kept"));
}

#[test]
fn a_record_number_is_in_the_name_and_names_do_not_collide() {
    let other = LETTER.replace("2.25.201774930186452750391846275018364920175", "2.25.9");
    let mut documents = given(&[LETTER, &other]);
    let names = |documents: &[Given]| {
        let set = DocumentSet::prepare(documents, &how()).expect("prepared");
        set.pdfs.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
    };
    let both = names(&documents);
    assert!(both[1].ends_with("JEANNE (2).pdf") && both[0].ends_with("JEANNE.pdf"), "{both:?}");
    documents[1].record = Some("12150302014578".to_owned());
    assert!(names(&documents)[1].ends_with("_JEANNE_12150302014578.pdf"));
}

#[test]
fn versions() {
    let first = mssante::cda::CdaHeader::read(N1.as_bytes()).expect("ours").id;
    let asked = |document: Given| {
        let set = DocumentSet::prepare(&[document], &how())?;
        let archive = xdm::open(&set.xdm.bytes().expect("kept")).expect("our own");
        Ok::<_, DocumentError>(archive.documents[0].asked.clone())
    };
    let replaces = Asked::Replace(xdm::entry_id(&first));
    // As the document says, or as asked when it agrees.
    assert_eq!(asked(Given::bytes(SECOND)).expect("read"), replaces);
    assert_eq!(asked(Given::bytes(SECOND).version(Version::Replace(first.clone()))).expect("agrees"), replaces);
    assert_eq!(asked(Given::bytes(LETTER).version(Version::Replace(first.clone()))).expect("asked"), replaces);
    assert_eq!(asked(Given::bytes(SECOND).version(Version::New)).expect("asked"), Asked::File);
    assert_eq!(asked(Given::bytes(SECOND).version(Version::Delete)).expect("asked"), Asked::Delete);
    let other = InstanceId { root: "2.25.1".to_owned(), extension: None };
    let error = asked(Given::bytes(SECOND).version(Version::Replace(other))).expect_err("contradiction");
    assert_eq!(error.code(), "documents.replaces-another");
    let error = asked(Given::bytes(N1).version(Version::Replace(first))).expect_err("itself");
    assert_eq!(error.code(), "documents.replaces-itself");
}

#[test]
fn what_is_refused_says_why() {
    assert_eq!(refused(&[]), "documents.none");
    assert_eq!(refused(&[N1, N1]), "documents.same-document");
    assert_eq!(refused(&[&N3[..N3.len() / 2]]), "documents.truncated");
    assert_eq!(refused(&["<a/>"]), "documents.not-cda");
    assert_eq!(refused(&["<a></b>"]), "documents.malformed");
    let entity = N3.replacen(
        "<ClinicalDocument",
        "<!DOCTYPE x [<!ENTITY e SYSTEM \"file:///etc/passwd\">]><ClinicalDocument",
        1,
    );
    assert_eq!(refused(&[&entity]), "documents.doctype");
    let bomb = "<!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;\">]><x>&b;</x>";
    assert_eq!(refused(&[bomb]), "documents.doctype");
    assert_eq!(refused(&[&N3.replacen("encoding=\"UTF-8\"", "encoding=\"ISO-8859-1\"", 1)]), "documents.encoding");
    let utf16: Vec<u8> = N3.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let error = DocumentSet::prepare(&[Given::bytes(utf16)], &how()).expect_err("UTF-16");
    assert_eq!(error.code(), "documents.encoding");
    // A reference in place of the file: nothing is fetched, nothing is sent.
    let start = N1.find("<text mediaType").expect("a file");
    let end = N1.find("</text>").expect("a file");
    let reference = format!(
        "{}<text mediaType=\"application/pdf\"><reference value=\"http://x.invalid/a.pdf\"/>{}",
        &N1[..start],
        &N1[end..]
    );
    assert_eq!(refused(&[&reference]), "documents.pdf");
    // Another patient: another matricule and another local number.
    let other = N3.replace("255069999999934", "279035121518989").replace("IPP0001", "IPP0002");
    assert_eq!(refused(&[N1, &other]), "documents.several-patients");
    let unlabelled = N3.replace("displayName=\"CR ou fiche de consultation ou de visite\"", "");
    assert_eq!(refused(&[&unlabelled]), "documents.subject");
}

#[test]
fn a_matricule_leaves_only_when_it_is_qualified() {
    // INS/va1.53, ECO.2.2.6, ECO.2.4.2
    let without = N3.replace("<id root=\"1.2.250.1.213.1.4.10\" extension=\"255069999999934\"/>", "");
    let wrong_key = N3.replace("255069999999934", "255069999999935");
    let traits = N3.replace("<birthTime value=\"19550615\"/>", "");
    assert_eq!(refused(&[&without]), "documents.no-ins");
    assert_eq!(refused(&[&wrong_key]), "documents.ins-key");
    assert_eq!(refused(&[&traits]), "documents.ins-not-qualified");
    let allowed = Preparation { allow_unqualified: true, ..how() };
    let set = DocumentSet::prepare(&given(&[&without]), &allowed).expect("allowed");
    assert_eq!(set.facts.ins, InsPresence::NotQualified);
    for text in [&wrong_key, &traits] {
        assert!(DocumentSet::prepare(&given(&[text]), &allowed).is_err());
    }
    // Never to a patient.
    let patient = Preparation { audience: Audience::Patient, ..allowed };
    assert_eq!(DocumentSet::prepare(&given(&[&without]), &patient).expect_err("refused").code(), "documents.no-ins");
    assert!(DocumentSet::prepare(&given(&[N3]), &patient).is_ok());
}

#[test]
fn what_is_too_large_is_not_read() {
    let folder = tempfile::tempdir().expect("a folder");
    // 300 MB that take no room on the disk.
    let path = folder.path().join("large.xml");
    std::fs::File::create(&path).expect("made").set_len(300_000_000).expect("sparse");
    let work = patience::Work::begin();
    let error = DocumentSet::prepare(&[Given::file(&path)], &how()).expect_err("too large");
    assert!(matches!(error, DocumentError::TooLarge(1, 300_000_000)), "{error}");
    // Reading and hashing them would be several times as much.
    assert!(work.spent() < std::time::Duration::from_millis(300), "{:?}", work.spent());
    let absent = Given::file(folder.path().join("absent.xml"));
    assert_eq!(DocumentSet::prepare(&[absent], &how()).expect_err("absent").code(), "documents.unreadable");
    let error = DocumentSet::prepare(&[Given::file(folder.path())], &how()).expect_err("a folder");
    assert!(matches!(error.code(), "documents.not-a-file" | "documents.unreadable"));
    // Three that fit alone and not together.
    let large = format!("{}<!--{}-->", N3, "x".repeat(24_000_000));
    let error = prepared(&[&large, &large, &large]).expect_err("too large together");
    assert_eq!(error.code(), "documents.set-too-large");
}

#[test]
fn a_large_document_goes_through_temporary_files() {
    let large = format!("{}<!--{}-->", N3, "x y z ".repeat(1_000_000));
    let set = prepared(&[&large]).expect("prepared");
    let archive = xdm::open(&set.xdm.bytes().expect("kept"));
    // It inflates far more than text does, which the reader of archives refuses: what is sent is whole all the same.
    let read = archive.map(|archive| archive.documents[0].bytes.len());
    assert!(read == Ok(large.len()) || read == Err(xdm::OpenError::Limit), "{read:?}");
    assert!(!set.xdm.is_empty());
}

#[test]
fn every_error_is_told_in_both_languages() {
    let patient = Preparation { audience: Audience::Patient, ..how() };
    let errors = [
        prepared(&[]).expect_err("none"),
        prepared(&[N1, N1]).expect_err("same"),
        prepared(&["<a/>"]).expect_err("not a CDA"),
        prepared(&["<a"]).expect_err("truncated"),
        DocumentSet::prepare(&given(&[&N3.replace("1.2.250.1.213.1.4.10", "1.2.3")]), &patient).expect_err("no INS"),
        DocumentSet::prepare(&given(&[N3]), &Preparation { source_id: "x".to_owned(), ..how() }).expect_err("OID"),
        DocumentError::Pdf(1, render::RenderError::Limit),
        DocumentError::Io(std::io::ErrorKind::StorageFull.into()),
    ];
    for error in errors {
        for language in [Language::French, Language::English] {
            assert!(!error.message(language).is_empty() && error.remedy(language).ends_with('.'), "{error:?}");
        }
        assert_ne!(error.message(Language::French), error.message(Language::English), "{error:?}");
        assert!(error.code().starts_with("documents."));
        assert!(!format!("{error:?} {error}").contains("2550699"));
    }
    assert_eq!(prepared(&["<a/>"]).expect_err("refused").fault(), Fault::Document);
}

#[test]
fn an_archive_is_saved_by_the_names_of_the_convention() {
    let set = prepared(&[N3, N1]).expect("prepared");
    let mut archive = xdm::open(&set.xdm.bytes().expect("kept")).expect("our own");
    let place = tempfile::tempdir().expect("a folder");
    let folder = Folder::open(place.path()).expect("opens");
    let saved = save(&archive, &folder).expect("written");
    let names: Vec<String> =
        saved.files.iter().map(|p| p.file_name().expect("a name").to_string_lossy().into_owned()).collect();
    let stem = "20250303_CR d'examens biologiques_COURRIER-ESSAI_JEANNE";
    assert_eq!(names[2..], [format!("{stem}.xml"), format!("{stem}.pdf")]);
    assert_eq!(std::fs::read(&saved.files[2]).expect("there"), N1.as_bytes());
    // What lies is told and not written; what is no CDA keeps its own name.
    archive.documents[0].integrity = Integrity::WrongHash;
    archive.documents[1].bytes = b"<b/>".to_vec();
    let saved = save(&archive, &folder).expect("written");
    assert_eq!(saved.unsound, [(0, Integrity::WrongHash)]);
    assert_eq!(saved.files, [place.path().join("DOC0002.XML")]);
}

#[test]
fn the_official_examples_are_prepared() {
    if !Path::new(SAMPLES).is_dir() {
        return;
    }
    let mut table = Vec::new();
    for entry in std::fs::read_dir(SAMPLES).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        match DocumentSet::prepare(&[Given::file(&path)], &how()) {
            Ok(set) => table.push(format!("{} {} {}", set.facts.codes, set.facts.ins, set.pdfs[0].0)),
            Err(error) => {
                // CSE-MDE carries a matricule whose key is wrong.
                assert!(name.contains("CSE-MDE") && error.code() == "documents.ins-key", "{name}: {error}");
            }
        }
    }
    table.sort();
    // X-MSS-CODECDA, X-MSS-INS, name of the copy.
    let expected = [
        "11490-0 O 20191029_Lettre de liaison à la sortie d'un établ_PAT-TROIS_DOMINIQUE.pdf",
        "11502-2 O 20210104_CR d'examens biologiques_PAT-TROIS_DOMINIQUE.pdf",
        "57833-6 O 20211201_Prescription de produits de santé_PAT-TROIS_DOMINIQUE.pdf",
        "87273-9 O 20210409_Note de vaccination_PAT-TROIS_DOMINIQUE.pdf",
        "96173-0 O 20240106_Test rapide d'orientation diagnostique_PAT-TROIS_DOMINIQUE.pdf",
    ];
    assert_eq!(table, expected);
}
