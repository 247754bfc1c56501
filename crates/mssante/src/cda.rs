//! The header of a CDA R2 document, as far as mail needs it: what the document is, whose it is, who
//! wrote it. ECO-DOC, ECO-HDR; CI-SIS *structuration minimale*.
//!
//! The reader is tolerant: a missing element is `None`, an ill-formed identifier is kept as text. Only
//! what makes a CDA a CDA is required: the root element in the HL7 namespace, an `id` and a `code`.
//! Every text is on one line and cut at [`MAX_TEXT`] characters; lists are bounded too.

use std::fmt;

use roxmltree::Node;
use time::Date;

use crate::hl7time::Timestamp;
use crate::ins::{Ins, InsAuthority};
use crate::xml::{self, XmlError, attribute, child, children, line, path};

/// Namespace of HL7 version 3.
pub const HL7: &str = "urn:hl7-org:v3";
/// Longest text kept from a header, in characters: titles and names are far shorter.
const MAX_TEXT: usize = 256;
/// Most elements kept of any repeated kind (patient ids, authors, events).
const MAX_REPEATED: usize = 32;

/// Why a text is not a CDA document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CdaError {
    /// Not XML, or beyond the limits.
    #[error(transparent)]
    Xml(#[from] XmlError),
    /// The root is not `ClinicalDocument` of HL7.
    #[error("the XML document is not a CDA (root ClinicalDocument of urn:hl7-org:v3 expected)")]
    NotCda,
    /// No `id`, `code` or patient: compulsory in every CDA.
    #[error("the CDA header lacks {0}")]
    Missing(&'static str),
}

/// Instance identifier: an OID and, within it, an extension.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct InstanceId {
    /// The OID.
    pub root: String,
    /// The identifier under that OID; none when the OID alone identifies.
    pub extension: Option<String>,
}

impl fmt::Debug for InstanceId {
    /// The extension is masked: it may be a patient's or a professional's number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InstanceId({}^{})", self.root, self.extension.as_deref().map(crate::mask).unwrap_or_default())
    }
}

/// A code of a terminology.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Code {
    /// The code itself.
    pub code: String,
    /// Its display name.
    pub display_name: Option<String>,
    /// OID of the terminology.
    pub system: Option<String>,
}

/// The patient of a document. `Debug` gives nothing away.
#[derive(Clone, PartialEq, Eq)]
pub struct Patient {
    /// All identifiers, the INS among them.
    pub ids: Vec<InstanceId>,
    /// Birth name.
    pub birth_name: Option<String>,
    /// First given name of the birth certificate.
    pub first_name: Option<String>,
    /// Name in use, when it differs or is repeated.
    pub used_name: Option<String>,
    /// Birth date, when complete.
    pub birth_date: Option<Date>,
    /// Administrative gender code: `M`, `F`, `U`…
    pub gender: Option<String>,
}

impl Patient {
    /// The INS with its register, when one of the identifiers is an INS whose key is right.
    #[must_use]
    pub fn ins(&self) -> Option<(Ins, InsAuthority)> {
        self.ids.iter().find_map(|id| {
            let authority = InsAuthority::from_oid(&id.root)?;
            Some((id.extension.as_deref()?.parse().ok()?, authority))
        })
    }

    /// The INS when it is *qualified* in the sense of X-MSS-INS (ECO.2.4.2): the matricule and its OID
    /// are there, and so are the four traits (birth name, first given name, birth date, sex).
    #[must_use]
    pub fn qualified_ins(&self) -> Option<(Ins, InsAuthority)> {
        let sex = matches!(self.gender.as_deref(), Some("M" | "F"));
        let traits = self.birth_name.is_some() && self.first_name.is_some() && self.birth_date.is_some() && sex;
        if traits { self.ins() } else { None }
    }

    /// Whether two documents are about one patient (ECO.2.1.1): they share an identifier, or, when they
    /// have no register in common, the same names and birth date. Two INS of one register are two patients, whatever
    /// a local number says.
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        let is_ins = |id: &&InstanceId| InsAuthority::from_oid(&id.root).is_some();
        let differs = |id: &InstanceId| {
            let mut theirs = other.ids.iter().filter(|b| b.root == id.root).peekable();
            theirs.peek().is_some() && theirs.all(|b| b != id)
        };
        if self.ids.iter().filter(is_ins).any(differs) {
            return false;
        }
        if self.ids.iter().any(|id| other.ids.contains(id)) {
            return true;
        }
        if self.ids.iter().any(|a| other.ids.iter().any(|b| a.root == b.root)) {
            return false;
        }
        self.birth_name == other.birth_name
            && self.first_name == other.first_name
            && self.birth_date == other.birth_date
    }
}

impl fmt::Debug for Patient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Patient({} ids, {})",
            self.ids.len(),
            if self.qualified_ins().is_some() { "INS qualified" } else { "INS not qualified" }
        )
    }
}

/// Who wrote or signed a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// When they did.
    pub time: Option<Timestamp>,
    /// Identifier, mostly a national one (OID `1.2.250.1.71.4.2.1`).
    pub id: Option<InstanceId>,
    /// Profession and specialty.
    pub role: Option<Code>,
    /// Surname.
    pub surname: Option<String>,
    /// First name.
    pub first_name: Option<String>,
    /// Structure's identifier (OID `1.2.250.1.71.4.2.2`).
    pub organization_id: Option<InstanceId>,
    /// Structure's name.
    pub organization: Option<String>,
}

/// How the content is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Level 1: one embedded file of this media type (`application/pdf`).
    Embedded(Option<String>),
    /// Level 3 (or 2): sections.
    Structured,
    /// Neither.
    None,
}

/// The header of a CDA R2 document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CdaHeader {
    /// Identifier of this version of the document.
    pub id: InstanceId,
    /// Identifier common to all versions.
    pub set_id: Option<InstanceId>,
    /// Version number.
    pub version: Option<u32>,
    /// The version that this one replaces (`relatedDocument` of type RPLC).
    pub replaces: Option<InstanceId>,
    /// Type of document.
    pub code: Code,
    /// Title.
    pub title: Option<String>,
    /// When it was created.
    pub effective_time: Option<Timestamp>,
    /// Confidentiality.
    pub confidentiality: Option<Code>,
    /// Language (`fr-FR`).
    pub language: Option<String>,
    /// Whose it is.
    pub patient: Patient,
    /// Who wrote it.
    pub authors: Vec<Author>,
    /// Who answers for it.
    pub legal_authenticator: Option<Author>,
    /// Name of the structure that keeps it.
    pub custodian: Option<String>,
    /// The main documented act.
    pub service_event: Option<Code>,
    /// When the act began.
    pub service_start: Option<Timestamp>,
    /// When it ended.
    pub service_stop: Option<Timestamp>,
    /// Sector of the facility of the encounter.
    pub facility_type: Option<Code>,
    /// Setting of the practice of who performed the act.
    pub practice_setting: Option<Code>,
    /// How the content is held.
    pub body: Body,
}

impl CdaHeader {
    /// Reads the header of a CDA document.
    ///
    /// # Errors
    /// See [`CdaError`]; never quotes the document.
    pub fn read(document: &[u8]) -> Result<Self, CdaError> {
        let tree = xml::parse(xml::text_of(document)?)?;
        Self::of(tree.root_element())
    }

    /// The header of a CDA that is parsed already.
    ///
    /// # Errors
    /// [`CdaError::NotCda`] or [`CdaError::Missing`].
    pub fn of(root: Node<'_, '_>) -> Result<Self, CdaError> {
        if root.tag_name().name() != "ClinicalDocument" || root.tag_name().namespace() != Some(HL7) {
            return Err(CdaError::NotCda);
        }
        let role = path(root, &["recordTarget", "patientRole"]).ok_or(CdaError::Missing("recordTarget/patientRole"))?;
        let events: Vec<Node> =
            children(root, "documentationOf").filter_map(|d| child(d, "serviceEvent")).take(MAX_REPEATED).collect();
        // The main act is the one that has a performer (CI-SIS); failing that, the first.
        let event = events.iter().find(|e| child(**e, "performer").is_some()).or(events.first()).copied();
        let bound = |name| event.and_then(|e| path(e, &["effectiveTime", name])).and_then(|n| timestamp(n));
        Ok(Self {
            id: child(root, "id").and_then(instance_id).ok_or(CdaError::Missing("id"))?,
            set_id: child(root, "setId").and_then(instance_id),
            version: child(root, "versionNumber").and_then(|n| n.attribute("value")?.parse().ok()),
            replaces: children(root, "relatedDocument")
                .filter(|n| n.attribute("typeCode") == Some("RPLC"))
                .find_map(|n| path(n, &["parentDocument", "id"]))
                .and_then(instance_id),
            code: child(root, "code").and_then(code).ok_or(CdaError::Missing("code"))?,
            title: child(root, "title").and_then(|n| line(n, MAX_TEXT)),
            effective_time: child(root, "effectiveTime").and_then(timestamp),
            confidentiality: child(root, "confidentialityCode").and_then(code),
            language: child(root, "languageCode").and_then(|n| attribute(n, "code", MAX_TEXT)),
            patient: patient(role),
            authors: children(root, "author").take(MAX_REPEATED).map(|n| author(n, "assignedAuthor")).collect(),
            legal_authenticator: child(root, "legalAuthenticator").map(|n| author(n, "assignedEntity")),
            custodian: path(root, &["custodian", "assignedCustodian", "representedCustodianOrganization", "name"])
                .and_then(|n| line(n, MAX_TEXT)),
            service_event: event.and_then(|e| child(e, "code")).and_then(code),
            service_start: bound("low").or_else(|| event.and_then(|e| child(e, "effectiveTime")).and_then(timestamp)),
            service_stop: bound("high"),
            facility_type: path(
                root,
                &["componentOf", "encompassingEncounter", "location", "healthCareFacility", "code"],
            )
            .and_then(code),
            practice_setting: event
                .and_then(|e| {
                    path(e, &["performer", "assignedEntity", "representedOrganization", "standardIndustryClassCode"])
                })
                .and_then(code),
            body: body(root),
        })
    }
}

fn instance_id(node: Node<'_, '_>) -> Option<InstanceId> {
    Some(InstanceId { root: attribute(node, "root", MAX_TEXT)?, extension: attribute(node, "extension", MAX_TEXT) })
}

fn code(node: Node<'_, '_>) -> Option<Code> {
    Some(Code {
        code: attribute(node, "code", MAX_TEXT)?,
        display_name: attribute(node, "displayName", MAX_TEXT),
        system: attribute(node, "codeSystem", MAX_TEXT),
    })
}

fn timestamp(node: Node<'_, '_>) -> Option<Timestamp> {
    node.attribute("value")?.trim().parse().ok()
}

fn patient(role: Node<'_, '_>) -> Patient {
    let person = child(role, "patient");
    let name = person.and_then(|p| child(p, "name"));
    // qualifier BR: birth; SP, CL: in use. Without any qualifier the first one is the birth name's.
    let part = |element: &'static str, qualifier: &'static str| {
        name.and_then(|n| children(n, element).find(|p| p.attribute("qualifier") == Some(qualifier)))
            .and_then(|p| line(p, MAX_TEXT))
    };
    let unqualified = |element: &'static str| {
        name.and_then(|n| children(n, element).find(|p| p.attribute("qualifier").is_none()))
            .and_then(|p| line(p, MAX_TEXT))
    };
    Patient {
        ids: children(role, "id").take(MAX_REPEATED).filter_map(instance_id).collect(),
        birth_name: part("family", "BR").or_else(|| unqualified("family")),
        // Unqualified, it may list all birth names: the first stands before the first blank.
        first_name: part("given", "BR")
            .or_else(|| unqualified("given").and_then(|all| all.split(' ').next().map(ToOwned::to_owned))),
        used_name: part("family", "CL").or_else(|| part("family", "SP")),
        birth_date: person.and_then(|p| child(p, "birthTime")).and_then(timestamp).and_then(|t| t.date()),
        gender: person.and_then(|p| child(p, "administrativeGenderCode")).and_then(|n| attribute(n, "code", MAX_TEXT)),
    }
}

fn author(node: Node<'_, '_>, assigned: &str) -> Author {
    let entity = child(node, assigned);
    let name = entity.and_then(|e| path(e, &["assignedPerson", "name"]));
    let organization = entity.and_then(|e| child(e, "representedOrganization"));
    Author {
        time: child(node, "time").and_then(timestamp),
        id: entity.and_then(|e| child(e, "id")).and_then(instance_id),
        role: entity.and_then(|e| child(e, "code")).and_then(code),
        surname: name.and_then(|n| child(n, "family")).and_then(|n| line(n, MAX_TEXT)),
        first_name: name.and_then(|n| child(n, "given")).and_then(|n| line(n, MAX_TEXT)),
        organization_id: organization.and_then(|o| child(o, "id")).and_then(instance_id),
        organization: organization.and_then(|o| child(o, "name")).and_then(|n| line(n, MAX_TEXT)),
    }
}

fn body(root: Node<'_, '_>) -> Body {
    let Some(component) = child(root, "component") else {
        return Body::None;
    };
    if let Some(embedded) = child(component, "nonXMLBody") {
        Body::Embedded(child(embedded, "text").and_then(|t| attribute(t, "mediaType", MAX_TEXT)))
    } else if child(component, "structuredBody").is_some() {
        Body::Structured
    } else {
        Body::None
    }
}
