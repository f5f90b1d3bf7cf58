//! Puts a leaf certificate onto the token where its key is.

use crate::identity::IdentityError;
use crate::key::pkcs11::Uri;
use crate::key::{Devices, KeyError, NewCertificate, Others, PublicKey, StoredCertificate};
use crate::x509::{Certificate, CertificateError, CertificateErrorKind};

/// Stores the certificate beside its key on the token that `destination` selects, under that URI's label, else the key's. The key is
/// the one that `key` selects there, or `destination` itself where that is `None`. What is stored is read back and compared; storing
/// what is there already changes nothing. With `replace`, the key's other certificates are removed after the new one is written.
///
/// Fails with [`KeyErrorKind::Mismatch`](crate::key::KeyErrorKind::Mismatch) where the key is another one, with
/// [`KeyErrorKind::Taken`](crate::key::KeyErrorKind::Taken) where a certificate stands in the way, and with
/// [`CertificateErrorKind::Requirement`] for the certificate of a CA. Nothing is changed then.
pub fn import(
    devices: &mut Devices,
    destination: &Uri,
    key: Option<&Uri>,
    certificate: &Certificate,
    replace: bool,
) -> Result<StoredCertificate, IdentityError> {
    import_beside(devices, destination, key, certificate, others(replace))
}

/// The same, and `others` says what becomes of the certificates that the key has already.
pub(super) fn import_beside(
    devices: &mut Devices,
    destination: &Uri,
    key: Option<&Uri>,
    certificate: &Certificate,
    others: Others,
) -> Result<StoredCertificate, IdentityError> {
    if certificate.is_ca() {
        return Err(CertificateError::new(
            CertificateErrorKind::Requirement,
            format!("wanted the certificate of a key, found one of a CA: {}", certificate.subject()),
        )
        .into());
    }
    let new = NewCertificate {
        der: certificate.der().to_vec(),
        subject: certificate.subject_der().to_vec(),
        issuer: certificate.issuer_der().to_vec(),
        serial: certificate.serial_der(),
        public_key: certificate.public_key()?,
        label: destination.label().map(<[u8]>::to_vec),
    };
    Ok(devices.certificate_store(&selected(destination, key))?.import(&new, others)?)
}

/// Whether [`import`] would store a certificate of this key: for who is about to have one issued. Logs in.
pub fn admit(
    devices: &mut Devices,
    destination: &Uri,
    key: Option<&Uri>,
    public_key: &PublicKey,
    replace: bool,
) -> Result<(), KeyError> {
    admit_beside(devices, destination, key, public_key, &others(replace))
}

/// The same for [`import_beside`].
pub(super) fn admit_beside(
    devices: &mut Devices,
    destination: &Uri,
    key: Option<&Uri>,
    public_key: &PublicKey,
    others: &Others,
) -> Result<(), KeyError> {
    let store = devices.certificate_store(&selected(destination, key))?;
    store.admit(public_key, destination.label(), others)
}

fn others(replace: bool) -> Others {
    if replace { Others::Remove } else { Others::Refuse }
}

fn selected(destination: &Uri, key: Option<&Uri>) -> Uri {
    match key {
        Some(key) => destination.clone().with_object_of(key),
        None => destination.clone(),
    }
}
