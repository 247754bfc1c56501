//! One connection, one message.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use smtp::client::{Client, ClientCredentials, ClientError, Envelope, Extensions, Settings, Stage};
use smtp::{BodyType, MailFrom, Notify, Orcpt, Rcpt, Ret, ReversePath, Xtext};
use tokio::io::{AsyncRead, ReadBuf};
use zeroize::Zeroizing;

use super::{Notices, Outcome, SendError, SendOptions, Sent};
use crate::account::{Account, Credentials};
use crate::compose::{Outgoing, Reader};
use crate::space::Space;

/// What we call ourselves in EHLO: neither the name nor the address of the machine leaves it. RFC 5321 §4.1.3 has a client without a
/// name say an address.
const HELO: &str = "[127.0.0.1]";
/// A doubt is settled by a server's memory only while this much of it is left.
const MARGIN: Duration = Duration::from_secs(3600);

/// An earlier attempt may have succeeded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Doubt {
    /// When it began.
    pub(crate) since: SystemTime,
}

/// Done before the end of the message is sent: whatever must be on disk first.
pub(crate) type EndHook<'a> = Pin<Box<dyn Future<Output = std::io::Result<()>> + Send + 'a>>;

/// What one attempt gave.
pub(crate) struct Tried {
    /// How it ended.
    pub(crate) result: Result<Sent, SendError>,
    /// Whether the end of the message may have been sent.
    pub(crate) ended: bool,
    /// Whether the server recognises a message that comes again.
    pub(crate) once: bool,
}

/// Hands the message over on a connection of its own. With a doubt, only to a server that recognises it.
pub(crate) async fn attempt(
    space: &Space,
    account: &Account,
    message: &Outgoing,
    options: &SendOptions,
    doubt: Option<Doubt>,
    hook: Option<EndHook<'_>>,
) -> Tried {
    let ended = Arc::new(AtomicBool::new(false));
    let mut once = false;
    if let Some(progress) = &options.progress {
        progress.store(0, Ordering::Relaxed);
    }
    let result = match connect(space, account, options).await {
        Err(error) => Err(error),
        Ok(mut client) => {
            once = client.extensions().once.is_some();
            let progress = options.progress.clone();
            let mut body = Ending { from: message.reader(), hook, ended: ended.clone(), progress };
            let result = match check(space, client.extensions(), message, doubt) {
                Ok(()) => hand_over(&mut client, message, options, &mut body).await,
                Err(error) => Err(error),
            };
            // Nothing depends on the farewell.
            drop(tokio::spawn(client.quit()));
            result
        }
    };
    let ended = ended.load(Ordering::Relaxed);
    // Without an answer after the end, nobody knows.
    let result = match result {
        Err(error) if ended && !error.is_an_answer() => Err(SendError::Uncertain { because: Box::new(error) }),
        other => other,
    };
    Tried { result, ended, once }
}

/// To a server that let us in.
async fn connect(space: &Space, account: &Account, options: &SendOptions) -> Result<Client, SendError> {
    let identity = match &account.credentials {
        Credentials::Psc(_) => None,
        Credentials::Certificate(identity) => Some(identity),
    };
    let settings = Settings { helo: HELO.into(), connector: space.connector(identity)?, timeouts: options.timeouts };
    let user = account.address.to_string();
    // A token may end between PSC and the operator: one more, if it is another one.
    let mut refused: Option<(psc::Secret, SendError)> = None;
    loop {
        // Before the connection, which then waits for nobody.
        let token = match &account.credentials {
            Credentials::Psc(source) => Some(source.token().await?),
            Credentials::Certificate(_) => None,
        };
        if let (Some(token), Some((last, _))) = (&token, &refused)
            && token.expose() == last.expose()
            && let Some((_, error)) = refused
        {
            return Err(error);
        }
        let endpoint = &account.entry.smtp;
        let tcp = space.dial(endpoint).await?;
        let mut client = Client::over(tcp, &endpoint.host, &settings, &|_| Ok(())).await?;
        let credentials = match &token {
            Some(token) => {
                ClientCredentials::XOAuth2 { user: user.clone(), token: Zeroizing::new(token.expose().to_owned()) }
            }
            None => ClientCredentials::External(user.clone()),
        };
        let error = match client.authenticate(&credentials).await {
            Ok(()) => return Ok(client),
            Err(error) => SendError::from(error),
        };
        drop(tokio::spawn(client.quit()));
        match (error, token, &refused) {
            (error @ SendError::LoginRefused { .. }, Some(token), None) => {
                if let Credentials::Psc(source) = &account.credentials {
                    source.refused(&token).await;
                }
                refused = Some((token, error));
            }
            (error, ..) => return Err(error),
        }
    }
}

/// What the server announced, against what the message is.
fn check(space: &Space, server: &Extensions, message: &Outgoing, doubt: Option<Doubt>) -> Result<(), SendError> {
    if let Some(Doubt { since }) = doubt {
        let age = space.clock.now().duration_since(since).unwrap_or_default() + MARGIN;
        if server.once.is_none_or(|seconds| age >= Duration::from_secs(seconds)) {
            return Err(SendError::NotRecognised);
        }
    }
    if let Some(Some(limit)) = server.size
        && message.size() > limit
    {
        return Err(SendError::TooLarge { limit });
    }
    if message.is_eight_bit() && !server.eight_bit_mime {
        return Err(SendError::EightBit);
    }
    Ok(())
}

async fn hand_over(
    client: &mut Client,
    message: &Outgoing,
    options: &SendOptions,
    body: &mut Ending<'_>,
) -> Result<Sent, SendError> {
    let delivery = client.send(&envelope(message, options.notices), body).await?;
    let results = message.recipients().iter().zip(&delivery.recipients).zip(&delivery.refused_alone);
    let outcomes: Vec<Outcome> =
        results.map(|((who, result), alone)| Outcome::of(who, result, *alone, message.sender())).collect();
    if outcomes.iter().any(Outcome::is_accepted) {
        Ok(Sent { outcomes, notices: delivery.dsn && options.notices.is_some(), attempts: 1 })
    } else {
        Err(SendError::Refused { outcomes })
    }
}

fn envelope(message: &Outgoing, notices: Option<Notices>) -> Envelope {
    let path = message.return_path().map_or(ReversePath::Null, |address| ReversePath::Address(address.clone()));
    // RFC 3461 §4.4: what a notice is known by. An identifier is printable and, with what xtext makes of it, rarely too long.
    let envid = notices.and_then(|_| Xtext::encode(message.message_id().inner())).filter(|id| id.as_str().len() <= 100);
    let notify = notices.map(|asked| match asked {
        Notices { success: false, failure: false, delay: false, .. } => Notify::Never,
        Notices { success, failure, delay, .. } => Notify::When { success, failure, delay },
    });
    let rcpt = |address: &mssante::Address| Rcpt {
        path: address.clone().into(),
        notify,
        orcpt: notices.map(|_| Orcpt::rfc822(address)),
    };
    Envelope {
        from: MailFrom {
            path,
            size: Some(message.size()),
            body: if message.is_eight_bit() { BodyType::EightBit } else { BodyType::SevenBit },
            smtputf8: false,
            ret: notices.map(|asked| if asked.whole { Ret::Full } else { Ret::Headers }),
            envid,
            auth: None,
        },
        to: message.recipients().iter().map(rcpt).collect(),
    }
}

/// Reads the message, and stops before its end until the hook is done: the client sends the end only once it was told of it.
struct Ending<'a> {
    from: Reader,
    hook: Option<EndHook<'a>>,
    ended: Arc<AtomicBool>,
    progress: Option<Arc<AtomicU64>>,
}

impl AsyncRead for Ending<'_> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let this = &mut *self;
        let before = into.filled().len();
        if into.remaining() > 0 {
            ready!(Pin::new(&mut this.from).poll_read(cx, into))?;
            if let Some(progress) = &this.progress {
                progress.fetch_add((into.filled().len() - before) as u64, Ordering::Relaxed);
            }
        }
        if into.filled().len() == before && into.remaining() > 0 {
            if let Some(hook) = &mut this.hook {
                let done = ready!(hook.as_mut().poll(cx));
                this.hook = None;
                done?;
            }
            this.ended.store(true, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl From<ClientError> for SendError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Tls(error) => SendError::Handshake(error),
            ClientError::NoStartTls => SendError::NoStartTls,
            ClientError::NoMechanism => SendError::NoMechanism,
            ClientError::Refused { stage: Stage::Auth, reply } if reply.is_permanent() => {
                SendError::LoginRefused { reply }
            }
            ClientError::Refused { reply, .. } => SendError::Answer { reply },
            ClientError::Body(source) => SendError::Read(source),
            ClientError::Connect(_) | ClientError::Timeout(_) | ClientError::Closed(_) => SendError::Interrupted(error),
            ClientError::OutOfTurn
            | ClientError::Untrusted(_)
            | ClientError::Protocol { .. }
            | ClientError::Misuse(_) => SendError::Protocol(error),
        }
    }
}
