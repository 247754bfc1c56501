//! The beginning of a connection: greeting, STARTTLS, handshake, and everything asked anew inside (LPS-NOPLAIN, ECO-CONN).

use tokio::io::{AsyncRead, AsyncWrite};
use trust::tls::{Connector, TlsStream};

use super::{ClientError, Command, Connection, Patience, Status};

/// Opens a connection over `stream` to the server of that name, whose certificate the connector checks. Nothing is authenticated.
///
/// # Errors
/// [`ClientError`]: without STARTTLS, or with anything unclear about it, nothing was sent that matters.
pub async fn open<S>(
    stream: S,
    host: &str,
    connector: &Connector,
    patience: Patience,
) -> Result<Connection<TlsStream<S>>, ClientError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let stream = starttls(stream, patience).await?;
    let tls = connector.connect(host, stream).await.map_err(ClientError::Tls)?;
    let mut connection = Connection::new(tls, patience);
    connection.ask_capabilities().await?;
    Ok(connection)
}

/// The same as far as the handshake, which whoever has a TLS of their own makes over what is given back. Nothing read before is left.
///
/// # Errors
/// As [`open`].
pub async fn starttls<S>(stream: S, patience: Patience) -> Result<S, ClientError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let mut plain = Connection::new(stream, patience);
    let greeting = plain.greeting().await?;
    if greeting.status == Status::PreAuth {
        // RFC 3501 §11.1: somebody in between may have said so to keep us out of TLS.
        return Err(ClientError::NoStartTls);
    }
    if plain.capabilities.is_empty() {
        plain.ask_capabilities().await?;
    }
    if !plain.capabilities.has("STARTTLS") {
        return Err(ClientError::NoStartTls);
    }
    match plain.run(&Command::new("STARTTLS"), &mut |_| {}).await {
        Ok(_) => {}
        Err(ClientError::Refused { .. }) => return Err(ClientError::NoStartTls),
        Err(error) => return Err(error),
    }
    plain.reader.into_inner()
}
