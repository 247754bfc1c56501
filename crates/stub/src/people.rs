//! Who can log in: fictional people, given by whoever runs the realm.

/// A fictional professional.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// National identifier.
    pub id: String,
    /// Title, when the profession has one.
    pub title: Option<String>,
    /// First name.
    pub given: String,
    /// Surname.
    pub family: String,
    /// Code of the profession (TRE_G15): 10 physician, 60 nurse.
    pub profession: String,
    /// The mailboxes this person opens, for the pages.
    pub mailboxes: Vec<String>,
    /// Where they work.
    pub structure: Structure,
}

/// A fictional organisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Structure {
    /// National identifier, type digit included.
    pub id: String,
    /// Its name.
    pub name: String,
}

impl Person {
    /// First name and surname.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{} {}", self.given, self.family)
    }
}
