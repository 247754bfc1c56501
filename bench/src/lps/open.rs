//! `bench lps open`: messages with documents opened per second, on one thread: structure, text, archive inflated and checked, CDA header read,
//! copy found, everything compared. Then conversations made of 50,000 headers.

use std::time::Instant;

use lps::compose::{Draft, Recipient, Sender};
use lps::documents::{DocumentSet, Given, Preparation};
use lps::read::{Limits, Message};
use lps::session::Summary;
use lps::thread::{Entry, threads};
use mssante::label::Label;
use mssante::xdm;

const CDA: &str = include_str!("../../../tests/fixtures/cda-n3-lettre-liaison.xml");
/// Octets of the document.
const DOCUMENT: usize = 100_000;
/// Messages put into conversations.
const MESSAGES: u32 = 50_000;

/// How it is measured.
#[derive(clap::Args, Clone)]
pub struct Options {
    /// Messages of one run.
    #[arg(long, default_value_t = 200)]
    messages: usize,
    /// Runs; the median is printed.
    #[arg(long, default_value_t = 5)]
    runs: usize,
}

/// Measures and prints.
pub fn run(options: &Options) -> Result<(), String> {
    let octets = message()?;
    let opened = Message::open(octets.clone(), Limits::default()).map_err(|e| e.to_string())?;
    let document = opened.documents().next().ok_or("no document")?;
    if !opened.warnings.is_empty() || document.copy.is_none() {
        return Err(format!("the message does not fit together: {:?}", opened.warnings));
    }
    let rate = median(options.runs, || {
        let begun = Instant::now();
        for _ in 0..options.messages {
            Message::open(octets.clone(), Limits::default()).map_err(|e| e.to_string())?;
        }
        Ok(options.messages as f64 / begun.elapsed().as_secs_f64())
    })?;
    println!("message of {} octets with a CDA of {} and its copy, one thread", octets.len(), document.octets().len());
    println!("messages opened: {rate:.0}/s, {:.0} MB/s", rate * octets.len() as f64 / 1e6);
    let summaries: Vec<Summary> = (0..MESSAGES).map(summary).collect();
    let entries: Vec<Entry<'_, u32>> = summaries.iter().map(|summary| Entry::new(summary.uid, summary)).collect();
    let mut count = 0;
    let rate = median(options.runs, || {
        let begun = Instant::now();
        count = threads(&entries).len();
        Ok(begun.elapsed().as_secs_f64() * 1000.0)
    })?;
    println!("{MESSAGES} messages put into {count} conversations: {rate:.0} ms");
    Ok(())
}

fn median(runs: usize, mut measure: impl FnMut() -> Result<f64, String>) -> Result<f64, String> {
    let mut values = (0..runs.max(1)).map(|_| measure()).collect::<Result<Vec<f64>, String>>()?;
    values.sort_by(f64::total_cmp);
    Ok(values[values.len() / 2])
}

/// A message of an exchange of five.
fn summary(n: u32) -> Summary {
    let first = n - n % 5;
    let references: String = (first..n).map(|id| format!(" <{id}@alpha>")).collect();
    let header = format!(
        "From: a@alpha.mssante.fr\r\nTo: b@alpha.mssante.fr\r\nSubject: Re: exchange {first}\r\nMessage-ID: <{n}@alpha>\r\nReferences:{references}\r\n"
    );
    Summary::new(n, Vec::new(), None, 1000, header.as_bytes())
}

fn message() -> Result<Vec<u8>, String> {
    // As long as a real one: paragraphs are repeated.
    let paragraph = "<paragraph>Pas de signe de complication à ce stade, surveillance clinique poursuivie.</paragraph>";
    let at = CDA.find("<paragraph>").or_else(|| CDA.find("</text>")).ok_or("no narrative")?;
    let more = paragraph.repeat((DOCUMENT.saturating_sub(CDA.len())) / paragraph.len() + 1);
    let document = format!("{}{more}{}", &CDA[..at], &CDA[at..]);
    let sender = xdm::Sender { name: "Dr".into(), organization: "H".into(), postal_address: None, phone: None };
    let software = lps::Software {
        nil: "3734".parse().map_err(|_| "a NIL")?,
        name: "bench".into(),
        version: "1".into(),
        vendor: "bench".into(),
        source_id: "1.2.250.1.999.1.1".into(),
    };
    let how = Preparation::new(&software, sender, time::OffsetDateTime::now_utc());
    let set = DocumentSet::prepare(&[Given::bytes(document)], &how).map_err(|e| e.to_string())?;
    let from = Sender {
        address: "marie.martin@alpha.formation.mssante.fr".parse().map_err(|_| "an address")?,
        label: Label::entity("Hôpital Alpha").map_err(|e| e.to_string())?,
    };
    let to = "paul.durand@alpha.formation.mssante.fr".parse().map_err(|_| "an address")?;
    let made = Draft::new(software.nil.clone(), from)
        .to(Recipient::new(to).map_err(|e| e.to_string())?)
        .documents(&set)
        .build_blocking()
        .map_err(|e| e.to_string())?;
    let mut octets = Vec::new();
    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(|e| e.to_string())?;
    runtime.block_on(made.write_to(&mut octets)).map_err(|e| e.to_string())?;
    Ok(octets)
}
