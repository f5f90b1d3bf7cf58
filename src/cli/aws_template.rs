//! `keyanchor aws-template`: the trust anchor, the role and the profile that a certificate needs, for CloudFormation or the AWS CLI.

use std::path::{Path, PathBuf};

use clap::ArgAction::{Append, Set};
use jiff::Timestamp;

use super::identity_args::IdentityArgs;
use super::identity_draft::Draft;
use super::identity_settings::{IdentitySettings, with_devices};
use super::log::LogArgs;
use super::out_args::OutArgs;
use super::session_args::SessionArgs;
use super::values::{SWITCH, parse_number, set, switch};
use super::words::authority_failure;
use super::{Failure, FailureKind};
use crate::files::{self, pem, shell_word};
use crate::identity::find_certificate;
use crate::key::Devices;
use crate::provision::aws_setup::{AwsSetup, RevocationList};
use crate::provision::ca::{Authority, Issuer};
use crate::x509::assessment::Assessment;
use crate::x509::requirements::of_authority;
use crate::x509::session_tags::{SessionTag, session_tags};
use crate::x509::{Certificate, read_intermediates};

/// The session tag that a role wants where nothing else is said.
const COMMON_NAME: &str = "x509Subject/CN";

/// How many revocation lists AWS takes for a trust anchor (quotas of Roles Anywhere).
const MOST_LISTS: usize = 2;

/// The name of trust anchor, profile and role where nothing else is said.
const NAME: &str = "keyanchor";

const EXAMPLES: &str = "\
Examples:
  A stack for one certificate of a CA of keyanchor ca:
    keyanchor aws-template --name web --ca ca --certificate web.pem --out web.yaml
    aws cloudformation deploy --stack-name web --template-file web.yaml \\
        --capabilities CAPABILITY_NAMED_IAM
  Commands of the AWS CLI instead, for every certificate of one department:
    keyanchor aws-template --cli --trust-anchor root.pem --require-tag x509Subject/OU=Machines";

/// Print what AWS must be told: trust anchor, role and profile, for CloudFormation or the AWS CLI
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// PEM file of the CA's certificates
    #[arg(long, value_name = "FILE", help_heading = "Trust anchor")]
    trust_anchor: Option<String>,
    /// Directory of keyanchor ca, whose root.pem is the trust anchor
    #[arg(long, value_name = "DIR", help_heading = "Trust anchor")]
    ca: Option<String>,
    /// PEM file of what the CA or an intermediate has revoked; repeatable
    #[arg(long, value_name = "FILE", action = Append, help_heading = "Trust anchor")]
    crl: Vec<String>,
    /// Name of trust anchor and profile [default: keyanchor]
    #[arg(long, value_name = "NAME", help_heading = "Names")]
    name: Option<String>,
    /// Name of the role [default: that of --name]
    #[arg(long, value_name = "NAME", help_heading = "Names")]
    role_name: Option<String>,
    /// Common name that a certificate must have; repeatable [default: that of the certificate]
    #[arg(long, value_name = "NAME", action = Append, help_heading = "Who may assume the role")]
    subject_cn: Vec<String>,
    /// Session tag that a certificate must give, such as x509Issuer/CN=Web CA; repeatable
    #[arg(long, value_name = "KEY=VALUE", action = Append, help_heading = "Who may assume the role")]
    require_tag: Vec<String>,
    /// Let every certificate under the trust anchor assume the role
    #[arg(long, value_parser = switch, action = Set, value_name = SWITCH, help_heading = "Who may assume the role")]
    any_subject: bool,
    /// Policy of the role; repeatable
    #[arg(long, value_name = "ARN", action = Append, help_heading = "Role and profile")]
    managed_policy_arn: Vec<String>,
    /// Life of the credentials, 900 to 43200 seconds [default: 3600]
    #[arg(long, value_name = "SECONDS", help_heading = "Role and profile")]
    session_duration: Option<String>,
    /// Let callers name their session, as --role-session-name does
    #[arg(long, value_parser = switch, action = Set, value_name = SWITCH, help_heading = "Role and profile")]
    accept_role_session_name: bool,
    /// Print commands of the AWS CLI instead of a template
    #[arg(long, value_parser = switch, action = Set, value_name = SWITCH, help_heading = "Output")]
    cli: bool,
    #[command(flatten)]
    out: OutArgs,
    #[command(flatten)]
    identity: IdentityArgs,
    #[command(flatten)]
    log: LogArgs,
}

/// No device signature; a token is asked for its certificate.
pub fn run(args: &Args) -> u8 {
    args.log.start();
    with_devices(&args.identity, |settings, devices| write(args, settings, devices))
}

fn write(args: &Args, settings: &IdentitySettings<'_>, devices: &mut Devices) -> Result<(), Failure> {
    let out = args.out.target()?;
    let name = resource_name("--name", args.name.as_deref())?.unwrap_or(NAME);
    let role_name = resource_name("--role-name", args.role_name.as_deref())?.unwrap_or(name);
    let anchors = args.anchors()?;
    let tags = args.tags(&anchors, settings, devices)?;
    let session_duration = parse_number("--session-duration", args.session_duration.as_deref(), 900..=43_200)?;
    let setup = AwsSetup {
        name: name.to_owned(),
        role_name: role_name.to_owned(),
        trust_anchor: anchors.iter().map(|anchor| pem("CERTIFICATE", anchor.der())).collect(),
        revocations: args.revocations()?,
        tags,
        managed_policies: args.managed_policies()?,
        session_duration,
        accept_role_session_name: args.accept_role_session_name,
        configure: if args.cli { args.configure(name, session_duration)? } else { None },
    };
    out.write(&if args.cli { setup.commands() } else { setup.template() })
}

impl Args {
    /// The certificates of the trust anchor, each of which AWS takes for one.
    fn anchors(&self) -> Result<Vec<Certificate>, Failure> {
        let path = match (set(self.trust_anchor.as_deref()), set(self.ca.as_deref())) {
            (Some(file), None) => PathBuf::from(file),
            (None, Some(directory)) => {
                let directory = Path::new(directory);
                let authority = Authority::open(directory).map_err(authority_failure(directory))?;
                authority.directory().certificate(Issuer::Root)
            }
            (None, None) => {
                return Err(usage("wanted --trust-anchor FILE or --ca DIR, found neither")
                    .with_hint("a CA of your own: keyanchor ca init --ca DIR --subject 'CN=My CA'"));
            }
            _ => return Err(usage("wanted --trust-anchor or --ca, found both")),
        };
        let anchors = read_intermediates(&path)?;
        let now = Timestamp::now();
        for anchor in &anchors {
            let flaws: Vec<_> = of_authority(anchor, 0, now)
                .into_iter()
                .filter_map(|check| Some(check.violation?.to_string()))
                .collect();
            if !flaws.is_empty() {
                let message = format!("{} is no trust anchor for AWS: {}", anchor.subject(), flaws.join("; "));
                return Err(Failure::new(FailureKind::Certificate, message).in_flag(&path.display().to_string()));
            }
        }
        Ok(anchors)
    }

    /// What the role demands of a certificate: what was said, else the common name of the certificate that was named.
    fn tags(
        &self,
        anchors: &[Certificate],
        settings: &IdentitySettings<'_>,
        devices: &mut Devices,
    ) -> Result<Vec<(String, Vec<String>)>, Failure> {
        let mut wanted = Vec::new();
        for name in self.subject_cn.iter().filter(|name| !name.is_empty()) {
            demand(&mut wanted, COMMON_NAME, name).map_err(|failure| failure.in_flag("--subject-cn"))?;
        }
        for tag in self.require_tag.iter().filter(|tag| !tag.is_empty()) {
            let known = ["x509Subject/", "x509Issuer/", "x509SAN/"];
            let (key, value) = tag.split_once('=').filter(|(key, _)| known.iter().any(|field| key.starts_with(field))).ok_or_else(
                || usage("--require-tag: wanted x509Subject/…, x509Issuer/… or x509SAN/…, = and a value, found something else"),
            )?;
            demand(&mut wanted, key, value).map_err(|failure| failure.in_flag("--require-tag"))?;
        }
        let found = self.certificate_tags(anchors, settings, devices)?;
        if self.any_subject {
            return match wanted.is_empty() {
                true => Ok(wanted),
                false => Err(usage("wanted --any-subject or names that a certificate must have, found both")),
            };
        }
        let Some(found) = found else {
            return match wanted.is_empty() {
                false => Ok(wanted),
                true => Err(usage("wanted to know which certificates may assume the role, found no flag that says so")
                    .with_hint(
                        "name one: --certificate FILE; or its name: --subject-cn NAME; or allow all: --any-subject",
                    )),
            };
        };
        if wanted.is_empty() {
            let name = found.iter().find(|tag| tag.key == COMMON_NAME).ok_or_else(|| {
                usage("wanted a certificate with a common name, found one without")
                    .with_hint("say what a certificate must have: --require-tag x509Subject/OU=NAME")
            })?;
            demand(&mut wanted, COMMON_NAME, &name.value)?;
        }
        for (key, values) in &wanted {
            let has = found.iter().find(|tag| tag.key == *key).map(|tag| tag.value.as_str());
            if !has.is_some_and(|value| values.iter().any(|wanted| wanted == value)) {
                let has = has.map_or("no such tag".to_owned(), |value| format!("{value:?}"));
                let wanted = values.iter().map(|value| format!("{value:?}")).collect::<Vec<_>>().join(" or ");
                let message = format!("wanted a certificate that gives {key} {wanted}, found one that gives {has}");
                return Err(Failure::new(FailureKind::Certificate, message));
            }
        }
        Ok(wanted)
    }

    /// The session tags of the certificate that was named, which must be one that these trust anchors make AWS take.
    fn certificate_tags(
        &self,
        anchors: &[Certificate],
        settings: &IdentitySettings<'_>,
        devices: &mut Devices,
    ) -> Result<Option<Vec<SessionTag>>, Failure> {
        if !settings.names_certificate()? {
            return Ok(None);
        }
        let (leaf, chain) = find_certificate(devices, &settings.reference()?)?;
        if !Assessment::new(&leaf, &chain, Some(anchors), Timestamp::now()).is_taken() {
            let message =
                format!("Roles Anywhere will refuse the certificate {} under this trust anchor", leaf.subject());
            let anchor = match set(self.ca.as_deref()) {
                Some(directory) => format!("{directory}/root.pem"),
                None => self.trust_anchor.clone().unwrap_or_default(),
            };
            return Err(Failure::new(FailureKind::Certificate, message).with_hint(format!(
                "see why, with the same flags for it: keyanchor certificate check --trust-anchor {}",
                shell_word(&anchor)
            )));
        }
        Ok(Some(session_tags(&leaf)?))
    }

    fn revocations(&self) -> Result<Vec<RevocationList>, Failure> {
        let paths: Vec<_> = self.crl.iter().filter(|path| !path.is_empty()).map(Path::new).collect();
        match paths.len() > MOST_LISTS {
            true => Err(usage(format!("--crl: wanted at most {MOST_LISTS}, found {}", paths.len()))),
            false => paths
                .into_iter()
                .map(|path| revocation_list(path).map_err(|failure| failure.in_flag("--crl")))
                .collect(),
        }
    }

    fn managed_policies(&self) -> Result<Vec<String>, Failure> {
        let policies: Vec<_> = self.managed_policy_arn.iter().filter(|arn| !arn.is_empty()).cloned().collect();
        let is_one = |arn: &String| {
            let is_plain = arn.chars().all(|c| c.is_ascii_graphic());
            is_plain && arn.starts_with("arn:") && arn.contains(":iam::") && arn.contains(":policy/")
        };
        match policies.iter().find(|arn| !is_one(arn)) {
            Some(arn) => Err(usage(format!(
                "--managed-policy-arn: wanted arn:PARTITION:iam::ACCOUNT:policy/NAME, found {arn:?}"
            ))
            .with_hint("see which there are: aws iam list-policies --query 'Policies[].Arn'")),
            None => Ok(policies),
        }
    }

    /// `keyanchor configure` with the flags that name the key, or for the identity that does; `None` where nothing does.
    fn configure(&self, name: &str, duration: Option<u32>) -> Result<Option<String>, Failure> {
        // A profile refuses to give more than its own.
        let session =
            SessionArgs { session_duration: duration.map(|seconds| seconds.to_string()), ..Default::default() };
        let draft = Draft::of(&self.identity, &session)?;
        let chosen = if draft.names_nothing() { self.identity.chosen() } else { None };
        let mut words = vec!["keyanchor configure --identity".to_owned()];
        match chosen {
            Some(identity) => {
                words.push(shell_word(&identity));
                let location = self.identity.location().filter(|location| location.named);
                words.extend(location.map(|location| format!("--config {}", shell_word(&absolute(&location.path)))));
            }
            None if draft.names_key() => words.push(name.to_owned()),
            None => return Ok(None),
        }
        words.extend(draft.into_flags()?);
        Ok(Some(words.join(" ")))
    }
}

/// The one list in the file.
fn revocation_list(path: &Path) -> Result<RevocationList, Failure> {
    let other = |found: &str| {
        let name = path.display().to_string();
        let message = format!("wanted a revocation list in PEM, found {found} in {name}");
        Failure::new(FailureKind::Certificate, message)
            .with_hint(format!("openssl crl -inform DER -in {} -out crl.pem", shell_word(&name)))
    };
    let content = files::read(path).map_err(|error| Failure::new(FailureKind::Certificate, error.to_string()))?;
    let blocks = files::blocks(&content.octets).map_err(|error| other(&error.to_string()))?;
    match blocks.as_slice() {
        [list] if list.label == "X509 CRL" => {
            let der = list.decode().map_err(|error| other(&error.to_string()))?;
            Ok(RevocationList { pem: pem("X509 CRL", &der), path: absolute(path) })
        }
        [] => Err(other("none")),
        _ => Err(other("something else")),
    }
}

/// The path as it is named from every directory.
fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or(path.to_owned()).display().to_string()
}

/// One more value for a session tag. AWS drops tags with characters that STS does not take, and a condition on them is never true.
fn demand(wanted: &mut Vec<(String, Vec<String>)>, key: &str, value: &str) -> Result<(), Failure> {
    let tag = SessionTag::new(key.to_owned(), value.to_owned(), false);
    if let Some(doubt) = tag.doubt.filter(|doubt| doubt.drops()) {
        return Err(usage(format!("AWS makes no session tag {key} of {value:?}: {doubt}"))
            .with_hint("take another part of the subject: --require-tag x509Subject/OU=NAME"));
    }
    match wanted.iter_mut().find(|(known, _)| known == key) {
        Some((_, values)) => values.push(tag.value),
        None => wanted.push((tag.key, vec![tag.value])),
    }
    Ok(())
}

/// A name that Roles Anywhere, IAM and CloudFormation take alike.
fn resource_name<'a>(flag: &str, value: Option<&'a str>) -> Result<Option<&'a str>, Failure> {
    let is_plain = |name: &str| name.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_".contains(&octet));
    match set(value) {
        Some(name) if name.len() > 64 || !is_plain(name) => {
            Err(usage(format!("{flag}: wanted at most 64 letters, digits, '-' and '_', found {name:?}")))
        }
        name => Ok(name),
    }
}

fn usage(message: impl Into<String>) -> Failure {
    Failure::new(FailureKind::Usage, message)
}
