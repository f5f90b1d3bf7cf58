//! The persistent objects of a TPM, as far as it shows them: nothing of it is secret.

use super::super::device::DeviceOptions;
use super::super::error::KeyError;
use super::super::inventory::{Contents, DeviceInfo, Inventory, KeyAttributes, KeyEntry, KeyKind, TpmInfo};
use super::context::Tpm;
use super::error::Fault;
use super::handle::Handle;
use super::public::PublicArea;
use super::reach::Reach;
use super::worker::{self, Turn};

/// Lists the TPM that the options name. No command is sent before it is asked.
pub fn inventory(options: &DeviceOptions) -> Box<dyn Inventory> {
    Box::new(TpmInventory { reach: Reach::resolve(&options.tpm), options: options.clone() })
}

struct TpmInventory {
    reach: Reach,
    options: DeviceOptions,
}

impl Inventory for TpmInventory {
    fn contents(&self, _log_in: bool) -> Result<Vec<Contents>, KeyError> {
        let (reach, limit) = (self.reach.clone(), self.options.limit);
        let objects = worker::run(&self.options, &self.reach, &Turn::default(), move |log| {
            let mut tpm = Tpm::open(&reach, limit, log)?;
            objects(&mut tpm).map_err(KeyError::from)
        })??;
        let device = DeviceInfo::Tpm(TpmInfo { way: self.reach.way_as_text() });
        let keys = objects.into_iter().map(|(handle, area)| entry(handle, &area)).collect();
        Ok(vec![Contents { device, keys, certificates: Vec::new() }])
    }
}

fn objects(tpm: &mut Tpm) -> Result<Vec<(Handle, PublicArea)>, Fault> {
    let mut objects = Vec::new();
    for handle in tpm.persistent_handles()? {
        let (_, area) = tpm.persistent(handle)?;
        objects.push((handle, area));
    }
    Ok(objects)
}

fn entry(handle: Handle, area: &PublicArea) -> KeyEntry {
    let public_key = area.public_key().ok();
    KeyEntry {
        reference: handle.to_string(),
        ambiguous: false,
        label: None,
        id: None,
        kind: match &public_key {
            Some(public_key) => KeyKind::Supported(public_key.algorithm()),
            None => KeyKind::Other(area.kind_name()),
        },
        public_key,
        public_only: false,
        attributes: KeyAttributes::Tpm(area.attributes()),
    }
}
