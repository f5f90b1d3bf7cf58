//! The extensions of what is made here (RFC 5280 §4.2).

use const_oid::AssociatedOid;
use const_oid::db::rfc5280::ID_KP_CLIENT_AUTH;
use der::Encode;
use der::asn1::OctetString;
use der::flagset::FlagSet;
use sha1::{Digest, Sha1};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectKeyIdentifier,
};

use crate::key::PublicKey;
use crate::x509::alternative_name::AlternativeName;

/// One extension.
pub fn extension<T: AssociatedOid + Encode>(critical: bool, value: &T) -> der::Result<Extension> {
    Ok(Extension { extn_id: T::OID, critical, extn_value: OctetString::new(value.to_der()?)? })
}

/// What a CA is: basicConstraints, and keyUsage for certificates and revocation lists.
pub fn of_authority(path_length: Option<u8>) -> der::Result<Vec<Extension>> {
    let usage = KeyUsages::KeyCertSign | KeyUsages::CRLSign;
    Ok(vec![
        extension(true, &BasicConstraints { ca: true, path_len_constraint: path_length })?,
        extension(true, &KeyUsage(usage))?,
    ])
}

/// What a client is: an end entity that signs. Roles Anywhere wants keyUsage and no CA; clientAuth is what people expect there.
pub fn of_client(names: &[AlternativeName]) -> der::Result<Vec<Extension>> {
    let mut extensions = vec![
        extension(true, &BasicConstraints { ca: false, path_len_constraint: None })?,
        extension(true, &KeyUsage(FlagSet::from(KeyUsages::DigitalSignature)))?,
        extension(false, &ExtendedKeyUsage(vec![ID_KP_CLIENT_AUTH]))?,
    ];
    extensions.extend(AlternativeName::extension(names)?);
    Ok(extensions)
}

/// subjectKeyIdentifier.
pub fn subject_key(key: &PublicKey) -> der::Result<Extension> {
    extension(false, &SubjectKeyIdentifier(OctetString::new(key_identifier(key))?))
}

/// authorityKeyIdentifier.
pub fn authority_key(identifier: Vec<u8>) -> der::Result<Extension> {
    let key_identifier = Some(OctetString::new(identifier)?);
    extension(false, &AuthorityKeyIdentifier { key_identifier, ..AuthorityKeyIdentifier::default() })
}

/// SHA-1 over the subjectPublicKey (RFC 5280 §4.2.1.2, method 1): a name, not a protection.
pub fn key_identifier(key: &PublicKey) -> Vec<u8> {
    Sha1::digest(key.as_raw()).to_vec()
}
