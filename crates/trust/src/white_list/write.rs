//! The publisher's side: a list as XML, in the shape of the real one (operator.md §2.4).

use std::fmt::Write;
use std::time::SystemTime;

use quick_xml::escape::escape;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::document::NAMESPACE;
use crate::dn::Dn;

/// One `<Domaine>`: a domain and one certificate name that may speak for it.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The domain, as published.
    pub domain: String,
    /// Free text.
    pub description: String,
    /// Subject of the operator's certificate.
    pub name: Dn,
    /// Telephone and address of the person in charge.
    pub contact: String,
    /// Telephone and address of the support.
    pub support: String,
}

impl Entry {
    /// An entry whose free texts all say the domain.
    pub fn new(domain: impl Into<String>, name: Dn) -> Self {
        let domain = domain.into();
        let postmaster = format!("postmaster@{domain}");
        Self { description: domain.clone(), domain, name, contact: postmaster.clone(), support: postmaster }
    }
}

/// Builds a list.
#[derive(Debug, Clone)]
pub struct WhiteListBuilder {
    generated_at: SystemTime,
    entries: Vec<Entry>,
}

impl WhiteListBuilder {
    /// A list without entries, dated `generated_at` (to the second).
    pub fn new(generated_at: SystemTime) -> Self {
        Self { generated_at, entries: Vec::new() }
    }

    /// Adds an entry.
    #[must_use]
    pub fn with(mut self, entry: Entry) -> Self {
        self.entries.push(entry);
        self
    }

    /// The XML document, unsigned. Characters that XML cannot hold are dropped from the free texts.
    pub fn to_xml(&self) -> String {
        let date = date(self.generated_at);
        let mut xml = String::with_capacity(512 * (self.entries.len() + 1));
        let _ = write!(
            xml,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListeBlancheMSSante xmlns=\"{NAMESPACE}\">\n    \
             <DateDeGeneration>{date}</DateDeGeneration>\n    <ListeDomaines>\n"
        );
        for entry in &self.entries {
            xml.push_str("        <Domaine>\n");
            for (name, text) in [
                ("Nom", entry.domain.as_str()),
                ("Description", &entry.description),
                ("DNCertificatOperateur", &entry.name.to_string()),
                ("ResponsableContact", &entry.contact),
                ("SupportContact", &entry.support),
                ("DateMAJ", &date),
            ] {
                let text: String = text.chars().filter(|&c| is_xml(c)).collect();
                // Writing to a String cannot fail.
                let _ = writeln!(xml, "            <{name}>{}</{name}>", escape(&text));
            }
            xml.push_str("        </Domaine>\n");
        }
        xml.push_str("    </ListeDomaines>\n</ListeBlancheMSSante>\n");
        xml
    }
}

/// XML 1.0 §2.2.
fn is_xml(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// `YYYY-MM-DDThh:mm:ssZ`.
fn date(instant: SystemTime) -> String {
    let instant = OffsetDateTime::from(instant);
    let whole = instant.replace_nanosecond(0).unwrap_or(instant);
    // RFC 3339 can write every date of the years 0 to 9999; a clock beyond is given the list's earliest date, never a panic.
    whole.format(&Rfc3339).unwrap_or_else(|_| "1970-01-01T00:00:00Z".to_owned())
}
