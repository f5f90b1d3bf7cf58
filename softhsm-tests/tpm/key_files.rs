//! Key files that other people's tools wrote, under every kind of parent.

use keyanchor::key::{Devices, HashAlgorithm, WantedKey};

use super::{Bench, NO_PASSWORD, OWNER, SIGNING, SRK, der, pem, pem_of_kind, signs, signs_with};
use crate::support::swtpm::Swtpm;

#[test]
fn keys_of_the_tpm2_provider_of_openssl_sign() {
    let tpm = Swtpm::start();
    for arguments in [
        "-algorithm EC -pkeyopt group:P-256",
        "-algorithm EC -pkeyopt group:P-384",
        "-algorithm RSA -pkeyopt bits:2048",
    ] {
        let file = tpm.openssl_key(arguments);
        signs(Bench::at(tpm.tcti()).file(&file)).unwrap_or_else(|error| panic!("{arguments}: {error}"));
    }
    tpm.make_srk("0x81000001");
    let file = tpm.openssl_key("-algorithm EC -pkeyopt group:P-256 -pkeyopt parent:0x81000001");
    signs(Bench::at(tpm.tcti()).file(&file)).unwrap();
}

#[test]
fn a_key_is_found_in_the_pem_file_that_holds_its_certificate_too() {
    let tpm = Swtpm::start();
    let key = std::fs::read_to_string(tpm.openssl_key("-algorithm EC -pkeyopt group:P-256")).unwrap();
    tpm.tool(
        "openssl req -provider tpm2 -provider default -propquery ?provider=tpm2 -x509 -new -key provider.pem -subj /CN=test \
         -out certificate.pem",
    );
    let certificate = std::fs::read_to_string(tpm.path("certificate.pem")).unwrap();
    for content in [format!("{certificate}{key}"), format!("{key}{certificate}")] {
        let path = tpm.path("both.pem");
        std::fs::write(&path, content).unwrap();
        let mut devices = Devices::new(Bench::at(tpm.tcti()).options);
        let device = devices.open(&path.to_str().unwrap().parse().unwrap()).unwrap();
        signs(device.open_key(&WantedKey::default())).unwrap();
    }
}

#[test]
fn a_file_of_tpm2_encodeobject_signs() {
    let tpm = Swtpm::start();
    tpm.make_srk("0x81000001");
    tpm.make_key("0x81000001", "ecc256", SIGNING, "");
    tpm.tpm2("encodeobject -Q -C 0x81000001 -u key.pub -r key.priv -o encoded.pem");
    // Version 5.4 says of every key that it has a password.
    let mut bench = Bench::at(tpm.tcti());
    bench.options.tpm.no_key_password = true;
    signs(bench.file(&tpm.path("encoded.pem"))).unwrap();
}

#[test]
fn larger_curves_sign_shorter_digests() {
    let tpm = Swtpm::start();
    tpm.make_srk("0x81000001");
    for algorithm in ["ecc256", "ecc384", "ecc521"] {
        let key = tpm.make_key("0x81000001", algorithm, SIGNING, "");
        let file = pem(NO_PASSWORD, SRK, &key.public(), &key.private());
        for hash in [HashAlgorithm::Sha256, HashAlgorithm::Sha384, HashAlgorithm::Sha512] {
            signs_with(Bench::at(tpm.tcti()).pem(&file), hash)
                .unwrap_or_else(|error| panic!("{algorithm} with {hash}: {error}"));
        }
    }
}

#[test]
fn every_hierarchy_and_both_templates_are_parents() {
    let tpm = Swtpm::start();
    let storage = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt";
    let rsa_parent: &[u8] = &[0xa5, 0x03, 0x01, 0x01, 0xff];
    for (hierarchy, number) in [("o", 0x01), ("n", 0x07), ("e", 0x0b), ("p", 0x0c)] {
        for (primary, field) in [("ecc256:aes128cfb", &[][..]), ("rsa2048:aes128cfb", rsa_parent)] {
            tpm.tpm2(&format!("createprimary -Q -C {hierarchy} -g sha256 -G {primary} -a {storage} -c primary.ctx"));
            let key = tpm.make_key("primary.ctx", "ecc256", SIGNING, "");
            let parent = [0x02, 0x04, 0x40, 0x00, 0x00, number];
            let file = pem(&[NO_PASSWORD, field].concat(), &parent, &key.public(), &key.private());
            signs(Bench::at(tpm.tcti()).pem(&file))
                .unwrap_or_else(|error| panic!("hierarchy {hierarchy}, {primary}: {error}"));
        }
    }
    assert_eq!(tpm.left_behind(), "");
}

#[test]
fn an_importable_key_is_imported_and_signs_again_and_again() {
    let tpm = Swtpm::start();
    tpm.make_srk("0x81000001");
    let (public, seed, duplicate) = duplicated(&tpm);
    let secret = der(0xa2, &der(0x04, &seed));
    for parent in [SRK, OWNER] {
        let file = pem_of_kind(4, &[NO_PASSWORD, &secret].concat(), parent, &public, &duplicate);
        let key = Bench::at(tpm.tcti()).pem(&file).unwrap();
        let input = keyanchor::key::SigningInput::new(b"test message".to_vec(), HashAlgorithm::Sha256);
        for _ in 0..2 {
            let signature = key.sign(&input).unwrap();
            key.public_key().unwrap().verify(&input, &signature).unwrap();
        }
    }
    assert_eq!(tpm.left_behind(), "");
}

/// A key that was made elsewhere and wrapped for this TPM's SRK: its public area, seed and private half.
fn duplicated(tpm: &Swtpm) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    tpm.tool("tpm2_startauthsession -S trial.ctx");
    tpm.tool("tpm2_policycommandcode -Q -S trial.ctx -L duplicate.policy TPM2_CC_Duplicate");
    tpm.tool("tpm2_flushcontext trial.ctx");
    let movable = "sensitivedataorigin|userwithauth|sign";
    tpm.make_key("0x81000001", "ecc256", movable, "-L duplicate.policy");
    tpm.tpm2("load -Q -C 0x81000001 -u key.pub -r key.priv -c key.ctx");
    tpm.tpm2("readpublic -Q -c 0x81000001 -o srk.pub");
    tpm.tpm2("loadexternal -Q -C o -u srk.pub -c new_parent.ctx");
    tpm.tool("tpm2_startauthsession --policy-session -S policy.ctx");
    tpm.tool("tpm2_policycommandcode -Q -S policy.ctx TPM2_CC_Duplicate");
    tpm.tpm2("duplicate -Q -C new_parent.ctx -c key.ctx -G null -p session:policy.ctx -r key.dup -s key.seed");
    tpm.tool("tpm2_flushcontext policy.ctx");
    let read = |name: &str| std::fs::read(tpm.path(name)).unwrap();
    (read("key.pub"), read("key.seed"), read("key.dup"))
}
