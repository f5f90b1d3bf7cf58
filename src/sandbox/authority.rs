//! A certificate authority that lives as long as the process: one key, one CA certificate, one server certificate. Nothing of it
//! but the CA certificate leaves memory.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use const_oid::AssociatedOid;
use const_oid::db::rfc5912;
use der::asn1::{BitString, Ia5String, OctetString};
use der::pem::LineEnding;
use der::{Encode, Sequence};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use x509_cert::Version;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectAltName,
    SubjectKeyIdentifier,
};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::time::{Time, Validity};

/// The CA's name, which tells whoever finds it in a trust store what it is.
const CA_NAME: &str = "CN=keyanchor sandbox throw-away CA";
const SERVER_NAME: &str = "CN=keyanchor sandbox";
/// Before now, for clients whose clock is behind.
const BACKDATED: Duration = Duration::from_secs(24 * 3600);
const LIFETIME: Duration = Duration::from_secs(365 * 24 * 3600);

/// What a TLS server needs, and what its clients need.
pub struct ServerIdentity {
    /// For clients.
    pub ca_pem: String,
    /// The server's certificate.
    pub certificate: CertificateDer<'static>,
    /// The server's key.
    pub key: PrivateKeyDer<'static>,
}

/// Keys or certificates could not be made.
#[derive(Debug)]
pub struct AuthorityError;

impl From<aws_lc_rs::error::Unspecified> for AuthorityError {
    fn from(_: aws_lc_rs::error::Unspecified) -> Self {
        Self
    }
}

impl From<der::Error> for AuthorityError {
    fn from(_: der::Error) -> Self {
        Self
    }
}

/// RFC 5280 §4.1.2 of a v3 certificate.
#[derive(Sequence)]
struct TbsCertificate {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    version: Version,
    serial_number: SerialNumber,
    signature: AlgorithmIdentifierOwned,
    issuer: Name,
    validity: Validity,
    subject: Name,
    subject_public_key_info: SubjectPublicKeyInfoOwned,
    #[asn1(context_specific = "3", tag_mode = "EXPLICIT")]
    extensions: Vec<Extension>,
}

/// RFC 5280 §4.1.
#[derive(Sequence)]
struct SignedCertificate {
    tbs_certificate: TbsCertificate,
    signature_algorithm: AlgorithmIdentifierOwned,
    signature: BitString,
}

impl ServerIdentity {
    /// Makes a CA and a server certificate for localhost, both loopback addresses, and `address`.
    pub fn generate(address: IpAddr) -> Result<Self, AuthorityError> {
        let ca_key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)?;
        let server_key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)?;
        let ca = issue(CA_NAME, &ca_key, &ca_key, &ca_extensions(&ca_key)?)?;
        let server = issue(SERVER_NAME, &server_key, &ca_key, &server_extensions(&ca_key, address)?)?;
        let pkcs8 = server_key.to_pkcs8v1()?;
        Ok(Self {
            ca_pem: der::pem::encode_string("CERTIFICATE", LineEnding::LF, &ca).map_err(|_| AuthorityError)?,
            certificate: CertificateDer::from(server),
            key: PrivateKeyDer::from(PrivatePkcs8KeyDer::from(pkcs8.as_ref().to_vec())),
        })
    }
}

/// A certificate for `subject` and `key`, signed by the CA; DER.
fn issue(
    subject: &str,
    key: &EcdsaKeyPair,
    ca_key: &EcdsaKeyPair,
    extensions: &[Extension],
) -> Result<Vec<u8>, AuthorityError> {
    let algorithm = AlgorithmIdentifierOwned { oid: rfc5912::ECDSA_WITH_SHA_256, parameters: None };
    let now = SystemTime::now();
    let tbs_certificate = TbsCertificate {
        version: Version::V3,
        serial_number: SerialNumber::new(&serial()?)?,
        signature: algorithm.clone(),
        issuer: CA_NAME.parse()?,
        validity: Validity::new(Time::try_from(now - BACKDATED)?, Time::try_from(now + LIFETIME)?),
        subject: subject.parse()?,
        subject_public_key_info: SubjectPublicKeyInfoOwned {
            algorithm: AlgorithmIdentifierOwned {
                oid: rfc5912::ID_EC_PUBLIC_KEY,
                parameters: Some(der::Any::encode_from(&rfc5912::SECP_256_R_1)?),
            },
            subject_public_key: BitString::from_bytes(key.public_key().as_ref())?,
        },
        extensions: extensions.to_vec(),
    };
    let signature = ca_key.sign(&SystemRandom::new(), &tbs_certificate.to_der()?)?;
    let signature = BitString::from_bytes(signature.as_ref())?;
    Ok(SignedCertificate { tbs_certificate, signature_algorithm: algorithm, signature }.to_der()?)
}

fn ca_extensions(key: &EcdsaKeyPair) -> Result<[Extension; 3], AuthorityError> {
    Ok([
        extension(true, &BasicConstraints { ca: true, path_len_constraint: Some(0) })?,
        extension(true, &KeyUsage(KeyUsages::KeyCertSign.into()))?,
        extension(false, &SubjectKeyIdentifier(key_identifier(key)?))?,
    ])
}

fn server_extensions(ca_key: &EcdsaKeyPair, address: IpAddr) -> Result<[Extension; 5], AuthorityError> {
    let loopback = [IpAddr::from([127, 0, 0, 1]), IpAddr::from(std::net::Ipv6Addr::LOCALHOST)];
    let mut names = vec![GeneralName::DnsName(Ia5String::new("localhost")?)];
    names.extend(loopback.map(GeneralName::from));
    if !address.is_unspecified() && !loopback.contains(&address) {
        names.push(GeneralName::from(address));
    }
    let authority = AuthorityKeyIdentifier { key_identifier: Some(key_identifier(ca_key)?), ..Default::default() };
    Ok([
        extension(true, &BasicConstraints { ca: false, path_len_constraint: None })?,
        extension(true, &KeyUsage(KeyUsages::DigitalSignature.into()))?,
        extension(false, &ExtendedKeyUsage(vec![rfc5912::ID_KP_SERVER_AUTH]))?,
        extension(false, &SubjectAltName(names))?,
        extension(false, &authority)?,
    ])
}

fn extension<E: Encode + AssociatedOid>(critical: bool, value: &E) -> Result<Extension, AuthorityError> {
    Ok(Extension { extn_id: E::OID, critical, extn_value: OctetString::new(value.to_der()?)? })
}

/// Method 1 of RFC 7093 §2.
fn key_identifier(key: &EcdsaKeyPair) -> Result<OctetString, AuthorityError> {
    let hash = digest(&SHA256, key.public_key().as_ref());
    Ok(OctetString::new(hash.as_ref().get(..20).unwrap_or_default())?)
}

/// Sixteen random octets, positive.
fn serial() -> Result<[u8; 16], AuthorityError> {
    let mut octets = [0; 16];
    aws_lc_rs::rand::fill(&mut octets)?;
    octets[0] = octets[0] & 0x7f | 0x40;
    Ok(octets)
}
