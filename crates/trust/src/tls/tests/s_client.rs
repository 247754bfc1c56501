//! The server as seen by the `openssl` program. // LPS-TLS, LPS-CERT, TLS-03, TLS-08, TLS-12

use std::process::Stdio;

use tokio::process::Command;

use super::*;

/// Runs `openssl s_client` against the server, with `input` on its standard input once the greeting is there (an empty input is
/// given at once): exit status, and all it printed.
async fn s_client(addr: SocketAddr, arguments: &[&str], input: &[u8]) -> (bool, String) {
    let mut child = Command::new("openssl")
        .args(["s_client", "-connect", &addr.to_string()])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the openssl program is installed");
    let mut stdin = child.stdin.take().expect("piped");
    let mut stdout = child.stdout.take().expect("piped");
    let mut printed = Vec::new();
    while !input.is_empty() && !printed.ends_with(GREETING) {
        if stdout.read_buf(&mut printed).await.expect("a pipe") == 0 {
            break;
        }
    }
    let _ = stdin.write_all(input).await; // it may have ended already
    drop(stdin);
    stdout.read_to_end(&mut printed).await.expect("a pipe");
    let output = child.wait_with_output().await.expect("it ends");
    printed.extend(output.stderr);
    (output.status.success(), String::from_utf8_lossy(&printed).into_owned())
}

#[tokio::test]
async fn the_openssl_program_agrees() {
    let (authority, server) = authority_and_server();
    let dir = tempfile::tempdir().expect("a folder");
    let root = dir.path().join("root.pem");
    std::fs::write(&root, authority.root().to_pem().expect("PEM")).expect("written");
    let root = root.to_str().expect("UTF-8");
    let running = Server::start(ServerTls::new(server.identity().expect("an identity"), Profile::ApiLps)).await;
    // the root alone is known: the intermediate must have been sent; strict rules of RFC 5280
    let verified =
        ["-CAfile", root, "-x509_strict", "-verify_return_error", "-verify_hostname", "smtp.exemple.fr", "-showcerts"];
    for suite in [
        "ECDHE-RSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES256-SHA384",
        "ECDHE-RSA-AES128-SHA256",
        "DHE-RSA-AES256-GCM-SHA384",
        "DHE-RSA-AES128-GCM-SHA256",
    ] {
        let (ok, text) = s_client(running.addr, &[&verified[..], &["-tls1_2", "-cipher", suite]].concat(), b"").await;
        assert!(ok && text.contains(&format!("Cipher is {suite}")), "{suite}: {text}");
        assert_eq!(text.matches("BEGIN CERTIFICATE").count(), 2, "leaf and intermediate");
        assert!(text.contains("Verify return code: 0 (ok)"), "{text}");
        assert!(!suite.starts_with("DHE") || text.contains("Server Temp Key: DH, 2048 bits"), "{text}");
        assert!(text.contains("Compression: NONE"), "{text}");
        assert!(text.contains("Secure Renegotiation IS supported"), "RFC 5746 is spoken");
    }
    for refused in [
        "AES256-SHA",
        "AES128-GCM-SHA256",
        "ECDHE-RSA-AES128-SHA",
        "ECDHE-RSA-CHACHA20-POLY1305",
        "DHE-RSA-AES128-SHA256",
    ] {
        let cipher = format!("{refused}:@SECLEVEL=0");
        let (ok, text) = s_client(running.addr, &["-tls1_2", "-cipher", &cipher], b"").await;
        assert!(!ok && text.contains("alert handshake failure"), "{refused}: {text}");
    }
    for version in ["-tls1", "-tls1_1"] {
        let (ok, text) = s_client(running.addr, &[version, "-cipher", "ALL:@SECLEVEL=0"], b"").await;
        assert!(!ok && text.contains("alert protocol version"), "{version}: {text}");
    }
    // TLS-12: `R` asks for a renegotiation
    let (ok, text) = s_client(running.addr, &["-tls1_2"], b"R\n").await;
    assert!(!ok && text.contains("RENEGOTIATING") && text.contains("no renegotiation"), "{text}");
}
