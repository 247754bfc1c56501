//! `vaguemestre lps search`: a recipient's address in the Annuaire Santé (ECO.3.1.4, DIR-READ), over the network or in the extraction on
//! this machine.

use lps::find::{Finder, Place, Query, Sources, StructureSought};
use mssante::MailboxKind;
use serde_json::json;

use super::common::Frame;
use super::error::{CommandError, Stop};
use super::out::{Cell, Style};

/// See the module.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Every criterion given must hold; names and words by their beginning, without regard to case and accents. A mailbox on the liste rouge is \
    found by its whole address only.\n\nExamples:\n  vaguemestre lps search leroy\n  vaguemestre lps search --profession pharmacien --place 42000\n  \
    vaguemestre lps search --rpps 10000000017 --json\n  vaguemestre lps search --update-extraction\n  vaguemestre lps search leroy --offline"
)]
pub struct Args {
    /// Name under which somebody practises.
    name: Option<String>,
    /// First name.
    #[arg(long, value_name = "NAME")]
    given: Option<String>,
    /// Profession: its code (10) or words of it (médecin).
    #[arg(long, value_name = "WORDS")]
    profession: Option<String>,
    /// Speciality: its code (SM04) or words of it.
    #[arg(long, value_name = "WORDS")]
    speciality: Option<String>,
    /// Postal code, département or commune.
    #[arg(long, value_name = "PLACE")]
    place: Option<Place>,
    /// Structure: its name, FINESS or SIRET.
    #[arg(long, value_name = "STRUCTURE")]
    structure: Option<StructureSought>,
    /// RPPS number.
    #[arg(long, value_name = "NUMBER")]
    rpps: Option<String>,
    /// An address, or its beginning.
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,
    /// Kind of mailbox: PER, ORG, APP, CAB; may be given several times.
    #[arg(long, value_name = "KIND")]
    kind: Vec<MailboxKind>,
    /// At most so many.
    #[arg(long, short, value_name = "N", default_value_t = 25)]
    limit: usize,
    /// Only in the extraction on this machine: nothing leaves it.
    #[arg(long)]
    offline: bool,
    /// Brings the extraction up to date first.
    #[arg(long)]
    update_extraction: bool,
}

/// Looks, and shows.
pub async fn run(args: Args, frame: &Frame) -> Result<(), Stop> {
    let space = frame.space()?;
    let finder = Finder::open(&space)?;
    let author = frame.person()?.map(|person| person.to_string()).unwrap_or_default();
    let out = &frame.out;
    if args.update_extraction {
        let work = finder.update(|_| {}, &author);
        frame.busy(out.pick("Mise à jour de l'extraction", "Updating the extraction"), work).await?;
    }
    let query = Query {
        name: args.name,
        given: args.given,
        profession: args.profession,
        speciality: args.speciality,
        place: args.place,
        structure: args.structure,
        rpps: args.rpps,
        address: args.address,
        kinds: args.kind,
        limit: args.limit,
    };
    let nothing = Query { limit: query.limit, ..Query::default() };
    if query == nothing {
        if args.update_extraction {
            return match out.json {
                true => out.document(&json!({ "updated": true })),
                false => out.say(out.pick("Extraction à jour.", "Extraction up to date.")),
            };
        }
        let (french, english) = ("que cherchez-vous ?".to_owned(), "what do you look for?".to_owned());
        return Err(CommandError::Value(french, english).into());
    }
    let sources = if args.offline { Sources::Extraction } else { Sources::Auto };
    let work = finder.find(&query, sources, &author);
    let found = frame.busy(out.pick("Recherche dans l'Annuaire", "Searching the directory"), work).await?;
    for doubt in &found.doubts {
        use lps::Explain;
        out.note(&format!("{} [{}]", doubt.message(out.language), doubt.code()));
    }
    if out.json {
        let list = found.entries.iter().map(|entry| {
            json!({
                "address": entry.address.to_string(),
                "kind": entry.kind.code(),
                "name": entry.name(),
                "person": entry.person.as_ref().map(|person| json!({
                    "id": person.id.as_ref().map(ToString::to_string),
                    "title": person.title,
                    "given": person.given,
                    "family": person.family,
                })),
                "profession": entry.profession().map(|coded| json!({ "code": coded.code, "label": coded.label })),
                "speciality": entry.speciality().map(|coded| json!({ "code": coded.code, "label": coded.label })),
                "structure": entry.structure(),
                "structure_id": entry.site().map(|site| site.structure_id.as_str()).filter(|id| !id.is_empty()),
                "place": entry.place(),
                "red_list": entry.red_list,
                "source": entry.source,
            })
        });
        return out.document(&json!({ "entries": list.collect::<Vec<_>>(), "complete": found.complete }));
    }
    if found.entries.is_empty() {
        return out.line([Cell(Style::Faint, out.pick("Personne.", "Nobody.").into())]);
    }
    let rows: Vec<Vec<Cell>> = found
        .entries
        .iter()
        .map(|entry| {
            let what = entry.speciality().or(entry.profession()).map(|coded| coded.label.clone()).unwrap_or_default();
            vec![
                Cell(Style::Strong, entry.name()),
                what.into(),
                entry.structure().unwrap_or_default().into(),
                entry.place().unwrap_or_default().into(),
                Cell(Style::Faint, entry.kind.code().into()),
                Cell(Style::Accent, entry.address.to_string()),
            ]
        })
        .collect();
    let headers = match out.language {
        lps::Language::French => ["nom", "profession", "structure", "lieu", "", "adresse"],
        lps::Language::English => ["name", "profession", "structure", "place", "", "address"],
    };
    out.table(&headers, &rows, &[0, 1, 2, 3])?;
    if !found.complete {
        let more = out.pick("Il y en a d'autres : précisez, ou --limit.", "There are more: say more, or --limit.");
        out.note(more);
    }
    Ok(())
}
