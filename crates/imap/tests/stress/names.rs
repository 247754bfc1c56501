//! Names of folders in the stress test: those that several clients make, rename and remove at once, and those that one client
//! has for itself, of which every answer is foreseen.

use std::collections::{BTreeMap, BTreeSet};

use super::ledger::Random;

/// What becomes of CREATE, RENAME and DELETE.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    Done,
    AlreadyExists,
    NonExistent,
    Cannot,
}

impl Outcome {
    /// What a tagged answer says; `None` for what none of these commands may be answered with.
    pub fn of(answer: &str) -> Option<Outcome> {
        let (_, rest) = answer.split_once(' ')?;
        [
            ("OK ", Outcome::Done),
            ("NO [ALREADYEXISTS] ", Outcome::AlreadyExists),
            ("NO [NONEXISTENT] ", Outcome::NonExistent),
            ("NO [CANNOT] ", Outcome::Cannot),
        ]
        .into_iter()
        .find_map(|(begin, outcome)| rest.starts_with(begin).then_some(outcome))
    }
}

/// A command on names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    Create(String),
    Delete(String),
    Rename(String, String),
}

/// Whether that name lies under the other.
fn under<'n>(name: &'n str, above: &str) -> Option<&'n str> {
    name.strip_prefix(above)?.strip_prefix('/')
}

impl Change {
    pub fn command(&self) -> String {
        match self {
            Change::Create(name) => format!("CREATE {name}"),
            Change::Delete(name) => format!("DELETE {name}"),
            Change::Rename(from, to) => format!("RENAME {from} {to}"),
        }
    }

    /// What must become of it where these names are, and nobody else is at them; they are then what it makes of them.
    pub fn apply(&self, names: &mut BTreeSet<String>) -> Outcome {
        match self {
            Change::Create(name) => {
                if names.insert(name.clone()) {
                    Outcome::Done
                } else {
                    Outcome::AlreadyExists
                }
            }
            Change::Delete(name) => {
                if names.remove(name) {
                    Outcome::Done
                } else {
                    Outcome::NonExistent
                }
            }
            Change::Rename(from, to) if under(to, from).is_some() => Outcome::Cannot,
            Change::Rename(from, _) if !names.contains(from) => Outcome::NonExistent,
            Change::Rename(_, to) if names.contains(to) => Outcome::AlreadyExists,
            Change::Rename(from, to) => {
                let renamed = |name: String| match under(&name, from) {
                    Some(rest) => format!("{to}/{rest}"),
                    None if name == *from => to.clone(),
                    None => name,
                };
                *names = std::mem::take(names).into_iter().map(renamed).collect();
                Outcome::Done
            }
        }
    }

    /// The names it is about.
    fn touched(&self) -> BTreeSet<&str> {
        match self {
            Change::Create(name) | Change::Delete(name) => BTreeSet::from([name.as_str()]),
            Change::Rename(from, to) => BTreeSet::from([from.as_str(), to.as_str()]),
        }
    }

    /// How often more than before it makes each name, when it is done.
    fn balance(&self) -> Vec<(&str, i64)> {
        match self {
            Change::Create(name) => vec![(name, 1)],
            Change::Delete(name) => vec![(name, -1)],
            Change::Rename(from, to) => vec![(from, -1), (to, 1)],
        }
    }
}

/// A name that several clients are at.
#[derive(Clone, Copy, Default, Debug)]
struct Shared {
    /// How often it was made, less how often it was removed: 1 or 0 when nothing is under way.
    balance: i64,
    /// Commands under way.
    under_way: usize,
    /// Commands that ever began.
    begun: u64,
}

/// Names that several clients are at.
#[derive(Default)]
pub struct Names(BTreeMap<String, Shared>);

/// A command under way on shared names.
pub struct Begun {
    /// The names that are there, if that is certain, and how many commands had begun with this one.
    alone: Option<(BTreeSet<String>, Vec<u64>)>,
}

impl Names {
    /// The command is sent.
    pub fn begin(&mut self, change: &Change) -> Begun {
        let mut alone = Some((BTreeSet::new(), Vec::new()));
        for name in change.touched() {
            let shared = self.0.entry(name.to_owned()).or_default();
            if shared.under_way > 0 {
                alone = None;
            }
            shared.under_way += 1;
            shared.begun += 1;
            if let Some((there, begun)) = &mut alone {
                if shared.balance == 1 {
                    there.insert(name.to_owned());
                }
                begun.push(shared.begun);
            }
        }
        Begun { alone }
    }

    /// It was answered; whether the answer was the one foreseen, which it is when nobody else was at these names meanwhile.
    ///
    /// # Errors
    /// What it should have been.
    pub fn end(&mut self, change: &Change, begun: Begun, outcome: Outcome) -> Result<bool, String> {
        let mut now = Vec::new();
        for name in change.touched() {
            let shared = self.0.entry(name.to_owned()).or_default();
            shared.under_way -= 1;
            now.push(shared.begun);
        }
        if outcome == Outcome::Done {
            for (name, more) in change.balance() {
                self.0.entry(name.to_owned()).or_default().balance += more;
            }
        }
        match begun.alone {
            Some((mut there, then)) if then == now => {
                let wanted = change.apply(&mut there);
                if wanted == outcome { Ok(true) } else { Err(format!("{outcome:?}, and it must be {wanted:?}")) }
            }
            _ => {
                let possible = match change {
                    Change::Create(_) => outcome != Outcome::NonExistent,
                    Change::Delete(_) => outcome != Outcome::AlreadyExists,
                    Change::Rename(..) => true,
                };
                if possible && outcome != Outcome::Cannot { Ok(false) } else { Err(format!("{outcome:?}?")) }
            }
        }
    }

    /// At a quiet moment: these are there. What a crash cut off may have been done or not.
    ///
    /// # Errors
    /// A name that was made more often than it was removed, and is not there; or the other way round.
    pub fn settle(&mut self, there: &BTreeSet<String>) -> Result<(), String> {
        for (name, shared) in &mut self.0 {
            let is = i64::from(there.contains(name));
            if shared.under_way == 0 && shared.balance != is {
                return Err(format!(
                    "{name} was made {} times more than removed, and is there {is} times",
                    shared.balance
                ));
            }
            *shared = Shared { balance: is, under_way: 0, ..*shared };
        }
        match there.iter().find(|name| !self.0.contains_key(*name)) {
            Some(name) => Err(format!("{name} is there, and nobody made it")),
            None => Ok(()),
        }
    }
}

/// Names that a client has for itself.
#[derive(Default)]
pub struct Own {
    prefix: String,
    pub there: BTreeSet<String>,
    /// What there is after the command under way.
    pub then: Option<BTreeSet<String>>,
}

impl Own {
    pub fn of(client: usize) -> Own {
        Own { prefix: format!("P{client}-"), ..Own::default() }
    }

    /// Every name of this client's begins so, and no other does.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    pub fn owns(&self, name: &str) -> bool {
        name.starts_with(&self.prefix)
    }

    /// Something to do with them. Levels above a folder are made first and go last, so that none is a name alone.
    pub fn any(&self, random: &mut Random) -> Change {
        let mut root = || format!("{}{}", self.prefix, ["a", "b"][random.below(2)]);
        let (one, other) = (root(), root());
        let (child, elsewhere) = (format!("{one}/x"), format!("{other}/x"));
        match random.below(6) {
            0 if self.there.contains(&one) => Change::Create(child),
            0 | 1 => Change::Create(one),
            2 if self.there.contains(&child) => Change::Delete(child),
            2 => Change::Delete(one),
            3 if self.there.contains(&other) => Change::Rename(child, elsewhere),
            4 => Change::Rename(one, child),
            _ => Change::Rename(one, other),
        }
    }
}
