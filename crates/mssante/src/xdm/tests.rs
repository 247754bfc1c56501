//! ECO-DOC: what is built opens again; what a hostile hand made does not.

use std::io::{Cursor, Write};

use proptest::prelude::*;
use time::macros::datetime;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::*;
use crate::headers::{DocumentFacts, InsPresence};
use crate::xml::XmlError;

const N1: &[u8] = include_bytes!("../../../../tests/fixtures/cda-n1-biologie.xml");
const N3: &[u8] = include_bytes!("../../../../tests/fixtures/cda-n3-lettre-liaison.xml");

fn package<'a>(documents: &'a [&'a [u8]]) -> Package<'a> {
    Package {
        documents,
        sender: Sender {
            name: "Dr Marie <MARTIN> & Cie".to_owned(),
            organization: "Hôpital Alpha".to_owned(),
            postal_address: None,
            phone: Some("01 00 00 00 00\r\nX: y".to_owned()),
        },
        software: Software { name: "Vaguemestre".to_owned(), version: "0.1".to_owned(), vendor: "essai".to_owned() },
        source_id: "2.25.1",
        content_type: None,
        created: datetime!(2025-03-04 18:30:00 +1),
    }
}

/// A zip of these files, deflated.
fn zip_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        zip.start_file(*name, SimpleFileOptions::default().compression_method(CompressionMethod::Deflated))
            .expect("a new name");
        zip.write_all(bytes).expect("in memory");
    }
    zip.finish().expect("in memory").into_inner()
}

fn metadata_for(slots: &str) -> String {
    format!(
        "<lcm:SubmitObjectsRequest xmlns:lcm=\"{}\"><RegistryObjectList xmlns=\"{}\">\
         <ExtrinsicObject id=\"d\" mimeType=\"text/xml\">{slots}</ExtrinsicObject></RegistryObjectList></lcm:SubmitObjectsRequest>",
        metadata::LCM,
        metadata::RIM
    )
}

fn slot(name: &str, values: &[&str]) -> String {
    let values: String = values.iter().map(|v| format!("<Value>{v}</Value>")).collect();
    format!("<Slot name=\"{name}\"><ValueList>{values}</ValueList></Slot>")
}

#[test]
fn what_is_built_opens_again() {
    let built = build(&package(&[N3, N1])).expect("two documents of one patient");
    let archive = open(&built.archive).expect("our own archive");
    assert_eq!(archive.documents.len(), 2);
    let letter = &archive.documents[0];
    assert_eq!(letter.path, "IHE_XDM/SUBSET01/DOC0001.XML");
    assert_eq!(letter.bytes, N3);
    assert_eq!(letter.integrity, Integrity::Verified);
    assert_eq!(letter.mime_type.as_deref(), Some("text/xml"));
    assert_eq!(letter.title.as_deref(), Some("Lettre de liaison à la sortie de l'établissement"));
    assert_eq!(letter.patient_id.as_deref(), Some("255069999999934^^^&1.2.250.1.213.1.4.10&ISO^NH"));
    assert_eq!(letter.unique_id.as_deref(), Some("2.25.201774930186452750391846275018364920175"));
    let code = letter.type_code.as_ref().expect("written");
    assert_eq!((code.code.as_str(), code.system.as_deref()), ("11490-0", Some("2.16.840.1.113883.6.1")));

    // ECO-HDR: the facts for the header fields, from both ends.
    assert_eq!(archive.cda_headers().expect("two CDA"), built.headers);
    let facts = DocumentFacts::of(&built.headers).expect("plain codes").expect("two documents");
    assert_eq!((facts.codes.to_string().as_str(), facts.ins), ("11490-0,11502-2", InsPresence::Qualified));
    assert_eq!(
        crate::subject::for_documents(&built.headers).as_deref(),
        Ok("XDM/1.0/DDM+2 documents COURRIER-ESSAI JEANNE 15/06/1955")
    );
    // No randomness, no clock.
    assert_eq!(build(&package(&[N3, N1])).expect("again").archive, built.archive);
}

#[test]
fn the_tree_and_the_metadata_are_those_of_xdm() {
    let built = build(&package(&[N1])).expect("one document");
    let mut zip = zip::ZipArchive::new(Cursor::new(&built.archive)).expect("a zip");
    let names: Vec<String> = zip.file_names().map(|n| n.expect("ASCII").into_owned()).collect();
    assert_eq!(names, ["INDEX.HTM", "README.TXT", "IHE_XDM/SUBSET01/METADATA.XML", "IHE_XDM/SUBSET01/DOC0001.XML"]);
    let mut read = |name: &str| std::io::read_to_string(zip.by_name(name).expect(name)).expect("UTF-8");
    let metadata = read("IHE_XDM/SUBSET01/METADATA.XML");
    for expected in [
        format!("<rim:Value>{}</rim:Value>", xds_hash(N1)),
        format!("<rim:Value>{}</rim:Value>", N1.len()),
        "<rim:Value>20250304100000</rim:Value>".to_owned(),
        "<rim:Value>20250304173000</rim:Value>".to_owned(),
        "899700000017^MARTIN^Marie^^^^^^&amp;1.2.250.1.71.4.2.1&amp;ISO^D^^^IDNPS".to_owned(),
        "^^^^^&amp;1.2.250.1.71.4.2.2&amp;ISO^IDNST^^^1750000001".to_owned(),
        "IPP0001^^^&amp;2.25.86230514719260745388127964302871540013&amp;ISO^PI".to_owned(),
        "PID-5|COURRIER-ESSAI^JEANNE^^^^^L".to_owned(),
        "urn:ihe:iti:xds-sd:pdf:2008".to_owned(),
        "AssociationType:HasMember".to_owned(),
    ] {
        assert!(metadata.contains(&expected), "{expected} not in {metadata}");
    }
    let readme = read("README.TXT");
    assert!(readme.contains("Téléphone : 01 00 00 00 00 X: y\r\n"));
    let index = read("INDEX.HTM");
    assert!(index.contains("Dr Marie &lt;MARTIN&gt; &amp; Cie") && index.contains("href=\"README.TXT\""));
}

#[test]
fn a_package_that_breaks_a_rule_is_refused() {
    assert!(matches!(build(&package(&[])), Err(BuildError::Count)));
    assert!(matches!(build(&package(&[N1, N1])), Err(BuildError::SameDocument)));
    assert!(matches!(build(&package(&[N1, b"<a/>"])), Err(BuildError::Document(2, crate::cda::CdaError::NotCda))));
    let other = String::from_utf8_lossy(N3).replace("255069999999934", "279035121518989");
    // A local number that is shared does not make two INS one person.
    assert!(matches!(build(&package(&[N1, other.as_bytes()])), Err(BuildError::SeveralPatients)));
    let other = other.replace("IPP0001", "IPP0002");
    assert!(matches!(build(&package(&[N1, other.as_bytes()])), Err(BuildError::SeveralPatients)));
    for source in ["", "1", "1.02", "3.1", "1..2", "1.2.a"] {
        let bad = Package { source_id: source, ..package(&[N1]) };
        assert!(matches!(build(&bad), Err(BuildError::SourceId)), "{source}");
    }
}

#[test]
fn archives_of_others_are_read_with_tolerance() {
    // Other case, backslashes, a URI in fragments, an upper-case hash, a document of another kind.
    let slots = slot("URI", &["2|1.xml", "1|Doc000"]) + &slot("hash", &[&xds_hash(N1).to_uppercase()]);
    let metadata = metadata_for(&slots);
    let files: [(&str, &[u8]); 3] =
        [("ihe_xdm\\Sub1\\metadata.xml", metadata.as_bytes()), ("IHE_XDM\\SUB1\\DOC0001.XML", N1), ("INDEX.HTM", b"x")];
    let archive = open(&zip_of(&files)).expect("readable");
    assert_eq!(archive.documents[0].integrity, Integrity::Verified);
    assert_eq!(archive.cda_headers().expect("one CDA").len(), 1);
    let plain = metadata_for(&slot("URI", &["A.XML"]));
    let archive =
        open(&zip_of(&[("IHE_XDM/S/METADATA.XML", plain.as_bytes()), ("IHE_XDM/S/A.XML", b"<b/>")])).expect("readable");
    assert_eq!(archive.documents[0].integrity, Integrity::Undeclared);
    assert_eq!(archive.cda_headers(), Ok(vec![]));
}

#[test]
fn hostile_archives_are_refused() {
    let plain = |uri: &str| metadata_for(&slot("URI", &[uri]));
    let with =
        |metadata: &str| zip_of(&[("IHE_XDM/S/METADATA.XML", metadata.as_bytes()), ("IHE_XDM/S/A.XML", b"<b/>")]);
    let bomb = vec![b' '; 4 * 1024 * 1024];
    let many: Vec<String> = (0..300).map(|i| format!("F{i}")).collect();
    let many: Vec<(&str, &[u8])> = many.iter().map(|name| (name.as_str(), &b""[..])).collect();
    let double = plain("A.XML").replace("</RegistryObjectList>", "<ExtrinsicObject id=\"e\"><Slot name=\"URI\"><ValueList><Value>A.XML</Value></ValueList></Slot></ExtrinsicObject></RegistryObjectList>");
    for (archive, error) in [
        (b"not a zip".to_vec(), OpenError::Damaged),
        (Vec::new(), OpenError::Damaged),
        (zip_of(&[("INDEX.HTM", b"x")]), OpenError::NoMetadata),
        (zip_of(&[("METADATA.XML", b"<a/>")]), OpenError::NoMetadata),
        (with("<a"), OpenError::Metadata(XmlError::Truncated)),
        (with("<!DOCTYPE a><a/>"), OpenError::Metadata(XmlError::Doctype)),
        (with(&plain("B.XML")), OpenError::MissingDocument),
        (with(&double), OpenError::MissingDocument),
        (with(&plain("../../etc/passwd")), OpenError::Name),
        (zip_of(&[("../A", b"x")]), OpenError::Name),
        (zip_of(&[("/A", b"x")]), OpenError::Name),
        (zip_of(&[("a", b"x"), ("A", b"y")]), OpenError::Name),
        (zip_of(&[("A", &bomb)]), OpenError::Limit),
        (zip_of(&many), OpenError::Limit),
    ] {
        assert_eq!(open(&archive).err(), Some(error));
    }
}

#[test]
fn metadata_that_lie_are_reported_for_each_document() {
    let document = |file: &str, media: &str, slots: String| {
        format!("<ExtrinsicObject mimeType=\"{media}\">{}{slots}</ExtrinsicObject>", slot("URI", &[file]))
    };
    let metadata = format!(
        "<o xmlns=\"{}\">{}{}{}{}</o>",
        metadata::RIM,
        document("A.XML", "text/xml", slot("size", &["5"])),
        document("B.XML", "text/xml", slot("hash", &["00"])),
        document("C.PDF", "application/pdf", slot("hash", &[&xds_hash(N1)])),
        document("D.XML", "text/xml", slot("hash", &[&xds_hash(N1)]) + &slot("size", &[&N1.len().to_string()])),
    );
    let archive = open(&zip_of(&[
        ("IHE_XDM/S/METADATA.XML", metadata.as_bytes()),
        ("IHE_XDM/S/A.XML", b"<b/>"),
        ("IHE_XDM/S/B.XML", b"<b/>"),
        ("IHE_XDM/S/C.PDF", N1),
        ("IHE_XDM/S/D.XML", N1),
    ]))
    .expect("readable");
    let found: Vec<Integrity> = archive.documents.iter().map(|d| d.integrity).collect();
    assert_eq!(found, [Integrity::WrongSize, Integrity::WrongHash, Integrity::WrongType, Integrity::Verified]);
    assert_eq!(found.iter().filter(|i| i.is_sound()).count(), 1);
}

fn built(documents: &[&[u8]], versions: &[Version]) -> Result<Vec<u8>, BuildError> {
    let mut file = Cursor::new(Vec::new());
    write_to(&package(documents), versions, &mut file)?;
    Ok(file.into_inner())
}

#[test]
fn a_replacement_names_the_entry_that_the_first_submission_had() {
    // ECO-DOC, client.md §2.5
    let first = crate::cda::CdaHeader::read(N1).expect("ours");
    let second = String::from_utf8_lossy(N1).replace(&first.id.root, "2.25.77");
    let replacement = built(&[second.as_bytes()], &[Version::Replace(first.id.clone())]).expect("a replacement");
    let opened = open(&replacement).expect("ours");
    assert_eq!(opened.documents[0].asked, Asked::Replace(entry_id(&first.id)));
    // The identifier is the one that the archive of the first version gave its entry, a UUID in the form of RFC 9562.
    let metadata = metadata_of(&build(&package(&[N1])).expect("the first").archive);
    assert!(metadata.contains(&format!("<rim:ExtrinsicObject id=\"{}\"", entry_id(&first.id))), "{metadata}");
    assert_eq!(entry_id(&first.id).len(), "urn:uuid:".len() + 36);
    assert_ne!(entry_id(&first.id), entry_id(&crate::cda::InstanceId { root: "2.25.77".into(), extension: None }));
    let metadata = metadata_of(&replacement);
    assert!(metadata.contains("urn:ihe:iti:2007:AssociationType:RPLC"), "{metadata}");
    assert!(matches!(built(&[N1], &[Version::Replace(first.id)]), Err(BuildError::ReplacesItself)));
}

#[test]
fn a_deletion_carries_the_last_version_and_says_so_twice() {
    let header = crate::cda::CdaHeader::read(N1).expect("ours");
    let archive = built(&[N3, N1], &[Version::New, Version::Delete]).expect("a deletion");
    let opened = open(&archive).expect("ours");
    assert_eq!(opened.documents.iter().map(|d| &d.asked).collect::<Vec<_>>(), [&Asked::File, &Asked::Delete]);
    assert_eq!(opened.documents[1].bytes, N1);
    assert!(opened.deleted.is_empty());
    // Either sign alone is enough, and a deletion without the document is one.
    let status = format!("status=\"{}\"", metadata::term::DELETED);
    let association = format!(
        "<Association associationType=\"{}\" sourceObject=\"s\" targetObject=\"{}\">{}</Association>",
        metadata::term::STATUS_UPDATE,
        entry_id(&header.id),
        slot("NewStatus", &[metadata::term::DELETED])
    );
    let object = |id: &str, more: &str| {
        format!("<ExtrinsicObject id=\"{id}\" {more}>{}</ExtrinsicObject>", slot("URI", &["A.XML"]))
    };
    for (content, asked, deleted) in [
        (object("x", &status), Some(Asked::Delete), 0),
        (object(&entry_id(&header.id), "") + &association, Some(Asked::Delete), 0),
        (association.clone(), None, 1),
        (object("x", "") + &association, Some(Asked::File), 1),
    ] {
        let metadata = format!("<o xmlns=\"{}\">{content}</o>", metadata::RIM);
        let opened = open(&zip_of(&[("IHE_XDM/S/METADATA.XML", metadata.as_bytes()), ("IHE_XDM/S/A.XML", b"<b/>")]));
        let opened = opened.expect("readable");
        assert_eq!(opened.documents.first().map(|d| d.asked.clone()), asked, "{metadata}");
        assert_eq!(opened.deleted.len(), deleted, "{metadata}");
    }
}

fn metadata_of(archive: &[u8]) -> String {
    let mut zip = zip::ZipArchive::new(Cursor::new(archive)).expect("a zip");
    std::io::read_to_string(zip.by_name("IHE_XDM/SUBSET01/METADATA.XML").expect("there")).expect("UTF-8")
}

#[test]
fn an_announced_size_that_lies_is_seen() {
    // 64 bytes of one letter; the central directory announces 3.
    let mut archive = zip_of(&[("A", &[b'x'; 64])]);
    let central = archive.windows(4).position(|w| w == b"PK\x01\x02").expect("a directory");
    archive[central + 24] = 3;
    assert_eq!(open(&archive).err(), Some(OpenError::Damaged));
}

/// The place of a signature in an archive.
fn at(archive: &[u8], signature: &[u8]) -> usize {
    archive.windows(signature.len()).position(|w| w == signature).expect("there")
}

#[test]
fn what_an_archive_lies_about_is_seen() {
    let metadata = metadata_for(&slot("URI", &["A.XML"]));
    let whole = zip_of(&[("IHE_XDM/S/METADATA.XML", metadata.as_bytes()), ("IHE_XDM/S/A.XML", N1)]);
    assert!(open(&whole).is_ok());
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut archive = whole.clone();
        change(&mut archive);
        open(&archive).err()
    };
    // The second directory entry: the document.
    let first = at(&whole, b"PK\x01\x02");
    let second = first + 4 + at(&whole[first + 4..], b"PK\x01\x02");
    // A CRC that is not the content's.
    assert_eq!(changed(&|zip| zip[second + 16] ^= 1), Some(OpenError::Damaged));
    // Encrypted, they say.
    assert_eq!(changed(&|zip| zip[second + 8] |= 1), Some(OpenError::Feature));
    // Compressed in a way that nobody has.
    assert!(changed(&|zip| zip[second + 10] = 99).is_some());
    // Both entries on the same octets (the overlapping bombs of D. Fifield).
    let offset: Vec<u8> = whole[first + 42..first + 46].to_vec();
    let seen = changed(&|zip| zip[second + 42..second + 46].copy_from_slice(&offset));
    assert!(matches!(seen, Some(OpenError::Feature | OpenError::Damaged)), "{seen:?}");
    // An offset beyond the end, a directory beyond the end.
    assert_eq!(changed(&|zip| zip[second + 44] = 0xff), Some(OpenError::Damaged));
    let end = at(&whole, b"PK\x05\x06");
    assert!(changed(&|zip| zip[end + 18] = 0xff).is_some());
    // Sizes left to fields of zip64 that are not there.
    assert!(changed(&|zip| zip[second + 20..second + 28].fill(0xff)).is_some());
    // More entries announced than there are.
    assert!(changed(&|zip| zip[end + 8..end + 12].fill(0x7f)).is_some());
    // Another name in the local header: what counts is the directory.
    let local = at(&whole[4..], b"PK\x03\x04") + 4;
    if let Ok(archive) = open(&{
        let mut zip = whole.clone();
        zip[local + 30..local + 33].copy_from_slice(b"../");
        zip
    }) {
        assert!(archive.documents.iter().all(|d| d.path == "IHE_XDM/S/A.XML"));
    }
    // Cut anywhere: refused, never half read.
    for length in (0..whole.len()).step_by(7) {
        assert!(open(&whole[..length]).is_err(), "{length} octets");
    }
}

#[test]
fn unsafe_names_are_refused_in_the_directory_and_in_the_metadata() {
    for name in ["../A.XML", "/A.XML", "\\A.XML", "C:\\A.XML", "C:A.XML", "a/../../A.XML", "A\nB.XML", "a//b", "./../x"]
    {
        assert_eq!(open(&zip_of(&[(name, b"x")])).err(), Some(OpenError::Name), "{name:?}");
        let metadata = metadata_for(&slot("URI", &[&name.replace('\n', "&#10;")]));
        let files: [(&str, &[u8]); 2] = [("IHE_XDM/S/METADATA.XML", metadata.as_bytes()), ("IHE_XDM/S/A.XML", b"<b/>")];
        let seen = open(&zip_of(&files)).err();
        assert!(matches!(seen, Some(OpenError::Name | OpenError::MissingDocument)), "{name:?}: {seen:?}");
    }
}

#[test]
fn an_archive_in_an_archive_is_not_opened() {
    let bomb = zip_of(&[("0", &[0u8; 900_000])]);
    let metadata = metadata_for(&slot("URI", &["A.ZIP"]));
    let archive = open(&zip_of(&[("IHE_XDM/S/METADATA.XML", metadata.as_bytes()), ("IHE_XDM/S/A.ZIP", &bomb)]));
    assert_eq!(archive.expect("readable").documents[0].bytes, bomb);
}

#[test]
fn a_link_is_refused() {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.add_symlink("IHE_XDM/S/METADATA.XML", "/etc/passwd", SimpleFileOptions::default()).expect("in memory");
    let archive = zip.finish().expect("in memory").into_inner();
    assert_eq!(open(&archive).err(), Some(OpenError::Feature));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn damage_anywhere_never_panics_nor_passes_unseen(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let whole = build(&package(&[N1])).expect("one document").archive;
        let mut damaged = whole.clone();
        damaged[at.index(whole.len())] ^= 1 << bit;
        if let Ok(archive) = open(&damaged) {
            for document in archive.documents {
                prop_assert!(document.integrity != Integrity::Verified || document.bytes == N1);
            }
        }
    }

    #[test]
    fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = open(&bytes);
    }
}
