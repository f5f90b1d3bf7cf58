//! TPM response codes (part 2 §6.6) decoded to name, meaning and what to do; the backend's one error table.

use std::fmt;

use super::super::error::KeyErrorKind::{
    self, Device, NotFound, Reference, SecretLocked, SecretWrong, Unreachable, Unsupported,
};
use super::super::error::{Advice, KeyError};

/// A TPM_RC other than success, as it came from the TPM.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct ResponseCode(u32);

impl ResponseCode {
    pub(super) const HANDLE: u32 = 0x08b;
    pub(super) const AUTH_FAIL: u32 = 0x08e;
    pub(super) const HASH: u32 = 0x083;
    pub(super) const SCHEME: u32 = 0x092;
    pub(super) const VALUE: u32 = 0x084;
    pub(super) const INTEGRITY: u32 = 0x09f;
    pub(super) const BAD_AUTH: u32 = 0x0a2;
    pub(super) const YIELDED: u32 = 0x908;
    pub(super) const CANCELED: u32 = 0x909;
    pub(super) const TESTING: u32 = 0x90a;
    pub(super) const LOCKOUT: u32 = 0x921;
    pub(super) const RETRY: u32 = 0x922;

    /// From the code in a response; `None` for success.
    pub(super) fn new(code: u32) -> Option<Self> {
        (code != 0).then_some(Self(code))
    }

    /// The code without what says where: for format-one codes the number of the handle, session or parameter.
    pub(super) fn base(self) -> u32 {
        // Resource managers put their layer into the upper half.
        let code = self.0 & 0xffff;
        if code & 0x080 != 0 { code & 0x0bf } else { code }
    }

    /// What the code is about, for format-one codes.
    fn place(self) -> Option<String> {
        if self.0 & 0x080 == 0 {
            return None;
        }
        let number = self.0 >> 8 & 0xf;
        let (what, number) = match (self.0 & 0x040 != 0, number & 0x8 != 0) {
            (true, _) => ("parameter", number),
            (false, true) => ("session", number & 0x7),
            (false, false) => ("handle", number),
        };
        (number != 0).then(|| format!("{what} {number}"))
    }

    fn entry(self) -> Option<&'static Entry> {
        TABLE.iter().find(|entry| entry.code == self.base())
    }

    /// The specification's name.
    pub(super) fn name(self) -> &'static str {
        self.entry().map_or("an unknown TPM response code", |entry| entry.name)
    }
}

/// As the device's own code is printed: `TPM_RC_INTEGRITY, parameter 1, 0x1df`.
impl fmt::Display for ResponseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        if let Some(place) = self.place() {
            write!(f, ", {place}")?;
        }
        write!(f, ", 0x{:03x}", self.0)
    }
}

/// Why work with a TPM failed, as long as the backend may still want to know the code.
pub(super) enum Fault {
    /// The TPM answered a command with a code.
    Response {
        /// The command's name.
        command: &'static str,
        /// The code.
        code: ResponseCode,
    },
    /// Anything else.
    Key(KeyError),
}

impl Fault {
    /// Whether the TPM answered with this base code.
    pub(super) fn is(&self, base: u32) -> bool {
        matches!(self, Self::Response { code, .. } if code.base() == base)
    }

    /// Whether the TPM refused an authorisation value.
    pub(super) fn is_wrong_secret(&self) -> bool {
        self.is(ResponseCode::AUTH_FAIL) || self.is(ResponseCode::BAD_AUTH)
    }

    /// Whether the TPM cannot be reached any more, so that further commands are of no use.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self, Self::Key(error) if error.kind() == Unreachable)
    }

    /// As [`KeyError::with_code`] wants it.
    pub(super) fn code(&self) -> String {
        match self {
            Self::Response { command, code } => format!("{code} from {command}"),
            Self::Key(error) => error.code().unwrap_or_default().to_owned(),
        }
    }
}

impl From<KeyError> for Fault {
    fn from(error: KeyError) -> Self {
        Self::Key(error)
    }
}

impl From<Fault> for KeyError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Key(error) => error,
            Fault::Response { command, code } => {
                let (kind, meaning, remedy) =
                    code.entry().map_or((KeyErrorKind::Device, "the TPM refused the command", None), |entry| {
                        (entry.kind, entry.meaning, entry.remedy)
                    });
                let error = KeyError::new(kind, meaning).with_code(format!("{code} from {command}"));
                match remedy {
                    Some(command) => error.with_advice(Advice::Run { command: command.to_owned() }),
                    None => error,
                }
            }
        }
    }
}

struct Entry {
    code: u32,
    name: &'static str,
    kind: KeyErrorKind,
    /// What it means, and what to do where no command mends it.
    meaning: &'static str,
    /// A command that mends it.
    remedy: Option<&'static str>,
}

const fn entry(code: u32, name: &'static str, kind: KeyErrorKind, meaning: &'static str) -> Entry {
    Entry { code, name, kind, meaning, remedy: None }
}

const fn mended(
    code: u32,
    name: &'static str,
    kind: KeyErrorKind,
    meaning: &'static str,
    remedy: &'static str,
) -> Entry {
    Entry { code, name, kind, meaning, remedy: Some(remedy) }
}

/// Part 2 §6.6.3; codes that this program's commands cannot provoke are left out and print as unknown.
const TABLE: &[Entry] = &[
    entry(0x081, "TPM_RC_ASYMMETRIC", Unsupported, "this TPM lacks the key's algorithm: make a P-256 or RSA-2048 key"),
    entry(0x082, "TPM_RC_ATTRIBUTES", Unsupported, "the key's attributes do not allow this: make a key that may sign"),
    entry(0x083, "TPM_RC_HASH", Unsupported, "this TPM lacks the hash, or does not take it with this key"),
    entry(
        0x084,
        "TPM_RC_VALUE",
        Unsupported,
        "the TPM finds a value out of its range: it may lack the algorithm or size",
    ),
    entry(0x085, "TPM_RC_HIERARCHY", Unsupported, "the hierarchy is disabled, or not the right one for this handle"),
    entry(0x087, "TPM_RC_KEY_SIZE", Unsupported, "this TPM lacks this key size: make an RSA-2048 or P-256 key"),
    entry(0x089, "TPM_RC_MODE", Unsupported, "this TPM lacks a cipher mode that the key needs"),
    entry(
        0x08a,
        "TPM_RC_TYPE",
        Unsupported,
        "the object is not of a type that can do this, such as a parent that is no storage key",
    ),
    entry(0x08b, "TPM_RC_HANDLE", NotFound, "the TPM has nothing at this handle"),
    entry(0x08c, "TPM_RC_KDF", Unsupported, "this TPM lacks the key derivation"),
    entry(0x08d, "TPM_RC_RANGE", Unsupported, "a handle or value is outside the range that is allowed here"),
    entry(0x08e, "TPM_RC_AUTH_FAIL", SecretWrong, "the TPM refused the password, and counts it towards lockout"),
    entry(0x08f, "TPM_RC_NONCE", Device, "the session's nonces do not fit: another program may have used the session"),
    entry(0x090, "TPM_RC_PP", Device, "the command wants physical presence"),
    entry(0x092, "TPM_RC_SCHEME", Unsupported, "the key or the TPM does not take this signature scheme"),
    entry(
        0x095,
        "TPM_RC_SIZE",
        Unsupported,
        "the TPM finds a field of the wrong size: the key file is damaged or the password too long",
    ),
    entry(0x096, "TPM_RC_SYMMETRIC", Unsupported, "this TPM lacks a symmetric algorithm that the key needs"),
    entry(0x097, "TPM_RC_TAG", Device, "the TPM finds a wrong structure tag"),
    entry(0x098, "TPM_RC_SELECTOR", Unsupported, "the TPM finds a wrong union selector: the key file is damaged"),
    entry(0x09a, "TPM_RC_INSUFFICIENT", Unsupported, "the TPM finds too few octets: the key file is damaged"),
    entry(0x09b, "TPM_RC_SIGNATURE", Device, "a signature does not verify"),
    entry(0x09c, "TPM_RC_KEY", Unsupported, "the key cannot be used for this"),
    entry(0x09d, "TPM_RC_POLICY_FAIL", Unsupported, "the key's policy is not met"),
    entry(0x09f, "TPM_RC_INTEGRITY", Unsupported, "the key belongs to another parent or TPM, or the file is damaged"),
    entry(0x0a0, "TPM_RC_TICKET", Device, "the TPM finds an invalid ticket"),
    entry(0x0a1, "TPM_RC_RESERVED_BITS", Unsupported, "reserved attribute bits are set: the key file is damaged"),
    entry(0x0a2, "TPM_RC_BAD_AUTH", SecretWrong, "the TPM refused the password; it does not count towards lockout"),
    entry(0x0a3, "TPM_RC_EXPIRED", Unsupported, "the policy has expired"),
    entry(0x0a4, "TPM_RC_POLICY_CC", Unsupported, "the key's policy does not allow TPM2_Sign"),
    entry(
        0x0a5,
        "TPM_RC_BINDING",
        Unsupported,
        "the public and the private half do not belong together: the key file is damaged",
    ),
    entry(0x0a6, "TPM_RC_CURVE", Unsupported, "this TPM lacks the key's curve: make a P-256 or RSA-2048 key"),
    entry(0x0a7, "TPM_RC_ECC_POINT", Unsupported, "a point is not on its curve: the key file is damaged"),
    mended(0x100, "TPM_RC_INITIALIZE", Device, "the TPM has not been started", "tpm2_startup -c"),
    entry(0x101, "TPM_RC_FAILURE", Device, "the TPM is in failure mode: restart the machine"),
    entry(0x120, "TPM_RC_DISABLED", Unsupported, "the command is disabled in this TPM"),
    entry(0x124, "TPM_RC_AUTH_TYPE", Unsupported, "the object is not authorised in this way"),
    entry(0x125, "TPM_RC_AUTH_MISSING", Device, "an authorisation is missing"),
    entry(0x126, "TPM_RC_POLICY", Unsupported, "the policy cannot be carried out"),
    entry(0x127, "TPM_RC_PCR", Unsupported, "the PCR policy cannot be carried out"),
    entry(0x128, "TPM_RC_PCR_CHANGED", Device, "a PCR changed after the policy was checked: try again"),
    entry(
        0x12f,
        "TPM_RC_AUTH_UNAVAILABLE",
        Unsupported,
        "the object cannot be authorised in this way: it wants a policy",
    ),
    entry(0x130, "TPM_RC_REBOOT", Device, "the TPM wants a restart of the machine"),
    entry(0x143, "TPM_RC_COMMAND_CODE", Unsupported, "this TPM lacks the command"),
    entry(
        0x14b,
        "TPM_RC_NV_SPACE",
        Device,
        "the TPM has no room for another persistent object: remove one with tpm2_evictcontrol",
    ),
    entry(
        0x14c,
        "TPM_RC_NV_DEFINED",
        Reference,
        "the persistent handle is taken already, and nothing is overwritten: name another",
    ),
    entry(0x152, "TPM_RC_PARENT", Unsupported, "the parent is no storage key"),
    entry(0x153, "TPM_RC_NEEDS_TEST", Device, "the TPM has not tested the algorithm: try again"),
    entry(0x155, "TPM_RC_SENSITIVE", Unsupported, "the private half is not a valid one: the key file is damaged"),
    mended(
        0x902,
        "TPM_RC_OBJECT_MEMORY",
        Device,
        "the TPM has no room for another loaded key; other programs left keys in it",
        "tpm2_flushcontext --transient-object",
    ),
    mended(
        0x903,
        "TPM_RC_SESSION_MEMORY",
        Device,
        "the TPM has no room for another session; other programs left sessions in it",
        "tpm2_flushcontext --loaded-session",
    ),
    entry(0x904, "TPM_RC_MEMORY", Device, "the TPM is out of memory: try again"),
    mended(
        0x905,
        "TPM_RC_SESSION_HANDLES",
        Device,
        "the TPM has no session handle left; other programs left sessions in it",
        "tpm2_flushcontext --loaded-session",
    ),
    mended(
        0x906,
        "TPM_RC_OBJECT_HANDLES",
        Device,
        "the TPM has no object handle left; other programs left keys in it",
        "tpm2_flushcontext --transient-object",
    ),
    entry(0x907, "TPM_RC_LOCALITY", Unsupported, "the command is not allowed at this locality"),
    entry(0x908, "TPM_RC_YIELDED", Device, "the TPM put the command off again and again: try later"),
    entry(0x909, "TPM_RC_CANCELED", Device, "the command was cancelled"),
    entry(0x90a, "TPM_RC_TESTING", Device, "the TPM is still testing itself: try later"),
    entry(0x920, "TPM_RC_NV_RATE", Device, "the TPM limits writes to its memory: try later"),
    entry(
        0x921,
        "TPM_RC_LOCKOUT",
        SecretLocked,
        "the TPM is in dictionary-attack lockout: it refuses every key that is not exempt, whatever the password",
    ),
    entry(0x922, "TPM_RC_RETRY", Unreachable, "the TPM stayed busy: try later"),
    entry(0x923, "TPM_RC_NV_UNAVAILABLE", Device, "the TPM's memory is not available: try later"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(code: u32) -> Fault {
        Fault::Response { command: "TPM2_Sign", code: ResponseCode::new(code).unwrap() }
    }

    #[test]
    fn codes_are_recognised_with_and_without_their_place() {
        assert!(fault(0x98e).is(ResponseCode::AUTH_FAIL));
        assert!(fault(0x9a2).is(ResponseCode::BAD_AUTH));
        assert!(fault(0x18b).is(ResponseCode::HANDLE));
        assert!(fault(0x1df).is(ResponseCode::INTEGRITY));
        assert!(fault(0x921).is(ResponseCode::LOCKOUT));
        assert!(fault(0x000b_0922).is(ResponseCode::RETRY), "with a resource manager's layer");
    }

    #[test]
    fn a_code_prints_its_name_its_place_and_its_command() {
        assert_eq!(fault(0x98e).code(), "TPM_RC_AUTH_FAIL, session 1, 0x98e from TPM2_Sign");
        assert_eq!(fault(0x1df).code(), "TPM_RC_INTEGRITY, parameter 1, 0x1df from TPM2_Sign");
        assert_eq!(fault(0x921).code(), "TPM_RC_LOCKOUT, 0x921 from TPM2_Sign");
        assert_eq!(fault(0x1ff).code(), "an unknown TPM response code, parameter 1, 0x1ff from TPM2_Sign");
    }

    #[test]
    fn every_code_appears_once_and_in_order() {
        assert!(TABLE.windows(2).all(|pair| pair[0].code < pair[1].code));
    }
}
