//! The stand (PSC stub, traps) as a page finds it: by the templates that the account's operator has.

use control::stand;

use super::form;
use super::guard::{Failure, Signed};
use crate::compose::Template;
use crate::db::Organisation;
use crate::error::{Broken, Refusal};
use crate::html;
use crate::html::Html;

/// A stand, and whose eyes look at it.
pub(super) struct Seen {
    pub stand: Option<stand::Client>,
    pub template: Template,
    /// None: somebody who sees every operator.
    pub operator: Option<Organisation>,
    /// To choose another template, when there are several.
    pub choice: Html,
}

/// The stand of the template that is asked for, or of the first one.
pub(super) async fn seen(signed: &Signed, path: &'static str, asked: &str) -> Result<Seen, Failure> {
    let who = signed.who();
    signed.or_fails(who.scope())?;
    let operator = signed.or_fails(signed.desk.operator_of(&who).await)?;
    let all: Vec<Template> = match &operator {
        Some(operator) => signed.desk.templates(&operator.name).cloned().collect(),
        None => signed.desk.settings().templates.clone(),
    };
    let found = all.iter().find(|one| asked.is_empty() || one.name == asked);
    let Some(template) = found.cloned() else { return Err(signed.fails(Refusal::NotFound)) };
    let choices: Vec<(String, String)> = all.iter().map(|one| (one.name.clone(), one.title.clone())).collect();
    let choice = if choices.len() < 2 {
        Html::empty()
    } else {
        html!(
            "<form method=\"get\" action=\"{}\" class=\"filtres\">{}<p><button>Voir</button></p></form>\n",
            path,
            form::select("modele", "Espace de confiance", &template.name, &choices)
        )
    };
    let (inside, kept) = (template.clone(), template);
    // It reads a key and authorities.
    let opened = tokio::task::spawn_blocking(move || inside.stand()).await.map_err(|_| Broken::Task);
    let stand = signed.or_fails(opened.and_then(|opened| opened))?;
    Ok(Seen { stand, template: kept, operator, choice })
}

/// Said when there is none, or it does not answer.
pub(super) fn absent(cause: &str) -> Html {
    html!("<p class=\"avis doute\">? {}</p>\n", cause)
}
