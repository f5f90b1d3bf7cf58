//! `keyanchor ca issue`: a client certificate from a signing request, or straight for a key.

use std::path::{Path, PathBuf};

use super::authority_args::AuthorityKeyArgs;
use super::held::{Held, with_held};
use super::init::days;
use super::now;
use crate::cli::identity_args::IdentityArgs;
use crate::cli::log::LogArgs;
use crate::cli::out_args::Out;
use crate::cli::output::{note, print};
use crate::cli::subject_args::SubjectArgs;
use crate::cli::values::{SWITCH, parse, set, switch, without};
use crate::cli::words::authority_failure;
use crate::cli::{Failure, FailureKind};
use crate::files::{pem, shell_word};
use crate::key::pkcs11::Uri;
use crate::key::{CertificateReference, Devices, KeyReference};
use crate::provision::ca::{Authority, Order};
use crate::provision::{admit_certificate, import_certificate, public_half};
use crate::x509::{Certificate, CertificateRequest};
use clap::ArgAction::Set;

const LONG_ABOUT: &str = "\
Issue a client certificate from a signing request, or straight for a key

A request must carry a good signature of its own key. Subject and names are the request's, unless flags name others; everything
else is the authority's choice, whatever the request asks for. For a key that flags name, its public half is enough.

A subject that has a valid certificate is certified again for the same key, which is how a certificate is renewed. For another
key it is refused, unless --another-key says that it is meant so.

The certificate goes to stdout, or to --certificate: a new file, or the token where its key is; then its reference goes to stdout.
In a file or on stdout, the intermediate stands behind it where there is one.";

const EXAMPLES: &str = "\
Examples:
  For a key on a token, onto the same token:
    keyanchor ca issue --ca ca --subject CN=web-01 --pkcs11 'pkcs11:token=prod;object=web-01' \\
        --certificate 'pkcs11:token=prod;object=web-01'
  For a request that somebody sent, for a week:
    keyanchor ca issue --ca ca --csr web-02.csr --days 7 --certificate web-02.pem";

/// Issue a client certificate from a signing request, or straight for a key
#[derive(clap::Args, Debug)]
#[command(long_about = LONG_ABOUT, after_help = EXAMPLES)]
#[command(mut_args(|flag| without(&["intermediates"], flag)))]
#[command(mut_arg("certificate", |flag| flag.help("Where the certificate goes: a new file, or a pkcs11: URI beside its key [default: stdout]")))]
pub struct Args {
    /// Directory of the authority
    #[arg(long, value_name = "DIR")]
    ca: PathBuf,
    /// Signing request (PKCS#10, PEM or DER), in place of a key
    #[arg(long, value_name = "FILE")]
    csr: Option<PathBuf>,
    /// Days that the certificate is good for, at most as long as its issuer [default: days in ca.toml, which is 90 at first]
    #[arg(long, value_name = "DAYS")]
    days: Option<String>,
    /// Certify the subject although it has a valid certificate for another key
    #[arg(long, value_parser = switch, action = Set, value_name = SWITCH)]
    another_key: bool,
    /// Replace what is at --certificate
    #[arg(long, value_parser = switch, action = Set, value_name = SWITCH)]
    force: bool,
    #[command(flatten)]
    subject: SubjectArgs,
    #[command(flatten)]
    identity: IdentityArgs,
    #[command(flatten)]
    key: AuthorityKeyArgs,
    #[command(flatten)]
    log: LogArgs,
}

/// One device signature, by the authority's key.
pub fn run(args: &Args) -> u8 {
    args.log.start();
    with_held(|held| issue(args, held))
}

fn issue(args: &Args, held: &mut Held) -> Result<(), Failure> {
    let failed = authority_failure(&args.ca);
    let now = now();
    let authority = Authority::open(&args.ca).map_err(&failed)?;
    let destination = args.destination()?;
    let order = args.order(held)?;
    authority.admit(&order, now).map_err(&failed)?;
    args.check(&destination, &order, held)?;

    let issuer = authority.issuer();
    let settings = authority.settings().key(issuer).unwrap_or(&authority.settings().root);
    let devices =
        held.authority.insert(Devices::new(args.key.device_options(settings, args.identity.token_timeout.as_deref())?));
    let leaf = authority.signer(issuer, devices, now).and_then(|signer| signer.issue(&order, now)).map_err(&failed)?;

    let delivered = args.deliver(&destination, &leaf, &authority, held);
    let reference = delivered.map_err(|failure| not_delivered(&failure, &args.ca, &leaf))?;
    note(&summary(&leaf, &order));
    reference.map_or(Ok(()), |reference| print(format!("{reference}\n")))
}

/// Where the certificate goes.
enum Destination {
    /// With the intermediate behind it.
    Text(Out),
    /// Beside its key.
    Token(Uri),
}

impl Args {
    fn destination(&self) -> Result<Destination, Failure> {
        Ok(match parse::<CertificateReference>("--certificate", self.identity.certificate.as_deref())? {
            None => Destination::Text(Out::Stdout),
            Some(CertificateReference::File(path)) => {
                Destination::Text(Out::to_file("--certificate", path, self.force)?)
            }
            Some(CertificateReference::Pkcs11(uri)) => Destination::Token(uri),
        })
    }

    fn order(&self, held: &mut Held) -> Result<Order, Failure> {
        let names = self.subject.names()?;
        let days = days("--days", self.days.as_deref())?;
        let another_key = self.another_key;
        let Some(path) = &self.csr else {
            let (subject, key) = (self.subject.required_subject()?, self.named_key()?);
            let public_key = public_half(self.devices(held)?, &key)?;
            return Ok(Order { subject, names, public_key, days, another_key });
        };
        if self.names_key() {
            return Err(Failure::new(FailureKind::Usage, "wanted --csr or a flag that names a key, found both"));
        }
        let request = CertificateRequest::read(path)?;
        if request.asks_for_ca {
            log::warn!("{} asks for a CA's certificate (CA:TRUE), and gets a client's", path.display());
        }
        Ok(Order {
            subject: self.subject.subject()?.unwrap_or(request.subject),
            names: if names.is_empty() { request.names } else { names },
            public_key: request.public_key,
            days,
            another_key,
        })
    }

    fn names_key(&self) -> bool {
        let flags = [&self.identity.private_key, &self.identity.tpm, &self.identity.pkcs11];
        flags.into_iter().any(|flag| set(flag.as_deref()).is_some())
    }

    /// The key that flags or the configuration file name.
    fn named_key(&self) -> Result<KeyReference, Failure> {
        let key = self.identity.settings()?.key_reference()?.key;
        key.ok_or_else(|| Failure::new(FailureKind::Usage, "wanted --csr or a flag that names a key, found neither"))
    }

    /// The devices of the key that is certified.
    fn devices<'a>(&self, held: &'a mut Held) -> Result<&'a mut Devices, Failure> {
        match held.certified {
            Some(ref mut devices) => Ok(devices),
            ref mut none => Ok(none.insert(Devices::new(self.identity.settings()?.device_options(false)?))),
        }
    }

    /// The key as a token's destination wants it: `None` where the destination itself selects it.
    fn key_on_token(&self) -> Result<Option<Uri>, Failure> {
        match self.names_key() {
            true => Ok(match self.named_key()? {
                KeyReference::Pkcs11(uri) => Some(uri),
                _ => None,
            }),
            false => Ok(None),
        }
    }

    /// Refuses a token that would not take the certificate, before there is one.
    fn check(&self, destination: &Destination, order: &Order, held: &mut Held) -> Result<(), Failure> {
        let Destination::Token(uri) = destination else { return Ok(()) };
        let key = self.key_on_token()?;
        Ok(admit_certificate(self.devices(held)?, uri, key.as_ref(), &order.public_key, self.force)?)
    }

    /// Gives the reference of a certificate on a token.
    fn deliver(
        &self,
        destination: &Destination,
        leaf: &Certificate,
        authority: &Authority,
        held: &mut Held,
    ) -> Result<Option<String>, Failure> {
        match destination {
            Destination::Text(out) => {
                let certificates = [leaf].into_iter().chain(authority.chain());
                let text: String = certificates.map(|certificate| pem("CERTIFICATE", certificate.der())).collect();
                out.write(&text).map(|()| None)
            }
            Destination::Token(uri) => {
                let key = self.key_on_token()?;
                let stored = import_certificate(self.devices(held)?, uri, key.as_ref(), leaf, self.force)?;
                if authority.chain().next().is_some() {
                    let file = authority.directory().certificate(authority.issuer());
                    let file = shell_word(&file.display().to_string());
                    note(&format!("its issuer is not on the token: name it with --intermediates {file}"));
                }
                Ok(Some(stored.reference))
            }
        }
    }
}

/// What was certified, for the person who did.
fn summary(leaf: &Certificate, order: &Order) -> String {
    let names: Vec<_> = order.names.iter().map(ToString::to_string).collect();
    let beside = if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) };
    format!("issued {}{beside}, serial number {}, until {}", leaf.subject(), leaf.serial_hex(), leaf.not_after())
}

/// The index has the certificate, and nobody else does.
fn not_delivered(failure: &Failure, ca: &Path, leaf: &Certificate) -> Failure {
    let serial = leaf.serial_hex();
    let directory = shell_word(&ca.display().to_string());
    Failure::new(failure.kind(), format!("{failure}; the certificate {serial} was issued and is lost"))
        .with_hint(format!("revoke it: keyanchor ca revoke --ca {directory} --serial {serial} --reason superseded"))
}
