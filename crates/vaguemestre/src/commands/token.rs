//! `vaguemestre sandbox token`: an access token for a sandbox, good or with one flaw.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use mssante::NationalId;
use sandbox::psc::{Flaw, Order, mint};

use super::say;
use crate::failure::Failure;

/// See the module.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Made from the keys in the folder alone: works whether the sandbox runs or not, as long as it was started \
    there once.\n\nExamples:\n  vaguemestre sandbox token --id 899700000017\n  vaguemestre sandbox token --dir /tmp/espace --id 899700000017 --ttl 10m\n  \
    vaguemestre sandbox token --id 899700000017 --foreign-issuer\n\nThe last three options are for tests of refusals: at most one of them."
)]
pub struct Args {
    /// The folder of the sandbox.
    #[arg(long, value_name = "DIR", env = super::sandbox::DIR_VARIABLE, default_value = super::sandbox::DEFAULT_DIR)]
    dir: PathBuf,
    /// National identifier of the professional (8 and the RPPS number), known to the sandbox or not.
    #[arg(long, value_name = "IDNAT")]
    id: NationalId,
    /// How long the token lives: a number with s, m or h.
    #[arg(long, value_name = "DURATION", default_value = "120s", value_parser = duration)]
    ttl: Duration,
    /// A token that ended an hour ago.
    #[arg(long, group = "flaw")]
    expired: bool,
    /// A token well signed by another issuer, under that issuer's name.
    #[arg(long, group = "flaw")]
    foreign_issuer: bool,
    /// A token with one wrong bit in its signature.
    #[arg(long, group = "flaw")]
    bad_signature: bool,
}

/// The longest life: beyond a day operators refuse a token for that alone.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// `120s`, `5m`, `1h`, or seconds.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let (digits, unit) = match text.char_indices().last() {
        Some((at, 's')) => (&text[..at], 1),
        Some((at, 'm')) => (&text[..at], 60),
        Some((at, 'h')) => (&text[..at], 3600),
        _ => (text, 1),
    };
    let number: u64 = digits.parse().map_err(|_| "give a number with s, m or h: 120s, 5m, 1h".to_owned())?;
    let duration = Duration::from_secs(number.saturating_mul(unit));
    if (Duration::from_secs(1)..=LONGEST).contains(&duration) {
        Ok(duration)
    } else {
        Err("give between 1s and 24h".to_owned())
    }
}

/// Prints the token.
pub fn run(args: Args) -> Result<(), Failure> {
    let flaw = match (args.expired, args.foreign_issuer, args.bad_signature) {
        (true, ..) => Flaw::Expired,
        (_, true, _) => Flaw::ForeignIssuer,
        (.., true) => Flaw::BadSignature,
        _ => Flaw::None,
    };
    let order = Order { id: args.id, ttl: args.ttl, flaw };
    say(mint(&args.dir, &order, SystemTime::now())?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, seconds) in [("120s", 120), ("5m", 300), ("1h", 3600), ("90", 90), ("24h", 86_400)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "s", "0s", "25h", "1d", "-1s", "1.5h", "99999999999999999999h", "é"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
