//! One message, from where it is to where it shall be.

use mssante::receipt::{Code, IntegrationError};
use time::OffsetDateTime;

use super::{Arrival, Filer, INTEGRATED, Intake, IntakeError, Mailbox, Pass, Post, REFUSED, Verdict, filed};
use crate::journal::{Answer, Entry, Event, Filed, Key, Place};
use crate::read::{Integration, Kind, Message};
use crate::receipt::{self, MDN_SENT, ReceiptError, Stamp};

impl<M: Mailbox, P: Post> Intake<M, P> {
    /// Takes one message as far as it goes.
    pub(super) async fn take(
        &mut self,
        place: Place,
        filer: &mut dyn Filer,
        pass: &mut Pass,
    ) -> Result<(), IntakeError> {
        let limits = self.settings.limits;
        let fetched =
            self.mailbox.fetch(&place.folder, place.uid, limits.octets).await.map_err(IntakeError::Mailbox)?;
        let Some(octets) = fetched else {
            pass.unreadable += 1;
            self.left.insert(place);
            return Ok(());
        };
        let opened = tokio::task::spawn_blocking(move || (Key::of(&octets), Message::open(octets, limits))).await;
        let Ok((key, Ok(message))) = opened else {
            pass.unreadable += 1;
            self.left.insert(place);
            return Ok(());
        };
        let known = self.journal.get(&key);
        let again = known.is_some();
        match &known {
            None => {
                let about_documents = message.kind == Kind::Mail && !message.archives.is_empty();
                // What people write to each other is theirs.
                if message.kind == Kind::Mail && !about_documents {
                    pass.left += 1;
                    self.left.insert(place);
                    return Ok(());
                }
                let begun = Event::Begun {
                    key: key.clone(),
                    place: place.clone(),
                    message_id: message.message_id.clone(),
                    at: self.now(),
                };
                self.journal.record(begun).await?;
            }
            Some(entry) if !entry.places.contains(&place) => {
                self.journal.record(Event::Met { key: key.clone(), place: place.clone() }).await?;
            }
            Some(_) => {}
        }
        if known.as_ref().is_some_and(|entry| entry.filed.is_some()) {
            pass.known += 1;
        }
        let mut errors = None;
        if known.as_ref().is_none_or(|entry| entry.filed.is_none()) {
            let arrival = Arrival { message: &message, key: &key, place: &place, again };
            let filed = if message.kind == Kind::Mail {
                let verdict = filer.file(&arrival).await;
                match &verdict {
                    Verdict::Filed => pass.filed += 1,
                    Verdict::Refused(_) => pass.refused += 1,
                    Verdict::Later => pass.later += 1,
                    Verdict::Leave => {
                        pass.left += 1;
                        self.left.insert(place.clone());
                    }
                }
                let filed = filed(&verdict);
                if let Verdict::Refused(told) = verdict {
                    errors = Some(told).filter(|told| !told.is_empty());
                }
                filed
            } else if filer.told(&arrival).await {
                pass.noted += 1;
                Some(Filed::Noted)
            } else {
                pass.left += 1;
                self.left.insert(place.clone());
                None
            };
            let Some(filed) = filed else { return Ok(()) };
            self.journal.record(Event::Filed { key: key.clone(), filed, at: self.now() }).await?;
        }
        self.answer(&key, &message, errors).await?;
        self.mark(&key, &message, &place).await
    }

    /// The notice, as far as the outbox.
    async fn answer(
        &self,
        key: &Key,
        message: &Message,
        errors: Option<Vec<IntegrationError>>,
    ) -> Result<(), IntakeError> {
        // Recorded just before.
        let Some(entry) = self.journal.get(key) else { return Ok(()) };
        let outcome = match &entry.filed {
            Some(Filed::Done) => Integration::Done,
            Some(Filed::Refused(codes)) => Integration::Failed(errors.unwrap_or_else(|| of_codes(codes))),
            // Nothing is answered.
            Some(Filed::Noted) | None => return Ok(()),
        };
        let stamp = match (entry.answer, &entry.notice) {
            (Answer::Open, _) => Stamp::new(&self.respondent, self.now())?,
            (Answer::Stamped, Some((id, date))) => match id.parse() {
                Ok(id) => Stamp { id, date: *date },
                Err(_) => Stamp::new(&self.respondent, self.now())?,
            },
            _ => return Ok(()),
        };
        let made = match receipt::notice(&self.respondent, message, &outcome, false, &stamp) {
            Ok(made) => made,
            // None of these will be otherwise later.
            Err(
                ReceiptError::Refused(_)
                | ReceiptError::NoAddress
                | ReceiptError::Header(_)
                | ReceiptError::TooLarge(_),
            ) => None,
            Err(error) => return Err(error.into()),
        };
        let Some(notice) = made else {
            self.journal.record(Event::NotDue { key: key.clone() }).await?;
            return Ok(());
        };
        if entry.answer == Answer::Open {
            let stamped = Event::Answering { key: key.clone(), notice: stamp.id.to_string(), date: stamp.date };
            self.journal.record(stamped).await?;
        }
        self.post.put(&notice).await.map_err(IntakeError::Post)?;
        self.journal.record(Event::Queued { key: key.clone() }).await?;
        Ok(())
    }

    /// The keywords, for other programs and people.
    async fn mark(&self, key: &Key, message: &Message, place: &Place) -> Result<(), IntakeError> {
        let Some(entry) = self.journal.get(key) else { return Ok(()) };
        let answered = matches!(entry.answer, Answer::Queued | Answer::Sent) && !message.receipt_to.is_empty();
        let mut flags: Vec<&str> = keywords(&entry);
        if answered {
            flags.push(MDN_SENT);
        }
        self.mailbox.mark(&place.folder, &[place.uid], &flags).await.map_err(IntakeError::Mailbox)?;
        if !entry.marked {
            self.journal.record(Event::Marked { key: key.clone() }).await?;
        }
        Ok(())
    }

    pub(super) fn now(&self) -> OffsetDateTime {
        let now = OffsetDateTime::from(self.clock.now());
        // The journal counts whole seconds.
        now.replace_nanosecond(0).unwrap_or(now)
    }
}

/// What a message is marked with. What was refused stays unread: people must look.
fn keywords(entry: &Entry) -> Vec<&'static str> {
    match &entry.filed {
        Some(Filed::Done | Filed::Noted) => vec![INTEGRATED, "\\Seen"],
        Some(Filed::Refused(_)) | None => vec![REFUSED],
    }
}

/// The errors of codes, when the words were lost with a process.
fn of_codes(codes: &[u16]) -> Vec<IntegrationError> {
    codes.iter().map(|code| IntegrationError::of(Code::from_number(*code).unwrap_or(Code::OTHER))).collect()
}
