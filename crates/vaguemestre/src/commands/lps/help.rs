//! The help of `vaguemestre lps` in French, for those whose messages are: the texts are a table, `help.fr.txt`, laid over the commands
//! when help is asked for. The English ones stay beside the options they are about.
//!
//! Invariants: laying them over changes no word of what is accepted; a command, an option, a heading or what follows the options
//! without its French text, or a French text of nothing, fails a test.

use std::collections::BTreeMap;
use std::ffi::OsString;

use clap::{Arg, Command, ValueEnum};
use lps::explain::Language;

use super::common::{Tongue, language};

const TABLE: &str = include_str!("help.fr.txt");
/// What stands for the examples of the English text.
const EXAMPLES: &str = "@";
/// Texts of options that every command has.
const EVERY: &str = "*";

/// Whether these arguments ask for help with `lps`, and in French: by `--language`, else by the environment.
pub fn is_asked_in_french(arguments: &[OsString]) -> bool {
    let words: Vec<&str> = arguments.iter().filter_map(|word| word.to_str()).collect();
    let help = words.len() == 2 || words.iter().any(|word| matches!(*word, "-h" | "--help" | "help"));
    if !help || !words.contains(&"lps") {
        return false;
    }
    let after = words.iter().position(|word| *word == "--language").and_then(|at| words.get(at + 1).copied());
    let named = words.iter().find_map(|word| word.strip_prefix("--language=")).or(after);
    match named.and_then(|name| Tongue::from_str(name, false).ok()) {
        Some(tongue) => Language::from(tongue) == Language::French,
        None => language(|name| std::env::var(name).ok()) == Language::French,
    }
}

/// The whole program with the help of `lps` in French.
pub fn in_french(mut program: Command) -> Command {
    // What clap adds by itself, --help and the like, is there from now on.
    program.build();
    let table = Table::read(TABLE);
    if let Some(lps) = program.find_subcommand_mut("lps") {
        table.lay_over(lps, "lps");
    }
    program
}

/// What is said of one command.
#[derive(Default)]
struct Section {
    about: &'static str,
    texts: BTreeMap<&'static str, &'static str>,
    after: String,
}

struct Table(BTreeMap<&'static str, Section>);

impl Table {
    fn read(text: &'static str) -> Table {
        let mut sections = BTreeMap::new();
        for part in text.split("\n== ").skip(1) {
            let (name, rest) = part.split_once('\n').unwrap_or((part, ""));
            let (head, after) = rest.split_once("\n--\n").unwrap_or((rest, ""));
            let mut section = Section { after: after.trim().to_owned(), ..Section::default() };
            for line in head.lines().filter(|line| !line.is_empty()) {
                match line.split_once(" : ") {
                    Some((name, text)) => drop(section.texts.insert(name, text)),
                    None => section.about = line,
                }
            }
            sections.insert(name, section);
        }
        Table(sections)
    }

    fn text(&self, section: &str, name: &str) -> Option<&'static str> {
        let of = |section| self.0.get(section).and_then(|found: &Section| found.texts.get(name).copied());
        of(section).or_else(|| of(EVERY))
    }

    fn heading(&self, name: &str) -> Option<&'static str> {
        self.0.get("TITRES")?.texts.get(name).copied()
    }

    fn value(&self, name: &str) -> Option<&'static str> {
        self.0.get("NOMS")?.texts.get(name).copied()
    }

    fn lay_over(&self, command: &mut Command, path: &str) {
        for inner in command.get_subcommands_mut() {
            let name = inner.get_name().to_owned();
            if name == "help" {
                *inner = std::mem::take(inner).about("Affiche cette aide, ou celle d'une commande");
            } else {
                let path = if path == "lps" { name } else { format!("{path} {name}") };
                self.lay_over(inner, &path);
            }
        }
        let section = self.0.get(path);
        let english = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let after = section.map(|section| with_examples(&section.after, &english)).unwrap_or_default();
        let mut told = std::mem::take(command).mut_args(|arg| self.argument(arg, path));
        if let Some(section) = section {
            told = told.about(section.about).long_about(None::<&'static str>).after_help(after);
        }
        *command = told.subcommand_help_heading("Commandes");
    }

    fn argument(&self, arg: Arg, path: &str) -> Arg {
        let Some(text) = self.text(path, &name(&arg)) else { return arg };
        let mut text = text.to_owned();
        let mut add = |what: &str, values: Vec<String>| {
            if !values.is_empty() {
                text.push_str(&format!(" [{what} : {}]", values.join(", ")));
            }
        };
        let takes = arg.get_action().takes_values();
        if takes && !arg.is_hide_default_value_set() {
            add("défaut", arg.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect());
        }
        // Values with a text of their own are told in the text of the option.
        let possible = arg.get_possible_values();
        if takes && possible.iter().all(|value| value.get_help().is_none()) {
            add("valeurs", possible.iter().map(|value| value.get_name().to_owned()).collect());
        }
        add("environnement", arg.get_env().map(|name| name.to_string_lossy().into_owned()).into_iter().collect());
        let heading = arg.get_help_heading().and_then(|heading| self.heading(heading));
        let value = arg.get_value_names().and_then(|names| names.first()).and_then(|name| self.value(name));
        let mut arg = arg.help(text).long_help(None::<&'static str>);
        arg = arg.hide_default_value(true).hide_possible_values(true).hide_env(true);
        if let Some(heading) = heading {
            arg = arg.help_heading(heading);
        }
        if let Some(value) = value {
            arg = arg.value_name(value);
        }
        arg
    }
}

/// What an argument is known by in the table: its long option, or the name of its value.
fn name(arg: &Arg) -> String {
    match (arg.get_long(), arg.get_value_names().and_then(|names| names.first())) {
        (Some(long), _) => format!("--{long}"),
        (None, Some(value)) => value.to_string(),
        (None, None) => arg.get_id().as_str().to_uppercase(),
    }
}

/// The examples of an English text: the lines that are commands.
fn examples(english: &str) -> Vec<&str> {
    english.lines().filter(|line| line.starts_with("  ")).collect()
}

fn with_examples(french: &str, english: &str) -> String {
    let examples = examples(english);
    let title = if examples.len() == 1 { "Exemple :" } else { "Exemples :" };
    let lines = french.lines().map(|line| match line {
        EXAMPLES => format!("{title}\n{}", examples.join("\n")),
        line => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory;

    use super::*;

    /// Every command of `lps` that is shown, with the name it has in the table, as built by clap.
    fn commands(of: &Command, path: &str, all: &mut Vec<(String, Command)>) {
        all.push((path.to_owned(), of.clone()));
        for inner in of.get_subcommands().filter(|inner| !inner.is_hide_set() && inner.get_name() != "help") {
            let name = inner.get_name();
            commands(inner, &if path == "lps" { name.to_owned() } else { format!("{path} {name}") }, all);
        }
    }

    fn all(program: &Command) -> Vec<(String, Command)> {
        let mut found = Vec::new();
        commands(program.find_subcommand("lps").expect("there"), "lps", &mut found);
        found
    }

    fn english() -> Command {
        let mut program = crate::Cli::command();
        program.build();
        program
    }

    /// Words that are the same in both languages: options, JSON, names of headers and files.
    fn fixed(text: &str) -> BTreeSet<String> {
        let is_part = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
        let words = text.split(|c: char| !is_part(c)).map(|word| word.trim_end_matches(['.', '-']));
        let braces =
            text.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(inside, _)| inside.to_owned());
        words.filter(|word| word.starts_with("--") && word.len() > 2).map(str::to_owned).chain(braces).collect()
    }

    #[test]
    fn the_french_help_is_whole_and_of_nothing_else() {
        let (table, program) = (Table::read(TABLE), english());
        let mut used: BTreeSet<(String, String)> = BTreeSet::new();
        let (mut headings, mut values) = (BTreeSet::new(), BTreeSet::new());
        for (path, command) in all(&program) {
            let section = table.0.get(path.as_str()).unwrap_or_else(|| panic!("{path}: no French text"));
            assert!(!section.about.is_empty(), "{path}: no word of what it does");
            let english = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert_eq!(english.is_empty(), section.after.is_empty(), "{path}: what follows the options");
            assert_eq!(
                examples(&english).is_empty(),
                !section.after.lines().any(|line| line == EXAMPLES),
                "{path}: {EXAMPLES}"
            );
            let told = with_examples(&section.after, &english);
            assert_eq!(fixed(&told), fixed(&english), "{path}: not what the English text says");
            for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
                let name = name(arg);
                assert!(table.text(&path, &name).is_some(), "{path} {name}: no French text");
                let own = section.texts.contains_key(name.as_str());
                used.insert((if own { path.clone() } else { EVERY.to_owned() }, name));
                headings.extend(arg.get_help_heading().map(str::to_owned));
                let takes = arg.get_action().takes_values();
                let named = if takes { arg.get_value_names() } else { None };
                values.extend(named.into_iter().flatten().map(ToString::to_string));
            }
        }
        for (path, section) in table.0.iter().filter(|(path, _)| !["TITRES", "NOMS"].contains(path)) {
            assert!(*path == EVERY || all(&program).iter().any(|(known, _)| known == path), "{path}: no such command");
            for name in section.texts.keys() {
                assert!(used.contains(&((*path).to_owned(), (*name).to_owned())), "{path} {name}: no such option");
            }
        }
        let named =
            |section: &str| table.0[section].texts.keys().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(named("TITRES"), headings);
        assert_eq!(named("NOMS").difference(&values).collect::<Vec<_>>(), Vec::<&String>::new());
        // Words that are French already, or nobody's.
        let same = ["ACTION", "FORMAT", "F|M", "ID", "IDNAT", "MATRICULE", "N", "STRUCTURE", "UID"];
        let left: Vec<_> = values.iter().filter(|name| table.value(name).is_none()).map(String::as_str).collect();
        assert_eq!(left, same);
    }

    #[test]
    fn it_is_shown_and_accepts_the_same() {
        let mut program = in_french(crate::Cli::command());
        let french: Vec<_> = all(&program);
        for ((path, mut french), (_, mut english)) in french.into_iter().zip(all(&english())) {
            let (told, before) = (french.render_long_help().to_string(), english.render_long_help().to_string());
            assert_ne!(told, before, "{path}");
            for word in ["[default:", "[env:", "[possible", "Print help", "Example", "Commands:", "Options of every"] {
                assert!(!told.contains(word), "{path}: {word} in\n{told}");
            }
            let options = |of: &Command| of.get_arguments().map(|arg| arg.get_id().to_string()).collect::<Vec<_>>();
            assert_eq!(options(&french), options(&english), "{path}");
        }
        let sent = ["vaguemestre", "lps", "send", "--to", "a@b.mssante.fr", "--text", "x", "--language", "fr"];
        assert!(program.try_get_matches_from_mut(sent).is_ok());
        assert!(program.try_get_matches_from_mut(["vaguemestre", "lps", "send", "--langue", "fr"]).is_err());
    }

    #[test]
    fn asked_in_french_or_not() {
        let asked = |words: &str| is_asked_in_french(&words.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert!(asked("vaguemestre lps send --help --language fr") && asked("vaguemestre lps help --language=fr"));
        assert!(!asked("vaguemestre lps send --help --language en") && !asked("vaguemestre lps send --language fr"));
        assert!(!asked("vaguemestre mailbox --help --language fr"));
    }
}
