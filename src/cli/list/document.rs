//! The JSON of `keyanchor list`; `docs/listing.md` documents it.

use serde::Serialize;

use crate::identity::{Overview, OverviewCertificate, OverviewKey};
use crate::key::{DeviceInfo, KeyAttributes, KeyKind, PinState, TokenInfo};

/// Everything that was listed.
#[derive(Serialize)]
pub struct Document<'a> {
    devices: Vec<Device<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Device<'a> {
    kind: &'static str,
    #[serde(flatten)]
    about: About<'a>,
    may_hide: bool,
    keys: Vec<Key<'a>>,
    certificates: Vec<Certificate<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum About<'a> {
    Token(Token<'a>),
    Tpm { tcti: &'a str },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Token<'a> {
    reference: &'a str,
    label: &'a str,
    serial: &'a str,
    manufacturer: &'a str,
    model: &'a str,
    slot: u64,
    login_required: bool,
    logged_in: bool,
    keypad: bool,
    write_protected: bool,
    pin: Pin,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Pin {
    initialized: bool,
    count_low: bool,
    final_try: bool,
    locked: bool,
    to_be_changed: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Key<'a> {
    reference: &'a str,
    ambiguous: bool,
    label: Option<&'a str>,
    id: Option<String>,
    /// `null` for a kind that this program does not sign with.
    algorithm: Option<String>,
    other_kind: Option<&'a str>,
    public_only: bool,
    exportable: Option<bool>,
    never_left: Option<bool>,
    signs: Option<bool>,
    needs_login: bool,
    pin_per_signature: bool,
    attributes: Attributes,
    fingerprint: Option<String>,
    /// References of its certificates on the same device.
    certificates: Vec<&'a str>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Attributes {
    #[serde(rename_all = "camelCase")]
    Token {
        sensitive: Option<bool>,
        extractable: Option<bool>,
        never_extractable: Option<bool>,
        local: Option<bool>,
        always_authenticate: Option<bool>,
        sign: Option<bool>,
    },
    #[serde(rename_all = "camelCase")]
    Tpm {
        #[serde(rename = "fixedTPM")]
        fixed_tpm: bool,
        fixed_parent: bool,
        sensitive_data_origin: bool,
        user_with_auth: bool,
        #[serde(rename = "noDA")]
        no_da: bool,
        sign: bool,
        decrypt: bool,
        restricted: bool,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Certificate<'a> {
    reference: &'a str,
    ambiguous: bool,
    label: Option<&'a str>,
    id: Option<String>,
    subject: Option<String>,
    issuer: Option<String>,
    serial_number: Option<String>,
    not_before: Option<String>,
    not_after: Option<String>,
    ca: Option<bool>,
    /// Why it cannot be read.
    problem: Option<String>,
    /// Reference of its key on the same device.
    key: Option<&'a str>,
}

impl<'a> Document<'a> {
    /// Of what was found.
    pub fn of(overviews: &'a [Overview]) -> Self {
        Self { devices: overviews.iter().map(device).collect() }
    }
}

fn device(overview: &Overview) -> Device<'_> {
    let (kind, about, login) = match &overview.device {
        DeviceInfo::Token(info) => ("token", About::Token(token(info)), info.login_required),
        DeviceInfo::Tpm(info) => ("tpm", About::Tpm { tcti: &info.way }, false),
    };
    Device {
        kind,
        about,
        may_hide: overview.may_hide,
        keys: overview.keys.iter().map(|held| key(overview, held, login)).collect(),
        certificates: overview.certificates.iter().map(|held| certificate(overview, held)).collect(),
    }
}

fn token(info: &TokenInfo) -> Token<'_> {
    let PinState { initialized, count_low, final_try, locked, to_be_changed } = info.pin;
    Token {
        reference: &info.reference,
        label: &info.label,
        serial: &info.serial,
        manufacturer: &info.manufacturer,
        model: &info.model,
        slot: info.slot,
        login_required: info.login_required,
        logged_in: info.logged_in,
        keypad: info.keypad,
        write_protected: info.write_protected,
        pin: Pin { initialized, count_low, final_try, locked, to_be_changed },
    }
}

fn key<'a>(overview: &'a Overview, held: &'a OverviewKey, needs_login: bool) -> Key<'a> {
    let entry = &held.entry;
    let (algorithm, other_kind) = match &entry.kind {
        KeyKind::Supported(algorithm) => (Some(algorithm.to_string()), None),
        KeyKind::Other(name) => (None, Some(name.as_str())),
        KeyKind::Unknown => (None, None),
    };
    let certificates = held.certificates.iter().filter_map(|place| overview.certificates.get(*place));
    Key {
        reference: &entry.reference,
        ambiguous: entry.ambiguous,
        label: entry.label.as_deref(),
        id: entry.id.as_deref().map(hex),
        algorithm,
        other_kind,
        public_only: entry.public_only,
        exportable: entry.attributes.is_exportable(),
        never_left: entry.attributes.never_left(),
        signs: entry.attributes.signs(),
        needs_login,
        pin_per_signature: entry.attributes.wants_pin_per_signature(),
        attributes: attributes(&entry.attributes),
        fingerprint: entry.public_key.as_ref().map(|key| key.fingerprint()),
        certificates: certificates.map(|certificate| certificate.entry.reference.as_str()).collect(),
    }
}

fn attributes(attributes: &KeyAttributes) -> Attributes {
    match attributes {
        KeyAttributes::Token(key) => Attributes::Token {
            sensitive: key.sensitive,
            extractable: key.extractable,
            never_extractable: key.never_extractable,
            local: key.local,
            always_authenticate: key.always_authenticate,
            sign: key.sign,
        },
        KeyAttributes::Tpm(key) => Attributes::Tpm {
            fixed_tpm: key.fixed_tpm,
            fixed_parent: key.fixed_parent,
            sensitive_data_origin: key.sensitive_data_origin,
            user_with_auth: key.user_with_auth,
            no_da: key.no_da,
            sign: key.sign,
            decrypt: key.decrypt,
            restricted: key.restricted,
        },
    }
}

fn certificate<'a>(overview: &'a Overview, held: &'a OverviewCertificate) -> Certificate<'a> {
    let read = held.certificate.as_ref().ok();
    let entry = &held.entry;
    Certificate {
        reference: &entry.reference,
        ambiguous: entry.ambiguous,
        label: entry.label.as_deref(),
        id: entry.id.as_deref().map(hex),
        subject: read.map(|read| read.subject().to_string()),
        issuer: read.map(|read| read.issuer().to_string()),
        serial_number: read.map(|read| read.serial_hex()),
        not_before: read.map(|read| read.not_before().to_string()),
        not_after: read.map(|read| read.not_after().to_string()),
        ca: read.map(|read| read.is_ca()),
        problem: held.certificate.as_ref().err().map(ToString::to_string),
        key: held.key.and_then(|place| overview.keys.get(place)).map(|key| key.entry.reference.as_str()),
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
