//! `keyanchor renew`: a new certificate for an identity, by the local authority or by a command, proved before it is put in place.

mod issue;

use std::path::PathBuf;

use clap::ArgAction::Set;
use jiff::{SignedDuration, Timestamp};

use super::ca::authority_args::AuthorityKeyArgs;
use super::ca::held::{Held, with_held};
use super::ca::now;
use super::identity_args::IdentityArgs;
use super::identity_settings::IdentitySettings;
use super::log::LogArgs;
use super::output::{note, print};
use super::session_args::{RoleArns, SessionArgs};
use super::values::{SWITCH, parse, parse_number, set, switch};
use super::words::authority_failure;
use super::{Failure, FailureKind};
use crate::config::IdentityConfig;
use crate::files::{shell_word, unused_name};
use crate::identity::{self, Identity, IdentityReference};
use crate::key::{CertificateReference, Devices, KeyReference, SigningKey, WantedKey};
use crate::provision::ca::{Authority, MOST_DAYS};
use crate::provision::renew::{Place, Put, Renewed, TokenPlace};
use crate::provision::request::shown;
use crate::rolesanywhere::{Client, Urgency};
use crate::x509::{Certificate, Chain};

const LONG_ABOUT: &str = "\
Renew the certificate of an identity

A new certificate for the same subject and names comes from the authority in --ca, or from a command that asks your own CA. It
must be the key's, meet what Roles Anywhere demands, and end at the same trust anchor. Where the flags or the identity name a
trust anchor, a profile and a role, one session is created with it. Only then it is put where the old one is, which stays: a file
as FILE.old, on a token beside the new one. The reference of the new certificate goes to stdout.

The command of --ca-command runs in sh. It reads the signing request (PEM) from stdin and writes the certificate to stdout, with
those between it and the root if there are any. KEYANCHOR_RENEW_SUBJECT, KEYANCHOR_RENEW_SERIAL, KEYANCHOR_RENEW_NOT_AFTER and
KEYANCHOR_RENEW_CERTIFICATE tell it of the old one; the secrets of this program are not in its environment.";

const EXAMPLES: &str = "\
Examples:
  By the local authority, with the same key:
    keyanchor renew --identity web --ca ca
  By your own CA, each night, when it ends within 30 days; the old certificate is not kept:
    keyanchor renew --identity web --ca-command 'step ca sign /dev/stdin /dev/stdout' \\
        --within 30 --remove-old
  With a new key, made by keyanchor generate:
    keyanchor renew --pkcs11 'pkcs11:token=prod;object=web-01' --ca ca \\
        --new-key 'pkcs11:token=prod;object=web-02'";

/// Renew the certificate of an identity
#[derive(clap::Args, Debug)]
#[command(long_about = LONG_ABOUT, after_help = EXAMPLES)]
pub struct Args {
    /// Directory of the authority that issues the new certificate [default: ca in the identity]
    #[arg(long, value_name = "DIR", help_heading = "Renewal")]
    ca: Option<PathBuf>,
    /// Command that gives the new certificate [default: ca-command in the identity]
    #[arg(long, value_name = "COMMAND", help_heading = "Renewal")]
    ca_command: Option<String>,
    /// How long that command may take [default: 120]
    #[arg(long, value_name = "SECONDS", help_heading = "Renewal")]
    ca_timeout: Option<String>,
    /// Days that the certificate of --ca is good for [default: days in its ca.toml]
    #[arg(long, value_name = "DAYS", help_heading = "Renewal")]
    days: Option<String>,
    /// Do nothing while the certificate is good for more days than these
    #[arg(long, value_name = "DAYS", help_heading = "Renewal")]
    within: Option<String>,
    /// Key for the new certificate, which must be there: a pkcs11: URI, handle:0x81… or a file
    #[arg(long, value_name = "FILE|URI|HANDLE", help_heading = "Renewal")]
    new_key: Option<String>,
    /// Where the new certificate goes: a new file, or a pkcs11: URI beside its key [default: where the old one is]
    #[arg(long, value_name = "FILE|URI", help_heading = "Renewal")]
    out: Option<String>,
    /// Do not keep the old certificate: no FILE.old, and no second one on the token
    #[arg(long, value_parser = switch, action = Set, value_name = SWITCH, help_heading = "Renewal")]
    remove_old: bool,
    /// Do not ask AWS for a session with the new certificate
    #[arg(long, value_parser = switch, action = Set, value_name = SWITCH, help_heading = "Renewal")]
    offline: bool,
    #[command(flatten)]
    identity: IdentityArgs,
    #[command(flatten)]
    session: SessionArgs,
    #[command(flatten)]
    authority: AuthorityKeyArgs,
    #[command(flatten)]
    log: LogArgs,
}

/// One device signature for the request of a command, one by the authority, and one for the session that proves the certificate.
pub fn run(args: &Args) -> u8 {
    args.log.start();
    with_held(|held| renew(args, held))
}

/// Who issues.
enum Source<'a> {
    Authority(Box<Authority>),
    Command(&'a str),
}

/// What is renewed, and with which key.
struct Renewal {
    old: Certificate,
    old_chain: Chain,
    key: Box<dyn SigningKey>,
}

fn renew(args: &Args, held: &mut Held) -> Result<(), Failure> {
    let now = now();
    let settings = args.identity.settings()?;
    let source = args.source(settings.file())?;
    let within = parse_number("--within", args.within.as_deref(), 0..=MOST_DAYS)?;
    let client = args.client(&settings)?;
    let wanted = settings.reference()?;
    let new_key: Option<KeyReference> = parse("--new-key", args.new_key.as_deref())?;
    let place = args.place(&wanted, new_key.as_ref())?;
    let devices = held.certified.insert(Devices::new(settings.device_options(false)?));
    let (old, old_chain) = identity::find_certificate(devices, &wanted)?;
    if within.is_some_and(|days| ends_later(&old, days, now)) {
        note(&format!("nothing to be done: {} is good until {}", old.subject(), old.not_after()));
        return Ok(());
    }
    if let Some(client) = &client {
        // What is issued and then cannot be proved stays valid, and nobody uses it.
        client.reach()?;
    }
    let renewal = Renewal::open(devices, &wanted, new_key.as_ref(), old, old_chain)?;
    place.check(devices, &shown(&*renewal.key)?, &renewal.old, args.remove_old)?;

    let given = match &source {
        Source::Authority(authority) => args.by_authority(authority, &renewal, held, now)?,
        Source::Command(line) => args.by_command(line, &renewal, &wanted, &settings)?,
    };
    let given_serial = given.first().map(Certificate::serial_hex);
    let unused = |failure: Failure| source.unused(failure, given_serial.as_deref());
    let old = renewal.old.clone();
    // A command takes its time: what it gave may not have been valid when it began.
    let renewed = renewal.judge(given, &place, client.as_ref(), Timestamp::now()).map_err(unused)?;
    let Some(devices) = &mut held.certified else { return Ok(()) };
    let put = place.put(devices, &renewed, &old, args.remove_old).map_err(|error| unused(error.into()))?;
    tell(&renewed, &put, new_key.as_ref());
    print(format!("{}\n", put.reference))
}

/// What was done, for the person.
fn tell(renewed: &Renewed, put: &Put, new_key: Option<&KeyReference>) {
    let leaf = &renewed.leaf;
    note(&format!("renewed {}: serial number {}, until {}", leaf.subject(), leaf.serial_hex(), leaf.not_after()));
    if let Some(kept) = &put.kept {
        note(&format!("the old certificate is kept: {kept}"));
    }
    if let Some(key) = new_key {
        let (key, certificate) = (shell_word(&key.to_string()), shell_word(&put.reference));
        note(&format!(
            "the new pair: --private-key {key} --certificate {certificate}; the old one goes on until it ends"
        ));
    }
}

impl Args {
    /// What a flag says; where none does, the file.
    fn source<'a>(&'a self, file: &'a IdentityConfig) -> Result<Source<'a>, Failure> {
        let flags = (self.ca.as_deref(), set(self.ca_command.as_deref()));
        let named = if flags == (None, None) { (file.ca.as_deref(), file.ca_command.as_deref()) } else { flags };
        match named {
            (Some(ca), None) => Ok(Source::Authority(Box::new(Authority::open(ca).map_err(authority_failure(ca))?))),
            (None, Some(line)) => Ok(Source::Command(line)),
            (Some(_), Some(_)) => Err(usage("wanted --ca or --ca-command, found both")),
            (None, None) => {
                Err(usage("wanted to know who issues the new certificate, found no --ca and no --ca-command")
                    .with_hint("name the directory of your authority: --ca DIR; or a command: --ca-command 'COMMAND'"))
            }
        }
    }

    /// How the new certificate is proved: where flags or file name any part of a session, they must name a whole one.
    fn client(&self, settings: &IdentitySettings<'_>) -> Result<Option<Client>, Failure> {
        let file = settings.file();
        let of_file = [&file.role_arn, &file.profile_arn, &file.trust_anchor_arn];
        let named = self.session.names_role()
            || set(self.session.trust_anchor_arn.as_deref()).is_some()
            || of_file.into_iter().any(Option::is_some);
        if self.offline || !named {
            return Ok(None);
        }
        let session = self.session.create_session(file, RoleArns::default())?;
        Ok(Some(Client::new(&session, &self.session.client_options(file)?)?))
    }

    /// A new key's certificate must not take the place of the old one: whoever uses the old pair would find neither.
    fn place(&self, wanted: &IdentityReference, new_key: Option<&KeyReference>) -> Result<Place, Failure> {
        let on_token = |key: Option<&KeyReference>| match key {
            Some(KeyReference::Pkcs11(uri)) => Some(uri.clone()),
            _ => None,
        };
        let token = |at, key| Place::Token(Box::new(TokenPlace { at, key }));
        let key = new_key.or(wanted.key.as_ref());
        let place = match (parse::<CertificateReference>("--out", self.out.as_deref())?, new_key, &wanted.certificate) {
            (Some(CertificateReference::File(path)), ..) => Place::NewFile(path),
            (Some(CertificateReference::Pkcs11(at)), ..) => token(at, on_token(key)),
            (None, None, Some(CertificateReference::File(path))) => Place::File(path.clone()),
            (None, None, Some(CertificateReference::Pkcs11(at))) => token(at.clone(), on_token(key)),
            (None, Some(KeyReference::Pkcs11(at)), Some(CertificateReference::Pkcs11(_))) => token(at.clone(), None),
            (None, Some(_), old) => {
                let name = match old {
                    Some(CertificateReference::File(path)) => unused_name(path, "pem"),
                    _ => "FILE".to_owned(),
                };
                return Err(usage("wanted --out beside --new-key, since the old pair goes on until it is replaced")
                    .with_hint(format!("name a file for the new certificate: --out {name}")));
            }
            (None, None, None) => {
                return Err(usage("wanted the certificate to be renewed, found none named")
                    .with_hint("name it: --certificate FILE, or --pkcs11 'pkcs11:token=NAME;object=LABEL'"));
            }
        };
        let stays = matches!(place, Place::NewFile(_)) || new_key.is_some();
        match self.remove_old && stays {
            true => Err(usage(
                "wanted --remove-old where the new certificate takes the place of the old one, found another place",
            )),
            false => Ok(place),
        }
    }
}

impl Source<'_> {
    /// A certificate was issued and nobody uses it. The local authority's is known, and valid until it is revoked.
    fn unused(&self, failure: Failure, serial: Option<&str>) -> Failure {
        let failure = failure.with_remark("nothing was changed, and what was issued is not used");
        let (Self::Authority(authority), Some(serial)) = (self, serial) else { return failure };
        let directory = shell_word(&authority.directory().path().display().to_string());
        failure
            .with_remark(&format!("it has the serial number {serial} and stays valid until it is revoked"))
            .and_hint(format!("revoke it: keyanchor ca revoke --ca {directory} --serial {serial} --reason superseded"))
    }
}

impl Renewal {
    fn open(
        devices: &mut Devices,
        wanted: &IdentityReference,
        new_key: Option<&KeyReference>,
        old: Certificate,
        old_chain: Chain,
    ) -> Result<Self, Failure> {
        let key = match new_key {
            Some(reference) => devices.open(reference)?.open_key(&WantedKey::default())?,
            None => identity::open_key(devices, wanted)?,
        };
        Ok(Self { old, old_chain, key })
    }

    /// What came must be a successor that can be used where it goes, and that AWS takes where it can be asked.
    fn judge(
        self,
        given: Vec<Certificate>,
        place: &Place,
        client: Option<&Client>,
        now: Timestamp,
    ) -> Result<Renewed, Failure> {
        let public_key = shown(&*self.key)?;
        let renewed = Renewed::accept(given, &self.old, &self.old_chain, &public_key, self.key.reference(), now)?;
        if let (Place::Token(_), Some(issuer)) = (place, renewed.new_issuers.first()) {
            let wanted = "on the token or in --intermediates, found it in neither";
            let message = format!("wanted the certificate of the issuer {} {wanted}", issuer.subject());
            return Err(Failure::new(FailureKind::Certificate, message).with_hint(
                "put it into a PEM file, and name that with --intermediates FILE wherever the identity is used",
            ));
        }
        let Some(client) = client else { return require_same_end(&renewed).map(|()| renewed) };
        // One session; its credentials are dropped.
        let identity = Identity { key: self.key, leaf: renewed.leaf.clone(), chain: renewed.chain.clone() };
        client.create_session(&identity, Urgency::Needed)?;
        log::info!("AWS takes the new certificate");
        Ok(renewed)
    }
}

fn ends_later(certificate: &Certificate, days: u32, now: Timestamp) -> bool {
    let limit = now.checked_add(SignedDuration::from_hours(24 * i64::from(days))).unwrap_or(Timestamp::MAX);
    certificate.not_after() > limit
}

/// Where AWS was not asked, another end of the path is a reason to stop: it would be another trust anchor.
fn require_same_end(renewed: &Renewed) -> Result<(), Failure> {
    let Some((end, old_end)) = &renewed.other_end else { return Ok(()) };
    let message = format!("wanted a path to {old_end}, as the old certificate has, found one that ends at {end}");
    Err(Failure::new(FailureKind::Certificate, message).with_hint(
        "name what is between with --intermediates FILE; or let AWS decide, with --trust-anchor-arn, --profile-arn and --role-arn",
    ))
}

fn usage(message: impl Into<String>) -> Failure {
    Failure::new(FailureKind::Usage, message)
}
