//! The error table: what a PKCS#11 return value means to a person. Knows no session and no words of a hint.

use std::path::Path;

use cryptoki::context::Function;
use cryptoki::error::{Error, RvError};

use super::super::error::{Advice, KeyError, KeyErrorKind};

/// Words for a call that failed while it concerned this device (a token or a module).
pub(super) fn refused(error: &Error, device: &str) -> KeyError {
    let (kind, message) = match error {
        Error::Pkcs11(rv, function) => meaning(*rv, *function),
        Error::NullFunctionPointer => (KeyErrorKind::Unsupported, "the module lacks a function that this needs"),
        _ => (KeyErrorKind::Device, "the module gave an answer that cannot be read"),
    };
    let failure = KeyError::new(kind, format!("{device}: {message}"));
    match code(error) {
        Some(code) => failure.with_code(code),
        None => failure,
    }
}

/// The device's own word, `CKR_PIN_INCORRECT from C_Login`.
pub(super) fn code(error: &Error) -> Option<String> {
    let Error::Pkcs11(rv, function) = error else { return None };
    let name = match rv {
        RvError::VendorDefined(value) => format!("vendor's error 0x{value:08X}"),
        RvError::UnknownErrorCode(value) => format!("unknown error 0x{value:08X}"),
        // cryptoki's names are the standard's in another case.
        named => format!("CKR{}", upper_snake(&format!("{named:?}"))),
    };
    Some(format!("{name} from C_{function:?}"))
}

fn upper_snake(camel: &str) -> String {
    camel.chars().fold(String::new(), |mut text, character| {
        if character.is_ascii_uppercase() {
            text.push('_');
        }
        text.push(character.to_ascii_uppercase());
        text
    })
}

/// The token is not there any more, or not the one it was: its session and its handles are worth nothing.
pub(super) fn is_loss(error: &Error) -> bool {
    matches!(
        error,
        Error::Pkcs11(
            RvError::DeviceRemoved
                | RvError::TokenNotPresent
                | RvError::TokenNotRecognized
                | RvError::SessionHandleInvalid
                | RvError::SessionClosed
                | RvError::SlotIdInvalid
                | RvError::KeyHandleInvalid
                | RvError::ObjectHandleInvalid
                | RvError::DeviceError
                | RvError::CryptokiNotInitialized,
            _
        )
    )
}

/// The device refused the secret itself.
pub(super) fn is_wrong_pin(error: &Error) -> bool {
    matches!(error, Error::Pkcs11(RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange, _))
}

/// What a token that cannot be changed says, by its flags or when it is tried.
pub(super) const WRITE_PROTECTED: &str = "the token is write-protected";

/// The token refuses a template, and may take another that says the same (see `dialect`).
pub(super) fn is_other_dialect(error: &Error) -> bool {
    matches!(
        error,
        Error::Pkcs11(
            RvError::TemplateInconsistent | RvError::AttributeTypeInvalid | RvError::AttributeValueInvalid,
            _
        )
    )
}

fn meaning(rv: RvError, function: Function) -> (KeyErrorKind, &'static str) {
    use KeyErrorKind as Kind;
    match (rv, function) {
        (RvError::PinIncorrect | RvError::PinInvalid, _) => (Kind::SecretWrong, "the PIN is wrong"),
        (RvError::PinLenRange, _) => (Kind::SecretWrong, "the PIN is too short or too long for this token"),
        (RvError::PinExpired, _) => (Kind::SecretWrong, "the PIN has expired: the token wants it changed first"),
        (RvError::PinLocked, _) => (Kind::SecretLocked, "the PIN is locked"),
        (RvError::UserPinNotInitialized, _) => {
            (Kind::SecretMissing, "the token has no user PIN yet: its administrator sets it")
        }
        (RvError::UserNotLoggedIn, _) => (Kind::SecretMissing, "the token wants a login for this"),
        (RvError::FunctionCanceled | RvError::Cancel, _) => {
            (Kind::SecretMissing, "the entry was cancelled at the device")
        }
        (RvError::FunctionRejected, _) => (Kind::Device, "the operation was declined at the device"),
        (RvError::UserAnotherAlreadyLoggedIn | RvError::UserTooManyTypes, _) => {
            (Kind::Device, "another user is logged in to the token")
        }
        (RvError::DeviceRemoved | RvError::TokenNotPresent | RvError::SlotIdInvalid, _) => {
            (Kind::Unreachable, "the token was taken away")
        }
        (RvError::SessionHandleInvalid | RvError::SessionClosed, _) => {
            (Kind::Unreachable, "the token was taken away or reset: its session has ended")
        }
        (RvError::KeyHandleInvalid | RvError::ObjectHandleInvalid, _) => {
            (Kind::Unreachable, "the token was exchanged or its objects have changed")
        }
        (RvError::TokenNotRecognized, _) => (Kind::Unreachable, "the module does not know this kind of token"),
        (RvError::SessionCount, _) => (Kind::Unreachable, "the token has no session left: other programs hold them"),
        (RvError::TokenWriteProtected | RvError::SessionReadOnly, _) => (Kind::Permission, WRITE_PROTECTED),
        (RvError::ActionProhibited, _) => (Kind::Permission, "the token does not allow this"),
        (RvError::DeviceMemory, Function::GenerateKeyPair | Function::CreateObject) => {
            (Kind::Device, "the token is full: take out what is no longer needed")
        }
        (
            RvError::MechanismInvalid
            | RvError::MechanismParamInvalid
            | RvError::KeySizeRange
            | RvError::CurveNotSupported
            | RvError::DomainParamsInvalid,
            Function::GenerateKeyPair,
        ) => (Kind::Unsupported, "the token does not make keys of this type and size"),
        (
            RvError::TemplateInconsistent
            | RvError::TemplateIncomplete
            | RvError::AttributeTypeInvalid
            | RvError::AttributeValueInvalid
            | RvError::AttributeReadOnly,
            _,
        ) => (Kind::Unsupported, "the token does not take an object with these attributes"),
        (RvError::MechanismInvalid | RvError::MechanismParamInvalid, _) => {
            (Kind::Unsupported, "the token does not offer the mechanism that this key needs")
        }
        (RvError::KeyFunctionNotPermitted, _) => (Kind::Unsupported, "the token does not let this key sign"),
        (RvError::KeyTypeInconsistent | RvError::KeySizeRange | RvError::CurveNotSupported, _) => {
            (Kind::Unsupported, "the token cannot sign with a key of this type and size")
        }
        (RvError::DataLenRange | RvError::DataInvalid, _) => {
            (Kind::Unsupported, "the token does not sign a digest of this length")
        }
        (RvError::FunctionNotSupported, _) => (Kind::Unsupported, "the module does not support this function"),
        (RvError::DeviceError | RvError::DeviceMemory, _) => {
            (Kind::Device, "the device failed (a network HSM also says so when it has too much to do)")
        }
        (RvError::FipsSelfTestFailed, _) => (Kind::Device, "the device failed its self-test"),
        (RvError::HostMemory, _) => (Kind::Device, "the module found no memory"),
        _ => (Kind::Device, "the module failed"),
    }
}

/// A module whose C_Initialize failed: most often its configuration is missing, or not readable for this account.
pub(super) fn failed_to_start(error: &Error, module: &Path) -> KeyError {
    let name = module.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let remedy =
        CONFIGURATIONS.iter().find(|(part, _)| name.contains(part)).map_or(
            "its configuration or its service may be missing, or not readable for this account",
            |(_, remedy)| remedy,
        );
    KeyError::new(
        KeyErrorKind::Unreachable,
        format!("the PKCS#11 module {} failed to start: {remedy}", module.display()),
    )
    .with_code(code(error).unwrap_or_else(|| "C_Initialize is missing".to_owned()))
}

/// What well-known modules want before they start, by a part of their file's name.
const CONFIGURATIONS: [(&str, &str); 7] = [
    (
        "softhsm",
        "SoftHSM reads the file that SOFTHSM2_CONF names, else /etc/softhsm/softhsm2.conf, and wants that file and the \
         token folder in it readable",
    ),
    ("kryoptic", "kryoptic reads the file that KRYOPTIC_CONF names"),
    ("yubihsm", "yubihsm_pkcs11 reads the file that YUBIHSM_PKCS11_CONF names, and its connector must run"),
    ("tpm2_pkcs11", "tpm2-pkcs11 wants a store (TPM2_PKCS11_STORE) and a TPM that this account may use"),
    ("kmsp11", "the library for Google Cloud KMS reads the file that KMS_PKCS11_CONFIG names"),
    ("cloudhsm", "the CloudHSM library wants its client configured (configure-pkcs11)"),
    ("softokn", "NSS wants start arguments that this program does not give: use its database through p11-kit"),
];

/// The package that brings a module, by a part of its file's name.
pub(super) fn package_of(module: &str) -> Option<Advice> {
    let name = module.to_lowercase();
    [
        ("softhsm", "softhsm2"),
        ("opensc", "opensc"),
        ("p11-kit", "p11-kit"),
        ("ykcs11", "ykcs11"),
        ("tpm2", "libtpm2-pkcs11-1"),
    ]
    .into_iter()
    .find(|(part, _)| name.contains(part))
    .map(|(_, package)| Advice::Install { package })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(rv: RvError, function: Function) -> (KeyErrorKind, String) {
        let error = refused(&Error::Pkcs11(rv, function), "token 'test'");
        (error.kind(), error.to_string())
    }

    #[test]
    fn codes_carry_the_names_of_the_standard() {
        for (rv, function, wanted) in [
            (RvError::PinIncorrect, Function::Login, "CKR_PIN_INCORRECT from C_Login"),
            (RvError::GeneralError, Function::Initialize, "CKR_GENERAL_ERROR from C_Initialize"),
            (
                RvError::SessionReadWriteSoExists,
                Function::OpenSession,
                "CKR_SESSION_READ_WRITE_SO_EXISTS from C_OpenSession",
            ),
            (RvError::VendorDefined(0x8000_0001), Function::Sign, "vendor's error 0x80000001 from C_Sign"),
            (RvError::UnknownErrorCode(0x4711), Function::SignInit, "unknown error 0x00004711 from C_SignInit"),
        ] {
            assert_eq!(code(&Error::Pkcs11(rv, function)).as_deref(), Some(wanted));
        }
    }

    #[test]
    fn each_remedy_has_its_kind() {
        use KeyErrorKind as Kind;
        for (rv, wanted) in [
            (RvError::PinIncorrect, Kind::SecretWrong),
            (RvError::PinLocked, Kind::SecretLocked),
            (RvError::DeviceRemoved, Kind::Unreachable),
            (RvError::TokenNotPresent, Kind::Unreachable),
            (RvError::SessionHandleInvalid, Kind::Unreachable),
            (RvError::MechanismInvalid, Kind::Unsupported),
            (RvError::KeyFunctionNotPermitted, Kind::Unsupported),
            (RvError::UserNotLoggedIn, Kind::SecretMissing),
            (RvError::DeviceError, Kind::Device),
            (RvError::VendorDefined(0x8000_0001), Kind::Device),
        ] {
            assert_eq!(said(rv, Function::Sign).0, wanted, "{rv:?}");
        }
    }

    #[test]
    fn the_code_comes_last() {
        let (_, text) = said(RvError::DeviceRemoved, Function::Sign);
        assert_eq!(text, "token 'test': the token was taken away (CKR_DEVICE_REMOVED from C_Sign)");
    }

    #[test]
    fn softhsm_without_its_configuration_names_the_variable() {
        let error = Error::Pkcs11(RvError::GeneralError, Function::Initialize);
        let error = failed_to_start(&error, Path::new("/usr/lib/softhsm/libsofthsm2.so"));
        assert_eq!(error.kind(), KeyErrorKind::Unreachable);
        let text = error.to_string();
        assert!(text.contains("SOFTHSM2_CONF") && text.contains("libsofthsm2.so failed to start"), "{text}");
        assert!(text.ends_with("(CKR_GENERAL_ERROR from C_Initialize)"), "{text}");
    }
}
