//! The mailbox that software under test reads: one folder, one message of some words. FETCH as far as one such message needs it.

use super::talk::End;

/// Its header.
const HEADER: &str = "Date: Mon, 02 Nov 2026 09:00:00 +0100\r\nFrom: Controle <controle@controle.mssante.fr>\r\nTo: bal@controle.mssante.fr\r\n\
Subject: Message de controle\r\nMessage-ID: <message-1@controle.vaguemestre.invalid>\r\nMIME-Version: 1.0\r\nX-MSS-NIL: 3734\r\n\
Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\n";
/// Its text.
const TEXT: &str = "Ceci est un message de controle. Il n'appelle aucune reponse.\r\n";

/// The most items one FETCH asks for.
const MAX_ITEMS: usize = 64;

/// What FETCH answers for the message: text and literals; `None` when the items are none that are known.
#[must_use]
pub fn fetch(items: &str, by_uid: bool) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let items = items.trim();
    let inner = items.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).unwrap_or(items);
    let mut asked = split(inner)?;
    let expanded: &[&str] = match asked.first()?.to_ascii_uppercase().as_str() {
        "ALL" => &["FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE"],
        "FAST" => &["FLAGS", "INTERNALDATE", "RFC822.SIZE"],
        "FULL" => &["FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODY"],
        _ => &[],
    };
    if !expanded.is_empty() {
        asked = expanded.iter().map(|item| (*item).to_owned()).collect();
    }
    if by_uid && !asked.iter().any(|item| item.eq_ignore_ascii_case("UID")) {
        asked.push("UID".to_owned());
    }
    for item in asked {
        if !out.is_empty() {
            out.push(b' ');
        }
        put(&item, &mut out)?;
    }
    Some(out)
}

/// Whether a set names the one message there is; `*` is it, too.
#[must_use]
pub fn has_it(set: &str) -> bool {
    set.split(',').any(|range| {
        let (from, to) = range.split_once(':').unwrap_or((range, range));
        let number = |text: &str| if text == "*" { 1 } else { text.parse::<u32>().unwrap_or(0) };
        let (from, to) = (number(from), number(to));
        (from.min(to)..=from.max(to)).contains(&1)
    })
}

fn put(item: &str, out: &mut Vec<u8>) -> Option<()> {
    let upper = item.to_ascii_uppercase();
    let plain = match upper.as_str() {
        "UID" => "UID 1".to_owned(),
        "FLAGS" => "FLAGS ()".to_owned(),
        "INTERNALDATE" => "INTERNALDATE \"02-Nov-2026 09:00:00 +0100\"".to_owned(),
        "RFC822.SIZE" => format!("RFC822.SIZE {}", HEADER.len() + TEXT.len()),
        "ENVELOPE" => "ENVELOPE (\"Mon, 02 Nov 2026 09:00:00 +0100\" \"Message de controle\" ((\"Controle\" NIL \"controle\" \"controle.mssante.fr\")) \
             ((\"Controle\" NIL \"controle\" \"controle.mssante.fr\")) ((\"Controle\" NIL \"controle\" \"controle.mssante.fr\")) \
             ((NIL NIL \"bal\" \"controle.mssante.fr\")) NIL NIL NIL \"<message-1@controle.vaguemestre.invalid>\")"
            .to_owned(),
        "BODYSTRUCTURE" | "BODY" => {
            let more = if upper == "BODY" { "" } else { " NIL NIL NIL NIL" };
            format!("{upper} (\"text\" \"plain\" (\"charset\" \"utf-8\") NIL NIL \"7bit\" {} 1{more})", TEXT.len())
        }
        _ => String::new(),
    };
    if !plain.is_empty() {
        out.extend_from_slice(plain.as_bytes());
        return Some(());
    }
    let (name, content) = match upper.as_str() {
        "RFC822" => ("RFC822".to_owned(), whole()),
        "RFC822.HEADER" => ("RFC822.HEADER".to_owned(), HEADER.to_owned()),
        "RFC822.TEXT" => ("RFC822.TEXT".to_owned(), TEXT.to_owned()),
        _ => {
            let rest = upper.strip_prefix("BODY.PEEK[").or_else(|| upper.strip_prefix("BODY["))?;
            let (section, partial) = rest.split_once(']')?;
            let content = match section {
                "" => whole(),
                "TEXT" | "1" => TEXT.to_owned(),
                "HEADER" => HEADER.to_owned(),
                "1.MIME" | "MIME" => "Content-Type: text/plain; charset=utf-8\r\n\r\n".to_owned(),
                _ => fields(section)?,
            };
            part(section, content, partial)?
        }
    };
    out.extend_from_slice(format!("{name} {{{}}}\r\n{content}", content.len()).as_bytes());
    Some(())
}

/// With what `<from.count>` leaves of it.
fn part(section: &str, content: String, partial: &str) -> Option<(String, String)> {
    if partial.is_empty() {
        return Some((format!("BODY[{section}]"), content));
    }
    let (from, count) = partial.strip_prefix('<')?.strip_suffix('>')?.split_once('.')?;
    let (from, count): (usize, usize) = (from.parse().ok()?, count.parse().ok()?);
    let begin = from.min(content.len());
    // All of it is ASCII.
    let cut = content.get(begin..begin.saturating_add(count).min(content.len()))?.to_owned();
    Some((format!("BODY[{section}]<{from}>"), cut))
}

fn fields(section: &str) -> Option<String> {
    let (rest, is_not) = match section.strip_prefix("HEADER.FIELDS.NOT ") {
        Some(rest) => (rest, true),
        None => (section.strip_prefix("HEADER.FIELDS ")?, false),
    };
    let names: Vec<&str> =
        rest.trim().strip_prefix('(')?.strip_suffix(')')?.split(' ').map(|name| name.trim_matches('"')).collect();
    let kept = HEADER.split_inclusive("\r\n").filter(|line| {
        let name = line.split(':').next().unwrap_or_default();
        *line != "\r\n" && names.iter().any(|asked| asked.eq_ignore_ascii_case(name)) != is_not
    });
    Some(kept.collect::<String>() + "\r\n")
}

fn whole() -> String {
    format!("{HEADER}{TEXT}")
}

/// Items, brackets and parentheses kept together.
fn split(text: &str) -> Option<Vec<String>> {
    let mut items = vec![String::new()];
    let mut depth = 0usize;
    for c in text.chars() {
        match c {
            '[' | '(' => depth += 1,
            ']' | ')' => depth = depth.checked_sub(1)?,
            ' ' if depth == 0 => {
                items.push(String::new());
                continue;
            }
            _ => {}
        }
        items.last_mut()?.push(c);
    }
    items.retain(|item| !item.is_empty());
    (items.len() <= MAX_ITEMS && depth == 0).then_some(items)
}

/// A command line with the literals inside it put in place of their announcements.
///
/// # Errors
/// [`End`].
pub(super) async fn whole_command(talk: &mut super::talk::Talk, first: Vec<u8>) -> Result<Vec<u8>, End> {
    /// Literals of one command: names and passwords.
    const MAX_LITERAL: usize = 64 * 1024;
    /// Literals of one command.
    const MAX_LITERALS: usize = 8;
    let mut line = first;
    for _ in 0..MAX_LITERALS {
        let Some((size, is_waited)) = literal(&line) else { return Ok(line) };
        if size > MAX_LITERAL {
            return Err(End::TooMuch);
        }
        if is_waited {
            talk.say("+ suite\r\n").await?;
        }
        let octets = talk.exactly(size).await?;
        let begin = line.iter().rposition(|octet| *octet == b'{').unwrap_or(line.len());
        line.truncate(begin);
        line.push(b'"');
        line.extend(octets.into_iter().filter(|octet| !matches!(octet, b'\r' | b'\n' | b'"')));
        line.push(b'"');
        line.extend(talk.line().await?);
    }
    Err(End::TooMuch)
}

/// `{12}` or `{12+}` at the end: how many octets, and whether the client waits.
fn literal(line: &[u8]) -> Option<(usize, bool)> {
    let inner = line.strip_suffix(b"}")?;
    let begin = inner.iter().rposition(|octet| *octet == b'{')?;
    let number = std::str::from_utf8(&inner[begin + 1..]).ok()?;
    match number.strip_suffix('+') {
        Some(number) => Some((number.parse().ok()?, false)),
        None => Some((number.parse().ok()?, true)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_message() {
        let of = |items: &str| fetch(items, true).map(|octets| String::from_utf8(octets).expect("text"));
        assert_eq!(of("(FLAGS)").as_deref(), Some("FLAGS () UID 1"));
        let fields = of("(UID BODY.PEEK[HEADER.FIELDS (Subject \"From\")])").expect("known");
        assert!(fields.contains("Subject: Message de controle\r\n") && !fields.contains("Message-ID"), "{fields}");
        assert_eq!(of("(UID BODY[TEXT]<0.4>)").as_deref(), Some("UID 1 BODY[TEXT]<0> {4}\r\nCeci"));
        assert_eq!(of("(UID BODY[TEXT]<9999.4>)").as_deref(), Some("UID 1 BODY[TEXT]<9999> {0}\r\n"));
        assert!(of("RFC822").expect("known").contains(TEXT));
        assert_eq!(of("(X)"), None);
        assert_eq!(of("(BODY[TEXT"), None);
        assert!(has_it("1") && has_it("*") && has_it("2,1:9") && has_it("4:*") && !has_it("2:9") && !has_it("x"));
        assert_eq!(literal(b"a1 LOGIN {5}"), Some((5, true)));
        assert_eq!(literal(b"a1 LOGIN {5+}"), Some((5, false)));
        assert_eq!(literal(b"a1 LOGIN x"), None);
    }

    proptest! {
        #[test]
        fn nothing_panics(items in "\\PC{0,80}", more in "[A-Z.\\[\\]() <>0-9]{0,40}") {
            let _ = fetch(&items, true);
            let _ = fetch(&more, false);
            let _ = fetch(&format!("BODY[{more}]<{more}>"), false);
        }
    }
}
