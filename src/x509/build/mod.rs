//! Making what is signed: requests, certificates and revocation lists, in two phases. A template becomes [`Unsigned`], which says
//! what is to be signed and by whose key; with the signature it becomes DER. Does not know where keys live, and signs nothing.
//!
//! The types are x509-cert's; its builder is not used, because it decodes the issuer's name and encodes it again, and a name that
//! another program made may come out otherwise. RFC 5280 §4.1.2.4 wants it to stay as it was.

mod certificate;
mod crl;
mod extensions;
mod request;

use const_oid::db::rfc5912;
use der::asn1::{AnyRef, BitStringRef};
use der::{DateTime, Encode};
use jiff::Timestamp;
use spki::{AlgorithmIdentifier, AlgorithmIdentifierOwned};
use x509_cert::time::Time;

pub use certificate::{CertificateTemplate, Profile};
pub use crl::{CrlTemplate, Revocation, RevocationReason, UnknownReason};
pub use request::RequestTemplate;

use super::error::{CertificateError, CertificateErrorKind};
use crate::key::{Curve, HashAlgorithm, KeyAlgorithm, PublicKey, Signature, SigningInput};

/// A request, a certificate or a revocation list that lacks nothing but its signature.
#[derive(Debug)]
pub struct Unsigned {
    input: SigningInput,
    algorithm: AlgorithmIdentifierOwned,
    signer: PublicKey,
}

impl Unsigned {
    /// `encode` gives the octets that are signed, which name the algorithm too.
    fn new(
        signer: PublicKey,
        encode: impl FnOnce(AlgorithmIdentifierOwned) -> der::Result<Vec<u8>>,
    ) -> Result<Self, CertificateError> {
        let (hash, algorithm) = algorithm(signer.algorithm());
        let message = encode(algorithm.clone()).map_err(not_encodable)?;
        Ok(Self { input: SigningInput::new(message, hash), algorithm, signer })
    }

    /// What the key signs: RSA keys with SHA-256, EC keys with the hash of their curve's length.
    pub fn input(&self) -> &SigningInput {
        &self.input
    }

    /// The public half of the key that must sign.
    pub fn signer(&self) -> &PublicKey {
        &self.signer
    }

    /// DER of the whole. Whether the signature is right is not looked at.
    pub fn finish(&self, signature: &Signature) -> Result<Vec<u8>, CertificateError> {
        let build = || -> der::Result<Vec<u8>> {
            let signature = BitStringRef::from_bytes(signature.as_bytes())?.to_der()?;
            let fields = [self.input.message(), &self.algorithm.to_der()?, &signature].concat();
            AnyRef::new(der::Tag::Sequence, &fields)?.to_der()
        };
        build().map_err(not_encodable)
    }
}

/// RFC 4055 §5 gives RSA a NULL, RFC 5758 §3.2 gives ECDSA nothing.
fn algorithm(key: KeyAlgorithm) -> (HashAlgorithm, AlgorithmIdentifierOwned) {
    let ecdsa = |oid| AlgorithmIdentifier { oid, parameters: None };
    match key {
        KeyAlgorithm::Rsa { .. } => (
            HashAlgorithm::Sha256,
            AlgorithmIdentifier { oid: rfc5912::SHA_256_WITH_RSA_ENCRYPTION, parameters: Some(der::asn1::Any::null()) },
        ),
        KeyAlgorithm::Ec(Curve::P256) => (HashAlgorithm::Sha256, ecdsa(rfc5912::ECDSA_WITH_SHA_256)),
        KeyAlgorithm::Ec(Curve::P384) => (HashAlgorithm::Sha384, ecdsa(rfc5912::ECDSA_WITH_SHA_384)),
        KeyAlgorithm::Ec(Curve::P521) => (HashAlgorithm::Sha512, ecdsa(rfc5912::ECDSA_WITH_SHA_512)),
    }
}

/// In whole seconds: UTCTime until 2049, GeneralizedTime from then on (RFC 5280 §4.1.2.5).
fn time(moment: Timestamp) -> Result<Time, CertificateError> {
    let seconds = u64::try_from(moment.as_second()).ok();
    let date = seconds.and_then(|it| DateTime::from_unix_duration(std::time::Duration::from_secs(it)).ok());
    date.map(Time::from).ok_or_else(|| refused(format!("wanted a time between 1970 and 9999, found {moment}")))
}

/// A template that asks for what must not be.
fn refused(message: impl Into<String>) -> CertificateError {
    CertificateError::new(CertificateErrorKind::Issuance, message)
}

fn not_encodable(source: der::Error) -> CertificateError {
    refused("wanted values that fit into DER, found others").with_source(source)
}

#[cfg(test)]
mod tests;
