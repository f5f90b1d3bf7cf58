//! `keyanchor certificate check`: whether Roles Anywhere will take a certificate, and what it makes of its names.

use std::fmt::Write;
use std::path::Path;

use clap::ArgAction::Set;
use jiff::Timestamp;
use serde::Serialize;

use super::super::identity_settings::{IdentitySettings, with_devices};
use super::super::log::LogArgs;
use super::super::output::{json, print};
use super::super::values::{SWITCH, set, switch, without};
use super::super::{Failure, FailureKind};
use super::{IdentityArgs, OF_KEYS};
use crate::identity::find_certificate;
use crate::key::Devices;
use crate::x509::assessment::{Assessed, Assessment, Ending, Role};
use crate::x509::requirements::{Check, Doubt};
use crate::x509::session_tags::{MOST_TAGS, SessionTag, SourceIdentity, session_tags, source_identity};
use crate::x509::{Certificate, CertificateError, printable, read_intermediates};

const EXAMPLES: &str = "\
Examples:
  With the chain, against the trust anchor that AWS has:
    keyanchor certificate check --certificate web-01.pem --intermediates chain.pem \\
        --trust-anchor root.pem
  What a script asks:
    keyanchor certificate check --identity web --json";

/// Check whether Roles Anywhere will take a certificate, and which session tags it makes of it
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES, mut_args(|flag| without(&OF_KEYS, flag)))]
pub struct Args {
    #[command(flatten)]
    identity: IdentityArgs,
    /// PEM file of the trust anchor's certificates, at which the chain must end
    #[arg(long, value_name = "FILE", help_heading = "Check")]
    trust_anchor: Option<String>,
    /// Print JSON
    #[arg(long, value_parser = switch, action = Set, value_name = SWITCH, help_heading = "Output")]
    json: bool,
    #[command(flatten)]
    log: LogArgs,
}

/// No device signature. Exit code 7 where it will be refused; the report goes to stdout in any case.
pub fn run(args: &Args) -> u8 {
    args.log.start();
    with_devices(&args.identity, |settings, devices| check(args, settings, devices))
}

fn check(args: &Args, settings: &IdentitySettings<'_>, devices: &mut Devices) -> Result<(), Failure> {
    let anchors = set(args.trust_anchor.as_deref()).map(|path| read_intermediates(Path::new(path))).transpose()?;
    let (leaf, chain) = find_certificate(devices, &settings.reference()?)?;
    let assessment = Assessment::new(&leaf, &chain, anchors.as_deref(), Timestamp::now());
    let report = Report::new(&leaf, &assessment, anchors.as_deref().unwrap_or_default())?;
    if args.json {
        json(&report)?
    } else {
        print(report.text())?
    }
    if assessment.is_taken() {
        return Ok(());
    }
    let message = format!("Roles Anywhere will refuse the certificate {}: see what is marked NO", leaf.subject());
    Err(Failure::new(FailureKind::Certificate, message))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    accepted: bool,
    certificates: Vec<CertificateReport>,
    path: PathReport,
    session_tags: Vec<TagReport>,
    source_identity: IdentityReport,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CertificateReport {
    role: &'static str,
    subject: String,
    serial_number: String,
    not_after: String,
    requirements: Vec<RequirementReport>,
    /// What AWS documents nothing of.
    doubts: Vec<String>,
}

#[derive(Serialize)]
struct RequirementReport {
    requirement: &'static str,
    met: bool,
    /// What is demanded where it is met, else what was wanted and found.
    text: String,
}

#[derive(Serialize)]
struct PathReport {
    requirements: Vec<RequirementReport>,
    /// Whether it ends at a trust anchor; `null` where none was named.
    anchored: Option<bool>,
    text: String,
}

#[derive(Serialize)]
struct TagReport {
    key: String,
    value: String,
    set: bool,
    doubt: Option<String>,
}

#[derive(Serialize)]
struct IdentityReport {
    value: String,
    doubt: Option<String>,
}

impl Report {
    fn new(leaf: &Certificate, assessment: &Assessment<'_>, anchors: &[Certificate]) -> Result<Self, CertificateError> {
        Ok(Self {
            accepted: assessment.is_taken(),
            certificates: assessment
                .certificates
                .iter()
                .map(|it| CertificateReport::new(it, &assessment.doubts))
                .collect(),
            path: PathReport::new(assessment, anchors),
            session_tags: session_tags(leaf)?.into_iter().map(TagReport::new).collect(),
            source_identity: IdentityReport::new(source_identity(leaf)),
        })
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for certificate in &self.certificates {
            certificate.write(&mut text);
        }
        self.path.write(&mut text);
        push(&mut text, format_args!("session tags (aws:PrincipalTag/...)\n"));
        for tag in &self.session_tags {
            tag.write(&mut text);
        }
        let set = self.session_tags.iter().filter(|tag| tag.set).count();
        if set > MOST_TAGS {
            push(&mut text, format_args!("  NO  STS takes at most {MOST_TAGS} tags, these are {set}\n"));
        }
        let identity = &self.source_identity;
        push(&mut text, format_args!("source identity (sts:SourceIdentity)\n"));
        let (mark, doubt) = marked(true, identity.doubt.as_deref());
        push(&mut text, format_args!("  {mark}  {}{doubt}\n", printable(&identity.value)));
        text
    }
}

impl CertificateReport {
    /// The doubts are the leaf's.
    fn new(assessed: &Assessed<'_>, doubts: &[Doubt]) -> Self {
        let doubts = if assessed.role == Role::Leaf { doubts } else { &[] };
        Self {
            role: match assessed.role {
                Role::Leaf => "leaf",
                Role::Intermediate => "intermediate",
                Role::Root => "root",
                Role::TrustAnchor => "trustAnchor",
            },
            subject: assessed.certificate.subject().to_string(),
            serial_number: assessed.certificate.serial_hex(),
            not_after: assessed.certificate.not_after().to_string(),
            requirements: assessed.checks.iter().map(RequirementReport::new).collect(),
            doubts: doubts.iter().map(ToString::to_string).collect(),
        }
    }

    fn write(&self, text: &mut String) {
        let role = if self.role == "trustAnchor" { "trust anchor" } else { self.role };
        push(text, format_args!("{role} {}, valid until {}\n", self.subject, self.not_after));
        for requirement in &self.requirements {
            requirement.write(text);
        }
        for doubt in &self.doubts {
            push(text, format_args!("  ??  {doubt}\n"));
        }
    }
}

impl RequirementReport {
    fn new(check: &Check) -> Self {
        Self {
            requirement: check.requirement.name(),
            met: check.violation.is_none(),
            text: check.violation.as_ref().map_or_else(|| check.requirement.to_string(), ToString::to_string),
        }
    }

    fn write(&self, text: &mut String) {
        let mark = if self.met { "ok" } else { "NO" };
        push(text, format_args!("  {mark}  {}\n", self.text));
    }
}

impl PathReport {
    fn new(assessment: &Assessment<'_>, anchors: &[Certificate]) -> Self {
        let (anchored, text) = match &assessment.ending {
            Ending::Anchored => (Some(true), "it ends at the trust anchor".to_owned()),
            Ending::Root => (None, "it ends in a root, which must be the trust anchor".to_owned()),
            Ending::Before(issuer) => (None, format!("it ends before {issuer}, which must be the trust anchor")),
            Ending::Elsewhere(issuer) => {
                let anchors: Vec<_> = anchors.iter().map(|anchor| anchor.subject().to_string()).collect();
                let wanted = format!("wanted a path to the trust anchor {}", anchors.join(" or "));
                let missing = "what is between is given with --intermediates, or --trust-anchor is another CA's";
                (Some(false), format!("{wanted}, found one that ends before {issuer}: {missing}"))
            }
            Ending::SelfSigned => (
                Some(false),
                "wanted a certificate by a trust anchor or below it, found one that signed itself".to_owned(),
            ),
        };
        Self { requirements: vec![RequirementReport::new(&assessment.length)], anchored, text }
    }

    fn write(&self, text: &mut String) {
        text.push_str("path\n");
        for requirement in &self.requirements {
            requirement.write(text);
        }
        let mark = if self.anchored == Some(false) { "NO" } else { "ok" };
        push(text, format_args!("  {mark}  {}\n", self.text));
    }
}

impl TagReport {
    fn new(tag: SessionTag) -> Self {
        let set = !tag.doubt.is_some_and(|doubt| doubt.drops());
        Self { key: tag.key, value: tag.value, set, doubt: tag.doubt.map(|doubt| doubt.to_string()) }
    }

    fn write(&self, text: &mut String) {
        let (mark, doubt) = marked(self.set, self.doubt.as_deref());
        push(text, format_args!("  {mark}  {} = {}{doubt}\n", self.key, printable(&self.value)));
    }
}

impl IdentityReport {
    fn new(identity: SourceIdentity) -> Self {
        Self { value: identity.value, doubt: identity.doubt.map(|doubt| doubt.to_string()) }
    }
}

/// `ok`, `??` where it is not known whether AWS does so, `NO` where it does not; and why.
fn marked(set: bool, doubt: Option<&str>) -> (&'static str, String) {
    let mark = match (set, doubt) {
        (true, None) => "ok",
        (true, Some(_)) => "??",
        (false, _) => "NO",
    };
    (mark, doubt.map(|doubt| format!(" ({doubt})")).unwrap_or_default())
}

fn push(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing into a String cannot fail.
    let _ = text.write_fmt(line);
}
