//! Asking a running server for something, on the administrator's socket in its data folder.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use operator::Config;
use operator::service::ADMIN_SOCKET;

use crate::failure::Failure;

/// A reload fetches lists and opens what it needs; the server gives up long before.
const PATIENCE: Duration = Duration::from_secs(60);
/// The longest answer read: the problems of a configuration are some KB.
const MAX_ANSWER: u64 = 1024 * 1024;

/// An answer of the server.
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// What it says.
    pub body: String,
}

/// Posts to `path` of the server that keeps the data folder of `config`.
///
/// # Errors
/// When no server answers there.
pub fn post(config: &Config, path: &str) -> Result<Answer, Failure> {
    ask(&config.operator.data.join(ADMIN_SOCKET), path)
}

fn ask(socket: &Path, path: &str) -> Result<Answer, Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(format!(
            "no server answers on {}: {error}\n  to do: see that `vaguemestre serve` runs with this data folder, and that this user may open the socket (root, or the server's user)",
            socket.display()
        ))
    };
    let mut stream = UnixStream::connect(socket).map_err(failed)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    // HTTP/1.0: one answer, its end is the end of the connection.
    stream.write_all(format!("POST {path} HTTP/1.0\r\nContent-Length: 0\r\n\r\n").as_bytes()).map_err(failed)?;
    let mut octets = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut octets).map_err(failed)?;
    read(&String::from_utf8_lossy(&octets))
        .ok_or_else(|| Failure::new(format!("{} answers something that is not HTTP", socket.display())))
}

fn read(answer: &str) -> Option<Answer> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_a_status_and_a_body() {
        let answer = read("HTTP/1.0 409 Conflict\r\ncontent-type: text/plain\r\n\r\nno\n").expect("HTTP");
        assert_eq!((answer.status, answer.body.as_str()), (409, "no\n"));
        assert!(read("").is_none() && read("nonsense\r\n\r\n").is_none());
    }
}
