//! Which certificate and which key a URI means, and what is said where it means none or several.

use std::path::Path;

use keyanchor::key::{Advice, HashAlgorithm, KeyErrorKind, WantedKey};

use super::{Setup, certificates, of, refused, signs, uri};
use crate::support::key::{Key, KeyFile};
use crate::support::own_process::in_own_process;
use crate::support::pki::Ca;
use crate::support::softhsm::{SoftHsm, Token};
use crate::support::{Environment, variable};

/// A token with an identity `mine` under ID 01.
fn token_with_identity() -> (Environment, Token) {
    let token = SoftHsm::new().token("here");
    token.identity(Key::Ec256, "01", "mine", &Ca::root("Test Root"));
    (token.env(), token)
}

fn setup() -> Setup {
    Setup::new(&SoftHsm::module()).user_pin()
}

#[test]
fn every_attribute_that_fits_selects_and_every_other_does_not() {
    let scenario = || {
        let mut modules = setup().modules();
        for good in [
            "pkcs11:",
            "PKCS11:token=here",
            "pkcs11:manufacturer=SoftHSM%20project;model=SoftHSM%20v2",
            "pkcs11:library-manufacturer=SoftHSM;library-version=2.6",
            "pkcs11:slot-manufacturer=SoftHSM%20project",
            "pkcs11:token=here;object=mine;id=%01;type=cert",
            "pkcs11:id=%01",
            "pkcs11:?x-vendor=1",
        ] {
            let device = modules.open(&uri(good)).unwrap();
            assert_eq!(certificates(&*device).len(), 1, "{good}");
        }
        for bad in [
            "pkcs11:token=her",
            "pkcs11:manufacturer=SoftHSM",
            "pkcs11:serial=",
            "pkcs11:slot-id=0",
            "pkcs11:library-version=2.5",
            "pkcs11:library-description=none",
            "pkcs11:slot-description=none",
            "pkcs11:token=",
        ] {
            refused(modules.open(&uri(bad)).map(|_| ()), KeyErrorKind::NotFound, &[bad, "pkcs11:token=here;serial="]);
        }
        let unknown = modules.open(&uri("pkcs11:token=here;x-vendor=1")).map(|_| ());
        refused(unknown, KeyErrorKind::NotFound, &["'x-vendor'"]);
        modules.close();
    };
    in_own_process(token_with_identity, scenario);
}

#[test]
fn a_typo_in_object_shows_what_is_there() {
    let scenario = || {
        let mut modules = setup().modules();
        let device = modules.open(&uri("pkcs11:token=here;object=nine")).unwrap();
        let lists = ["object=nine", "certificate object=mine;id=%01", "private key object=mine;id=%01"];
        let error = refused(device.listing().unwrap().certificates(), KeyErrorKind::NotFound, &lists);
        assert_eq!(error.advice(), Some(&Advice::ListToken { module: SoftHsm::module().display().to_string() }));
        refused(device.open_key(&WantedKey::default()).map(|_| ()), KeyErrorKind::NotFound, &lists);
        modules.close();
    };
    in_own_process(token_with_identity, scenario);
}

#[test]
fn a_typo_in_object_is_shown_even_where_nobody_gives_a_pin() {
    let scenario = || {
        let mut modules = Setup::new(&SoftHsm::module()).modules();
        let device = modules.open(&uri("pkcs11:token=here;object=nine")).unwrap();
        let texts = ["without the user PIN", "certificate object=mine;id=%01"];
        refused(device.listing().unwrap().certificates(), KeyErrorKind::NotFound, &texts);
        modules.close();
    };
    in_own_process(token_with_identity, scenario);
}

#[test]
fn where_no_module_is_named_p11_kit_s_proxy_shows_the_tokens_of_all() {
    let scenario = || {
        let mut setup = setup();
        setup.pkcs11.module = None;
        let mut modules = setup.modules();
        let device = modules.open(&uri("pkcs11:token=here;object=mine")).unwrap();
        let key = device.open_key(&of(&certificates(&*device)[0])).unwrap();
        signs(&*key, HashAlgorithm::Sha256);
        modules.close();
    };
    in_own_process(token_with_identity, scenario);
}

#[test]
fn a_type_that_excludes_what_is_sought_is_named() {
    let scenario = || {
        let mut modules = setup().modules();
        let device = modules.open(&uri("pkcs11:token=here;type=private")).unwrap();
        let wanted = ["type=cert", "selects only type=private"];
        refused(device.listing().unwrap().certificates(), KeyErrorKind::NotFound, &wanted);
        device.open_key(&WantedKey::default()).unwrap();
        modules.close();
    };
    in_own_process(token_with_identity, scenario);
}

#[test]
fn several_keys_are_listed_with_uris_that_can_be_pasted_back() {
    let prepare = || {
        let (environment, token) = token_with_identity();
        token.generate(Key::Ec256, "02", "a second; key");
        (environment, token)
    };
    let scenario = || {
        let mut modules = setup().modules();
        let device = modules.open(&uri("pkcs11:token=here")).unwrap();
        let several = device.open_key(&WantedKey::default()).map(|_| ());
        let error = refused(several, KeyErrorKind::Ambiguous, &["2 on token 'here' match"]);
        let Some(Advice::ChooseOne { references }) = error.advice() else { panic!("{error:?}") };
        assert_eq!(references.len(), 2);
        for reference in references {
            let key = modules.open(&uri(reference)).unwrap().open_key(&WantedKey::default()).unwrap();
            assert_eq!(key.reference(), reference);
            signs(&*key, HashAlgorithm::Sha256);
        }
        let keys = device.listing().unwrap().keys(&[]).unwrap();
        assert!(keys.iter().all(|key| key.public_key.is_some() && references.contains(&key.reference)), "{keys:?}");
        modules.close();
    };
    in_own_process(prepare, scenario);
}

#[test]
fn the_key_is_found_by_the_certificate_s_id_where_its_label_is_another() {
    let prepare = || {
        let token = SoftHsm::new().token("here");
        token.generate(Key::Rsa2048, "0a", "PIV key");
        token.import_certificate(&Ca::root("Test Root").leaf("leaf", &token.public_key("0a")), "0a", "PIV certificate");
        (token.env(), token)
    };
    let scenario = || {
        let mut modules = setup().modules();
        let device = modules.open(&uri("pkcs11:object=PIV%20certificate;type=cert")).unwrap();
        let leaf = certificates(&*device).remove(0);
        let key = device.open_key(&of(&leaf)).unwrap();
        assert!(key.reference().contains("id=%0A;object=PIV%20key;type=private"), "{}", key.reference());
        signs(&*key, HashAlgorithm::Sha256);
        // Named as the key's own URI, the label counts.
        let explicit = WantedKey { inferred: false, ..of(&leaf) };
        let device = modules.open(&uri("pkcs11:object=PIV%20certificate")).unwrap();
        refused(device.open_key(&explicit).map(|_| ()), KeyErrorKind::NotFound, &["object=PIV%20key"]);
        modules.close();
    };
    in_own_process(prepare, scenario);
}

#[test]
fn of_two_keys_with_one_id_the_certificate_s_own_is_taken() {
    let prepare = || {
        let token = SoftHsm::new().token("here");
        let (other, mine) = (KeyFile::generate(Key::Ec256), KeyFile::generate(Key::Ec256));
        token.import_key(&other.pkcs8_der(), "01", "old");
        token.import_key(&mine.pkcs8_der(), "01", "new");
        token.import_certificate(&Ca::root("Test Root").leaf("leaf", mine.public_key()), "01", "leaf");
        (token.env(), token)
    };
    let scenario = || {
        let mut modules = setup().modules();
        let device = modules.open(&uri("pkcs11:token=here")).unwrap();
        // SoftHSM's EC private keys show no public half, and two public objects share the ID: the test is whether the key
        // that was taken signs for the certificate.
        let leaf = certificates(&*device).remove(0);
        let key = device.open_key(&of(&leaf)).unwrap();
        signs(&*key, HashAlgorithm::Sha256);
        modules.close();
    };
    in_own_process(prepare, scenario);
}

#[test]
fn a_certificate_of_another_key_is_refused() {
    let prepare = || {
        let (environment, token) = token_with_identity();
        token.delete_certificate("01");
        let (stranger, _) = Ca::root("Test Root").leaf_with_key("stranger", Key::Ec256);
        token.import_certificate(&stranger, "01", "mine");
        (environment, token)
    };
    let scenario = || {
        let mut modules = setup().modules();
        let device = modules.open(&uri("pkcs11:token=here")).unwrap();
        let leaf = certificates(&*device).remove(0);
        let texts = ["certifies another P-256 key", "object=mine;type=private (P-256)"];
        refused(device.open_key(&of(&leaf)).map(|_| ()), KeyErrorKind::Mismatch, &texts);
        modules.close();
    };
    in_own_process(prepare, scenario);
}

#[test]
fn a_key_whose_public_half_is_not_shown_is_matched_by_its_id() {
    let prepare = || {
        let (environment, token) = token_with_identity();
        token.delete_public("01");
        (environment, token)
    };
    let scenario = || {
        let mut modules = setup().modules();
        let device = modules.open(&uri("pkcs11:token=here")).unwrap();
        let key = device.open_key(&of(&certificates(&*device)[0])).unwrap();
        signs(&*key, HashAlgorithm::Sha256);
        assert!(device.open_key(&WantedKey::default()).unwrap().public_key().is_none());
        modules.close();
    };
    in_own_process(prepare, scenario);
}

#[test]
fn of_several_tokens_the_one_with_the_certificate_has_the_key_and_nobody_logs_in_to_look() {
    let prepare = || {
        let (environment, here) = token_with_identity();
        let there = here.hsm().token("there");
        there.identity(Key::Ec256, "01", "other", &Ca::root("Test Root"));
        (environment, (here, there))
    };
    let scenario = || {
        let mut modules = setup().modules();
        let device = modules.open(&uri("pkcs11:id=%01")).unwrap();
        let blind = device.open_key(&WantedKey::default()).map(|_| ());
        let error = refused(blind, KeyErrorKind::Ambiguous, &["wanted one token with the key"]);
        let Some(Advice::ChooseOne { references }) = error.advice() else { panic!("{error:?}") };
        assert!(references.iter().any(|uri| uri.starts_with("pkcs11:token=there;serial=")), "{references:?}");

        let all = certificates(&*modules.open(&uri("pkcs11:id=%01")).unwrap());
        assert_eq!(all.len(), 2);
        let leaf = all.iter().find(|one| one.reference.contains("object=mine")).unwrap();
        let key = device.open_key(&of(leaf)).unwrap();
        assert!(key.reference().starts_with("pkcs11:token=here;"), "{}", key.reference());
        signs(&*key, HashAlgorithm::Sha256);
        modules.close();
    };
    in_own_process(prepare, scenario);
}

#[test]
fn two_tokens_of_one_label_are_told_apart_by_serial() {
    let prepare = || {
        let (environment, here) = token_with_identity();
        let twin = here.hsm().token("here");
        twin.identity(Key::Ec256, "01", "mine", &Ca::root("Test Root"));
        (environment, (here, twin))
    };
    let scenario = || {
        let mut modules = setup().modules();
        let both = certificates(&*modules.open(&uri("pkcs11:token=here;object=mine")).unwrap());
        assert_eq!(both.len(), 2);
        for certificate in both {
            let device = modules.open(&uri(&certificate.reference)).unwrap();
            assert_eq!(certificates(&*device)[0].der, certificate.der);
            let key = modules.open(&uri(&certificate.reference)).unwrap().open_key(&of(&certificate)).unwrap();
            signs(&*key, HashAlgorithm::Sha256);
        }
        modules.close();
    };
    in_own_process(prepare, scenario);
}

#[test]
fn issuers_are_found_by_subject_whatever_the_uri_names() {
    let prepare = || {
        let token = SoftHsm::new().token("here");
        let root = Ca::root("Test Root");
        let issuing = root.intermediate("Test Issuing CA");
        token.identity(Key::Ec256, "01", "mine", &issuing);
        token.import_certificate(&issuing.certificate, "02", "issuing");
        token.import_certificate(&root.certificate, "03", "root");
        (token.env(), token)
    };
    let scenario = || {
        let mut modules = setup().modules();
        let all = certificates(&*modules.open(&uri("pkcs11:token=here")).unwrap());
        let labelled = |label: &str| all.iter().find(|one| one.reference.contains(label)).unwrap();
        let device = modules.open(&uri("pkcs11:token=here;object=mine")).unwrap();
        // Name { RDN { CN = "Test Issuing CA" } }
        let mut subject = b"\x30\x1a\x31\x18\x30\x16\x06\x03\x55\x04\x03\x0c\x0f".to_vec();
        subject.extend(b"Test Issuing CA");
        let found = device.listing().unwrap().issuers(&subject).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].der, labelled("object=issuing").der);
        modules.close();
    };
    in_own_process(prepare, scenario);
}

#[test]
fn a_value_longer_than_its_room_is_read_at_the_second_try() {
    let long = "a long label ".repeat(60);
    let prepare = || {
        let (environment, token) = token_with_identity();
        token.import_certificate(&Ca::root("Test Root").certificate, "02", &long);
        (environment, token)
    };
    let scenario = || {
        let mut modules = setup().modules();
        let found = certificates(&*modules.open(&uri("pkcs11:id=%02")).unwrap());
        assert!(found[0].reference.contains(&long.replace(' ', "%20")), "{found:?}");
        modules.close();
    };
    in_own_process(prepare, scenario);
}

#[test]
fn modules_that_cannot_be_used_say_why() {
    let prepare = || (Environment::new(), ());
    let scenario = || {
        let open = |module: &Path| Setup::new(module).modules().open(&uri("pkcs11:")).map(|_| ());
        let missing = refused(open(Path::new("/nonexistent.so")), KeyErrorKind::Unreachable, &["/nonexistent.so"]);
        assert_eq!(missing.advice(), Some(&Advice::ChooseModule { similar: None }));
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join("text.so");
        std::fs::write(&text, "not a library").unwrap();
        refused(open(&text), KeyErrorKind::Unreachable, &["text.so as a PKCS#11 module", "file too short"]);
        // A library, and no module.
        let libc = std::fs::read_to_string("/proc/self/maps").unwrap();
        let libc = libc.split_whitespace().find(|word| word.ends_with("/libc.so.6")).unwrap().to_owned();
        refused(open(Path::new(&libc)), KeyErrorKind::Unreachable, &["a library without C_GetFunctionList"]);
        // No configuration, for the environment is empty and the home as well.
        let error = open(&SoftHsm::module());
        match error {
            // A system-wide configuration that this account may read has no token of ours.
            Ok(()) => {}
            Err(error) => {
                assert!(error.to_string().contains("SOFTHSM2_CONF") || error.kind() == KeyErrorKind::NotFound)
            }
        }
    };
    in_own_process(prepare, scenario);
}

#[test]
fn a_module_is_found_by_its_name_and_in_its_folder() {
    let scenario = || {
        let by_name = |query: &str| {
            let mut setup = setup();
            setup.pkcs11.module = None;
            let mut modules = setup.modules();
            let found = modules.open(&uri(&format!("pkcs11:token=here?{query}"))).map(|device| certificates(&*device));
            modules.close();
            found
        };
        let folder = SoftHsm::module();
        let folder = folder.parent().unwrap().display();
        // libsofthsm2.so in a folder named after the module, as distributions put it.
        for query in ["module-name=softhsm2", &format!("module-path={folder}&module-name=softhsm2")] {
            assert_eq!(by_name(query).unwrap().len(), 1, "{query}");
        }
        // opensc-pkcs11.so in the library folder: it has no token here, and does not even start on a machine without pcscd.
        let error = by_name("module-name=opensc-pkcs11").unwrap_err();
        assert!(error.to_string().contains("/opensc-pkcs11.so "), "{error}");
    };
    in_own_process(token_with_identity, scenario);
}

#[test]
fn slot_and_serial_select_the_token_that_has_them() {
    const SLOT: &str = "KEYANCHOR_TEST_SLOT";
    let prepare = || {
        let (environment, here) = token_with_identity();
        let there = here.hsm().token("there");
        let environment = [environment, vec![variable(SLOT, here.slot.to_string())]].concat();
        (environment, (here, there))
    };
    let scenario = || {
        let mut modules = setup().modules();
        let slot = std::env::var(SLOT).unwrap();
        let by_slot = certificates(&*modules.open(&uri(&format!("pkcs11:slot-id={slot}"))).unwrap());
        assert_eq!(by_slot.len(), 1);
        let serial = by_slot[0].reference.split(';').find(|part| part.starts_with("serial=")).unwrap();
        assert_eq!(certificates(&*modules.open(&uri(&format!("pkcs11:{serial}"))).unwrap()).len(), 1);
        let description = format!("SoftHSM%20slot%20ID%200x{:x}", slot.parse::<u64>().unwrap());
        let by_description = modules.open(&uri(&format!("pkcs11:slot-description={description}"))).unwrap();
        assert_eq!(certificates(&*by_description).len(), 1);
        modules.close();
    };
    in_own_process(prepare, scenario);
}

#[test]
fn of_several_keys_that_its_own_uri_selects_the_certificate_s_is_taken() {
    let prepare = || {
        let (environment, token) = token_with_identity();
        token.generate(Key::Ec256, "02", "second");
        token.generate(Key::Rsa2048, "03", "third");
        (environment, token)
    };
    let scenario = || {
        let mut modules = setup().modules();
        let device = modules.open(&uri("pkcs11:token=here")).unwrap();
        let leaf = certificates(&*device).remove(0);
        // With the certificate's CKA_ID, and from a file, without it.
        let of_leaf = of(&leaf);
        let mut of_file = of(&leaf);
        of_file.certificate.as_mut().unwrap().id = None;
        for wanted in [of_leaf, of_file] {
            let key = device.open_key(&WantedKey { inferred: false, ..wanted }).unwrap();
            assert!(key.reference().contains("object=mine"), "{}", key.reference());
            signs(&*key, HashAlgorithm::Sha256);
        }
        modules.close();
    };
    in_own_process(prepare, scenario);
}
