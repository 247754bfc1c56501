//! Messages that Python's `email` and `zipfile` made, honest and hostile: what they were made from is read, or told as what it is.

use std::process::Command;
use std::time::Duration;

use lps::read::{Limits, Message};
use serde_json::Value;

#[test]
fn what_python_makes_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/all/read.py");
    let made = Command::new("python3").arg(script).arg(folder.path()).output().expect("Python 3");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let mut count = 0;
    for entry in std::fs::read_dir(folder.path()).expect("read") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "eml") {
            continue;
        }
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let expected = std::fs::read(path.with_extension("json")).expect("beside it");
        let expected: Value = serde_json::from_slice(&expected).expect("JSON");
        let work = patience::Work::begin();
        let message = Message::open(std::fs::read(&path).expect("read"), Limits::default()).expect("not too large");
        assert!(work.spent() < Duration::from_secs(20), "{name} took {:?}", work.spent());
        if let Some(subject) = expected["subject"].as_str() {
            assert_eq!(message.subject.full, subject, "{name}");
        }
        if let Some(text) = expected["text"].as_str() {
            assert_eq!(message.text.as_ref().map(|t| t.text.as_str()), Some(text), "{name}");
        }
        if let Some(warnings) = expected["warnings"].as_array() {
            let told: Vec<&str> = message.warnings.iter().map(|warning| warning.code()).collect();
            assert_eq!(told, warnings.iter().filter_map(Value::as_str).collect::<Vec<_>>(), "{name}");
        }
        if let Some(contents) = expected["contents"].as_array() {
            let mut read: Vec<String> = message
                .attachments
                .iter()
                .map(|attachment| openssl::base64::encode_block(&message.content(attachment)))
                .collect();
            read.sort();
            assert_eq!(read, contents.iter().filter_map(Value::as_str).collect::<Vec<_>>(), "{name}");
        }
        for attachment in &message.attachments {
            let safe = !attachment.name.contains(['/', '\\']) && !attachment.name.starts_with('.');
            assert!(safe && !attachment.name.is_empty() && attachment.name.len() <= 255, "{name}: {}", attachment.name);
        }
        count += 1;
    }
    assert_eq!(count, 36);
}
