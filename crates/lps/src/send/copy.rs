//! A copy for the sender, where mail programs look for it.

use mail::SpecialUse;

use crate::compose::Outgoing;
use crate::session::{Session, SessionError};

/// What the folder is called where there is none yet.
const FOLDER: &str = "Sent";

/// Puts a message that was sent into the BAL's folder of sent mail, made when there is none; gives its UID where the server tells. Once,
/// whatever happens to the connection ([`Session::append`]). What fails here takes nothing back of what was sent.
///
/// # Errors
/// [`SessionError`].
pub async fn keep_copy(session: &Session, message: &Outgoing) -> Result<Option<u32>, SessionError> {
    let folder = match session.special(SpecialUse::Sent).await? {
        Some(folder) => folder,
        None => {
            session.create(FOLDER, Some(SpecialUse::Sent)).await?;
            FOLDER.to_owned()
        }
    };
    session.append_content(&folder, &["\\Seen"], Some(message.date()), message.spool().content()).await
}
