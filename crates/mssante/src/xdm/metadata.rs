//! `METADATA.XML`: the words of ebRIM that XDS uses (ITI TF-3 §4.2), and reading them.

use std::collections::{HashMap, HashSet};

use roxmltree::Node;

use crate::cda::{Code, InstanceId};
use crate::xml::{self, XmlError, attribute, child, children, line};

/// Namespace of the registry information model.
pub(super) const RIM: &str = "urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0";
/// Namespace of the submission request.
pub(super) const LCM: &str = "urn:oasis:names:tc:ebxml-regrep:xsd:lcm:3.0";

/// Identifiers fixed by ITI TF-3 §4.2.5.2: object types, classification and identification schemes.
pub(super) mod scheme {
    pub const STABLE_DOCUMENT: &str = "urn:uuid:7edca82f-054d-47f2-a032-9b2a5b5186c1";
    pub const AUTHOR: &str = "urn:uuid:93606bcf-9494-43ec-9b4e-a7748d1a838d";
    pub const CONFIDENTIALITY: &str = "urn:uuid:f4f85eac-e6cb-4883-b524-f2705394840f";
    pub const FORMAT: &str = "urn:uuid:a09d5840-386c-46f2-b5ad-9c3699a4309d";
    pub const FACILITY: &str = "urn:uuid:f33fb8ac-18af-42cc-ae0e-ed0b0bdb91e1";
    pub const PRACTICE: &str = "urn:uuid:cccf5598-8b07-4b77-a05e-ae952c785ead";
    pub const TYPE: &str = "urn:uuid:f0306f51-975f-434e-a61c-c59651d33983";
    pub const EVENT: &str = "urn:uuid:2c6b8cb7-8b2a-4051-b291-b1ae6a575ef4";
    pub const PATIENT_ID: &str = "urn:uuid:58a6f841-87b3-4a3e-92fd-a8ffeff98427";
    pub const UNIQUE_ID: &str = "urn:uuid:2e82c1f6-a085-4c72-9da3-8640a32e42ab";
    pub const SET: &str = "urn:uuid:a54d6aa5-d40d-43f9-88c5-b4633d873bdd";
    pub const SET_AUTHOR: &str = "urn:uuid:a7058bb9-b4e4-4307-ba5b-e3f0ab85e12d";
    pub const SET_CONTENT: &str = "urn:uuid:aa543740-bdda-424e-8c96-df4873be8500";
    pub const SET_PATIENT_ID: &str = "urn:uuid:6b5aea1a-874d-4603-a4bc-96a0a7b38446";
    pub const SET_SOURCE_ID: &str = "urn:uuid:554ac39e-e3fe-47fe-b233-965d2a147832";
    pub const SET_UNIQUE_ID: &str = "urn:uuid:96fdda7c-d067-4183-912e-bf5ee74998a8";
}

/// Association types and statuses.
pub(super) mod term {
    pub const APPROVED: &str = "urn:oasis:names:tc:ebxml-regrep:StatusType:Approved";
    /// TRE_R270 of the CI-SIS.
    pub const DELETED: &str = "urn:asip:ci-sis:2010:StatusType:Deleted";
    pub const HAS_MEMBER: &str = "urn:oasis:names:tc:ebxml-regrep:AssociationType:HasMember";
    pub const REPLACES: &str = "urn:ihe:iti:2007:AssociationType:RPLC";
    /// Replaces by a transformed version.
    pub const TRANSFORMED: &str = "urn:ihe:iti:2007:AssociationType:XFRM_RPLC";
    pub const STATUS_UPDATE: &str = "urn:ihe:iti:2010:AssociationType:UpdateAvailabilityStatus";
}

/// The entry identifier (`urn:uuid:…`) of a document: derived from the document's own identifier, so that a later replacement
/// names the entry of a document that left long ago without anything being remembered.
#[must_use]
pub fn entry_id(document: &InstanceId) -> String {
    let mut digest = openssl::sha::Sha256::new();
    digest.update(b"XDSDocumentEntry.entryUUID\0");
    digest.update(document.root.as_bytes());
    digest.update(b"^");
    digest.update(document.extension.as_deref().unwrap_or_default().as_bytes());
    let bytes = uuid(&digest.finish());
    let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    format!("urn:uuid:{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// A UUID of one's own making (RFC 9562 §5.8, version 8) out of a digest.
pub(super) fn uuid(digest: &[u8; 32]) -> [u8; 16] {
    let mut uuid = [0u8; 16];
    uuid.copy_from_slice(&digest[..16]);
    uuid[6] = uuid[6] & 0x0f | 0x80;
    uuid[8] = uuid[8] & 0x3f | 0x80;
    uuid
}

/// What the sender asks to be done with a document.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Asked {
    /// File it.
    #[default]
    File,
    /// File it in the place of the document whose entry has this identifier (see [`entry_id`]).
    Replace(String),
    /// Take it out of the record.
    Delete,
}

/// Longest value kept from metadata, in characters.
const MAX_TEXT: usize = 1024;
/// Most documents described: the archive has no more entries than that.
const MAX_DOCUMENTS: usize = super::open::MAX_ENTRIES;
/// Most associations read: a document has some three.
const MAX_ASSOCIATIONS: usize = 4 * MAX_DOCUMENTS;
/// Most fragments of one URI slot.
const MAX_FRAGMENTS: usize = 32;

/// What the metadata say of one document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub uri: String,
    pub mime_type: Option<String>,
    pub title: Option<String>,
    pub type_code: Option<Code>,
    pub unique_id: Option<String>,
    pub patient_id: Option<String>,
    pub hash: Option<String>,
    pub size: Option<u64>,
    pub asked: Asked,
}

/// What a `METADATA.XML` says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Metadata {
    /// Documents in the archive.
    pub entries: Vec<Entry>,
    /// Entries to delete whose document is not in the archive.
    pub deleted: Vec<String>,
}

/// The documents that a `METADATA.XML` describes, and what is asked of them. Objects without a URI (references) are left out.
pub(super) fn read(bytes: &[u8]) -> Result<Metadata, XmlError> {
    let tree = xml::parse(xml::text_of(bytes)?)?;
    let objects = |name: &'static str| {
        tree.descendants()
            .filter(move |n| n.is_element() && n.tag_name().name() == name && n.tag_name().namespace() == Some(RIM))
    };
    let mut replaced: HashMap<&str, &str> = HashMap::new();
    let mut deleted: Vec<&str> = Vec::new();
    for association in objects("Association").take(MAX_ASSOCIATIONS) {
        let end = |name| association.attribute(name).map(str::trim).filter(|id: &&str| id.len() <= MAX_TEXT);
        match (association.attribute("associationType").map(str::trim), end("sourceObject"), end("targetObject")) {
            (Some(term::REPLACES | term::TRANSFORMED), Some(new), Some(old)) => {
                replaced.insert(new, old);
            }
            (Some(term::STATUS_UPDATE), _, Some(entry))
                if slot(association, "NewStatus").next().is_some_and(|status| status == term::DELETED) =>
            {
                deleted.push(entry);
            }
            _ => {}
        }
    }
    let mut present: HashSet<&str> = HashSet::new();
    let mut entries = Vec::new();
    for object in objects("ExtrinsicObject").take(MAX_DOCUMENTS) {
        let id = object.attribute("id").map(str::trim).unwrap_or_default();
        let asked = if object.attribute("status") == Some(term::DELETED) || deleted.contains(&id) {
            Asked::Delete
        } else {
            replaced.get(id).map_or(Asked::File, |old| Asked::Replace((*old).to_owned()))
        };
        if let Some(entry) = entry(object, asked) {
            present.insert(id);
            entries.push(entry);
        }
    }
    deleted.retain(|id| !present.contains(id));
    deleted.truncate(MAX_DOCUMENTS);
    Ok(Metadata { entries, deleted: deleted.into_iter().map(ToOwned::to_owned).collect() })
}

fn entry(object: Node<'_, '_>, asked: Asked) -> Option<Entry> {
    let external = |scheme: &str| {
        children(object, "ExternalIdentifier")
            .find(|n| n.attribute("identificationScheme") == Some(scheme))
            .and_then(|n| attribute(n, "value", MAX_TEXT))
    };
    Some(Entry {
        uri: uri(object)?,
        mime_type: attribute(object, "mimeType", MAX_TEXT),
        title: child(object, "Name").and_then(localized),
        type_code: children(object, "Classification")
            .find(|n| n.attribute("classificationScheme") == Some(scheme::TYPE))
            .and_then(code),
        unique_id: external(scheme::UNIQUE_ID),
        patient_id: external(scheme::PATIENT_ID),
        hash: slot(object, "hash").next(),
        size: slot(object, "size").next().and_then(|text| text.parse().ok()),
        asked,
    })
}

fn code(node: Node<'_, '_>) -> Option<Code> {
    Some(Code {
        code: attribute(node, "nodeRepresentation", MAX_TEXT)?,
        display_name: child(node, "Name").and_then(localized),
        system: slot(node, "codingScheme").next(),
    })
}

fn localized(name: Node<'_, '_>) -> Option<String> {
    child(name, "LocalizedString").and_then(|n| attribute(n, "value", MAX_TEXT))
}

/// The values of a slot.
fn slot<'a>(node: Node<'a, '_>, name: &'a str) -> impl Iterator<Item = String> + 'a {
    children(node, "Slot")
        .filter(move |n| n.attribute("name") == Some(name))
        .filter_map(|n| child(n, "ValueList"))
        .flat_map(|list| children(list, "Value").take(MAX_FRAGMENTS).collect::<Vec<_>>())
        .filter_map(|value| line(value, MAX_TEXT))
}

/// A URI, whole or in numbered fragments (`1|IHE_XDM/…`, `2|…`) as ITI TF-3 allows for long ones.
fn uri(object: Node<'_, '_>) -> Option<String> {
    let values: Vec<String> = slot(object, "URI").collect();
    let fragments: Option<Vec<(u32, &str)>> =
        values.iter().map(|value| value.split_once('|').and_then(|(n, text)| Some((n.parse().ok()?, text)))).collect();
    match fragments {
        Some(mut parts) if !parts.is_empty() => {
            parts.sort_by_key(|part| part.0);
            Some(parts.into_iter().map(|part| part.1).collect())
        }
        _ => values.into_iter().next(),
    }
}
