//! What is put off once says nothing. What is put off every time, while others are let in before, between and after, is refused: in
//! the wrong words, since whoever hears them tries the same again for days.

use crate::verdict::{Severity, Verdict};

/// Who is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// What must be refused.
    Wrong,
    /// What must be let in.
    Good,
}

/// What is tried beyond good, wrong, good. Not one after the other: a server that puts off every second connection, whoever makes it, would
/// put off the wrong one every time.
pub(super) const AGAIN: [Turn; 4] = [Turn::Wrong, Turn::Wrong, Turn::Good, Turn::Good];
/// How often the wrong one was put off then.
const TIMES: usize = 3;

/// What is told beside the last answer.
pub(super) fn told(line: &str) -> String {
    format!("{line} ; réponse passagère à chacun des {TIMES} essais au moins, entre des connexions acceptées")
}

/// Nobody gets in; the words are wrong.
pub(super) fn verdict() -> Verdict {
    Verdict::fault(Severity::Minor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_counts_connections_shows_itself() {
        let all: Vec<Turn> = [Turn::Good, Turn::Wrong, Turn::Good].into_iter().chain(AGAIN).collect();
        assert_eq!(all.iter().filter(|turn| **turn == Turn::Wrong).count(), TIMES);
        // One in so many is put off, or let in, whoever it is: for all of them to fit, nobody would have to.
        for period in 2..=4 {
            for offset in 0..period {
                for lets_in in [true, false] {
                    let is_let_in = |at: usize| (at % period == offset) == lets_in;
                    let fits = all.iter().enumerate().all(|(at, turn)| is_let_in(at) == (*turn == Turn::Good));
                    assert!(!fits, "one in {period}");
                }
            }
        }
    }
}
