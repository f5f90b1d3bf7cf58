//! An open TPM: a tss-esapi context over our wire, opened for one piece of work. Dropping it flushes what the work loaded or
//! started, also after an error. The commands that several files need are here.

use std::sync::Arc;
use std::time::Duration;

use tss_esapi::Context;
use tss_esapi::attributes::SessionAttributesBuilder;
use tss_esapi::constants::{CapabilityType, SessionType};
use tss_esapi::handles::{KeyHandle, ObjectHandle, TpmHandle};
use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::interface_types::resource_handles;
use tss_esapi::interface_types::session_handles::AuthSession;
use tss_esapi::structures::{Auth, CapabilityData, Private, Public, SymmetricDefinition};
use tss_esapi::tcti_ldr::TctiNameConf;
use tss_esapi::traits::UnMarshall;
use zeroize::Zeroizing;

use super::super::error::{KeyError, KeyErrorKind};
use super::super::secret::{Secret, SecretKind};
use super::error::Fault;
use super::handle::Handle;
use super::keyfile::{Hierarchy, Parent};
use super::library;
use super::public::{PublicArea, Template};
use super::reach::Reach;
use super::tcti;
use super::wire::{self, Wire, WireLog};

/// First handle of the persistent range (TPM2_PERSISTENT_FIRST).
const PERSISTENT_FIRST: u32 = 0x8100_0000;

/// No TPM keeps more persistent objects than these.
const MOST_PERSISTENT: u32 = 254;

/// TPM_PT_LOCKOUT_COUNTER, followed by TPM_PT_MAX_AUTH_FAIL and TPM_PT_LOCKOUT_INTERVAL.
const PT_LOCKOUT_COUNTER: u32 = 0x20e;
const PT_MAX_AUTH_FAIL: u32 = 0x20f;
const PT_LOCKOUT_INTERVAL: u32 = 0x210;

/// A TPM in use by this thread.
pub(super) struct Tpm {
    context: Context,
    log: Arc<WireLog>,
}

/// What a TPM says about its dictionary-attack protection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lockout {
    /// Wrong passwords that are still allowed.
    pub(super) tries_left: u32,
    /// How long until one of them is forgiven; zero where none ever is.
    pub(super) one_forgiven_after: Duration,
}

impl Tpm {
    /// Opens the TPM; no command is sent. A missing library is told before a missing TPM: it is the first that must be mended.
    pub(super) fn open(reach: &Reach, limit: Duration, log: Arc<WireLog>) -> Result<Self, KeyError> {
        library::load()?;
        tcti::lay_ready(Wire::new(reach.connect(limit)?, Arc::clone(&log)));
        // The name is not looked at: the wire that was laid ready is taken.
        let context = Context::new(TctiNameConf::Device(Default::default())).map_err(|error| {
            KeyError::new(KeyErrorKind::Unreachable, "tpm2-tss cannot open the TPM").with_source(error)
        })?;
        Ok(Self { context, log })
    }

    /// One command.
    pub(super) fn run<T>(
        &mut self,
        command: &'static str,
        work: impl FnOnce(&mut Context) -> tss_esapi::Result<T>,
    ) -> Result<T, Fault> {
        self.log.reset();
        work(&mut self.context).map_err(|error| {
            if let Some(failure) = self.log.take_failure() {
                return Fault::Key(
                    KeyError::new(KeyErrorKind::Unreachable, format!("the TPM is gone: {failure} during {command}"))
                        .with_source(failure),
                );
            }
            match self.log.code() {
                Some(code) => Fault::Response { command, code },
                None => Fault::Key(
                    KeyError::new(KeyErrorKind::Device, format!("tpm2-tss could not carry out {command}"))
                        .with_code(error.to_string())
                        .with_source(error),
                ),
            }
        })
    }

    /// One command that this authorisation allows.
    pub(super) fn run_with<T>(
        &mut self,
        command: &'static str,
        authorisation: AuthSession,
        work: impl FnOnce(&mut Context) -> tss_esapi::Result<T>,
    ) -> Result<T, Fault> {
        self.run(command, |context| context.execute_with_session(Some(authorisation), work))
    }

    /// A persistent object and its public area: one ReadPublic, none where the wire remembers it.
    pub(super) fn persistent(&mut self, handle: Handle) -> Result<(KeyHandle, PublicArea), Fault> {
        let number = handle.number();
        let object = self.run("TPM2_ReadPublic", |context| {
            let handle = TpmHandle::try_from(number)?;
            context.execute_without_session(|context| context.tr_from_tpm_public(handle))
        })?;
        let area = self
            .log
            .read_public_response(number)
            .and_then(|response| wire::public_area(&response).and_then(PublicArea::parse))
            .ok_or_else(|| KeyError::new(KeyErrorKind::Device, format!("the TPM shows no public area at {handle}")))?;
        Ok((KeyHandle::from(object), area))
    }

    /// The response that lets a later context know the object without asking.
    pub(super) fn read_public_response(&self, handle: Handle) -> Option<Vec<u8>> {
        self.log.read_public_response(handle.number())
    }

    /// Handles of all persistent objects: one GetCapability.
    pub(super) fn persistent_handles(&mut self) -> Result<Vec<Handle>, Fault> {
        let data = self.run("TPM2_GetCapability", |context| {
            context.execute_without_session(|context| {
                context.get_capability(CapabilityType::Handles, PERSISTENT_FIRST, MOST_PERSISTENT)
            })
        })?;
        let CapabilityData::Handles(handles) = data.0 else { return Ok(Vec::new()) };
        Ok(handles.into_inner().into_iter().filter_map(|handle| Handle::from_number(handle.into())).collect())
    }

    /// The state of the dictionary-attack protection: one GetCapability, always from the TPM.
    pub(super) fn lockout(&mut self) -> Option<Lockout> {
        self.ask_lockout().ok().flatten()
    }

    /// The same, and why the TPM did not answer; `None` where it answered without these properties.
    pub(super) fn ask_lockout(&mut self) -> Result<Option<Lockout>, Fault> {
        let (data, _) = self.run("TPM2_GetCapability", |context| {
            context.execute_without_session(|context| {
                context.get_capability(CapabilityType::TpmProperties, PT_LOCKOUT_COUNTER, 3)
            })
        })?;
        let CapabilityData::TpmProperties(properties) = data else { return Ok(None) };
        let value = |tag: u32| {
            properties.iter().find(|property| u32::from(property.property()) == tag).map(|property| property.value())
        };
        let lockout = || {
            Some(Lockout {
                tries_left: value(PT_MAX_AUTH_FAIL)?.saturating_sub(value(PT_LOCKOUT_COUNTER)?),
                one_forgiven_after: Duration::from_secs(value(PT_LOCKOUT_INTERVAL)?.into()),
            })
        };
        Ok(lockout())
    }

    /// Makes the primary key of a template in a hierarchy: one CreatePrimary. It is flushed with the context.
    pub(super) fn create_primary(
        &mut self,
        hierarchy: Hierarchy,
        template: Template,
        authorisation: AuthSession,
    ) -> Result<(KeyHandle, PublicArea), Fault> {
        let public = public(&template.area())?;
        let made = self.run_with("TPM2_CreatePrimary", authorisation, |context| {
            context.create_primary(hierarchy.into(), public, None, None, None, None)
        })?;
        let area = area(&made.out_public)?;
        Ok((made.key_handle, area))
    }

    /// Loads a key under its parent: one Load. It is flushed with the context.
    pub(super) fn load(
        &mut self,
        parent: KeyHandle,
        authorisation: AuthSession,
        private: &[u8],
        area: &PublicArea,
    ) -> Result<KeyHandle, Fault> {
        let public = public(area.octets())?;
        let private = Private::try_from(private).map_err(|_| oversized())?;
        self.run_with("TPM2_Load", authorisation, |context| context.load(parent, private, public))
    }

    /// Starts an HMAC or policy session that is salted to the key and encrypts the first parameters both ways.
    pub(super) fn start_salted_session(
        &mut self,
        kind: SessionType,
        salt_key: KeyHandle,
        hash: HashingAlgorithm,
    ) -> Result<AuthSession, Fault> {
        let session = self.start_session(kind, Some(salt_key), hash)?;
        let (attributes, mask) = SessionAttributesBuilder::new().with_decrypt(true).with_encrypt(true).build();
        self.run("Esys_TRSess_SetAttributes", |context| context.tr_sess_set_attributes(session, attributes, mask))?;
        Ok(session)
    }

    /// Starts a session; without a salt key nothing is encrypted.
    pub(super) fn start_session(
        &mut self,
        kind: SessionType,
        salt_key: Option<KeyHandle>,
        hash: HashingAlgorithm,
    ) -> Result<AuthSession, Fault> {
        let session = self.run("TPM2_StartAuthSession", |context| {
            context.execute_without_session(|context| {
                context.start_auth_session(salt_key, None, None, kind, SymmetricDefinition::AES_128_CFB, hash)
            })
        })?;
        session.ok_or_else(|| Fault::Key(KeyError::new(KeyErrorKind::Device, "tpm2-tss started no session")))
    }

    /// Tells libtss2 the password of an object, for the sessions that prove its knowledge.
    pub(super) fn set_auth(&mut self, object: ObjectHandle, auth: Auth) -> Result<(), Fault> {
        self.run("Esys_TR_SetAuth", |context| context.tr_set_auth(object, auth))
    }
}

/// A password as TPMs keep it: without zero octets at its end (part 1 §19.6.5).
///
/// Fails where the password is longer than any TPM takes; nothing was tried then.
pub(super) fn auth(kind: SecretKind, secret: &Secret) -> Result<Auth, KeyError> {
    let mut octets = Zeroizing::new(secret.expose().to_vec());
    while octets.last() == Some(&0) {
        octets.pop();
    }
    if octets.len() > Auth::MAX_SIZE {
        return Err(KeyError::new(
            KeyErrorKind::SecretWrong,
            format!("wanted a {kind} of at most {} octets, found {}; it was not tried", Auth::MAX_SIZE, octets.len()),
        ));
    }
    Auth::try_from(octets.as_slice())
        .map_err(|source| KeyError::new(KeyErrorKind::Device, "tpm2-tss refuses the password").with_source(source))
}

/// tss-esapi's form of a TPMT_PUBLIC.
pub(super) fn public(octets: &[u8]) -> Result<Public, Fault> {
    Public::unmarshall(octets).map_err(|source| {
        Fault::Key(
            KeyError::new(KeyErrorKind::Unsupported, "tpm2-tss does not know a field of the key's public area")
                .with_source(source),
        )
    })
}

/// Our form of a public area that tss-esapi returned.
pub(super) fn area(public: &Public) -> Result<PublicArea, Fault> {
    use tss_esapi::traits::Marshall;
    let octets = public.marshall().ok();
    octets.as_deref().and_then(PublicArea::parse).ok_or_else(|| {
        Fault::Key(KeyError::new(KeyErrorKind::Device, "the TPM made a key whose public area cannot be read"))
    })
}

/// A field of the key file is larger than the TPM's structures.
pub(super) fn oversized() -> Fault {
    Fault::Key(KeyError::new(
        KeyErrorKind::Unsupported,
        "wanted a TPM key file, found one that is damaged: a field is larger than a TPM takes",
    ))
}

impl From<Hierarchy> for resource_handles::Hierarchy {
    fn from(hierarchy: Hierarchy) -> Self {
        match hierarchy {
            Hierarchy::Owner => Self::Owner,
            Hierarchy::Null => Self::Null,
            Hierarchy::Endorsement => Self::Endorsement,
            Hierarchy::Platform => Self::Platform,
        }
    }
}

impl std::fmt::Display for Parent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Persistent(handle) => write!(f, "the persistent key 0x{:08x}", handle.number()),
            Self::Primary(hierarchy, template) => {
                write!(f, "the {} hierarchy's {} primary key", hierarchy.name(), template.name())
            }
        }
    }
}
