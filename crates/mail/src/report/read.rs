//! Reading a report: tolerant, bounded, never trusted further than its own words.

use super::{Action, Recipient, TypedAddress, xtext};
use crate::date::{Moment, parse_rfc5322};
use crate::enhanced::Enhanced;
use crate::header::{self, Fields, Transfer, TransferDecoder};
use crate::mime::{Content, Part, Structure};

/// What a report says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadReport {
    /// The server that reports.
    pub reporting_mta: Option<String>,
    /// The ENVID of the message it speaks of.
    pub envelope_id: Option<String>,
    /// When that message came to the server.
    pub arrival: Option<Moment>,
    /// What became of each recipient; those without a readable address, action or status are left out.
    pub recipients: Vec<Recipient>,
    /// The Message-ID of the message it speaks of, when it gives back its header.
    pub message_id: Option<String>,
}

/// Octets read of the status part: some 300 per recipient, a thousand recipients.
const MAX_STATUS: usize = 512 * 1024;
/// Recipients read.
const MAX_RECIPIENTS: usize = 1000;

impl ReadReport {
    /// Reads a message; `None` when it is not a delivery report.
    pub fn parse(message: &[u8]) -> Option<ReadReport> {
        Self::of(message, &Structure::of(message))
    }

    /// Reads a message whose structure is known.
    pub fn of(message: &[u8], structure: &Structure) -> Option<ReadReport> {
        let root = &structure.root;
        let is_report = root.is("multipart", "report")
            && root.param("report-type").is_some_and(|t| t.eq_ignore_ascii_case("delivery-status"));
        if !is_report {
            return None;
        }
        let status = root
            .children()
            .iter()
            .find(|p| p.is("message", "delivery-status") || p.is("message", "global-delivery-status"))?;
        let status = decoded(message, status)?;
        let mut blocks = Blocks(&status);
        let mut report = ReadReport {
            reporting_mta: None,
            envelope_id: None,
            arrival: None,
            recipients: Vec::new(),
            message_id: root.children().iter().find_map(|p| original_id(message, p)),
        };
        let first = blocks.next()?;
        report.reporting_mta = header::find(first, "Reporting-MTA").map(|v| after_type(&v));
        report.envelope_id = header::find(first, "Original-Envelope-Id");
        report.arrival = moment(first, "Arrival-Date");
        report.recipients = blocks.filter_map(recipient).take(MAX_RECIPIENTS).collect();
        Some(report)
    }
}

/// The body of a part with its transfer encoding undone, as far as the limit.
fn decoded(message: &[u8], part: &Part) -> Option<Vec<u8>> {
    let start = usize::try_from(part.body.start).ok()?;
    let end = usize::try_from(part.body.end).ok()?.min(start.checked_add(MAX_STATUS)?);
    let mut decoder = TransferDecoder::new(Transfer::from_name(&part.encoding)?);
    let mut out = Vec::new();
    decoder.push(message.get(start..end)?, &mut out);
    decoder.finish(&mut out);
    Some(out)
}

fn original_id(message: &[u8], part: &Part) -> Option<String> {
    match &part.content {
        Content::Message(inner) => inner.envelope.message_id.clone(),
        Content::Leaf if part.is("text", "rfc822-headers") => header::find(&decoded(message, part)?, "Message-ID"),
        Content::Leaf | Content::Multipart(_) => None,
    }
}

/// Groups of fields between empty lines.
struct Blocks<'s>(&'s [u8]);

impl<'s> Iterator for Blocks<'s> {
    type Item = &'s [u8];

    fn next(&mut self) -> Option<&'s [u8]> {
        loop {
            if self.0.is_empty() {
                return None;
            }
            let (block, rest) = self.0.split_at(header::end(self.0).unwrap_or(self.0.len()));
            self.0 = rest;
            if Fields::new(block).next().is_some() {
                return Some(block);
            }
        }
    }
}

fn recipient(block: &[u8]) -> Option<Recipient> {
    let first_word = |value: String| value.split([' ', '\t', '(']).next().unwrap_or_default().to_owned();
    Some(Recipient {
        original: header::find(block, "Original-Recipient").and_then(|v| typed(&v)),
        address: header::find(block, "Final-Recipient").and_then(|v| typed(&v))?.address,
        action: Action::from_name(&first_word(header::find(block, "Action")?))?,
        status: first_word(header::find(block, "Status")?).parse::<Enhanced>().ok()?,
        remote_mta: header::find(block, "Remote-MTA").map(|v| after_type(&v)),
        diagnostic: header::find(block, "Diagnostic-Code").map(|v| after_type(&v)),
        last_attempt: moment(block, "Last-Attempt-Date"),
        will_retry_until: moment(block, "Will-Retry-Until"),
    })
}

fn moment(block: &[u8], name: &str) -> Option<Moment> {
    header::find(block, name).and_then(|v| parse_rfc5322(&v))
}

/// What follows `dns;`, `smtp;`…
fn after_type(value: &str) -> String {
    value.split_once(';').map_or(value, |(_, rest)| rest).trim().to_owned()
}

fn typed(value: &str) -> Option<TypedAddress> {
    let (kind, address) = value.split_once(';')?;
    let (kind, address) = (kind.trim(), address.trim());
    let address = if kind.eq_ignore_ascii_case("utf-8") { xtext::decode_unicode(address)? } else { address.to_owned() };
    let sound = !address.is_empty() && !address.chars().any(char::is_control);
    sound.then(|| TypedAddress { kind: kind.to_owned(), address })
}
