//! A client that is not ours: Python's imaplib.

use crate::support::{GOOD, Server};

const SCRIPT: &str = r#"
import imaplib, ssl, sys
context = ssl.create_default_context()
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
imap = imaplib.IMAP4("127.0.0.1", int(sys.argv[1]))
assert "STARTTLS" in imap.capabilities and "LOGINDISABLED" in imap.capabilities
assert imap.starttls(context)[0] == "OK"
assert "AUTH=XOAUTH2" in imap.capabilities, imap.capabilities
assert imap.authenticate("XOAUTH2", lambda _: sys.argv[2].encode())[0] == "OK"
assert imap.select("INBOX") == ("OK", [b"0"])
message = b"Subject: from Python\r\n\r\nhello\r\n"
status, data = imap.append("INBOX", "\\Flagged", None, message)
assert status == "OK" and b"APPENDUID" in data[0], data
assert imap.noop()[0] == "OK"
status, data = imap.search(None, "SUBJECT", "python")
assert data == [b"1"], data
status, data = imap.fetch("1", "(FLAGS BODY[])")
assert data[0][1] == message, data
status, data = imap.uid("store", "1", "+FLAGS", "(\\Deleted)")
assert status == "OK", data
status, data = imap.expunge()
assert data == [b"1"], data
status, data = imap.list()
assert any(b"INBOX" in line for line in data), data
imap.create("Test"); imap.rename("Test", "Test2"); imap.subscribe("Test2"); imap.delete("Test2")
imap.close(); imap.logout()
print("done")
"#;

#[tokio::test]
async fn imaplib() {
    let server = Server::start().await;
    let python =
        tokio::process::Command::new("python3").args(["-c", SCRIPT, &server.address.port().to_string(), GOOD]).output();
    let output = match python.await {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("python3 is not here: not tested");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.stdout, b"done\n");
}
