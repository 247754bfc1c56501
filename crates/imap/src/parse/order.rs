//! SORT and THREAD (RFC 5256 §5, RFC 5267, RFC 5957).

use super::cursor::Cursor;
use super::search::{charset_and_keys, return_options};
use super::{ErrorKind, MAX_WORDS, Parsed};
use crate::command::{Command, Numbers, SortBy, SortCriterion, ThreadAlgorithm};

/// `SORT [SP "RETURN" SP options] SP "(" criterion *(SP criterion) ")" SP charset 1*(SP search-key)`.
pub(super) fn sort(c: &mut Cursor<'_>, numbers: Numbers) -> Parsed<Command> {
    const WHAT: &str = "a list of sort criteria";
    c.space()?;
    let mut options = None;
    if c.eat_word("RETURN") {
        c.space()?;
        options = Some(return_options(c)?);
        c.space()?;
    }
    let mut criteria: Vec<SortCriterion> = Vec::new();
    c.list(WHAT, MAX_WORDS, "sort criteria", |c| {
        let reverse = c.eat_word("REVERSE");
        if reverse {
            c.space()?;
        }
        let by = criterion(c)?;
        // A second criterion on the same thing decides nothing.
        if criteria.iter().all(|known| known.by != by) {
            criteria.push(SortCriterion { by, reverse });
        }
        Ok(())
    })?;
    if criteria.is_empty() {
        return Err(ErrorKind::Expected(WHAT));
    }
    let (charset, key) = charset_and_keys(c)?;
    Ok(Command::Sort { numbers, options, criteria, charset, key })
}

fn criterion(c: &mut Cursor<'_>) -> Parsed<SortBy> {
    const WHAT: &str = "ARRIVAL, CC, DATE, DISPLAYFROM, DISPLAYTO, FROM, SIZE, SUBJECT or TO";
    Ok(match c.atom(WHAT)?.to_ascii_uppercase().as_str() {
        "ARRIVAL" => SortBy::Arrival,
        "CC" => SortBy::Cc,
        "DATE" => SortBy::Date,
        "FROM" => SortBy::From,
        "SIZE" => SortBy::Size,
        "SUBJECT" => SortBy::Subject,
        "TO" => SortBy::To,
        "DISPLAYFROM" => SortBy::DisplayFrom,
        "DISPLAYTO" => SortBy::DisplayTo,
        _ => return Err(ErrorKind::Expected(WHAT)),
    })
}

/// `THREAD SP algorithm SP charset 1*(SP search-key)`.
pub(super) fn thread(c: &mut Cursor<'_>, numbers: Numbers) -> Parsed<Command> {
    const WHAT: &str = "ORDEREDSUBJECT or REFERENCES";
    c.space()?;
    let algorithm = match c.atom(WHAT)?.to_ascii_uppercase().as_str() {
        "ORDEREDSUBJECT" => ThreadAlgorithm::OrderedSubject,
        "REFERENCES" => ThreadAlgorithm::References,
        _ => return Err(ErrorKind::Expected(WHAT)),
    };
    let (charset, key) = charset_and_keys(c)?;
    Ok(Command::Thread { numbers, algorithm, charset, key })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{SearchKey, SearchReturn, Window};
    use crate::parse::parse;
    use proptest::prelude::*;

    fn read(text: &str) -> Command {
        parse(text.as_bytes()).unwrap_or_else(|e| panic!("{text}: {e}")).command
    }

    #[test]
    fn sorts() {
        let by = |by, reverse| SortCriterion { by, reverse };
        assert_eq!(
            read("a UID SORT RETURN (COUNT PARTIAL -100:-1) (reverse DATE Subject DATE) utf-8 UNSEEN"),
            Command::Sort {
                numbers: Numbers::Uid,
                options: Some(vec![
                    SearchReturn::Count,
                    SearchReturn::Partial(Window { from_end: true, first: 1, last: 100 })
                ]),
                criteria: vec![by(SortBy::Date, true), by(SortBy::Subject, false)],
                charset: "UTF-8".to_owned(),
                key: SearchKey::Flag(mail::Flags::SEEN, false),
            }
        );
        assert_eq!(
            read("a THREAD references US-ASCII ALL"),
            Command::Thread {
                numbers: Numbers::Sequence,
                algorithm: ThreadAlgorithm::References,
                charset: "US-ASCII".to_owned(),
                key: SearchKey::All,
            }
        );
    }

    #[test]
    fn bad_ones() {
        for bad in [
            "a SORT",
            "a SORT () UTF-8 ALL",
            "a SORT DATE UTF-8 ALL",
            "a SORT (REVERSE) UTF-8 ALL",
            "a SORT (REVERSE REVERSE DATE) UTF-8 ALL",
            "a SORT (DATE) ALL",
            "a SORT (DATE) UTF-8",
            "a SORT (DATE)UTF-8 ALL",
            "a SORT RETURN (ALL PARTIAL 1:2) (DATE) UTF-8 ALL",
            "a SORT (NONSENSE) UTF-8 ALL",
            "a THREAD REFS UTF-8 ALL",
            "a THREAD REFERENCES ALL",
            "a THREAD REFERENCES UTF-8",
        ] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
        let deep = format!("a SORT (DATE) UTF-8 {}ALL{}", "(".repeat(5000), ")".repeat(5000));
        assert_eq!(parse(deep.as_bytes()).map_err(|e| e.kind), Err(ErrorKind::TooDeep));
        let deep = format!("a THREAD REFERENCES UTF-8 {}ALL", "NOT ".repeat(5000));
        assert_eq!(parse(deep.as_bytes()).map_err(|e| e.kind), Err(ErrorKind::TooDeep));
    }

    proptest! {
        #[test]
        fn near_commands_never_panic(text in "(SORT|THREAD|SEARCH) [A-Z$0-9():*,-]{0,12} ?[(]?[A-Z ]{0,20}[)]? ?[A-Z$0-9 ():,*-]{0,30}") {
            let _ = parse(format!("a {text}").as_bytes());
        }

        #[test]
        fn windows_are_inside(from_end: bool, a in 1u32.., b in 1u32.., count in 0usize..500) {
            let window = Window { from_end, first: a.min(b), last: a.max(b) };
            let range = window.of(count);
            prop_assert!(range.start <= range.end && range.end <= count);
            let naive: Vec<usize> = (0..count)
                .filter(|i| {
                    let place = if from_end { count - i } else { i + 1 };
                    (window.first as usize..=window.last as usize).contains(&place)
                })
                .collect();
            prop_assert_eq!(range.collect::<Vec<_>>(), naive);
        }
    }
}
