//! `vaguemestre lps traces`: the functional traces, shown or exported (ECO.4.1.1, ECO.4.1.2).

use lps::trace::query::{self, Filter, Format};
use lps::trace::{Action, Trace};
use mssante::Address;
use time::OffsetDateTime;

use super::common::{Frame, trace_folder};
use super::error::Stop;
use super::local;
use super::out::{Cell, Style};

/// See the module.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Traces say who did what on which mailbox, what was asked of the server and what it answered; never what a message holds. They \
    are kept six months unless [traces] keep_days says otherwise.\n\nExamples:\n  vaguemestre lps traces --from 2026-11-01 --action send --action delete\n  \
    vaguemestre lps traces --failed\n  vaguemestre lps traces --csv > traces.csv\n\n\
    --json gives one object a line: at, author, mailbox, action, request, answer, done, message_id."
)]
pub struct Args {
    /// From that day on (YYYY-MM-DD).
    #[arg(long, value_name = "DAY", value_parser = local::day)]
    from: Option<OffsetDateTime>,
    /// Until that day, excluded (YYYY-MM-DD).
    #[arg(long, value_name = "DAY", value_parser = local::day)]
    until: Option<OffsetDateTime>,
    /// Only of that mailbox.
    #[arg(long = "of", value_name = "ADDRESS")]
    of: Option<Address>,
    /// Only those actions: connect, list, read, send, mark, delete, receipt, login, search.
    #[arg(long, value_name = "ACTION", value_parser = action)]
    action: Vec<Action>,
    /// Only what failed.
    #[arg(long)]
    failed: bool,
    /// As CSV (RFC 4180), for spreadsheets.
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

fn action(code: &str) -> Result<Action, String> {
    Action::from_code(code).ok_or_else(|| {
        let codes: Vec<_> = Action::ALL.into_iter().map(Action::code).collect();
        format!("one of {}", codes.join(", "))
    })
}

/// Shows them.
pub fn run(args: Args, frame: &Frame) -> Result<(), Stop> {
    let space = lps::space::Space::load(&frame.settings()?)?;
    let folder = trace_folder(&space);
    let filter = Filter {
        from: args.from,
        until: args.until,
        mailbox: args.of.map(|address| address.to_string()),
        actions: args.action,
        failed: args.failed,
    };
    if args.csv {
        let mut csv = Vec::new();
        // Bounded by what is kept; written at once, for a reader that leaves is no failure.
        query::export(&folder, &filter, Format::Csv, &mut csv)?;
        return frame.out.raw(&csv);
    }
    for trace in query::read(&folder, &filter)? {
        let trace = trace?;
        if frame.out.json {
            let object = serde_json::from_str(&query::json(&trace)).unwrap_or_default();
            frame.out.event(&object)?;
        } else {
            show(&trace, frame)?;
        }
    }
    Ok(())
}

fn show(trace: &Trace, frame: &Frame) -> Result<(), Stop> {
    let (style, outcome) = if trace.done { (Style::Good, "✓") } else { (Style::Bad, "✗") };
    let mailbox = trace.mailbox.as_deref().unwrap_or("-");
    frame.out.line([
        Cell(Style::Faint, local::minute(trace.at)),
        Cell(style, format!(" {outcome} {:<8}", trace.action.code())),
        Cell(Style::Plain, format!(" {mailbox}  {}  ", trace.request)),
        Cell(Style::Faint, format!("→ {}", trace.answer)),
    ])
}
