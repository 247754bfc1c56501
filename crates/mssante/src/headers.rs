//! The X-MSS-* header fields. ECO-HDR (ECO.2.4.1, 2.4.2, 2.4.3, 2.2.8), IND, CTL-HDR; `client.md` §2.1.
//!
//! Two types, on purpose. [`OutgoingHeaders`] is what we write: it always has a NIL, and CODECDA and
//! INS only together, so that it cannot be inconsistent. [`ReceivedHeaders`] is what others wrote: read
//! with tolerance, each departure from the rules listed as a typed [`Defect`] and never fatal, since a
//! mail is delivered whatever its statistics headers say.

use std::fmt;
use std::str::FromStr;

use crate::cda::CdaHeader;

/// Longest product reference. Seen: 4 to 9 characters; the referential fixes none.
const MAX_NIL: usize = 64;
/// Longest document code. LOINC codes have 8 characters, French local codes (`PRESC-BIO`) a few more.
const MAX_CODE: usize = 32;
/// Most codes in one field: 50 codes of usual length stay under the 998 octets of a line.
const MAX_CODES: usize = 50;
/// Longest field value read, in octets. Longer is a defect, and memory stays bounded.
const MAX_VALUE: usize = 998;

/// One of the four fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Field {
    /// `X-MSS-NIL`: the software that sent the message.
    Nil,
    /// `X-MSS-CODECDA`: type codes of the documents.
    CodeCda,
    /// `X-MSS-INS`: whether a qualified INS is among them.
    Ins,
    /// `X-MSS-MES`: command to Mon espace santé.
    Mes,
}

impl Field {
    /// The four fields.
    pub const ALL: [Self; 4] = [Self::Nil, Self::CodeCda, Self::Ins, Self::Mes];

    /// The name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Nil => "X-MSS-NIL",
            Self::CodeCda => "X-MSS-CODECDA",
            Self::Ins => "X-MSS-INS",
            Self::Mes => "X-MSS-MES",
        }
    }

    /// The field of a header name, in any case of letters.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.name().eq_ignore_ascii_case(name))
    }
}

/// The value of a field does not have the form it must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("ill-formed value for {}", .0.name())]
pub struct BadValue(pub Field);

/// Product reference of the sending software (`DEV935997`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Nil(String);

impl Nil {
    /// The reference.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Nil {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if token(text, MAX_NIL) { Ok(Self(text.to_owned())) } else { Err(BadValue(Field::Nil)) }
    }
}

impl fmt::Display for Nil {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Type codes of the CDA documents, one per document, in order, repeated when documents share one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DocumentCodes(Vec<String>);

impl DocumentCodes {
    /// Codes of the given documents, one each.
    ///
    /// # Errors
    /// [`BadValue`] when there is none, too many, or one that is not a plain code.
    pub fn new<S: Into<String>>(codes: impl IntoIterator<Item = S>) -> Result<Self, BadValue> {
        let codes: Vec<String> = codes.into_iter().map(Into::into).take(MAX_CODES + 1).collect();
        let length: usize = codes.iter().map(|code| code.len() + 1).sum();
        let fits = (1..=MAX_CODES).contains(&codes.len()) && length <= MAX_VALUE;
        if fits && codes.iter().all(|code| token(code, MAX_CODE)) {
            Ok(Self(codes))
        } else {
            Err(BadValue(Field::CodeCda))
        }
    }

    /// The codes in the order of the documents.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl FromStr for DocumentCodes {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > MAX_VALUE {
            return Err(BadValue(Field::CodeCda));
        }
        Self::new(text.split(',').map(str::trim))
    }
}

impl fmt::Display for DocumentCodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

/// Whether a qualified INS (matricule, OID and the four traits) is among the documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InsPresence {
    /// `O`
    Qualified,
    /// `N`
    NotQualified,
}

impl FromStr for InsPresence {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "O" | "o" => Ok(Self::Qualified),
            "N" | "n" => Ok(Self::NotQualified),
            _ => Err(BadValue(Field::Ins)),
        }
    }
}

impl fmt::Display for InsPresence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Qualified => "O",
            Self::NotQualified => "N",
        })
    }
}

/// Command to Mon espace santé about a mail to a patient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MesCommand {
    /// `FIN`: the patient may no longer answer.
    Fin,
}

impl FromStr for MesCommand {
    type Err = BadValue;

    /// Exactly three capitals: a tolerant reading here would silence a patient by mistake.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "FIN" { Ok(Self::Fin) } else { Err(BadValue(Field::Mes)) }
    }
}

impl fmt::Display for MesCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FIN")
    }
}

/// What the headers say of the documents in the IHE_XDM archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentFacts {
    /// Their type codes.
    pub codes: DocumentCodes,
    /// Whether one of them names its patient by a qualified INS.
    pub ins: InsPresence,
}

impl DocumentFacts {
    /// Facts of the documents of an archive; `None` when there is none.
    ///
    /// # Errors
    /// [`BadValue`] when a type code cannot stand in the field.
    pub fn of(documents: &[CdaHeader]) -> Result<Option<Self>, BadValue> {
        if documents.is_empty() {
            return Ok(None);
        }
        let qualified = documents.iter().any(|document| document.patient.qualified_ins().is_some());
        Ok(Some(Self {
            codes: DocumentCodes::new(documents.iter().map(|document| document.code.code.as_str()))?,
            ins: if qualified { InsPresence::Qualified } else { InsPresence::NotQualified },
        }))
    }
}

/// The fields of a message we send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingHeaders {
    /// Our product reference: on every message.
    pub nil: Nil,
    /// Present when an IHE_XDM archive holds CDA documents.
    pub documents: Option<DocumentFacts>,
    /// Present to stop the patient's answers.
    pub mes: Option<MesCommand>,
}

impl OutgoingHeaders {
    /// Names and values, in the order of the referential. Values are ASCII on one line of at most 998
    /// octets; folding is the message writer's.
    #[must_use]
    pub fn fields(&self) -> Vec<(&'static str, String)> {
        let mut fields = vec![(Field::Nil.name(), self.nil.to_string())];
        if let Some(facts) = &self.documents {
            fields.push((Field::CodeCda.name(), facts.codes.to_string()));
            fields.push((Field::Ins.name(), facts.ins.to_string()));
        }
        if let Some(command) = self.mes {
            fields.push((Field::Mes.name(), command.to_string()));
        }
        fields
    }
}

/// A departure from the rules in a received message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Defect {
    /// The field's value has not the right form; it is not kept.
    IllFormed(Field),
    /// The field is there several times; the first is kept.
    Repeated(Field),
    /// There is no X-MSS-NIL.
    NoNil,
    /// X-MSS-CODECDA without X-MSS-INS, or the reverse.
    Unpaired,
}

/// The fields of a message somebody sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReceivedHeaders {
    /// X-MSS-NIL
    pub nil: Option<Nil>,
    /// X-MSS-CODECDA
    pub codes: Option<DocumentCodes>,
    /// X-MSS-INS
    pub ins: Option<InsPresence>,
    /// X-MSS-MES
    pub mes: Option<MesCommand>,
    /// What was wrong, in the order it was met.
    pub defects: Vec<Defect>,
}

impl ReceivedHeaders {
    /// Reads the fields among the header fields of a message, given as names and values (unfolded or
    /// not, blanks around are ignored). Other fields are skipped.
    #[must_use]
    pub fn read<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut read = Self::default();
        let mut seen = [false; Field::ALL.len()];
        for (name, value) in fields {
            let Some(field) = Field::from_name(name.trim()) else {
                continue;
            };
            let already = std::mem::replace(&mut seen[field as usize], true);
            let defect = if already {
                Some(Defect::Repeated(field))
            } else {
                read.keep(field, value.trim()).err().map(|bad| Defect::IllFormed(bad.0))
            };
            // A message of thousands of such fields says no more than one of them.
            if let Some(defect) = defect.filter(|d| !read.defects.contains(d)) {
                read.defects.push(defect);
            }
        }
        if !seen[Field::Nil as usize] {
            read.defects.push(Defect::NoNil);
        }
        if seen[Field::CodeCda as usize] != seen[Field::Ins as usize] {
            read.defects.push(Defect::Unpaired);
        }
        read
    }

    fn keep(&mut self, field: Field, value: &str) -> Result<(), BadValue> {
        if value.len() > MAX_VALUE {
            return Err(BadValue(field));
        }
        match field {
            Field::Nil => self.nil = Some(value.parse()?),
            Field::CodeCda => self.codes = Some(value.parse()?),
            Field::Ins => self.ins = Some(value.parse()?),
            Field::Mes => self.mes = Some(value.parse()?),
        }
        Ok(())
    }
}

/// A code of ASCII letters, digits and `. _ - / :`, never empty.
fn token(text: &str, max: usize) -> bool {
    (1..=max).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'/' | b':'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn outgoing(documents: Option<(&[&str], InsPresence)>) -> OutgoingHeaders {
        OutgoingHeaders {
            nil: "DEV935997".parse().expect("seen in the wild"),
            documents: documents.map(|(codes, ins)| DocumentFacts {
                codes: DocumentCodes::new(codes.iter().copied()).expect("plain codes"),
                ins,
            }),
            mes: None,
        }
    }

    #[test]
    fn vectors_of_the_reference() {
        // ECO-HDR; client.md §8
        let two = outgoing(Some((&["34112-3", "PRESC-BIO"], InsPresence::Qualified)));
        assert_eq!(
            two.fields(),
            [
                ("X-MSS-NIL", "DEV935997".to_owned()),
                ("X-MSS-CODECDA", "34112-3,PRESC-BIO".to_owned()),
                ("X-MSS-INS", "O".to_owned()),
            ]
        );
        assert_eq!(outgoing(None).fields().len(), 1);
    }

    #[test]
    fn what_we_write_reads_back_without_defect() {
        let mut sent = outgoing(Some((&["11490-0", "11490-0"], InsPresence::NotQualified)));
        sent.mes = Some(MesCommand::Fin);
        let fields = sent.fields();
        let read = ReceivedHeaders::read(fields.iter().map(|(n, v)| (*n, v.as_str())));
        assert_eq!(read.defects, []);
        assert_eq!(read.codes.expect("written").iter().collect::<Vec<_>>(), ["11490-0", "11490-0"]);
        assert_eq!((read.ins, read.mes), (Some(InsPresence::NotQualified), Some(MesCommand::Fin)));
    }

    #[test]
    fn tolerant_reading_names_every_defect() {
        // CTL-HDR
        let read = ReceivedHeaders::read([
            ("subject", "x"),
            ("x-mss-codecda", " 34112-3 ,\r\n 15508-5 "),
            ("X-MSS-MES", "fin"),
            ("X-MSS-CodeCDA", "1"),
            ("X-MSS-CodeCDA", "2"),
        ]);
        assert_eq!(read.codes.as_ref().map(ToString::to_string).as_deref(), Some("34112-3,15508-5"));
        assert_eq!(
            read.defects,
            [Defect::IllFormed(Field::Mes), Defect::Repeated(Field::CodeCda), Defect::NoNil, Defect::Unpaired]
        );
        assert_eq!(read.mes, None);
        for bad in ["", ",", "a,,b", "a b", "é"] {
            assert!(bad.parse::<DocumentCodes>().is_err(), "{bad:?}");
        }
        assert!(DocumentCodes::new(vec!["1"; MAX_CODES + 1]).is_err());
        assert!("a\r\nb".parse::<Nil>().is_err() && "".parse::<Nil>().is_err());
    }

    proptest! {
        #[test]
        fn reading_never_panics(values in proptest::collection::vec((0usize..4, "\\PC{0,30}"), 0..8)) {
            let fields: Vec<_> = values.iter().map(|(f, v)| (Field::ALL[*f].name(), v.as_str())).collect();
            let _ = ReceivedHeaders::read(fields);
        }

        #[test]
        fn codes_round_trip(codes in proptest::collection::vec("[A-Z0-9-]{1,10}", 1..20)) {
            let written = DocumentCodes::new(codes).expect("plain codes");
            prop_assert_eq!(written.to_string().parse::<DocumentCodes>(), Ok(written));
        }
    }
}
