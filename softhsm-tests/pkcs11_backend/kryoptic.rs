//! A second token, which counts wrong PINs down to the lock as cards do: kryoptic. Few distributions have it, so that these tests
//! are left out until they are asked for:
//!
//! ```text
//! KEYANCHOR_TEST_KRYOPTIC=/path/to/libkryoptic_pkcs11.so cargo test --test softhsm kryoptic -- --ignored
//! ```

use std::path::PathBuf;

use keyanchor::key::{Advice, HashAlgorithm, KeyError, KeyErrorKind, SecretKind, WantedKey};

use super::{Setup, refused, signs, uri};
use crate::support::command::tool;
use crate::support::own_process::in_own_process;
use crate::support::softhsm::{TEST_SO_PIN, TEST_USER_PIN};
use crate::support::{Environment, Folder, variable};

const MODULE: &str = "KEYANCHOR_TEST_KRYOPTIC";

/// kryoptic numbers its slots as they are configured, so that this one is 0.
const URI: &str = "pkcs11:slot-id=0;token=kryoptic";

fn module() -> PathBuf {
    std::env::var_os(MODULE).unwrap_or_else(|| panic!("{MODULE} names no module")).into()
}

/// A token with a key of each of these kinds, under the kind as its label.
fn token(kinds: &[&str], more: &[&str]) -> (Environment, Folder) {
    let folder = Folder::new();
    let database = folder.join("token.sql");
    let slot = format!("[[slots]]\nslot = 0\ndbtype = \"sqlite\"\ndbargs = \"{}\"\n", database.display());
    let configuration = folder.write("kryoptic.conf", slot);
    let environment = vec![variable("KRYOPTIC_CONF", configuration), variable(MODULE, module())];
    let pkcs11_tool = |arguments: &[&str]| {
        let module = module();
        tool("pkcs11-tool", ["--module", module.to_str().unwrap()].iter().chain(arguments), environment.clone());
    };
    pkcs11_tool(&["--init-token", "--label", "kryoptic", "--so-pin", TEST_SO_PIN]);
    let set_pin = ["--login", "--login-type", "so", "--so-pin", TEST_SO_PIN, "--init-pin", "--pin", TEST_USER_PIN];
    pkcs11_tool(&set_pin);
    for (number, kind) in kinds.iter().enumerate() {
        let id = format!("{number:02x}");
        let make = ["--login", "--pin", TEST_USER_PIN, "--keypairgen", "--usage-sign", "--key-type", kind];
        pkcs11_tool(&[&make[..], &["--id", &id, "--label", kind], more].concat());
    }
    (environment, folder)
}

/// A signature with this PIN, in a session that begins and ends with it.
fn signature(pin: &str, use_final_try: bool) -> Result<(), KeyError> {
    let mut setup = Setup::new(&module()).pin(SecretKind::UserPin, pin);
    setup.pkcs11.use_final_try = use_final_try;
    let mut modules = setup.modules();
    let key = modules.open(&uri(URI)).unwrap().open_key(&WantedKey::default());
    let outcome = key.map(|key| signs(&*key, HashAlgorithm::Sha256));
    modules.close();
    outcome
}

/// Wrong PINs, each another one, until the token is refused untried.
fn wrong_pins_until_the_last() -> KeyError {
    let wrong = |number| signature(&format!("wrong-pin-{number:04}"), false).unwrap_err();
    let refusals = (0..20).map(wrong);
    refusals.into_iter().find(|error| error.kind() != KeyErrorKind::SecretWrong).expect("it never came to the last try")
}

#[test]
#[ignore = "needs KEYANCHOR_TEST_KRYOPTIC, the path of kryoptic's module"]
fn every_kind_of_key_signs_every_hash() {
    let prepare = || token(&["EC:prime256v1", "EC:secp384r1", "EC:secp521r1", "RSA:2048"], &[]);
    let scenario = || {
        let mut modules = Setup::new(&module()).user_pin().modules();
        let device = modules.open(&uri(URI)).unwrap();
        let keys = device.listing().unwrap().keys(&[]).unwrap();
        assert_eq!(keys.len(), 4);
        for stored in keys {
            let key = modules.open(&uri(&stored.reference)).unwrap().open_key(&WantedKey::default()).unwrap();
            for hash in [HashAlgorithm::Sha256, HashAlgorithm::Sha384, HashAlgorithm::Sha512] {
                signs(&*key, hash);
            }
        }
        modules.close();
    };
    in_own_process(prepare, scenario);
}

#[test]
#[ignore = "needs KEYANCHOR_TEST_KRYOPTIC, the path of kryoptic's module"]
fn the_last_try_is_kept_for_the_right_pin() {
    let scenario = || {
        let error = wrong_pins_until_the_last();
        assert_eq!(error.kind(), KeyErrorKind::SecretLocked, "{error}");
        assert_eq!(error.advice(), Some(&Advice::Allow { flag: "--use-final-try" }));
        // Also the right PIN, for who knows that it is right.
        refused(signature(TEST_USER_PIN, false), KeyErrorKind::SecretLocked, &["nothing was tried"]);
        signature(TEST_USER_PIN, true).unwrap();
        // All tries are there again.
        signature(TEST_USER_PIN, false).unwrap();
    };
    in_own_process(|| token(&["EC:prime256v1"], &[]), scenario);
}

#[test]
#[ignore = "needs KEYANCHOR_TEST_KRYOPTIC, the path of kryoptic's module"]
fn a_token_that_is_locked_says_so_and_is_left_alone() {
    let scenario = || {
        wrong_pins_until_the_last();
        refused(signature("wrong-pin-last", true), KeyErrorKind::SecretLocked, &["the PIN is locked"]);
        refused(signature(TEST_USER_PIN, true), KeyErrorKind::SecretLocked, &["is locked; nothing was tried"]);
    };
    in_own_process(|| token(&["EC:prime256v1"], &[]), scenario);
}

#[test]
#[ignore = "needs KEYANCHOR_TEST_KRYOPTIC, the path of kryoptic's module"]
fn an_always_authenticate_key_takes_its_own_login_for_each_signature() {
    let scenario = || {
        // The user PIN does not serve unasked.
        let mut unasked = Setup::new(&module()).user_pin().modules();
        let key = unasked.open(&uri(URI)).unwrap().open_key(&WantedKey::default()).unwrap();
        refused(key.gather_secrets(), KeyErrorKind::SecretMissing, &["context PIN"]);
        unasked.close();
        let mut setup = Setup::new(&module()).user_pin();
        setup.pkcs11.reuse_pin = true;
        let mut modules = setup.modules();
        let key = modules.open(&uri(URI)).unwrap().open_key(&WantedKey::default()).unwrap();
        for _ in 0..2 {
            key.gather_secrets().unwrap();
            signs(&*key, HashAlgorithm::Sha256);
        }
        modules.close();
    };
    in_own_process(|| token(&["EC:prime256v1"], &["--always-auth"]), scenario);
}
