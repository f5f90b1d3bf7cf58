//! The checks that every backend passes, on key files and persistent handles.

use std::path::Path;

use keyanchor::key::Devices;

use super::{Bench, SIGNING};
use crate::support::conformance::{Expected, conforms};
use crate::support::swtpm::Swtpm;

/// Opens the reference at this TPM, and checks it against the public key that another program exported.
fn reference_conforms(tpm: &Swtpm, reference: &str, public_key: &Path) {
    let open = |reference: &str| {
        let mut devices = Devices::new(Bench::at(tpm.tcti()).options);
        devices.open(&reference.parse().unwrap()).unwrap()
    };
    let public_key = std::fs::read(public_key).unwrap();
    conforms(&*open(reference), &Expected { public_key: &public_key, id: None, reopen: &open });
    assert_eq!(tpm.left_behind(), "");
}

#[test]
fn key_files_of_the_openssl_provider_conform() {
    let tpm = Swtpm::start();
    for arguments in ["-algorithm EC -pkeyopt group:P-256", "-algorithm RSA -pkeyopt bits:2048"] {
        let file = tpm.openssl_key(arguments);
        let public = tpm.path("public.der");
        tpm.tool("openssl pkey -provider tpm2 -provider default -in provider.pem -pubout -outform DER -out public.der");
        reference_conforms(&tpm, file.to_str().unwrap(), &public);
    }
}

#[test]
fn persistent_keys_of_tpm2_tools_conform() {
    let tpm = Swtpm::start();
    tpm.make_srk("0x81000001");
    for (algorithm, handle) in [("ecc384", "0x81000101"), ("rsa2048", "0x81000102")] {
        tpm.make_key("0x81000001", algorithm, SIGNING, "");
        tpm.persist("0x81000001", "", handle);
        tpm.tpm2(&format!("readpublic -Q -c {handle} -f der -o public.der"));
        reference_conforms(&tpm, &format!("handle:{handle}"), &tpm.path("public.der"));
    }
}
