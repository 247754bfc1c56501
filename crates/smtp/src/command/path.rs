//! Paths and mailboxes (RFC 5321 §4.1.2, RFC 6531 §3.3).
//!
//! Whatever passes [`check_mailbox`] can be written between angle brackets on a command line or in a field: no control
//! character, no space nor bracket outside a quoted string.

use std::net::{Ipv4Addr, Ipv6Addr};

/// RFC 5321 §4.5.3.1.1.
const MAX_LOCAL: usize = 64;
/// RFC 5321 §4.5.3.1.2.
const MAX_DOMAIN: usize = 255;
/// RFC 5321 §4.5.3.1.3, without the brackets.
const MAX_MAILBOX: usize = 254;
/// RFC 1035 §2.3.4.
const MAX_LABEL: usize = 63;

/// Not a path or not a mailbox. Never quotes it: a patient's address holds an INS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a valid mail address")]
pub struct PathError;

/// Takes `<path>` off the head of `text`: what is between the brackets, without source route, and what follows.
///
/// # Errors
/// No brackets, or a bad source route.
pub fn take(text: &str) -> Result<(&str, &str), PathError> {
    let inner = text.strip_prefix('<').ok_or(PathError)?;
    let (mut quoted, mut escaped) = (false, false);
    let end = inner
        .bytes()
        .position(|byte| {
            let was_escaped = std::mem::take(&mut escaped);
            match byte {
                _ if was_escaped => false,
                b'\\' if quoted => {
                    escaped = true;
                    false
                }
                b'"' => {
                    quoted = !quoted;
                    false
                }
                b'>' => !quoted,
                _ => false,
            }
        })
        .ok_or(PathError)?;
    let (path, tail) = (&inner[..end], &inner[end + 1..]);
    let Some(route) = path.strip_prefix('@') else { return Ok((path, tail)) };
    let (route, mailbox) = route.split_once(':').ok_or(PathError)?;
    let mut hops = route.split(',').enumerate();
    let hops_ok = hops.all(|(index, hop)| {
        let hop = if index == 0 { Some(hop) } else { hop.strip_prefix('@') };
        hop.is_some_and(is_domain)
    });
    if hops_ok { Ok((mailbox, tail)) } else { Err(PathError) }
}

/// Checks `local@domain`.
///
/// # Errors
/// Anything else.
pub fn check_mailbox(text: &str) -> Result<(), PathError> {
    let (local, domain) = text.rsplit_once('@').ok_or(PathError)?;
    let local_ok = local.len() <= MAX_LOCAL && (is_dot_atom(local) || is_quoted(local));
    if text.len() <= MAX_MAILBOX && local_ok && (is_domain(domain) || is_literal(domain)) {
        Ok(())
    } else {
        Err(PathError)
    }
}

fn is_dot_atom(text: &str) -> bool {
    text.split('.').all(|atom| {
        !atom.is_empty()
            && atom.chars().all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || is_utf8_text(c))
    })
}

/// Non-ASCII characters a mailbox may hold: not the C1 controls, nor spaces, nor what turns the direction of text.
fn is_utf8_text(c: char) -> bool {
    !c.is_ascii()
        && !c.is_control()
        && !c.is_whitespace()
        && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

fn is_quoted(text: &str) -> bool {
    let Some(inner) = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')) else { return false };
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        let ok = match c {
            '\\' => chars.next().is_some_and(|c| matches!(c, ' '..='~')),
            '"' => false,
            ' '..='~' => true,
            c => is_utf8_text(c),
        };
        if !ok {
            return false;
        }
    }
    // A lone quote is both prefix and suffix of itself.
    text.len() >= 2
}

fn is_domain(text: &str) -> bool {
    text.len() <= MAX_DOMAIN
        && text.split('.').all(|label| {
            (1..=MAX_LABEL).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || is_utf8_text(c))
        })
}

fn is_literal(text: &str) -> bool {
    let Some(inner) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) else { return false };
    match inner.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("IPv6:") => inner[5..].parse::<Ipv6Addr>().is_ok(),
        _ => inner.parse::<Ipv4Addr>().is_ok(),
    }
}
