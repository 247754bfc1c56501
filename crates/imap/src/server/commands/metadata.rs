//! GETMETADATA and SETMETADATA (RFC 5464).

use super::super::output::Output;
use super::super::reply::{Outcome, Reply};
use super::existing;
use crate::administration::EntryName;
use crate::backend::{Account, Failure};
use crate::command::{Depth, Name};
use crate::response;

/// What is asked.
pub(in super::super) struct Request {
    pub(in super::super) of: Option<Name>,
    pub(in super::super) max_size: Option<u64>,
    pub(in super::super) depth: Depth,
    pub(in super::super) entries: Vec<EntryName>,
}

pub(in super::super) async fn get(out: &mut Output, account: &dyn Account, request: Request) -> Outcome {
    let Request { of, max_size, depth, entries } = request;
    let of = of.map(existing).transpose()?;
    let kept = account.annotations(of.as_ref()).await?;
    let wanted = |name: &EntryName| {
        entries.iter().any(|asked| {
            name.depth_under(asked).is_some_and(|levels| match depth {
                Depth::Zero => levels == 0,
                Depth::One => levels <= 1,
                Depth::Infinity => true,
            })
        })
    };
    let fits = |value: &[u8]| max_size.is_none_or(|max| value.len() as u64 <= max);
    let mut told: Vec<(&EntryName, Option<&[u8]>)> = Vec::new();
    let mut longest = None;
    for (name, value) in kept.iter().filter(|(name, _)| wanted(name)) {
        if fits(value) {
            told.push((name, Some(value)));
        } else {
            longest = longest.max(Some(value.len()));
        }
    }
    // An entry named as such and not there has no value.
    let mut missing: Vec<&EntryName> =
        entries.iter().filter(|e| !e.path().is_empty() && !kept.iter().any(|(name, _)| name == *e)).collect();
    missing.sort_unstable();
    missing.dedup();
    told.extend(missing.into_iter().map(|name| (name, None)));
    if !told.is_empty() {
        let names = out.names;
        response::metadata(out.buffer(), names, of.as_ref(), &told);
        out.room().await?;
    }
    Ok(match longest {
        // The longest of those not told (RFC 5464 §4.2.1).
        Some(longest) => Reply::ok("Some values are longer").code(format!("METADATA LONGENTRIES {longest}")),
        None => Reply::ok("Done"),
    })
}

pub(in super::super) async fn set(
    account: &dyn Account,
    of: Option<Name>,
    changes: Vec<(EntryName, Option<Vec<u8>>)>,
) -> Outcome {
    let of = of.map(existing).transpose()?;
    let limit = account.annotation_limit();
    if changes.iter().any(|(_, value)| value.as_ref().is_some_and(|v| v.len() > limit)) {
        return Ok(Reply::no("A value is too long").code(format!("METADATA MAXSIZE {limit}")));
    }
    match account.annotate(of.as_ref(), changes).await {
        Ok(()) => Ok(Reply::ok("Done")),
        Err(Failure::Limit(which)) => Ok(Reply::no(which).code("METADATA TOOMANY")),
        Err(failure) => Err(failure.into()),
    }
}
