//! A second server behind the name of alpha's API LPS, in the program with switches only (TLS-13): it hands connections on to the first,
//! or, with `noeud-different`, submission to a server of other TLS settings. The product has neither this address nor its record.

use std::net::{Ipv4Addr, SocketAddr};

use ::control::trap::Door;
use faults::Fault;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::{Ports, SandboxError, traps};

/// The last byte of its address: behind all others.
pub(crate) const NUMBER: u8 = 200;

/// Opens its ports, those of alpha.
pub(crate) async fn open(ports: &Ports, tasks: &TaskTracker, shutdown: &CancellationToken) -> Result<(), SandboxError> {
    let other = SocketAddr::new(ports.mx(traps::number(Door::Dh1024)), ports.relay);
    let own = &ports.operators[0];
    for (port, other) in [(own.imap, None), (own.submission, Some(other))] {
        let address = SocketAddr::new(ports.mx(NUMBER), port);
        let listener = TcpListener::bind(address).await.map_err(SandboxError::setup("the second server"))?;
        let first = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port);
        let over = shutdown.clone();
        tasks.spawn(async move {
            tokio::select! {
                () = over.cancelled() => {}
                () = serve(listener, first, other) => {}
            }
        });
    }
    Ok(())
}

async fn serve(listener: TcpListener, first: SocketAddr, other: Option<SocketAddr>) {
    while let Ok((mut near, _)) = listener.accept().await {
        let to = other.filter(|_| faults::is_on(Fault::OldNode)).unwrap_or(first);
        tokio::spawn(async move {
            if let Ok(mut far) = TcpStream::connect(to).await {
                // Either side may break off as it likes.
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            }
        });
    }
}
