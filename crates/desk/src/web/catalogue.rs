//! The catalogue, public: what is controlled, how heavy, and why.

use axum::extract::{Path, State};
use axum::response::Response;
use control::catalogue::{Case, Catalogue, Mode, advice, all_cases, groups};

use super::form;
use super::guard::{Asked, Failure, Visitor};
use super::layout::{self, Page};
use crate::Desk;
use crate::error::Refusal;
use crate::html;
use crate::html::Html;
use crate::question;

/// Whether a text holds all the words, whatever the case.
fn holds(case: &Case, words: &[String]) -> bool {
    let text =
        format!("{} {} {} {} {}", case.id, case.title, case.requirements, case.steps, case.expected).to_lowercase();
    words.iter().all(|word| text.contains(word))
}

pub(super) async fn list(State(desk): State<Desk>, visitor: Visitor, Asked(asked): Asked) -> Response {
    let catalogue = Catalogue::embedded();
    let (sought, group, severity) = (asked.get("q"), asked.get("groupe"), asked.get("gravite"));
    let sought_words: Vec<String> = sought.to_lowercase().split_whitespace().map(str::to_owned).collect();
    let found: Vec<&Case> = all_cases()
        .filter(|case| group.is_empty() || case.group() == group)
        .filter(|case| severity.is_empty() || case.severity.to_string() == severity)
        .filter(|case| holds(case, &sought_words))
        .collect();
    let rows: Html = found
        .iter()
        .map(|case| {
            let done = if question::is_run(case) { "oui" } else { "pas encore" };
            html!(
                "<tr><th scope=\"row\"><a href=\"/catalogue/{}\">{}</a></th><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
                case.id,
                case.id,
                case.title,
                case.severity.to_string(),
                case.requirements,
                done
            )
        })
        .collect();
    let all = |label: &str| (String::new(), label.to_owned());
    let groups: Vec<(String, String)> = std::iter::once(all("tous"))
        .chain(groups().into_iter().map(|(code, label)| (code.to_owned(), format!("{code} — {label}"))))
        .collect();
    let severities: Vec<(String, String)> = std::iter::once(all("toutes"))
        .chain(["bloquante", "majeure", "mineure", "information"].map(|name| (name.to_owned(), name.to_owned())))
        .collect();
    let body = html!(
        "<h1>Catalogue des cas</h1>\n<p>Version {}, empreinte <code>{}</code>. Gravité <strong>bloquante</strong> : un tiers peut lire, émettre ou se faire \
         passer pour un autre, ou l’échange nominal ne marche pas ; <strong>majeure</strong> : une obligation manque sans compromission immédiate ; \
         <strong>mineure</strong> : recommandation, qualité du diagnostic, fin de vie ; <strong>information</strong> : constat sans effet. \
         Une campagne est conforme sans non-conformité, ou avec des mineures seulement (MSS 20).</p>\n\
         <form method=\"get\" action=\"/catalogue\" class=\"filtres\" role=\"search\">\n<p class=\"champ\"><label for=\"q\">Rechercher</label>\
         <input type=\"search\" id=\"q\" name=\"q\" value=\"{}\"></p>\n{}{}<p><button>Filtrer</button></p></form>\n\
         <div class=\"defile\" tabindex=\"0\" role=\"region\" aria-label=\"Cas\"><table>\n<caption>{} cas sur {}</caption>\n<thead><tr><th scope=\"col\">Cas</th><th scope=\"col\">Titre</th>\
         <th scope=\"col\">Gravité</th><th scope=\"col\">Exigences</th><th scope=\"col\">Réalisé</th></tr></thead>\n<tbody>\n{}</tbody></table></div>\n",
        catalogue.version,
        Catalogue::sha256(),
        sought,
        form::select("groupe", "Groupe", group, &groups),
        form::select("gravite", "Gravité", severity, &severities),
        found.len(),
        all_cases().count(),
        rows
    );
    let session = visitor.session.as_ref();
    layout::page(&desk, Page { title: "Catalogue", session, here: "/catalogue", body, ..Page::default() })
}

pub(super) async fn one(
    State(desk): State<Desk>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let Some(case) = question::case(&id) else { return Err(visitor.fails(Refusal::NotFound)) };
    let session = visitor.session.as_ref();
    let body = html!(
        "<h1>{} — {}</h1>\n{}<p><a href=\"/catalogue\">Tout le catalogue</a></p>\n",
        case.id,
        case.title,
        sheet(case)
    );
    Ok(layout::page(&desk, Page { title: &case.id, session, here: "/catalogue", body, ..Page::default() }))
}

/// What a case is.
pub(super) fn sheet(case: &Case) -> Html {
    let mode = match case.mode {
        Mode::Automatic => "automatique",
        Mode::Assisted => "semi-automatique : une action de l’opérateur, ou du logiciel",
        Mode::Manual => "manuel",
    };
    let base: Vec<&str> =
        [("G", "textes du mandat"), ("O", "texte officiel connu de seconde main"), ("BP", "bonne pratique")]
            .into_iter()
            .filter(|(code, _)| case.base.split([' ', '+', ',', '/']).any(|part| part == *code))
            .map(|(_, label)| label)
            .collect();
    let advice = advice(&case.id);
    let severity = case.severity.to_string();
    let base = base.join(", ");
    let rows = [
        ("Exigences", case.requirements.as_str()),
        ("Gravité", severity.as_str()),
        ("Étapes", &case.steps),
        ("Attendu", &case.expected),
        ("Preuve", &case.evidence),
        ("Mode", mode),
        ("Fondement", &base),
        ("En production", if case.prod { "jouable : ni jeton valide ni BAL réelle" } else { "non" }),
        ("Pourquoi", advice.map_or("", |advice| &advice.pourquoi)),
        ("Que faire", advice.map_or("", |advice| &advice.que_faire)),
    ];
    let rows: Html = rows
        .into_iter()
        .filter(|(_, text)| !text.is_empty())
        .map(|(name, text)| html!("<dt>{}</dt><dd>{}</dd>\n", name, text))
        .collect();
    html!("<dl>\n{}</dl>\n", rows)
}
