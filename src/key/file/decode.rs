//! Private keys out of the DER that PEM blocks hold: PKCS#8 (RFC 5958), SEC1 (RFC 5915), PKCS#1 (RFC 8017).

use aws_lc_rs::error::KeyRejected;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, KeyPair,
};
use const_oid::db::rfc5912;
use der::asn1::{AnyRef, OctetStringRef, UintRef};
use der::{Decode, Encode, SliceReader, Tag, Tagged};
use spki::AlgorithmIdentifierRef;

use super::super::algorithm::Curve;
use super::super::error::{KeyError, KeyErrorKind};
use super::super::public::{PublicKey, name_of};
use super::software::Pair;

/// The key in a block with this label, and its public half.
pub(super) fn key(label: &str, der: &[u8]) -> Result<(Pair, PublicKey), KeyError> {
    match label {
        "PRIVATE KEY" => pkcs8(der),
        "EC PRIVATE KEY" => sec1(der),
        "RSA PRIVATE KEY" => pkcs1(der),
        other => Err(KeyError::new(
            KeyErrorKind::Unsupported,
            format!("wanted an RSA or EC private key, found a block of {other}"),
        )),
    }
}

fn pkcs8(der: &[u8]) -> Result<(Pair, PublicKey), KeyError> {
    let (algorithm, inner) = private_key_info(der).map_err(|source| damaged("PKCS#8").with_source(source))?;
    match algorithm.oid {
        rfc5912::RSA_ENCRYPTION => pkcs1(inner),
        rfc5912::ID_EC_PUBLIC_KEY => {
            let parameters = algorithm.parameters.and_then(|parameters| parameters.to_der().ok()).unwrap_or_default();
            let curve = PublicKey::curve(&parameters)?;
            ec(curve, EcdsaKeyPair::from_pkcs8(signing_algorithm(curve), der))
        }
        other => Err(KeyError::new(
            KeyErrorKind::Unsupported,
            format!("wanted an RSA or EC private key, found {}", name_of(other)),
        )),
    }
}

/// Algorithm and `privateKey` of a PrivateKeyInfo; attributes and a public key may follow.
fn private_key_info(der: &[u8]) -> der::Result<(AlgorithmIdentifierRef<'_>, &[u8])> {
    let mut fields = fields(der)?;
    u8::decode(&mut fields)?;
    let algorithm = AlgorithmIdentifierRef::decode(&mut fields)?;
    Ok((algorithm, <&OctetStringRef>::decode(&mut fields)?.as_bytes()))
}

fn sec1(der: &[u8]) -> Result<(Pair, PublicKey), KeyError> {
    let parameters = sec1_parameters(der).map_err(|source| damaged("SEC1").with_source(source))?;
    let curve = PublicKey::curve(&parameters)?;
    ec(curve, EcdsaKeyPair::from_private_key_der(signing_algorithm(curve), der))
}

/// The DER of `parameters [0]` of an ECPrivateKey, which only PKCS#8 may leave out.
fn sec1_parameters(der: &[u8]) -> der::Result<Vec<u8>> {
    let mut fields = fields(der)?;
    u8::decode(&mut fields)?;
    <&OctetStringRef>::decode(&mut fields)?;
    let parameters = AnyRef::decode(&mut fields)?;
    if !parameters.tag().is_context_specific() || parameters.tag().number().value() != 0 {
        return Err(Tag::ObjectIdentifier.value_error().into());
    }
    Ok(parameters.value().to_vec())
}

fn pkcs1(der: &[u8]) -> Result<(Pair, PublicKey), KeyError> {
    let (modulus, exponent) = pkcs1_public(der).map_err(|source| damaged("PKCS#1").with_source(source))?;
    let public_key = PublicKey::from_rsa(modulus.as_bytes(), exponent.as_bytes())?;
    let pair = rsa::KeyPair::from_der(der).map_err(rejected)?;
    Ok((Pair::Rsa(Box::new(pair)), public_key))
}

fn pkcs1_public(der: &[u8]) -> der::Result<(UintRef<'_>, UintRef<'_>)> {
    let mut fields = fields(der)?;
    u8::decode(&mut fields)?;
    Ok((UintRef::decode(&mut fields)?, UintRef::decode(&mut fields)?))
}

fn ec(curve: Curve, pair: Result<EcdsaKeyPair, KeyRejected>) -> Result<(Pair, PublicKey), KeyError> {
    let pair = pair.map_err(rejected)?;
    let public_key = PublicKey::from_ec(curve, pair.public_key().as_ref())?;
    Ok((Pair::Ec(curve, Box::new(pair)), public_key))
}

/// Each curve with the hash of its own size; [`Pair`] fits other digests to it.
fn signing_algorithm(curve: Curve) -> &'static EcdsaSigningAlgorithm {
    match curve {
        Curve::P256 => &ECDSA_P256_SHA256_ASN1_SIGNING,
        Curve::P384 => &ECDSA_P384_SHA384_ASN1_SIGNING,
        Curve::P521 => &ECDSA_P521_SHA512_ASN1_SIGNING,
    }
}

/// A reader over the fields of a SEQUENCE, which need not all be read.
fn fields(der: &[u8]) -> der::Result<SliceReader<'_>> {
    let sequence = AnyRef::from_der(der)?;
    sequence.tag().assert_eq(Tag::Sequence)?;
    SliceReader::new(sequence.value())
}

fn damaged(form: &str) -> KeyError {
    KeyError::new(KeyErrorKind::Unsupported, format!("wanted a private key in {form}, found something else"))
}

fn rejected(reason: KeyRejected) -> KeyError {
    KeyError::new(KeyErrorKind::Unsupported, format!("the private key is not a valid one ({reason})"))
        .with_source(reason)
}
