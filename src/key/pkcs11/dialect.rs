//! The templates of new objects, in the two dialects that tokens take. Pure.
//!
//! Most tokens want to be told everything, and give what they are not told a value of their own. Some refuse attributes that they
//! always set themselves (CKR_TEMPLATE_INCONSISTENT, CKR_ATTRIBUTE_TYPE_INVALID, CKR_ATTRIBUTE_VALUE_INVALID), such as CKA_PRIVATE of
//! a public object or the usages that a key is not to have. What is left out for them is read back from the finished object.

use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, CertificateType, KeyType, ObjectClass};

use super::super::algorithm::KeyAlgorithm;
use super::super::certificate_store::NewCertificate;

/// How much of an object a template says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Every attribute that matters, also those that are to be false.
    Explicit,
    /// What no token can know by itself: name, kind, purpose, protection.
    Terse,
}

/// CKA_LABEL and CKA_ID of a new object.
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub(super) label: Option<Vec<u8>>,
    pub(super) id: Option<Vec<u8>>,
}

impl Names {
    fn attributes(&self) -> impl Iterator<Item = Attribute> + use<> {
        self.label.clone().map(Attribute::Label).into_iter().chain(self.id.clone().map(Attribute::Id))
    }
}

/// A key pair that signs, does nothing else, and whose private half stays on the token: mechanism, public and private template.
pub(super) fn key_pair(
    dialect: Dialect,
    algorithm: KeyAlgorithm,
    names: &Names,
) -> (Mechanism<'static>, Vec<Attribute>, Vec<Attribute>) {
    let mut public = vec![Attribute::Token(true), Attribute::Verify(true)];
    // CKA_EXTRACTABLE comes with neither value on tokens that export nothing.
    let mut private =
        vec![Attribute::Token(true), Attribute::Private(true), Attribute::Sensitive(true), Attribute::Sign(true)];
    public.extend(names.attributes());
    private.extend(names.attributes());
    let (mechanism, key_type) = match algorithm {
        KeyAlgorithm::Rsa { bits } => {
            public.push(Attribute::ModulusBits((bits as u64).into()));
            public.push(Attribute::PublicExponent(vec![1, 0, 1]));
            (Mechanism::RsaPkcsKeyPairGen, KeyType::RSA)
        }
        KeyAlgorithm::Ec(curve) => {
            public.push(Attribute::EcParams(curve.oid_der().to_vec()));
            (Mechanism::EccKeyPairGen, KeyType::EC)
        }
    };
    if dialect == Dialect::Explicit {
        public.extend([
            Attribute::Class(ObjectClass::PUBLIC_KEY),
            Attribute::KeyType(key_type),
            Attribute::Private(false),
            Attribute::Encrypt(false),
            Attribute::Wrap(false),
        ]);
        private.extend([
            Attribute::Class(ObjectClass::PRIVATE_KEY),
            Attribute::KeyType(key_type),
            Attribute::Extractable(false),
            Attribute::Decrypt(false),
            Attribute::Unwrap(false),
            Attribute::Derive(false),
        ]);
    }
    (mechanism, public, private)
}

/// A certificate that everybody may read.
pub(super) fn certificate(dialect: Dialect, new: &NewCertificate, names: &Names) -> Vec<Attribute> {
    let mut template = vec![
        Attribute::Class(ObjectClass::CERTIFICATE),
        Attribute::CertificateType(CertificateType::X_509),
        Attribute::Token(true),
        // The only part of the contents that PKCS#11 demands beside the value (2.40 §4.6.3).
        Attribute::Subject(new.subject.clone()),
        Attribute::Value(new.der.clone()),
    ];
    template.extend(names.attributes());
    if dialect == Dialect::Explicit {
        template.extend([
            Attribute::Private(false),
            Attribute::Issuer(new.issuer.clone()),
            Attribute::SerialNumber(new.serial.clone()),
        ]);
    }
    template
}

#[cfg(test)]
mod tests {
    use super::super::super::algorithm::Curve;
    use super::*;

    fn names() -> Names {
        Names { label: Some(b"test".to_vec()), id: Some(vec![1]) }
    }

    #[test]
    fn a_private_key_is_sensitive_in_every_dialect_and_signs_only() {
        for dialect in [Dialect::Explicit, Dialect::Terse] {
            let (_, public, private) = key_pair(dialect, KeyAlgorithm::Ec(Curve::P256), &names());
            for wanted in [
                Attribute::Token(true),
                Attribute::Private(true),
                Attribute::Sensitive(true),
                Attribute::Sign(true),
                Attribute::Id(vec![1]),
                Attribute::Label(b"test".to_vec()),
            ] {
                assert!(private.contains(&wanted), "{dialect:?} {wanted:?}");
            }
            assert!(public.contains(&Attribute::Verify(true)) && !public.contains(&Attribute::Private(true)));
            assert_eq!(private.contains(&Attribute::Extractable(false)), dialect == Dialect::Explicit);
        }
    }
}
