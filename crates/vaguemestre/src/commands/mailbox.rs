//! `vaguemestre mailbox`: the register of mailboxes, beside the running server or not (BAL-KIND, BAL-ROLES).
//!
//! Every change is traced as the administrator's, in the same files as the server's traces.

use std::path::PathBuf;
use std::sync::Arc;

use mssante::{Address, MailboxKind, NationalId, StructureId};
use operator::Config;
use operator::traces::{Action, Trace, Tracer, Who};
use serde_json::{Value, json};
use store::sqlite::Sqlite;
use store::{Holder, Mailbox, NewMailbox, Quota, Right, Role, Store, StoreError};
use trust::SystemClock;

use super::{date, load, now, say};
use crate::failure::Failure;
use crate::runtime::block_on;

/// See the module.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples (C stands for --config /etc/vaguemestre/vaguemestre.toml, or set VAGUEMESTRE_CONFIG):\n  \
    vaguemestre mailbox create C marie.martin@hopital.mssante.fr --kind PER --holder 899700000017 --label 'Dr_Marie_MARTIN'\n  \
    vaguemestre mailbox create C cardiologie@hopital.mssante.fr --kind ORG --holder 1750000001\n  \
    vaguemestre mailbox grant C cardiologie@hopital.mssante.fr --person 899700000017 --role member --until 2027-01-01\n  \
    vaguemestre mailbox quota C cardiologie@hopital.mssante.fr --storage 2G --messages none\n  \
    vaguemestre mailbox list C --json\n  vaguemestre mailbox delete C ancien@hopital.mssante.fr --yes"
)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    /// The operator's configuration file.
    #[arg(long, short, global = true, value_name = "FILE", env = "VAGUEMESTRE_CONFIG")]
    config: Option<PathBuf>,
    /// Answer in JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Opens a mailbox.
    Create {
        /// Its address, in a domain of the operator.
        address: Address,
        /// PER (a professional's), ORG (a structure's), APP (a structure's software), CAB (a practice's).
        #[arg(long)]
        kind: MailboxKind,
        /// Its titulaire: a person's national identifier for PER and CAB, a structure's for ORG and APP.
        #[arg(long, value_name = "ID")]
        holder: String,
        /// What people see beside the address.
        #[arg(long, value_name = "TEXT", default_value = "")]
        label: String,
        /// The most it may hold, in octets, or with K, M or G; without limit when absent.
        #[arg(long, value_name = "SIZE", value_parser = size)]
        quota: Option<u64>,
        /// The most messages it may hold; without limit when absent.
        #[arg(long, value_name = "COUNT", value_parser = count)]
        quota_messages: Option<u64>,
    },
    /// Changes how much a mailbox may hold; what it holds already stays.
    Quota {
        /// The mailbox.
        address: Address,
        /// Octets, or with K, M or G; `none` for no limit; as it was when absent.
        #[arg(long, value_name = "SIZE", value_parser = |text: &str| limit(text, size), required_unless_present = "messages")]
        storage: Option<Limit>,
        /// Messages; `none` for no limit; as it was when absent.
        #[arg(long, value_name = "COUNT", value_parser = |text: &str| limit(text, count))]
        messages: Option<Limit>,
    },
    /// Lists all mailboxes.
    List,
    /// Tells all of one mailbox, rights included.
    Show {
        /// Its address.
        address: Address,
    },
    /// Gives a person a right on a mailbox of another (not on an APP).
    Grant {
        /// The mailbox.
        address: Address,
        /// The person's national identifier.
        #[arg(long, value_name = "IDNAT")]
        person: NationalId,
        /// As what.
        #[arg(long, value_enum)]
        role: RoleName,
        /// From which day on (YYYY-MM-DD, UTC); from now when absent.
        #[arg(long, value_name = "DAY", value_parser = day)]
        from: Option<i64>,
        /// Until which day, excluded (YYYY-MM-DD, UTC); without end when absent.
        #[arg(long, value_name = "DAY", value_parser = day)]
        until: Option<i64>,
    },
    /// Ends every right of a person on a mailbox, now.
    Revoke {
        /// The mailbox.
        address: Address,
        /// The person's national identifier.
        #[arg(long, value_name = "IDNAT")]
        person: NationalId,
    },
    /// Erases a mailbox and all its mail, for good.
    Delete {
        /// Its address.
        address: Address,
        /// Yes, with all its mail.
        #[arg(long)]
        yes: bool,
    },
}

/// A role on the command line.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum RoleName {
    /// Entitled user (habilité) of an ORG.
    Member,
    /// Cotitulaire of a CAB.
    CoHolder,
    /// Délégataire.
    Delegate,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Role {
        match name {
            RoleName::Member => Role::Member,
            RoleName::CoHolder => Role::CoHolder,
            RoleName::Delegate => Role::Delegate,
        }
    }
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Member => "member",
        Role::CoHolder => "co-holder",
        Role::Delegate => "delegate",
    }
}

/// `2027-01-01` as seconds since 1970.
fn day(text: &str) -> Result<i64, String> {
    let format = time::macros::format_description!("[year]-[month]-[day]");
    let day = time::Date::parse(text, &format).map_err(|_| "write a day as 2027-01-31".to_owned())?;
    Ok(day.midnight().assume_utc().unix_timestamp())
}

/// `500M` as octets.
fn size(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.char_indices().last() {
        Some((at, 'k' | 'K')) => (&text[..at], 1 << 10),
        Some((at, 'm' | 'M')) => (&text[..at], 1 << 20),
        Some((at, 'g' | 'G')) => (&text[..at], 1 << 30),
        _ => (text, 1),
    };
    let number = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit)).filter(|octets| *octets > 0);
    number.ok_or_else(|| "write a size as 500000000, 500M or 2G".to_owned())
}

/// `5000` messages.
fn count(text: &str) -> Result<u64, String> {
    text.parse::<u64>().ok().filter(|count| *count > 0).ok_or_else(|| "write a number of messages as 5000".to_owned())
}

/// A limit to be set, or taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Limit(Option<u64>);

/// What `read` reads, or `none`.
fn limit(text: &str, read: fn(&str) -> Result<u64, String>) -> Result<Limit, String> {
    match text {
        "none" => Ok(Limit(None)),
        text => read(text).map(|most| Limit(Some(most))).map_err(|hint| format!("{hint}, or `none`")),
    }
}

/// Does what is asked.
pub fn run(args: Args) -> Result<(), Failure> {
    let path =
        args.config.ok_or_else(|| Failure::new("which operator? give --config FILE, or set VAGUEMESTRE_CONFIG"))?;
    let config = load(&path)?;
    let options = config.store.options().map_err(|error| of_store(&error))?;
    let store =
        Sqlite::open_admin_with(&config.operator.data.join("store"), options).map_err(|error| of_store(&error))?;
    let clock = SystemClock::shared();
    let traces = config.operator.data.join("traces");
    let started = Tracer::start(&traces, config.traces.keep_days, clock);
    let (tracer, thread) = started.map_err(|error| Failure::new(format!("traces in {}: {error}", traces.display())))?;
    let register = Register { store: Arc::new(store), tracer, config, json: args.json };
    let done = block_on(async {
        let done = register.run(args.command).await;
        register.store.close().await;
        drop(register);
        done
    });
    // The last tracer is gone: the thread writes what waits and ends.
    let _ = thread.join();
    done
}

/// The register of one operator.
struct Register {
    store: Arc<Sqlite>,
    tracer: Tracer,
    config: Config,
    json: bool,
}

impl Register {
    async fn run(&self, command: Command) -> Result<(), Failure> {
        match command {
            Command::Create { address, kind, holder, label, quota, quota_messages } => {
                let quota = Quota { octets: quota, messages: quota_messages };
                self.create(address, kind, &holder, label, quota).await
            }
            Command::Quota { address, storage, messages } => self.quota(&address, storage, messages).await,
            Command::List => self.list().await,
            Command::Show { address } => self.show(&address).await,
            Command::Grant { address, person, role, from, until } => {
                let right = Right { person, role: role.into(), from: from.unwrap_or_else(now), until };
                self.grant(&address, right).await
            }
            Command::Revoke { address, person } => self.revoke(&address, &person).await,
            Command::Delete { address, yes } => self.delete(&address, yes).await,
        }
    }

    async fn create(
        &self,
        address: Address,
        kind: MailboxKind,
        holder: &str,
        label: String,
        quota: Quota,
    ) -> Result<(), Failure> {
        let domains = self.config.domains();
        if !domains.contains(address.domain()) {
            let ours: Vec<&str> = domains.iter().map(|domain| domain.as_str()).collect();
            return Err(Failure::new(format!(
                "{address} is in no domain of this operator; its domains are {}",
                ours.join(", ")
            )));
        }
        let holder = holder_of(kind, holder)?;
        let new = NewMailbox { address: address.clone(), kind, holder, label, quota, created_at: now() };
        self.store.create_mailbox(new).await.map_err(|error| of_mailbox(&error, &address))?;
        self.trace(&address, "created", Vec::new());
        self.show(&address).await
    }

    async fn quota(&self, address: &Address, storage: Option<Limit>, messages: Option<Limit>) -> Result<(), Failure> {
        let mailbox = self.find(address).await?;
        let octets = storage.map_or(mailbox.quota.octets, |Limit(octets)| octets);
        let messages = messages.map_or(mailbox.quota.messages, |Limit(messages)| messages);
        let changed = self.store.set_quota(mailbox.id, Quota { octets, messages }).await;
        changed.map_err(|error| of_mailbox(&error, address))?;
        self.trace(address, "quota changed", Vec::new());
        self.show(address).await
    }

    async fn list(&self) -> Result<(), Failure> {
        let mailboxes = self.store.mailboxes().await.map_err(|error| of_store(&error))?;
        if self.json {
            let all: Vec<Value> = mailboxes.iter().map(as_json).collect();
            say(Value::from(all));
            return Ok(());
        }
        say(format_args!("{:<44} {:<4} {:<16} {:>8} {:>12}", "mailbox", "kind", "titulaire", "messages", "octets"));
        for mailbox in &mailboxes {
            let usage = mailbox.usage;
            let (address, kind) = (mailbox.address.to_string(), mailbox.kind.code());
            say(format_args!(
                "{address:<44} {kind:<4} {:<16} {:>8} {:>12}",
                holder_text(&mailbox.holder),
                usage.messages,
                usage.octets
            ));
        }
        Ok(())
    }

    async fn show(&self, address: &Address) -> Result<(), Failure> {
        let mailbox = self.find(address).await?;
        let rights = self.store.rights(mailbox.id).await.map_err(|error| of_mailbox(&error, address))?;
        if self.json {
            let mut value = as_json(&mailbox);
            value["rights"] = rights.iter().map(right_json).collect();
            say(value);
            return Ok(());
        }
        say(format_args!("{} ({}, {})", mailbox.address, mailbox.kind.code(), mailbox.kind.label()));
        say(format_args!("  titulaire            {}", holder_text(&mailbox.holder)));
        say(format_args!("  label                {}", if mailbox.label.is_empty() { "-" } else { &mailbox.label }));
        say(format_args!("  created              {}", date(mailbox.created_at)));
        say(format_args!(
            "  last authentication  {}",
            mailbox.last_authentication.map_or_else(|| "never".to_owned(), date)
        ));
        let of = |most: Option<u64>| most.map_or_else(|| "no limit".to_owned(), |most| format!("of {most}"));
        let (usage, quota) = (mailbox.usage, mailbox.quota);
        say(format_args!(
            "  holds                {} messages ({}), {} octets ({})",
            usage.messages,
            of(quota.messages),
            usage.octets,
            of(quota.octets)
        ));
        for right in &rights {
            let until = right.until.map_or_else(|| "without end".to_owned(), |until| format!("until {}", date(until)));
            let holds = if right.holds_at(now()) { "" } else { " (does not hold now)" };
            say(format_args!(
                "  {:<20} {} from {} {until}{holds}",
                role_name(right.role),
                right.person,
                date(right.from)
            ));
        }
        Ok(())
    }

    async fn grant(&self, address: &Address, right: Right) -> Result<(), Failure> {
        let mailbox = self.find(address).await?;
        if mailbox.kind == MailboxKind::App {
            return Err(Failure::new(
                "a BAL APP is opened by its structure's certificate, by nobody else: no right can be given on it",
            ));
        }
        if right.until.is_some_and(|until| until <= right.from) {
            return Err(Failure::new("the right would end before it begins: give a later --until"));
        }
        let fits = match right.role {
            Role::Member => mailbox.kind == MailboxKind::Org,
            Role::CoHolder => mailbox.kind == MailboxKind::Cab,
            Role::Delegate => true,
        };
        if !fits {
            let hint = "members are of an ORG, co-holders of a CAB, delegates of any of them and of a PER";
            return Err(Failure::new(format!("a {} has no {}: {hint}", mailbox.kind.code(), role_name(right.role))));
        }
        let (person, role) = (right.person.to_string(), role_name(right.role));
        self.store.grant(mailbox.id, right).await.map_err(|error| of_mailbox(&error, address))?;
        self.trace(address, &format!("granted {role}"), vec![person]);
        self.show(address).await
    }

    async fn revoke(&self, address: &Address, person: &NationalId) -> Result<(), Failure> {
        let mailbox = self.find(address).await?;
        let rights = self.store.rights(mailbox.id).await.map_err(|error| of_mailbox(&error, address))?;
        let at = now();
        if !rights.iter().any(|right| right.person == *person && right.until.is_none_or(|until| until > at)) {
            return Err(Failure::new(format!(
                "this person has no right on {address}: `vaguemestre mailbox show` lists those given"
            )));
        }
        self.store.revoke(mailbox.id, person, at).await.map_err(|error| of_mailbox(&error, address))?;
        self.trace(address, "revoked", vec![person.to_string()]);
        self.show(address).await
    }

    async fn delete(&self, address: &Address, yes: bool) -> Result<(), Failure> {
        let mailbox = self.find(address).await?;
        if !yes {
            let messages = mailbox.usage.messages;
            return Err(Failure::new(format!(
                "{address} and its {messages} message(s) would be erased for good; add --yes if that is wanted"
            )));
        }
        self.store.delete_mailbox(mailbox.id).await.map_err(|error| of_mailbox(&error, address))?;
        self.trace(address, "deleted", Vec::new());
        match self.json {
            true => say(json!({ "deleted": address.to_string() })),
            false => say(format_args!("{address} is deleted")),
        }
        Ok(())
    }

    async fn find(&self, address: &Address) -> Result<Mailbox, Failure> {
        let found = self.store.mailbox(address).await.map_err(|error| of_store(&error))?;
        found.ok_or_else(|| {
            Failure::new(format!("no mailbox {address}: `vaguemestre mailbox list` lists those there are"))
        })
    }

    /// TRACE: who is whoever runs the command, as the system names them.
    fn trace(&self, address: &Address, answer: &str, with: Vec<String>) {
        let who = Who::Administrator(whoever());
        self.tracer.record(Trace { with, ..Trace::new(who, Action::Administer, true).mailbox(address).answer(answer) });
    }
}

/// The name of whoever runs the command, else their number.
fn whoever() -> String {
    use std::os::unix::fs::MetadataExt;
    let named = ["SUDO_USER", "USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
    let number = || std::fs::metadata("/proc/self").map(|process| format!("uid {}", process.uid())).ok();
    named.or_else(number).unwrap_or_else(|| "unknown".to_owned())
}

/// The titulaire that a kind has: a person or a structure.
fn holder_of(kind: MailboxKind, text: &str) -> Result<Holder, Failure> {
    match kind {
        MailboxKind::Per | MailboxKind::Cab => match text.parse() {
            Ok(person) => Ok(Holder::Person(person)),
            Err(error) => Err(Failure::new(format!("--holder of a {kind} is a person's national identifier: {error}"))),
        },
        MailboxKind::Org | MailboxKind::App => match text.parse::<StructureId>() {
            Ok(structure) => Ok(Holder::Structure(structure)),
            Err(error) => Err(Failure::new(format!("--holder of an {kind} is a structure's identifier: {error}"))),
        },
    }
}

fn holder_text(holder: &Holder) -> String {
    match holder {
        Holder::Person(person) => person.to_string(),
        Holder::Structure(structure) => structure.to_string(),
    }
}

fn as_json(mailbox: &Mailbox) -> Value {
    json!({
        "mailbox": mailbox.address.to_string(),
        "kind": mailbox.kind.code(),
        "holder": holder_text(&mailbox.holder),
        "label": mailbox.label,
        "created_at": date(mailbox.created_at),
        "last_authentication": mailbox.last_authentication.map(date),
        "messages": mailbox.usage.messages,
        "octets": mailbox.usage.octets,
        "quota_octets": mailbox.quota.octets,
        "quota_messages": mailbox.quota.messages,
    })
}

fn right_json(right: &Right) -> Value {
    json!({
        "person": right.person.to_string(),
        "role": role_name(right.role),
        "from": date(right.from),
        "until": right.until.map(date),
        "holds": right.holds_at(now()),
    })
}

fn of_store(error: &StoreError) -> Failure {
    Failure::new(format!("the store: {error}"))
}

fn of_mailbox(error: &StoreError, address: &Address) -> Failure {
    match error {
        StoreError::MailboxExists => {
            Failure::new(format!("{address} exists already: `vaguemestre mailbox show {address}` tells whose it is"))
        }
        StoreError::NoSuchMailbox => Failure::new(format!("no mailbox {address}")),
        other => of_store(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_titulaire_is_of_the_kind() {
        // BAL-KIND
        assert!(matches!(holder_of(MailboxKind::Per, "899700000017"), Ok(Holder::Person(_))));
        assert!(matches!(holder_of(MailboxKind::App, "1750000001"), Ok(Holder::Structure(_))));
        for (kind, wrong) in
            [(MailboxKind::Per, "1750000001"), (MailboxKind::Org, "899700000017"), (MailboxKind::Org, "1750000002x")]
        {
            assert!(holder_of(kind, wrong).is_err(), "{kind} {wrong}");
        }
    }

    #[test]
    fn days_and_sizes() {
        assert_eq!(day("1970-01-02"), Ok(86_400));
        assert!(day("02/01/1970").is_err());
        assert_eq!((size("1K"), size("2G"), size("7")), (Ok(1024), Ok(2 << 30), Ok(7)));
        for wrong in ["", "0", "M", "1T", "99999999999999G", "-1"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
        assert_eq!(
            (limit("none", count), limit("12", count), limit("2K", size)),
            (Ok(Limit(None)), Ok(Limit(Some(12))), Ok(Limit(Some(2048))))
        );
        for wrong in ["", "0", "None", "2K"] {
            assert!(limit(wrong, count).is_err(), "{wrong}");
        }
    }
}
