//! Commands made up from the grammar.

use proptest::prelude::*;

/// The message of an APPEND, which our parser is not given.
pub const MESSAGE: &str = "m\r\n";

/// A text to be made up.
pub type Text = BoxedStrategy<String>;

/// A keyword in any case.
fn word(word: &'static str) -> Text {
    proptest::collection::vec(any::<bool>(), word.len())
        .prop_map(move |up| {
            word.chars()
                .zip(up)
                .map(|(c, up)| if up { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() })
                .collect()
        })
        .boxed()
}

fn one_of(words: &'static [&'static str]) -> Text {
    proptest::sample::select(words).prop_flat_map(word).boxed()
}

/// Texts one after the other.
fn seq(texts: Vec<Text>) -> Text {
    texts.prop_map(|t| t.concat()).boxed()
}

fn lit(text: &'static str) -> Text {
    Just(text.to_owned()).boxed()
}

/// A text written as a quoted string or a literal.
fn string_of(text: Text) -> Text {
    (text, any::<bool>(), any::<bool>())
        .prop_map(|(text, quote, plus)| {
            if quote && !text.contains(['\r', '\n']) && text.is_ascii() {
                format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
            } else {
                format!("{{{}{}}}\r\n{text}", text.len(), if plus { "+" } else { "" })
            }
        })
        .boxed()
}

fn string() -> Text {
    string_of("[ -~]{0,12}|[ -~\r\n]{0,8}".boxed())
}

fn atom() -> Text {
    "[!#$&'+,./0-9:;<=>?@A-Z\\[^_`a-z|}~-]{1,10}".boxed()
}

fn astring_text() -> Text {
    prop_oneof!["[!#$&'+,./0-9:;<=>?@A-Z\\[\\]^_`a-z|}~-]{1,10}".boxed(), string()].boxed()
}

fn mailbox() -> Text {
    let name = "[a-zA-Z0-9_. /-]{1,12}|inbox|INBOX/a|&AOk-t&AOk-|R&-D".boxed();
    prop_oneof![3 => string_of(name), 2 => word("inbox"), 3 => astring_text()].boxed()
}

fn list_pattern() -> Text {
    prop_oneof![
        "[a-zA-Z0-9%*./]{1,10}".boxed(),
        string_of("[a-zA-Z0-9%*./ ]{0,10}".boxed()),
        "[!#$%&'*+,./0-9\\]a-z-]{1,8}".boxed()
    ]
    .boxed()
}

fn sequence() -> Text {
    "([1-9][0-9]{0,8}|\\*)(:([1-9][0-9]{0,8}|\\*))?(,([1-9][0-9]{0,8}|\\*)(:([1-9][0-9]{0,8}|\\*))?){0,3}".boxed()
}

fn flag() -> Text {
    prop_oneof![
        one_of(&["\\Seen", "\\Answered", "\\Deleted", "\\Draft", "\\Flagged"]),
        atom(),
        atom().prop_map(|a| format!("\\{a}"))
    ]
    .boxed()
}

fn joined(item: Text, range: std::ops::Range<usize>) -> Text {
    proptest::collection::vec(item, range).prop_map(|items| items.join(" ")).boxed()
}

fn parenthesized(text: Text) -> Text {
    text.prop_map(|t| format!("({t})")).boxed()
}

fn date() -> Text {
    let plain = ("[1-9]|0[1-9]|[12][0-9]|3[01]", one_of(&["Jan", "Feb", "Jun", "Sep", "Dec"]), "(19|20)[0-9]{2}")
        .prop_map(|(d, m, y)| format!("{d}-{m}-{y}"));
    (plain, any::<bool>()).prop_map(|(d, quoted)| if quoted { format!("\"{d}\"") } else { d }).boxed()
}

fn search_key() -> Text {
    let leaf = prop_oneof![
        4 => one_of(&["ALL", "ANSWERED", "UNANSWERED", "DELETED", "UNDELETED", "DRAFT", "UNDRAFT", "FLAGGED", "UNFLAGGED", "SEEN", "UNSEEN", "NEW", "OLD", "RECENT"]),
        2 => seq(vec![one_of(&["BCC", "CC", "FROM", "SUBJECT", "TO", "BODY", "TEXT"]), lit(" "), astring_text()]),
        1 => seq(vec![word("HEADER"), lit(" "), astring_text(), lit(" "), astring_text()]),
        1 => seq(vec![one_of(&["KEYWORD", "UNKEYWORD"]), lit(" "), atom()]),
        1 => seq(vec![one_of(&["LARGER", "SMALLER"]), lit(" "), "[0-9]{1,9}".boxed()]),
        2 => seq(vec![one_of(&["BEFORE", "ON", "SINCE", "SENTBEFORE", "SENTON", "SENTSINCE"]), lit(" "), date()]),
        1 => sequence(),
        1 => seq(vec![word("UID"), lit(" "), sequence()]),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let inner = inner.boxed();
        prop_oneof![
            seq(vec![word("NOT"), lit(" "), inner.clone()]),
            seq(vec![word("OR"), lit(" "), inner.clone(), lit(" "), inner.clone()]),
            parenthesized(joined(inner, 1..4)),
        ]
        .boxed()
    })
    .boxed()
}

fn body_section() -> Text {
    let number = "([1-9][0-9]{0,3}\\.){0,3}".boxed();
    let fields = seq(vec![
        one_of(&["HEADER.FIELDS", "HEADER.FIELDS.NOT"]),
        lit(" "),
        parenthesized(joined(astring_text(), 1..4)),
    ]);
    let text = prop_oneof![one_of(&["HEADER", "TEXT", "MIME"]), fields];
    let named = seq(vec![number, text.boxed()]);
    prop_oneof![lit(""), "[1-9][0-9]{0,2}(\\.[1-9][0-9]{0,2}){0,4}".boxed(), named].boxed()
}

fn fetch_item() -> Text {
    let body = (one_of(&["BODY", "BODY.PEEK"]), body_section(), "(<[0-9]{1,5}\\.[0-9]{1,5}>)?")
        .prop_map(|(name, section, partial)| format!("{name}[{section}]{partial}"));
    prop_oneof![
        one_of(&[
            "ENVELOPE",
            "FLAGS",
            "INTERNALDATE",
            "RFC822",
            "RFC822.HEADER",
            "RFC822.SIZE",
            "RFC822.TEXT",
            "BODY",
            "BODYSTRUCTURE",
            "UID"
        ]),
        body.boxed(),
    ]
    .boxed()
}

/// Commands with their tags; APPEND without its message.
pub fn commands() -> Text {
    let uid = || prop_oneof![lit(""), word("UID ")].boxed();
    let status = one_of(&["MESSAGES", "RECENT", "UIDNEXT", "UIDVALIDITY", "UNSEEN", "DELETED"]);
    let flag_list = || parenthesized(joined(flag(), 0..4));
    let date_time = (
        r" [1-9]|[12][0-9]",
        one_of(&["Jan", "Jul", "Dec"]),
        "(19[7-9]|20[0-9])[0-9]",
        "[01][0-9]:[0-5][0-9]:[0-5][0-9] [+-][01][0-9][0-5][0-9]",
    )
        .prop_map(|(d, m, y, rest)| format!(" \"{d}-{m}-{y} {rest}\""));
    let append = (mailbox(), proptest::option::of(flag_list()), proptest::option::of(date_time), any::<bool>())
        .prop_map(|(mailbox, flags, date, plus)| {
            let flags = flags.map(|f| format!(" {f}")).unwrap_or_default();
            format!(
                "APPEND {mailbox}{flags}{} {{{}{}}}",
                date.unwrap_or_default(),
                MESSAGE.len(),
                if plus { "+" } else { "" }
            )
        });
    let id =
        (proptest::collection::vec((one_of(&["name", "version", "os"]), "[ !#-\\[\\]-~]{0,20}", any::<bool>()), 0..4))
            .prop_map(|pairs| {
                let pairs: Vec<String> = pairs
                    .into_iter()
                    .map(|(k, v, nil)| if nil { format!("\"{k}\" NIL") } else { format!("\"{k}\" \"{v}\"") })
                    .collect();
                format!("ID ({})", pairs.join(" "))
            });
    let body = prop_oneof![
        2 => one_of(&["CAPABILITY", "NOOP", "LOGOUT", "STARTTLS", "CHECK", "CLOSE", "EXPUNGE", "UNSELECT", "IDLE", "NAMESPACE", "ID NIL"]),
        4 => seq(vec![one_of(&["SELECT", "EXAMINE", "CREATE", "DELETE", "SUBSCRIBE", "UNSUBSCRIBE"]), lit(" "), mailbox()]),
        2 => seq(vec![word("RENAME"), lit(" "), mailbox(), lit(" "), mailbox()]),
        3 => seq(vec![one_of(&["LIST", "LSUB"]), lit(" "), mailbox(), lit(" "), list_pattern()]),
        2 => seq(vec![word("STATUS"), lit(" "), mailbox(), lit(" "), parenthesized(joined(status, 1..5))]),
        3 => append.boxed(),
        6 => seq(vec![uid(), word("SEARCH"), prop_oneof![lit(""), lit(" CHARSET UTF-8"), lit(" charset \"us-ascii\"")].boxed(), lit(" "), joined(search_key(), 1..4)]),
        5 => seq(vec![uid(), word("FETCH"), lit(" "), sequence(), lit(" "), prop_oneof![one_of(&["ALL", "FAST", "FULL"]), fetch_item(), parenthesized(joined(fetch_item(), 1..5))].boxed()]),
        4 => seq(vec![uid(), word("STORE"), lit(" "), sequence(), lit(" "), "[+-]?".boxed(), one_of(&["FLAGS", "FLAGS.SILENT"]), lit(" "), prop_oneof![flag_list(), joined(flag(), 1..4)].boxed()]),
        3 => seq(vec![uid(), one_of(&["COPY", "MOVE"]), lit(" "), sequence(), lit(" "), mailbox()]),
        1 => seq(vec![word("UID EXPUNGE"), lit(" "), sequence()]),
        1 => seq(vec![word("LOGIN"), lit(" "), astring_text(), lit(" "), astring_text()]),
        1 => seq(vec![word("AUTHENTICATE"), lit(" "), one_of(&["XOAUTH2", "PLAIN", "EXTERNAL"]), "( =| ([A-Za-z0-9+/]{4}){1,5})?".boxed()]),
        1 => seq(vec![word("ENABLE"), lit(" "), joined("[A-Za-z][A-Za-z0-9-]{0,8}".boxed(), 1..4)]),
        1 => id.boxed(),
    ];
    ("[a-zA-Z0-9.\\]\\[_-]{1,8}", body).prop_map(|(tag, body)| format!("{tag} {body}")).boxed()
}
