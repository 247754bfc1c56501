//! A mistake in a configuration: where it is, what it is, what to do.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1; `None` when it is of no line in particular.
    pub line: Option<usize>,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

impl Problem {
    pub(super) fn at(
        file: &Path,
        text: &str,
        span: Range<usize>,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        // An empty span at 0 is a default value: it stands on no line.
        let line = (span != (0..0)).then(|| line_of(text, span.start));
        Problem { file: file.to_owned(), line, what: what.into(), remedy: remedy.into() }
    }

    pub(super) fn unreadable(file: &Path, error: &std::io::Error) -> Self {
        Problem {
            file: file.to_owned(),
            line: None,
            what: format!("cannot be read: {error}"),
            remedy: "give the path of a configuration file that this user may read".into(),
        }
    }

    pub(super) fn syntax(file: &Path, text: &str, error: &toml::de::Error) -> Self {
        Problem {
            file: file.to_owned(),
            line: error.span().map(|span| line_of(text, span.start)),
            what: error.message().trim().replace('\n', "; "),
            remedy: "compare with docs/vaguemestre.toml, where every key is explained".into(),
        }
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset.min(text.len())].iter().filter(|b| **b == b'\n').count() + 1
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}\n  to do: {}", self.what, self.remedy)
    }
}
