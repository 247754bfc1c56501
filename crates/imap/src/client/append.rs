//! APPEND: a message into a folder, streamed.

use mail::date::{Moment, format_imap_date_time};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

use super::command::announce;
use super::connection::Result;
use super::{ClientError, Code, Command, Connection, READ};

/// Messages up to this size are sent without asking: a refusal costs less than the wait.
const AT_ONCE: u64 = 64 * 1024;

/// A message that is put into a folder.
#[derive(Debug, Clone, Copy, Default)]
pub struct Appended<'a> {
    /// Its flags.
    pub flags: &'a [&'a str],
    /// INTERNALDATE; now when absent.
    pub date: Option<Moment>,
    /// Its octets.
    pub size: u64,
    /// Its header holds UTF-8 outside encoded words. With UTF8=ACCEPT enabled that must be said (RFC 6855 §4); without, the server
    /// takes the octets as they are or refuses them.
    pub utf8_header: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Connection<S> {
    /// Puts a message into a folder; gives its UID and the folder's UIDVALIDITY where the server tells (UIDPLUS). `begun` is set when
    /// octets of the message may have reached the server: from then on it may be there whatever happens.
    ///
    /// # Errors
    /// [`ClientError::Source`] when there are fewer octets, or the connection's.
    pub async fn append(
        &mut self,
        folder: &str,
        message: &Appended<'_>,
        source: &mut (dyn AsyncRead + Unpin + Send),
        begun: &mut bool,
    ) -> Result<Option<(u32, u32)>> {
        let Appended { flags, date, size, utf8_header } = *message;
        if let Some(limit) = self.capabilities.value("APPENDLIMIT").and_then(|limit| limit.parse().ok())
            && size > limit
        {
            return Err(ClientError::TooLarge { limit });
        }
        let mut command = Command::new("APPEND").text(" ").string(&self.wire_name(folder)).text(" ");
        if !flags.is_empty() {
            command = command.flags(flags).text(" ");
        }
        if let Some(date) = date {
            command = command.text(&format!("\"{}\" ", format_imap_date_time(date)));
        }
        let at_once = size <= AT_ONCE && self.capabilities.has("LITERAL+");
        // literal8 of RFC 3516.
        let (before, after) = if utf8_header && self.utf8 { ("UTF8 (~", ")") } else { ("", "") };
        let tag = self.begin(&command.text(before), &announce(size, at_once)).await?;
        if !at_once {
            self.permission(Self::tag_number(tag), "APPEND").await?;
        }
        *begun = true;
        let mut left = size;
        let mut buffer = vec![0; READ.min(usize::try_from(size).unwrap_or(READ)).max(1)];
        while left > 0 {
            let room = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let read = source.read(&mut buffer[..room]).await.map_err(ClientError::Source)?;
            if read == 0 {
                return Err(ClientError::Source(std::io::ErrorKind::UnexpectedEof.into()));
            }
            self.reader.send(&buffer[..read]).await?;
            left -= read as u64;
        }
        self.reader.send(after.as_bytes()).await?;
        self.reader.send(b"\r\n").await?;
        self.reader.flush().await?;
        let told = self.complete(tag, &mut |_| {}).await?;
        Ok(match told.code {
            Some(Code::AppendUid { validity, uids }) => uids.first().map(|uid| (validity, *uid.start())),
            _ => None,
        })
    }
}
