//! The CDA reader on our own documents and, where they are at hand, on the official examples.

use std::path::Path;

use mssante::cda::{Body, CdaError, CdaHeader};
use mssante::headers::{DocumentFacts, InsPresence};
use mssante::{InsAuthority, NationalId, Sex, StructureId, subject, xdm};
use time::macros::{date, datetime};

const N1: &str = include_str!("../../../tests/fixtures/cda-n1-biologie.xml");
const N3: &str = include_str!("../../../tests/fixtures/cda-n3-lettre-liaison.xml");
/// Official examples, on the machines of the project only.
const SAMPLES: &str = "/work/shared/samples/cda";

#[test]
fn the_header_of_a_letter() {
    // ECO-DOC
    let letter = CdaHeader::read(N3.as_bytes()).expect("our own letter");
    assert_eq!(letter.code.code, "11490-0");
    assert_eq!(letter.title.as_deref(), Some("Lettre de liaison à la sortie de l'établissement"));
    assert_eq!(letter.version, Some(1));
    assert_eq!(letter.body, Body::Structured);
    assert_eq!(letter.effective_time.and_then(|t| t.instant()), Some(datetime!(2025-03-04 18:00 +1)));
    assert_eq!(letter.service_start.expect("given").to_xds(), "20250303071500");
    assert_eq!(letter.facility_type.as_ref().expect("given").code, "SA01");
    assert_eq!(letter.practice_setting.as_ref().expect("given").code, "ETABLISSEMENT");

    let patient = &letter.patient;
    assert_eq!(patient.birth_name.as_deref(), Some("COURRIER-ESSAI"));
    assert_eq!(patient.first_name.as_deref(), Some("JEANNE"));
    assert_eq!(patient.birth_date, Some(date!(1955 - 06 - 15)));
    let (ins, authority) = patient.qualified_ins().expect("matricule, OID and four traits");
    assert_eq!((ins.as_str(), authority, ins.sex()), ("255069999999934", InsAuthority::NirTest, Sex::Female));

    let author = &letter.authors[0];
    let id = author.id.as_ref().and_then(|id| id.extension.as_deref()).expect("given");
    assert!(id.parse::<NationalId>().is_ok());
    let structure = author.organization_id.as_ref().and_then(|id| id.extension.as_deref()).expect("given");
    assert!(structure.parse::<StructureId>().is_ok());
    assert_eq!(
        subject::for_documents(&[letter]).as_deref(),
        Ok("XDM/1.0/DDM+Lettre de liaison a la sortie d'un etabl COURRIER-ESSAI JEANNE 15/06/1955")
    );
}

#[test]
fn the_body_of_a_level_1_document() {
    let report = CdaHeader::read(N1.as_bytes()).expect("our own report");
    assert_eq!(report.body, Body::Embedded(Some("application/pdf".to_owned())));
}

#[test]
fn an_ins_is_qualified_only_with_its_oid_its_key_and_four_traits() {
    // ECO-HDR (ECO.2.4.2)
    for (from, to) in [
        ("1.2.250.1.213.1.4.10", "1.2.250.1.213.1.4.2"),
        ("255069999999934", "255069999999935"),
        ("<birthTime value=\"19550615\"/>", ""),
        ("<birthTime value=\"19550615\"/>", "<birthTime value=\"195506\"/>"),
        ("administrativeGenderCode code=\"F\"", "administrativeGenderCode code=\"UN\""),
        ("COURRIER-ESSAI", " "),
        ("JEANNE", " "),
    ] {
        assert!(N3.contains(from), "{from}");
        let text = N3.replace(from, to).replace("<given>  HÉLÈNE</given>", "");
        let header = CdaHeader::read(text.as_bytes()).unwrap_or_else(|e| panic!("{from}: {e}"));
        assert!(header.patient.qualified_ins().is_none(), "{from} → {to}");
        let facts = DocumentFacts::of(&[header]).expect("a plain code").expect("one document");
        assert_eq!(facts.ins, InsPresence::NotQualified);
    }
}

#[test]
fn two_matricules_are_two_patients_whatever_a_local_number_says() {
    // ECO.2.1.1
    let read = |text: &str| CdaHeader::read(text.as_bytes()).expect("a CDA").patient;
    let other = N1.replace("255069999999934", "279035121518989");
    assert!(N1.contains("IPP0001") && N3.contains("IPP0001"));
    assert!(read(N1).is_same_as(&read(N3)));
    assert!(!read(&other).is_same_as(&read(N3)) && !read(N3).is_same_as(&read(&other)));
    // Without a matricule on one side the local number says.
    let without = N3.replace("1.2.250.1.213.1.4.10", "1.2.250.1.999.1");
    assert!(read(N1).is_same_as(&read(&without)));
}

#[test]
fn what_is_not_a_cda_is_refused() {
    assert_eq!(CdaHeader::read(b"<ClinicalDocument/>").err(), Some(CdaError::NotCda));
    assert_eq!(CdaHeader::read(b"<a xmlns='urn:hl7-org:v3'/>").err(), Some(CdaError::NotCda));
    for (from, missing) in [
        ("<recordTarget>", "recordTarget/patientRole"),
        ("<code code=\"11490-0\"", "code"),
        ("<id root=\"2.25.2017", "id"),
    ] {
        // Renaming the element takes it out of the reader's sight.
        let renamed = from.replacen('<', "<x", 1);
        let closing = format!("</{}", &from[1..]);
        let text = N3.replacen(from, &renamed, 1).replacen(&closing, &format!("</x{}", &from[1..]), 1);
        assert_eq!(CdaHeader::read(text.as_bytes()).err(), Some(CdaError::Missing(missing)), "{from}");
    }
    let entity = N3.replacen(
        "<ClinicalDocument",
        "<!DOCTYPE x [<!ENTITY e SYSTEM \"file:///etc/passwd\">]><ClinicalDocument",
        1,
    );
    assert!(matches!(CdaHeader::read(entity.as_bytes()), Err(CdaError::Xml(mssante::XmlError::Doctype))));
}

#[test]
fn debug_gives_no_identity_away() {
    let header = CdaHeader::read(N3.as_bytes()).expect("our own letter");
    let text = format!("{:?} {:?}", header.patient, header.patient.ids);
    assert!(!text.contains("COURRIER") && !text.contains("0699999") && !text.contains("JEANNE"), "{text}");
}

#[test]
fn the_official_examples_are_read_and_packed() {
    if !Path::new(SAMPLES).is_dir() {
        return;
    }
    for entry in std::fs::read_dir(SAMPLES).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        if path.extension().is_none_or(|extension| extension != "xml") {
            continue;
        }
        let document = std::fs::read(&path).expect("a readable file");
        let header = CdaHeader::read(&document).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert!(header.code.display_name.is_some() && header.title.is_some(), "{}", path.display());
        assert!(!header.authors.is_empty() && header.effective_time.is_some(), "{}", path.display());
        // CSE-MDE carries an INS whose key is wrong: it does not count as qualified.
        let wrong_key = path.to_string_lossy().contains("CSE-MDE");
        assert_eq!(header.patient.qualified_ins().is_none(), wrong_key, "{}", path.display());
        let name =
            subject::for_documents(std::slice::from_ref(&header)).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert!(subject::is_marked(&name) && name.is_ascii(), "{name}");

        let built = xdm::build(&xdm::Package {
            documents: &[&document],
            sender: xdm::Sender {
                name: "Essai".into(),
                organization: "Essai".into(),
                postal_address: None,
                phone: None,
            },
            software: xdm::Software { name: "Vaguemestre".into(), version: "0".into(), vendor: "essai".into() },
            source_id: "2.25.1",
            content_type: None,
            created: datetime!(2025-01-01 0:00 UTC),
        });
        let archive = xdm::open(&built.expect("a CDA").archive).expect("our own archive");
        assert_eq!(archive.documents[0].bytes, document);
        assert_eq!(archive.cda_headers(), Ok(vec![header]));
    }
}
