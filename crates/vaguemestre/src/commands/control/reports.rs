//! `vaguemestre control report`, `compare`, `verify`: campaigns that are over.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use control::engine::Campaign;
use control::report;
use control::report::seal::{self, Seal};
use trust::clock::{Clock, SystemClock};
use trust::revocation::{Revocation, RevocationSettings};
use trust::tls::Anchors;

use super::run::pretty;
use crate::commands::say;
use crate::failure::Failure;

/// The forms of a report.
#[derive(Debug, Default, clap::Args)]
pub struct Forms {
    /// Writes the report as JSON, from which the others can be made.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Writes it as JUnit XML.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Writes it as one HTML file that reads offline.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Writes it as CSV.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Writes it as PDF/A-1b, without the proofs.
    #[arg(long, value_name = "FILE")]
    pdf: Option<PathBuf>,
}

impl Forms {
    /// Whether none was asked for.
    pub fn is_empty(&self) -> bool {
        [&self.json, &self.junit, &self.html, &self.csv, &self.pdf].into_iter().all(Option::is_none)
    }

    /// Writes those asked for.
    pub fn write(&self, campaign: &Campaign) -> Result<(), Failure> {
        self.write_sealed(campaign, None)
    }

    /// The same of a campaign whose JSON is signed.
    fn write_sealed(&self, campaign: &Campaign, seal: Option<&Seal>) -> Result<(), Failure> {
        let put_octets = |path: &Option<PathBuf>, octets: &dyn Fn() -> Result<Vec<u8>, Failure>| match path {
            Some(path) => {
                std::fs::write(path, octets()?).map_err(|error| Failure::new(format!("{}: {error}", path.display())))
            }
            None => Ok(()),
        };
        let put = |path: &Option<PathBuf>, text: &dyn Fn() -> Result<String, Failure>| {
            put_octets(path, &|| Ok(text()?.into_bytes()))
        };
        put(&self.json, &|| pretty(campaign))?;
        put(&self.junit, &|| Ok(report::junit(campaign)))?;
        put(&self.html, &|| Ok(report::html_sealed(campaign, seal)))?;
        put(&self.csv, &|| Ok(report::csv(campaign)))?;
        put_octets(&self.pdf, &|| Ok(report::pdf(campaign, seal)?))
    }
}

/// See the module.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  vaguemestre control report campagne.json --html rapport.html --csv rapport.csv\n  \
    vaguemestre control report campagne.json --signature campagne.json.p7s --anchors autorites.pem --pdf rapport.pdf"
)]
pub struct ReportArgs {
    /// The JSON of a campaign.
    #[arg(value_name = "FILE")]
    campaign: PathBuf,
    #[command(flatten)]
    signature: SignatureArgs,
    #[command(flatten)]
    forms: Forms,
}

/// See the module.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  vaguemestre control compare avant.json apres.json\n\nExit codes: 0 nothing is worse; 3 something is."
)]
pub struct CompareArgs {
    /// The older campaign.
    #[arg(value_name = "BEFORE")]
    before: PathBuf,
    /// The newer one.
    #[arg(value_name = "AFTER")]
    after: PathBuf,
}

/// A signature to check.
#[derive(Debug, clap::Args)]
pub struct SignatureArgs {
    /// Its detached signature (CMS), checked.
    #[arg(long, value_name = "FILE", requires = "anchors")]
    signature: Option<PathBuf>,
    /// PEM of the authorities of those who may sign.
    #[arg(long, value_name = "FILE", requires = "signature")]
    anchors: Option<PathBuf>,
    /// A list of revoked certificates to look at, DER or PEM, one for each authority of the chain; without, revocation is not looked at.
    #[arg(long, value_name = "FILE", requires = "signature")]
    crl: Vec<PathBuf>,
    /// What the signer's name must hold.
    #[arg(long, value_name = "TEXT", requires = "signature")]
    signer: Option<String>,
}

impl SignatureArgs {
    /// The signature of these octets, when there is one to check.
    fn check(&self, report: &[u8]) -> Result<Option<Seal>, Failure> {
        let (Some(signature), Some(anchors)) = (&self.signature, &self.anchors) else { return Ok(None) };
        let pem = octets(anchors)?;
        let revocation = match self.crl.as_slice() {
            [] => Revocation::none(),
            lists => {
                let issuers = Anchors::from_pem(&pem)?;
                let revocation = Revocation::new(RevocationSettings::required(issuers, Vec::new()))?;
                for list in lists {
                    revocation
                        .install(&octets(list)?)
                        .map_err(|error| Failure::new(format!("{}: {error}", list.display())))?;
                }
                revocation
            }
        };
        let now = SystemClock.now();
        let seal = seal::check(report, &octets(signature)?, &pem, &revocation, self.signer.as_deref(), now);
        seal.map(Some).map_err(|error| Failure::new(format!("{}: {error}", signature.display())))
    }
}

/// See the module.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  vaguemestre control sign campagne.json --certificate signature.pem --key signature.key\n\n\
    The signature is detached: CMS (PKCS#7) in DER over the octets of the file, SHA-256. Anybody checks it with\n  \
    openssl cms -verify -binary -inform DER -in campagne.json.p7s -content campagne.json -CAfile autorites.pem -out /dev/null"
)]
pub struct SignArgs {
    /// The JSON of a campaign.
    #[arg(value_name = "FILE")]
    campaign: PathBuf,
    /// The organisation's certificate for signing (ORG SIGN), PEM, with what stands above it.
    #[arg(long, value_name = "FILE")]
    certificate: PathBuf,
    /// Its key, PEM without passphrase.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Where the signature is written; the report's name and .p7s when absent.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// See the module.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  vaguemestre control verify campagne.json\n  \
    vaguemestre control verify campagne.json --signature campagne.json.p7s --anchors autorites.pem --signer 'ORGANISME DE CONTROLE'")]
pub struct VerifyArgs {
    /// The JSON of a campaign.
    #[arg(value_name = "FILE")]
    campaign: PathBuf,
    #[command(flatten)]
    signature: SignatureArgs,
}

/// Exit code of a comparison that finds something worse.
const WORSE: u8 = 3;

pub(super) fn read(path: &Path) -> Result<Campaign, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
    report::read(&text).map_err(|error| Failure::new(format!("{}: {error}", path.display())))
}

fn octets(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| Failure::new(format!("{}: {error}", path.display())))
}

/// `control report`.
pub fn report(args: ReportArgs) -> Result<(), Failure> {
    if args.forms.is_empty() {
        return Err(Failure::new("say in which form: --html, --pdf, --junit, --csv or --json").with_code(2));
    }
    let seal = args.signature.check(&octets(&args.campaign)?)?;
    args.forms.write_sealed(&read(&args.campaign)?, seal.as_ref())
}

/// `control sign`.
pub fn sign(args: SignArgs) -> Result<(), Failure> {
    // What does not hold together is not signed.
    read(&args.campaign)?;
    let signature =
        seal::sign(&octets(&args.campaign)?, &octets(&args.certificate)?, &octets(&args.key)?, SystemClock.now())?;
    let mut beside = args.campaign.clone().into_os_string();
    beside.push(".p7s");
    let path = args.out.unwrap_or_else(|| PathBuf::from(beside));
    std::fs::write(&path, signature).map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
    say(format!("Signé : {}", path.display()));
    Ok(())
}

/// `control compare`.
pub fn compare(args: CompareArgs) -> Result<(), Failure> {
    let (before, after) = (read(&args.before)?, read(&args.after)?);
    let of = |campaign: &Campaign| -> BTreeMap<String, String> {
        campaign.cas.iter().map(|case| (case.id.clone(), case.verdict.label())).collect()
    };
    let (old, new) = (of(&before), of(&after));
    let mut worse = 0;
    for (id, label) in &new {
        let previous = old.get(id).map_or("absent", String::as_str);
        if previous == label {
            continue;
        }
        let is_worse =
            previous == "conforme" || (label.starts_with("non conforme") && !previous.starts_with("non conforme"));
        worse += usize::from(is_worse);
        say(format!("{} {id} : {previous} → {label}", if is_worse { "✗" } else { " " }));
    }
    for id in old.keys().filter(|id| !new.contains_key(*id)) {
        say(format!("  {id} : {} → absent", old[id]));
    }
    say(format!("{} → {}", before.verdict.label(), after.verdict.label()));
    match worse {
        0 => Ok(()),
        count => Err(Failure::new(format!("{count} case(s) worse than before")).with_code(WORSE)),
    }
}

/// `control verify`.
pub fn verify(args: VerifyArgs) -> Result<(), Failure> {
    // A signature speaks of octets: it is checked first, and a changed report is told as such.
    let seal = args.signature.check(&octets(&args.campaign)?)?;
    let campaign = read(&args.campaign)?;
    say(format!("{} preuves, {} cas : l'ensemble tient.", campaign.preuves.len(), campaign.cas.len()));
    if let Some(seal) = seal {
        let date = seal.date.map(|date| format!(", le {date} d'après lui")).unwrap_or_default();
        say(format!("Signé par {}{date} ; certificat {} de {}.", seal.signataire, seal.serie, seal.autorite));
    }
    Ok(())
}
