//! `keyanchor ca revoke`: a certificate is not to be trusted any more.

use std::path::PathBuf;

use super::now;
use crate::cli::failure::conclude;
use crate::cli::log::LogArgs;
use crate::cli::output::note;
use crate::cli::values::{parse, set};
use crate::cli::words::authority_failure;
use crate::cli::{Failure, FailureKind};
use crate::files::shell_word;
use crate::key::CertificateReference;
use crate::provision::ca::{Authority, Which};
use crate::x509::build::RevocationReason;
use crate::x509::{Certificate, Name, read_certificates};

const EXAMPLES: &str = "\
Examples:
  A key that somebody else may have:
    keyanchor ca revoke --ca ca --subject CN=web-01 --reason keyCompromise
  One of several certificates of a subject:
    keyanchor ca revoke --ca ca --serial 5D3FA9 --reason superseded";

/// Revoke a certificate; it counts for AWS with the next CRL
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Directory of the authority
    #[arg(long, value_name = "DIR")]
    ca: PathBuf,
    /// By its serial number: hexadecimal, or decimal as AWS shows it
    #[arg(long, value_name = "NUMBER")]
    serial: Option<String>,
    /// By the certificate itself (PEM)
    #[arg(long, value_name = "FILE")]
    certificate: Option<String>,
    /// By its subject, where it has one valid certificate only
    #[arg(long, value_name = "NAME")]
    subject: Option<String>,
    /// Why, by RFC 5280's names: keyCompromise, superseded, cessationOfOperation … [default: unspecified]
    #[arg(long, value_name = "REASON")]
    reason: Option<String>,
    #[command(flatten)]
    log: LogArgs,
}

/// No device is asked.
pub fn run(args: &Args) -> u8 {
    args.log.start();
    conclude(revoke(args))
}

fn revoke(args: &Args) -> Result<(), Failure> {
    let which = args.which()?;
    let reason = parse("--reason", args.reason.as_deref())?.unwrap_or(RevocationReason::Unspecified);
    let failed = authority_failure(&args.ca);
    let authority = Authority::open(&args.ca).map_err(&failed)?;
    let revoked = authority.revoke(&which, reason, now()).map_err(&failed)?;
    note(&format!(
        "revoked {}, serial number {}; it counts with the next CRL: keyanchor ca crl --ca {}",
        revoked.subject,
        revoked.serial,
        shell_word(&args.ca.display().to_string())
    ));
    Ok(())
}

impl Args {
    fn which(&self) -> Result<Which, Failure> {
        let certificate = parse::<CertificateReference>("--certificate", self.certificate.as_deref())?;
        match (set(self.serial.as_deref()), certificate, set(self.subject.as_deref())) {
            (Some(serial), None, None) => Ok(Which::Serial(serial.to_owned())),
            (None, Some(reference), None) => {
                of_file(&reference).map(|certificate| Which::Certificate(Box::new(certificate)))
            }
            (None, None, Some(text)) => {
                let name = text.parse::<Name>().map_err(|error| Failure::from(error).in_flag("--subject"))?;
                Ok(Which::Subject(name))
            }
            _ => {
                let directory = shell_word(&self.ca.display().to_string());
                Err(Failure::new(FailureKind::Usage, "wanted one of --serial, --certificate and --subject")
                    .with_hint(format!("see what was issued: keyanchor ca list --ca {directory}")))
            }
        }
    }
}

/// The certificate of a file: no device is asked here.
fn of_file(reference: &CertificateReference) -> Result<Certificate, Failure> {
    match reference {
        CertificateReference::File(path) => Ok(read_certificates(path)?.leaf),
        CertificateReference::Pkcs11(uri) => {
            let message = format!("--certificate: wanted a file, found {uri}");
            Err(Failure::new(FailureKind::Usage, message).with_hint(format!(
                "revoke it by its serial number, which this shows: keyanchor certificate show --certificate {}",
                shell_word(&uri.to_string())
            )))
        }
    }
}
