//! What a campaign asks: one of the plans about operators, or how mail software behaves. Told apart here and nowhere else.

use control::catalogue::{self, Case};
use control::client::job::PLAN;
use control::job::Plan;

/// The group of the cases about mail software.
const SOFTWARE: &str = "CLI";

/// A question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Question {
    /// Of an operator.
    Operator(Plan),
    /// Of mail software.
    Software,
}

impl Question {
    /// All of them, in the order they are shown.
    pub fn all() -> impl Iterator<Item = Question> {
        Plan::ALL.into_iter().map(Question::Operator).chain([Question::Software])
    }

    /// Stable: the plan of a job.
    pub fn code(self) -> &'static str {
        match self {
            Question::Operator(plan) => plan.code(),
            Question::Software => PLAN,
        }
    }

    /// From its code.
    pub fn of_code(code: &str) -> Option<Question> {
        Question::all().find(|one| one.code() == code)
    }

    /// In plain words.
    pub fn title(self) -> &'static str {
        match self {
            Question::Operator(plan) => plan.title(),
            Question::Software => {
                "Mon logiciel se tient-il bien face à un bon opérateur, et se garde-t-il d'un mauvais ?"
            }
        }
    }

    /// Whether a case belongs to it.
    pub fn has(self, case: &Case) -> bool {
        let is_software = case.group() == SOFTWARE;
        match self {
            Question::Operator(plan) => !is_software && plan.has(case),
            Question::Software => is_software,
        }
    }

    /// Its cases.
    pub fn cases(self) -> impl Iterator<Item = &'static Case> {
        catalogue::all_cases().filter(move |case| self.has(case))
    }
}

/// Whether a plan is about mail software.
pub(crate) fn is_software(plan: &str) -> bool {
    plan == PLAN
}

/// The words of a plan; its code when this version does not know it.
pub(crate) fn title(plan: &str) -> &str {
    match Question::of_code(plan) {
        Some(question) => question.title(),
        None => plan,
    }
}

/// A case of any question.
pub(crate) fn case(id: &str) -> Option<&'static Case> {
    catalogue::all_cases().find(|case| case.id.eq_ignore_ascii_case(id))
}

/// Whether this program runs a case.
pub(crate) fn is_run(case: &Case) -> bool {
    case.group() == SOFTWARE || control::cases::is_implemented(&case.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_case_is_of_one_side() {
        assert_eq!(Question::all().count(), Plan::ALL.len() + 1);
        assert_eq!(Question::Software.cases().count(), 32);
        assert_eq!(Question::Operator(Plan::Complet).cases().count(), 120);
        for question in Question::all() {
            assert_eq!(Question::of_code(question.code()), Some(question));
        }
        assert_eq!((title("autre"), case("cli-01").map(|case| case.id.as_str())), ("autre", Some("CLI-01")));
        assert!(is_run(case("CLI-32").expect("a case")) && case("CLI-99").is_none());
    }
}
