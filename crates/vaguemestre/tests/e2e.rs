//! End to end: the real binary, driven by programs that nobody here wrote. Each test runs one file of `tests/e2e`, which starts a
//! sandbox of its own on free loopback ports.

use std::path::Path;
use std::process::Command;

fn python(file: &str) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/e2e").join(file);
    let status = Command::new("python3")
        .arg(&script)
        .env("VAGUEMESTRE", env!("CARGO_BIN_EXE_vaguemestre"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .status()
        .expect("python3 is there: ./test installs it");
    assert!(status.success(), "{file}: {status}");
}

#[test]
fn exchange() {
    python("test_exchange.py");
}

#[test]
fn imap() {
    python("test_imap.py");
}

#[test]
fn psc() {
    python("test_psc.py");
}

#[test]
fn login() {
    python("test_login.py");
}

#[test]
fn authentication() {
    python("test_authentication.py");
}

#[test]
fn tls() {
    python("test_tls.py");
}

#[test]
fn peers() {
    python("test_peers.py");
}

#[test]
fn autoconfig() {
    python("test_autoconfig.py");
}

#[test]
fn command_line() {
    python("test_command_line.py");
}

#[test]
fn readme() {
    python("test_readme.py");
}

#[test]
fn bad_input() {
    python("test_bad_input.py");
}

#[test]
fn crash() {
    python("test_crash.py");
}

#[test]
fn queue() {
    python("test_queue.py");
}

#[test]
fn full() {
    python("test_full.py");
}

#[test]
fn transfer() {
    python("test_transfer.py");
}

#[test]
fn backup() {
    python("test_backup.py");
}

#[test]
fn operations() {
    python("test_operations.py");
}

#[test]
fn clients() {
    python("test_clients.py");
}

#[test]
fn beside_dovecot() {
    python("test_beside_dovecot.py");
}

#[test]
fn guide() {
    python("test_guide.py");
}

#[test]
fn control_tls() {
    python("test_control_tls.py");
}

#[test]
fn hostile() {
    python("test_hostile.py");
}

#[test]
fn lps() {
    python("test_lps.py");
}

#[test]
fn lps_kills() {
    python("test_lps_kills.py");
}

#[test]
fn story() {
    python("test_story.py");
}

#[test]
fn editor() {
    python("test_editor.py");
}

#[test]
fn control_peers() {
    python("test_control_peers.py");
}

#[test]
fn control_run() {
    python("test_control_run.py");
}

#[test]
fn control_matrix() {
    python("test_control_matrix.py");
}

#[test]
fn control_traps() {
    python("test_control_traps.py");
}

#[test]
fn control_desk() {
    python("test_control_desk.py");
}

#[test]
fn control_serve() {
    python("test_control_serve.py");
}

#[test]
fn control_hosted() {
    python("test_control_hosted.py");
}

#[test]
fn control_stub() {
    python("test_control_stub.py");
}

#[test]
fn control_client() {
    python("test_control_client.py");
}

#[test]
fn control_software() {
    python("test_control_software.py");
}

#[test]
fn control_hostile() {
    python("test_control_hostile.py");
}

#[test]
fn control_foreign() {
    python("test_control_foreign.py");
}

#[test]
fn control_load() {
    python("test_control_load.py");
}

#[test]
fn control_accounts() {
    python("test_control_accounts.py");
}
