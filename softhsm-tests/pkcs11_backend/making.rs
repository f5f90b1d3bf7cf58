//! Keys that we make on a token, certificates that we store beside them, and what we then list.

use keyanchor::key::{
    Curve, HashAlgorithm, KeyAlgorithm, KeyAttributes, KeyErrorKind, KeyKind, NewCertificate, NewKey, Others,
    TokenKeyAttributes, WantedKey,
};
use keyanchor::x509::Certificate;

use super::{Setup, refused, signs, uri};
use crate::support::own_process::in_own_process;
use crate::support::pki::Ca;
use crate::support::softhsm::SoftHsm;

const P256: KeyAlgorithm = KeyAlgorithm::Ec(Curve::P256);

fn parts(der: &[u8]) -> NewCertificate {
    let certificate = Certificate::from_der(der).unwrap();
    NewCertificate {
        der: der.to_vec(),
        subject: certificate.subject_der().to_vec(),
        issuer: certificate.issuer_der().to_vec(),
        serial: certificate.serial_der(),
        public_key: certificate.public_key().unwrap(),
        label: None,
    }
}

#[test]
fn a_key_is_made_certified_listed_and_its_certificate_replaced_and_removed() {
    let scenario = || {
        let mut modules = Setup::new(&SoftHsm::module()).user_pin().modules();
        let made = modules.key_generation(&uri("pkcs11:object=server")).unwrap().generate(&NewKey::new(P256)).unwrap();
        let key = modules.open(&uri(&made.reference)).unwrap().open_key(&WantedKey::default()).unwrap();
        assert_eq!(key.public_key(), Some(&made.public_key));
        signs(&*key, HashAlgorithm::Sha256);

        let ca = Ca::root("Test Root");
        let spki = made.public_key.to_spki_der().unwrap();
        let (first, second) = (ca.leaf("first", &spki), ca.leaf("second", &spki));
        let store = modules.certificate_store(&uri(&made.reference)).unwrap();
        let stored = store.import(&parts(&first.der), Others::Refuse).unwrap();
        assert_eq!(store.import(&parts(&first.der), Others::Refuse).unwrap().reference, stored.reference);
        refused(store.import(&parts(&second.der), Others::Refuse), KeyErrorKind::Taken, &[&stored.reference]);
        assert_eq!(store.import(&parts(&second.der), Others::Remove).unwrap().der, second.der);
        let stranger = parts(&ca.certificate.der);
        refused(store.import(&stranger, Others::Remove), KeyErrorKind::Mismatch, &["certifies another"]);

        let contents = modules.inventory(&uri("pkcs11:")).unwrap().contents(false).unwrap();
        let [contents] = &contents[..] else { panic!("{contents:?}") };
        let [entry] = &contents.keys[..] else { panic!("{contents:?}") };
        assert_eq!((&entry.reference, &entry.kind), (&made.reference, &KeyKind::Supported(P256)));
        assert_eq!(entry.public_key.as_ref(), Some(&made.public_key));
        let wanted = TokenKeyAttributes {
            sensitive: Some(true),
            extractable: Some(false),
            never_extractable: Some(true),
            local: Some(true),
            always_authenticate: Some(false),
            sign: Some(true),
        };
        assert_eq!(entry.attributes, KeyAttributes::Token(wanted));
        let [certificate] = &contents.certificates[..] else { panic!("{contents:?}") };
        assert_eq!((&certificate.der, &certificate.id), (&second.der, &entry.id));

        let reference = uri(&certificate.reference);
        assert_eq!(modules.certificate_store(&reference).unwrap().remove().unwrap().der, second.der);
        refused(modules.certificate_store(&reference).unwrap().remove(), KeyErrorKind::NotFound, &["0 on token"]);
        modules.close();
    };
    let token = || {
        let token = SoftHsm::new().token("empty");
        (token.env(), token)
    };
    in_own_process(token, scenario);
}

#[test]
fn what_a_token_can_do_is_told_without_a_login() {
    let scenario = || {
        let mut modules = Setup::new(&SoftHsm::module()).modules();
        let listed = modules.abilities(&uri("pkcs11:")).unwrap().mechanisms().unwrap();
        let [(token, mechanisms)] = &listed[..] else { panic!("{listed:?}") };
        assert_eq!((token.label.as_str(), token.login_required, token.write_protected), ("empty", true, false));
        assert!(token.pin.initialized && !token.pin.locked);
        let ecdsa = mechanisms.iter().find(|mechanism| mechanism.name.as_deref() == Some("CKM_ECDSA")).unwrap();
        assert!(ecdsa.signs && ecdsa.largest_key >= 521, "{ecdsa:?}");
        modules.close();
    };
    let token = || {
        let token = SoftHsm::new().token("empty");
        (token.env(), token)
    };
    in_own_process(token, scenario);
}
