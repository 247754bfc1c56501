//! Archives read by programs that nobody here wrote: Python's zipfile, Info-ZIP's unzip, libxml2's xmllint.

use std::path::Path;
use std::process::Command;

use mssante::cda::CdaHeader;
use mssante::xdm::{self, Package, Sender, Software, Version};
use time::macros::datetime;

const N1: &str = include_str!("../../../tests/fixtures/cda-n1-biologie.xml");
const SECOND: &str = include_str!("../../../tests/fixtures/cda-n1-remplacement.xml");
const N3: &str = include_str!("../../../tests/fixtures/cda-n3-consultation.xml");

/// Reads an archive with Python alone: names, CRC, hashes and sizes of METADATA.XML.
const READER: &str = r#"
import hashlib, sys, zipfile, xml.etree.ElementTree as tree
rim = "{urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0}"
archive = zipfile.ZipFile(sys.argv[1])
assert archive.testzip() is None
for name in archive.namelist():
    assert all(len(part.split(".")[0]) <= 8 for part in name.split("/")), name
    assert name == name.upper(), name
metadata = tree.fromstring(archive.read("IHE_XDM/SUBSET01/METADATA.XML"))
ids = [node.get("id") for node in metadata.iter() if node.get("id")]
assert len(ids) == len(set(ids)), ids
for entry in metadata.iter(rim + "ExtrinsicObject"):
    slots = {slot.get("name"): [value.text for value in slot.iter(rim + "Value")] for slot in entry.iter(rim + "Slot")}
    content = archive.read("IHE_XDM/SUBSET01/" + slots["URI"][0])
    assert slots["size"] == [str(len(content))], slots
    assert slots["hash"] == [hashlib.sha1(content).hexdigest()], slots
    print(entry.get("id"), entry.get("status").rsplit(":", 1)[1])
for association in metadata.iter(rim + "Association"):
    print(association.get("associationType").rsplit(":", 1)[1], association.get("sourceObject"), association.get("targetObject"))
"#;

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|e| panic!("{program}: {e} (./test installs it)"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{program}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[test]
fn others_read_our_archives() {
    // ECO-DOC
    let first = CdaHeader::read(N1.as_bytes()).expect("ours").id;
    let documents: [&[u8]; 3] = [N3.as_bytes(), SECOND.as_bytes(), N1.as_bytes()];
    let package = Package {
        documents: &documents,
        sender: Sender {
            name: "Dr Marie MARTIN".to_owned(),
            organization: "Hôpital <Alpha> & Cie".to_owned(),
            postal_address: Some("1 rue de l'Essai".to_owned()),
            phone: None,
        },
        software: Software { name: "Essai".to_owned(), version: "1".to_owned(), vendor: "Essai".to_owned() },
        source_id: "1.2.250.1.999.1.1",
        content_type: None,
        created: datetime!(2025-03-05 10:00 +1),
    };
    let folder = std::env::temp_dir().join(format!("vaguemestre-archive-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join("IHE_XDM.zip");
    let versions = [Version::New, Version::Replace(first.clone()), Version::Delete];
    let file = std::fs::File::create(&path).expect("made");
    xdm::write_to(&package, &versions, file).expect("written");
    let archive = path.to_str().expect("UTF-8");

    assert!(run("unzip", &["-t", archive]).contains("No errors detected"));
    let unpacked = folder.join("unpacked");
    run("unzip", &["-q", "-o", archive, "-d", unpacked.to_str().expect("UTF-8")]);
    let set = Path::new("IHE_XDM/SUBSET01");
    for file in [Path::new("INDEX.HTM"), &set.join("METADATA.XML"), &set.join("DOC0001.XML"), &set.join("DOC0003.XML")]
    {
        run("xmllint", &["--noout", "--nonet", "--nodefdtd", unpacked.join(file).to_str().expect("UTF-8")]);
    }
    assert_eq!(std::fs::read(unpacked.join(set).join("DOC0001.XML")).expect("there"), N3.as_bytes());

    let read = run("python3", &["-c", READER, archive]);
    let entry = |document: &str| xdm::entry_id(&CdaHeader::read(document.as_bytes()).expect("ours").id);
    for expected in [
        format!("{} Approved", entry(N3)),
        format!("{} Approved", entry(SECOND)),
        format!("{} Deleted", entry(N1)),
        format!("RPLC {} {}", entry(SECOND), xdm::entry_id(&first)),
        format!("UpdateAvailabilityStatus SubmissionSet01 {}", entry(N1)),
        format!("HasMember SubmissionSet01 {}", entry(N3)),
    ] {
        assert!(read.lines().any(|line| line == expected), "{expected}\n{read}");
    }
    std::fs::remove_dir_all(&folder).expect("taken away");
}
