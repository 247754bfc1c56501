//! What the store does on its writer's thread, and before it: [`store::sqlite::Hot`]. Calls of the system are not instructions of ours.

use mail::Flags;
use mail::mime::Structure;
use store::sqlite::Hot;
use store::{Content, FlagOperation, Holder, LinkKey, NewMailbox, Quota, Spooled};

use super::inputs;

type Outcome = Result<(), String>;
type Runner<'r> = &'r mut dyn FnMut(&mut dyn FnMut());

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Where what is counted is done: on this thread.
struct Desk {
    runtime: tokio::runtime::Runtime,
    hot: Hot,
    _folder: tempfile::TempDir,
}

fn desk(messages: u32) -> Result<Desk, String> {
    let folder = tempfile::tempdir().map_err(text)?;
    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(text)?;
    let mailbox = NewMailbox {
        address: "bal@exemple.mssante.fr".parse().map_err(text)?,
        kind: mssante::MailboxKind::Per,
        holder: Holder::Person("899700000017".parse().map_err(text)?),
        label: String::new(),
        quota: Quota::default(),
        created_at: 1_790_000_000,
    };
    let hot = runtime.block_on(Hot::make(&folder.path().join("store"), mailbox, messages)).map_err(text)?;
    Ok(Desk { runtime, hot, _folder: folder })
}

/// `STORE 1:* +FLAGS`, from the list of messages to the picture that shows it. The flag of the warm-up is another.
pub fn mark_all(run: Runner<'_>) -> Outcome {
    let Desk { runtime, mut hot, _folder } = desk(10_000)?;
    let mut flags = vec![Flags::FLAGGED, Flags::SEEN];
    let mut told = Ok(0);
    run(&mut || {
        if let Some(flag) = flags.pop() {
            told = runtime.block_on(hot.mark_all(FlagOperation::Add, flag));
        }
    });
    if told.map_err(text)? == 10_000 { Ok(()) } else { Err("not all messages were marked".into()) }
}

/// A message of 20 KB put into a folder that somebody looks at, once it was received.
pub fn append(run: Runner<'_>) -> Outcome {
    let Desk { runtime, mut hot, _folder } = desk(1000)?;
    let message = bytes::Bytes::from(inputs::message(2));
    let structure = Structure::of(&message).encode();
    let mut done = Ok(Default::default());
    let mut number = 1;
    run(&mut || {
        number += 1;
        let body = Spooled::from_bytes(message.clone());
        let content = Content { body, structure: structure.clone(), links: vec![LinkKey(number)] };
        done = runtime.block_on(hot.append(content));
    });
    done.map_err(text)?;
    if hot.shown() == 1002 { Ok(()) } else { Err("the messages are not shown".into()) }
}

/// The rows of a folder read out of the pages, as for the first SELECT.
pub fn load(run: Runner<'_>) -> Outcome {
    let Desk { hot, .. } = desk(100_000)?;
    let mut read = Ok(0);
    run(&mut || read = hot.load());
    if read.map_err(text)? == 100_000 { Ok(()) } else { Err("not all rows were read".into()) }
}
