//! The patterns of LIST and LSUB (RFC 3501 §6.3.8): `*` stands for anything, `%` for anything within one level.

use mail::FolderName;

use super::super::reply::Reply;

/// Longest pattern, reference included: twice the longest folder name; bounds the cost of matching.
const MAX_PATTERN: usize = 2 * FolderName::MAX_LENGTH;

/// A pattern ready to be matched: for each character where it stands in the pattern, as bits. A step of matching is then some
/// operations on [`WORDS`] numbers instead of one on each character: fifty long patterns over thousands of long names cost
/// seconds otherwise, which other sessions would wait for.
pub(super) struct Pattern {
    length: usize,
    /// Where each character of the pattern stands, wildcards apart; ascending.
    places: Vec<(char, Bits)>,
    /// Where `*` stands.
    stars: Bits,
    /// Where `%` stands.
    percents: Bits,
}

/// Numbers that hold a bit for each character of a pattern, and one for its end.
const WORDS: usize = MAX_PATTERN / 64 + 1;

type Bits = [u64; WORDS];

fn set(bits: &mut Bits, at: usize) {
    bits[at / 64] |= 1 << (at % 64);
}

fn has(bits: &Bits, at: usize) -> bool {
    bits[at / 64] >> (at % 64) & 1 == 1
}

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
        Ok(Pattern::of(&chars))
    }

    /// At most [`MAX_PATTERN`] characters, no two wildcards side by side.
    fn of(chars: &[char]) -> Self {
        let mut pattern = Pattern { length: chars.len(), places: Vec::new(), stars: [0; WORDS], percents: [0; WORDS] };
        let mut places = std::collections::BTreeMap::new();
        for (i, c) in chars.iter().enumerate() {
            match c {
                '*' => set(&mut pattern.stars, i),
                '%' => set(&mut pattern.percents, i),
                c => set(places.entry(*c).or_insert([0; WORDS]), i),
            }
        }
        pattern.places.extend(places);
        pattern
    }

    /// Whether the name matches as a whole. The cost is a few operations for each of its characters, whatever the wildcards.
    pub(super) fn matches(&self, name: &str) -> bool {
        const NONE: Bits = [0; WORDS];
        let used = self.length / 64 + 1;
        // Bit i: the pattern's first i characters match the name read so far.
        let mut reached = NONE;
        set(&mut reached, 0);
        self.skip_wildcards(&mut reached);
        for c in name.chars() {
            let same = self.places.binary_search_by_key(&c, |(c, _)| *c).map_or(&NONE, |at| &self.places[at].1);
            let within = c != FolderName::SEPARATOR;
            let mut carried = 0;
            for word in 0..used {
                let (now, step) = (reached[word], reached[word] & same[word]);
                let stay = now & (self.stars[word] | if within { self.percents[word] } else { 0 });
                reached[word] = stay | step << 1 | carried;
                carried = step >> 63;
            }
            self.skip_wildcards(&mut reached);
        }
        has(&reached, self.length)
    }

    /// A wildcard may stand for nothing. No two stand side by side: one step is enough.
    fn skip_wildcards(&self, reached: &mut Bits) {
        let mut carried = 0;
        for (word, now) in reached.iter_mut().enumerate().take(self.length / 64 + 1) {
            let step = *now & (self.stars[word] | self.percents[word]);
            *now |= step << 1 | carried;
            carried = step >> 63;
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
