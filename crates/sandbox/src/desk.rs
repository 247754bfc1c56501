//! The control application in the browser, part of the space: an operator of it for each operator here, and accounts whose password stands in
//! `sandbox.json`.

use std::net::Ipv4Addr;
use std::path::Path;

use desk::account::role::Role;
use desk::account::secret::{self, Cost};
use desk::db::Reach;
use desk::signing::SignatureSettings;
use desk::software::ClientPlace;
use desk::{Desk, Settings, Template};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use trust::SharedClock;
use trust::tls::Acceptor;

use crate::cast::{OPERATORS, SOFTWARE_DOMAIN};
use crate::description::{AccountEntry, ControlEntry};
use crate::{Layout, Ports, SandboxError};

/// The other accounts of each operator: `alpha-testeur`.
const ROLES: [(Role, &str); 3] =
    [(Role::Testeur, "testeur"), (Role::Lecteur, "lecteur"), (Role::Signataire, "signataire")];
/// Where the password of its accounts is kept, in the sandbox's folder.
const PASSWORD_FILE: &str = "control/desk.password";

/// The application, running.
pub(crate) struct Running {
    pub entry: ControlEntry,
    shutdown: CancellationToken,
    campaigns: JoinHandle<()>,
    pages: JoinHandle<()>,
}

impl Running {
    /// Campaigns under way stop, to go on at the next start: before what they look at goes.
    pub async fn stop(self) {
        self.shutdown.cancel();
        let _ = self.campaigns.await;
        let _ = self.pages.await;
    }
}

/// The address of its pages.
fn url(ports: &Ports) -> String {
    format!("https://127.0.0.1:{}", ports.desk)
}

/// Where the campaigns of an operator of the space go: to the space.
fn reach(index: usize, ports: &Ports) -> Result<Reach, SandboxError> {
    let own = &ports.operators[index];
    Ok(Reach {
        domains: vec![OPERATORS[index].domain.to_owned()],
        ranges: vec!["127.0.0.0/8".parse().map_err(SandboxError::setup("control application"))?],
        ports: vec![own.imap, own.submission, own.imap_app, own.submission_app, own.autoconfig, ports.relay],
    })
}

/// Starts it. The jobs of the operators must be written.
pub(crate) async fn start(
    layout: &Layout,
    ports: &Ports,
    clock: SharedClock,
    listener: TcpListener,
    tls: Acceptor,
) -> Result<Running, SandboxError> {
    let failed = SandboxError::setup("control application");
    let shutdown = CancellationToken::new();
    let settings = Settings {
        folder: layout.root().join("control"),
        database: None,
        hosting: None,
        proof: None,
        url: url(ports),
        title: "Bac à sable".to_owned(),
        campaigns: 2,
        second_factor: false,
        cost: Cost::KNOWN,
        templates: OPERATORS
            .iter()
            .map(|operator| Template {
                name: operator.name.to_owned(),
                title: format!("Bac à sable, opérateur {}", operator.name),
                path: layout.operator(operator.name).join(crate::control::TEMPLATE),
                organisation: Some(operator.name.to_owned()),
            })
            .collect(),
        factor_key: None,
        oidc: None,
        client: Some(ClientPlace {
            listen: Ipv4Addr::LOCALHOST.into(),
            domain: SOFTWARE_DOMAIN.to_owned(),
            first_port: None,
            autoconfig_port: None,
            revocation_port: None,
            dns: None,
            resolver: Some((Ipv4Addr::LOCALHOST, ports.dns).into()),
        }),
        signature: Some(SignatureSettings { anchors: layout.pki().join("ca.pem"), crl: Vec::new() }),
        clock,
    };
    let desk = Desk::open(settings, shutdown.clone()).await.map_err(failed)?;
    let password = password(&layout.root().join(PASSWORD_FILE))?;
    let mut accounts = Vec::new();
    let mut provide = async |login: &str, role: Role, operator: Option<usize>| {
        let organisation = match operator {
            Some(index) => Some((OPERATORS[index].name, reach(index, ports)?)),
            None => None,
        };
        let provided = desk.provide(organisation, login, role, &password).await;
        provided.map_err(SandboxError::setup("control application"))?;
        accounts.push(AccountEntry {
            login: login.to_owned(),
            password: password.clone(),
            role: role.code().to_owned(),
            operator: operator.map(|index| OPERATORS[index].name.to_owned()),
        });
        Ok::<_, SandboxError>(())
    };
    for (index, operator) in OPERATORS.iter().enumerate() {
        provide(operator.name, Role::AdministrateurOperateur, Some(index)).await?;
        let whose = operator.structure.id.parse().map_err(SandboxError::setup("control application"))?;
        desk.identify(operator.name, &[whose]).await.map_err(SandboxError::setup("control application"))?;
        for (role, name) in ROLES {
            provide(&format!("{}-{name}", operator.name), role, Some(index)).await?;
        }
    }
    provide("regulateur", Role::Regulateur, None).await?;
    provide("admin", Role::Administrateur, None).await?;
    let entry = ControlEntry { url: url(ports), accounts };
    let pages = tokio::spawn(trust::http::serve(listener, Some(tls), desk.router(), shutdown.clone()));
    let campaigns = tokio::spawn(desk.schedule());
    Ok(Running { entry, shutdown, campaigns, pages })
}

/// Made once.
fn password(path: &Path) -> Result<String, SandboxError> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    match std::fs::read_to_string(path) {
        Ok(text) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(SandboxError::file(path)(error)),
        _ => {
            let word = secret::code().map_err(SandboxError::setup("control application"))?;
            let file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
            let written = file.and_then(|mut file| file.write_all(word.as_bytes()));
            written.map_err(SandboxError::file(path))?;
            Ok(word)
        }
    }
}
