//! Every error says something of its own in both languages.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use directory::{ApiError, ExtractionError, QueryError};

use super::FindError;
use crate::explain::{Explain, Language};

#[test]
fn every_error_explains_itself() {
    let io = || std::io::Error::other("x");
    let path = || PathBuf::from("/x");
    let errors = [
        FindError::NotConfigured,
        QueryError::Empty.into(),
        QueryError::Rpps.into(),
        ApiError::NotConfigured.into(),
        ApiError::Authorities("x".into()).into(),
        ApiError::Unreachable("x".into()).into(),
        ApiError::TimeOut(Duration::from_secs(1)).into(),
        ApiError::Key(403).into(),
        ApiError::TooMany.into(),
        ApiError::Refused { status: 400, said: "x".into() }.into(),
        ApiError::Broken(500).into(),
        ApiError::NotFhir("x".into()).into(),
        ApiError::TooLarge(1).into(),
        ApiError::OtherOrigin.into(),
        ApiError::Circle.into(),
        ExtractionError::NotConfigured.into(),
        ExtractionError::NoIndex(path()).into(),
        ExtractionError::File { path: path(), error: io() }.into(),
        ExtractionError::Damaged { path: path(), what: "x" }.into(),
        ExtractionError::Header("x").into(),
        ExtractionError::Broken { lines: 2, refused: 1 }.into(),
        ExtractionError::Shrunk { lines: 1, before: 3 }.into(),
        ExtractionError::Archive("x").into(),
        ExtractionError::Fetch("x".into()).into(),
        ExtractionError::Status(404).into(),
        ExtractionError::TooLarge(1).into(),
        FindError::Stopped,
    ];
    let mut codes = HashSet::new();
    for error in errors {
        assert!(codes.insert(error.code()), "{} twice", error.code());
        assert!(error.code().starts_with("find."));
        let (french, english) = (error.message(Language::French), error.message(Language::English));
        assert!(!french.is_empty() && french != english, "{english}");
        assert!(!error.remedy(Language::French).is_empty() && !error.remedy(Language::English).is_empty());
    }
    // A query that is wrong is the query's fault whatever source looked at it first.
    assert_eq!(FindError::from(ApiError::Query(QueryError::Empty)).code(), "find.empty");
}
