//! Fields of forms: a label, help and mistakes tied to the field, and a summary of the mistakes at the top. RGAA 11.

use crate::error::Mistake;
use crate::html;
use crate::html::Html;

/// A field of one line.
pub(crate) struct Field<'a> {
    /// Its name, also its id.
    pub name: &'a str,
    /// What it asks for.
    pub label: &'a str,
    /// What it holds.
    pub value: &'a str,
    /// What to type.
    pub help: &'a str,
    /// Its kind.
    pub kind: Kind,
}

/// Kinds of fields.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Must be filled.
    Needed,
    /// May be left.
    Free,
    /// A password that is there already.
    Password,
    /// A password to be chosen.
    NewPassword,
    /// The login of an account.
    Login,
    /// A code that is typed once.
    Code,
}

/// A field of one line, with the mistakes it has.
pub(crate) fn field(field: &Field<'_>, mistakes: &[Mistake]) -> Html {
    let Field { name, label, value, help, kind } = field;
    let wrong: Html = mistakes
        .iter()
        .filter(|mistake| mistake.field == *name)
        .map(|mistake| html!("<span class=\"faute\">✗ {}</span>", mistake.text))
        .collect();
    let invalid = if wrong.is_empty() { Html::empty() } else { html!(" aria-invalid=\"true\"") };
    let described =
        if help.is_empty() && wrong.is_empty() { Html::empty() } else { html!(" aria-describedby=\"{}-aide\"", name) };
    let kind_of = match kind {
        Kind::Needed => html!("type=\"text\" required"),
        Kind::Free => html!("type=\"text\""),
        Kind::Password => html!("type=\"password\" autocomplete=\"current-password\" required"),
        Kind::NewPassword => {
            html!("type=\"password\" autocomplete=\"new-password\" required minlength=\"12\" maxlength=\"256\"")
        }
        Kind::Login => {
            html!("type=\"text\" autocomplete=\"username\" autocapitalize=\"none\" spellcheck=\"false\" required")
        }
        Kind::Code => {
            html!("type=\"text\" autocomplete=\"one-time-code\" autocapitalize=\"none\" spellcheck=\"false\" required")
        }
    };
    let needed = if *kind == Kind::Free { html!(" <span class=\"pale\">(facultatif)</span>") } else { Html::empty() };
    let below = if described.is_empty() {
        Html::empty()
    } else {
        html!("<span class=\"aide\" id=\"{}-aide\">{}{}</span>", name, help, wrong)
    };
    html!(
        "<p class=\"champ\"><label for=\"{}\">{}{}</label><input id=\"{}\" name=\"{}\" {} value=\"{}\"{}{}>{}</p>\n",
        name,
        label,
        needed,
        name,
        name,
        kind_of,
        value,
        described,
        invalid,
        below
    )
}

/// A list to choose from: values and labels.
pub(crate) fn select(name: &str, label: &str, chosen: &str, choices: &[(String, String)]) -> Html {
    let options: Html = choices
        .iter()
        .map(|(value, label)| {
            let mark = if value == chosen { html!(" selected") } else { Html::empty() };
            html!("<option value=\"{}\"{}>{}</option>", value, mark, label)
        })
        .collect();
    html!(
        "<p class=\"champ\"><label for=\"{}\">{}</label><select id=\"{}\" name=\"{}\">{}</select></p>\n",
        name,
        label,
        name,
        name,
        options
    )
}

/// The mistakes, at the top of the page, each leading to its field.
pub(crate) fn summary(mistakes: &[Mistake]) -> Html {
    if mistakes.is_empty() {
        return Html::empty();
    }
    let items: Html = mistakes
        .iter()
        .map(|mistake| {
            html!(
                "<li><a href=\"#{}\">{}</a> : {}</li>\n",
                mistake.field.replace('.', "-"),
                mistake.field,
                mistake.text
            )
        })
        .collect();
    html!(
        "<div class=\"avis mal\" role=\"alert\" id=\"fautes\" tabindex=\"-1\"><p>✗ À corriger :</p><ul>{}</ul></div>\n",
        items
    )
}
