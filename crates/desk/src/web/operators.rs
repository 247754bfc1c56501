//! Operators and where their campaigns may go: the application's administrator declares it, from the contract.

use axum::response::{IntoResponse, Redirect, Response};
use mssante::{StructureId, StructureIdError};

use super::form::{Field, Kind, field, summary};
use super::guard::{Asked, Failure, Input, Posted, Signed};
use super::layout::{self, Page};
use crate::account::role::Role;
use crate::acts::LONGEST_NAME;
use crate::db::Reach;
use crate::domains;
use crate::error::{Mistake, Refusal};
use crate::html;
use crate::html::Html;
use crate::reach::Range;

/// Most entries of each list.
const MOST: usize = 100;

fn must(signed: &Signed) -> Result<(), Failure> {
    match signed.session.account.role {
        Role::Administrateur => Ok(()),
        _ => Err(signed.fails(Refusal::Forbidden)),
    }
}

pub(super) async fn list(signed: Signed, Asked(asked): Asked) -> Result<Response, Failure> {
    must(&signed)?;
    show(&signed, asked.get("fait"), &Input::default(), &[]).await
}

async fn show(signed: &Signed, done: &str, typed: &Input, mistakes: &[Mistake]) -> Result<Response, Failure> {
    let operators = signed.or_fails(signed.desk.db().organisations().await)?;
    let is_proof_asked = signed.desk.settings().proof.is_some();
    let joined = |texts: Vec<String>| if texts.is_empty() { "–".to_owned() } else { texts.join(", ") };
    let rows: Html = operators
        .iter()
        .map(|one| {
            html!(
                "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
                one.name,
                joined(one.identifiers.iter().map(ToString::to_string).collect()),
                joined(one.reach.domains.clone()),
                joined(one.reach.ranges.iter().map(ToString::to_string).collect()),
                joined(one.reach.ports.iter().map(ToString::to_string).collect())
            )
        })
        .collect();
    let fields = [
        Field {
            name: "nom",
            label: "Nom",
            value: typed.get("nom"),
            help: "Celui d’un opérateur connu change ses déclarations.",
            kind: Kind::Needed,
        },
        Field {
            name: "identifiants",
            label: "Identifiants nationaux",
            value: typed.get("identifiants"),
            help: "Ceux de ses certificats (OU) : 1 et un FINESS, 3 et un SIRET ; séparés par des espaces. Qui signe ses rapports doit en avoir un.",
            kind: Kind::Free,
        },
        Field {
            name: "domaines",
            label: "Domaines de messagerie",
            value: typed.get("domaines"),
            help: match is_proof_asked {
                false => "Séparés par des espaces. Ceux du contrat : une campagne ne vise que ceux-là.",
                true => "Ceux du contrat, admis sans autre preuve ; l’opérateur prouve lui-même les autres par le DNS.",
            },
            kind: if is_proof_asked { Kind::Free } else { Kind::Needed },
        },
        Field {
            name: "plages",
            label: "Plages d’adresses",
            value: typed.get("plages"),
            help: match is_proof_asked {
                false => "192.0.2.0/24 … Les adresses publiques sont admises sans déclaration.",
                true => "192.0.2.0/24 … Admises quel que soit le nom du serveur, publiques ou non.",
            },
            kind: Kind::Free,
        },
        Field {
            name: "ports",
            label: "Ports inhabituels",
            value: typed.get("ports"),
            help: "En plus de 25, 143, 443, 465, 587 et 993.",
            kind: Kind::Free,
        },
    ];
    let body = html!(
        "<h1>Opérateurs</h1>\n{}{}<div class=\"defile\" tabindex=\"0\" role=\"region\" aria-label=\"Opérateurs\"><table>\n<caption>Opérateurs, et où vont leurs campagnes</caption>\n<thead><tr>\
         <th scope=\"col\">Nom</th><th scope=\"col\">Identifiants</th><th scope=\"col\">Domaines</th><th scope=\"col\">Plages</th><th scope=\"col\">Ports</th></tr></thead>\n\
         <tbody>\n{}</tbody></table></div>\n<h2>Déclarer un opérateur</h2>\n<form method=\"post\" action=\"/operateurs\" class=\"etroit\">{}\n{}\
         <p><button>Enregistrer</button></p></form>\n",
        layout::notice(done),
        summary(mistakes),
        rows,
        layout::key(&signed.session),
        fields.iter().map(|one| field(one, mistakes)).collect::<Html>()
    );
    let session = Some(&signed.session);
    Ok(layout::page(&signed.desk, Page { title: "Opérateurs", session, here: "/operateurs", body, ..Page::default() }))
}

/// Words apart by spaces or commas.
fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split([' ', ',', ';', '\n', '\t']).filter(|word| !word.is_empty())
}

/// The national identifiers that were typed, or what is wrong with them.
fn identifiers(input: &Input) -> Result<Vec<StructureId>, Vec<Mistake>> {
    let (mut found, mut mistakes) = (Vec::new(), Vec::new());
    for text in items(input.get("identifiants")).take(MOST) {
        match text.to_ascii_uppercase().parse::<StructureId>() {
            Ok(id) => found.push(id),
            Err(error) => {
                let why = match error {
                    StructureIdError::Type => {
                        "commence par un chiffre inconnu : 1 pour un FINESS, 2 pour un SIREN, 3 pour un SIRET, 5 pour un FINESS d’entité juridique"
                    }
                    StructureIdError::Form => {
                        "n’a pas la longueur de son type : 9 chiffres de FINESS ou de SIREN, 14 de SIRET, après le chiffre du type"
                    }
                    StructureIdError::Key => "a une clé fausse",
                };
                mistakes.push(Mistake::of("identifiants", format!("« {text} » {why}.")));
            }
        }
    }
    if mistakes.is_empty() { Ok(found) } else { Err(mistakes) }
}

/// What was typed, or what is wrong with it.
fn reach(input: &Input, is_proof_asked: bool) -> Result<Reach, Vec<Mistake>> {
    let mut mistakes = Vec::new();
    let mut reach = Reach::default();
    for domain in items(input.get("domaines")) {
        match domains::read(domain) {
            Some(domain) => reach.domains.push(domain),
            None => mistakes.push(Mistake::of("domaines", format!("« {domain} » n’est pas un nom de domaine."))),
        }
    }
    for range in items(input.get("plages")) {
        match range.parse::<Range>() {
            Ok(range) => reach.ranges.push(range),
            Err(error) => mistakes.push(Mistake::of("plages", error.to_string())),
        }
    }
    for port in items(input.get("ports")) {
        match port.parse::<u16>() {
            Ok(port) if port > 0 => reach.ports.push(port),
            _ => mistakes.push(Mistake::of("ports", format!("« {port} » n’est pas un port."))),
        }
    }
    if reach.domains.is_empty() && mistakes.is_empty() && !is_proof_asked {
        mistakes.push(Mistake::of("domaines", "Un domaine au moins."));
    }
    if [reach.domains.len(), reach.ranges.len(), reach.ports.len()].into_iter().any(|count| count > MOST) {
        mistakes.push(Mistake::of("domaines", format!("{MOST} entrées au plus par liste.")));
    }
    if mistakes.is_empty() { Ok(reach) } else { Err(mistakes) }
}

pub(super) async fn put(Posted { signed, input }: Posted) -> Result<Response, Failure> {
    must(&signed)?;
    let name = input.get("nom");
    let is_proof_asked = signed.desk.settings().proof.is_some();
    let read = (reach(&input, is_proof_asked), identifiers(&input));
    let mut found: Result<(Reach, Vec<StructureId>), Vec<Mistake>> = match read {
        (Ok(reach), Ok(identifiers)) => Ok((reach, identifiers)),
        (reach, identifiers) => Err([reach.err(), identifiers.err()].into_iter().flatten().flatten().collect()),
    };
    if name.is_empty() || name.chars().count() > LONGEST_NAME {
        let mistake = Mistake::of("nom", "De 1 à 120 caractères.");
        found = match found {
            Ok(_) => Err(vec![mistake]),
            Err(mut mistakes) => {
                mistakes.push(mistake);
                Err(mistakes)
            }
        };
    }
    match found {
        Ok((reach, identifiers)) => {
            let now = signed.desk.now();
            let id = signed.or_fails(signed.desk.db().put_organisation(name, reach, now).await)?;
            signed.or_fails(signed.desk.db().identify(id, &identifiers).await)?;
            signed.or_fails(signed.desk.open_stand(id).await)?;
            let who = &signed.session.account.login;
            signed.or_fails(signed.desk.db().note(now, Some(id), who, format!("opérateur déclaré : {name}")).await)?;
            Ok(Redirect::to("/operateurs?fait=operateur").into_response())
        }
        Err(mistakes) => show(&signed, "", &input, &mistakes).await,
    }
}
