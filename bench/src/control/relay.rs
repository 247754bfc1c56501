//! A relay on the loopback that counts the connections that pass, so that every program is counted in the same way.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::{TcpListener, TcpStream};

/// A relay to one port. It ends with the process.
pub(super) struct Relay {
    /// Where programs are sent.
    pub address: SocketAddr,
    count: Arc<AtomicUsize>,
}

impl Relay {
    /// Listens on a free port, in a thread of its own.
    pub fn to(port: u16) -> Result<Relay, String> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
        listener.set_nonblocking(true).map_err(|e| e.to_string())?;
        let address = listener.local_addr().map_err(|e| e.to_string())?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
        let count = Arc::new(AtomicUsize::new(0));
        let counted = count.clone();
        std::thread::spawn(move || {
            runtime.block_on(async move {
                let Ok(listener) = TcpListener::from_std(listener) else { return };
                while let Ok((mut near, _)) = listener.accept().await {
                    counted.fetch_add(1, Ordering::Relaxed);
                    tokio::spawn(async move {
                        // Nobody there: the program sees its connection closed.
                        let Ok(mut far) = TcpStream::connect(("127.0.0.1", port)).await else { return };
                        let _ = (near.set_nodelay(true), far.set_nodelay(true));
                        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                    });
                }
            });
        });
        Ok(Relay { address, count })
    }

    /// How many since the last time.
    pub fn taken(&self) -> usize {
        self.count.swap(0, Ordering::Relaxed)
    }
}
