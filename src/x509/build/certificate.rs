//! Certificates of a small authority: root, intermediate, client.

use der::asn1::{Any, Int};
use der::{Decode, Encode};
use jiff::Timestamp;
use x509_cert::Version;
use x509_cert::time::Validity;

use super::extensions::{authority_key, key_identifier, of_authority, of_client, subject_key};
use super::{Unsigned, not_encodable, refused, time};
use crate::key::PublicKey;
use crate::x509::alternative_name::AlternativeName;
use crate::x509::certificate::{Certificate, Signed};
use crate::x509::error::CertificateError;
use crate::x509::name::Name;
use crate::x509::serial::SerialNumber;

/// What a certificate is for.
#[derive(Clone, Debug)]
pub enum Profile {
    /// A trust anchor: critical basicConstraints CA:TRUE, critical keyUsage keyCertSign and cRLSign.
    Root,
    /// A CA under another that issues no CAs: as a root, with pathLenConstraint 0.
    Intermediate,
    /// What Roles Anywhere takes of a workload: critical basicConstraints CA:FALSE, critical keyUsage digitalSignature,
    /// extendedKeyUsage clientAuth, and these names beside the subject.
    Client(Vec<AlternativeName>),
}

/// What a certificate will say.
#[derive(Clone, Debug)]
pub struct CertificateTemplate {
    /// Its number, which the issuer must not have given before.
    pub serial: SerialNumber,
    /// Whom it certifies; not empty.
    pub subject: Name,
    /// The certified key.
    pub public_key: PublicKey,
    /// The first moment of its validity, taken in whole seconds.
    pub not_before: Timestamp,
    /// The last moment of its validity. Where the issuer's own validity ends before, it ends then.
    pub not_after: Timestamp,
    /// What it is for.
    pub profile: Profile,
}

impl CertificateTemplate {
    /// A certificate that its own key signs.
    pub fn self_signed(&self) -> Result<Unsigned, CertificateError> {
        self.unsigned(&self.subject, self.public_key.clone(), None, self.not_after)
    }

    /// A certificate that this issuer's key signs. The issuer's name is taken octet for octet from its certificate.
    ///
    /// Fails where the issuer is no CA, may not issue such a certificate, or where no moment is left between the beginning
    /// of the validity and the issuer's end.
    pub fn issued_by(&self, issuer: &Certificate) -> Result<Unsigned, CertificateError> {
        self.require_authority(issuer)?;
        let signer = issuer.public_key().map_err(|error| {
            let key = format!("the key of the issuer {}", issuer.subject());
            refused(error.to_string()).context(key).with_source(error)
        })?;
        let identifier = issuer.key_identifier().unwrap_or_else(|| key_identifier(&signer));
        let not_after = self.not_after.min(issuer.not_after());
        self.unsigned(issuer.subject(), signer, Some(identifier), not_after)
    }

    fn require_authority(&self, issuer: &Certificate) -> Result<(), CertificateError> {
        let name = issuer.subject();
        let constraints = issuer.basic_constraints()?.filter(|constraints| constraints.ca);
        let Some(constraints) = constraints else {
            return Err(refused(format!("wanted the certificate of a CA as issuer, found an end entity's: {name}")));
        };
        if issuer.key_usage()?.is_some_and(|usage| !usage.key_cert_sign()) {
            return Err(refused(format!("wanted an issuer with keyUsage keyCertSign, found none in {name}")));
        }
        let is_authority = !matches!(self.profile, Profile::Client(_));
        if is_authority && constraints.path_len_constraint == Some(0) {
            return Err(refused(format!("wanted an issuer of CAs, found pathLenConstraint 0 in {name}")));
        }
        Ok(())
    }

    fn unsigned(
        &self,
        issuer: &Name,
        signer: PublicKey,
        authority: Option<Vec<u8>>,
        not_after: Timestamp,
    ) -> Result<Unsigned, CertificateError> {
        if self.subject.is_empty() {
            return Err(refused("wanted a subject that names something, found an empty one"));
        }
        if not_after <= self.not_before {
            return Err(refused(format!(
                "wanted an end of validity after {}, found {not_after}, which the issuer's own validity may set",
                self.not_before
            )));
        }
        let spki = self.public_key.to_spki_der().map_err(|error| refused(error.to_string()).with_source(error))?;
        let validity = Validity::new(time(self.not_before)?, time(not_after)?);
        let extensions = || {
            let mut extensions = match &self.profile {
                Profile::Root => of_authority(None)?,
                Profile::Intermediate => of_authority(Some(0))?,
                Profile::Client(names) => of_client(names)?,
            };
            extensions.push(subject_key(&self.public_key)?);
            extensions.extend(authority.map(authority_key).transpose()?);
            Ok(extensions)
        };
        let extensions = extensions().map_err(not_encodable)?;
        Unsigned::new(signer, |signature| {
            Signed {
                version: Version::V3,
                serial_number: Int::new(&self.serial.to_twos_complement())?,
                signature,
                issuer: Any::from_der(issuer.as_der())?,
                validity,
                subject: Any::from_der(self.subject.as_der())?,
                subject_public_key_info: Any::from_der(&spki)?,
                issuer_unique_id: None,
                subject_unique_id: None,
                extensions: Some(extensions),
            }
            .to_der()
        })
    }
}
