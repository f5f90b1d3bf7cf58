//! A key that this process holds and signs with itself, in constant time. The library wipes it when it is dropped.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::digest::Digest;
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{EcdsaKeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RsaEncoding};

use super::super::algorithm::{Curve, HashAlgorithm};
use super::super::device::{Device, Listing, SigningKey, WantedKey};
use super::super::error::{KeyError, KeyErrorKind};
use super::super::public::PublicKey;
use super::super::signing::{Signature, SigningInput, digest_algorithm};

/// An unencrypted private key from a PEM file. Copies share the key.
#[derive(Clone)]
pub struct SoftwareKey(Arc<Key>);

struct Key {
    pair: Pair,
    public_key: PublicKey,
    reference: String,
}

/// The two halves together, as the library keeps them.
pub(super) enum Pair {
    Rsa(Box<rsa::KeyPair>),
    Ec(Curve, Box<EcdsaKeyPair>),
}

impl SoftwareKey {
    pub(super) fn new(pair: Pair, public_key: PublicKey, path: &Path) -> Self {
        Self(Arc::new(Key { pair, public_key, reference: path.display().to_string() }))
    }
}

impl fmt::Debug for SoftwareKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SoftwareKey({} in {})", self.0.public_key.algorithm(), self.0.reference)
    }
}

impl Device for SoftwareKey {
    fn open_key(&self, wanted: &WantedKey) -> Result<Box<dyn SigningKey>, KeyError> {
        if let Some(certificate) = &wanted.certificate {
            certificate.public_key.require(&self.0.public_key, &self.0.reference)?;
        }
        Ok(Box::new(self.clone()))
    }

    fn listing(&self) -> Option<&dyn Listing> {
        None
    }
}

impl SigningKey for SoftwareKey {
    fn public_key(&self) -> Option<&PublicKey> {
        Some(&self.0.public_key)
    }

    fn reference(&self) -> &str {
        &self.0.reference
    }

    fn gather_secrets(&self) -> Result<(), KeyError> {
        Ok(())
    }

    fn sign(&self, input: &SigningInput) -> Result<Signature, KeyError> {
        let signature = match &self.0.pair {
            Pair::Rsa(pair) => sign_rsa(pair, input),
            Pair::Ec(curve, pair) => sign_ecdsa(pair, *curve, input),
        };
        signature.map_err(|Unspecified| {
            KeyError::new(
                KeyErrorKind::Device,
                format!("the {} key in {} could not sign", self.0.public_key.algorithm(), self.0.reference),
            )
        })
    }
}

fn sign_rsa(pair: &rsa::KeyPair, input: &SigningInput) -> Result<Signature, Unspecified> {
    let padding: &'static dyn RsaEncoding = match input.hash() {
        HashAlgorithm::Sha256 => &RSA_PKCS1_SHA256,
        HashAlgorithm::Sha384 => &RSA_PKCS1_SHA384,
        HashAlgorithm::Sha512 => &RSA_PKCS1_SHA512,
    };
    let mut octets = vec![0; pair.public_modulus_len()];
    pair.sign_digest(padding, input.digest_value(), &mut octets)?;
    Ok(Signature::from_rsa(octets))
}

fn sign_ecdsa(pair: &EcdsaKeyPair, curve: Curve, input: &SigningInput) -> Result<Signature, Unspecified> {
    let digest = fitted(input.digest(), curve)?;
    Ok(Signature::from_ecdsa_der(pair.sign_digest(&digest)?.as_ref().to_vec()))
}

/// The library signs with one hash per curve, and ECDSA takes any digest as an integer of at most the order's length (SEC 1
/// §4.1.3): a shorter digest is the same integer with zeros before it, and of a longer one only the leftmost bits count. No
/// digest here is longer than the order of P-521, so that the 64 octets of SHA-512 hold each of them.
fn fitted(digest: &[u8], curve: Curve) -> Result<Digest, Unspecified> {
    let hash = match curve {
        Curve::P256 => HashAlgorithm::Sha256,
        Curve::P384 => HashAlgorithm::Sha384,
        Curve::P521 => HashAlgorithm::Sha512,
    };
    let counted = digest.get(..hash.digest_len()).unwrap_or(digest);
    let mut octets = vec![0; hash.digest_len() - counted.len()];
    octets.extend_from_slice(counted);
    Digest::import_less_safe(&octets, digest_algorithm(hash))
}
