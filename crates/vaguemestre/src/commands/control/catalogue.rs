//! `vaguemestre control list` and `explain`: the catalogue.

use control::cases;
use control::catalogue::{Catalogue, Mode, advice, all_cases, groups};

use crate::commands::say;
use crate::failure::Failure;

/// See the module.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// Only this group, e.g. JWT; CLI: the cases about mail software.
    #[arg(value_name = "GROUP")]
    group: Option<String>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// See the module.
#[derive(Debug, clap::Args)]
pub struct ExplainArgs {
    /// Which, e.g. TLS-06.
    #[arg(value_name = "CASE")]
    case: String,
}

/// `control list`.
pub fn list(args: ListArgs) -> Result<(), Failure> {
    let catalogue = Catalogue::embedded();
    let is_asked = |group: &str| args.group.as_ref().is_none_or(|asked| asked.eq_ignore_ascii_case(group));
    // Mail software is controlled apart: its cases are listed when they are asked for.
    let is_client = args.group.as_ref().is_some_and(|asked| asked.eq_ignore_ascii_case("CLI"));
    let cases: Vec<_> = match is_client {
        true => control::client::ClientCatalogue::embedded().cases.iter().map(|case| &case.case).collect(),
        false => catalogue.cases.iter().filter(|case| is_asked(case.group())).collect(),
    };
    if cases.is_empty() {
        let groups: Vec<&str> = groups().into_iter().map(|(name, _)| name).collect();
        return Err(Failure::new(format!("no such group; there are {}", groups.join(", "))).with_code(2));
    }
    if args.json {
        say(serde_json::to_string_pretty(&cases)?);
        return Ok(());
    }
    let mut group = "";
    for case in cases {
        if case.group() != group {
            group = case.group();
            let about = groups().into_iter().find(|(name, _)| *name == group).map_or("", |(_, about)| about);
            say(format!("{group} — {about}"));
        }
        let mark = if is_client || cases::is_implemented(&case.id) { " " } else { "·" };
        say(format!("  {mark} {:<7} {:<11} {}", case.id, case.severity.to_string(), case.title));
    }
    say("· : pas encore réalisé, « non exécuté » dans un rapport");
    Ok(())
}

/// `control explain`.
pub fn explain(args: ExplainArgs) -> Result<(), Failure> {
    let Some(case) = all_cases().find(|case| case.id.eq_ignore_ascii_case(&args.case)) else {
        return Err(Failure::new(format!("{}: no such case; see vaguemestre control list", args.case)).with_code(2));
    };
    say(format!("{} — {}", case.id, case.title));
    let mode = match case.mode {
        Mode::Automatic => "automatique",
        Mode::Assisted => "semi-automatique : une action de l'opérateur",
        Mode::Manual => "manuel",
    };
    let advice = advice(&case.id);
    let told = [
        ("Exigence", case.requirements.as_str()),
        ("Gravité", &case.severity.to_string()),
        ("Étapes", &case.steps),
        ("Attendu", &case.expected),
        ("Preuve", &case.evidence),
        ("Mode", mode),
        ("Production", if case.prod { "jouable, sans jeton valide ni BAL réelle" } else { "non" }),
        ("Pourquoi", advice.map_or("", |advice| &advice.pourquoi)),
        ("Que faire", advice.map_or("", |advice| &advice.que_faire)),
        ("Réalisé", if case.group() == "CLI" || cases::is_implemented(&case.id) { "oui" } else { "pas encore" }),
    ];
    for (name, text) in told.into_iter().filter(|(_, text)| !text.is_empty()) {
        say(format!("  {name:<11}{text}"));
    }
    Ok(())
}
