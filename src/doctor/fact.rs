//! What the checks find, as typed values: a family of checks has a type of its own. Knows neither how it was found nor how good
//! it is.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use super::check::Check;
use crate::config::{ConfigError, Location};
use crate::files::Access;
use crate::files::profiles::ProfileName;
use crate::identity::{IdentityError, IdentityReference};
use crate::key::{KeyAlgorithm, KeyAttributes, KeyError, Landmark, SecretKind, SourceState, Tries};
use crate::rolesanywhere::{ConnectionError, NetworkLandmark, RequestError};
use crate::x509::requirements::{Requirement, Violation};

/// What was found, by its family.
#[derive(Debug)]
pub enum Fact {
    /// The configuration file.
    Configuration(ConfigurationFact),
    /// Variables and other programs' files.
    Environment(EnvironmentFact),
    /// The references that are looked at.
    Identity(Box<IdentityReference>),
    /// The way to the device.
    Device(DeviceFact),
    /// PINs and passwords.
    Secret(SecretFact),
    /// The certificate.
    Certificate(CertificateFact),
    /// The key.
    Key(KeyFact),
    /// The issuers.
    Chain(ChainFact),
    /// What is asked for.
    Session(SessionFact),
    /// The way to the endpoint.
    Network(NetworkFact),
    /// The time.
    Clock(ClockFact),
    /// Flags or file cannot be understood; who read them knows why.
    Misread,
    /// Nothing: this check failed before, and the skipped one stands on it.
    Awaits(Check),
}

macro_rules! families {
    ($($family:ident($fact:ty),)*) => {
        $(impl From<$fact> for Fact {
            fn from(fact: $fact) -> Self {
                Self::$family(fact)
            }
        })*
    };
}

families! {
    Configuration(ConfigurationFact),
    Environment(EnvironmentFact),
    Device(DeviceFact),
    Secret(SecretFact),
    Certificate(CertificateFact),
    Key(KeyFact),
    Chain(ChainFact),
    Session(SessionFact),
    Network(NetworkFact),
    Clock(ClockFact),
}

/// What was found of the leaf.
#[derive(Debug)]
pub enum CertificateFact {
    /// It can be read.
    Found {
        /// Whom it names.
        subject: String,
        /// Its serial number in hexadecimal.
        serial: String,
    },
    /// There is none, or which of several is meant cannot be told without a login.
    Hidden(IdentityError),
    /// There is none that can be used.
    Unusable(IdentityError),
    /// It meets this requirement.
    Meets(Requirement),
    /// It is valid now.
    Valid(Validity),
    /// It does not meet it.
    Violates(Violation),
}

/// How long a certificate still lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validity {
    /// Its last moment.
    pub until: Timestamp,
    /// Whole days until then.
    pub days_left: i64,
}

/// What was found of what is sent with the leaf.
#[derive(Debug)]
pub enum ChainFact {
    /// What is sent with the leaf, by subjects, the leaf's issuer first.
    Path {
        /// What is sent.
        sent: Vec<String>,
        /// The root that it ends in, where that was found.
        root: Option<String>,
        /// The issuer that was not found, and so must be the trust anchor.
        missing: Option<String>,
        /// How many certificates were found that are not on it.
        left_out: usize,
    },
    /// A certificate has the missing issuer's name and did not sign what it should have.
    WrongIssuer {
        /// Its subject.
        issuer: String,
        /// What it did not sign.
        subject: String,
    },
    /// None of the certificates that were named as intermediates is on the path.
    Strangers {
        /// The issuer that was sought.
        wanted: String,
        /// How many were named.
        named: usize,
    },
    /// The path cannot be found.
    Unusable(IdentityError),
    /// It ends at a trust anchor that was given.
    Anchored,
    /// It does not.
    NotAnchored {
        /// The issuer that it ends before.
        missing: String,
        /// The anchors' subjects.
        anchors: Vec<String>,
    },
    /// The leaf signed itself.
    SelfSigned,
    /// Every issuer is a CA as it must be; how many there are.
    Authorities(usize),
    /// An issuer is not as Roles Anywhere wants it.
    Unfit {
        /// Its subject.
        subject: String,
        /// What speaks against it.
        violations: Vec<Violation>,
    },
    /// Every issuer is valid.
    Valid {
        /// The first end among them.
        first: Validity,
    },
}

/// What was found of this machine's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockFact {
    /// How many seconds it is ahead of the service's; negative where it is behind.
    Ahead(i64),
    /// The answer has no date.
    Unknown,
}

/// What was found of the configuration file.
#[derive(Debug)]
pub enum ConfigurationFact {
    /// Nothing says where it would be.
    NoPlace,
    /// There is none, and nobody named one.
    Absent(Location),
    /// It can be used.
    Read {
        /// Where it is.
        location: Location,
        /// Names of its identities.
        identities: Vec<String>,
        /// How many consumers it has.
        consumers: usize,
    },
    /// It cannot.
    Unusable(Location, ConfigError),
    /// Its permissions.
    Access(Access),
}

/// What was found of the way to the device.
#[derive(Debug)]
pub enum DeviceFact {
    /// It is there.
    Found(Landmark),
    /// It is not, or cannot be used.
    Failed {
        /// Why.
        error: KeyError,
        /// The library that was found before.
        library: Option<PathBuf>,
    },
}

/// What was found of variables and profiles.
#[derive(Debug)]
pub enum EnvironmentFact {
    /// Variables that are set, by name.
    Settings(Vec<&'static str>),
    /// No variable gives other credentials.
    NoCredentials,
    /// These do; with what goes with them.
    Credentials(Vec<&'static str>),
    /// The profile that SDKs take, as its files have it.
    Profile {
        /// Its name.
        profile: ProfileName,
        /// The program that its `credential_process` runs, without its arguments.
        process: Option<String>,
        /// The credentials file, and the settings there that SDKs take first, with their lines.
        before: Option<(PathBuf, Vec<(String, usize)>)>,
    },
}

/// What was found of the key.
#[derive(Debug)]
pub enum KeyFact {
    /// It is there.
    Found {
        /// A reference that selects it again.
        reference: String,
        /// Its type, where the device shows it.
        algorithm: Option<KeyAlgorithm>,
    },
    /// The token shows it after a login only, and nothing of it before.
    NeedsLogin,
    /// The same; its public half shows already.
    PublicHalf {
        /// A reference that will select the private one.
        reference: String,
        /// Its type.
        algorithm: Option<KeyAlgorithm>,
    },
    /// A public key with the certificate's identifier is not the certificate's.
    OtherPublicHalf {
        /// A reference that selects its private half.
        reference: String,
        /// Fingerprints of the certified and of the found public key.
        fingerprints: [String; 2],
    },
    /// It is not there, or cannot be used.
    Unusable(IdentityError),
    /// It is the certificate's.
    Certified,
    /// The device shows no public half: the certificate's is taken on trust, and CKA_ID.
    TakenOnTrust,
    /// It is another certificate's.
    Mismatch(IdentityError),
    /// What the device says of its protection and use.
    Attributes(KeyAttributes),
    /// The device does not say.
    NoAttributes,
    /// The token signs with keys of this type by this mechanism.
    Mechanism {
        /// Its name in PKCS#11.
        name: String,
        /// The token does it, and not the module's software.
        in_hardware: bool,
    },
    /// The token has no mechanism for keys of this type.
    NoMechanism {
        /// The type.
        algorithm: KeyAlgorithm,
        /// The mechanisms that would do.
        wanted: &'static [&'static str],
    },
    /// The token does not tell.
    Untold(KeyError),
    /// Nobody asked for a signature.
    NotAsked {
        /// It takes a login.
        login: bool,
    },
    /// It signed.
    Signed {
        /// How long the device took, with its login and touch.
        took: Duration,
    },
    /// It did not.
    DidNotSign(KeyError),
}

/// What was found of the way to the service.
#[derive(Debug)]
pub enum NetworkFact {
    /// Where requests go.
    Endpoint {
        /// The URL of CreateSession.
        url: String,
        /// The proxy that they go through.
        proxy: Option<String>,
    },
    /// Neither ARNs nor flags tell the region.
    NoRegion,
    /// Flags or variables that cannot be used.
    Refused(RequestError),
    /// A step that was gone.
    Found(NetworkLandmark),
    /// TLS is spoken, and the certificate of an AWS host is not Amazon's.
    Intercepted {
        /// Who issued it.
        issuer: String,
    },
    /// A step that failed.
    Failed(ConnectionError),
}

/// What was found of the source of a secret.
#[derive(Debug)]
pub enum SecretFact {
    /// What a device says of tries.
    Tries {
        /// In words.
        device: String,
        /// What it says.
        tries: Tries,
        /// The library that speaks to it.
        library: Option<PathBuf>,
        /// `--use-final-try` was given.
        final_allowed: bool,
    },
    /// Where a secret comes from.
    Source {
        /// Which secret.
        kind: SecretKind,
        /// Its source.
        state: SourceState,
        /// The device will certainly want it.
        certain: bool,
    },
}

/// What was found of the ARNs and the region.
#[derive(Debug)]
pub enum SessionFact {
    /// No ARN is named: only the key and the way to the service can be looked at.
    NotNamed,
    /// They can be read and fit together.
    Asks {
        /// The role.
        role: String,
        /// The trust anchor's region.
        region: String,
    },
    /// They name several accounts, and the service wants one.
    Accounts(Vec<String>),
    /// The region is the trust anchor's.
    OwnRegion(String),
    /// Another one signs.
    OtherRegion {
        /// The one that was chosen.
        chosen: String,
        /// The trust anchor's.
        anchor: String,
    },
}
