//! The PKCS#11 backend, called as the library that it is, on real tokens.

mod counting;
mod faults;
mod kryoptic;
mod logins;
mod making;
mod searching;
mod signing;

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use keyanchor::key::pkcs11::{Modules, Uri};
use keyanchor::key::{
    Attendant, CertificateOfKey, Device, DeviceOptions, HashAlgorithm, KeyError, KeyErrorKind, Pkcs11Options, Secret,
    SecretKind, SecretRequest, SecretSource, Secrets, SigningInput, SigningKey, StoredCertificate, TpmOptions,
    WantedKey,
};
use keyanchor::x509::Certificate;

use crate::support::softhsm::TEST_USER_PIN;

/// Somebody at the machine who writes down what happens, and answers prompts with one PIN.
#[derive(Default)]
struct Person {
    pin: Option<&'static str>,
    /// How long the answer takes.
    thinks: Duration,
    asked: AtomicUsize,
    warnings: Mutex<Vec<String>>,
    keypad: AtomicUsize,
    slow: AtomicUsize,
    answered: AtomicUsize,
}

impl Person {
    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn at_keypad(&self) -> usize {
        self.keypad.load(Ordering::SeqCst)
    }

    fn slowness(&self) -> usize {
        self.slow.load(Ordering::SeqCst)
    }

    fn answers(&self) -> usize {
        self.answered.load(Ordering::SeqCst)
    }
}

impl Attendant for Person {
    fn ask(&self, request: &SecretRequest<'_>) -> io::Result<Option<Secret>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.warnings.lock().unwrap().extend(request.warning.map(str::to_owned));
        std::thread::sleep(self.thinks);
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
        Modules::new(DeviceOptions {
            secrets: Arc::new(self.secrets),
            limit: self.limit,
            pkcs11: self.pkcs11,
            tpm: TpmOptions::default(),
        })
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

/// What it was refused with, checked for its kind and for what its text must hold.
#[track_caller]
fn refused<T>(outcome: Result<T, KeyError>, kind: KeyErrorKind, texts: &[&str]) -> KeyError {
    let error = outcome.err().expect("it was not refused");
    assert_eq!(error.kind(), kind, "{error}");
    for text in texts {
        assert!(error.to_string().contains(text), "no '{text}' in: {error}");
    }
    error
}
