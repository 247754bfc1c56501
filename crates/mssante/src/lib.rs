//! The words of the trade and their rules: identifiers, addresses, headers, subjects, documents.
//!
//! Ground floor of the house: no network, no file, no clock, no runtime. Every type here is built by
//! parsing and cannot hold an ill-formed value; every parser has hard limits. Values that name a
//! person (national identifiers, INS, patient addresses) mask themselves in `Debug`, so that a log
//! line written with `{:?}` never gives them away; `Display` gives the full text, for the wire.

#![deny(missing_docs)]

mod address;
pub mod cda;
mod checksum;
pub mod headers;
mod hl7time;
mod ids;
mod ins;
mod kind;
pub mod label;
pub mod pdf_name;
pub mod receipt;
mod structure;
pub mod subject;
pub mod text;
pub mod xdm;
pub mod xml;

pub use address::{Address, AddressError, Domain, PATIENT_DOMAIN};
pub use hl7time::{BadTimestamp, Timestamp};
pub use ids::{NationalId, NationalIdError, NationalIdKind};
pub use ins::{Ins, InsAuthority, InsError, Sex};
pub use kind::{MailboxKind, UnknownMailboxKind};
pub use structure::{StructureId, StructureIdError, StructureKind};
pub use xml::XmlError;

/// Implements serde through the type's own text form, so that a configuration or a JSON document can
/// never bring in a value that the parser refuses.
macro_rules! serde_as_text {
    ($type:ty) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use serde_as_text;

/// Text for logs: the first two and the last two characters, stars between; all stars when short.
pub(crate) fn mask(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    if chars.len() < 8 {
        return "*".repeat(chars.len());
    }
    let mut masked: String = chars[..2].iter().collect();
    masked.push_str(&"*".repeat(chars.len() - 4));
    masked.extend(&chars[chars.len() - 2..]);
    masked
}
