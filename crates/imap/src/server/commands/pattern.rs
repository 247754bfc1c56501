//! The patterns of LIST and LSUB (RFC 3501 §6.3.8): `*` stands for anything, `%` for anything within one level.

use mail::FolderName;

use super::super::reply::Reply;

/// Longest pattern, reference included: twice the longest folder name; bounds the cost of matching.
const MAX_PATTERN: usize = 2 * FolderName::MAX_LENGTH;

/// A pattern ready to be matched.
pub(super) struct Pattern(Vec<char>);

impl Pattern {
    /// The reference and the pattern as one; `INBOX` in any case is INBOX.
    pub(super) fn new(reference: &str, pattern: &str) -> Result<Self, Reply> {
        if reference.len() + pattern.len() > MAX_PATTERN {
            return Err(Reply::no("That pattern is too long").code("LIMIT"));
        }
        let mut chars: Vec<char> = reference.chars().chain(pattern.chars()).collect();
        // Two wildcards side by side are one: `*` when either is.
        chars.dedup_by(|next, kept| {
            let both = matches!((*kept, *next), ('*' | '%', '*' | '%'));
            if both && *next == '*' {
                *kept = '*';
            }
            both
        });
        let level = chars.iter().position(|c| *c == FolderName::SEPARATOR).unwrap_or(chars.len());
        if level == 5 && chars[..5].iter().collect::<String>().eq_ignore_ascii_case("INBOX") {
            chars.splice(..5, "INBOX".chars());
        }
        Ok(Pattern(chars))
    }

    /// Whether the name matches as a whole. The cost is at most the product of the lengths, whatever the wildcards.
    pub(super) fn matches(&self, name: &str) -> bool {
        // reached[i]: the pattern's first i characters match the name read so far.
        let mut reached = vec![false; self.0.len() + 1];
        reached[0] = true;
        self.skip_wildcards(&mut reached);
        for c in name.chars() {
            let mut next = vec![false; reached.len()];
            for (i, wanted) in self.0.iter().enumerate().filter(|(i, _)| reached[*i]) {
                match wanted {
                    '*' => next[i] = true,
                    '%' => next[i] |= c != FolderName::SEPARATOR,
                    wanted => next[i + 1] |= *wanted == c,
                }
            }
            self.skip_wildcards(&mut next);
            reached = next;
        }
        reached[self.0.len()]
    }

    /// A wildcard may stand for nothing.
    fn skip_wildcards(&self, reached: &mut [bool]) {
        for (i, wanted) in self.0.iter().enumerate() {
            if reached[i] && matches!(wanted, '*' | '%') {
                reached[i + 1] = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, name: &str) -> bool {
        Pattern::new("", pattern).expect("short").matches(name)
    }

    #[test]
    fn wildcards() {
        for (pattern, name, wanted) in [
            ("*", "a/b/c", true),
            ("%", "a", true),
            ("%", "a/b", false),
            ("%/%", "a/b", true),
            ("a*", "a/b", true),
            ("a*c", "a/b/c", true),
            ("a%c", "a/c", false),
            ("a%c", "abc", true),
            ("*%", "a/b", true),
            ("%*", "a/b", true),
            ("inbox", "INBOX", true),
            ("InBox/%", "INBOX/x", true),
            ("inbox2", "INBOX2", false),
            ("été", "été", true),
            ("A", "a", false),
            ("", "a", false),
            ("a", "ab", false),
            ("ab", "a", false),
        ] {
            assert_eq!(matches(pattern, name), wanted, "{pattern} {name}");
        }
        assert!(Pattern::new("a/", "%").expect("short").matches("a/b"));
        assert!(Pattern::new("", &"%".repeat(MAX_PATTERN + 1)).is_err());
    }

    /// The rule itself, slow and plain.
    fn plain(pattern: &[char], name: &[char]) -> bool {
        match (pattern.split_first(), name.split_first()) {
            (None, None) => true,
            (None, Some(_)) => false,
            (Some(('*', rest)), _) if plain(rest, name) => true,
            (Some(('%', rest)), _) if plain(rest, name) => true,
            (Some(('*', _)), Some((_, after))) => plain(pattern, after),
            (Some(('%', _)), Some((c, after))) => *c != '/' && plain(pattern, after),
            (Some((p, rest)), Some((c, after))) => p == c && plain(rest, after),
            (Some(_), None) => false,
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_rule(pattern in "[ab/*%]{0,7}", name in "[ab/]{0,8}") {
            let (p, n): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
            prop_assert_eq!(matches(&pattern, &name), plain(&p, &n));
        }
    }
}
