//! Keys in files: the same traits and the same checks as on devices.

use std::path::Path;

use keyanchor::key::{Device, Devices, KeyReference, Pkcs11Options};

use crate::support::conformance::{Expected, conforms, device_options};
use crate::support::key::{Key, KeyFile};

fn device(reference: &str) -> Box<dyn Device> {
    let mut devices = Devices::new(device_options(&[], Pkcs11Options::default()));
    devices.open(&reference.parse::<KeyReference>().unwrap()).unwrap()
}

fn file_conforms(path: &Path, public_key: &[u8]) {
    let device_of_file = device(path.to_str().unwrap());
    conforms(&*device_of_file, &Expected { public_key, id: None, reopen: &device });
}

#[test]
fn every_supported_key_conforms_in_pkcs8() {
    for kind in Key::SUPPORTED {
        let file = KeyFile::generate(kind);
        file_conforms(file.path(), file.public_key());
    }
}

#[test]
fn keys_in_older_forms_conform_too() {
    for kind in [Key::Rsa2048, Key::Ec384] {
        let file = KeyFile::generate(kind);
        file_conforms(&file.traditional_pem(), file.public_key());
    }
}
