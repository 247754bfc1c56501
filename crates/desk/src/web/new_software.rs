//! Describing a test of mail software: what it is, and which steps it can do. Where it is to be pointed at is told once the campaign runs.

use axum::response::{IntoResponse, Redirect, Response};
use control::client::Step;
use control::client::job::PLAN;
use toml::{Table, Value};

use super::form::{Field, Kind, field, summary};
use super::guard::{Failure, Input, Signed};
use super::layout::{self, Page};
use super::new_job::{at, put};
use crate::acts::Taken;
use crate::error::{Mistake, Refusal};
use crate::html;
use crate::html::Html;

/// Fields of the form and the keys of the job they fill.
const KEYS: [(&str, &str); 4] = [
    ("logiciel", "software.name"),
    ("version", "software.version"),
    ("editeur", "software.vendor"),
    ("nil", "software.nil"),
];
/// Those that are numbers, with what they hold at first: people take longer than commands.
const NUMBERS: [(&str, &str, i64); 2] =
    [("attente", "client.wait_seconds", 900), ("calme", "client.quiet_seconds", 20)];

/// What the form shows.
type Shown = Vec<(String, String)>;

/// The form as it is at first, or filled from a job.
pub(super) fn filled(table: &Table) -> Shown {
    let text = |key: &str| at(table, key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut out: Shown = KEYS.iter().map(|(name, key)| ((*name).to_owned(), text(key))).collect();
    out.push(("nom".to_owned(), text("name")));
    for (name, key, usual) in NUMBERS {
        let number = at(table, key).and_then(Value::as_integer).unwrap_or(usual);
        out.push((name.to_owned(), number.to_string()));
    }
    let steps = at(table, "client.steps").and_then(Value::as_array);
    for step in Step::ALL {
        if steps.is_none_or(|steps| steps.iter().any(|one| one.as_str() == Some(step.code()))) {
            out.push(("etape".to_owned(), step.code().to_owned()));
        }
    }
    out
}

fn of_input(input: &Input) -> Shown {
    let names = KEYS.iter().map(|(name, _)| *name).chain(NUMBERS.iter().map(|(name, ..)| *name)).chain(["nom"]);
    let mut out: Shown = names.map(|name| (name.to_owned(), input.get(name).to_owned())).collect();
    out.extend(input.all("etape").into_iter().map(|step| ("etape".to_owned(), step)));
    out
}

/// The page.
pub(super) fn form(signed: &Signed, shown: &Shown, mistakes: &[Mistake]) -> Response {
    let value = |name: &str| shown.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
    let one = |name: &str, label: &str, help: &str, kind: Kind| {
        field(&Field { name, label, value: value(name), help, kind }, mistakes)
    };
    let steps: Html = Step::ALL
        .into_iter()
        .map(|step| {
            let is_on = shown.iter().any(|(key, value)| key == "etape" && value == step.code());
            html!(
                "<p class=\"champ case\"><input type=\"checkbox\" id=\"etape-{}\" name=\"etape\" value=\"{}\"{}><label for=\"etape-{}\">{}</label></p>\n",
                step.code(),
                step.code(),
                if is_on { html!(" checked") } else { Html::empty() },
                step.code(),
                step.label()
            )
        })
        .collect();
    let body = html!(
        "<h1>Décrire un test de logiciel</h1>\n{}<p>Un opérateur scénarisé se comporte bien, puis mal, de toutes les façons du catalogue ; vous faites faire au \
         logiciel ce que la page demande, et elle dit ce qu’il a fait. Où le faire pointer est dit au lancement.</p>\n\
         <form method=\"post\" action=\"/tests\">{}<input type=\"hidden\" name=\"plan\" value=\"{}\">\n\
         <fieldset><legend>Le test</legend>\n{}</fieldset>\n<fieldset><legend>Le logiciel</legend>\n{}{}{}{}</fieldset>\n\
         <fieldset><legend>Ce qu’il sait faire</legend>\n<p class=\"aide\">Ce qu’il ne sait pas faire n’est pas demandé : les cas qui en dépendent sont dits non exécutés.</p>\n{}</fieldset>\n\
         <fieldset><legend>Le rythme</legend>\n{}{}</fieldset>\n<p><button>Enregistrer le test</button></p></form>\n",
        summary(mistakes),
        layout::key(&signed.session),
        PLAN,
        one("nom", "Nom du test", "Pour le retrouver : « version 4, novembre ».", Kind::Free),
        one("logiciel", "Logiciel", "Son nom, tel qu’il figurera au rapport.", Kind::Needed),
        one("version", "Sa version", "", Kind::Free),
        one("editeur", "Éditeur", "", Kind::Free),
        one("nil", "Référence NIL", "Si l’en-tête X-MSS-NIL de ses messages doit être comparé avec elle.", Kind::Free),
        steps,
        one(
            "attente",
            "Attendre votre action (secondes)",
            "Passé ce délai, l’action est dite non exécutée.",
            Kind::Needed
        ),
        one(
            "calme",
            "Passer à la suite après (secondes) sans rien de nouveau",
            "Quand le logiciel est venu et que plus rien ne bouge. « C’est fait » va plus vite.",
            Kind::Needed
        )
    );
    let session = Some(&signed.session);
    let title = "Décrire un test de logiciel";
    layout::page(&signed.desk, Page { title, session, here: "/tests", body, ..Page::default() })
}

/// The job that a form describes.
fn written(input: &Input) -> Result<Table, Vec<Mistake>> {
    let (mut table, mut mistakes) = (Table::new(), Vec::new());
    put(&mut table, "plan", Value::String(PLAN.to_owned()));
    for (name, key) in KEYS {
        if !input.get(name).is_empty() || name == "logiciel" {
            put(&mut table, key, Value::String(input.get(name).to_owned()));
        }
    }
    for (name, key, _) in NUMBERS {
        match input.get(name).parse::<i64>() {
            Ok(number) => put(&mut table, key, Value::Integer(number)),
            Err(_) => mistakes.push(Mistake::of(name, "Un nombre de secondes.")),
        }
    }
    let steps: Vec<Value> = input.all("etape").into_iter().map(Value::String).collect();
    if steps.is_empty() {
        mistakes.push(Mistake::of("etape-configurer", "Une action au moins."));
    }
    put(&mut table, "client.steps", Value::Array(steps));
    if mistakes.is_empty() { Ok(table) } else { Err(mistakes) }
}

/// The field of the form that fills a key.
fn field_of(key: &str) -> String {
    let texts = KEYS.iter().map(|(name, known)| (*name, *known));
    let mut all = texts.chain(NUMBERS.iter().map(|(name, known, _)| (*name, *known)));
    all.find(|(_, known)| *known == key).map_or_else(|| key.to_owned(), |(name, _)| name.to_owned())
}

/// Keeps the test that a form describes.
pub(super) async fn make(signed: &Signed, input: &Input) -> Result<Response, Failure> {
    let saved = async {
        let table = written(input).map_err(Refusal::Invalid)?;
        let text =
            toml::to_string(&table).map_err(|error| Refusal::Invalid(vec![Mistake::of("nom", error.to_string())]))?;
        signed.desk.save_job(&signed.who(), "", input.get("nom"), &text).await
    };
    match saved.await {
        Ok(Taken { id, .. }) => Ok(Redirect::to(&format!("/tests/{}?fait=job-cree", id.as_str())).into_response()),
        Err(Refusal::Invalid(mistakes)) => {
            let mistakes: Vec<Mistake> =
                mistakes.into_iter().map(|one| Mistake { field: field_of(&one.field), text: one.text }).collect();
            Ok(form(signed, &of_input(input), &mistakes))
        }
        Err(refusal) => Err(signed.fails(refusal)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_makes_the_job_it_was_filled_from() {
        let text = "plan = \"client\"\nname = \"n\"\n[software]\nname = \"X\"\nversion = \"4\"\nnil = \"3734\"\n\
                    [client]\nwait_seconds = 60\nquiet_seconds = 5\nsteps = [\"relever\", \"envoyer\"]\n";
        let table: Table = text.parse().expect("TOML");
        let pairs = filled(&table);
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        let mut made = written(&Input::of(&pairs)).expect("a job");
        made.insert("name".to_owned(), Value::String("n".to_owned()));
        assert_eq!(made, table);
        // Nothing filled: every step, usual times.
        assert_eq!(filled(&Table::new()).iter().filter(|(key, _)| key == "etape").count(), Step::ALL.len());
        let wrong = written(&Input::of(&[("attente", "x"), ("calme", "1")])).expect_err("mistakes");
        assert_eq!(wrong.len(), 2);
        assert_eq!(field_of("client.wait_seconds"), "attente");
    }
}
