//! HTML and XML made text as they stream: tolerant, linear, in constant memory.
//!
//! Of HTML, the text between tags, references decoded; what a program runs or nobody sees (scripts, styles, comments) is left out,
//! and tags of blocks count as blanks. Of XML (CDA), the text and the values of attributes, which hold the codes' names and the
//! identifiers, but neither names, namespaces nor embedded files (`representation="B64"`). Whatever is ill-formed is read as
//! well as can be, never refused.

use crate::entities;

/// Longest tag or attribute name looked at: longer ones are none of those that matter.
const MAX_NAME: usize = 32;
/// Longest attribute value kept: longer ones (embedded pictures) are cut.
const MAX_VALUE: usize = 4096;

/// The language of a text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Language {
    /// HTML: only what is shown.
    Html,
    /// XML: text and values of attributes.
    Xml,
    /// HTML to be read by a person: as [`Language::Html`], without the title, and every block begins a line ([`shown`]).
    Shown,
}

/// Makes markup text.
#[derive(Debug)]
pub struct Markup {
    language: Language,
    state: State,
    /// The name of the tag, or of the reference, or the end of a comment so far.
    name: String,
    attribute: String,
    value: String,
    /// The tag said that what follows is a file in base64.
    embedded: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Text,
    /// After `&`, in text or, with `value`, in a value: `name` grows.
    Reference {
        quote: Option<char>,
    },
    /// After `<`.
    Opened,
    /// In a name after `<` or `</`.
    Name {
        closing: bool,
    },
    /// Between attributes.
    Tag {
        closing: bool,
    },
    /// In the name of an attribute.
    Attribute {
        closing: bool,
    },
    /// After `=`.
    Equals {
        closing: bool,
    },
    /// In a value, up to the quote.
    Value {
        quote: char,
    },
    /// In a value without quotes.
    Bare {
        closing: bool,
    },
    /// After `<!`: a comment, CDATA or a declaration, not known yet: `name` grows.
    Declared,
    /// Up to `-->`; how many hyphens just came.
    Comment {
        hyphens: u8,
    },
    /// Up to `]]>`; how many brackets just came.
    Cdata {
        brackets: u8,
    },
    /// Up to `>`.
    Skipped,
    /// In an element whose content is no text: up to its end tag; `name` is the element, `matched` how much of `</name` came.
    Raw {
        matched: usize,
    },
    /// Text of an element that holds a file: up to `<`.
    Embedded,
}

impl Markup {
    /// A reader at the start of a text.
    pub fn new(language: Language) -> Self {
        Markup {
            language,
            state: State::Text,
            name: String::new(),
            attribute: String::new(),
            value: String::new(),
            embedded: false,
        }
    }

    /// Reads the next piece and adds its text to `out`.
    pub fn push(&mut self, mut text: &str, out: &mut String) {
        loop {
            // Plain stretches at once.
            let run = match self.state {
                State::Text => {
                    let end = memchr::memchr2(b'<', b'&', text.as_bytes()).unwrap_or(text.len());
                    out.push_str(&text[..end]);
                    end
                }
                State::Embedded | State::Raw { matched: 0 } => {
                    memchr::memchr(b'<', text.as_bytes()).unwrap_or(text.len())
                }
                State::Comment { hyphens: 0 } => memchr::memchr(b'-', text.as_bytes()).unwrap_or(text.len()),
                _ => 0,
            };
            text = &text[run..];
            let Some(c) = text.chars().next() else { return };
            text = &text[c.len_utf8()..];
            self.step(c, out);
        }
    }

    /// Ends the text: what looked like a reference or a tag and is not finished stands as it is.
    pub fn finish(mut self, out: &mut String) {
        match self.state {
            State::Reference { quote: None } => self.reference_ends(None, None, out),
            State::Opened => out.push('<'),
            _ => {}
        }
    }

    fn step(&mut self, c: char, out: &mut String) {
        match self.state {
            State::Text => match c {
                '<' => self.state = State::Opened,
                '&' => {
                    self.name.clear();
                    self.state = State::Reference { quote: None };
                }
                c => out.push(c),
            },
            State::Reference { quote } => {
                if (c.is_ascii_alphanumeric() || c == '#' && self.name.is_empty())
                    && self.name.len() < entities::MAX_NAME
                {
                    self.name.push(c);
                } else {
                    self.reference_ends(Some(c), quote, out);
                }
            }
            State::Opened => match c {
                '!' => {
                    self.name.clear();
                    self.state = State::Declared;
                }
                '?' => self.state = State::Skipped,
                '/' => self.tag_begins(true),
                c if c.is_alphabetic() || c == '_' => {
                    self.tag_begins(false);
                    self.name.push(c.to_ascii_lowercase());
                }
                c => {
                    // `a < b`.
                    out.push('<');
                    self.state = State::Text;
                    self.step(c, out);
                }
            },
            State::Name { closing } => match c {
                '>' => self.tag_ends(closing, out),
                '/' => self.state = State::Tag { closing },
                c if c.is_whitespace() => self.state = State::Tag { closing },
                c => push_short(&mut self.name, c),
            },
            State::Tag { closing } => match c {
                '>' => self.tag_ends(closing, out),
                '/' => {}
                c if c.is_whitespace() => {}
                c => {
                    self.attribute.clear();
                    push_short(&mut self.attribute, c);
                    self.state = State::Attribute { closing };
                }
            },
            State::Attribute { closing } => match c {
                '>' => self.tag_ends(closing, out),
                '=' => self.state = State::Equals { closing },
                '/' => self.state = State::Tag { closing },
                // Blanks before `=` are rare: the value is then read as another attribute's name, and left out.
                c if c.is_whitespace() => self.state = State::Tag { closing },
                c => push_short(&mut self.attribute, c),
            },
            State::Equals { closing } => match c {
                '"' | '\'' => {
                    self.value.clear();
                    self.state = State::Value { quote: c };
                }
                '>' => self.tag_ends(closing, out),
                c if c.is_whitespace() => {}
                c => {
                    self.value.clear();
                    self.value.push(c);
                    self.state = State::Bare { closing };
                }
            },
            State::Value { quote } => match c {
                c if c == quote => {
                    self.value_ends(out);
                    self.state = State::Tag { closing: false };
                }
                '&' if self.language == Language::Xml => {
                    self.name.clear();
                    self.state = State::Reference { quote: Some(quote) };
                }
                c => push_value(&mut self.value, c),
            },
            State::Bare { closing } => match c {
                '>' => {
                    self.value_ends(out);
                    self.tag_ends(closing, out);
                }
                c if c.is_whitespace() => {
                    self.value_ends(out);
                    self.state = State::Tag { closing };
                }
                c => push_value(&mut self.value, c),
            },
            State::Declared => {
                self.name.push(c);
                match self.name.as_str() {
                    "--" => self.state = State::Comment { hyphens: 0 },
                    "[CDATA[" => self.state = State::Cdata { brackets: 0 },
                    start if "[CDATA[".starts_with(start) || start == "-" => {}
                    _ if c == '>' => self.state = State::Text,
                    _ => self.state = State::Skipped,
                }
            }
            State::Comment { hyphens } => match c {
                '-' => self.state = State::Comment { hyphens: hyphens.saturating_add(1) },
                '>' if hyphens >= 2 => self.state = State::Text,
                _ => self.state = State::Comment { hyphens: 0 },
            },
            State::Cdata { brackets } => match c {
                ']' => self.state = State::Cdata { brackets: brackets.saturating_add(1) },
                '>' if brackets >= 2 => self.state = State::Text,
                c => {
                    for _ in 0..brackets {
                        out.push(']');
                    }
                    out.push(c);
                    self.state = State::Cdata { brackets: 0 };
                }
            },
            State::Skipped => {
                if c == '>' {
                    self.state = State::Text;
                }
            }
            State::Raw { matched } => self.raw(c, matched),
            State::Embedded => {
                if c == '<' {
                    self.state = State::Opened;
                }
            }
        }
    }

    fn tag_begins(&mut self, closing: bool) {
        self.name.clear();
        self.embedded = false;
        self.state = State::Name { closing };
    }

    fn tag_ends(&mut self, closing: bool, out: &mut String) {
        self.state = State::Text;
        match self.language {
            Language::Html | Language::Shown => {
                let name = self.name.as_str();
                let shown = self.language == Language::Shown;
                if !INLINE.contains(&name) {
                    let within = matches!(name, "td" | "th" | "img" | "label" | "input" | "button");
                    out.push(if shown && !within { '\n' } else { ' ' });
                    if shown && name == "li" && !closing {
                        out.push_str("- ");
                    }
                }
                if !closing && (matches!(name, "script" | "style") || shown && name == "title") {
                    self.state = State::Raw { matched: 0 };
                }
            }
            Language::Xml => {
                // The words of a narrative block may hold marks of style inside (`content`, `sub`, `sup`): all else separates.
                if !INLINE_XML.contains(&self.name.as_str()) {
                    out.push(' ');
                }
                if !closing && self.embedded {
                    self.state = State::Embedded;
                }
            }
        }
    }

    fn value_ends(&mut self, out: &mut String) {
        if self.language != Language::Xml {
            return;
        }
        if self.attribute == "representation" && self.value == "B64" {
            self.embedded = true;
        }
        if !self.attribute.starts_with("xmlns") && !self.attribute.starts_with("xsi:") {
            out.push(' ');
            out.push_str(&self.value);
            out.push(' ');
        }
    }

    /// A reference ended before `c`, or with the text.
    fn reference_ends(&mut self, c: Option<char>, quote: Option<char>, out: &mut String) {
        let name = std::mem::take(&mut self.name);
        let into = if quote.is_some() { &mut self.value } else { &mut *out };
        let known = entities::character(&name);
        match known {
            Some(known) => into.push(known),
            None => {
                into.push('&');
                into.push_str(&name);
            }
        }
        self.state = quote.map_or(State::Text, |quote| State::Value { quote });
        if let Some(c) = c.filter(|c| !(*c == ';' && known.is_some())) {
            self.step(c, out);
        }
    }

    /// In a script: only its end tag ends it.
    fn raw(&mut self, c: char, matched: usize) {
        let wanted = match matched {
            0 => Some('<'),
            1 => Some('/'),
            n => self.name[n - 2..].chars().next(),
        };
        self.state = match wanted {
            Some(wanted) if wanted == c.to_ascii_lowercase() => State::Raw { matched: matched + 1 },
            None if c == '>' => State::Text,
            None if c.is_whitespace() || c == '/' => State::Tag { closing: true },
            _ if c == '<' => State::Raw { matched: 1 },
            _ => State::Raw { matched: 0 },
        };
    }
}

/// HTML as text for a person: blocks on lines of their own, blanks collapsed, at most one empty line in a row. Links and pictures
/// leave only their text: nothing of it can load, run or hide anything.
pub fn shown(html: &str) -> String {
    let (mut text, mut reader) = (String::new(), Markup::new(Language::Shown));
    // Line ends of the source are blanks: only tags begin lines.
    let flat: String = html.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).collect();
    reader.push(&flat, &mut text);
    reader.finish(&mut text);
    let mut out = String::with_capacity(text.len());
    let mut empty = 0;
    for line in text.lines() {
        let before = out.len();
        for word in line.split_whitespace() {
            if out.len() > before {
                out.push(' ');
            }
            out.push_str(word);
        }
        if out.len() > before {
            out.push('\n');
            empty = 0;
        } else if !out.is_empty() {
            empty += 1;
            // `</p><p>` gives one empty line between, as `<br><br>` does.
            if empty == 1 {
                out.push('\n');
            }
        }
    }
    out.truncate(out.trim_end().len());
    out
}

fn push_short(name: &mut String, c: char) {
    if name.len() < MAX_NAME {
        // Attributes of XML are told apart by case, but none that matters here differs by it.
        name.push(c);
        name.make_ascii_lowercase();
    }
}

fn push_value(value: &mut String, c: char) {
    if value.len() < MAX_VALUE {
        value.push(c);
    }
}

/// Tags of HTML that do not separate words.
const INLINE: [&str; 29] = [
    "a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "code", "dfn", "em", "font", "i", "ins", "del", "kbd",
    "mark", "o:p", "q", "s", "samp", "small", "span", "strike", "strong", "sub", "sup", "u", "wbr",
];
/// Elements of CDA narrative that do not separate words.
const INLINE_XML: [&str; 3] = ["content", "sub", "sup"];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(language: Language, markup: &str) -> String {
        let (mut out, mut reader) = (String::new(), Markup::new(language));
        reader.push(markup, &mut out);
        reader.finish(&mut out);
        out.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn html() {
        for (markup, wanted) in [
            ("<p>Bonjour <b>Mon</b>sieur</p><p>suite", "Bonjour Monsieur suite"),
            ("a<br>b<td>c</td><td>d</td>", "a b c d"),
            ("<!DOCTYPE html><html><head><title>T</title><style>p { a > b }</style></head>x", "T x"),
            ("<script>if (a < b) { x = '</p>' }</script >after", "after"),
            ("<SCRIPT type='a'>x</scr</SCRIPT>y", "y"),
            ("a<!-- no --- > <p> -->b", "ab"),
            ("<a href='x > y' title=\"&eacute;\">lien</a>", "lien"),
            ("&eacute;t&#233; &lt;p&gt; &amp;amp; &nbsp; &inconnu; &eacute fin &", "été <p> &amp; &inconnu; é fin &"),
            ("1 < 2 et 3 <4 <", "1 < 2 et 3 <4 <"),
            ("<p", ""),
            ("<?xml version='1'?>z", "z"),
            ("<![if !mso]>vu<![endif]>", "vu"),
            ("<img alt=photo src=x>y", "y"),
            ("<br/>a<hr />b", "a b"),
        ] {
            assert_eq!(text(Language::Html, markup), wanted, "{markup}");
        }
    }

    #[test]
    fn for_people() {
        let html = "<html><head><title>T</title><style>p{}</style></head><body><p>Bonjour <b>Mon</b>sieur,\n suite</p><p>Fin<br>ici</p><ul><li>un</li><li>deux</li></ul><script>x</script><table><tr><td>a</td><td>b</td></tr></table><img src=x></body>";
        assert_eq!(shown(html), "Bonjour Monsieur, suite\n\nFin\nici\n\n- un\n\n- deux\n\na b");
        assert_eq!(shown(""), "");
    }

    #[test]
    fn xml() {
        for (markup, wanted) in [
            ("<a xmlns='urn:x' code=\"34133-9\" displayName='Synth&#232;se'>Titre</a>", "34133-9 Synthèse Titre"),
            ("<t>in<content>suffi</content>sance</t><t>b</t>", "insuffisance b"),
            ("<text mediaType='application/pdf' representation='B64'>JVBERi0x</text><t>x</t>", "application/pdf B64 x"),
            ("<![CDATA[a < b ]] ]]>c", "a < b ]] c"),
            ("<!-- x --><t>y</t>", "y"),
        ] {
            assert_eq!(text(Language::Xml, markup), wanted, "{markup}");
        }
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(markup in "[<>/!&;a#=' \"é\\-\\[\\]scriptCDATA0-9]{0,60}", cut in 0usize..60, xml in any::<bool>()) {
            let language = if xml { Language::Xml } else { Language::Html };
            let mut cut = cut.min(markup.len());
            while !markup.is_char_boundary(cut) {
                cut -= 1;
            }
            let (mut out, mut reader) = (String::new(), Markup::new(language));
            reader.push(&markup[..cut], &mut out);
            reader.push(&markup[cut..], &mut out);
            reader.finish(&mut out);
            prop_assert_eq!(out.split_whitespace().collect::<Vec<_>>().join(" "), text(language, &markup));
            // Nothing is invented: at most blanks around what is there, and a decoded reference is never longer.
            prop_assert!(out.len() <= 3 * markup.len() + 3);
        }
    }
}
