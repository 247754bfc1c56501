//! The signature of a report: the file to be signed, how to sign it elsewhere, the signature to be given, and what was found in it.

use axum::extract::{FromRequest, Path, Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Redirect, Response};
use control::report;
use mssante::StructureId;

use super::form;
use super::guard::{Asked, Failure, NotYet, Signed, is_foreign, is_form_key};
use super::layout::{self, Page};
use super::upload;
use crate::Desk;
use crate::account::role::Role;
use crate::db::{Campaign, Signature};
use crate::error::{Mistake, Refusal};
use crate::html::Html;
use crate::{html, words};

/// `GET /campagnes/{campaign}/signature`.
pub(super) async fn show(signed: Signed, Path(id): Path<String>, Asked(asked): Asked) -> Result<Response, Failure> {
    page(&signed, &id, asked.get("fait"), &[]).await
}

async fn page(signed: &Signed, id: &str, done: &str, mistakes: &[Mistake]) -> Result<Response, Failure> {
    let who = signed.who();
    let campaign = signed.or_fails(signed.desk.campaign_of(&who, id).await)?;
    let scope = signed.or_fails(who.scope())?;
    let kept = signed.or_fails(signed.desk.db().signature(scope, &campaign.id).await)?;
    let inside = match &kept {
        Some(signature) => found(&campaign, signature),
        None => {
            let octets = signed.or_fails(signed.desk.to_be_signed(&who, &campaign).await)?;
            let operator = signed.or_fails(signed.desk.db().organisation(campaign.organisation).await)?;
            let declared = operator.map(|operator| operator.identifiers).unwrap_or_default();
            to_do(signed, &campaign, &report::sha256(&octets), &declared, mistakes)
        }
    };
    let body = html!(
        "<h1>Signature du rapport</h1>\n{}{}<p>Campagne <a href=\"/campagnes/{}\">{}</a>.</p>\n{}",
        layout::notice(done),
        form::summary(mistakes),
        campaign.id,
        campaign.name,
        inside
    );
    let session = Some(&signed.session);
    let title = "Signature du rapport";
    Ok(layout::page(&signed.desk, Page { title, session, here: "/campagnes", body, ..Page::default() }))
}

fn found(campaign: &Campaign, signature: &Signature) -> Html {
    let seal = &signature.seal;
    let identifiers = match seal.identifiants.as_slice() {
        [] => "sans identifiant national".to_owned(),
        told => told.join(", "),
    };
    let bound = match signature.is_bound {
        true => html!("<span class=\"bon\">✓ identifiant déclaré de l’opérateur</span>"),
        false => html!(
            "<span class=\"doute\">? non comparé : aucun identifiant n’était déclaré pour l’opérateur ; rien ne dit que ce certificat est le sien</span>"
        ),
    };
    html!(
        "<p class=\"avis bon\">✓ Signé par <strong>{}</strong>.</p>\n<dl>\n<dt>Organisation du certificat</dt><dd>{} ({}) — {}</dd>\n<dt>Certificat</dt><dd>n° {} de {}</dd>\n\
         <dt>Date, selon le signataire</dt><dd>{}</dd>\n<dt>Vérifiée et déposée</dt><dd>le {} par {}</dd>\n\
         <dt>SHA-256 du rapport</dt><dd><code>{}</code></dd>\n</dl>\n\
         <ul class=\"telecharger\"><li><a href=\"/campagnes/{}/rapport.json\">rapport.json (ce qui est signé)</a></li>\n\
         <li><a href=\"/campagnes/{}/rapport.json.p7s\">rapport.json.p7s (la signature)</a></li></ul>\n\
         <p>Chacun la vérifie : <code>vaguemestre control verify rapport.json --signature rapport.json.p7s --anchors autorites.pem</code></p>\n",
        seal.signataire,
        seal.organisation.as_deref().unwrap_or("sans nom"),
        identifiers,
        bound,
        seal.serie,
        seal.autorite,
        seal.date.as_deref().unwrap_or("non dite"),
        words::instant(signature.at),
        signature.author,
        seal.sha256,
        campaign.id,
        campaign.id
    )
}

fn to_do(signed: &Signed, campaign: &Campaign, sha256: &str, declared: &[StructureId], mistakes: &[Mistake]) -> Html {
    let download = html!(
        "<p>– Ce rapport n’est pas signé.</p>\n<h2>1. Le fichier à signer</h2>\n<p><a href=\"/campagnes/{}/rapport.json\">Télécharger rapport.json</a></p>\n\
         <dl><dt>SHA-256</dt><dd><code id=\"empreinte\">{}</code></dd></dl>\n",
        campaign.id,
        sha256
    );
    if !signed.session.account.role.may_sign() {
        return html!("{}<p class=\"pale\">Un signataire de l’opérateur dépose ici la signature.</p>\n", download);
    }
    if signed.desk.settings().signature.is_none() {
        return html!("{}<p class=\"avis doute\">? Aucune autorité de signature n’est configurée ici.</p>\n", download);
    }
    let whose = match declared {
        [] => html!(
            "<p class=\"avis doute\">? Aucun identifiant national (FINESS, SIRET) n’est déclaré pour votre opérateur : l’organisation du certificat sera montrée, et non \
             comparée. L’administrateur de l’application peut le déclarer.</p>\n"
        ),
        declared => {
            let declared: Vec<&str> = declared.iter().map(StructureId::as_str).collect();
            html!("<p>Le certificat doit être celui de votre organisation : {}.</p>\n", declared.join(" ou "))
        }
    };
    let wrong: Html = mistakes.iter().map(|mistake| html!("<span class=\"faute\">✗ {}</span>", mistake.text)).collect();
    html!(
        "{}<h2>2. Signer, là où est la clé</h2>\n<p>Une signature CMS détachée, par un certificat d’organisation fait pour signer (ORG SIGN). La clé ne vient jamais ici.</p>\n{}\
         <pre tabindex=\"0\">openssl cms -sign -binary -md sha256 -in rapport.json -signer certificat.pem -inkey cle.pem -outform DER -out rapport.json.p7s</pre>\n\
         <p>Ou <code>vaguemestre control sign rapport.json --certificate certificat.pem --key cle.pem</code>, ou le logiciel d’une carte à puce.</p>\n\
         <h2>3. Déposer la signature</h2>\n\
         <form method=\"post\" action=\"/campagnes/{}/signature\" enctype=\"multipart/form-data\" class=\"etroit\">{}\n\
         <p class=\"champ\"><label for=\"fichier\">Signature</label><input type=\"file\" id=\"fichier\" name=\"fichier\" required aria-describedby=\"fichier-aide\">\
         <span class=\"aide\" id=\"fichier-aide\">rapport.json.p7s, DER ou PEM. {}</span></p>\n<p><button>Vérifier et déposer</button></p></form>\n",
        download,
        whose,
        campaign.id,
        layout::key(&signed.session),
        wrong
    )
}

/// A form with a file, of somebody signed in.
pub(crate) struct Given {
    signed: Signed,
    octets: Vec<u8>,
}

impl FromRequest<Desk> for Given {
    type Rejection = NotYet;

    async fn from_request(request: Request, desk: &Desk) -> Result<Given, NotYet> {
        use axum::extract::FromRequestParts;
        let (mut parts, body) = request.into_parts();
        let signed = Signed::from_request_parts(&mut parts, desk).await?;
        let refused = |refusal| NotYet::Failure(signed.fails(refusal));
        // Before anything of it is read.
        signed.who().must(Role::may_sign).map_err(refused)?;
        if is_foreign(&parts.headers) {
            return Err(refused(Refusal::Stale));
        }
        let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let body = axum::body::to_bytes(body, upload::LARGEST).await;
        let body = body.map_err(|_| refused(Refusal::Conflict("Ce fichier est trop grand pour une signature.")))?;
        let read = upload::boundary(kind).and_then(|boundary| upload::parts(&body, &boundary));
        let read = read.ok_or_else(|| refused(Refusal::Conflict("Ce formulaire n’est pas lisible.")))?;
        let field = |name: &str| read.iter().find(|part| part.name == name).map_or(&b""[..], |part| part.octets);
        if !is_form_key(&signed.session, field(super::guard::FORM_KEY)) {
            return Err(refused(Refusal::Stale));
        }
        let octets = field("fichier").to_vec();
        Ok(Given { signed, octets })
    }
}

/// `POST /campagnes/{campaign}/signature`.
pub(super) async fn put(
    State(desk): State<Desk>,
    Path(id): Path<String>,
    Given { signed, octets }: Given,
) -> Result<Response, Failure> {
    let who = signed.who();
    let campaign = signed.or_fails(desk.campaign_of(&who, &id).await)?;
    match desk.sign(&who, &campaign, octets).await {
        Ok(_) => {
            let place = format!("/campagnes/{}/signature?fait=signe", campaign.id.as_str());
            Ok(Redirect::to(&place).into_response())
        }
        Err(Refusal::Invalid(mistakes)) => page(&signed, &id, "", &mistakes).await,
        Err(refusal) => Err(signed.fails(refusal)),
    }
}
