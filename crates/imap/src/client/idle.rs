//! IDLE (RFC 2177): waiting for news.

use tokio::io::{AsyncRead, AsyncWrite};

use super::connection::{Result, Tag};
use super::{ClientError, Command, Connection, Response, Take, Untagged};

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Connection<S> {
    /// Begins to wait; what came before the server agreed is given to `take`.
    ///
    /// # Errors
    /// [`ClientError::Unsupported`] without IDLE.
    pub async fn idle(&mut self, take: Take<'_>) -> Result<Tag> {
        if !self.capabilities.can("IDLE") {
            return Err(ClientError::Unsupported("IDLE"));
        }
        let tag = self.begin(&Command::new("IDLE"), "\r\n").await?;
        self.permission(Self::tag_number(tag), "IDLE").await?;
        self.drain(take);
        Ok(tag)
    }

    /// The next untagged response, however long it takes. Cancel-safe.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn news(&mut self) -> Result<Untagged> {
        let piece = self.reader.next_whenever().await?;
        match self.understand(piece)? {
            Response::Untagged(untagged) => Ok(untagged),
            _ => Err(ClientError::Protocol("IDLE ended by the server")),
        }
    }

    /// Ends the wait.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn idle_done(&mut self, tag: Tag, take: Take<'_>) -> Result<()> {
        self.reader.send(b"DONE\r\n").await?;
        self.reader.flush().await?;
        self.complete(tag, take).await.map(drop)
    }
}
