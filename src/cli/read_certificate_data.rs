//! `keyanchor read-certificate-data`: a certificate file as JSON, or the certificates on a token as a list, in the peer's
//! forms.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::identity_args::IdentityArgs;
use super::identity_settings::{IdentitySettings, with_devices};
use super::log::LogArgs;
use super::output::print;
use super::values::without;
use super::{Failure, FailureKind};
use crate::key::{CertificateReference, Devices, KeyAlgorithm, KeyError, KeyErrorKind, StoredCertificate};
use crate::x509::{Certificate, read_certificates};

/// Flags of an identity that have no effect where no key is used.
const OF_KEYS: [&str; 10] = [
    "private_key",
    "tpm",
    "intermediates",
    "reuse_pin",
    "context_pin_source",
    "tcti",
    "tpm_srk_name",
    "tpm_password_source",
    "tpm_parent_password_source",
    "no_tpm_key_password",
];

const EXAMPLES: &str = "\
Examples:
  List the certificates on a token, each with its URI:
    keyanchor read-certificate-data --certificate 'pkcs11:token=prod'
  A certificate file, as JSON:
    keyanchor read-certificate-data --certificate /etc/keyanchor/certificate.pem";

/// Print a certificate, or list those on a token
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES, mut_args(|flag| without(&OF_KEYS, flag)))]
pub struct Args {
    #[command(flatten)]
    identity: IdentityArgs,
    #[command(flatten)]
    log: LogArgs,
}

/// The peer's JSON for a certificate file, in its order.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CertificateData {
    key_type: &'static str,
    certificate_data: String,
    serial_number: String,
    supported_algorithms: [&'static str; 3],
}

/// No device signature; a token is asked for its certificates without login where it allows that.
pub fn run(args: &Args) -> u8 {
    args.log.start();
    with_devices(&args.identity, read)
}

fn read(settings: &IdentitySettings<'_>, devices: &mut Devices) -> Result<(), Failure> {
    let text = match settings.certificate()? {
        CertificateReference::File(path) => describe(&read_certificates(&path)?.leaf)?,
        CertificateReference::Pkcs11(uri) => {
            let device = devices.open_token(&uri)?;
            let listing = device.listing().ok_or_else(|| {
                Failure::new(FailureKind::Key, format!("wanted a token that lists certificates, found none for {uri}"))
            })?;
            let mut stored = matching(listing.certificates())?;
            // Tokens list in an order that changes.
            stored.sort_by(|one, other| (&one.reference, &one.der).cmp(&(&other.reference, &other.der)));
            list(&stored)
        }
    };
    print(text)
}

/// That nothing matches is an answer here, as in the peer; what the token holds instead is said beside it.
fn matching(found: Result<Vec<StoredCertificate>, KeyError>) -> Result<Vec<StoredCertificate>, KeyError> {
    match found {
        Err(error) if error.kind() == KeyErrorKind::NotFound => {
            log::warn!("{error}");
            Ok(Vec::new())
        }
        found => found,
    }
}

fn describe(certificate: &Certificate) -> Result<String, Failure> {
    let (key_type, supported_algorithms) = match certificate.public_key()?.algorithm() {
        KeyAlgorithm::Rsa { .. } => ("RSA", ["RSASHA256", "RSASHA384", "RSASHA512"]),
        KeyAlgorithm::Ec(_) => ("EC", ["ECSHA256", "ECSHA384", "ECSHA512"]),
    };
    let data = CertificateData {
        key_type,
        certificate_data: STANDARD.encode(certificate.der()),
        serial_number: certificate.serial_decimal(),
        supported_algorithms,
    };
    serde_json::to_string(&data).map_err(|error| Failure::new(FailureKind::Other, error.to_string()))
}

fn list(stored: &[StoredCertificate]) -> String {
    if stored.is_empty() {
        return "No matching identities\n".to_owned();
    }
    let entries = stored.iter().enumerate().map(|(index, stored)| entry(index + 1, stored)).collect::<String>();
    format!("Matching identities\n{entries}")
}

/// A certificate that cannot be read is listed too, so that it can be found and replaced.
fn entry(number: usize, stored: &StoredCertificate) -> String {
    match Certificate::from_der(&stored.der) {
        Ok(certificate) => format!(
            "{number}) Hex Fingerprint: {}\nSubject: {}\nIssuer: {}\nSerial Number: {}\nURI: {}\n\n",
            certificate.fingerprint_sha1(),
            certificate.subject(),
            certificate.issuer(),
            certificate.serial_hex(),
            stored.reference
        ),
        Err(error) => format!("{number}) Unreadable: {error}\nURI: {}\n\n", stored.reference),
    }
}
