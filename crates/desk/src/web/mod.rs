//! The pages. Each file is one of them; [`guard`]: who asks, and forms that are ours; [`layout`]: what all pages share; [`form`]: fields.
//!
//! Invariants:
//! * a page holds no script and no style: both are files of ours, and the Content-Security-Policy allows nothing else;
//! * everything works without the script;
//! * whatever changes something is a POST with the key of the session's forms.

mod accessibility;
mod account;
mod accounts;
mod campaign;
mod campaigns;
mod case;
mod catalogue;
pub(crate) mod compare;
mod domains;
mod first;
mod form;
pub(crate) mod guard;
mod home;
mod job;
mod jobs;
pub(crate) mod layout;
mod new_job;
mod new_software;
mod operators;
mod provider;
mod qr;
pub(crate) mod reports;
mod sign_in;
mod signature;
pub(crate) mod software;
mod stands;
pub(crate) mod stream;
mod stub;
mod submissions;
mod tokens;
mod traps;
pub(crate) mod upload;
#[cfg(test)]
mod upload_tests;
pub(crate) mod verdicts;
pub(crate) mod watches;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use crate::Desk;
use crate::error::Refusal;
use guard::{Failure, Visitor};

const STYLE: &str = include_str!("../../assets/style.css");
const SCRIPT: &str = include_str!("../../assets/desk.js");
const ICON: &str = include_str!("../../assets/icon.svg");

/// Nothing but our own files, and no frame.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; \
    base-uri 'none'; frame-ancestors 'none'";

impl Desk {
    /// The pages and the API.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/", get(home::show))
            .route("/premier-compte", get(first::show).post(first::make))
            .route("/connexion", get(sign_in::show).post(sign_in::enter))
            .route("/connexion/code", get(sign_in::code).post(sign_in::check_code))
            .route("/connexion/fournisseur", get(provider::enter))
            .route("/connexion/retour", get(provider::come_back))
            .route("/connexion/fin", post(provider::back_channel))
            .route("/deconnexion", post(sign_in::leave))
            .route("/catalogue", get(catalogue::list))
            .route("/catalogue/{case}", get(catalogue::one))
            .route("/tests", get(jobs::list).post(new_job::make))
            .route("/tests/nouveau", get(new_job::show))
            .route("/tests/importer", get(new_job::import).post(new_job::take))
            .route("/tests/{job}", get(job::show))
            .route("/tests/{job}/job.toml", get(job::file))
            .route("/tests/{job}/verifier", post(job::check))
            .route("/tests/{job}/lancer", post(job::launch))
            .route("/tests/{job}/supprimer", post(job::hide))
            .route("/tests/{job}/surveiller", post(watches::begin))
            .route("/tests/{job}/ne-plus-surveiller", post(watches::end))
            .route("/tests/{job}/reference", post(watches::reference))
            .route("/surveillance", get(watches::list))
            .route("/surveillance/flux.atom", get(watches::atom))
            .route("/campagnes", get(campaigns::list))
            .route("/campagnes/{campaign}", get(campaign::show))
            .route("/campagnes/{campaign}/flux", get(campaign::stream))
            .route("/campagnes/{campaign}/banc", post(software::say))
            .route("/campagnes/{campaign}/arreter", post(campaign::stop))
            .route("/campagnes/{campaign}/relancer", post(campaign::rerun))
            .route("/campagnes/{campaign}/comparaison", get(compare::show))
            .route("/campagnes/{campaign}/cas/{case}", get(case::show))
            .route("/campagnes/{campaign}/signature", get(signature::show).post(signature::put))
            .route("/campagnes/{campaign}/soumettre", post(submissions::submit))
            .route("/dossiers", get(submissions::list))
            .route("/dossiers/{campaign}", get(submissions::one))
            .route("/dossiers/{campaign}/rapport.json", get(submissions::report))
            .route("/dossiers/{campaign}/decisions", post(submissions::decide))
            .route("/campagnes/{campaign}/{file}", get(campaign::report))
            .route("/pieges", get(traps::list))
            .route("/pieges/{session}", get(traps::one))
            .route("/pieges/{session}/messages/{index}", get(traps::message))
            .route("/bouchon", get(stub::show))
            .route("/compte", get(account::show))
            .route("/compte/mot-de-passe", post(account::password))
            .route("/compte/facteur", get(account::factor).post(account::set_factor))
            .route("/compte/fournisseur", post(provider::tie))
            .route("/compte/fournisseur/delier", post(provider::untie))
            .route("/comptes", get(accounts::list).post(accounts::add))
            .route("/comptes/{account}/etat", post(accounts::set_open))
            .route("/comptes/{account}/facteur", post(accounts::reset_factor))
            .route("/operateurs", get(operators::list).post(operators::put))
            .route("/domaines", get(domains::list).post(domains::ask))
            .route("/domaines/{domain}/verifier", post(domains::check))
            .route("/domaines/{domain}/retirer", post(domains::leave))
            .route("/jetons", get(tokens::list).post(tokens::add))
            .route("/jetons/{token}/revoquer", post(tokens::revoke))
            .route("/accessibilite", get(accessibility::show))
            .route("/style.css", get(|| asset("text/css; charset=utf-8", STYLE)))
            .route("/desk.js", get(|| asset("text/javascript; charset=utf-8", SCRIPT)))
            .route("/icone.svg", get(|| asset("image/svg+xml", ICON)))
            .fallback(absent)
            .merge(crate::api::routes())
            .layer(middleware::from_fn(harden))
            .with_state(self.clone())
    }
}

async fn asset(kind: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "max-age=600")], text).into_response()
}

async fn absent(visitor: Visitor) -> Failure {
    visitor.fails(Refusal::NotFound)
}

/// The headers that every answer has; those an answer already has stay.
async fn harden(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let fixed = [
        ("content-security-policy", POLICY),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
        ("strict-transport-security", "max-age=31536000"),
        ("cache-control", "no-store"),
    ];
    let headers = response.headers_mut();
    for (name, value) in fixed {
        headers.entry(HeaderName::from_static(name)).or_insert(HeaderValue::from_static(value));
    }
    response
}
