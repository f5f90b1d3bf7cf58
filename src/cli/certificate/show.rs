//! `keyanchor certificate show`: what a certificate says, for people or as JSON.

use clap::ArgAction::Set;
use serde::Serialize;

use super::super::Failure;
use super::super::identity_settings::{IdentitySettings, with_devices};
use super::super::log::LogArgs;
use super::super::output::{json, print};
use super::super::values::{SWITCH, switch, without};
use super::{IdentityArgs, OF_KEYS};
use crate::identity::find_certificate;
use crate::key::Devices;
use crate::x509::{Certificate, CertificateError, Chain};

const EXAMPLES: &str = "\
Examples:
  A certificate on a token, without a login:
    keyanchor certificate show --certificate 'pkcs11:token=prod;object=web-01'
  One field of a file:
    keyanchor certificate show --certificate web-01.pem --json | jq -r .notAfter";

/// Show what a certificate says
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES, mut_args(|flag| without(&OF_KEYS, flag)))]
pub struct Args {
    #[command(flatten)]
    identity: IdentityArgs,
    /// Print JSON
    #[arg(long, value_parser = switch, action = Set, value_name = SWITCH, help_heading = "Output")]
    json: bool,
    #[command(flatten)]
    log: LogArgs,
}

/// Everything that is shown, in the order in which it is.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    subject: String,
    issuer: String,
    serial_number: String,
    serial_number_decimal: String,
    not_before: String,
    not_after: String,
    key: String,
    key_fingerprint: Option<String>,
    signature: String,
    ca: bool,
    key_usage: Vec<&'static str>,
    extended_key_usage: Vec<String>,
    alternative_names: Vec<String>,
    fingerprint_sha1: String,
    fingerprint_sha256: String,
    /// Subjects of what is sent above it.
    chain: Vec<String>,
    root: Option<String>,
    missing_issuer: Option<String>,
}

/// No device signature.
pub fn run(args: &Args) -> u8 {
    args.log.start();
    with_devices(&args.identity, |settings, devices| show(args, settings, devices))
}

fn show(args: &Args, settings: &IdentitySettings<'_>, devices: &mut Devices) -> Result<(), Failure> {
    let (leaf, chain) = find_certificate(devices, &settings.reference()?)?;
    let shown = Shown::new(&leaf, &chain)?;
    if args.json { json(&shown) } else { print(shown.text()) }
}

impl Shown {
    fn new(leaf: &Certificate, chain: &Chain) -> Result<Self, CertificateError> {
        let key = leaf.public_key();
        Ok(Self {
            subject: leaf.subject().to_string(),
            issuer: leaf.issuer().to_string(),
            serial_number: leaf.serial_hex(),
            serial_number_decimal: leaf.serial_decimal(),
            not_before: leaf.not_before().to_string(),
            not_after: leaf.not_after().to_string(),
            key: key.as_ref().map_or_else(ToString::to_string, |key| key.algorithm().to_string()),
            key_fingerprint: key.ok().map(|key| key.fingerprint()),
            signature: leaf.signature_algorithm().to_string(),
            ca: leaf.is_ca(),
            key_usage: key_usage(leaf)?,
            extended_key_usage: extended_key_usage(leaf)?,
            alternative_names: leaf.alternative_names()?.iter().map(ToString::to_string).collect(),
            fingerprint_sha1: leaf.fingerprint_sha1(),
            fingerprint_sha256: leaf.fingerprint_sha256(),
            chain: chain.certificates.iter().map(|certificate| certificate.subject().to_string()).collect(),
            root: chain.root.as_ref().map(|root| root.subject().to_string()),
            missing_issuer: chain.missing.as_ref().map(ToString::to_string),
        })
    }

    fn text(&self) -> String {
        let or_none = |texts: &[String]| if texts.is_empty() { "none".to_owned() } else { texts.join(", ") };
        let usage: Vec<String> = self.key_usage.iter().map(ToString::to_string).collect();
        let lines = [
            ("subject", self.subject.clone()),
            ("issuer", self.issuer.clone()),
            ("serial number", format!("{} ({})", self.serial_number, self.serial_number_decimal)),
            ("valid", format!("from {} to {}", self.not_before, self.not_after)),
            ("key", self.key.clone()),
            ("key fingerprint", self.key_fingerprint.clone().unwrap_or_else(|| "none".to_owned())),
            ("signed with", self.signature.clone()),
            ("CA", if self.ca { "yes" } else { "no" }.to_owned()),
            ("key usage", or_none(&usage)),
            ("extended usage", or_none(&self.extended_key_usage)),
            ("other names", or_none(&self.alternative_names)),
            ("SHA-1", self.fingerprint_sha1.clone()),
            ("SHA-256", self.fingerprint_sha256.clone()),
            ("chain", self.chain_text()),
        ];
        lines.iter().map(|(name, value)| format!("{name:<16} {value}\n")).collect()
    }

    fn chain_text(&self) -> String {
        let mut path = self.chain.clone();
        path.extend(self.root.as_ref().map(|root| format!("{root} (root, not sent)")));
        path.extend(self.missing_issuer.as_ref().map(|issuer| format!("{issuer} (not at hand)")));
        if path.is_empty() { "it signed itself".to_owned() } else { path.join(" <- ") }
    }
}

fn key_usage(certificate: &Certificate) -> Result<Vec<&'static str>, CertificateError> {
    let Some(usage) = certificate.key_usage()? else { return Ok(Vec::new()) };
    let usages = [
        (usage.digital_signature(), "digitalSignature"),
        (usage.non_repudiation(), "nonRepudiation"),
        (usage.key_encipherment(), "keyEncipherment"),
        (usage.data_encipherment(), "dataEncipherment"),
        (usage.key_agreement(), "keyAgreement"),
        (usage.key_cert_sign(), "keyCertSign"),
        (usage.crl_sign(), "cRLSign"),
        (usage.encipher_only(), "encipherOnly"),
        (usage.decipher_only(), "decipherOnly"),
    ];
    Ok(usages.into_iter().filter_map(|(is_set, name)| is_set.then_some(name)).collect())
}

fn extended_key_usage(certificate: &Certificate) -> Result<Vec<String>, CertificateError> {
    let Some(usage) = certificate.extended_key_usage()? else { return Ok(Vec::new()) };
    let name = |oid| match const_oid::db::DB.by_oid(oid) {
        Some(name) => name.trim_start_matches("id-kp-").to_owned(),
        None => oid.to_string(),
    };
    Ok(usage.0.iter().map(name).collect())
}
