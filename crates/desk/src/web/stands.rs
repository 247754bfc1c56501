//! The stand as a page finds it.

use super::form;
use super::guard::{Failure, Signed};
use crate::html;
use crate::html::Html;
pub(super) use crate::stands::Seen;

/// The stand of the template that is asked for, and the form that chooses another when there are several.
pub(super) async fn seen(signed: &Signed, path: &'static str, asked: &str) -> Result<(Seen, Html), Failure> {
    let seen = signed.or_fails(signed.desk.stand_of(&signed.who(), asked).await)?;
    let choices: Vec<(String, String)> =
        seen.templates.iter().map(|one| (one.name.clone(), one.title.clone())).collect();
    let choice = if choices.len() < 2 {
        Html::empty()
    } else {
        html!(
            "<form method=\"get\" action=\"{}\" class=\"filtres\">{}<p><button>Voir</button></p></form>\n",
            path,
            form::select("modele", "Espace de confiance", &seen.template.name, &choices)
        )
    };
    Ok((seen, choice))
}

/// Said when there is none, or it does not answer.
pub(super) fn absent(cause: &str) -> Html {
    html!("<p class=\"avis doute\">? {}</p>\n", cause)
}
