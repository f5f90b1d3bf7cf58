//! What a token tells about itself, and whether a URI selects it. Pure.

use cryptoki_sys::{
    CK_FLAGS, CK_INFO, CK_SLOT_ID, CK_SLOT_INFO, CK_TOKEN_INFO, CK_ULONG, CKF_LOGIN_REQUIRED,
    CKF_PROTECTED_AUTHENTICATION_PATH, CKF_TOKEN_INITIALIZED, CKF_USER_PIN_COUNT_LOW, CKF_USER_PIN_FINAL_TRY,
    CKF_USER_PIN_INITIALIZED, CKF_USER_PIN_LOCKED, CKF_USER_PIN_TO_BE_CHANGED, CKF_WRITE_PROTECTED,
};

use super::super::inventory::PinState;

use super::uri::{TokenSelector, Uri};

/// What stays the same when a token is taken out and put back, perhaps into another slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) label: Vec<u8>,
    pub(super) manufacturer: Vec<u8>,
    pub(super) model: Vec<u8>,
    pub(super) serial: Vec<u8>,
}

impl Identity {
    /// The token in words.
    pub(super) fn name(&self) -> String {
        match self.label.is_empty() {
            true => format!("token with serial '{}'", String::from_utf8_lossy(&self.serial)),
            false => format!("token '{}'", String::from_utf8_lossy(&self.label)),
        }
    }

    /// A URI that selects the token: its label and serial are what people know.
    pub(super) fn uri(&self) -> Uri {
        let present = |value: &Vec<u8>| (!value.is_empty()).then(|| value.clone());
        let token = TokenSelector { token: present(&self.label), serial: present(&self.serial), ..Default::default() };
        Uri { token: Box::new(token), ..Uri::default() }
    }
}

/// CK_TOKEN_INFO's flags, as far as they say what may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flags(CK_FLAGS);

impl Flags {
    pub(super) fn initialized(self) -> bool {
        self.has(CKF_TOKEN_INITIALIZED)
    }

    pub(super) fn login_required(self) -> bool {
        self.has(CKF_LOGIN_REQUIRED)
    }

    /// The token has a keypad of its own, or its module asks for the PIN itself.
    pub(super) fn keypad(self) -> bool {
        self.has(CKF_PROTECTED_AUTHENTICATION_PATH)
    }

    pub(super) fn locked(self) -> bool {
        self.has(CKF_USER_PIN_LOCKED)
    }

    pub(super) fn final_try(self) -> bool {
        self.has(CKF_USER_PIN_FINAL_TRY)
    }

    pub(super) fn write_protected(self) -> bool {
        self.has(CKF_WRITE_PROTECTED)
    }

    /// Everything about the user PIN.
    pub(super) fn pin(self) -> PinState {
        PinState {
            initialized: self.has(CKF_USER_PIN_INITIALIZED),
            count_low: self.has(CKF_USER_PIN_COUNT_LOW),
            final_try: self.final_try(),
            locked: self.locked(),
            to_be_changed: self.has(CKF_USER_PIN_TO_BE_CHANGED),
        }
    }

    /// What the flags say about the tries left; PKCS#11 has no number.
    pub(super) fn warning(self) -> Option<&'static str> {
        match () {
            () if self.locked() => Some("the PIN is locked"),
            () if self.final_try() => Some("one more wrong PIN locks the token"),
            () if self.has(CKF_USER_PIN_COUNT_LOW) => Some("a wrong PIN was entered since the last right one"),
            () => None,
        }
    }

    fn has(self, flag: CK_FLAGS) -> bool {
        self.0 & flag != 0
    }
}

/// Identity and flags out of CK_TOKEN_INFO.
pub(super) fn read(info: &CK_TOKEN_INFO) -> (Identity, Flags) {
    let identity = Identity {
        label: unpadded(&info.label),
        manufacturer: unpadded(&info.manufacturerID),
        model: unpadded(&info.model),
        serial: unpadded(&info.serialNumber),
    };
    (identity, Flags(info.flags))
}

/// Fields are padded with blanks (PKCS#11 2.40 §3.2); some tokens pad with NUL.
fn unpadded(field: &[u8]) -> Vec<u8> {
    let end = field.iter().rposition(|octet| !matches!(octet, b' ' | 0)).map_or(0, |last| last + 1);
    field.get(..end).unwrap_or_default().to_vec()
}

/// A number as it is outside PKCS#11: CK_ULONG has 32 bits on some machines.
#[allow(clippy::useless_conversion)]
pub(super) fn wide(number: CK_ULONG) -> u64 {
    number.into()
}

/// What a slot tells about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SlotTexts {
    description: Vec<u8>,
    manufacturer: Vec<u8>,
}

impl From<&CK_SLOT_INFO> for SlotTexts {
    fn from(info: &CK_SLOT_INFO) -> Self {
        Self { description: unpadded(&info.slotDescription), manufacturer: unpadded(&info.manufacturerID) }
    }
}

/// What a module tells about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LibraryTexts {
    description: Vec<u8>,
    manufacturer: Vec<u8>,
    version: (u8, u8),
}

impl LibraryTexts {
    /// Everything in one line.
    pub(super) fn description(&self) -> String {
        let (major, minor) = self.version;
        let (manufacturer, description) =
            (String::from_utf8_lossy(&self.manufacturer), String::from_utf8_lossy(&self.description));
        format!("{manufacturer}: {description}, version {major}.{minor}")
    }
}

impl From<&CK_INFO> for LibraryTexts {
    fn from(info: &CK_INFO) -> Self {
        Self {
            description: unpadded(&info.libraryDescription),
            manufacturer: unpadded(&info.manufacturerID),
            version: (info.libraryVersion.major, info.libraryVersion.minor),
        }
    }
}

impl TokenSelector {
    /// Whether C_GetSlotInfo is needed to decide.
    pub(super) fn asks_for_slot(&self) -> bool {
        self.slot_description.is_some() || self.slot_manufacturer.is_some()
    }

    /// Whether C_GetInfo is needed to decide.
    pub(super) fn asks_for_library(&self) -> bool {
        self.library_description.is_some() || self.library_manufacturer.is_some() || self.library_version.is_some()
    }

    /// Whether what C_GetTokenInfo tells, and the slot's number, fit.
    pub(super) fn selects_token(&self, slot: CK_SLOT_ID, token: &Identity) -> bool {
        self.slot_id.is_none_or(|wanted| CK_SLOT_ID::try_from(wanted) == Ok(slot))
            && fits(&self.token, &token.label)
            && fits(&self.manufacturer, &token.manufacturer)
            && fits(&self.model, &token.model)
            && fits(&self.serial, &token.serial)
    }

    /// Whether what C_GetSlotInfo tells fits.
    pub(super) fn selects_slot(&self, slot: &SlotTexts) -> bool {
        fits(&self.slot_description, &slot.description) && fits(&self.slot_manufacturer, &slot.manufacturer)
    }

    /// Whether what C_GetInfo tells fits.
    pub(super) fn selects_library(&self, library: &LibraryTexts) -> bool {
        fits(&self.library_description, &library.description)
            && fits(&self.library_manufacturer, &library.manufacturer)
            && self.library_version.is_none_or(|wanted| wanted == library.version)
    }
}

fn fits(wanted: &Option<Vec<u8>>, found: &[u8]) -> bool {
    wanted.as_deref().is_none_or(|wanted| wanted == found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(label: &str, serial: &str) -> Identity {
        let mut info = CK_TOKEN_INFO { label: [b' '; 32], serialNumber: [b' '; 16], ..Default::default() };
        info.label[..label.len()].copy_from_slice(label.as_bytes());
        info.serialNumber[..serial.len()].copy_from_slice(serial.as_bytes());
        read(&info).0
    }

    fn selects(uri: &str, slot: u64, token: &Identity) -> bool {
        uri.parse::<Uri>().unwrap().token.selects_token(slot, token)
    }

    #[test]
    fn padding_is_not_part_of_a_label() {
        assert_eq!(token(" a b", "").label, b" a b");
        assert_eq!(token("", "").name(), "token with serial ''");
    }

    #[test]
    fn fields_are_compared_octet_by_octet() {
        let token = token("my token", "0001");
        for (uri, wanted) in [
            ("pkcs11:", true),
            ("pkcs11:token=my%20token;serial=0001", true),
            ("pkcs11:token=My%20token", false),
            ("pkcs11:token=my%20token%20", false),
            ("pkcs11:serial=1", false),
            ("pkcs11:slot-id=0", true),
            ("pkcs11:slot-id=1", false),
        ] {
            assert_eq!(selects(uri, 0, &token), wanted, "{uri}");
        }
    }

    #[test]
    fn an_empty_value_matches_only_an_empty_field() {
        assert!(selects("pkcs11:serial=", 0, &token("a", "")));
        assert!(!selects("pkcs11:serial=", 0, &token("a", "1")));
    }

    #[test]
    fn the_gravest_flag_speaks() {
        let low = Flags(CKF_USER_PIN_COUNT_LOW);
        assert_eq!(low.warning(), Some("a wrong PIN was entered since the last right one"));
        let last = Flags(CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY);
        assert_eq!(last.warning(), Some("one more wrong PIN locks the token"));
        assert_eq!(Flags(CKF_LOGIN_REQUIRED).warning(), None);
    }

    #[test]
    fn slot_and_library_are_asked_only_when_the_uri_names_them() {
        let uri: Uri = "pkcs11:token=a;slot-id=0".parse().unwrap();
        assert!(!uri.token.asks_for_slot() && !uri.token.asks_for_library());
        let uri: Uri = "pkcs11:slot-manufacturer=a;library-version=2".parse().unwrap();
        assert!(uri.token.asks_for_slot() && uri.token.asks_for_library());
        assert!(uri.token.selects_library(&LibraryTexts { version: (2, 0), ..Default::default() }));
        assert!(!uri.token.selects_library(&LibraryTexts { version: (2, 1), ..Default::default() }));
    }
}
