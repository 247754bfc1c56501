//! `vaguemestre sandbox`: the whole test trust space, in the foreground.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use sandbox::{Description, Options, Sandbox, self_check};

use super::{say, token};
use crate::failure::Failure;
use crate::runtime::block_on;
use crate::signals::Signals;

/// Where a sandbox lies unless told otherwise: in sight, and the same for `sandbox` and `sandbox token` run from one place.
pub const DEFAULT_DIR: &str = "sandbox-data";
/// The same by the environment.
pub const DIR_VARIABLE: &str = "VAGUEMESTRE_SANDBOX";

/// See the module.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(
    after_help = "Runs in the foreground until Ctrl-C or SIGTERM (a second one ends the process at once), on loopback only: a \
    certificate authority, Pro Santé Connect, a name server, the white list, Mon espace santé, and two operators, alpha and beta. \
    DIR/sandbox.json, written when everything listens and removed at the stop, tells programs where everything is.\n\n\
    Everything made is kept in DIR and found again at the next start: keys, mailboxes, mail, ports when still free. Remove DIR to begin anew.\n\n\
    Examples:\n  vaguemestre sandbox\n  vaguemestre sandbox --dir /tmp/espace --port-base 20000 --no-self-check\n  \
    TOKEN=$(vaguemestre sandbox token --id 899700000017)\n  \
    vaguemestre mailbox list --config sandbox-data/alpha/vaguemestre.toml\n\n\
    With --port-base N: N DNS, N+1 PSC, N+2 white list, N+3 revocation lists, N+4 the operator interfaces (on 127.x.y.z), \
    N+10 to N+14 alpha's IMAP, submission, IMAP and submission for BAL APP, autoconfiguration, N+20 to N+24 beta's. docs/sandbox.md tells all."
)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// The folder where everything lies; made when missing.
    #[arg(long, value_name = "DIR", env = DIR_VARIABLE, default_value = DEFAULT_DIR)]
    dir: PathBuf,
    /// Fixed ports above N instead of free ones.
    #[arg(long, value_name = "N")]
    port_base: Option<u16>,
    /// Life of the access tokens that logins get: a number with s, m or h.
    #[arg(long, value_name = "DURATION", default_value = "120s", value_parser = token::duration)]
    token_ttl: Duration,
    /// Do not send a message through the space at the start.
    #[arg(long)]
    no_self_check: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Prints an access token of a person for the sandbox.
    Token(token::Args),
}

/// Runs the sandbox until a signal, or gives a token.
pub fn run(args: Args) -> Result<(), Failure> {
    match args.command {
        Some(Command::Token(args)) => token::run(args),
        None => block_on(serve(args)),
    }
}

async fn serve(args: Args) -> Result<(), Failure> {
    let begun = Instant::now();
    let mut signals = Signals::listen()?;
    let options = Options { port_base: args.port_base, token_ttl: args.token_ttl, ..Options::new(args.dir) };
    let sandbox = tokio::select! {
        started = Sandbox::start(options) => started?,
        () = signals.next() => return Ok(()),
    };
    say(table(&sandbox));
    say(format_args!("Up in {:.2} s.", begun.elapsed().as_secs_f64()));
    if !args.no_self_check {
        let folder = sandbox.layout().root().to_owned();
        tokio::select! {
            checked = self_check::run(&folder, &sandbox.description) => match checked {
                Ok(exchange) => say(format_args!("\nSelf-check: {exchange}")),
                Err(error) => {
                    sandbox.stop().await;
                    return Err(Failure::new(format!("the self-check failed at {error}; RUST_LOG=debug tells more")));
                }
            },
            () = signals.next() => {
                signals.unless_again(sandbox.stop()).await;
                return Ok(());
            }
        }
    }
    say("\nCtrl-C stops it.");
    signals.next().await;
    say("Stopping.");
    signals.unless_again(sandbox.stop()).await;
    Ok(())
}

/// What a person needs to begin: operators and ports, people and mailboxes, tokens, folders.
fn table(sandbox: &Sandbox) -> String {
    let description = &sandbox.description;
    let root = sandbox.layout().root().display();
    let mut lines = vec![
        "Test trust space (MSSanté), on this machine only. Nobody and nothing in it is real.".to_owned(),
        String::new(),
    ];
    lines.push(format!(
        "{:<7} {:<29} {:>11} {:>11} {:>11} {:>11}  {}",
        "", "domain", "IMAP", "submission", "IMAP app", "subm. app", "operator interface"
    ));
    for operator in &description.operators {
        lines.push(format!(
            "{:<7} {:<29} {:>11} {:>11} {:>11} {:>11}  {}:{}",
            operator.name,
            operator.domain,
            operator.imap.port,
            operator.submission.port,
            operator.imap_app.port,
            operator.submission_app.port,
            operator.mx.host,
            operator.mx.port
        ));
    }
    lines.push(String::new());
    lines.extend(people(description));
    lines.push(String::new());
    lines.push("Ports are on 127.0.0.1, with STARTTLS; software checks certificates with pki/ca.pem.".to_owned());
    let default = std::path::absolute(DEFAULT_DIR).is_ok_and(|path| path == sandbox.layout().root());
    let dir = if default { String::new() } else { format!(" --dir {root}") };
    lines.push(format!("A token:     vaguemestre sandbox token{dir} --id {}", description.people[0].id));
    lines.push(format!(
        "Login page:  {} (client {})",
        description.psc.authorization_endpoint, description.psc.client_id
    ));
    lines.push(format!("Phones:      {} (logins by CIBA; they approve by themselves)", description.psc.phone));
    lines.push(format!("White list:  {}", description.white_list));
    lines.push(format!("DNS:         {}:{} (UDP and TCP)", description.dns.host, description.dns.port));
    lines.push(format!("Patients:    <INS>@{} arrives in {root}/{}", description.mes.domain, description.mes.folder));
    if let Some(account) = description.control.accounts.first() {
        let logins: Vec<&str> = description.control.accounts.iter().map(|one| one.login.as_str()).collect();
        let url = &description.control.url;
        lines.push(format!("Control:     {url} (sign in as {}; password {})", logins.join(", "), account.password));
    }
    lines.push(format!("Data:        {root} (sandbox.json tells programs all this)"));
    lines.join("\n")
}

fn people(description: &Description) -> Vec<String> {
    let mut lines = vec![format!("{:<16} {:<13} {:<4} {}", "who", "identifier", "kind", "mailbox")];
    for person in &description.people {
        let mailbox = person.mailbox.as_deref().unwrap_or("no mailbox");
        lines.push(format!(
            "{:<16} {:<13} {:<4} {mailbox}",
            person.name,
            person.id,
            person.kind.as_deref().unwrap_or("-")
        ));
    }
    for application in &description.applications {
        let (structure, certificate) = (&application.structure, &application.certificate);
        lines.push(format!(
            "{:<16} {structure:<13} {:<4} {}  ({certificate}, .key)",
            "software", application.kind, application.mailbox
        ));
    }
    lines
}
