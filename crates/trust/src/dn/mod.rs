//! Distinguished names: as text (white list, configuration) and as they stand in a certificate, compared attribute by attribute.
//!
//! The white list identifies an operator by the text of its certificate's subject, written by hand or by several programs:
//! with or without a space after the comma, values quoted or holding bare quotes, `L=` where the certificate says `ST=`,
//! two `OU` (operator.md §2.4). So two names are the same when their attributes are, whatever their order, case and spacing;
//! never when their texts merely look alike.
//!
//! Invariants: a [`Dn`] holds 1 to [`MAX_ATTRIBUTES`] attributes (or none, for the empty subject of a certificate, which equals
//! nothing); no value holds a control character, so no embedded NUL of a forged certificate passes. Attributes stand in *text*
//! order (RFC 4514: the reverse of the certificate's), CN first.
//!
//! Requirements: OPE-LIST, OPE-MTLS, LPS-APP. RFC 4514 (text form), RFC 4517 caseIgnoreMatch (comparison; without the Unicode
//! normalisation form, which neither IGC-Santé nor the list departs from).

mod parse;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use openssl::nid::Nid;
use openssl::x509::{X509NameEntryRef, X509NameRef};

/// Longest accepted text, in bytes. The longest of the 6 554 real names has 130; X.520 bounds bring a full name to about 400.
pub const MAX_LENGTH: usize = 1024;

/// Largest number of attributes. Real names have 5 or 6.
pub const MAX_ATTRIBUTES: usize = 32;

/// What can be wrong with a distinguished name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DnError {
    /// No attribute at all.
    #[error("empty distinguished name")]
    Empty,
    /// Longer than [`MAX_LENGTH`].
    #[error("distinguished name longer than {MAX_LENGTH} bytes")]
    TooLong,
    /// More attributes than [`MAX_ATTRIBUTES`].
    #[error("distinguished name of more than {MAX_ATTRIBUTES} attributes")]
    TooManyAttributes,
    /// `type=value` expected at this byte.
    #[error("attribute type and = expected at byte {0}")]
    AttributeExpected(usize),
    /// An attribute without a value.
    #[error("empty value at byte {0}")]
    EmptyValue(usize),
    /// A backslash not followed by what RFC 4514 allows, or bytes that are not UTF-8.
    #[error("wrong escape sequence at byte {0}")]
    BadEscape(usize),
    /// A `#` value that is not the hexadecimal form of a character string.
    #[error("wrong hexadecimal value at byte {0}")]
    BadHex(usize),
    /// A control character, among them NUL.
    #[error("control character in a value")]
    ControlCharacter,
    /// A value of the certificate could not be read as text.
    #[error("value that is not text")]
    NotText,
}

/// The type of an attribute.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AttributeType {
    /// `CN`: a server's full name, or the free name of an application.
    CommonName,
    /// `OU`: for an organisation's certificate, its national structure identifier.
    OrganizationalUnit,
    /// `O`: the organisation's name.
    Organization,
    /// `ST`: the *département*, as `Paris (75)`.
    State,
    /// `L`: the place; some entries of the white list write it for [`AttributeType::State`].
    Locality,
    /// `C`: the country, two letters.
    Country,
    /// Any other type: its OID in dotted form when known here, otherwise its name in upper case.
    Other(String),
}

/// Other types that certificates of health professionals and of usual authorities carry: OID, written name, other spellings.
const OTHER_TYPES: [(&str, &str, &[&str]); 12] = [
    ("2.5.4.4", "SN", &["SURNAME"]),
    ("2.5.4.5", "serialNumber", &[]),
    ("2.5.4.9", "street", &["STREETADDRESS"]),
    ("2.5.4.12", "title", &["T"]),
    ("2.5.4.13", "description", &[]),
    ("2.5.4.17", "postalCode", &[]),
    ("2.5.4.42", "GN", &["GIVENNAME", "G"]),
    ("2.5.4.46", "dnQualifier", &[]),
    ("2.5.4.97", "organizationIdentifier", &[]),
    ("0.9.2342.19200300.100.1.1", "UID", &["USERID"]),
    ("0.9.2342.19200300.100.1.25", "DC", &["DOMAINCOMPONENT"]),
    ("1.2.840.113549.1.9.1", "emailAddress", &["E", "EMAIL"]),
];

impl AttributeType {
    /// Reads a type written as a name (`CN`, `ou`, `emailAddress`) or a dotted OID (`2.5.4.3`, `OID.2.5.4.3`).
    pub fn from_name(name: &str) -> AttributeType {
        let upper = name.to_ascii_uppercase();
        // `OID.` goes before an OID and nothing else: `OID.CN` is no common name.
        let is_oid = |rest: &&str| rest.starts_with(|c: char| c.is_ascii_digit());
        let upper = upper.strip_prefix("OID.").filter(is_oid).unwrap_or(&upper);
        match upper {
            "CN" | "COMMONNAME" | "2.5.4.3" => AttributeType::CommonName,
            "OU" | "ORGANIZATIONALUNITNAME" | "2.5.4.11" => AttributeType::OrganizationalUnit,
            "O" | "ORGANIZATIONNAME" | "2.5.4.10" => AttributeType::Organization,
            "ST" | "S" | "STATEORPROVINCENAME" | "2.5.4.8" => AttributeType::State,
            "L" | "LOCALITYNAME" | "2.5.4.7" => AttributeType::Locality,
            "C" | "COUNTRYNAME" | "2.5.4.6" => AttributeType::Country,
            other => {
                let known = OTHER_TYPES.iter().find(|(oid, short, aliases)| {
                    *oid == other || short.eq_ignore_ascii_case(other) || aliases.contains(&other)
                });
                AttributeType::Other(known.map_or(other, |(oid, ..)| oid).to_owned())
            }
        }
    }

    /// The type's name as this crate writes it.
    pub fn name(&self) -> &str {
        match self {
            AttributeType::CommonName => "CN",
            AttributeType::OrganizationalUnit => "OU",
            AttributeType::Organization => "O",
            AttributeType::State => "ST",
            AttributeType::Locality => "L",
            AttributeType::Country => "C",
            AttributeType::Other(oid) => {
                OTHER_TYPES.iter().find(|(known, ..)| known == oid).map_or(oid.as_str(), |(_, short, _)| short)
            }
        }
    }
}

/// One attribute: a type and its value, without quotes or escapes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// The type.
    pub kind: AttributeType,
    /// The value, as text; never empty.
    pub value: String,
}

/// A distinguished name. `==` compares text exactly; use [`Dn::same_entity`] or [`Dn::canonical`] to recognise someone.
///
/// The attributes of a multi-valued RDN (`CN=a+SN=b`) stand as separate attributes: the comparison ignores order, so nothing
/// that matters to it is lost.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dn(Vec<Attribute>);

/// What identifies the entity a [`Dn`] names: the key of a map, equal for every way of writing the same name.
///
/// Case, runs of spaces, double quotes (the list's use of them is ambiguous) and order are folded; `ST` and `L` are one type.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CanonicalDn(Vec<(AttributeType, String)>);

impl CanonicalDn {
    /// Whether it names nobody.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Dn {
    /// A name from attributes in text order (CN first).
    ///
    /// # Errors
    /// Empty or too many attributes, empty value, control character, too long.
    pub fn new(attributes: Vec<Attribute>) -> Result<Dn, DnError> {
        if attributes.is_empty() {
            return Err(DnError::Empty);
        }
        Dn::checked(attributes)
    }

    fn checked(attributes: Vec<Attribute>) -> Result<Dn, DnError> {
        if attributes.len() > MAX_ATTRIBUTES {
            return Err(DnError::TooManyAttributes);
        }
        if attributes.iter().any(|a| a.value.chars().any(char::is_control)) {
            return Err(DnError::ControlCharacter);
        }
        if attributes.iter().any(|a| a.value.is_empty()) {
            return Err(DnError::EmptyValue(0));
        }
        if attributes.iter().map(|a| a.kind.name().len() + a.value.len() + 2).sum::<usize>() > MAX_LENGTH {
            return Err(DnError::TooLong);
        }
        Ok(Dn(attributes))
    }

    /// The name of a certificate's subject or issuer. An empty subject gives an empty name, which is the same entity as nothing.
    ///
    /// # Errors
    /// Too many attributes, too long, a value that is not text or holds a control character.
    pub fn from_x509(name: &X509NameRef) -> Result<Dn, DnError> {
        let mut attributes = Vec::new();
        for entry in name.entries() {
            if attributes.len() == MAX_ATTRIBUTES {
                return Err(DnError::TooManyAttributes);
            }
            let value = entry_text(entry)?;
            if value.trim().is_empty() {
                continue; // an empty attribute says nothing
            }
            attributes.push(Attribute { kind: entry_type(entry), value });
        }
        attributes.reverse();
        Dn::checked(attributes)
    }

    /// Whether the name has no attribute (only an empty certificate subject has none).
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The attributes, in text order.
    pub fn attributes(&self) -> &[Attribute] {
        &self.0
    }

    /// The values of one type, in text order.
    pub fn values(&self, kind: AttributeType) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |a| a.kind == kind).map(|a| a.value.as_str())
    }

    /// The first common name.
    pub fn common_name(&self) -> Option<&str> {
        self.values(AttributeType::CommonName).next()
    }

    /// The organisation's name.
    pub fn organization(&self) -> Option<&str> {
        self.values(AttributeType::Organization).next()
    }

    /// The national structure identifier in the `OU`: `1` and a FINESS (9 letters or digits) or `3` and a SIRET (14 digits).
    /// None when there is none, or when two `OU` claim two different ones. Check digits are `mssante`'s business.
    pub fn structure_id(&self) -> Option<&str> {
        let mut found = self.values(AttributeType::OrganizationalUnit).map(str::trim).filter(|ou| is_structure_id(ou));
        let first = found.next()?;
        found.all(|other| other.eq_ignore_ascii_case(first)).then_some(first)
    }

    /// The key under which every writing of this name is found.
    pub fn canonical(&self) -> CanonicalDn {
        let mut key: Vec<_> = self
            .0
            .iter()
            .map(|a| {
                let kind = match &a.kind {
                    AttributeType::Locality => AttributeType::State,
                    kind => kind.clone(),
                };
                (kind, fold(&a.value))
            })
            .collect();
        key.sort();
        key.dedup();
        CanonicalDn(key)
    }

    /// Whether both names designate the same entity: the same set of attributes, whatever their order, case and spacing, `L` standing
    /// for `ST`. An empty name designates nobody.
    pub fn same_entity(&self, other: &Dn) -> bool {
        !self.is_empty() && self.canonical() == other.canonical()
    }
}

/// caseIgnoreMatch: lower case, inner runs of white space as one space, none at the ends; double quotes dropped.
fn fold(value: &str) -> String {
    let unquoted: String = value.chars().filter(|c| *c != '"').flat_map(char::to_lowercase).collect();
    let mut folded = String::with_capacity(unquoted.len());
    for word in unquoted.split_whitespace() {
        if !folded.is_empty() {
            folded.push(' ');
        }
        folded.push_str(word);
    }
    folded
}

fn is_structure_id(ou: &str) -> bool {
    match ou.as_bytes() {
        [b'1', finess @ ..] => finess.len() == 9 && finess.iter().all(u8::is_ascii_alphanumeric),
        [b'3', siret @ ..] => siret.len() == 14 && siret.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

fn entry_type(entry: &X509NameEntryRef) -> AttributeType {
    match entry.object().nid() {
        Nid::COMMONNAME => AttributeType::CommonName,
        Nid::ORGANIZATIONALUNITNAME => AttributeType::OrganizationalUnit,
        Nid::ORGANIZATIONNAME => AttributeType::Organization,
        Nid::STATEORPROVINCENAME => AttributeType::State,
        Nid::LOCALITYNAME => AttributeType::Locality,
        Nid::COUNTRYNAME => AttributeType::Country,
        Nid::UNDEF => AttributeType::from_name(&entry.object().to_string()),
        nid => match nid.short_name() {
            Ok(name) => AttributeType::from_name(name),
            Err(_) => AttributeType::from_name(&entry.object().to_string()),
        },
    }
}

/// The text of an attribute of a certificate, whatever its string type. (`to_string` and not `as_utf8`, which stops at a NUL.)
fn entry_text(entry: &X509NameEntryRef) -> Result<String, DnError> {
    // the widest string type has four bytes per character
    if entry.data().len() > 4 * MAX_LENGTH {
        return Err(DnError::TooLong);
    }
    let text = entry.data().to_string().map_err(|_| DnError::NotText)?;
    // what stands for bytes that are not text: two different names would become equal
    if text.contains(char::REPLACEMENT_CHARACTER) { Err(DnError::NotText) } else { Ok(text) }
}

impl FromStr for Dn {
    type Err = DnError;

    fn from_str(text: &str) -> Result<Dn, DnError> {
        parse::parse(text)
    }
}

/// RFC 4514 text, CN first, no space after the comma: as the white list writes names.
impl fmt::Display for Dn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, attribute) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            write!(f, "{}=", attribute.kind.name())?;
            let last = attribute.value.chars().count().saturating_sub(1);
            for (at, c) in attribute.value.chars().enumerate() {
                let at_an_end = at == 0 || at == last;
                if at_an_end && c.is_whitespace() && c != ' ' {
                    // White space at the ends of a value does not count unless it is escaped, and a backslash goes before ASCII only.
                    c.encode_utf8(&mut [0; 4]).bytes().try_for_each(|octet| write!(f, "\\{octet:02X}"))?;
                    continue;
                }
                let escaped = matches!(c, ',' | '+' | '"' | '\\' | '<' | '>' | ';' | '=')
                    || (c == '#' && at == 0)
                    || (c == ' ' && at_an_end);
                if escaped {
                    f.write_str("\\")?;
                }
                write!(f, "{c}")?;
            }
        }
        Ok(())
    }
}
