//! The file that a level 1 document wraps (`nonXMLBody/text`), and the files of `observationMedia`: HL7's *encapsulated data*.
//!
//! The octets come out exactly as they went in; what they announce is checked against how they begin. A reference to elsewhere is
//! never followed.

use std::io::Read;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use roxmltree::Node;

use crate::error::RenderError;

/// Largest file taken out, in octets: more than the largest CDA holds in base64, and the end of any inflation.
pub(crate) const MAX_FILE: usize = 32 * 1024 * 1024;

/// Base64 as writers of CDA leave it: with or without padding, any last bits.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Media {
    Pdf,
    Text,
    Png,
    Jpeg,
}

impl Media {
    fn of(name: &str) -> Option<Self> {
        match name.split(';').next().unwrap_or(name).trim().to_ascii_lowercase().as_str() {
            "application/pdf" => Some(Self::Pdf),
            // The default of HL7 data types.
            "text/plain" | "" => Some(Self::Text),
            "image/png" => Some(Self::Png),
            "image/jpeg" | "image/jpg" => Some(Self::Jpeg),
            _ => None,
        }
    }

    fn begins(self, bytes: &[u8]) -> bool {
        match self {
            Self::Pdf => bytes.starts_with(b"%PDF-"),
            Self::Text => true,
            Self::Png => bytes.starts_with(b"\x89PNG\r\n\x1a\n"),
            Self::Jpeg => bytes.starts_with(b"\xFF\xD8\xFF"),
        }
    }
}

/// Takes a file out of an element of type ED.
pub(crate) fn file(element: Node<'_, '_>) -> Result<(Media, Vec<u8>), RenderError> {
    let media = Media::of(element.attribute("mediaType").unwrap_or_default()).ok_or(RenderError::MediaType)?;
    let text: String = element.children().filter(Node::is_text).filter_map(|n| n.text()).collect();
    let bytes = match element.attribute("representation").unwrap_or("TXT") {
        representation if representation.eq_ignore_ascii_case("B64") => {
            let mut compact = text.into_bytes();
            compact.retain(|b| !b.is_ascii_whitespace());
            BASE64.decode(compact).map_err(|_| RenderError::Embedded)?
        }
        _ => text.into_bytes(),
    };
    let bytes = match element.attribute("compression") {
        None => bytes,
        Some("DF") => inflate(flate2::read::DeflateDecoder::new(&bytes[..]))?,
        Some("GZ") => inflate(flate2::read::GzDecoder::new(&bytes[..]))?,
        Some("ZL") => inflate(flate2::read::ZlibDecoder::new(&bytes[..]))?,
        Some(_) => return Err(RenderError::Embedded),
    };
    if bytes.is_empty() {
        return Err(RenderError::Embedded);
    }
    if bytes.len() > MAX_FILE {
        return Err(RenderError::Limit);
    }
    // A PNG told to be a JPEG is common, in official examples too; either is shown by what it is.
    let media = match media {
        Media::Png | Media::Jpeg => [Media::Png, Media::Jpeg].into_iter().find(|image| image.begins(&bytes)),
        other => Some(other).filter(|other| other.begins(&bytes)),
    };
    Ok((media.ok_or(RenderError::NotAnnounced)?, bytes))
}

fn inflate(reader: impl Read) -> Result<Vec<u8>, RenderError> {
    let mut bytes = Vec::new();
    // One octet beyond the limit, to tell a file of exactly that size from a bomb.
    reader.take(MAX_FILE as u64 + 1).read_to_end(&mut bytes).map_err(|_| RenderError::Embedded)?;
    Ok(bytes)
}
