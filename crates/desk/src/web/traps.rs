//! The trap mailboxes: what operators wrote to them, found by words, shown to the octet.
//!
//! Invariant: an operator sees the sessions that speak in its name, by the domain of the sender or of the certificate, and no other.

use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use control::stand::{self, StandError};
use control::trap::record::{End, Session, Sheet, Transaction};
use control::trap::{TRAPS, reading};
use serde::Deserialize;

use super::guard::{Asked, Failure, Input, Signed};
use super::layout::{self, Page};
use super::stands::{Seen, absent, seen};
use crate::error::Refusal;
use crate::html;
use crate::html::{Html, link};
use crate::stands::is_of;
use crate::words::plural;

/// What the stand answers.
#[derive(Deserialize)]
struct Answer {
    sessions: Vec<Session>,
}

pub(super) async fn list(signed: Signed, Asked(asked): Asked) -> Result<Response, Failure> {
    let (Seen { stand, template, operator, .. }, choice) = seen(&signed, "/pieges", asked.get("modele")).await?;
    let sought = asked.get("q");
    let found = match &stand {
        None => absent("Cet espace n’a pas de banc : ses campagnes n’ont pas de boîtes pièges."),
        Some(stand) => match stand.get::<Answer>(&link("traps/sessions", &[("q", sought)])).await {
            Err(StandError::Refused { status: 404, .. }) => absent("Le banc de cet espace n’a pas de boîtes pièges."),
            Err(error) => absent(&error.to_string()),
            Ok(answer) => {
                let mine: Vec<Session> =
                    answer.sessions.into_iter().filter(|one| is_of(one, operator.as_ref())).collect();
                table(&mine, &template.name)
            }
        },
    };
    let traps: Html = TRAPS
        .iter()
        .map(|trap| {
            html!(
                "<tr><th scope=\"row\"><code>{}</code></th><td>{}</td><td>{}</td></tr>\n",
                trap.name,
                trap.what,
                trap.cases.join(", ")
            )
        })
        .collect();
    let body = html!(
        "<h1>Boîtes pièges</h1>\n{}<form method=\"get\" action=\"/pieges\" class=\"filtres\" role=\"search\">\n<input type=\"hidden\" name=\"modele\" value=\"{}\">\
         <p class=\"champ\"><label for=\"q\">Rechercher</label><input type=\"search\" id=\"q\" name=\"q\" value=\"{}\" aria-describedby=\"q-aide\">\
         <span class=\"aide\" id=\"q-aide\">Des mots, ou <code>from:</code> <code>to:</code> <code>run:</code> <code>porte:</code> <code>entete:X-MSS-NIL</code></span></p>\n\
         <p><button>Rechercher</button></p></form>\n{}<details><summary>Les pièges et ce qu’ils font</summary>\n<div class=\"defile\" tabindex=\"0\" role=\"region\" aria-label=\"Pièges\"><table>\n<caption>Partie locale de l’adresse, \
         suivie de <code>+</code> et d’un mot à soi</caption>\n<thead><tr><th scope=\"col\">Piège</th><th scope=\"col\">Ce qu’il fait</th><th scope=\"col\">Cas</th></tr></thead>\n\
         <tbody>\n{}</tbody></table></div></details>\n",
        choice,
        template.name,
        sought,
        found,
        traps
    );
    let session = Some(&signed.session);
    Ok(layout::page(&signed.desk, Page { title: "Boîtes pièges", session, here: "/pieges", body, ..Page::default() }))
}

fn end(end: Option<End>) -> &'static str {
    match end {
        None => "en cours",
        Some(End::Quit) => "QUIT",
        Some(End::ClosedByPeer) => "fermée par l’opérateur",
        Some(End::ClosedByTrap) => "fermée par le piège, comme prévu",
        Some(End::Handshake) => "poignée de main TLS échouée",
        Some(End::Silence) => "silence",
        Some(End::Answered) => "réponse du piège, menée à bien",
        Some(End::Limit) => "une limite du piège",
        Some(End::Stopped) => "piège arrêté",
    }
}

fn table(sessions: &[Session], template: &str) -> Html {
    if sessions.is_empty() {
        return html!("<p>Aucune session.</p>\n");
    }
    let rows: Html = sessions
        .iter()
        .map(|session| {
            let brief = session.brief();
            html!(
                "<tr><th scope=\"row\"><a href=\"{}\">n° {}</a></th><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
                link(&format!("/pieges/{}", brief.seq), &[("modele", template)]),
                brief.seq,
                brief.at,
                brief.door,
                brief.from,
                brief.to.join(", "),
                brief.subject,
                brief.tls,
                if brief.taken > 0 { "message pris" } else { end(brief.end) }
            )
        })
        .collect();
    html!(
        "<div class=\"defile\" tabindex=\"0\" role=\"region\" aria-label=\"Sessions\"><table>\n<caption>{} session{}, la plus récente d’abord</caption>\n<thead><tr><th scope=\"col\">Session</th><th scope=\"col\">Quand</th>\
         <th scope=\"col\">Porte</th><th scope=\"col\">De</th><th scope=\"col\">À</th><th scope=\"col\">Objet</th><th scope=\"col\">TLS</th>\
         <th scope=\"col\">Fin</th></tr></thead>\n<tbody>\n{}</tbody></table></div>\n",
        sessions.len(),
        plural(sessions.len()),
        rows
    )
}

/// A session that may be seen, and the stand it is on.
async fn found(signed: &Signed, seq: u64, asked: &Input) -> Result<(stand::Client, Session, String), Failure> {
    let (Seen { stand, template, operator, .. }, _) = seen(signed, "/pieges", asked.get("modele")).await?;
    let Some(stand) = stand else { return Err(signed.fails(Refusal::NotFound)) };
    match stand.get::<Session>(&format!("traps/sessions/{seq}")).await {
        Ok(session) if is_of(&session, operator.as_ref()) => Ok((stand, session, template.name)),
        Ok(_) | Err(StandError::Refused { .. }) => Err(signed.fails(Refusal::NotFound)),
        Err(error) => {
            tracing::warn!("the stand: {error}");
            Err(signed.fails(Refusal::Conflict("Le banc ne répond pas.")))
        }
    }
}

pub(super) async fn one(signed: Signed, Path(seq): Path<u64>, Asked(asked): Asked) -> Result<Response, Failure> {
    let (stand, session, template) = found(&signed, seq, &asked).await?;
    let mut transactions = Vec::new();
    for (index, transaction) in session.transactions.iter().enumerate() {
        let is_kept = transaction.message.as_ref().is_some_and(|message| message.is_ours && message.kept > 0);
        let octets = match is_kept {
            true => stand.octets(&format!("traps/sessions/{seq}/messages/{index}")).await.ok(),
            false => None,
        };
        transactions.push(envelope(seq, index, transaction, octets.as_deref(), &template));
    }
    let lines: Html = session
        .dialogue
        .iter()
        .map(|line| {
            html!(
                "<tr><td>{} ms</td><td>{}</td><td><code>{}</code></td></tr>\n",
                line.ms,
                line.from.to_string(),
                line.text
            )
        })
        .collect();
    let body = html!(
        "<h1>Session n° {}</h1>\n<dl>\n<dt>Quand</dt><dd>{}</dd>\n<dt>Porte</dt><dd>{}</dd>\n<dt>Depuis</dt><dd>{}</dd>\n<dt>S’annonce</dt><dd>{}</dd>\n\
         <dt>Fin</dt><dd>{} après {} ms</dd>\n</dl>\n{}{}<h2>Dialogue</h2>\n<div class=\"defile\" tabindex=\"0\" role=\"region\" aria-label=\"Dialogue\"><table class=\"dialogue\">\n<caption>« &lt; » l’opérateur, « &gt; » le piège, « = » une remarque</caption>\n\
         <thead><tr><th scope=\"col\">Temps</th><th scope=\"col\">Qui</th><th scope=\"col\">Texte</th></tr></thead>\n<tbody>\n{}</tbody></table></div>\n",
        session.seq,
        session.at,
        session.door,
        session.peer,
        session.hello,
        end(session.end),
        session.ms,
        session.tls.as_ref().map(sheet),
        transactions.into_iter().collect::<Html>(),
        lines
    );
    let title = format!("Session n° {seq}");
    let who = Some(&signed.session);
    Ok(layout::page(&signed.desk, Page { title: &title, session: who, here: "/pieges", body, ..Page::default() }))
}

/// The TLS sheet.
fn sheet(tls: &Sheet) -> Html {
    let certificate = tls.certificate.as_ref().map(|shown| {
        let verdict = match &shown.fault {
            None => html!("<span class=\"bon\">✓ bon</span>"),
            Some(fault) => html!("<span class=\"mal\">✗ {}</span>", fault),
        };
        html!(
            "<dt>Certificat montré</dt><dd>{}</dd>\n<dt>Émis par</dt><dd>{}</dd>\n<dt>Valable</dt><dd>du {} au {}</dd>\n<dt>SHA-256</dt><dd><code>{}</code></dd>\n\
             <dt>Jugé</dt><dd>{}</dd>\n<dt>Domaines que la liste blanche donne à ce nom</dt><dd>{}</dd>\n",
            shown.subject,
            shown.issuer,
            shown.not_before,
            shown.not_after,
            shown.sha256,
            verdict,
            shown.domains.as_ref().map(|domains| domains.join(", "))
        )
    });
    html!(
        "<h2>TLS</h2>\n<dl>\n<dt>Négocié</dt><dd>{}</dd>\n<dt>Nom demandé (SNI)</dt><dd>{}</dd>\n<dt>Suites offertes</dt><dd>{}</dd>\n{}</dl>\n",
        tls.words(),
        tls.server_name,
        tls.offered.iter().map(|code| format!("{code:#06x}")).collect::<Vec<_>>().join(" "),
        certificate
    )
}

/// One transaction: envelope, header, MIME tree, text.
fn envelope(seq: u64, index: usize, transaction: &Transaction, octets: Option<&[u8]>, template: &str) -> Html {
    let to: Html = transaction.to.iter().map(|to| html!("<li>{} → {}</li>\n", to.address, to.answer)).collect();
    let message = transaction.message.as_ref().map(|message| {
        let read = octets.map(reading::read);
        let fields = read.as_ref().map_or(&message.fields, |read| &read.fields);
        let fields: Html =
            fields.iter().map(|(name, value)| html!("<tr><th scope=\"row\">{}</th><td>{}</td></tr>\n", name, value)).collect();
        let tree = read.as_ref().map(|read| {
            let parts: Html = read
                .parts
                .iter()
                .map(|part| {
                    let indent = "› ".repeat(part.level);
                    html!("<li>{}{} {} <span class=\"pale\">{} octets</span></li>\n", indent, part.kind, part.name, part.octets)
                })
                .collect();
            html!(
                "<h3>Arbre MIME</h3>\n<ul class=\"lignes\">{}</ul>\n{}<p><a href=\"{}\">Télécharger le message</a></p>\n",
                parts,
                read.text.as_ref().map(|text| html!("<h3>Texte</h3>\n<pre tabindex=\"0\">{}</pre>\n", text)),
                link(&format!("/pieges/{seq}/messages/{index}"), &[("modele", template)])
            )
        });
        html!(
            "<p>{} octets, SHA-256 <code>{}</code>, réponse : {}{}</p>\n<h3>En-têtes</h3>\n<div class=\"defile\" tabindex=\"0\" role=\"region\" aria-label=\"En-têtes\"><table>\n<caption>{}</caption>\n<thead><tr><th scope=\"col\">Champ</th><th scope=\"col\">Valeur</th></tr></thead>\n\
             <tbody>\n{}</tbody></table></div>\n{}",
            message.octets,
            message.sha256,
            message.answer,
            if message.is_whole { "" } else { " (interrompu)" },
            if message.is_ours { "Champs de l’en-tête" } else { "Ce message n’est pas des essais : seuls les noms de ses champs sont gardés" },
            fields,
            tree
        )
    });
    html!(
        "<section class=\"variante\"><h2>Message {}</h2>\n<dl><dt>De (enveloppe)</dt><dd>{}</dd><dt>À</dt><dd><ul class=\"lignes\">{}</ul></dd></dl>\n{}</section>\n",
        index + 1,
        if transaction.from.is_empty() { "<>" } else { &transaction.from },
        to,
        message
    )
}

pub(super) async fn message(
    signed: Signed,
    Path((seq, index)): Path<(u64, usize)>,
    Asked(asked): Asked,
) -> Result<Response, Failure> {
    let (stand, _, _) = found(&signed, seq, &asked).await?;
    match stand.octets(&format!("traps/sessions/{seq}/messages/{index}")).await {
        Ok(octets) => {
            let headers = [
                (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
                (header::CONTENT_DISPOSITION, format!("attachment; filename=\"piege-{seq}-{index}.eml\"")),
            ];
            Ok((headers, octets).into_response())
        }
        Err(_) => Err(signed.fails(Refusal::NotFound)),
    }
}
