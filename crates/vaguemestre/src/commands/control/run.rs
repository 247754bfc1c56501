//! `vaguemestre control run`: a campaign from a file, with progress on standard error and an exit code by verdict.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use control::context::Context;
use control::engine::{self, Asked, Depth, Progress};
use control::job::{Job, Plan};
use control::report;
use control::verdict::{CampaignVerdict, Verdict};
use tokio_util::sync::CancellationToken;

use super::reports::Forms;
use crate::commands::say;
use crate::failure::Failure;
use crate::runtime;

/// Exit codes beside 0 (conforming) and 1 (could not be run).
const NOT_CONFORMING: u8 = 3;
const NOT_ESTABLISHED: u8 = 4;

/// See the module.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The file is explained in docs/control.md; a sandbox writes one for each of its operators (DIR/alpha/control.toml).\n\n\
    Examples:\n  vaguemestre control run sandbox-data/alpha/control.toml --html rapport.html\n  \
    vaguemestre control run job.toml --only JWT --only IMA-03 --junit resultats.xml\n  vaguemestre control run job.toml --check\n\n\
    Exit codes: 0 conforming (none or only minor); 1 not run; 3 not conforming; 4 no verdict: something heavy is open."
)]
pub struct Args {
    /// The job.
    #[arg(value_name = "FILE")]
    job: PathBuf,
    /// Another plan than the file's.
    #[arg(long, value_name = "PLAN", value_parser = plan)]
    plan: Option<Plan>,
    /// Only this case or group (JWT-02, TLS); may be given again.
    #[arg(long, value_name = "CASE")]
    only: Vec<String>,
    /// eclair: what may be run against production; complet: everything.
    #[arg(long, value_enum, default_value = "complet")]
    depth: DepthArg,
    /// Goes on with a campaign that was stopped: what its report (JSON) has concluded is not run again.
    #[arg(long, value_name = "FILE")]
    resume: Option<PathBuf>,
    /// Only looks whether the job can be run (ports, TLS, a good token): never a non-conformity.
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    forms: Forms,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum DepthArg {
    Eclair,
    Complet,
}

fn plan(code: &str) -> Result<Plan, String> {
    let all = Plan::ALL.map(Plan::code).join(", ");
    Plan::of_code(code).ok_or_else(|| format!("no such plan; there are {all}"))
}

/// Runs it.
pub fn run(args: Args) -> Result<(), Failure> {
    if control::client::is_client(&args.job) {
        return super::client::run(&args.job, &args.only, &args.forms);
    }
    let mut job = Job::load(&args.job)?;
    job.plan = args.plan.unwrap_or(job.plan);
    let context = Context::new(job)?;
    if let Some(unknown) = args.only.iter().find(|name| !is_known(name)) {
        return Err(
            Failure::new(format!("{unknown}: no such case or group; see vaguemestre control list")).with_code(2)
        );
    }
    if args.check {
        return check(&context);
    }
    let depth = match args.depth {
        DepthArg::Eclair => Depth::Eclair,
        DepthArg::Complet => Depth::Complet,
    };
    let mut asked = Asked { only: args.only.clone(), depth, parallel: context.job.limits.parallel, ..Asked::default() };
    if let Some(path) = &args.resume {
        let before = super::reports::read(path)?;
        let is_concluded = |case: &engine::CaseResult| {
            !matches!(case.verdict, Verdict::NonExecute { .. } | Verdict::Inconclusif { .. })
        };
        asked.done = before.cas.into_iter().filter(is_concluded).collect();
        asked.proofs = before.preuves;
    }
    let campaign = runtime::block_on(async {
        let stop = asked.stop.clone();
        tokio::spawn(interrupted(stop));
        let teller = Teller::default();
        let told = |progress: Progress<'_>| teller.tell(progress);
        Ok::<_, Failure>(engine::run(&context, asked, &told).await)
    })?;
    finish(&campaign, &args.forms)
}

/// Tells how a campaign goes on, on standard error.
#[derive(Debug, Default)]
pub(super) struct Teller {
    done: AtomicUsize,
    planned: AtomicUsize,
}

impl Teller {
    /// Tells.
    pub(super) fn tell(&self, progress: Progress<'_>) {
        match progress {
            Progress::Planned(count) => self.planned.store(count, Ordering::Relaxed),
            Progress::Begun(_) => {}
            Progress::Waiting { case, what } => eprintln!("        {} attend : {what}", case.id),
            Progress::Done { result: case, .. } => {
                let at = self.done.fetch_add(1, Ordering::Relaxed) + 1;
                let of = self.planned.load(Ordering::Relaxed);
                let reason = case.verdict.reason().map(|reason| format!(" : {reason}")).unwrap_or_default();
                eprintln!("{at:>3}/{of} {} {} — {}{reason}", case.id, case.titre, case.verdict.label());
            }
        }
    }
}

/// The report, the verdict in a line, the exit code.
pub(super) fn finish(campaign: &engine::Campaign, forms: &Forms) -> Result<(), Failure> {
    forms.write(campaign)?;
    if forms.is_empty() {
        for case in campaign.cas.iter().filter(|case| case.verdict != Verdict::Conforme) {
            for variant in case.variantes.iter().filter(|variant| variant.verdict != Verdict::Conforme) {
                let by = variant.protocole.map(|protocol| format!(" ({})", protocol.label())).unwrap_or_default();
                say(format!("{} {}{by} : {}", case.id, variant.nom, variant.verdict.label()));
                say(format!("    attendu : {}\n    observé : {}", variant.attendu, variant.observe));
            }
        }
    }
    let counts: Vec<String> = campaign.comptes.iter().map(|(label, count)| format!("{count} {label}")).collect();
    say(format!("{} — {} cas : {}", campaign.verdict.label(), campaign.cas.len(), counts.join(", ")));
    match campaign.verdict {
        CampaignVerdict::Conforme => Ok(()),
        CampaignVerdict::NonEtabli => {
            Err(Failure::new("no verdict: a major or blocking case is open").with_code(NOT_ESTABLISHED))
        }
        _ => Err(Failure::new("not conforming").with_code(NOT_CONFORMING)),
    }
}

/// Ends the campaign at the first Ctrl-C: its report is written, and `--resume` goes on from it.
pub(super) async fn interrupted(stop: CancellationToken) {
    if tokio::signal::ctrl_c().await.is_ok() {
        stop.cancel();
    }
}

fn is_known(name: &str) -> bool {
    let catalogue = control::catalogue::Catalogue::embedded();
    catalogue.case(name).is_some() || catalogue.groups.keys().any(|group| group.eq_ignore_ascii_case(name))
}

fn check(context: &Context) -> Result<(), Failure> {
    let checks = runtime::block_on(async { Ok::<_, Failure>(engine::preflight(context).await) })?;
    for check in &checks {
        say(format!("{} {} — {}", if check.bon { "✓" } else { "✗" }, check.quoi, check.detail));
    }
    if checks.iter().all(|check| check.bon) {
        return Ok(());
    }
    Err(Failure::new("the job cannot be run as it is (this says nothing of the operator's conformity)"))
}

/// The report's JSON, for the other commands.
pub(super) fn pretty(campaign: &engine::Campaign) -> Result<String, Failure> {
    Ok(serde_json::to_string_pretty(&report::json(campaign))?)
}
