//! `vaguemestre control report`, `compare`, `verify`: campaigns that are over.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use control::engine::Campaign;
use control::report;

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
}

impl Forms {
    /// Whether none was asked for.
    pub fn is_empty(&self) -> bool {
        [&self.json, &self.junit, &self.html, &self.csv].into_iter().all(Option::is_none)
    }

    /// Writes those asked for.
    pub fn write(&self, campaign: &Campaign) -> Result<(), Failure> {
        let put = |path: &Option<PathBuf>, text: &dyn Fn() -> Result<String, Failure>| match path {
            Some(path) => {
                std::fs::write(path, text()?).map_err(|error| Failure::new(format!("{}: {error}", path.display())))
            }
            None => Ok(()),
        };
        put(&self.json, &|| pretty(campaign))?;
        put(&self.junit, &|| Ok(report::junit(campaign)))?;
        put(&self.html, &|| Ok(report::html(campaign)))?;
        put(&self.csv, &|| Ok(report::csv(campaign)))
    }
}

/// See the module.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  vaguemestre control report campagne.json --html rapport.html --csv rapport.csv")]
pub struct ReportArgs {
    /// The JSON of a campaign.
    #[arg(value_name = "FILE")]
    campaign: PathBuf,
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

/// See the module.
#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    /// The JSON of a campaign.
    #[arg(value_name = "FILE")]
    campaign: PathBuf,
}

/// Exit code of a comparison that finds something worse.
const WORSE: u8 = 3;

pub(super) fn read(path: &Path) -> Result<Campaign, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
    report::read(&text).map_err(|error| Failure::new(format!("{}: {error}", path.display())))
}

/// `control report`.
pub fn report(args: ReportArgs) -> Result<(), Failure> {
    if args.forms.is_empty() {
        return Err(Failure::new("say in which form: --html, --junit, --csv or --json").with_code(2));
    }
    args.forms.write(&read(&args.campaign)?)
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
    let campaign = read(&args.campaign)?;
    say(format!("{} preuves, {} cas : l'ensemble tient.", campaign.preuves.len(), campaign.cas.len()));
    Ok(())
}
