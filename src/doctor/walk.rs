//! The order of the checks, and what stands on what. Knows no backend by name and no words.

use std::env;
use std::path::PathBuf;

use jiff::Timestamp;

use super::finding::{Check, Fact, Finding, Standing};
use super::{certificate, chain, configuration, device, environment, key, network, secrets, session};
use crate::config::Location;
use crate::identity::{Found, IdentityError, IdentityReference};
use crate::key::{
    Approach, CertificateReference, DeviceOptions, Devices, KeyError, KeyErrorKind, KeyReference, SigningKey, WantedKey,
};
use crate::rolesanywhere::{ClientOptions, CreateSession, Probe};
use crate::x509::{Certificate, CertificateError, read_intermediates};

/// What the person named: the road that is walked.
pub struct Road {
    /// Where the configuration file is.
    pub configuration: Option<Location>,
    /// Key and certificate.
    pub identity: Named<IdentityReference>,
    /// How devices are opened.
    pub devices: DeviceOptions,
    /// A file with the trust anchor's certificates, where it is at hand.
    pub trust_anchor: Option<PathBuf>,
    /// What is asked for.
    pub session: Named<CreateSession>,
    /// How the service is reached.
    pub client: Named<ClientOptions>,
    /// Make one signature.
    pub sign: bool,
}

/// What flags and configuration file say of something.
pub enum Named<T> {
    /// It is this.
    This(T),
    /// They say nothing.
    Nothing,
    /// They cannot be understood; why not is for who read them to say.
    Misread,
}

impl<T> Named<T> {
    fn this(&self) -> Option<&T> {
        match self {
            Self::This(this) => Some(this),
            Self::Nothing | Self::Misread => None,
        }
    }
}

/// Walks it. Nothing is changed; without `sign` nobody logs in, and no secret is asked for. The devices are the caller's to
/// close, after the findings are told.
pub fn walk(road: Road, devices: &mut Devices, now: Timestamp) -> Result<Vec<Finding>, CertificateError> {
    let anchors = road.trust_anchor.as_deref().map(read_intermediates).transpose()?;
    let mut findings = configuration::check(road.configuration.as_ref());
    findings.extend(environment::check(|name| env::var_os(name)));
    match road.identity.this() {
        Some(identity) => {
            let walk = Walk { identity, options: &road.devices, sign: road.sign, anchors: anchors.as_deref(), now };
            findings.push(Finding::new(Check::Identity, Standing::Good, Fact::Identity(Box::new(identity.clone()))));
            findings.extend(walk.identity(devices));
        }
        None => findings.extend(nobody(unusable(&findings))),
    }
    let region = road.client.this().and_then(|options| options.region.as_deref());
    findings.extend(session::check(&road.session, region));
    match road.client.this() {
        Some(options) => findings.extend(network::check(Probe::new(road.session.this(), options))),
        None => findings.push(Finding::new(Check::NetworkEndpoint, Standing::Bad, Fact::Misread)),
    }
    Ok(findings)
}

/// The configuration file, where that is why nothing is named.
fn unusable(findings: &[Finding]) -> Option<Check> {
    let is_it = |finding: &&Finding| finding.check == Check::ConfigurationFile && finding.standing == Standing::Bad;
    findings.iter().find(is_it).map(|finding| finding.check)
}

/// What cannot be looked at where nobody says which key is meant.
fn nobody(earlier: Option<Check>) -> impl Iterator<Item = Finding> {
    let misread = match earlier {
        Some(earlier) => Finding::awaits(Check::Identity, earlier),
        None => Finding::new(Check::Identity, Standing::Bad, Fact::Misread),
    };
    let waiting = [Check::DeviceLibrary, Check::CertificateFound, Check::KeyFound, Check::KeySignature]
        .map(|check| Finding::awaits(check, Check::Identity));
    [misread].into_iter().chain(waiting)
}

/// The part of the road from the device to the chain.
struct Walk<'a> {
    identity: &'a IdentityReference,
    options: &'a DeviceOptions,
    sign: bool,
    anchors: Option<&'a [Certificate]>,
    now: Timestamp,
}

impl Walk<'_> {
    fn identity(&self, devices: &mut Devices) -> Vec<Finding> {
        let mut approach = self.approach(devices);
        let mut findings = secrets::tries(&approach, self.options.pkcs11.use_final_try);
        findings.extend(secrets::sources(&approach.secrets, &self.options.secrets));
        // A login would end there too, with the same words.
        let forbidding = findings.iter().find(|finding| self.sign && finding.standing == Standing::Bad);
        let forbidding = forbidding.map(|finding| finding.check);
        let obstacle = device::obstacle(&approach);
        let hidden = !self.sign && approach.tokens().iter().any(|token| token.login_required);
        let steps = std::mem::take(&mut approach.steps);
        findings.splice(0..0, device::check(steps, &approach.unreached));
        findings.extend(self.certificate_and_key(devices, obstacle, forbidding, hidden));
        findings
    }

    /// The way to the key's device; where one reference names both, that is the certificate's.
    fn approach(&self, devices: &mut Devices) -> Approach {
        match self.key_reference() {
            Some(key) => devices.approach(&key),
            None => Approach::default(),
        }
    }

    fn key_reference(&self) -> Option<KeyReference> {
        let IdentityReference { key, certificate, .. } = self.identity;
        match (key, certificate) {
            // The PIN of one token may stand in either.
            (Some(KeyReference::Pkcs11(key)), Some(CertificateReference::Pkcs11(uri))) => {
                Some(KeyReference::Pkcs11(key.clone().or_pin_of(uri)))
            }
            (Some(key), _) => Some(key.clone()),
            (None, Some(CertificateReference::Pkcs11(uri))) => Some(KeyReference::Pkcs11(uri.clone())),
            (None, Some(CertificateReference::File(path))) => Some(KeyReference::File(path.clone())),
            (None, None) => None,
        }
    }

    /// `obstacle`: the failed check on the way to the device; `forbidding`: the one that forbids a login.
    fn certificate_and_key(
        &self,
        devices: &mut Devices,
        obstacle: Option<Check>,
        forbidding: Option<Check>,
        hidden: bool,
    ) -> Vec<Finding> {
        let on_token = matches!(self.identity.certificate, Some(CertificateReference::Pkcs11(_)));
        let without_key = obstacle.or(forbidding);
        if let (true, Some(obstacle)) = (on_token, obstacle) {
            let mut findings = certificate::skipped(obstacle);
            findings.extend(self.no_key(obstacle));
            findings.push(Finding::awaits(Check::ChainPath, obstacle));
            return findings;
        }
        match Found::seek(devices, self.identity) {
            Ok((mut found, _)) => {
                let mut findings = certificate::check(found.leaf(), self.now);
                findings.extend(match without_key {
                    None => self.key(found.open_key(), hidden),
                    Some(earlier) => self.no_key(earlier),
                });
                findings.extend(self.chain(&mut found));
                findings
            }
            Err(error) => {
                let is_hidden = hidden && may_be_hidden(&error);
                let mut findings = certificate::missing(error, is_hidden);
                findings.extend(match without_key {
                    None => self.key(self.open_key_alone(devices), hidden),
                    Some(earlier) => self.no_key(earlier),
                });
                findings.push(Finding::awaits(Check::ChainPath, Check::CertificateFound));
                findings
            }
        }
    }

    /// The key where no certificate tells which.
    fn open_key_alone(&self, devices: &mut Devices) -> Result<Box<dyn SigningKey>, IdentityError> {
        let none = || KeyError::new(KeyErrorKind::NotFound, "wanted a key, found none named");
        let reference = match self.key_reference().ok_or_else(none)? {
            KeyReference::Pkcs11(uri) if self.identity.key.is_none() => KeyReference::Pkcs11(uri.without_type()),
            other => other,
        };
        Ok(devices.open(&reference)?.open_key(&WantedKey::default())?)
    }

    fn key(&self, opened: Result<Box<dyn SigningKey>, IdentityError>, hidden: bool) -> Vec<Finding> {
        let certified = self.identity.certificate.is_some();
        match opened {
            Ok(opened) => {
                let mut findings = key::found(opened.as_ref(), certified);
                findings.push(key::signature(opened.as_ref(), self.sign));
                findings
            }
            Err(error) => key::missing(error, certified, hidden, self.sign),
        }
    }

    fn no_key(&self, earlier: Check) -> Vec<Finding> {
        vec![Finding::awaits(Check::KeyFound, earlier), key::no_signature(earlier, self.sign)]
    }

    fn chain(&self, found: &mut Found) -> Vec<Finding> {
        let intermediates = self.identity.intermediates.as_deref().map(read_intermediates);
        let named = intermediates.and_then(Result::ok).map_or(0, |certificates| certificates.len());
        match found.chain(self.identity) {
            Ok(chain) => chain::check(found.leaf(), &chain, named, self.anchors, self.now),
            Err(error) => chain::unusable(error),
        }
    }
}

/// Whether a login might show what was not found, or which of several has its key here.
fn may_be_hidden(error: &IdentityError) -> bool {
    let IdentityError::Key(error) = error else { return false };
    matches!(error.kind(), KeyErrorKind::NotFound | KeyErrorKind::Ambiguous)
}
