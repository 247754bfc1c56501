//! Lists as the publisher would write them, and lists that are wrong in one way.

use std::time::{Duration, SystemTime};

use openssl::pkey::{PKey, Private};
use openssl::x509::X509;
use trust::Dn;
use trust::white_list::{Entry, SignError, WhiteListBuilder, sign};

use super::lists::{List, Lists, Name};

const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// What lists are made of.
#[derive(Clone)]
pub struct Material {
    /// The usual entries.
    pub entries: Vec<Entry>,
    /// Who signs.
    pub signer: (X509, PKey<Private>),
    /// A good certificate for signing, of somebody else.
    pub other_signer: (X509, PKey<Private>),
    /// The peer's name.
    pub peer: Dn,
    /// The name of another operator.
    pub other: Dn,
}

/// What is answered to a fetch instead of the usual list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A document.
    Document(String),
    /// A status without document.
    Status(u16),
    /// Nothing.
    Silence,
}

impl Material {
    /// The usual list of that date, signed.
    pub(super) fn published(&self, date: SystemTime) -> Result<String, SignError> {
        let (certificate, key) = &self.signer;
        sign(&self.usual(date).to_xml(), key, certificate)
    }

    /// A list; why it cannot be made.
    pub(super) fn make(&self, list: List) -> Result<Answer, String> {
        let data = Lists::embedded();
        let now = SystemTime::now();
        let witness = |date: SystemTime| {
            let entry = Entry::new(data.temoin.clone(), self.peer.clone());
            self.usual(date).with(entry).to_xml()
        };
        let (certificate, key) = &self.signer;
        let signed = |xml: &str| sign(xml, key, certificate).map_err(|error| error.to_string());
        Ok(match list {
            List::Temoin => Answer::Document(signed(&witness(now))?),
            List::Sans => Answer::Document(signed(&self.usual(now).to_xml())?),
            List::Entrees => Answer::Document(signed(&self.entries(&data, now))?),
            List::Corrompue => Answer::Document(signed(&self.usual(now).to_xml())?.replacen(
                "<ListeDomaines>",
                &format!("<ListeDomaines>{}", domain(&data.temoin, &self.peer.to_string())),
                1,
            )),
            List::Tronquee => {
                let whole = signed(&witness(now))?;
                // Domains and names are ASCII there; a document cut inside a character would be no text at all.
                let half = whole.floor_char_boundary(whole.len() / 2);
                Answer::Document(whole[..half].to_owned())
            }
            List::Vide => Answer::Document(signed(&WhiteListBuilder::new(now).to_xml())?),
            List::SignatureFausse => {
                let whole = signed(&witness(now))?;
                let (head, value) = whole.split_once("SignatureValue>").ok_or("no signature in what was signed")?;
                // One character of its base64.
                let turned = if value.starts_with('A') { "B" } else { "A" };
                Answer::Document(format!("{head}SignatureValue>{turned}{}", &value[1..]))
            }
            List::SansSignature => Answer::Document(witness(now)),
            List::AutreSignataire => {
                let (certificate, key) = &self.other_signer;
                Answer::Document(sign(&witness(now), key, certificate).map_err(|error| error.to_string())?)
            }
            List::Ancienne => Answer::Document(signed(&witness(now - YEAR))?),
            List::Future => Answer::Document(signed(&witness(now + 10 * YEAR))?),
            List::Indisponible => Answer::Status(503),
            List::Muette => Answer::Silence,
        })
    }

    fn usual(&self, date: SystemTime) -> WhiteListBuilder {
        self.entries.iter().cloned().fold(WhiteListBuilder::new(date), WhiteListBuilder::with)
    }

    /// The usual list and every entry of the data, names written as the data say.
    fn entries(&self, data: &Lists, date: SystemTime) -> String {
        let mut own = String::new();
        for entry in &data.entrees {
            let Some(name) = &entry.domaine else { continue };
            for dn in [entry.dn, entry.aussi].into_iter().flatten() {
                own.push_str(&domain(name, &self.written(dn)));
            }
        }
        self.usual(date).to_xml().replacen("</ListeDomaines>", &format!("{own}</ListeDomaines>"), 1)
    }

    /// A name as somebody might write it.
    fn written(&self, name: Name) -> String {
        let peer = self.peer.to_string();
        let parts = || peer.split(',').map(str::trim).map(str::to_owned).collect::<Vec<_>>();
        let each = |change: fn(&str, &str) -> String| {
            let changed = |part: &String| part.split_once('=').map_or(part.clone(), |(k, v)| change(k, v));
            parts().iter().map(changed).collect::<Vec<_>>().join(",")
        };
        match name {
            Name::Pair => peer.clone(),
            Name::Autre => self.other.to_string(),
            Name::PairEspaces => parts().join("  ,  "),
            Name::PairGuillemets => each(|key, value| format!("{key}=\"{value}\"")),
            Name::PairLieu => each(|key, value| format!("{}={value}", if key == "ST" { "L" } else { key })),
            Name::PairOrdre => {
                let mut all = parts();
                all.reverse();
                all.join(", ")
            }
            Name::PairProche => each(|key, value| format!("{key}={}{value}", if key == "CN" { "x" } else { "" })),
            Name::PairStructure => each(|key, value| format!("{key}={value}{}", if key == "OU" { "0" } else { "" })),
        }
    }
}

/// An entry as the publisher writes it.
fn domain(name: &str, dn: &str) -> String {
    let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
    let (name, dn) = (escaped(name), escaped(dn));
    format!(
        "<Domaine><Nom>{name}</Nom><Description>essai</Description><DNCertificatOperateur>{dn}</DNCertificatOperateur>\
         <ResponsableContact>essai</ResponsableContact><SupportContact>essai</SupportContact>\
         <DateMAJ>2026-01-01T00:00:00Z</DateMAJ></Domaine>"
    )
}
