//! The order of the checks, and what stands on what. Knows no backend by name and no words.

use std::env;
use std::path::PathBuf;

use jiff::Timestamp;

use super::finding::{Check, Fact, Finding, Standing};
use super::key::KeyFact;
use super::{certificate, chain, configuration, device, environment, key, network, secrets, session};
use crate::config::Location;
use crate::identity::{Found, IdentityError, IdentityReference};
use crate::key::{
    Approach, CertificateOfKey, CertificateReference, DeviceOptions, Devices, KeyAlgorithm, KeyAttributes, KeyEntry,
    KeyError, KeyErrorKind, KeyReference, PublicKey, SigningKey, TokenInfo, TpmKeyAttributes, WantedKey,
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
        let mut secrets = secrets::tries(&approach, self.options.pkcs11.use_final_try);
        secrets.extend(secrets::sources(&approach.secrets, &self.options.secrets));
        let steps = std::mem::take(&mut approach.steps);
        let device = Device {
            obstacle: device::obstacle(&steps),
            // A login would end there too, with the same words.
            forbidden: secrets.iter().find(|it| self.sign && it.standing == Standing::Bad).map(|it| it.check),
            attributes: device::attributes(&steps),
            tokens: device::tokens(&steps),
        };
        let mut findings = device::check(steps, &approach.unreached);
        findings.extend(secrets);
        findings.extend(self.certificate_and_key(devices, &device));
        findings
    }

    /// The way to the key's device; where one reference names both, that is the certificate's.
    fn approach(&self, devices: &mut Devices) -> Approach {
        self.key_reference().map_or_else(Approach::default, |key| devices.approach(&key))
    }

    fn key_reference(&self) -> Option<KeyReference> {
        let IdentityReference { key, certificate, .. } = self.identity;
        match (key, certificate) {
            // The PIN of one token may stand in either.
            (Some(KeyReference::Pkcs11(key)), Some(CertificateReference::Pkcs11(uri))) => {
                Some(KeyReference::Pkcs11(key.clone().or_pin_of(uri)))
            }
            (Some(key), _) => Some(key.clone()),
            (None, Some(CertificateReference::Pkcs11(uri))) => Some(KeyReference::Pkcs11(uri.clone().without_type())),
            (None, Some(CertificateReference::File(path))) => Some(KeyReference::File(path.clone())),
            (None, None) => None,
        }
    }

    fn certificate_and_key(&self, devices: &mut Devices, device: &Device) -> Vec<Finding> {
        let on_token = matches!(self.identity.certificate, Some(CertificateReference::Pkcs11(_)));
        if let (true, Some(obstacle)) = (on_token, device.obstacle) {
            let mut findings = certificate::skipped(obstacle);
            findings.extend(self.no_key(obstacle));
            findings.push(Finding::awaits(Check::ChainPath, obstacle));
            return findings;
        }
        match Found::seek(devices, self.identity) {
            Ok((mut found, _)) => {
                let mut findings = certificate::check(found.leaf(), self.now);
                findings.extend(match device.blocked() {
                    None => self.key(devices, device, found.open_key(), found.certificate_of_key()),
                    Some(earlier) => self.no_key(earlier),
                });
                findings.extend(self.chain(&mut found));
                findings
            }
            Err(error) => {
                let is_hidden = self.hides(device) && may_be_hidden(&error) && shows_nothing(devices, device);
                let mut findings = certificate::missing(error, is_hidden);
                findings.extend(match device.blocked() {
                    None => {
                        let opened = self.open_key_alone(devices);
                        self.key(devices, device, opened, None)
                    }
                    Some(earlier) => self.no_key(earlier),
                });
                findings.push(Finding::awaits(Check::ChainPath, Check::CertificateFound));
                findings
            }
        }
    }

    /// Whether a login was wanted and not made.
    fn hides(&self, device: &Device) -> bool {
        !self.sign && device.tokens.iter().any(|token| token.login_required)
    }

    /// The key where no certificate tells which.
    fn open_key_alone(&self, devices: &mut Devices) -> Result<Box<dyn SigningKey>, IdentityError> {
        let none = || KeyError::new(KeyErrorKind::NotFound, "wanted a key, found none named");
        let reference = self.key_reference().ok_or_else(none)?;
        Ok(devices.open(&reference)?.open_key(&WantedKey::default())?)
    }

    fn key(
        &self,
        devices: &mut Devices,
        device: &Device,
        opened: Result<Box<dyn SigningKey>, IdentityError>,
        certificate: Option<CertificateOfKey>,
    ) -> Vec<Finding> {
        let certified = self.identity.certificate.is_some();
        let mut findings = match opened {
            Ok(opened) => return self.opened(devices, device, opened.as_ref(), certified),
            Err(error) => key::missing(error, certified, self.hides(device), self.sign),
        };
        if findings.iter().any(|finding| matches!(finding.fact, Fact::Key(KeyFact::NeedsLogin)))
            && let Some(public) = key::hidden(&self.public_halves(devices), certificate.as_ref())
        {
            findings = public;
        }
        let algorithm = certificate.map(|certificate| certificate.public_key.algorithm());
        // The signature stays the last.
        let end = findings.len().saturating_sub(1);
        findings.splice(end..end, self.mechanism(devices, algorithm));
        findings
    }

    /// A key that can be looked at, and used where that is asked for.
    fn opened(&self, devices: &mut Devices, device: &Device, key: &dyn SigningKey, certified: bool) -> Vec<Finding> {
        let mut findings = key::found(key, certified);
        let entry = key.reference().parse().ok().and_then(|reference| devices.entry(&reference).ok().flatten());
        let attributes = entry.map(|entry| entry.attributes).or(device.attributes.map(KeyAttributes::Tpm));
        let wants_pin = attributes.as_ref().is_some_and(KeyAttributes::wants_pin_per_signature);
        let of_device = !device.tokens.is_empty() || attributes.is_some();
        findings.extend(of_device.then(|| key::attributes(attributes)));
        findings.extend(self.mechanism(devices, key.public_key().map(PublicKey::algorithm)));
        let context_pin = (wants_pin && !self.options.pkcs11.reuse_pin && !device.has_keypad())
            .then(|| secrets::context_pin(&self.options.secrets));
        let forbidden = context_pin.as_ref().is_some_and(|finding| finding.standing == Standing::Bad);
        findings.extend(context_pin);
        findings.push(match forbidden && self.sign {
            true => key::no_signature(Check::SecretContextPin, self.sign),
            false => key::signature(key, self.sign),
        });
        findings
    }

    /// Public keys that the key's reference selects without a login.
    fn public_halves(&self, devices: &mut Devices) -> Vec<KeyEntry> {
        let Some(KeyReference::Pkcs11(uri)) = self.key_reference() else { return Vec::new() };
        let contents = devices.inventory(&uri).and_then(|inventory| inventory.contents(false)).unwrap_or_default();
        contents.into_iter().flat_map(|contents| contents.keys).filter(|key| key.public_only).collect()
    }

    /// Whether the token signs with keys of this type; of TPMs and files the key itself tells.
    fn mechanism(&self, devices: &mut Devices, algorithm: Option<KeyAlgorithm>) -> Option<Finding> {
        let (algorithm, Some(KeyReference::Pkcs11(uri))) = (algorithm?, self.key_reference()) else { return None };
        let mechanisms = devices.abilities(&uri).and_then(|abilities| abilities.mechanisms());
        let all = mechanisms.map(|tokens| tokens.into_iter().flat_map(|(_, mechanisms)| mechanisms).collect());
        Some(key::mechanism(algorithm, all))
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

/// What the way to the device told.
struct Device {
    /// The check at which it ends.
    obstacle: Option<Check>,
    /// The check that forbids a login.
    forbidden: Option<Check>,
    /// What a key file says of its key.
    attributes: Option<TpmKeyAttributes>,
    /// The selected tokens.
    tokens: Vec<TokenInfo>,
}

impl Device {
    /// Why its key cannot be looked at.
    fn blocked(&self) -> Option<Check> {
        self.obstacle.or(self.forbidden)
    }

    fn has_keypad(&self) -> bool {
        self.tokens.iter().any(|token| token.keypad)
    }
}

/// Whether a login might show what was not found, or which of several has its key here.
fn may_be_hidden(error: &IdentityError) -> bool {
    let IdentityError::Key(error) = error else { return false };
    matches!(error.kind(), KeyErrorKind::NotFound | KeyErrorKind::Ambiguous)
}

/// Whether no token shows any certificate before a login. One that shows some has no other that is hidden: more likely is a typo,
/// which the list of them shows.
fn shows_nothing(devices: &mut Devices, device: &Device) -> bool {
    device.tokens.iter().all(|token| {
        let Ok(uri) = token.reference.parse() else { return true };
        let contents = devices.inventory(&uri).and_then(|inventory| inventory.contents(false)).unwrap_or_default();
        contents.iter().all(|contents| contents.certificates.is_empty())
    })
}
