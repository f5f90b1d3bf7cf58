//! What every backend must do alike, whatever device is behind it. Each check uses the library's traits as the commands do, and
//! openssl to verify what comes out.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use keyanchor::key::{
    Attendant, CertificateOfKey, Device, DeviceOptions, HashAlgorithm, KeyErrorKind, Pkcs11Options, PublicKey, Secret,
    SecretKind, SecretRequest, SecretSource, Secrets, SigningInput, SigningKey, TpmOptions, WantedKey,
};

use super::Folder;
use super::command::tool;
use super::key::{Key, KeyFile};

/// What is known of the key that a device holds, from elsewhere.
pub struct Expected<'a> {
    /// SubjectPublicKeyInfo, DER, as another program exported it.
    pub public_key: &'a [u8],
    /// What tells the key among others on its device, as a certificate would.
    pub id: Option<Vec<u8>>,
    /// Opens a device anew by the reference that a key calls itself.
    pub reopen: &'a dyn Fn(&str) -> Box<dyn Device>,
}

/// Options with these secrets and nobody at the terminal: a check that asks a person fails.
pub fn device_options(secrets: &[(SecretKind, &str)], pkcs11: Pkcs11Options) -> DeviceOptions {
    let mut chosen = Secrets::new(Arc::new(Nobody));
    for (kind, secret) in secrets {
        chosen.choose(*kind, SecretSource::Given(Arc::new(Secret::new(secret.as_bytes().to_vec()))));
    }
    DeviceOptions { secrets: Arc::new(chosen), limit: Duration::from_secs(20), pkcs11, tpm: TpmOptions::default() }
}

/// Runs every check on a device whose reference selects one key.
pub fn conforms(device: &dyn Device, expected: &Expected<'_>) {
    let key = open(device, expected);
    knows_its_public_key(&*key, expected);
    signs_with_every_hash(&*key, expected);
    signs_in_two_threads(key, expected);
    refuses_the_certificate_of_another_key(device, expected);
    opens_without_a_certificate(device, expected);
    is_found_again_by_its_reference(device, expected);
}

fn open(device: &dyn Device, expected: &Expected<'_>) -> Box<dyn SigningKey> {
    let public_key = PublicKey::from_spki_der(expected.public_key).unwrap();
    let certificate = CertificateOfKey { public_key, id: expected.id.clone() };
    device.open_key(&WantedKey { certificate: Some(certificate), inferred: false }).unwrap()
}

fn knows_its_public_key(key: &dyn SigningKey, expected: &Expected<'_>) {
    let public_key = key.public_key().expect("a key that was opened by its certificate knows its public half");
    assert_eq!(public_key.to_spki_der().unwrap(), expected.public_key);
}

fn signs_with_every_hash(key: &dyn SigningKey, expected: &Expected<'_>) {
    for hash in [HashAlgorithm::Sha256, HashAlgorithm::Sha384, HashAlgorithm::Sha512] {
        // Twice in sequence: the second must not find the first still under way.
        for message in [&b"a message"[..], b"another message"] {
            signs(key, expected, hash, message);
        }
    }
}

fn signs(key: &dyn SigningKey, expected: &Expected<'_>, hash: HashAlgorithm, message: &[u8]) {
    key.gather_secrets().unwrap();
    let input = SigningInput::new(message.to_vec(), hash);
    let signature = key.sign(&input).unwrap();
    key.public_key().unwrap().verify(&input, &signature).unwrap();
    openssl_verifies(expected.public_key, hash, message, signature.as_bytes());
}

fn signs_in_two_threads(key: Box<dyn SigningKey>, expected: &Expected<'_>) {
    let (key, public_key) = (Arc::from(key), Arc::new(expected.public_key.to_vec()));
    let sign = |name: &'static str| {
        let (key, public_key): (Arc<dyn SigningKey>, _) = (Arc::clone(&key), Arc::clone(&public_key));
        thread::spawn(move || {
            for _ in 0..3 {
                let input = SigningInput::new(name.into(), HashAlgorithm::Sha256);
                let signature = key.sign(&input).unwrap();
                openssl_verifies(&public_key, HashAlgorithm::Sha256, name.as_bytes(), signature.as_bytes());
            }
        })
    };
    for thread in [sign("one thread"), sign("another thread")] {
        thread.join().unwrap();
    }
}

fn refuses_the_certificate_of_another_key(device: &dyn Device, expected: &Expected<'_>) {
    // One of the same kind of algorithm and one of another.
    for kind in [Key::Ec256, Key::Rsa2048] {
        let other = PublicKey::from_spki_der(KeyFile::generate(kind).public_key()).unwrap();
        let certificate = CertificateOfKey { public_key: other, id: expected.id.clone() };
        let refused = device.open_key(&WantedKey { certificate: Some(certificate), inferred: false });
        let error = refused.err().unwrap_or_else(|| panic!("took the certificate of another {kind:?} key"));
        assert_eq!(error.kind(), KeyErrorKind::Mismatch, "{error}");
    }
}

fn opens_without_a_certificate(device: &dyn Device, expected: &Expected<'_>) {
    let key = device.open_key(&WantedKey::default()).unwrap();
    let message = b"without a certificate";
    let signature = key.sign(&SigningInput::new(message.to_vec(), HashAlgorithm::Sha256)).unwrap();
    openssl_verifies(expected.public_key, HashAlgorithm::Sha256, message, signature.as_bytes());
}

fn is_found_again_by_its_reference(device: &dyn Device, expected: &Expected<'_>) {
    let key = open(device, expected);
    let again = (expected.reopen)(key.reference());
    knows_its_public_key(&*open(&*again, expected), expected);
}

fn openssl_verifies(public_key: &[u8], hash: HashAlgorithm, message: &[u8], signature: &[u8]) {
    let folder = Folder::new();
    let option = match hash {
        HashAlgorithm::Sha256 => "-sha256",
        HashAlgorithm::Sha384 => "-sha384",
        HashAlgorithm::Sha512 => "-sha512",
    };
    let key = folder.write("public.der", public_key);
    let (signature, message) = (folder.write("signature", signature), folder.write("message", message));
    let [key, signature, message] = [&key, &signature, &message].map(|path| path.to_str().unwrap());
    let arguments = ["dgst", option, "-verify", key, "-keyform", "DER", "-signature", signature, message];
    tool("openssl", arguments, Vec::new());
}

/// Nobody at the terminal.
struct Nobody;

impl Attendant for Nobody {
    fn ask(&self, _: &SecretRequest<'_>) -> io::Result<Option<Secret>> {
        Ok(None)
    }
    fn enter_on_device(&self, _: &SecretRequest<'_>) {}
    fn device_is_slow(&self, _: &str) {}
    fn device_answered(&self) {}
}
