//! Errors of the key layer, grouped by what a person can do about them. Hints and exit codes are the command line's.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;

use super::secret::kind::SecretKind;

/// What a person can do about a [`KeyError`]: each kind asks for another remedy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyErrorKind {
    /// A reference or a secret source cannot be read as one: mend the text.
    Reference,
    /// The library, module, device or file cannot be reached: install it, name another, or start it.
    Unreachable,
    /// The operating system forbids it, or the device is write-protected: change who runs this, the mode, or the device.
    Permission,
    /// Nothing matches the reference: mend the reference, or make what it names.
    NotFound,
    /// Several things match the reference: narrow it.
    Ambiguous,
    /// Something has the name already, and nothing is overwritten: name another, or say that it may be replaced.
    Taken,
    /// The key exists and cannot be used this way (algorithm, attribute, policy, format): convert it or make another.
    Unsupported,
    /// The key is not the one the certificate certifies.
    Mismatch,
    /// A secret is needed and no source gave one.
    SecretMissing,
    /// The device refused the secret; it was tried once.
    SecretWrong,
    /// The device would lock, or is locked; nothing was tried.
    SecretLocked,
    /// The device did not answer within the limit.
    Timeout,
    /// The device failed in a way that names no remedy of its own.
    Device,
}

/// What may mend a [`KeyError`] beyond its kind; the command line turns it into a command.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Advice {
    /// Look at what is on the module's tokens.
    ListToken {
        /// The PKCS#11 module that was asked.
        module: String,
    },
    /// Install this package of the distribution.
    Install {
        /// Package name, as Debian and Ubuntu have it.
        package: &'static str,
    },
    /// Let the account use the device by this group.
    JoinGroup {
        /// Name of the group that owns the device.
        group: String,
    },
    /// Name one of these references, each of which can be pasted back.
    ChooseOne {
        /// References without secrets.
        references: Vec<String>,
    },
    /// The file is of a kind that a command converts.
    Convert {
        /// The whole command.
        command: String,
    },
    /// Name the private key, which is not with its certificate.
    NameKey,
    /// Name it by another flag.
    NameBy {
        /// The flag.
        flag: &'static str,
        /// What it is to say.
        reference: String,
    },
    /// Give the secret by a source.
    GiveSecret {
        /// The flag that names a source for it.
        flag: &'static str,
        /// The environment variable that holds it; `None` where a chosen source wins over it.
        variable: Option<&'static str>,
    },
    /// Give another secret, which the prompt can ask for.
    TypeSecret {
        /// The flag that names a source for it.
        flag: &'static str,
    },
    /// Write the source of a secret in a form that is known.
    NameSource,
    /// Put the secret into its file.
    WriteSecret {
        /// The file.
        path: PathBuf,
    },
    /// Set the environment variable that is to hold the secret.
    SetVariable {
        /// Its name.
        name: String,
    },
    /// Open the descriptor that the secret is to be read from.
    OpenDescriptor {
        /// Its number.
        number: i32,
    },
    /// Let systemd give the service a credential.
    LoadCredential {
        /// Its name.
        name: String,
    },
    /// Name another PKCS#11 module.
    ChooseModule {
        /// One that is there and has nearly the name that was given.
        similar: Option<String>,
    },
    /// Pass a flag that allows what was refused.
    Allow {
        /// The flag.
        flag: &'static str,
    },
    /// Run this command.
    Run {
        /// The whole command.
        command: String,
    },
}

/// A failure of a key, a token, a TPM or a key file.
#[derive(Debug)]
pub struct KeyError {
    kind: KeyErrorKind,
    /// What was wanted and what was found: lower case, no full stop, never a secret.
    message: String,
    /// The device's own word, such as `CKR_PIN_INCORRECT from C_Login`.
    code: Option<String>,
    advice: Option<Advice>,
    /// The secret that the device refused.
    refused: Option<SecretKind>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl KeyError {
    /// A failure that says what was wanted and what was found.
    pub fn new(kind: KeyErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), code: None, advice: None, refused: None, source: None }
    }

    /// Adds the device's own code, which is printed last.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// Adds what may mend it.
    #[must_use]
    pub fn with_advice(mut self, advice: Advice) -> Self {
        self.advice = Some(advice);
        self
    }

    /// Says which secret was given and refused.
    #[must_use]
    pub fn with_refused_secret(mut self, kind: SecretKind) -> Self {
        self.refused = Some(kind);
        self
    }

    /// Says where the secret comes from that was given and refused, unless somebody has typed it.
    #[must_use]
    pub fn with_origin(mut self, origin: Option<&str>) -> Self {
        if let Some(origin) = origin {
            self.message = format!("{}; it comes from {origin}", self.message);
        }
        self
    }

    /// Adds the error underneath.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Puts a fact of an outer layer before the message, such as which file was read.
    #[must_use]
    pub fn context(mut self, fact: impl fmt::Display) -> Self {
        self.message = format!("{fact}: {}", self.message);
        self
    }

    /// What a person can do about it.
    pub fn kind(&self) -> KeyErrorKind {
        self.kind
    }

    /// What may mend it, beyond its kind.
    pub fn advice(&self) -> Option<&Advice> {
        self.advice.as_ref()
    }

    /// Which secret was given and refused.
    pub fn refused_secret(&self) -> Option<SecretKind> {
        self.refused
    }

    /// The device's own code.
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.code {
            Some(code) => write!(f, " ({code})"),
            None => Ok(()),
        }
    }
}

impl Error for KeyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
