//! HTML without holes: a fragment is made of literals and of values, and every value is escaped unless it is a fragment itself.
//!
//! Invariants:
//! * the only way from text to [`Html`] is [`fill`], whose template is a literal of this program ([`html!`](crate::html!) counts its holes when it is
//!   compiled);
//! * attributes are written between double quotes;
//! * what moves a terminal or turns text around (control characters, bidirectional marks) is shown, never sent: most texts here come from peers.

use std::fmt::Write;

/// Markup that may be sent as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Html(String);

impl Html {
    /// The text of the markup.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }

    /// Nothing.
    #[must_use]
    pub fn empty() -> Html {
        Html::default()
    }

    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Html> for Html {
    fn from_iter<I: IntoIterator<Item = Html>>(parts: I) -> Html {
        let mut all = String::new();
        for part in parts {
            all.push_str(&part.0);
        }
        Html(all)
    }
}

/// What can stand in a hole.
pub trait Show {
    /// Writes it, escaped.
    fn show(&self, out: &mut String);
}

impl Show for Html {
    fn show(&self, out: &mut String) {
        out.push_str(&self.0);
    }
}

impl Show for str {
    fn show(&self, out: &mut String) {
        for c in self.chars() {
            match c {
                '<' => out.push_str("&lt;"),
                '>' => out.push_str("&gt;"),
                '&' => out.push_str("&amp;"),
                '"' => out.push_str("&quot;"),
                '\'' => out.push_str("&#39;"),
                '\n' | '\t' => out.push(c),
                // The pictures of the control characters.
                '\0'..='\x1f' => out.push(char::from_u32(0x2400 + c as u32).unwrap_or('\u{FFFD}')),
                '\x7f' => out.push('\u{2421}'),
                c if c.is_control() || is_turning(c) => {
                    // Writing to a String cannot fail.
                    let _ = write!(out, "[U+{:04X}]", c as u32);
                }
                c => out.push(c),
            }
        }
    }
}

/// Marks that change the direction or the order in which text is read.
fn is_turning(c: char) -> bool {
    matches!(c, '\u{200E}' | '\u{200F}' | '\u{061C}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}')
}

impl Show for String {
    fn show(&self, out: &mut String) {
        self.as_str().show(out);
    }
}

impl<T: Show + ?Sized> Show for &T {
    fn show(&self, out: &mut String) {
        (**self).show(out);
    }
}

impl<T: Show> Show for Option<T> {
    fn show(&self, out: &mut String) {
        if let Some(value) = self {
            value.show(out);
        }
    }
}

macro_rules! numbers {
    ($($kind:ty),*) => { $(impl Show for $kind {
        fn show(&self, out: &mut String) {
            let _ = write!(out, "{self}");
        }
    })* };
}
numbers!(u8, u16, u32, u64, usize, i64);

/// How many holes a template has.
#[must_use]
pub const fn holes(template: &str) -> usize {
    let octets = template.as_bytes();
    let (mut at, mut count) = (0, 0);
    while at + 1 < octets.len() {
        if octets[at] == b'{' && octets[at + 1] == b'}' {
            count += 1;
            at += 1;
        }
        at += 1;
    }
    count
}

/// A template whose `{}` are filled in order. Use [`html!`](crate::html!).
#[must_use]
pub fn fill(template: &'static str, values: &[&dyn Show]) -> Html {
    let mut out = String::with_capacity(template.len() + 32 * values.len());
    let mut values = values.iter();
    let mut parts = template.split("{}");
    if let Some(first) = parts.next() {
        out.push_str(first);
    }
    for part in parts {
        if let Some(value) = values.next() {
            value.show(&mut out);
        }
        out.push_str(part);
    }
    Html(out)
}

/// `html!("<p>{}</p>", text)`: each `{}` takes one value, escaped unless it is [`Html`].
#[macro_export]
macro_rules! html {
    ($template:literal $(, $value:expr)* $(,)?) => {{
        const _: () = assert!(
            $crate::html::holes($template) == 0usize $(+ { let _ = stringify!($value); 1usize })*,
            "as many values as holes"
        );
        $crate::html::fill($template, &[$(&$value as &dyn $crate::html::Show),*])
    }};
}

/// A path with one parameter of a query, percent-encoded.
#[must_use]
pub fn link(path: &str, query: &[(&str, &str)]) -> String {
    let mut encoded = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in query.iter().filter(|(_, value)| !value.is_empty()) {
        encoded.append_pair(name, value);
    }
    match encoded.finish() {
        none if none.is_empty() => path.to_owned(),
        query => format!("{path}?{query}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_are_escaped_and_fragments_are_not() {
        let inner = html!("<b>{}</b>", "a < \"b\"");
        let all = html!("<p title=\"{}\">{}{}</p>", "\" onclick='x", inner, Some(3u32));
        assert_eq!(all.into_string(), "<p title=\"&quot; onclick=&#39;x\"><b>a &lt; &quot;b&quot;</b>3</p>");
        assert_eq!(html!("{}", "{}").into_string(), "{}");
    }

    #[test]
    fn what_a_peer_sends_is_seen() {
        assert_eq!(html!("{}", "\x1b[31m\u{202e}x\0\u{9b}").into_string(), "␛[31m[U+202E]x␀[U+009B]");
    }

    #[test]
    fn links() {
        assert_eq!(link("/a", &[("q", "é&b"), ("r", "")]), "/a?q=%C3%A9%26b");
        assert_eq!(link("/a", &[]), "/a");
    }

    proptest! {
        #[test]
        fn no_text_makes_markup(text in any::<String>()) {
            let out = html!("{}", text).into_string();
            prop_assert!(!out.contains(['<', '>', '"', '\'']));
            prop_assert!(out.chars().all(|c| !c.is_control() || c == '\n' || c == '\t'));
        }
    }
}
