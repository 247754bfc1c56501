//! Describing a test: a form for most, the text of a job file for those who have one.

use std::net::SocketAddr;
use std::time::Duration;

use axum::response::{IntoResponse, Redirect, Response};
use tokio::net::lookup_host;
use tokio::time::timeout;
use toml::{Table, Value};

use super::form::{Field, Kind, field, select, summary};
use super::guard::{Asked, Failure, Input, Posted, Signed};
use super::layout::{self, Page};
use super::new_software;
use crate::account::role::Role;
use crate::acts::Taken;
use crate::compose;
use crate::db::{Organisation, Reach};
use crate::domains::Bounds;
use crate::error::{Mistake, Refusal};
use crate::html;
use crate::html::{Html, link};
use crate::question;
use control::job::Plan;

/// Longest wait for the name service.
const LOOKUP: Duration = Duration::from_secs(5);

/// Fields of the form and the keys of the job they fill, but for the servers.
const KEYS: [(&str, &str); 8] = [
    ("operateur", "operator.name"),
    ("solution", "operator.solution"),
    ("version", "operator.version"),
    ("bal", "mailbox.address"),
    ("idnat", "mailbox.idnat"),
    ("autre_bal", "mailbox.other_address"),
    ("autre_idnat", "mailbox.other_idnat"),
    ("autoconfig", "api_lps.autoconfig"),
];
/// Fields of the servers, and their keys.
const SERVERS: [(&str, &str); 2] = [("imap", "api_lps.imap"), ("smtp", "api_lps.smtp")];

/// The value of a key with dots.
pub(super) fn at<'a>(table: &'a Table, key: &str) -> Option<&'a Value> {
    let mut parts = key.split('.');
    let mut value = table.get(parts.next()?)?;
    for part in parts {
        value = value.get(part)?;
    }
    Some(value)
}

/// Puts a text under a key with dots.
pub(super) fn put(table: &mut Table, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            table.insert(key.to_owned(), value);
        }
        Some((first, rest)) => {
            let inner = table.entry(first.to_owned()).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(inner) = inner {
                put(inner, rest, value);
            }
        }
    }
}

/// What the form holds for a job: fields and values.
fn filled(table: &Table) -> Vec<(String, String)> {
    let text = |key: &str| at(table, key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut out: Vec<(String, String)> = KEYS.iter().map(|(name, key)| ((*name).to_owned(), text(key))).collect();
    out.push(("nom".to_owned(), text("name")));
    let domains = at(table, "operator.domains").and_then(Value::as_array).cloned().unwrap_or_default();
    out.push(("domaines".to_owned(), domains.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")));
    if at(table, "operator.has_app").and_then(Value::as_bool) == Some(true) {
        out.push(("app".to_owned(), "oui".to_owned()));
    }
    for (name, key) in SERVERS {
        let address = text(&format!("{key}.address"));
        let port = address.rsplit_once(':').map_or("", |(_, port)| port);
        let host = text(&format!("{key}.name"));
        out.push((name.to_owned(), if host.is_empty() { String::new() } else { format!("{host}:{port}") }));
        out.push((format!("{name}_adresse"), address));
    }
    out
}

/// The values shown in the form.
struct Shown<'a>(Box<dyn Fn(&str) -> String + 'a + Send + Sync>);

fn of_input(input: &Input) -> Shown<'_> {
    Shown(Box::new(|name| input.get(name).to_owned()))
}

fn of_table(table: &Table) -> Shown<'static> {
    let pairs = filled(table);
    Shown(Box::new(move |name| {
        pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone()).unwrap_or_default()
    }))
}

pub(super) async fn show(signed: Signed, Asked(asked): Asked) -> Result<Response, Failure> {
    let operator = own(&signed).await?;
    let from = asked.get("depuis");
    if from.is_empty() && question::is_software(asked.get("plan")) {
        signed.or_fails(signed.desk.client_place())?;
        return Ok(new_software::form(&signed, &new_software::filled(&Table::new()), &[]));
    }
    let (template, table) = if from.is_empty() {
        let wanted = asked.get("modele");
        let first = signed.desk.templates(&operator.name).find(|one| wanted.is_empty() || one.name == wanted);
        let Some(template) = first else {
            return Err(
                signed.fails(Refusal::Conflict("L’administrateur ne propose aucun modèle de job à votre opérateur."))
            );
        };
        (template.name.clone(), signed.or_fails(template.table())?)
    } else {
        let job = signed.or_fails(signed.desk.job_of(&signed.who(), from).await)?;
        let written = compose::read(&job.text).map(|written| written.table).unwrap_or_default();
        if question::is_software(&job.plan) {
            return Ok(new_software::form(&signed, &new_software::filled(&written), &[]));
        }
        (job.template, written)
    };
    let chosen = if from.is_empty() {
        asked.get("plan").to_owned()
    } else {
        at(&table, "plan").and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    Ok(form(&signed, &operator, &chosen, &template, &of_table(&table), &[]))
}

/// The operator of whoever writes jobs.
async fn own(signed: &Signed) -> Result<Organisation, Failure> {
    let who = signed.who();
    signed.or_fails(who.must(Role::may_write))?;
    signed.or_fails(signed.desk.operator_of(&who).await)?.ok_or_else(|| signed.fails(Refusal::Forbidden))
}

fn templates(signed: &Signed, operator: &Organisation, chosen: &str) -> Html {
    let choices: Vec<(String, String)> =
        signed.desk.templates(&operator.name).map(|one| (one.name.clone(), one.title.clone())).collect();
    select("modele", "Espace de confiance", chosen, &choices)
}

fn form(
    signed: &Signed,
    operator: &Organisation,
    chosen: &str,
    template: &str,
    shown: &Shown<'_>,
    mistakes: &[Mistake],
) -> Response {
    let plans: Vec<(String, String)> =
        Plan::ALL.into_iter().map(|plan| (plan.code().to_owned(), plan.title().to_owned())).collect();
    let one = |name: &str, label: &str, help: &str, kind: Kind| {
        field(&Field { name, label, value: &(shown.0)(name), help, kind }, mistakes)
    };
    let box_on = if (shown.0)("app").is_empty() { Html::empty() } else { html!(" checked") };
    let body = html!(
        "<h1>Décrire un test</h1>\n{}<form method=\"post\" action=\"/tests\">{}\n\
         <fieldset><legend>Le test</legend>\n{}{}{}</fieldset>\n\
         <fieldset><legend>L’opérateur contrôlé</legend>\n{}{}{}{}\
         <p class=\"champ case\"><input type=\"checkbox\" id=\"app\" name=\"app\" value=\"oui\"{}><label for=\"app\">Il héberge des BAL applicatives</label></p></fieldset>\n\
         <fieldset><legend>Ses serveurs</legend>\n{}{}{}{}{}</fieldset>\n\
         <fieldset><legend>Les BAL d’essai</legend>\n<p class=\"aide\">Faites pour les tests : un message y est déposé puis retiré, rien d’autre n’est touché.</p>\n{}{}{}{}</fieldset>\n\
         <p><button>Enregistrer le test</button></p></form>\n",
        summary(mistakes),
        layout::key(&signed.session),
        one("nom", "Nom du test", "Pour le retrouver : « recette de novembre ».", Kind::Free),
        select("plan", "Question posée", chosen, &plans),
        templates(signed, operator, template),
        one("operateur", "Nom de l’opérateur", "Tel qu’il figurera au rapport.", Kind::Needed),
        one(
            "domaines",
            "Domaines de messagerie",
            "Séparés par des espaces ; déclarés pour votre organisation.",
            Kind::Needed
        ),
        one("solution", "Logiciel serveur", "Pour le rapport.", Kind::Free),
        one("version", "Sa version", "", Kind::Free),
        box_on,
        one(
            "imap",
            "Serveur IMAP (nom:port)",
            "lps.exemple.mssante.fr:143 : le nom est celui du certificat.",
            Kind::Needed
        ),
        one("imap_adresse", "Son adresse (IP:port)", "Si le nom ne se résout pas d’ici.", Kind::Free),
        one("smtp", "Serveur SMTP de soumission (nom:port)", "lps.exemple.mssante.fr:587", Kind::Needed),
        one("smtp_adresse", "Son adresse (IP:port)", "Si le nom ne se résout pas d’ici.", Kind::Free),
        one(
            "autoconfig",
            "Adresse de l’autoconfiguration (IP:port)",
            "Si autoconfig.<domaine> ne se résout pas d’ici.",
            Kind::Free
        ),
        one("bal", "BAL d’essai", "essai@exemple.mssante.fr", Kind::Free),
        one("idnat", "Identifiant national de son titulaire", "899700000017", Kind::Free),
        one("autre_bal", "BAL qu’il ne doit pas ouvrir", "Du même opérateur.", Kind::Free),
        one("autre_idnat", "Identifiant de quelqu’un qui ne doit pas ouvrir la première", "", Kind::Free)
    );
    let session = Some(&signed.session);
    layout::page(&signed.desk, Page { title: "Décrire un test", session, here: "/tests", body, ..Page::default() })
}

/// Where a server is: the address that was typed, or the first one of its name that may be connected to.
async fn place(name: &str, typed: &str, address: &str, bounds: &Bounds) -> Result<(String, SocketAddr), Mistake> {
    let Some((host, port)) = typed.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)))
    else {
        return Err(Mistake::of(name, "Un nom et un port : lps.exemple.mssante.fr:143"));
    };
    if !address.is_empty() {
        let field = format!("{name}_adresse");
        return match address.parse() {
            Ok(address) => compose::check_place(&field, address, bounds).map_or(Ok((host.to_owned(), address)), Err),
            Err(_) => Err(Mistake::of(field, "Une adresse et un port : 192.0.2.1:143")),
        };
    }
    let found = match timeout(LOOKUP, lookup_host((host, port))).await {
        Ok(Ok(found)) => found.collect::<Vec<_>>(),
        _ => Vec::new(),
    };
    let Some(first) = found.first().copied() else {
        return Err(Mistake::of(name, format!("« {host} » ne se résout pas : donnez aussi son adresse.")));
    };
    let best = found.iter().copied().find(|address| compose::check_place(name, *address, bounds).is_none());
    match best {
        Some(address) => Ok((host.to_owned(), address)),
        None => compose::check_place(name, first, bounds).map_or(Ok((host.to_owned(), first)), Err),
    }
}

/// The job that a form describes.
async fn written(input: &Input, reach: &Reach) -> Result<Table, Vec<Mistake>> {
    let (mut table, mut mistakes) = (Table::new(), Vec::new());
    // Whose the addresses are is looked at once the whole is known.
    let bounds = Bounds::open(reach.clone());
    for (name, key) in KEYS {
        if !input.get(name).is_empty() {
            put(&mut table, key, Value::String(input.get(name).to_owned()));
        }
    }
    put(&mut table, "plan", Value::String(input.get("plan").to_owned()));
    put(&mut table, "operator.has_app", Value::Boolean(input.is_on("app")));
    let domains = input.get("domaines").split([' ', ',', ';', '\n']).filter(|word| !word.is_empty());
    put(
        &mut table,
        "operator.domains",
        Value::Array(domains.map(|word| Value::String(word.to_ascii_lowercase())).collect()),
    );
    for (name, key) in SERVERS {
        match place(name, input.get(name), input.get(&format!("{name}_adresse")), &bounds).await {
            Ok((host, address)) => {
                put(&mut table, &format!("{key}.name"), Value::String(host));
                put(&mut table, &format!("{key}.address"), Value::String(address.to_string()));
            }
            Err(mistake) => mistakes.push(mistake),
        }
    }
    if Plan::of_code(input.get("plan")).is_none() {
        mistakes.push(Mistake::of("plan", "Choisissez une question."));
    }
    if mistakes.is_empty() { Ok(table) } else { Err(mistakes) }
}

/// The field of a form that fills a key.
fn field_of(key: &str) -> String {
    let known = KEYS.iter().find(|(_, known)| *known == key).map(|(name, _)| (*name).to_owned());
    let server = SERVERS.iter().find(|(_, prefix)| key.starts_with(prefix)).map(|(name, _)| format!("{name}_adresse"));
    known.or(server).unwrap_or_else(|| match key {
        "operator.domains" => "domaines".to_owned(),
        other => other.to_owned(),
    })
}

pub(super) async fn make(Posted { signed, input }: Posted) -> Result<Response, Failure> {
    let operator = own(&signed).await?;
    if question::is_software(input.get("plan")) {
        return new_software::make(&signed, &input).await;
    }
    let saved = async {
        let table = written(&input, &operator.reach).await.map_err(Refusal::Invalid)?;
        let text =
            toml::to_string(&table).map_err(|error| Refusal::Invalid(vec![Mistake::of("nom", error.to_string())]))?;
        signed.desk.save_job(&signed.who(), input.get("modele"), input.get("nom"), &text).await
    };
    match saved.await {
        Ok(Taken { id, .. }) => Ok(Redirect::to(&format!("/tests/{}?fait=job-cree", id.as_str())).into_response()),
        Err(Refusal::Invalid(mistakes)) => {
            let mistakes: Vec<Mistake> =
                mistakes.into_iter().map(|one| Mistake { field: field_of(&one.field), text: one.text }).collect();
            Ok(form(&signed, &operator, input.get("plan"), input.get("modele"), &of_input(&input), &mistakes))
        }
        Err(refusal) => Err(signed.fails(refusal)),
    }
}

pub(super) async fn import(signed: Signed) -> Result<Response, Failure> {
    let operator = own(&signed).await?;
    Ok(import_form(&signed, &operator, "", "", &[]))
}

fn import_form(signed: &Signed, operator: &Organisation, template: &str, text: &str, mistakes: &[Mistake]) -> Response {
    let body = html!(
        "<h1>Importer un job</h1>\n{}<p>Le fichier de <code>vaguemestre control run</code>. Ce qui nomme un fichier ou un service (<code>[trust]</code>, <code>[psc]</code>, \
         <code>[stand]</code>…) est fourni par l’espace de confiance choisi.</p>\n<form method=\"post\" action=\"/tests/importer\">{}\n{}\
         <p class=\"champ\" data-fichier=\"fichier\"></p>\
         <p class=\"champ\"><label for=\"fichier\">Texte du fichier (TOML)</label><textarea id=\"fichier\" name=\"fichier\" rows=\"20\" required spellcheck=\"false\">\n{}</textarea></p>\n\
         <p><button>Importer</button></p></form>\n",
        summary(mistakes),
        layout::key(&signed.session),
        templates(signed, operator, template),
        text
    );
    let session = Some(&signed.session);
    layout::page(&signed.desk, Page { title: "Importer un job", session, here: "/tests", body, ..Page::default() })
}

pub(super) async fn take(Posted { signed, input }: Posted) -> Result<Response, Failure> {
    let operator = own(&signed).await?;
    match signed.desk.save_job(&signed.who(), input.get("modele"), "", input.get("fichier")).await {
        Ok(taken) => {
            let left_out = taken.left_out.join(", ");
            let query = [("fait", "job-cree"), ("laisse", left_out.as_str())];
            Ok(Redirect::to(&link(&format!("/tests/{}", taken.id.as_str()), &query)).into_response())
        }
        Err(Refusal::Invalid(mistakes)) => {
            Ok(import_form(&signed, &operator, input.get("modele"), input.get("fichier"), &mistakes))
        }
        Err(refusal) => Err(signed.fails(refusal)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_form_makes_the_job_it_was_filled_from() {
        let text = "plan = \"api-lps\"\nname = \"n\"\n[operator]\nname = \"O\"\ndomains = [\"a.test\", \"b.test\"]\nhas_app = true\n\
                    [api_lps]\nimap = { address = \"10.0.0.1:143\", name = \"lps.a.test\" }\nsmtp = { address = \"10.0.0.2:587\", name = \"lps.a.test\" }\n\
                    [mailbox]\naddress = \"x@a.test\"\nidnat = \"1\"\nother_address = \"y@a.test\"\nother_idnat = \"2\"\n";
        let table: Table = text.parse().expect("TOML");
        let mut pairs = filled(&table);
        pairs.push(("plan".to_owned(), "api-lps".to_owned()));
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        let reach = Reach { ranges: vec!["10.0.0.0/8".parse().expect("a range")], ..Reach::default() };
        let mut made = written(&Input::of(&pairs), &reach).await.expect("a job");
        made.insert("name".to_owned(), Value::String("n".to_owned()));
        assert_eq!(made, table);
        let wrong = written(&Input::of(&[("plan", "api-lps"), ("imap", "x"), ("smtp", "y.invalid:587")]), &reach).await;
        let fields: Vec<String> = wrong.expect_err("mistakes").into_iter().map(|one| one.field).collect();
        assert_eq!(fields, ["imap", "smtp"]);
    }
}
