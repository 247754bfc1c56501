//! Domain names as the list compares them: lower case, Unicode as A-labels (operator.md §2.4).

/// RFC 1035 §2.3.4, without the root.
const MAX_DOMAIN: usize = 253;

/// RFC 1035 §2.3.4.
const MAX_LABEL: usize = 63;

/// The form under which a domain is held and looked up; `None` when the text is not a host name of at least two labels.
pub(super) fn normalise(text: &str) -> Option<String> {
    // A Unicode name has at most four octets per character, and its A-labels are rarely longer.
    if text.len() > 4 * MAX_DOMAIN {
        return None;
    }
    // The root is said or left out, as in the DNS.
    let text = text.strip_suffix('.').unwrap_or(text);
    let ascii = if text.is_ascii() { text.to_ascii_lowercase() } else { to_a_labels(text)? };
    let label_ok = |label: &str| {
        (1..=MAX_LABEL).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_name = ascii.len() <= MAX_DOMAIN && ascii.contains('.') && ascii.split('.').all(label_ok);
    // An IPv4 address is not a domain.
    let last_is_number = ascii.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    (is_name && !last_is_number).then_some(ascii)
}

/// UTS #46 by way of the URL host parser; what only a URL would accept (percent escapes, brackets) is refused before.
fn to_a_labels(text: &str) -> Option<String> {
    let plain = text.chars().all(|c| !c.is_ascii() || c.is_ascii_alphanumeric() || matches!(c, '-' | '.'));
    if !plain {
        return None;
    }
    match url::Host::parse(text) {
        Ok(url::Host::Domain(domain)) => Some(domain),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::normalise;
    use proptest::prelude::*;

    #[test]
    fn names() {
        for (text, expected) in [
            ("medecin.mssante.fr", Some("medecin.mssante.fr")),
            ("CH-Exemple.MSSante.FR", Some("ch-exemple.mssante.fr")),
            ("a.b.c.d.e.f.mssante.fr", Some("a.b.c.d.e.f.mssante.fr")),
            ("hôpital.mssante.fr", Some("xn--hpital-ixa.mssante.fr")),
            ("HÔPITAL.mssante.fr", Some("xn--hpital-ixa.mssante.fr")),
            ("ho\u{302}pital.mssante.fr", Some("xn--hpital-ixa.mssante.fr")),
            ("xn--hpital-ixa.mssante.fr", Some("xn--hpital-ixa.mssante.fr")),
            ("", None),
            ("localhost", None),
            ("a..fr", None),
            (".mssante.fr", None),
            ("mssante.fr.", Some("mssante.fr")),
            ("mssante.fr..", None),
            ("*.mssante.fr", None),
            ("a b.fr", None),
            ("-a.fr", None),
            ("a_b.fr", None),
            ("127.0.0.1", None),
            ("é%41.fr", None),
            ("é/.fr", None),
            ("a@b.fr", None),
            ("a\0.fr", None),
        ] {
            assert_eq!(normalise(text).as_deref(), expected, "{text:?}");
        }
        assert_eq!(normalise(&format!("{}.fr", "a".repeat(64))), None);
        assert_eq!(normalise(&"a.".repeat(200)), None);
    }

    proptest! {
        #[test]
        fn idempotent(text in "\\PC{0,40}") {
            if let Some(once) = normalise(&text) {
                prop_assert_eq!(normalise(&once), Some(once));
            }
        }
    }
}
