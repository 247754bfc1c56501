//! Writing `METADATA.XML`: an ebRIM `SubmitObjectsRequest` with one submission set (ITI TF-3 §4.2).

use std::io;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};

use super::metadata::{LCM, RIM, entry_id, scheme, term, uuid};
use super::write::{Package, Packed, Version};
use crate::cda::{Author, Body, CdaHeader, Code, InstanceId, Patient};
use crate::hl7time::xds_utc;
use crate::ins::InsAuthority;

const CLASSIFICATION: &str = "urn:oasis:names:tc:ebxml-regrep:ObjectType:RegistryObject:Classification";
const EXTERNAL: &str = "urn:oasis:names:tc:ebxml-regrep:ObjectType:RegistryObject:ExternalIdentifier";
const ASSOCIATION: &str = "urn:oasis:names:tc:ebxml-regrep:ObjectType:RegistryObject:Association";
const PACKAGE: &str = "urn:oasis:names:tc:ebxml-regrep:ObjectType:RegistryObject:RegistryPackage";
/// Terminology of IHE format codes.
const IHE_FORMATS: &str = "1.3.6.1.4.1.19376.1.2.3";
/// Symbolic identifier of the only submission set.
const SET_ID: &str = "SubmissionSet01";
/// Register of professionals, and its identifier type in CX and XCN.
const PROFESSIONALS: &str = "1.2.250.1.71.4.2.1";
/// Register of structures.
const STRUCTURES: &str = "1.2.250.1.71.4.2.2";

/// The whole file.
pub(super) fn metadata(package: &Package<'_>, packed: &[Packed<'_>]) -> io::Result<Vec<u8>> {
    let mut out = Rim { xml: Writer::new_with_indent(Vec::new(), b' ', 1), next_id: 0 };
    out.xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    out.open("lcm:SubmitObjectsRequest", &[("xmlns:lcm", LCM), ("xmlns:rim", RIM)])?;
    out.open("rim:RegistryObjectList", &[])?;
    for document in packed {
        out.document(&entry_id(&document.header.id), document, package)?;
    }
    out.submission_set(package, packed)?;
    let id = out.id();
    out.open(
        "rim:Classification",
        &[
            ("id", &id),
            ("classifiedObject", SET_ID),
            ("classificationNode", scheme::SET),
            ("objectType", CLASSIFICATION),
        ],
    )?;
    out.close("rim:Classification")?;
    for document in packed {
        let entry = entry_id(&document.header.id);
        out.association(term::HAS_MEMBER, SET_ID, &entry, &[("SubmissionSetStatus", "Original")])?;
        match &document.version {
            Version::New => {}
            Version::Replace(previous) => out.association(term::REPLACES, &entry, &entry_id(previous), &[])?,
            Version::Delete => out.association(
                term::STATUS_UPDATE,
                SET_ID,
                &entry,
                &[("OriginalStatus", term::APPROVED), ("NewStatus", term::DELETED)],
            )?,
        }
    }
    out.close("rim:RegistryObjectList")?;
    out.close("lcm:SubmitObjectsRequest")?;
    Ok(out.xml.into_inner())
}

/// The writer, with the identifiers that ebRIM wants on every object.
struct Rim {
    xml: Writer<Vec<u8>>,
    next_id: u32,
}

impl Rim {
    fn document(&mut self, id: &str, document: &Packed<'_>, package: &Package<'_>) -> io::Result<()> {
        let header = &document.header;
        let status = if document.version == Version::Delete { term::DELETED } else { term::APPROVED };
        self.open(
            "rim:ExtrinsicObject",
            &[("id", id), ("mimeType", "text/xml"), ("objectType", scheme::STABLE_DOCUMENT), ("status", status)],
        )?;
        let created = header.effective_time.map_or_else(|| xds_utc(package.created), |time| time.to_xds());
        self.slot("creationTime", &[&created])?;
        self.slot("hash", &[&document.hash])?;
        self.slot("languageCode", &[header.language.as_deref().unwrap_or("fr-FR")])?;
        if let Some(person) = header.legal_authenticator.as_ref().and_then(person) {
            self.slot("legalAuthenticator", &[&person])?;
        }
        for (name, time) in [("serviceStartTime", header.service_start), ("serviceStopTime", header.service_stop)] {
            if let Some(time) = time {
                self.slot(name, &[&time.to_xds()])?;
            }
        }
        self.slot("size", &[&document.bytes.len().to_string()])?;
        if let Some(id) = local_patient_id(&header.patient).or_else(|| patient_id(&header.patient)) {
            self.slot("sourcePatientId", &[&id])?;
        }
        let traits = patient_traits(&header.patient);
        if !traits.is_empty() {
            self.slot("sourcePatientInfo", &traits.iter().map(String::as_str).collect::<Vec<_>>())?;
        }
        self.slot("URI", &[&document.file])?;
        self.name(header.title.as_deref().or(header.code.display_name.as_deref()).unwrap_or(&header.code.code))?;
        for author in &header.authors {
            self.author(id, scheme::AUTHOR, author)?;
        }
        let format = format_of(header);
        let codes = [
            (scheme::CONFIDENTIALITY, header.confidentiality.as_ref()),
            (scheme::EVENT, header.service_event.as_ref()),
            (scheme::FORMAT, Some(&format)),
            (scheme::FACILITY, header.facility_type.as_ref()),
            (scheme::PRACTICE, header.practice_setting.as_ref()),
            (scheme::TYPE, Some(&header.code)),
        ];
        for (scheme, code) in codes {
            if let Some(code) = code {
                self.code(id, scheme, code)?;
            }
        }
        if let Some(patient) = patient_id(&header.patient) {
            self.external(id, scheme::PATIENT_ID, &patient, "XDSDocumentEntry.patientId")?;
        }
        self.external(id, scheme::UNIQUE_ID, &unique_id(&header.id), "XDSDocumentEntry.uniqueId")?;
        self.close("rim:ExtrinsicObject")
    }

    fn submission_set(&mut self, package: &Package<'_>, packed: &[Packed<'_>]) -> io::Result<()> {
        let header = packed.first().map(|document| &document.header);
        self.open("rim:RegistryPackage", &[("id", SET_ID), ("objectType", PACKAGE), ("status", term::APPROVED)])?;
        self.slot("submissionTime", &[&xds_utc(package.created)])?;
        if let Some(author) = header.and_then(|h| h.authors.first()) {
            self.author(SET_ID, scheme::SET_AUTHOR, author)?;
        }
        if let Some(code) = &package.content_type {
            self.code(SET_ID, scheme::SET_CONTENT, code)?;
        }
        if let Some(patient) = header.and_then(|h| patient_id(&h.patient)) {
            self.external(SET_ID, scheme::SET_PATIENT_ID, &patient, "XDSSubmissionSet.patientId")?;
        }
        self.external(SET_ID, scheme::SET_SOURCE_ID, package.source_id, "XDSSubmissionSet.sourceId")?;
        self.external(SET_ID, scheme::SET_UNIQUE_ID, &set_unique_id(package, packed), "XDSSubmissionSet.uniqueId")?;
        self.close("rim:RegistryPackage")
    }

    fn author(&mut self, object: &str, scheme: &str, author: &Author) -> io::Result<()> {
        let id = self.id();
        self.open(
            "rim:Classification",
            &[
                ("id", &id),
                ("classificationScheme", scheme),
                ("classifiedObject", object),
                ("nodeRepresentation", ""),
                ("objectType", CLASSIFICATION),
            ],
        )?;
        if let Some(institution) = institution(author) {
            self.slot("authorInstitution", &[&institution])?;
        }
        if let Some(person) = person(author) {
            self.slot("authorPerson", &[&person])?;
        }
        if let Some(role) = &author.role {
            let display = role.display_name.as_deref().unwrap_or_default();
            let system = role.system.as_deref().unwrap_or_default();
            self.slot("authorSpecialty", &[&format!("{}^{}^{system}", plain(&role.code), plain(display))])?;
        }
        self.close("rim:Classification")
    }

    fn code(&mut self, object: &str, scheme: &str, code: &Code) -> io::Result<()> {
        let id = self.id();
        self.open(
            "rim:Classification",
            &[
                ("id", &id),
                ("classificationScheme", scheme),
                ("classifiedObject", object),
                ("nodeRepresentation", &code.code),
                ("objectType", CLASSIFICATION),
            ],
        )?;
        if let Some(system) = &code.system {
            self.slot("codingScheme", &[system])?;
        }
        self.name(code.display_name.as_deref().unwrap_or(&code.code))?;
        self.close("rim:Classification")
    }

    fn association(&mut self, kind: &str, from: &str, to: &str, slots: &[(&str, &str)]) -> io::Result<()> {
        let id = self.id();
        self.open(
            "rim:Association",
            &[
                ("id", &id),
                ("objectType", ASSOCIATION),
                ("associationType", kind),
                ("sourceObject", from),
                ("targetObject", to),
            ],
        )?;
        for (name, value) in slots {
            self.slot(name, &[value])?;
        }
        self.close("rim:Association")
    }

    fn external(&mut self, object: &str, scheme: &str, value: &str, name: &str) -> io::Result<()> {
        let id = self.id();
        self.open(
            "rim:ExternalIdentifier",
            &[
                ("id", &id),
                ("identificationScheme", scheme),
                ("registryObject", object),
                ("value", value),
                ("objectType", EXTERNAL),
            ],
        )?;
        self.name(name)?;
        self.close("rim:ExternalIdentifier")
    }

    fn name(&mut self, value: &str) -> io::Result<()> {
        self.open("rim:Name", &[])?;
        self.open("rim:LocalizedString", &[("xml:lang", "fr-FR"), ("charset", "UTF-8"), ("value", value)])?;
        self.close("rim:LocalizedString")?;
        self.close("rim:Name")
    }

    fn slot(&mut self, name: &str, values: &[&str]) -> io::Result<()> {
        self.open("rim:Slot", &[("name", name)])?;
        self.open("rim:ValueList", &[])?;
        for value in values {
            self.open("rim:Value", &[])?;
            self.xml.write_event(Event::Text(BytesText::new(value)))?;
            self.close("rim:Value")?;
        }
        self.close("rim:ValueList")?;
        self.close("rim:Slot")
    }

    fn open(&mut self, name: &str, attributes: &[(&str, &str)]) -> io::Result<()> {
        let start = BytesStart::new(name).with_attributes(attributes.iter().copied());
        self.xml.write_event(Event::Start(start))
    }

    fn close(&mut self, name: &str) -> io::Result<()> {
        self.xml.write_event(Event::End(BytesEnd::new(name)))
    }

    fn id(&mut self) -> String {
        self.next_id += 1;
        format!("id{:03}", self.next_id)
    }
}

/// Text without the delimiters of HL7 version 2.
fn plain(text: &str) -> String {
    text.chars().map(|c| if matches!(c, '^' | '&' | '|' | '~' | '\\') { ' ' } else { c }).collect()
}

/// `root^extension`, or the root alone.
fn unique_id(id: &InstanceId) -> String {
    match &id.extension {
        Some(extension) => format!("{}^{extension}", id.root),
        None => id.root.clone(),
    }
}

/// CX of the qualified INS, else of the local identifier.
fn patient_id(patient: &Patient) -> Option<String> {
    match patient.qualified_ins() {
        Some((ins, authority)) => Some(format!("{ins}^^^&{}&ISO^NH", authority.oid())),
        None => local_patient_id(patient),
    }
}

/// CX of the first identifier that is no INS.
fn local_patient_id(patient: &Patient) -> Option<String> {
    let id = patient.ids.iter().find(|id| InsAuthority::from_oid(&id.root).is_none())?;
    Some(format!("{}^^^&{}&ISO^PI", plain(id.extension.as_deref()?), id.root))
}

fn patient_traits(patient: &Patient) -> Vec<String> {
    let mut traits = Vec::new();
    if let (Some(name), Some(first)) = (&patient.birth_name, &patient.first_name) {
        traits.push(format!("PID-5|{}^{}^^^^^L", plain(name), plain(first)));
    }
    if let Some(birth) = patient.birth_date {
        traits.push(format!("PID-7|{:04}{:02}{:02}", birth.year(), u8::from(birth.month()), birth.day()));
    }
    if let Some(gender) = &patient.gender {
        traits.push(format!("PID-8|{}", plain(gender)));
    }
    traits
}

/// XCN of a person: number, surname, first name, register, legal name, type of number.
fn person(author: &Author) -> Option<String> {
    let surname = plain(author.surname.as_deref()?);
    let first = plain(author.first_name.as_deref().unwrap_or_default());
    let Some(id) = author.id.as_ref().filter(|id| id.extension.is_some()) else {
        return Some(format!("^{surname}^{first}^^^^^^^U"));
    };
    let kind = if id.root == PROFESSIONALS { "IDNPS" } else { "PI" };
    let number = plain(id.extension.as_deref().unwrap_or_default());
    Some(format!("{number}^{surname}^{first}^^^^^^&{}&ISO^D^^^{kind}", id.root))
}

/// XON of a structure: name, register, type of number, number.
fn institution(author: &Author) -> Option<String> {
    let name = plain(author.organization.as_deref()?);
    let Some(id) = author.organization_id.as_ref().filter(|id| id.extension.is_some()) else {
        return Some(name);
    };
    let kind = if id.root == STRUCTURES { "IDNST" } else { "XX" };
    Some(format!("{name}^^^^^&{}&ISO^{kind}^^^{}", id.root, plain(id.extension.as_deref().unwrap_or_default())))
}

/// The IHE format of the content: a scanned or printed PDF inside a CDA, else the media type suffices.
fn format_of(header: &CdaHeader) -> Code {
    let (code, display) = match &header.body {
        Body::Embedded(Some(media)) if media == "application/pdf" => {
            ("urn:ihe:iti:xds-sd:pdf:2008", "PDF embedded in a CDA")
        }
        Body::Embedded(Some(media)) if media == "text/plain" => {
            ("urn:ihe:iti:xds-sd:text:2008", "Text embedded in a CDA")
        }
        _ => ("urn:ihe:iti:xds:2017:mimeTypeSufficient", "mimeType Sufficient"),
    };
    Code { code: code.to_owned(), display_name: Some(display.to_owned()), system: Some(IHE_FORMATS.to_owned()) }
}

/// An OID under `2.25` (one UUID in decimal, ITU-T X.667) drawn from what is submitted, by whom and when:
/// no source of chance is needed on the ground floor, and one package always has one identifier.
fn set_unique_id(package: &Package<'_>, packed: &[Packed<'_>]) -> String {
    let mut digest = openssl::sha::Sha256::new();
    digest.update(package.source_id.as_bytes());
    digest.update(&package.created.unix_timestamp_nanos().to_be_bytes());
    for document in packed {
        digest.update(&openssl::sha::sha256(document.bytes));
        // A document sent, then deleted, in the same instant: two submissions.
        digest.update(&[u8::from(document.version == Version::Delete)]);
    }
    format!("2.25.{}", u128::from_be_bytes(uuid(&digest.finish())))
}
