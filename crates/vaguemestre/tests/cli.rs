//! The command line beside a running space: `mailbox`, `check-config`, `sandbox token`, their answers and exit codes.

use std::path::Path;
use std::process::{Command, Output};

use sandbox::{Options, Sandbox};
use serde_json::Value;

fn vaguemestre(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vaguemestre"));
    command.args(arguments).env_remove("RUST_LOG").env_remove("VAGUEMESTRE_CONFIG").env_remove("VAGUEMESTRE_SANDBOX");
    command.output().expect("the binary runs")
}

fn done(arguments: &[&str]) -> String {
    let output = vaguemestre(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// What standard error says of a command that fails with this code.
fn failed(arguments: &[&str], code: i32) -> String {
    let output = vaguemestre(arguments);
    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
    said
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beside_a_running_space() {
    let folder = tempfile::tempdir().expect("a folder");
    let sandbox = Sandbox::start(Options::new(folder.path())).await.expect("starts");
    let folder = folder.path().to_owned();
    let looked = tokio::task::spawn_blocking(move || {
        let config = folder.join("alpha/vaguemestre.toml");
        let config = config.to_str().expect("text");
        mailboxes(config);
        traced(&folder.join("alpha/data/traces"));
        configurations(config, &folder);
        tokens(folder.to_str().expect("text"));
    });
    let looked = looked.await;
    sandbox.stop().await;
    looked.expect("all as it should be");
}

/// BAL-KIND, BAL-ROLES
fn mailboxes(config: &str) {
    let run = |arguments: &[&str]| -> Value {
        let all: Vec<&str> = ["mailbox", "--json", "--config", config].iter().chain(arguments).copied().collect();
        serde_json::from_str(&done(&all)).expect("JSON")
    };
    let refused = |arguments: &[&str], code| {
        let all: Vec<&str> = ["mailbox", "--config", config].iter().chain(arguments).copied().collect();
        failed(&all, code)
    };
    assert_eq!(run(&["list"]).as_array().map(Vec::len), Some(4));
    let (new, holder) = ("pharmacie@alpha.formation.mssante.fr", "1750000001");
    let made = run(&["create", new, "--kind", "ORG", "--holder", holder, "--label", "Pharmacie", "--quota", "2G"]);
    assert_eq!((made["kind"].as_str(), made["quota_octets"].as_u64()), (Some("ORG"), Some(2 << 30)));
    assert!(made["quota_messages"].is_null());
    let limited = run(&["quota", new, "--messages", "5000"]);
    assert_eq!((limited["quota_messages"].as_u64(), limited["quota_octets"].as_u64()), (Some(5000), Some(2 << 30)));
    assert!(run(&["quota", new, "--storage", "none"])["quota_octets"].is_null());
    assert!(refused(&["quota", new], 2).contains("--storage"));
    assert!(refused(&["quota", "nobody@alpha.formation.mssante.fr", "--messages", "1"], 1).contains("mailbox list"));
    let granted = run(&["grant", new, "--person", "899700000054", "--role", "member", "--until", "2999-01-01"]);
    assert_eq!(
        (granted["rights"][0]["role"].as_str(), granted["rights"][0]["holds"].as_bool()),
        (Some("member"), Some(true))
    );
    let revoked = run(&["revoke", new, "--person", "899700000054"]);
    assert_eq!(revoked["rights"][0]["holds"], false, "the right stays as a trace");
    assert!(done(&["mailbox", "--config", config, "list"]).contains(new));

    assert!(refused(&["revoke", new, "--person", "899700000054"], 1).contains("no right"));
    assert!(refused(&["create", new, "--kind", "ORG", "--holder", holder], 1).contains("exists already"));
    assert!(
        refused(&["create", "a@beta.formation.mssante.fr", "--kind", "PER", "--holder", "899700000054"], 1)
            .contains("domain")
    );
    assert!(
        refused(&["create", "a@alpha.formation.mssante.fr", "--kind", "PER", "--holder", holder], 1)
            .contains("--holder")
    );
    assert!(
        refused(&["grant", "labo@alpha.formation.mssante.fr", "--person", "899700000054", "--role", "delegate"], 1)
            .contains("APP")
    );
    assert!(refused(&["grant", new, "--person", "899700000054", "--role", "co-holder"], 1).contains("CAB"));
    assert!(refused(&["grant", new, "--person", "12", "--role", "member"], 2).contains("national identifier"));
    assert!(refused(&["show", "nobody@alpha.formation.mssante.fr"], 1).contains("mailbox list"));
    assert!(refused(&["delete", new], 1).contains("--yes"));
    assert_eq!(run(&["delete", new, "--yes"])["deleted"], new);
    assert_eq!(run(&["list"]).as_array().map(Vec::len), Some(4));
    assert!(failed(&["mailbox", "list"], 1).contains("--config"));
}

/// TRACE: what the administrator did, and to whom.
fn traced(folder: &Path) {
    let mut answers = Vec::new();
    for file in std::fs::read_dir(folder).expect("traces").flatten() {
        for line in std::fs::read_to_string(file.path()).expect("text").lines() {
            let trace: Value = serde_json::from_str(line).expect("a JSON line");
            if trace["action"] == "administer" {
                assert!(trace["who"]["administrator"].is_string(), "{line}");
                answers.push(trace["answer"].as_str().unwrap_or_default().to_owned());
            }
        }
    }
    answers.sort();
    assert_eq!(answers, ["created", "deleted", "granted member", "quota changed", "quota changed", "revoked"]);
}

fn configurations(good: &str, folder: &Path) {
    let summary = done(&["check-config", good]);
    assert!(summary.contains("alpha.formation.mssante.fr") && summary.contains("introspection, userinfo"), "{summary}");
    let text = std::fs::read_to_string(good).expect("text");
    let wrong = text
        .replace("../pki/alpha.key", "../pki/beta.key")
        .replace("first_retry_seconds = 2", "first_retry_seconds = 0");
    let bad = folder.join("alpha/bad.toml");
    std::fs::write(&bad, &wrong).expect("writable");
    let bad = bad.to_str().expect("text");
    let said = failed(&["check-config", bad], 1);
    for (what, needle) in
        [("the key is not the certificate's", "beta.key"), ("first_retry_seconds is 0", "first_retry_seconds")]
    {
        let line = wrong.lines().position(|line| line.contains(needle)).expect("in the file") + 1;
        assert!(said.contains(&format!("bad.toml:{line}: ")) && said.contains(what), "{what}: {said}");
    }
    assert_eq!(said.matches("to do: ").count(), 2, "{said}");
    assert!(failed(&["serve", "--config", bad], 1).contains("to do: "));
    std::fs::write(bad, format!("{text}\n[surprise]\n")).expect("writable");
    assert!(failed(&["check-config", bad], 1).contains("surprise"));
    assert!(failed(&["check-config", "/nowhere"], 1).contains("/nowhere"));
    // The server that runs keeps its folder.
    assert!(failed(&["serve", "--config", good], 1).contains("another server"));
}

fn tokens(folder: &str) {
    let token = |more: &[&str]| {
        let all: Vec<&str> =
            ["sandbox", "token", "--dir", folder, "--id", "899700000017"].iter().chain(more).copied().collect();
        vaguemestre(&all)
    };
    for flaw in [&[][..], &["--expired"], &["--foreign-issuer"], &["--bad-signature"], &["--ttl", "5m"]] {
        let output = token(flaw);
        let text = String::from_utf8(output.stdout).expect("text");
        assert!(output.status.success() && text.trim_end().split('.').count() == 3, "{flaw:?}");
    }
    assert_eq!(token(&["--expired", "--bad-signature"]).status.code(), Some(2));
    assert_eq!(token(&["--ttl", "2d"]).status.code(), Some(2));
    assert!(
        failed(&["sandbox", "token", "--dir", "/nowhere", "--id", "899700000017"], 1).contains("start one there first")
    );
    assert!(failed(&["sandbox", "--dir", folder], 1).contains("another sandbox runs"));
}
