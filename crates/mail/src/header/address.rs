//! Address lists (RFC 5322 §3.4 and §4.4), read from anything and never refused.
//!
//! What decides who wrote a message must look at [`AddressList::clean`]: it is false whenever something was skipped or
//! guessed, that is whenever another program may understand the list otherwise.

use std::borrow::Cow;

/// One element of an address list.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address<S = String> {
    /// A mailbox.
    Mailbox {
        /// The display name, quotes removed, encoded words as sent; or the comment of the old form `a@b (Name)`.
        name: Option<S>,
        /// The obsolete source route, e.g. `@a,@b`.
        route: Option<S>,
        /// The local part, quotes removed.
        local: S,
        /// The domain; empty when there is none.
        domain: S,
    },
    /// The name of a group, whose members follow.
    GroupStart(S),
    /// The end of a group.
    GroupEnd,
}

impl Address {
    /// `local@domain`, the local part quoted where needed; `None` for a group or when either half is missing.
    pub fn address(&self) -> Option<String> {
        match self {
            Address::Mailbox { local, domain, .. } if !local.is_empty() && !domain.is_empty() => {
                if is_dot_atom(local) {
                    return Some(format!("{local}@{domain}"));
                }
                let escaped = local.replace('\\', "\\\\").replace('"', "\\\"");
                Some(format!("\"{escaped}\"@{domain}"))
            }
            _ => None,
        }
    }
}

/// The addresses of a field.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct AddressList {
    /// What was read, in order.
    pub addresses: Vec<Address>,
    /// Whether the whole text follows the grammar and nothing was skipped, guessed or left out.
    pub clean: bool,
}

/// Reads an address list (unfolded), at most `max` elements; the time taken is linear.
pub fn parse_addresses(value: &str, max: usize) -> AddressList {
    let mut parser = Parser { clean: true, max, ..Parser::default() };
    let mut lexer = Lexer { text: value, clean: true };
    while let Some(token) = lexer.next() {
        parser.token(token);
    }
    parser.finish(lexer.clean)
}

/// A token; its text is the list's own wherever that has no backslash.
#[derive(Debug)]
enum Token<'t> {
    Word { text: Cow<'t, str>, quoted: bool },
    Comment(Cow<'t, str>),
    Special(char),
}

struct Lexer<'t> {
    text: &'t str,
    clean: bool,
}

impl<'t> Lexer<'t> {
    fn next(&mut self) -> Option<Token<'t>> {
        self.text = self.text.trim_start_matches([' ', '\t', '\r', '\n']);
        let first = self.text.chars().next()?;
        let (token, used) = match first {
            '"' => {
                let (text, used) = self.until('"', None);
                (Token::Word { text, quoted: true }, used)
            }
            '(' => {
                let (text, used) = self.until(')', Some('('));
                (Token::Comment(text), used)
            }
            '[' => {
                let (text, used) = self.until(']', None);
                (Token::Word { text: format!("[{text}]").into(), quoted: false }, used)
            }
            '<' | '>' | '@' | ',' | ';' | ':' => (Token::Special(first), 1),
            _ => {
                let used = self.text.find(is_delimiter).unwrap_or(self.text.len()).max(first.len_utf8());
                self.clean &= !matches!(first, ')' | ']' | '\\') && !self.text[..used].contains(char::is_control);
                (Token::Word { text: self.text[..used].into(), quoted: false }, used)
            }
        };
        self.text = &self.text[used..];
        Some(token)
    }

    /// The text up to the closing character, backslashes undone, and the octets used with both delimiters.
    fn until(&mut self, close: char, open: Option<char>) -> (Cow<'t, str>, usize) {
        // The delimiters are one octet each.
        let inner = &self.text[1..];
        let ends = |c: char| c == close || c == '\\' || Some(c) == open;
        if let Some(end) = inner.find(ends).filter(|end| inner[*end..].starts_with(close)) {
            let text = &inner[..end];
            self.clean &= !text.chars().any(|c| c.is_control() && c != '\t');
            return (text.into(), end + 2);
        }
        let mut out = String::new();
        let mut depth = 1usize;
        let mut chars = self.text.char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            if c == '\\' {
                if let Some((_, escaped)) = chars.next() {
                    self.clean &= !escaped.is_control();
                    out.push(escaped);
                }
                continue;
            }
            if Some(c) == open {
                depth += 1;
            } else if c == close {
                depth -= 1;
                if depth == 0 {
                    return (out.into(), at + c.len_utf8());
                }
            }
            self.clean &= !c.is_control() || c == '\t';
            out.push(c);
        }
        self.clean = false;
        (out.into(), self.text.len())
    }
}

fn is_delimiter(c: char) -> bool {
    matches!(c, '"' | '(' | ')' | '[' | ']' | '<' | '>' | '@' | ',' | ';' | ':' | '\\' | ' ' | '\t' | '\r' | '\n')
}

/// Tokens of one address kept: a long name has dozens; bounds the memory of a hostile one.
const MAX_TOKENS: usize = 256;

#[derive(Default)]
struct Parser<'t> {
    out: Vec<Address>,
    /// Tokens of the address being read.
    element: Vec<Token<'t>>,
    in_angle: bool,
    in_route: bool,
    in_group: bool,
    clean: bool,
    max: usize,
}

impl<'t> Parser<'t> {
    fn token(&mut self, token: Token<'t>) {
        let Token::Special(special) = token else {
            return self.keep(token);
        };
        match special {
            // Inside `<…>` a comma belongs to a source route, and only there.
            ',' if !self.in_route => self.flush(),
            ';' => {
                self.flush();
                self.clean &= self.in_group;
                if std::mem::take(&mut self.in_group) {
                    self.push(Address::GroupEnd);
                }
            }
            ':' if !self.in_angle => {
                let only_words = self.element.iter().all(|t| !matches!(t, Token::Special(_)));
                let name = words(&self.element);
                if only_words && !self.in_group && !name.is_empty() {
                    self.element.clear();
                    self.in_group = true;
                    self.push(Address::GroupStart(name));
                } else {
                    self.clean = false;
                }
            }
            '<' if self.in_angle => self.clean = false,
            '<' => {
                self.in_angle = true;
                self.clean &= !self.element.iter().any(|t| matches!(t, Token::Special(_)));
                self.keep(token);
            }
            '>' => {
                self.clean &= self.in_angle;
                (self.in_angle, self.in_route) = (false, false);
                self.keep(token);
            }
            '@' => {
                self.in_route |= self.in_angle && matches!(self.element.last(), Some(Token::Special('<')));
                self.keep(token);
            }
            ':' => {
                self.in_route = false;
                self.keep(token);
            }
            _ => self.keep(token),
        }
    }

    fn keep(&mut self, token: Token<'t>) {
        if self.element.len() < MAX_TOKENS {
            self.element.push(token);
        } else {
            self.clean = false;
        }
    }

    fn push(&mut self, address: Address) {
        if self.out.len() < self.max {
            self.out.push(address);
        } else {
            self.clean = false;
        }
    }

    fn finish(mut self, lexer_clean: bool) -> AddressList {
        self.flush();
        if self.in_group {
            self.clean = false;
            self.push(Address::GroupEnd);
        }
        AddressList { addresses: self.out, clean: self.clean && lexer_clean }
    }

    /// Ends an address.
    fn flush(&mut self) {
        self.clean &= !self.in_angle;
        (self.in_angle, self.in_route) = (false, false);
        let element = std::mem::take(&mut self.element);
        let is = |t: &Token<'_>, c: char| matches!(t, Token::Special(s) if *s == c);
        if element.iter().all(|t| matches!(t, Token::Comment(_))) {
            return;
        }
        let address = match element.iter().position(|t| is(t, '<')) {
            Some(open) => {
                let close = element.iter().skip(open).position(|t| is(t, '>')).map(|i| open + i);
                let after = close.map_or(&[][..], |c| &element[c + 1..]);
                self.clean &= after.iter().all(|t| matches!(t, Token::Comment(_)));
                let mut inner = &element[open + 1..close.unwrap_or(element.len())];
                let mut route = None;
                if inner.first().is_some_and(|t| is(t, '@')) {
                    let colon = inner.iter().rposition(|t| is(t, ':'));
                    self.clean &= colon.is_some();
                    if let Some(colon) = colon {
                        route = Some(joined(&inner[..colon]));
                        inner = &inner[colon + 1..];
                    }
                }
                let (_, local, domain) = self.addr_spec(inner);
                let name = words(&element[..open]);
                let name = (!name.is_empty()).then_some(name).or_else(|| comment(&element));
                Address::Mailbox { name, route, local, domain }
            }
            None => {
                let (name, local, domain) = self.addr_spec(&element);
                Address::Mailbox { name: name.or_else(|| comment(&element)), route: None, local, domain }
            }
        };
        self.push(address);
    }

    /// Words before the address (which do not belong there), local part and domain.
    fn addr_spec(&mut self, tokens: &[Token<'t>]) -> (Option<String>, String, String) {
        let mut halves = tokens.split(|t| matches!(t, Token::Special('@')));
        let mut left = glued(halves.next().unwrap_or(&[]));
        let mut right = halves.next().map(glued).unwrap_or_default();
        let (local, local_ok) = left.pop().unwrap_or_default();
        let domain = if right.is_empty() { Cow::default() } else { right.remove(0).0 };
        let stray = tokens.iter().any(|t| matches!(t, Token::Special(c) if *c != '@'));
        self.clean &= halves.next().is_none() && left.is_empty() && right.is_empty() && local_ok && !stray;
        self.clean &= is_domain(&domain);
        let name = left.into_iter().map(|(word, _)| word).collect::<Vec<_>>().join(" ");
        ((!name.is_empty()).then_some(name), local.into_owned(), domain.into_owned())
    }
}

/// The words of a phrase, one blank between two.
fn words(tokens: &[Token<'_>]) -> String {
    let mut phrase = String::new();
    for token in tokens {
        if let Token::Word { text, .. } = token {
            if !phrase.is_empty() {
                phrase.push(' ');
            }
            phrase.push_str(text);
        }
    }
    phrase
}

/// The last comment.
fn comment(tokens: &[Token<'_>]) -> Option<String> {
    tokens.iter().rev().find_map(|t| match t {
        Token::Comment(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
        _ => None,
    })
}

/// The tokens written without blanks, comments left out.
fn joined(tokens: &[Token<'_>]) -> String {
    let mut out = String::new();
    for token in tokens {
        match token {
            Token::Word { text, .. } => out.push_str(text),
            Token::Special(c) => out.push(*c),
            Token::Comment(_) => {}
        }
    }
    out
}

/// Words joined where a dot holds them together (`a . b`), each with whether it is a correct local part.
fn glued<'t>(tokens: &[Token<'t>]) -> Vec<(Cow<'t, str>, bool)> {
    let mut groups: Vec<(Cow<'t, str>, bool)> = Vec::new();
    // Whether the group so far waits for a word after a dot.
    let mut open = false;
    for token in tokens {
        let Token::Word { text, quoted } = token else {
            continue;
        };
        let starts = !quoted && text.starts_with('.');
        let inner = if *quoted { &**text } else { text.trim_start_matches('.') };
        let ends = !quoted && text.ends_with('.');
        let middle = if *quoted { inner } else { inner.trim_end_matches('.') };
        let dots = text.len() - middle.len();
        let well = match middle {
            _ if *quoted => true,
            "" => text == ".",
            _ => dots == usize::from(starts) + usize::from(ends) && is_dot_atom(middle),
        };
        match groups.last_mut() {
            Some((group, ok)) if open || starts => {
                *ok &= well && !(open && starts);
                group.to_mut().push_str(text);
            }
            _ => groups.push((text.clone(), well && !starts)),
        }
        open = ends;
    }
    if let Some((_, ok)) = groups.last_mut() {
        *ok &= !open;
    }
    groups
}

/// Atoms between single dots; non-ASCII letters are those of RFC 6532.
fn is_dot_atom(text: &str) -> bool {
    text.split('.').all(|atom| {
        !atom.is_empty()
            && atom.chars().all(|c| match c {
                '!' | '#'..='\'' | '*' | '+' | '-' | '/' | '=' | '?' | '^'..='`' | '{'..='~' => true,
                c if c.is_ascii() => c.is_ascii_alphanumeric(),
                c => c.is_alphanumeric() || (!c.is_whitespace() && !c.is_control()),
            })
    })
}

/// A host name (letters of RFC 6532 too) or an address literal.
fn is_domain(text: &str) -> bool {
    if let Some(literal) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
        return !literal.is_empty()
            && literal.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'[' | b']' | b'\\'));
    }
    text.split('.').all(|label| !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_'))
}

#[cfg(test)]
mod tests;
