//! Programs that are not ours: Python's smtplib, swaks, curl, openssl. Each is skipped, and says so, where it is not installed.

use std::process::Stdio;

use patience::PATIENCE;
use tokio::process::Command;
use tokio::time::timeout;

use crate::pki;
use crate::recorder::Server;

/// Runs a program; `None` when there is none. Its whole output otherwise, and whether it succeeded.
async fn run(program: &str, arguments: &[&str]) -> Option<(bool, String)> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).kill_on_drop(true).output();
    match timeout(PATIENCE, output).await.expect("ended in time") {
        Ok(output) => {
            let text = [output.stdout, output.stderr].concat();
            Some((output.status.success(), String::from_utf8_lossy(&text).into_owned()))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("skipped: {program} is not installed");
            None
        }
        Err(error) => panic!("{program}: {error}"),
    }
}

const SMTPLIB: &str = r#"
import base64, smtplib, ssl, sys
port, ca = int(sys.argv[1]), sys.argv[2]
context = ssl.create_default_context(cafile=ca)
def session():
    s = smtplib.SMTP('localhost', port, timeout=180)
    s.ehlo()
    assert 'auth' not in s.esmtp_features
    s.starttls(context=context)
    s.ehlo()
    assert 'XOAUTH2' in s.esmtp_features['auth'], s.esmtp_features
    return s
def xoauth2(token):
    return lambda challenge=None: '' if challenge else 'user=a@alpha.mssante.fr\x01auth=Bearer ' + token + '\x01\x01'
s = session()
try:
    s.auth('XOAUTH2', xoauth2('bad'))
    sys.exit('a bad token was accepted')
except smtplib.SMTPAuthenticationError as e:
    assert e.smtp_code == 535 and e.smtp_error.startswith(b'5.7.8'), e
s.auth('XOAUTH2', xoauth2('good'), initial_response_ok=False)
message = 'Subject: h\u00e9\r\n\r\n.dot\r\n..\r\n' + '\u00e9' * 200 + '\r\n'
refused = s.sendmail('a@alpha.mssante.fr', ['b@beta.mssante.fr', 'unknown@beta.mssante.fr'], message.encode(),
                     mail_options=['BODY=8BITMIME', 'RET=HDRS'], rcpt_options=['NOTIFY=SUCCESS,FAILURE'])
assert list(refused) == ['unknown@beta.mssante.fr'] and refused['unknown@beta.mssante.fr'][0] == 550, refused
s.quit()
s = session()
s.auth('XOAUTH2', xoauth2('good'))
s.sendmail('a@alpha.mssante.fr', ['b@beta.mssante.fr'], b'second\r\n')
s.quit()
"#;

#[tokio::test]
async fn smtplib() {
    let server = Server::submission().await;
    let ca = pki::dir().join("ca.pem");
    let port = server.address.port().to_string();
    let Some((ok, output)) = run("python3", &["-c", SMTPLIB, &port, ca.to_str().expect("UTF-8")]).await else { return };
    assert!(ok, "{output}");
    let messages = server.recorder.messages();
    assert_eq!(messages.len(), 2);
    let expected = format!("Subject: hé\r\n\r\n.dot\r\n..\r\n{}\r\n", "é".repeat(200));
    assert_eq!(String::from_utf8_lossy(&messages[0].body), expected);
    assert_eq!(messages[0].to[0].notify.map(|n| n.to_string()).as_deref(), Some("SUCCESS,FAILURE"));
}

#[tokio::test]
async fn swaks() {
    let server = Server::mx().await;
    let dir = pki::dir();
    let path = |name: &str| dir.join(name).to_str().expect("UTF-8").to_owned();
    let to = format!("127.0.0.1:{}", server.address.port());
    let common = [
        "--server",
        &to,
        "-tls",
        "--from",
        "a@alpha.mssante.fr",
        "--to",
        "b@beta.mssante.fr",
        "--helo",
        "swaks.example",
    ];
    let (certificate, key) = (path("peer.pem"), path("peer.key"));
    for extra in [&["--pipeline"][..], &[]] {
        let mut arguments = common.to_vec();
        arguments.extend(["--tls-cert", &certificate, "--tls-key", &key]);
        arguments.extend(extra);
        let Some((ok, output)) = run("swaks", &arguments).await else { return };
        assert!(ok && output.contains("queued as"), "{output}");
    }
    let Some((ok, output)) = run("swaks", &common).await else { return };
    assert!(!ok && output.contains("550 5.7.1 No client certificate"), "{output}");
    assert_eq!(server.recorder.messages().len(), 2);
}

#[tokio::test]
async fn curl() {
    let server = Server::submission().await;
    let dir = pki::dir();
    let message = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(message.path(), "Subject: curl\r\n\r\n.dot\r\n").expect("written");
    let url = format!("smtp://localhost:{}/client.example", server.address.port());
    let ca = dir.join("ca.pem");
    let arguments = [
        "-sS",
        "--ssl-reqd",
        "--cacert",
        ca.to_str().expect("UTF-8"),
        "--url",
        &url,
        "--mail-from",
        "a@alpha.mssante.fr",
        "--mail-rcpt",
        "b@beta.mssante.fr",
        "--user",
        "a@alpha.mssante.fr",
        "--oauth2-bearer",
        "good",
        "--login-options",
        "AUTH=XOAUTH2",
        "--upload-file",
        message.path().to_str().expect("UTF-8"),
    ];
    let Some((ok, output)) = run("curl", &arguments).await else { return };
    assert!(ok, "{output}");
    assert_eq!(server.recorder.messages()[0].body, b"Subject: curl\r\n\r\n.dot\r\n");
}
