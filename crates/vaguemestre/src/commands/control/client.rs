//! `vaguemestre control client`: mail software tested with a scripted operator, or that operator alone for somebody to try.

use std::path::{Path, PathBuf};

use control::client::{ClientCatalogue, ClientJob, Operator, scenarios};
use tokio_util::sync::CancellationToken;

use super::reports::Forms;
use super::run::{Teller, finish, interrupted};
use crate::commands::say;
use crate::failure::Failure;
use crate::runtime;

/// See the module.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The file is explained in docs/control.md. Without a command in it, what to do in the software is told step by step.\n\n\
    Examples:\n  vaguemestre control client logiciel.toml --html rapport.html\n  vaguemestre control client logiciel.toml --only CLI-11\n  \
    vaguemestre control client logiciel.toml --serve\n\n\
    Exit codes: 0 conforming (none or only minor); 1 not run; 3 not conforming; 4 no verdict: something heavy is open."
)]
pub struct Args {
    /// The job.
    #[arg(value_name = "FILE")]
    job: PathBuf,
    /// Only this case (CLI-11); may be given again.
    #[arg(long, value_name = "CASE")]
    only: Vec<String>,
    /// Only plays the operator, every scenario at once, and tells what comes, until Ctrl-C.
    #[arg(long, conflicts_with = "only")]
    serve: bool,
    #[command(flatten)]
    forms: Forms,
}

/// `control client`.
pub fn command(args: Args) -> Result<(), Failure> {
    match args.serve {
        true => serve(&ClientJob::load(&args.job)?),
        false => run(&args.job, &args.only, &args.forms),
    }
}

/// A campaign.
pub(super) fn run(path: &Path, only: &[String], forms: &Forms) -> Result<(), Failure> {
    let job = ClientJob::load(path)?;
    let is_known = |id: &&String| id.eq_ignore_ascii_case("CLI") || ClientCatalogue::embedded().case(id).is_some();
    if let Some(unknown) = only.iter().find(|id| !is_known(id)) {
        return Err(Failure::new(format!("{unknown}: no such case; see vaguemestre control list CLI")).with_code(2));
    }
    let campaign = runtime::block_on(async {
        let stop = CancellationToken::new();
        tokio::spawn(interrupted(stop.clone()));
        let teller = Teller::default();
        let told = |progress: control::engine::Progress<'_>| teller.tell(progress);
        Ok::<_, Failure>(control::client::run(&job, only, &stop, &told).await?)
    })?;
    finish(&campaign, forms)
}

/// Plays the operator, and tells of each session when it is over.
fn serve(job: &ClientJob) -> Result<(), Failure> {
    runtime::block_on(async {
        let operator = Operator::start(&job.client).await?;
        let settings = &job.client;
        say(format!("Autorité à donner au logiciel : {}", settings.folder.join("ca.pem").display()));
        say(format!(
            "Autoconfiguration : https://autoconfig.{}:{}/mail/config-v1.1.xml",
            settings.domain,
            operator.autoconfig.port()
        ));
        say(format!("Serveur {} ({}) :", settings.host(), settings.listen));
        for (place, scenario) in scenarios().iter().enumerate() {
            let (imap, smtp) = operator.places(place);
            say(format!(
                "  {:<24} IMAP {:<6} SMTP {:<6} {}",
                format!("{}@", scenario.nom),
                imap.port(),
                smtp.port(),
                scenario.titre
            ));
        }
        let stop = CancellationToken::new();
        tokio::spawn(interrupted(stop.clone()));
        let mut moved = operator.seen.watch();
        let mut told = std::collections::BTreeSet::new();
        loop {
            for session in operator.seen.since(0).into_iter().filter(|session| session.fin_ms.is_some()) {
                if told.insert(session.numero) {
                    say(format!(
                        "{:?} {} : {} lignes, {} secrets",
                        session.service,
                        session.scenario,
                        session.dialogue.len(),
                        session.secrets.len()
                    ));
                    for line in &session.dialogue {
                        say(format!("  {:>6} ms {} {}", line.ms, line.from, line.text));
                    }
                }
            }
            tokio::select! {
                () = stop.cancelled() => break,
                changed = moved.changed() => if changed.is_err() { break },
            }
        }
        operator.stop().await;
        Ok::<_, Failure>(())
    })
}
