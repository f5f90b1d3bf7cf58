//! What devices hold, as typed values: tokens and a TPM, the keys and certificates on them, and what a token can do. Knows no words
//! to people and no X.509.

use super::algorithm::KeyAlgorithm;
use super::error::KeyError;
use super::public::PublicKey;

/// Lists what devices hold.
pub trait Inventory {
    /// Each device that was selected, with everything that it shows; at least one.
    ///
    /// With `log_in` the user logs in first, so that private objects show too. That wants exactly one token: nobody logs in to
    /// several tokens to look. A TPM shows everything without a password.
    ///
    /// A token costs three searches, and one call for each object; a TPM two commands, and one for each handle.
    fn contents(&self, log_in: bool) -> Result<Vec<Contents>, KeyError>;
}

/// Lists what tokens can do.
pub trait Abilities {
    /// The mechanisms of each token that was selected: two calls for a token, and one for each mechanism. Without login.
    fn mechanisms(&self) -> Result<Vec<(TokenInfo, Vec<Mechanism>)>, KeyError>;
}

/// A device and what it shows.
#[derive(Clone, Debug)]
pub struct Contents {
    /// The device itself.
    pub device: DeviceInfo,
    /// Its keys: private ones, and public ones whose private half is not shown.
    pub keys: Vec<KeyEntry>,
    /// Its certificates; a TPM holds none.
    pub certificates: Vec<CertificateEntry>,
}

impl Contents {
    /// Whether private keys and certificates may be there that only a login shows.
    pub fn may_hide(&self) -> bool {
        matches!(&self.device, DeviceInfo::Token(token) if token.login_required && !token.logged_in)
    }
}

/// What holds keys.
#[derive(Clone, Debug)]
pub enum DeviceInfo {
    /// A PKCS#11 token.
    Token(TokenInfo),
    /// A TPM 2.0.
    Tpm(TpmInfo),
}

/// A token, as CK_TOKEN_INFO and its slot describe it. Texts are without padding; octets that are no UTF-8 are replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenInfo {
    /// A reference without secrets that selects this token.
    pub reference: String,
    /// Its label.
    pub label: String,
    /// Its serial number.
    pub serial: String,
    /// Who made it.
    pub manufacturer: String,
    /// Its model.
    pub model: String,
    /// Number of the slot that it is in.
    pub slot: u64,
    /// State of the user PIN.
    pub pin: PinState,
    /// CKF_LOGIN_REQUIRED: private objects want a login.
    pub login_required: bool,
    /// CKF_PROTECTED_AUTHENTICATION_PATH: the PIN is entered at the device's own keypad.
    pub keypad: bool,
    /// CKF_WRITE_PROTECTED: nothing can be made or stored on it.
    pub write_protected: bool,
    /// This process has logged in.
    pub logged_in: bool,
}

impl TokenInfo {
    /// The token by what people know it by: its label, else its serial number.
    pub fn name(&self) -> String {
        match self.label.is_empty() {
            true => format!("token with serial '{}'", self.serial),
            false => format!("token '{}'", self.label),
        }
    }
}

/// What the token's flags say of the user PIN; PKCS#11 has no number of tries. Several may be set at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PinState {
    /// CKF_USER_PIN_INITIALIZED: there is one. Some tokens (AWS CloudHSM) never set the flag.
    pub initialized: bool,
    /// CKF_USER_PIN_COUNT_LOW: a wrong one was entered since the last right one.
    pub count_low: bool,
    /// CKF_USER_PIN_FINAL_TRY: one more wrong one locks it.
    pub final_try: bool,
    /// CKF_USER_PIN_LOCKED.
    pub locked: bool,
    /// CKF_USER_PIN_TO_BE_CHANGED: it is the one from the factory, or has expired.
    pub to_be_changed: bool,
}

/// A TPM, by the way to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TpmInfo {
    /// A device's or socket's path, or a TCTI string.
    pub way: String,
}

/// A key as a device shows it.
#[derive(Clone, Debug)]
pub struct KeyEntry {
    /// A reference without secrets that selects this key, or would after a login.
    pub reference: String,
    /// Other keys on the device have the same names, so that the reference selects them too.
    pub ambiguous: bool,
    /// CKA_LABEL, where there is one; octets that are no UTF-8 are replaced.
    pub label: Option<String>,
    /// CKA_ID, where there is one.
    pub id: Option<Vec<u8>>,
    /// What kind of key it is.
    pub kind: KeyKind,
    /// The public half, where the device shows it and the kind is supported.
    pub public_key: Option<PublicKey>,
    /// Only the public half is shown: the private one is hidden until a login, or elsewhere.
    pub public_only: bool,
    /// What the device says of the key's protection and use.
    pub attributes: KeyAttributes,
}

/// What kind of key an object is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// One that this program signs with.
    Supported(KeyAlgorithm),
    /// Another one, by the name that people use, such as `Ed25519`.
    Other(String),
    /// The device does not show it.
    Unknown,
}

/// What a device says of a key's protection and use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyAttributes {
    /// Attributes of a private key object. All are `None` for a public one.
    Token(TokenKeyAttributes),
    /// Attributes of a TPM object.
    Tpm(TpmKeyAttributes),
}

/// Attributes of a private key object (PKCS#11 2.40 §4.9); `None` where the token does not show one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenKeyAttributes {
    /// CKA_SENSITIVE: its value is not revealed in plain text.
    pub sensitive: Option<bool>,
    /// CKA_EXTRACTABLE: it may leave the token, be it encrypted.
    pub extractable: Option<bool>,
    /// CKA_NEVER_EXTRACTABLE: it never could.
    pub never_extractable: Option<bool>,
    /// CKA_LOCAL: it was made on the token.
    pub local: Option<bool>,
    /// CKA_ALWAYS_AUTHENTICATE: each signature wants a PIN.
    pub always_authenticate: Option<bool>,
    /// CKA_SIGN: it may sign.
    pub sign: Option<bool>,
}

/// Attributes of a TPM object (TPMA_OBJECT, TPM 2.0 part 2 §8.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TpmKeyAttributes {
    /// It cannot be duplicated to another TPM.
    pub fixed_tpm: bool,
    /// It cannot be duplicated at all but with its parent.
    pub fixed_parent: bool,
    /// The TPM made it.
    pub sensitive_data_origin: bool,
    /// Its password, which may be empty, authorises its use.
    pub user_with_auth: bool,
    /// Wrong passwords for it do not count towards lockout.
    pub no_da: bool,
    /// It may sign.
    pub sign: bool,
    /// It may decrypt.
    pub decrypt: bool,
    /// It works only on what the TPM itself made, as storage and attestation keys do.
    pub restricted: bool,
}

impl KeyAttributes {
    /// Whether the key can leave its device; `None` where the device does not say.
    pub fn is_exportable(&self) -> Option<bool> {
        match self {
            Self::Token(key) => match (key.sensitive, key.extractable) {
                // Either protects in one way only: against reading in plain text, and against wrapping.
                (Some(true), Some(false)) => Some(false),
                (Some(false), _) | (_, Some(true)) => Some(true),
                // A key that was never extractable is not.
                _ => key.never_extractable.filter(|never| *never).map(|_| false),
            },
            Self::Tpm(key) => Some(!key.fixed_tpm),
        }
    }

    /// Whether it was made on its device and could never leave it.
    pub fn never_left(&self) -> Option<bool> {
        match self {
            Self::Token(key) => Some(key.local? && key.never_extractable?),
            Self::Tpm(key) => Some(key.fixed_tpm && key.sensitive_data_origin),
        }
    }

    /// Whether it may sign what this program gives it.
    pub fn signs(&self) -> Option<bool> {
        match self {
            Self::Token(key) => key.sign,
            Self::Tpm(key) => Some(key.sign && !key.restricted),
        }
    }

    /// Whether each signature wants a PIN.
    pub fn wants_pin_per_signature(&self) -> bool {
        matches!(self, Self::Token(key) if key.always_authenticate == Some(true))
    }
}

/// A certificate as a device stores it.
#[derive(Clone, Debug)]
pub struct CertificateEntry {
    /// A reference without secrets that selects this certificate.
    pub reference: String,
    /// Other certificates on the device have the same names, so that the reference selects them too.
    pub ambiguous: bool,
    /// CKA_LABEL, where there is one; octets that are no UTF-8 are replaced.
    pub label: Option<String>,
    /// CKA_ID, where there is one.
    pub id: Option<Vec<u8>>,
    /// DER of the certificate.
    pub der: Vec<u8>,
}

/// A mechanism of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mechanism {
    /// Its number (CK_MECHANISM_TYPE).
    pub number: u64,
    /// Its name in PKCS#11, such as `CKM_ECDSA`; `None` for one that has none there.
    pub name: Option<String>,
    /// Smallest key, in bits for RSA and EC.
    pub smallest_key: u64,
    /// Largest key.
    pub largest_key: u64,
    /// It signs.
    pub signs: bool,
    /// It makes key pairs.
    pub generates_pairs: bool,
    /// The device does it, and not the module's software.
    pub in_hardware: bool,
}
