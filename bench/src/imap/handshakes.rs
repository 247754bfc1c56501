//! Bare TLS handshakes of the machine, by `openssl s_server` and `openssl s_time -new` with a key of the servers' type (RSA 2048):
//! what logins per second are compared with.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::postfix::{certificate, free_port, make};

/// How long `s_server` may take to listen.
const START: Duration = Duration::from_secs(10);

/// A running `s_server`, ended with this.
struct Bare(Child, u16);

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Full handshakes per second: a server and a client for each processor, so that what is measured is the machine as it is when
/// logins are.
pub fn per_second(base: &Path, seconds: u64) -> Result<f64, String> {
    let folder = std::path::absolute(base.join("handshakes")).map_err(|e| e.to_string())?;
    make(&folder, 0o700, None)?;
    let pem = certificate(&folder)?;
    let processors = std::thread::available_parallelism().map_or(1, |n| n.get());
    let servers = (0..processors).map(|_| start(&pem)).collect::<Result<Vec<_>, _>>()?;
    let began = Instant::now();
    let clients: Vec<_> = servers
        .iter()
        .map(|Bare(_, port)| {
            Command::new("openssl")
                .args(["s_time", "-new", "-time", &seconds.to_string(), "-connect", &format!("127.0.0.1:{port}")])
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .map_err(|e| format!("openssl s_time: {e}"))
        })
        .collect::<Result<_, _>>()?;
    // Its own clock counts in whole seconds.
    let mut all = 0.0;
    for client in clients {
        let output = client.wait_with_output().map_err(|e| e.to_string())?;
        all += made(&String::from_utf8_lossy(&output.stdout)).ok_or("openssl s_time said nothing that can be read")?;
    }
    Ok(all / began.elapsed().as_secs_f64())
}

fn start(pem: &Path) -> Result<Bare, String> {
    let port = free_port()?;
    let server = Command::new("openssl")
        .args(["s_server", "-quiet", "-accept", &format!("127.0.0.1:{port}"), "-cert"])
        .arg(pem)
        .arg("-key")
        .arg(pem)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| format!("openssl s_server: {e}"))?;
    let server = Bare(server, port);
    let begun = Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        if begun.elapsed() > START {
            return Err("openssl s_server does not listen".into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(server)
}

/// `N connections in X real seconds, …`.
fn made(said: &str) -> Option<f64> {
    let line = said.lines().find(|line| line.contains("real seconds"))?;
    line.split_once(" connections in ")?.0.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_s_time_says_is_read() {
        let said = "\n904 connections in 0.99s; 913.13 connections/user sec, bytes read 0\n904 connections in 2 real seconds, 0 bytes read per connection\n";
        assert_eq!(super::made(said), Some(904.0));
        assert_eq!(super::made("nothing"), None);
    }
}
