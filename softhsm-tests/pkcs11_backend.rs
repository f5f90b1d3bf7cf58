//! The PKCS#11 backend on real tokens: what it finds, what it refuses, and how many calls it makes.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use keyanchor::key::pkcs11::{Modules, Uri};
use keyanchor::key::{
    Advice, Attendant, CertificateOfKey, Device, DeviceOptions, HashAlgorithm, KeyError, KeyErrorKind, Pkcs11Options,
    Secret, SecretKind, SecretRequest, SecretSource, Secrets, SigningInput, SigningKey, StoredCertificate, WantedKey,
};
use keyanchor::x509::Certificate;

use crate::support::fault::{Fault, Which};
use crate::support::key::{Key, KeyFile};
use crate::support::own_process::in_own_process;
use crate::support::pki::Ca;
use crate::support::softhsm::{SoftHsm, TEST_USER_PIN, WRONG_TEST_PIN};
use crate::support::spy::Spy;

/// Somebody at the machine who writes down what happens, and answers prompts with one PIN.
#[derive(Default)]
struct Person {
    pin: Option<&'static str>,
    asked: AtomicUsize,
    warnings: Mutex<Vec<String>>,
    keypad: AtomicUsize,
    slow: AtomicUsize,
    answered: AtomicUsize,
}

impl Attendant for Person {
    fn ask(&self, request: &SecretRequest<'_>) -> io::Result<Option<Secret>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.warnings.lock().unwrap().extend(request.warning.map(str::to_owned));
        Ok(self.pin.map(|pin| Secret::new(pin.into())))
    }

    fn enter_on_device(&self, _: &SecretRequest<'_>) {
        self.keypad.fetch_add(1, Ordering::SeqCst);
    }

    fn device_is_slow(&self, _: &str) {
        self.slow.fetch_add(1, Ordering::SeqCst);
    }

    fn device_answered(&self) {
        self.answered.fetch_add(1, Ordering::SeqCst);
    }
}

/// What a command would have been told by its flags.
struct Setup {
    person: Arc<Person>,
    secrets: Secrets,
    limit: Duration,
    pkcs11: Pkcs11Options,
}

impl Setup {
    fn new(module: &Path) -> Self {
        Self::with(module, Person::default())
    }

    fn with(module: &Path, person: Person) -> Self {
        let person = Arc::new(person);
        let secrets = Secrets::new(Arc::clone(&person) as Arc<dyn Attendant>);
        let pkcs11 = Pkcs11Options { module: Some(module.to_owned()), ..Pkcs11Options::default() };
        Self { person, secrets, limit: Duration::from_secs(20), pkcs11 }
    }

    fn pin(mut self, kind: SecretKind, pin: &str) -> Self {
        self.secrets.choose(kind, SecretSource::Given(Arc::new(Secret::new(pin.into()))));
        self
    }

    fn user_pin(self) -> Self {
        self.pin(SecretKind::UserPin, TEST_USER_PIN)
    }

    fn modules(self) -> Modules {
        Modules::new(DeviceOptions { secrets: Arc::new(self.secrets), limit: self.limit, pkcs11: self.pkcs11 })
    }
}

fn uri(text: &str) -> Uri {
    text.parse().unwrap()
}

fn certificates(device: &dyn Device) -> Vec<StoredCertificate> {
    device.listing().unwrap().certificates().unwrap()
}

/// The key of this certificate, as an identity would ask for it.
fn of(certificate: &StoredCertificate) -> WantedKey {
    let public_key = Certificate::from_der(&certificate.der).unwrap().public_key().unwrap();
    WantedKey { certificate: Some(CertificateOfKey { public_key, id: certificate.id.clone() }), inferred: true }
}

fn signs(key: &dyn SigningKey, hash: HashAlgorithm) {
    let input = SigningInput::new(b"a message for the test".to_vec(), hash);
    let signature = key.sign(&input).unwrap();
    key.public_key().unwrap().verify(&input, &signature).unwrap();
}

fn refusal<T>(outcome: Result<T, KeyError>) -> KeyError {
    outcome.err().expect("it was not refused")
}

/// One certificate and its key by this URI, as a credential needs them: list, open, ask for issuers, sign, end.
fn one_credential(module: &Path, reference: &str) {
    let mut modules = Setup::new(module).user_pin().modules();
    let device = modules.open(&uri(reference)).unwrap();
    let found = certificates(&*device);
    let [leaf] = &found[..] else { panic!("{} certificates", found.len()) };
    let key = device.open_key(&of(leaf)).unwrap();
    device.listing().unwrap().issuers(b"\x30\x00").unwrap();
    key.gather_secrets().unwrap();
    signs(&*key, HashAlgorithm::Sha256);
    modules.close();
}

fn counted_credential(kind: Key) -> (SoftHsm, Spy, Vec<(std::ffi::OsString, std::ffi::OsString)>) {
    let (hsm, spy) = (SoftHsm::new(), Spy::before(SoftHsm::module()));
    hsm.token("counted").identity(kind, "01", "mine", &Ca::root("Test Root"));
    let environment = [hsm.env(), spy.env()].concat();
    (hsm, spy, environment)
}

fn is_frugal(spy: &Spy) {
    let calls = spy.calls();
    assert_eq!(calls.of("C_Sign"), 1, "{calls:?}");
    assert_eq!(calls.of("C_SignInit"), 1, "{calls:?}");
    assert_eq!(calls.of("C_Login"), 1, "{calls:?}");
    println!("{} calls: {calls:?}", calls.total());
    assert!(calls.total() <= 25, "{} calls: {calls:?}", calls.total());
}

#[test]
fn a_credential_with_an_rsa_key_costs_one_signature_one_login_and_25_calls() {
    let prepare = || {
        let (hsm, spy, environment) = counted_credential(Key::Rsa2048);
        (environment, (hsm, spy))
    };
    let Some((_hsm, spy)) = in_own_process(prepare, || one_credential(&Spy::module(), "pkcs11:token=counted")) else {
        return;
    };
    is_frugal(&spy);
}

#[test]
fn a_credential_with_an_ec_key_costs_one_signature_one_login_and_25_calls() {
    let prepare = || {
        let (hsm, spy, environment) = counted_credential(Key::Ec256);
        (environment, (hsm, spy))
    };
    let scenario = || one_credential(&Spy::module(), "pkcs11:token=counted;object=mine");
    let Some((_hsm, spy)) = in_own_process(prepare, scenario) else { return };
    is_frugal(&spy);
}
