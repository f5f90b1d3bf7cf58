//! The part of the road that an identity is on: device, secrets, certificate, key, chain, each looked at as far as what it stands on
//! allows. Knows no backend by name.

use super::certificate::Lasting;
use super::check::Check;
use super::fact::Fact;
use super::fact::KeyFact;
use super::finding::{Finding, Standing};
use super::{certificate, chain, device, key, secrets};
use crate::identity::{Found, IdentityError, IdentityReference};
use crate::key::{
    Approach, CertificateOfKey, CertificateReference, DeviceOptions, Devices, KeyAlgorithm, KeyAttributes, KeyEntry,
    KeyError, KeyErrorKind, KeyReference, PublicKey, SigningKey, TokenInfo, TpmKeyAttributes, WantedKey,
};
use crate::x509::{Certificate, read_intermediates};

/// What is walked, and how.
pub(super) struct Walk<'a> {
    pub(super) identity: &'a IdentityReference,
    pub(super) options: &'a DeviceOptions,
    /// Log in, and make one signature.
    pub(super) sign: bool,
    /// The trust anchor, where it is known.
    pub(super) anchors: Option<&'a [Certificate]>,
    pub(super) lasting: Lasting,
}

impl Walk<'_> {
    /// From the device to the chain.
    pub(super) fn go(&self, devices: &mut Devices) -> Vec<Finding> {
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
                let mut findings = certificate::check(found.leaf(), self.lasting);
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
            false => key::signature(key, self.sign, self.hides(device)),
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
            Ok(chain) => chain::check(found.leaf(), &chain, named, self.anchors, self.lasting),
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
