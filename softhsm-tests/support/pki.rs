//! A CA for tests. Its keys and signatures are made by the openssl command; the certificates are put together here, since
//! no one version of openssl makes every certificate that tests want (a v1 one, one of next year, one of a token's key).

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use sha1::{Digest, Sha1};

use super::Folder;
use super::der::{bit_string, boolean, explicit, integer, octet_string, oid, sequence, set, tagged, time, utf8_string};
use super::key::{Hash, Key, KeyFile};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// A certificate, and its files in the folder of the CA that issued it.
#[derive(Clone, Debug)]
pub struct Certificate {
    pub der: Vec<u8>,
    /// The path of its files but for the extension.
    path: PathBuf,
    _folder: Folder,
}

impl Certificate {
    fn new(der: Vec<u8>, serial: &[u8], folder: &Folder) -> Self {
        let name: String = serial.iter().map(|octet| format!("{octet:02x}")).collect();
        let certificate = Self { der, path: folder.join(format!("certificate-{name}")), _folder: folder.clone() };
        std::fs::write(certificate.der_path(), &certificate.der).unwrap();
        std::fs::write(certificate.pem_path(), certificate.pem()).unwrap();
        certificate
    }

    pub fn pem(&self) -> String {
        let encoded = STANDARD.encode(&self.der);
        let lines: Vec<_> = encoded.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
    }

    pub fn pem_path(&self) -> PathBuf {
        self.path.with_extension("pem")
    }

    pub fn der_path(&self) -> PathBuf {
        self.path.with_extension("der")
    }
}

/// The PEMs of several certificates one after another.
pub fn bundle<'a>(certificates: impl IntoIterator<Item = &'a Certificate>) -> String {
    certificates.into_iter().map(Certificate::pem).collect()
}

/// A certificate authority with a P-256 key, or with another that was given to it.
#[derive(Clone, Debug)]
pub struct Ca {
    name: String,
    key: KeyFile,
    /// The certificate under which it was made: self-signed for a root.
    pub certificate: Certificate,
}

impl Ca {
    /// A self-signed root.
    pub fn root(name: &str) -> Self {
        Self::root_with(name, Key::Ec256)
    }

    /// A self-signed root with a key of this kind.
    pub fn root_with(name: &str, kind: Key) -> Self {
        let key = KeyFile::generate(kind);
        let certificate = Draft::ca(name).signed_by(name, &key, key.public_key());
        Self { name: name.to_owned(), key, certificate }
    }

    /// An intermediate under this CA.
    pub fn intermediate(&self, name: &str) -> Self {
        let key = KeyFile::generate(Key::Ec256);
        let certificate = self.issue(&Draft::ca(name), key.public_key());
        Self { name: name.to_owned(), key, certificate }
    }

    /// The file of its key, for other people's tools.
    pub fn key_path(&self) -> &Path {
        self.key.path()
    }

    /// SubjectPublicKeyInfo, DER, for further certificates of this CA.
    pub fn public_key(&self) -> &[u8] {
        self.key.public_key()
    }

    /// Another certificate for the other CA's name and key, under this CA.
    pub fn cross_sign(&self, other: &Self) -> Certificate {
        self.issue(&Draft::ca(&other.name), other.public_key())
    }

    /// A leaf as Roles Anywhere wants it for this public key (SubjectPublicKeyInfo, DER).
    pub fn leaf(&self, name: &str, public_key: &[u8]) -> Certificate {
        self.issue(&Draft::leaf(name), public_key)
    }

    /// A leaf for a fresh key in a file.
    pub fn leaf_with_key(&self, name: &str, kind: Key) -> (Certificate, KeyFile) {
        let key = KeyFile::generate(kind);
        (self.leaf(name, key.public_key()), key)
    }

    /// Whatever the draft says, for this public key (SubjectPublicKeyInfo, DER).
    pub fn issue(&self, draft: &Draft, public_key: &[u8]) -> Certificate {
        draft.signed_by(&self.name, &self.key, public_key)
    }
}

/// What a certificate will say; starts good and is made bad as a test wants it.
#[derive(Clone, Debug)]
pub struct Draft {
    subject: Option<String>,
    /// Seconds from now.
    not_before: i64,
    not_after: i64,
    v1: bool,
    serial: Option<Vec<u8>>,
    ca: Option<bool>,
    /// The first octet of the KeyUsage bits, digitalSignature first; `None` for no such extension.
    key_usage: Option<u8>,
    hash: Hash,
}

const DIGITAL_SIGNATURE: u8 = 0x80;
const KEY_ENCIPHERMENT: u8 = 0x20;
const KEY_CERT_SIGN_AND_CRL_SIGN: u8 = 0x06;

impl Draft {
    /// A leaf as Roles Anywhere wants it, valid from an hour ago for 30 days.
    pub fn leaf(common_name: &str) -> Self {
        Self {
            subject: Some(common_name.to_owned()),
            not_before: -HOUR,
            not_after: 30 * DAY,
            v1: false,
            serial: None,
            ca: Some(false),
            key_usage: Some(DIGITAL_SIGNATURE),
            hash: Hash::Sha256,
        }
    }

    /// A CA that is valid longer than its leaves.
    pub fn ca(common_name: &str) -> Self {
        Self {
            not_after: 365 * DAY,
            ca: Some(true),
            key_usage: Some(KEY_CERT_SIGN_AND_CRL_SIGN),
            ..Self::leaf(common_name)
        }
    }

    /// Validity in seconds from now.
    #[must_use]
    pub fn valid(self, not_before: i64, not_after: i64) -> Self {
        Self { not_before, not_after, ..self }
    }

    #[must_use]
    pub fn expired(self) -> Self {
        self.valid(-2 * DAY, -DAY)
    }

    #[must_use]
    pub fn not_yet_valid(self) -> Self {
        self.valid(DAY, 2 * DAY)
    }

    /// X.509 version 1, which has no extensions.
    #[must_use]
    pub fn v1(self) -> Self {
        Self { v1: true, ..self }
    }

    /// An empty subject.
    #[must_use]
    pub fn without_subject(self) -> Self {
        Self { subject: None, ..self }
    }

    /// Key usage keyEncipherment only.
    #[must_use]
    pub fn without_digital_signature(self) -> Self {
        Self { key_usage: Some(KEY_ENCIPHERMENT), ..self }
    }

    #[must_use]
    pub fn without_key_usage(self) -> Self {
        Self { key_usage: None, ..self }
    }

    #[must_use]
    pub fn without_basic_constraints(self) -> Self {
        Self { ca: None, ..self }
    }

    /// A CA certificate that may sign: CA:TRUE beside digitalSignature.
    #[must_use]
    pub fn ca_true(self) -> Self {
        Self { ca: Some(true), ..self }
    }

    #[must_use]
    pub fn hashed_with_sha1(self) -> Self {
        Self { hash: Hash::Sha1, ..self }
    }

    /// The serial number's magnitude, big-endian.
    #[must_use]
    pub fn serial(self, magnitude: &[u8]) -> Self {
        Self { serial: Some(magnitude.to_vec()), ..self }
    }

    fn signed_by(&self, issuer: &str, key: &KeyFile, public_key: &[u8]) -> Certificate {
        let serial = self.serial.clone().unwrap_or_else(next_serial);
        let algorithm = signature_algorithm(key.kind, self.hash);
        let body = self.to_be_signed(&serial, issuer, &algorithm, public_key, &self.extensions(key, public_key));
        let signature = key.sign(self.hash, &body);
        Certificate::new(sequence(&[&body, &algorithm, &bit_string(&signature)]), &serial, key.folder())
    }

    /// TBSCertificate (RFC 5280 §4.1).
    fn to_be_signed(
        &self,
        serial: &[u8],
        issuer: &str,
        algorithm: &[u8],
        public_key: &[u8],
        extensions: &[u8],
    ) -> Vec<u8> {
        let now = Timestamp::now();
        let at = |seconds| time(now + SignedDuration::from_secs(seconds));
        sequence(&[
            &if self.v1 { Vec::new() } else { explicit(0, &integer(&[2])) },
            &integer(serial),
            algorithm,
            &name(Some(issuer)),
            &sequence(&[&at(self.not_before), &at(self.not_after)]),
            &name(self.subject.as_deref()),
            public_key,
            &if self.v1 { Vec::new() } else { explicit(3, extensions) },
        ])
    }

    fn extensions(&self, issuer: &KeyFile, public_key: &[u8]) -> Vec<u8> {
        let constraints = |ca| sequence(&[if ca { boolean(true) } else { Vec::new() }.as_slice()]);
        let usage = |bits: u8| tagged(0x03, &[bits.trailing_zeros() as u8, bits]);
        sequence(&[
            &self.ca.map(|ca| extension(0x13, true, &constraints(ca))).unwrap_or_default(),
            &self.key_usage.map(|bits| extension(0x0f, true, &usage(bits))).unwrap_or_default(),
            &extension(0x0e, false, &octet_string(&key_id(public_key))),
            &extension(0x23, false, &sequence(&[&tagged(0x80, &key_id(issuer.public_key()))])),
        ])
    }
}

/// An extension of the arc id-ce (2.5.29).
fn extension(last: u8, critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = if critical { boolean(true) } else { Vec::new() };
    sequence(&[&oid(&[0x55, 0x1d, last]), &critical, &octet_string(value)])
}

/// A key identifier; any function of the key will do (RFC 5280 §4.2.1.2).
fn key_id(public_key: &[u8]) -> Vec<u8> {
    Sha1::digest(public_key).to_vec()
}

/// A Name of one common name (2.5.4.3), or of nothing.
fn name(common_name: Option<&str>) -> Vec<u8> {
    let part = |text| set(&[&sequence(&[&oid(&[0x55, 0x04, 0x03]), &utf8_string(text)])]);
    sequence(&[&common_name.map(part).unwrap_or_default()])
}

/// AlgorithmIdentifier of a signature: ECDSA has no parameters (RFC 5758 §3.2), RSA has NULL (RFC 4055 §5).
fn signature_algorithm(kind: Key, hash: Hash) -> Vec<u8> {
    let rsa = |last| sequence(&[&oid(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, last]), &[0x05, 0x00]]);
    match (kind, hash) {
        (Key::Rsa2048, Hash::Sha1) => rsa(5),
        (Key::Rsa2048, Hash::Sha256) => rsa(11),
        (Key::Rsa1024 | Key::Ed25519, _) => panic!("a CA of these tests signs with RSA-2048 or ECDSA"),
        (_, Hash::Sha1) => sequence(&[&oid(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01])]),
        (_, Hash::Sha256) => sequence(&[&oid(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02])]),
    }
}

/// Serial numbers that differ within a run, which is all that tests need.
fn next_serial() -> Vec<u8> {
    static NEXT: AtomicU32 = AtomicU32::new(0x0100_0001);
    NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes().to_vec()
}
