//! Building an archive: one submission set, every CDA a document entry made from its own header.
//!
//! What the metadata say is derived, never invented: an attribute that the CDA header does not give is
//! left out (XDM requires "if known" for all of them). The identity of the patient is written only when
//! the INS is qualified (INS/va1.53), otherwise the local identifier alone is.

use std::io::{Cursor, Seek, Write};

use time::OffsetDateTime;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::metadata_write::metadata;
use super::xds_hash;
use crate::cda::{CdaError, CdaHeader, Code, InstanceId};
use crate::text;

/// Most documents in one archive. A mail about one patient carries a handful.
const MAX_DOCUMENTS: usize = 100;
/// Longest OID (DICOM, ITI TF-3 §4.2.3.1.5), in characters.
const MAX_OID: usize = 64;

/// Who sends, for `INDEX.HTM` and `README.TXT`.
#[derive(Debug, Clone)]
pub struct Sender {
    /// Person or service.
    pub name: String,
    /// Institution.
    pub organization: String,
    /// Postal address on one line.
    pub postal_address: Option<String>,
    /// Telephone.
    pub phone: Option<String>,
}

/// What software makes the archive, for `README.TXT`.
#[derive(Debug, Clone)]
pub struct Software {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Who publishes it.
    pub vendor: String,
}

/// What goes into an archive.
#[derive(Debug, Clone)]
pub struct Package<'a> {
    /// CDA R2 documents, all about one patient.
    pub documents: &'a [&'a [u8]],
    /// Who sends.
    pub sender: Sender,
    /// With what.
    pub software: Software,
    /// OID of the sending system (XDS `sourceId`).
    pub source_id: &'a str,
    /// Kind of the clinical activity (XDS `contentTypeCode`), when known.
    pub content_type: Option<Code>,
    /// When the submission is made.
    pub created: OffsetDateTime,
}

/// Which version of a document goes out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Version {
    /// The first, or one that replaces nothing.
    #[default]
    New,
    /// One that replaces the document of this identifier.
    Replace(InstanceId),
    /// The last one, to be deleted by the recipient.
    Delete,
}

/// A built archive, with the headers of its documents for the mail's subject and header fields.
#[derive(Debug, Clone)]
pub struct Built {
    /// The zip file.
    pub archive: Vec<u8>,
    /// One header per document, in order.
    pub headers: Vec<CdaHeader>,
}

/// Why an archive cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// No document, or more than an archive holds.
    #[error("an archive holds between 1 and {MAX_DOCUMENTS} documents")]
    Count,
    /// A document is not a CDA. Holds its rank, from 1.
    #[error("document {0}: {1}")]
    Document(usize, CdaError),
    /// The documents are not all about the same patient (ECO.2.1.1).
    #[error("the documents are not all about the same patient")]
    SeveralPatients,
    /// Two documents have the same identifier.
    #[error("two documents have the same identifier")]
    SameDocument,
    /// A document would replace itself.
    #[error("a document has the identifier of the one that it replaces")]
    ReplacesItself,
    /// `source_id` is not an OID.
    #[error("the source identifier is not an OID")]
    SourceId,
    /// The archive could not be written.
    #[error("writing the archive: {0}")]
    Zip(#[from] zip::result::ZipError),
}

impl From<std::io::Error> for BuildError {
    fn from(error: std::io::Error) -> Self {
        Self::Zip(error.into())
    }
}

/// A document on its way into the archive.
pub(super) struct Packed<'a> {
    pub file: String,
    pub bytes: &'a [u8],
    pub hash: String,
    pub header: CdaHeader,
    pub version: Version,
}

/// Builds the archive in memory. The same package always gives the same bytes.
///
/// # Errors
/// See [`BuildError`].
pub fn build(package: &Package<'_>) -> Result<Built, BuildError> {
    let mut archive = Cursor::new(Vec::new());
    let headers = write_to(package, &[], &mut archive)?;
    Ok(Built { archive: archive.into_inner(), headers })
}

/// Writes the archive to a file or the like. `versions` has one for each document, in order; documents beyond it are new.
///
/// # Errors
/// See [`BuildError`].
pub fn write_to<W: Write + Seek>(
    package: &Package<'_>,
    versions: &[Version],
    into: W,
) -> Result<Vec<CdaHeader>, BuildError> {
    if !(1..=MAX_DOCUMENTS).contains(&package.documents.len()) {
        return Err(BuildError::Count);
    }
    if !is_oid(package.source_id) {
        return Err(BuildError::SourceId);
    }
    let mut packed: Vec<Packed<'_>> = Vec::with_capacity(package.documents.len());
    for (index, bytes) in package.documents.iter().enumerate() {
        let rank = index + 1;
        let header = CdaHeader::read(bytes).map_err(|error| BuildError::Document(rank, error))?;
        if packed.iter().any(|other| !other.header.patient.is_same_as(&header.patient)) {
            return Err(BuildError::SeveralPatients);
        }
        if packed.iter().any(|other| other.header.id == header.id) {
            return Err(BuildError::SameDocument);
        }
        let version = versions.get(index).cloned().unwrap_or_default();
        if version == Version::Replace(header.id.clone()) {
            return Err(BuildError::ReplacesItself);
        }
        // ISO 9660 level 1: eight capitals or digits, a point, three.
        packed.push(Packed { file: format!("DOC{rank:04}.XML"), bytes, hash: xds_hash(bytes), header, version });
    }
    zip(package, &packed, into)?;
    Ok(packed.into_iter().map(|document| document.header).collect())
}

fn zip<W: Write + Seek>(package: &Package<'_>, packed: &[Packed<'_>], into: W) -> Result<(), BuildError> {
    let created = package.created;
    // Zip counts years from 1980 to 2107; outside, its own default (1980) stands.
    let modified = u16::try_from(created.year())
        .ok()
        .and_then(|year| {
            let (date, time) = (created.date(), created.time());
            zip::DateTime::from_date_and_time(
                year,
                date.month().into(),
                date.day(),
                time.hour(),
                time.minute(),
                time.second(),
            )
            .ok()
        })
        .unwrap_or_default();
    let options =
        SimpleFileOptions::default().compression_method(CompressionMethod::Deflated).last_modified_time(modified);
    let mut zip = ZipWriter::new(into);
    let mut add = |name: &str, bytes: &[u8]| -> Result<(), BuildError> {
        zip.start_file(name, options)?;
        zip.write_all(bytes)?;
        Ok(())
    };
    add("INDEX.HTM", index(package, packed).as_bytes())?;
    add("README.TXT", readme(package, packed).as_bytes())?;
    add("IHE_XDM/SUBSET01/METADATA.XML", &metadata(package, packed)?)?;
    for document in packed {
        add(&format!("IHE_XDM/SUBSET01/{}", document.file), document.bytes)?;
    }
    zip.finish()?.flush()?;
    Ok(())
}

fn index(package: &Package<'_>, packed: &[Packed<'_>]) -> String {
    let escaped = |text: &str| quick_xml::escape::escape(text::one_line(text)).into_owned();
    let items: String = packed
        .iter()
        .map(|document| {
            let title = document.header.title.as_deref().unwrap_or(&document.file);
            format!("<li><a href=\"IHE_XDM/SUBSET01/{}\">{}</a></li>\n", document.file, escaped(title))
        })
        .collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0 Strict//EN\" \"http://www.w3.org/TR/xhtml1/DTD/xhtml1-strict.dtd\">\n\
         <html xmlns=\"http://www.w3.org/1999/xhtml\" xml:lang=\"fr\" lang=\"fr\">\n\
         <head><title>Documents de sant\u{e9}</title></head>\n<body>\n\
         <h1>{}</h1>\n<p>Exp\u{e9}diteur : {}</p>\n<ul>\n{items}</ul>\n\
         <p><a href=\"README.TXT\">README.TXT</a></p>\n</body>\n</html>\n",
        escaped(&package.sender.organization),
        escaped(&package.sender.name),
    )
}

/// Lines end as on the media that XDM was made for.
fn readme(package: &Package<'_>, packed: &[Packed<'_>]) -> String {
    let (sender, software) = (&package.sender, &package.software);
    let line = |label: &str, value: &str| format!("{label} : {}\r\n", text::one_line(value));
    let mut readme = String::from("EXPEDITEUR\r\n");
    readme += &line("Nom", &sender.name);
    readme += &line("Organisation", &sender.organization);
    readme += &sender.postal_address.as_deref().map(|value| line("Adresse", value)).unwrap_or_default();
    readme += &sender.phone.as_deref().map(|value| line("T\u{e9}l\u{e9}phone", value)).unwrap_or_default();
    readme += "\r\nAPPLICATION\r\n";
    readme += &line("Nom", &software.name);
    readme += &line("Version", &software.version);
    readme += &line("\u{c9}diteur", &software.vendor);
    readme += "\r\nINSTRUCTIONS\r\nOuvrir INDEX.HTM, ou int\u{e9}grer le r\u{e9}pertoire IHE_XDM dans un logiciel de sant\u{e9}.\r\n";
    readme += "\r\nARBORESCENCE\r\nINDEX.HTM\r\nREADME.TXT\r\nIHE_XDM\r\n  SUBSET01\r\n    METADATA.XML\r\n";
    for document in packed {
        readme += &format!("    {}\r\n", document.file);
    }
    readme
}

fn is_oid(text: &str) -> bool {
    let arc_ok =
        |arc: &str| !arc.is_empty() && arc.bytes().all(|b| b.is_ascii_digit()) && (arc == "0" || !arc.starts_with('0'));
    text.len() <= MAX_OID && text.starts_with(['0', '1', '2']) && text.contains('.') && text.split('.').all(arc_ok)
}
