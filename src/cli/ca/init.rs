//! `keyanchor ca init`: a new authority.

use std::path::{Path, PathBuf};

use super::authority_args::AuthorityKeyArgs;
use super::held::{Held, with_held};
use super::now;
use crate::cli::log::LogArgs;
use crate::cli::output::note;
use crate::cli::values::{parse, parse_number, set};
use crate::cli::words::authority_failure;
use crate::cli::{Failure, FailureKind};
use crate::files::shell_word;
use crate::key::{Devices, KeyReference, SecretKind, SecretSource};
use crate::provision::ca::{Foundation, Issuer, KeySettings, MOST_DAYS, NewIssuer};
use crate::x509::Name;

const LONG_ABOUT: &str = "\
Make a certificate authority in a new directory

Its key must be there already (keyanchor generate), on a token, in a TPM or in a file; without --private-key one is made in a file
of the directory, which is for trying only. With --intermediate-subject an intermediate issues the certificates, so that the key
of the root can be kept away.

Afterwards DIR/root.pem is the trust anchor, and DIR/ca.toml says where the keys are and where their secrets come from.";

const EXAMPLES: &str = "\
Examples:
  For trying, with a key in a file:
    keyanchor ca init --ca ca --subject 'CN=Example Root'
  With the keys in a TPM and on a token, and an intermediate that issues:
    keyanchor ca init --ca ca --subject 'CN=Example Root' --private-key handle:0x81000201 \\
        --intermediate-subject 'CN=Example Clients' \\
        --intermediate-key 'pkcs11:token=ca;object=clients'";

/// Make a certificate authority in a new directory
#[derive(clap::Args, Debug)]
#[command(long_about = LONG_ABOUT, after_help = EXAMPLES)]
pub struct Args {
    /// Directory of the authority; it must be missing or empty
    #[arg(long, value_name = "DIR")]
    ca: PathBuf,
    /// Subject of the root, as RFC 4514 writes it: CN=Example Root,O=Example
    #[arg(long, value_name = "NAME")]
    subject: String,
    /// Key of the root: a pkcs11: URI, handle:0x81…, or a file [default: a new key in a file of DIR, for trying only]
    #[arg(long, value_name = "FILE|URI|HANDLE")]
    private_key: Option<String>,
    /// Days that the root is good for [default: 3650]
    #[arg(long, value_name = "DAYS")]
    days: Option<String>,
    /// Make an intermediate with this subject, which then issues the certificates
    #[arg(long, value_name = "NAME")]
    intermediate_subject: Option<String>,
    /// Key of the intermediate [default: a new key in a file of DIR, for trying only]
    #[arg(long, value_name = "FILE|URI|HANDLE")]
    intermediate_key: Option<String>,
    /// Days that the intermediate is good for, at most as long as the root [default: 1825]
    #[arg(long, value_name = "DAYS")]
    intermediate_days: Option<String>,
    /// PKCS#11 module of the keys [default: the URI's, else KEYANCHOR_PKCS11_LIB, else p11-kit-proxy]
    #[arg(long, value_name = "PATH")]
    pkcs11_lib: Option<String>,
    /// TPM of the keys: a TCTI string [default: KEYANCHOR_TCTI, TPM_DEVICE, TPM2TOOLS_TCTI, TCTI, else /dev/tpmrm0]
    #[arg(long, value_name = "TCTI")]
    tcti: Option<String>,
    /// How long the device may work, prompts not counted [default: 60]
    #[arg(long, value_name = "SECONDS")]
    token_timeout: Option<String>,
    #[command(flatten)]
    key: AuthorityKeyArgs,
    #[command(flatten)]
    log: LogArgs,
}

/// One device signature for each certificate.
pub fn run(args: &Args) -> u8 {
    args.log.start();
    with_held(|held| init(args, held))
}

fn init(args: &Args, held: &mut Held) -> Result<(), Failure> {
    let foundation = Foundation {
        root: NewIssuer {
            subject: subject("--subject", &args.subject)?,
            key: args.key_settings("--private-key", args.private_key.as_deref())?,
            days: days("--days", args.days.as_deref())?.unwrap_or(3650),
        },
        intermediate: args.intermediate()?,
    };
    let devices =
        held.authority.insert(Devices::new(args.key.device_options(&args.devices(), args.token_timeout.as_deref())?));
    let authority = foundation.build(&args.ca, devices, now()).map_err(authority_failure(&args.ca))?;
    for (new, issuer) in
        [(Some(&foundation.root), Issuer::Root), (foundation.intermediate.as_ref(), Issuer::Intermediate)]
    {
        if new.is_some_and(|new| new.key.is_none()) {
            let file = authority.directory().key(issuer);
            log::warn!(
                "the key of the {issuer} is in {}: for trying only, whoever copies it is the {issuer}",
                file.display()
            );
        }
    }
    let anchor = authority.directory().certificate(Issuer::Root);
    note(&format!("the trust anchor is {}", shell_word(&anchor.display().to_string())));
    Ok(())
}

impl Args {
    fn intermediate(&self) -> Result<Option<NewIssuer>, Failure> {
        let Some(text) = set(self.intermediate_subject.as_deref()) else {
            let others =
                [("--intermediate-key", &self.intermediate_key), ("--intermediate-days", &self.intermediate_days)];
            return match others.into_iter().find(|(_, value)| set(value.as_deref()).is_some()) {
                Some((flag, _)) => {
                    let message = format!("wanted --intermediate-subject beside {flag}, found none");
                    Err(Failure::new(FailureKind::Usage, message))
                }
                None => Ok(None),
            };
        };
        Ok(Some(NewIssuer {
            subject: subject("--intermediate-subject", text)?,
            key: self.key_settings("--intermediate-key", self.intermediate_key.as_deref())?,
            days: days("--intermediate-days", self.intermediate_days.as_deref())?.unwrap_or(1825),
        }))
    }

    /// What is remembered of a key: the way to it, and sources that give its secrets another time too.
    fn key_settings(&self, flag: &str, value: Option<&str>) -> Result<Option<KeySettings>, Failure> {
        let Some(reference) = parse::<KeyReference>(flag, value)? else { return Ok(None) };
        let ways = self.devices();
        let mut secrets = self.key.sources()?;
        let (key, pkcs11_lib, tcti) = match reference {
            KeyReference::Pkcs11(uri) => {
                let from_uri = uri.pin_source().cloned().map(|source| (SecretKind::UserPin, source));
                if !secrets.iter().any(|(kind, _)| *kind == SecretKind::UserPin) {
                    secrets.extend(from_uri);
                }
                secrets.retain(|(kind, _)| matches!(kind, SecretKind::UserPin | SecretKind::ContextPin));
                (KeyReference::Pkcs11(uri), ways.pkcs11_lib, None)
            }
            other => {
                secrets.retain(|(kind, _)| matches!(kind, SecretKind::TpmKeyPassword | SecretKind::TpmParentPassword));
                let key = match other {
                    KeyReference::File(path) => KeyReference::File(absolute(&path)),
                    other => other,
                };
                (key, None, ways.tcti)
            }
        };
        let secrets = secrets.into_iter().map(|(kind, source)| (kind, anywhere(source))).collect();
        Ok(Some(KeySettings { key, pkcs11_lib, tcti, secrets }))
    }

    /// The ways to the devices, for any key.
    fn devices(&self) -> KeySettings {
        // A bare name is searched for, and a path means the same from everywhere.
        let module = set(self.pkcs11_lib.as_deref()).map(Path::new);
        let module =
            module.map(|module| if module.components().count() > 1 { absolute(module) } else { module.to_owned() });
        let nowhere = KeySettings::of(KeyReference::File(PathBuf::new()));
        KeySettings { pkcs11_lib: module, tcti: set(self.tcti.as_deref()).map(str::to_owned), ..nowhere }
    }
}

/// A distinguished name; an error points at the character.
fn subject(flag: &str, text: &str) -> Result<Name, Failure> {
    text.parse::<Name>().map_err(|error| Failure::from(error).in_flag(flag))
}

/// Days from 1 to a hundred years.
pub fn days(flag: &str, value: Option<&str>) -> Result<Option<u32>, Failure> {
    parse_number(flag, value, 1..=MOST_DAYS)
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn anywhere(source: SecretSource) -> SecretSource {
    match source {
        SecretSource::File(path) => SecretSource::File(absolute(&path)),
        other => other,
    }
}
