//! Signing requests (PKCS#10, RFC 2986) that ask for a client certificate as Roles Anywhere takes it.

use der::asn1::{Any, SetOfVec};
use der::{Decode, Encode, Sequence};
use x509_cert::attr::{Attribute, Attributes};
use x509_cert::request::{ExtensionReq, Version};

use super::extensions::of_client;
use super::{Unsigned, not_encodable, refused};
use crate::key::PublicKey;
use crate::x509::alternative_name::AlternativeName;
use crate::x509::error::CertificateError;
use crate::x509::name::Name;

/// What a request will ask for.
#[derive(Clone, Debug)]
pub struct RequestTemplate {
    /// Whom the certificate is to name; not empty.
    pub subject: Name,
    /// Names beside it.
    pub names: Vec<AlternativeName>,
    /// The key to be certified, which signs the request.
    pub public_key: PublicKey,
}

/// CertificationRequestInfo (RFC 2986 §4.1).
#[derive(Sequence)]
struct Info {
    version: Version,
    subject: Any,
    public_key: Any,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT")]
    attributes: Attributes,
}

impl RequestTemplate {
    /// The request, with the extensions in an extensionRequest (RFC 2985 §5.4.2).
    pub fn unsigned(&self) -> Result<Unsigned, CertificateError> {
        if self.subject.is_empty() {
            return Err(refused("wanted a subject that names something, found an empty one"));
        }
        let spki = self.public_key.to_spki_der().map_err(|error| refused(error.to_string()).with_source(error))?;
        let info = || {
            let extensions = Attribute::try_from(ExtensionReq(of_client(&self.names)?))?;
            Info {
                version: Version::V1,
                subject: Any::from_der(self.subject.as_der())?,
                public_key: Any::from_der(&spki)?,
                attributes: SetOfVec::try_from(vec![extensions])?,
            }
            .to_der()
        };
        let info = info().map_err(not_encodable)?;
        Unsigned::new(self.public_key.clone(), |_| Ok(info))
    }
}
