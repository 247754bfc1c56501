//! The certificates of the traps: one for each door, with what is wrong at that door and nothing else.

use std::path::Path;

use ::control::trap::{Door, Presented};
use trust::dn::Dn;
use trust::pki::{Channel, LeafRequest, Validity};

use super::{By, Leaf};
use crate::traps::{HOLDER, host, number};
use crate::{Ports, SandboxError, cast};

/// File of a door's certificate, under `pki` and without extension.
fn file(door: Door) -> String {
    format!("pieges/{}", door.name())
}

/// All of them.
pub(super) fn leaves(ports: &Ports) -> Vec<Leaf> {
    let leaf = |door: Door| {
        let place = [ports.mx(number(door))];
        let good = |host: &str| LeafRequest::server(host, &HOLDER.organization(), &[], &place);
        let request = match door {
            Door::Expire => good(&host(door)).valid(Validity::Expired),
            // The address neither: nothing of it is the host connected to.
            Door::MauvaisNom => {
                LeafRequest::server("mx.autre.pieges.formation.mssante.fr", &HOLDER.organization(), &[], &[])
            }
            Door::DnNonListe => LeafRequest::server(&host(door), &cast::OUTSIDER.organization(), &[], &place),
            _ => good(&host(door)),
        };
        let by = match door {
            Door::Autosigne => By::Itself,
            Door::AutreAc => By::Impostor,
            _ => By::Ours,
        };
        let revoked = (door == Door::Revoque).then_some(Channel::Both);
        Leaf { file: file(door), request, by, revoked }
    };
    Door::ALL.map(leaf).into()
}

/// What each door shows, with its name.
pub(super) fn load(folder: &Path) -> Result<Vec<(Door, Presented, Dn)>, SandboxError> {
    let one = |door: Door| {
        let read = |extension: &str| {
            let path = folder.join(format!("{}.{extension}", file(door)));
            std::fs::read(&path).map_err(SandboxError::file(&path))
        };
        let shown = Presented::from_pem(&read("pem")?, &read("key")?).map_err(SandboxError::setup("traps"))?;
        let name = shown.subject().ok_or_else(|| SandboxError::setup("traps")("a certificate without a name"))?;
        Ok((door, shown, name))
    };
    Door::ALL.into_iter().map(one).collect()
}
