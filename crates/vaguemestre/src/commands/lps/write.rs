//! What `send` and `reply` have in common: the text, the documents, the files, the patient, and the message made of them.

use std::io::Read;
use std::path::PathBuf;

use lps::compose::{
    Attachment, Confirmation, Draft, Limits, MAX_MESSAGE, Origin, Outgoing, PatientRecipient, QualifiedIdentity,
    Recipient, Sender,
};
use lps::documents::{Audience, DocumentSet, Given, Preparation, Version};
use lps::space::Space;
use mssante::cda::InstanceId;
use mssante::label::Label;
use mssante::{Address, InsAuthority, Sex, xdm};
use time::{Date, OffsetDateTime};

use super::common::Frame;
use super::error::{CommandError, Stop, file};
use super::out::{Cell, Style};

/// Longest text read, in octets: some hundreds of pages.
const MAX_TEXT: u64 = 2 * 1024 * 1024;
/// Titles of regulated professions that begin a label (client.md §2.2).
const TITLES: [&str; 8] = ["Dr", "Pr", "M", "M.", "Mme", "Mlle", "Me", "Dre"];

/// What the message holds.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "The message")]
pub struct Content {
    /// The text.
    #[arg(long, value_name = "TEXT", conflicts_with = "text_file")]
    text: Option<String>,
    /// The text is in this file, UTF-8; - for standard input, which is also read when there is neither text nor document nor file.
    #[arg(long, value_name = "FILE")]
    text_file: Option<PathBuf>,
    /// A CDA R2 document; may be given several times, for one patient. The archive, the PDF copies, the subject and the X-MSS headers follow from them.
    #[arg(long, value_name = "FILE")]
    cda: Vec<PathBuf>,
    /// Number of the record, for the names of the PDF copies (biology: number of the order).
    #[arg(long, value_name = "NUMBER", requires = "cda")]
    record: Option<String>,
    /// The document given replaces the one of this identifier: ROOT or ROOT^EXTENSION. Only for one document.
    #[arg(long, value_name = "ID", requires = "cda", value_parser = instance)]
    replaces: Option<InstanceId>,
    /// Asks the recipient to delete the documents given, which were sent before.
    #[arg(long, requires = "cda", conflicts_with = "replaces")]
    delete: bool,
    /// Sends documents without any INS, between professionals (X-MSS-INS: N).
    #[arg(long, requires = "cda")]
    allow_without_ins: bool,
    /// Another file; may be given several times.
    #[arg(long, value_name = "FILE")]
    attach: Vec<PathBuf>,
    /// The patient may no longer answer (X-MSS-MES: FIN).
    #[arg(long)]
    fin: bool,
    /// Asks for a receipt when the message is read, or its documents filed (MDN).
    #[arg(long)]
    request_receipt: bool,
    /// Where answers are to go, when not to the mailbox.
    #[arg(long, value_name = "ADDRESS")]
    reply_to: Option<Address>,
    /// What recipients see beside the address; the remembered one when absent. Dr_Marie_MARTIN_Hôpital, or the name of the structure.
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
    /// Prints the message (RFC 5322) and sends nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// The patient shown is the right one: do not ask.
    #[arg(long)]
    pub yes: bool,
}

/// The patient who is written to.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "A patient")]
pub struct Patient {
    /// Writes to the patient of the documents (--cda), whose INS must be qualified.
    #[arg(long, requires = "cda", conflicts_with = "patient_ins")]
    to_patient: bool,
    /// Writes to the patient of this matricule INS, 15 characters, qualified; with the four traits.
    #[arg(long, value_name = "MATRICULE", requires_all = ["patient_name", "patient_first_name", "patient_birth", "patient_sex"])]
    patient_ins: Option<String>,
    /// Birth name.
    #[arg(long, value_name = "NAME")]
    patient_name: Option<String>,
    /// First given name.
    #[arg(long, value_name = "NAME")]
    patient_first_name: Option<String>,
    /// Date of birth (YYYY-MM-DD).
    #[arg(long, value_name = "DAY", value_parser = date)]
    patient_birth: Option<Date>,
    /// Sex: F or M.
    #[arg(long, value_name = "F|M", value_parser = sex)]
    patient_sex: Option<Sex>,
    /// Register of the matricule: nir, nia, or in a test space test and demo.
    #[arg(long, value_name = "REGISTER", value_parser = authority, default_value = "nir")]
    patient_authority: InsAuthority,
}

impl Patient {
    /// Whether a patient is written to.
    pub fn is_given(&self) -> bool {
        self.to_patient || self.patient_ins.is_some()
    }

    fn identity(&self, documents: Option<&DocumentSet>) -> Result<Option<QualifiedIdentity>, Stop> {
        if self.to_patient {
            let patient = documents.and_then(|set| set.headers.first()).map(|header| &header.patient);
            let found = patient.and_then(QualifiedIdentity::of_document);
            return found.map(Some).ok_or_else(|| {
                value("le document ne porte pas d'INS qualifiée", "the document holds no qualified INS")
            });
        }
        let Some(matricule) = self.patient_ins.clone() else { return Ok(None) };
        // clap asks for all of them together.
        let (Some(birth_name), Some(first_name), Some(birth_date), Some(sex)) =
            (self.patient_name.clone(), self.patient_first_name.clone(), self.patient_birth, self.patient_sex)
        else {
            return Err(value("il manque des traits d'identité", "traits of the identity are missing"));
        };
        let authority = self.patient_authority;
        Ok(Some(QualifiedIdentity { matricule, authority, birth_name, first_name, birth_date, sex }))
    }
}

fn value(french: &str, english: &str) -> Stop {
    CommandError::Value(french.to_owned(), english.to_owned()).into()
}

fn instance(text: &str) -> Result<InstanceId, String> {
    let (root, extension) = match text.split_once('^') {
        Some((root, extension)) => (root, Some(extension.to_owned())),
        None => (text, None),
    };
    let oid =
        root.contains('.') && root.split('.').all(|arc| !arc.is_empty() && arc.bytes().all(|b| b.is_ascii_digit()));
    let uuid = root.len() == 36 && root.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    if oid || uuid {
        Ok(InstanceId { root: root.to_owned(), extension })
    } else {
        Err("give the identifier of a document: an OID or UUID, then ^ and its extension when it has one".to_owned())
    }
}

fn date(text: &str) -> Result<Date, String> {
    let format = time::macros::format_description!("[year]-[month]-[day]");
    Date::parse(text, &format).map_err(|_| "write a day as 1979-03-12".to_owned())
}

fn sex(text: &str) -> Result<Sex, String> {
    match text {
        "F" | "f" => Ok(Sex::Female),
        "M" | "m" => Ok(Sex::Male),
        _ => Err("F or M".to_owned()),
    }
}

fn authority(text: &str) -> Result<InsAuthority, String> {
    match text {
        "nir" => Ok(InsAuthority::Nir),
        "nia" => Ok(InsAuthority::Nia),
        "test" => Ok(InsAuthority::NirTest),
        "demo" => Ok(InsAuthority::NirDemo),
        _ => Err("nir, nia, test or demo".to_owned()),
    }
}

/// A label as people write it: `Titre_Prénom_NOM_Entité` for a person, without `_` for a structure.
fn label(text: &str) -> Result<Label, Stop> {
    let bad = || value("le libellé est vide", "the label is empty");
    let mut parts = text.split('_').map(str::trim).filter(|part| !part.is_empty()).peekable();
    let title = parts.next_if(|part| TITLES.contains(part));
    let (Some(first), Some(surname)) = (parts.next(), parts.next()) else {
        return Label::entity(text).map_err(|_| bad());
    };
    let entity = parts.collect::<Vec<_>>().join(" ");
    Label::personal(title, first, surname, Some(&entity)).map_err(|_| bad())
}

/// Who writes: the mailbox, with the label given, else the remembered one (ECO.2.2.7).
pub fn sender(address: Address, given: Option<&str>, frame: &Frame) -> Result<Sender, Stop> {
    let remembered = frame.boxes()?.find(&address).and_then(|one| one.label.clone());
    let text = given.map(str::to_owned).or(remembered).ok_or(CommandError::NoLabel)?;
    Ok(Sender { address, label: label(&text)? })
}

/// To whom, beside the patient.
pub struct Envelope {
    /// To.
    pub to: Vec<Recipient>,
    /// For information.
    pub cc: Vec<Recipient>,
    /// Seen by nobody else.
    pub bcc: Vec<Recipient>,
    /// The subject; none with documents or an answer.
    pub subject: Option<String>,
    /// What is answered.
    pub origin: Option<Origin>,
}

/// Makes the message. Nothing is sent.
pub async fn compose(
    content: &Content,
    patient: Option<&Patient>,
    envelope: Envelope,
    space: &Space,
    frame: &Frame,
) -> Result<Outgoing, Stop> {
    let sender = sender(frame.mailbox()?, content.label.as_deref(), frame)?;
    let to_patient = patient.is_some_and(Patient::is_given)
        || [&envelope.to, &envelope.cc, &envelope.bcc].into_iter().flatten().any(|to| to.address().is_patient());
    let documents = documents(content, &sender.label, to_patient, space, frame).await?;
    let mut draft = Draft::new(space.software.nil.clone(), sender)
        .limits(Limits { message: MAX_MESSAGE, patient: space.patient_limit });
    if let Some(patient) = patient
        && let Some(identity) = patient.identity(documents.as_ref())?
    {
        let (recipient, confirmation) = PatientRecipient::from_qualified(identity)?;
        confirm(&confirmation, content, frame)?;
        draft = draft.to(Recipient::patient(&recipient));
    }
    draft = envelope.to.into_iter().fold(draft, Draft::to);
    draft = envelope.cc.into_iter().fold(draft, Draft::cc);
    draft = envelope.bcc.into_iter().fold(draft, Draft::bcc);
    if let Some(address) = &content.reply_to {
        draft = draft.reply_to(address.clone());
    }
    if let Some(subject) = envelope.subject {
        draft = draft.subject(subject);
    }
    if let Some(origin) = envelope.origin {
        draft = draft.answer(origin);
    }
    if let Some(documents) = &documents {
        draft = draft.documents(documents);
    }
    if let Some(text) = text(content)? {
        draft = draft.text(text);
    }
    draft = content.attach.iter().map(Attachment::file).fold(draft, Draft::attach);
    if content.fin {
        draft = draft.end_of_exchange();
    }
    if content.request_receipt {
        draft = draft.ask_receipt();
    }
    Ok(draft.build().await?)
}

async fn documents(
    content: &Content,
    label: &Label,
    to_patient: bool,
    space: &Space,
    frame: &Frame,
) -> Result<Option<DocumentSet>, Stop> {
    if content.cda.is_empty() {
        return Ok(None);
    }
    if content.replaces.is_some() && content.cda.len() > 1 {
        return Err(value("--replaces ne vaut que pour un seul document", "--replaces is for one document only"));
    }
    let version = match (&content.replaces, content.delete) {
        (Some(replaced), _) => Version::Replace(replaced.clone()),
        (None, true) => Version::Delete,
        (None, false) => Version::AsWritten,
    };
    let given: Vec<Given> = content
        .cda
        .iter()
        .map(|path| Given { record: content.record.clone(), ..Given::file(path).version(version.clone()) })
        .collect();
    let sender = xdm::Sender {
        name: label.as_str().replace('_', " "),
        organization: label.as_str().replace('_', " "),
        postal_address: None,
        phone: None,
    };
    let mut how = Preparation::new(&space.software, sender, OffsetDateTime::from(space.clock.now()));
    how.audience = if to_patient { Audience::Patient } else { Audience::Professionals };
    how.allow_unqualified = content.allow_without_ins;
    let what = frame.out.pick("Préparation des documents", "Preparing the documents");
    Ok(Some(frame.busy(what, DocumentSet::prepare_async(given, how)).await?))
}

/// Shows the professional whom the matricule designates, and has them agree (Référentiel #2 §3.4.2.2).
fn confirm(shown: &Confirmation, content: &Content, frame: &Frame) -> Result<(), Stop> {
    let out = &frame.out;
    let sex = match shown.sex {
        Sex::Female => out.pick("née", "a woman born"),
        Sex::Male => out.pick("né", "a man born"),
    };
    let month = shown.birth_month.map_or_else(|| "??".to_owned(), |month| format!("{month:02}"));
    let who = format!(
        "{} {}, {sex} {}; {} : {month}/{:02}",
        shown.first_name,
        shown.birth_name,
        shown.birth_date,
        out.pick("selon le matricule", "by the matricule"),
        shown.birth_year,
    );
    if content.dry_run || content.yes {
        out.note(&format!("Patient : {who}"));
        return Ok(());
    }
    let question = out.pick("C'est bien ce patient ? [o/N]", "Is this the right patient? [y/N]");
    let Some(answer) = out.ask(&format!("Patient : {who}\n{question} "))? else {
        return Err(CommandError::NotConfirmed.into());
    };
    match answer.trim().to_lowercase().as_str() {
        "o" | "oui" | "y" | "yes" => Ok(()),
        _ => Err(CommandError::NotConfirmed.into()),
    }
}

fn text(content: &Content) -> Result<Option<String>, Stop> {
    let nothing = content.cda.is_empty() && content.attach.is_empty();
    let read = |reader: &mut dyn Read, name: &str| {
        let mut text = String::new();
        reader.take(MAX_TEXT).read_to_string(&mut text).map_err(file(name))?;
        Ok(Some(text))
    };
    match (&content.text, &content.text_file) {
        (Some(text), _) => Ok(Some(text.clone())),
        (None, Some(path)) if path.as_os_str() != "-" => {
            let mut opened = std::fs::File::open(path).map_err(file(path))?;
            read(&mut opened, &path.to_string_lossy())
        }
        (None, Some(_)) => read(&mut std::io::stdin(), "-"),
        (None, None) if nothing => read(&mut std::io::stdin(), "-"),
        (None, None) => Ok(None),
    }
}

/// Prints the message and sends nothing.
pub async fn dry_run(message: &Outgoing, frame: &Frame) -> Result<(), Stop> {
    use tokio::io::AsyncReadExt;
    if frame.out.json {
        let mut octets = Vec::new();
        message.write_to(&mut octets).await.map_err(CommandError::Stream)?;
        return frame.out.document(&serde_json::json!({
            "message_id": message.message_id().to_string(),
            "from": message.sender().to_string(),
            "subject": message.subject(),
            "size": message.size(),
            "documents": message.documents().map_or(0, |facts| facts.codes.iter().count()),
            "recipients": message.recipients().iter().map(ToString::to_string).collect::<Vec<_>>(),
            "message": String::from_utf8_lossy(&octets),
        }));
    }
    if frame.out.is_terminal() {
        frame.out.line([Cell(
            Style::Faint,
            frame.out.pick("Rien n'est envoyé. Le message :", "Nothing is sent. The message:").to_owned(),
        )])?;
    }
    let mut reader = message.reader();
    let mut block = vec![0; 64 * 1024];
    loop {
        let count = reader.read(&mut block).await.map_err(CommandError::Stream)?;
        if count == 0 {
            return Ok(());
        }
        // Made by us: ASCII, but for a message forwarded as it is.
        frame.out.raw(&block[..count])?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_as_people_write_them() {
        let of = |text: &str| label(text).map(|label| label.as_str().to_owned()).ok();
        assert_eq!(of("Dr_Marie_MARTIN_Cabinet Médical").as_deref(), Some("Dr_Marie_MARTIN_Cabinet Médical"));
        assert_eq!(of("Jean_dupont").as_deref(), Some("Jean_DUPONT"));
        assert_eq!(of("Hôpital A – Biologie").as_deref(), Some("Hôpital A – Biologie"));
        assert_eq!(of(" "), None);
    }

    #[test]
    fn identifiers_of_documents() {
        let one = instance("1.2.250.1.213^A/12").expect("an identifier");
        assert_eq!((one.root.as_str(), one.extension.as_deref()), ("1.2.250.1.213", Some("A/12")));
        assert!(instance("6f1c3f0e-6a8e-4d56-9d0c-0c9f3d1c1a11").is_ok());
        assert!(instance("12").is_err() && instance("1..2").is_err() && instance("").is_err());
    }
}
