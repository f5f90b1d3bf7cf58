//! Makes signing keys that never leave their TPM, as a key file or at a persistent handle. Nothing is overwritten.

use std::sync::Arc;

use tss_esapi::constants::SessionType;
use tss_esapi::handles::{KeyHandle, PersistentTpmHandle};
use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::interface_types::dynamic_handles::Persistent;
use tss_esapi::interface_types::resource_handles::Provision;
use tss_esapi::interface_types::session_handles::AuthSession;
use tss_esapi::structures::Auth;

use super::super::device::DeviceOptions;
use super::super::error::{KeyError, KeyErrorKind};
use super::super::generation::NewKey;
use super::super::public::PublicKey;
use super::super::secret::{Secret, SecretKind, SecretRequest};
use super::context::{self, Tpm};
use super::error::{Fault, ResponseCode};
use super::handle::Handle;
use super::keyfile::{Hierarchy, Parent, TpmKeyFile};
use super::name::Name;
use super::parent::{self, Attempt, OpenParent, StorageKey};
use super::public::{PublicArea, Template};
use super::reach::Reach;
use super::refusal::{self, Refusal};
use super::worker::{self, Turn};

/// Where a new key is kept.
#[derive(Clone, Copy, Debug)]
pub enum NewKeyPlace {
    /// In a file, which the caller writes.
    File,
    /// In the TPM.
    Persistent(Handle),
}

/// A key that was made.
#[derive(Clone, Debug)]
pub struct MadeKey {
    /// Its public half.
    pub public_key: PublicKey,
    /// The `TSS2 PRIVATE KEY` PEM; `None` for a key at a persistent handle.
    pub pem: Option<String>,
}

/// Makes a key that signs and does nothing else, and cannot leave its TPM (fixedTPM, fixedParent, sensitiveDataOrigin). Its password
/// and its parent's come from the options' sources.
///
/// Fails with [`KeyErrorKind::Taken`] where the handle is taken, and before anything is made then.
pub fn generate(new: &NewKey, place: NewKeyPlace, options: &DeviceOptions) -> Result<MadeKey, KeyError> {
    let ask = |kind, device: &str| options.secrets.obtain(&SecretRequest { kind, device, warning: None }, None);
    let password = new.tpm.with_password.then(|| ask(SecretKind::TpmKeyPassword, "the new TPM key")).transpose()?;
    if password.as_ref().is_some_and(|password| password.expose().is_empty()) {
        return Err(KeyError::new(
            KeyErrorKind::SecretMissing,
            "wanted a password for the new TPM key, found an empty one",
        ));
    }
    let mut parent_password = options
        .secrets
        .is_at_hand(SecretKind::TpmParentPassword)
        .then(|| ask(SecretKind::TpmParentPassword, "the new TPM key's parent"))
        .transpose()?;
    let reach = Reach::resolve(&options.tpm);
    loop {
        let work = Work {
            new: new.clone(),
            place,
            password: password.clone(),
            parent_password: parent_password.clone(),
            srk_name: options.tpm.srk_name.clone(),
        };
        let (way, limit) = (reach.clone(), options.limit);
        let outcome = worker::run(options, &reach, &Turn::default(), move |log| {
            let mut tpm = Tpm::open(&way, limit, log)?;
            work.run(&mut tpm)
        })?;
        match outcome {
            Ok(key) => return Ok(key),
            Err(Refusal::Wants { kind, object }) if parent_password.is_none() => {
                parent_password = Some(ask(kind, &object)?);
            }
            Err(Refusal::Wants { kind, object }) => {
                return Err(KeyError::new(
                    KeyErrorKind::SecretWrong,
                    format!("{object} has a {kind}, not an empty one"),
                ));
            }
            Err(Refusal::Fault(fault)) => return Err(KeyError::from(fault).context("the new TPM key")),
        }
    }
}

struct Work {
    new: NewKey,
    place: NewKeyPlace,
    password: Option<Arc<Secret>>,
    parent_password: Option<Arc<Secret>>,
    srk_name: Option<Name>,
}

impl Work {
    fn run(&self, tpm: &mut Tpm) -> Result<MadeKey, Refusal> {
        if let NewKeyPlace::Persistent(handle) = self.place {
            check_free(tpm, handle)?;
        }
        let parent = self.new.tpm.parent.map_or(Parent::Primary(Hierarchy::Owner, Template::Ecc), Parent::Persistent);
        let made = parent::with_parent(
            tpm,
            parent,
            self.parent_password.as_deref(),
            self.srk_name.as_ref(),
            |tpm, parent, _| self.create(tpm, parent),
        );
        let ((area, private, loaded), salt_key) = made?;
        if let (NewKeyPlace::Persistent(handle), Some(loaded)) = (self.place, loaded) {
            self.persist(tpm, handle, loaded, &salt_key)?;
        }
        let public_key = area.public_key()?;
        let pem = match self.place {
            NewKeyPlace::Persistent(_) => None,
            NewKeyPlace::File => Some(
                TpmKeyFile {
                    without_password: self.password.is_none(),
                    policy: Vec::new(),
                    seed: None,
                    description: self.new.tpm.description.clone(),
                    parent,
                    public: area,
                    private,
                }
                .to_pem()?,
            ),
        };
        Ok(MadeKey { public_key, pem })
    }

    /// Makes the key under this parent; loads it where it is to be persistent.
    fn create(&self, tpm: &mut Tpm, parent: &OpenParent) -> Result<(PublicArea, Vec<u8>, Option<KeyHandle>), Attempt> {
        self.create_under(tpm, parent).map_err(Attempt::Failed)
    }

    fn create_under(
        &self,
        tpm: &mut Tpm,
        parent: &OpenParent,
    ) -> Result<(PublicArea, Vec<u8>, Option<KeyHandle>), Fault> {
        let template = PublicArea::signing_template(self.new.algorithm, self.password.is_some())?;
        let public = context::public(&template)?;
        let (auth, authorisation) = match &self.password {
            None => (None, parent.authorisation),
            Some(password) => self.secret_sessions(tpm, parent, password)?,
        };
        let parent_handle = parent.key.handle;
        let made = tpm.run_with("TPM2_Create", authorisation, |context| {
            context.create(parent_handle, public, auth, None, None, None)
        })?;
        let area = context::area(&made.out_public)?;
        let private = made.out_private.value().to_vec();
        let loaded = match self.place {
            NewKeyPlace::File => None,
            NewKeyPlace::Persistent(_) => Some(tpm.load(parent_handle, parent.authorisation, &private, &area)?),
        };
        Ok((area, private, loaded))
    }

    /// The new password goes to the TPM encrypted: by the session that authorises the parent, or by one salted to it.
    fn secret_sessions(
        &self,
        tpm: &mut Tpm,
        parent: &OpenParent,
        password: &Secret,
    ) -> Result<(Option<Auth>, AuthSession), Fault> {
        let auth = context::auth(SecretKind::TpmKeyPassword, password)?;
        let authorisation = match parent.authorisation {
            AuthSession::Password => {
                parent::check_pin(&parent.key, self.srk_name.as_ref())?;
                tpm.start_salted_session(SessionType::Hmac, parent.key.handle, HashingAlgorithm::Sha256)?
            }
            session => session,
        };
        Ok((Some(auth), authorisation))
    }

    /// Keeps the loaded key in the TPM: the owner's right, or the platform's in the upper half of the handles.
    fn persist(&self, tpm: &mut Tpm, handle: Handle, key: KeyHandle, salt_key: &StorageKey) -> Result<(), Refusal> {
        let number = handle.number();
        let provision = if number & 0x0080_0000 == 0 { Provision::Owner } else { Provision::Platform };
        let target = PersistentTpmHandle::new(number)
            .map_err(|source| KeyError::new(KeyErrorKind::Reference, "not a persistent handle").with_source(source))?;
        let evict = |tpm: &mut Tpm, authorisation| {
            tpm.run_with("TPM2_EvictControl", authorisation, |context| {
                context.evict_control(provision, key.into(), Persistent::Persistent(target))
            })
        };
        // As for CreatePrimary: an empty password of a hierarchy may be tried.
        match evict(tpm, AuthSession::Password) {
            Ok(_) => return Ok(()),
            Err(fault) if !fault.is_wrong_secret() => return Err(fault.into()),
            Err(_) => {}
        }
        let name = "the owner hierarchy";
        let Some(secret) = self.parent_password.as_deref() else {
            return Err(Refusal::Wants { kind: SecretKind::TpmParentPassword, object: name.to_owned() });
        };
        let hierarchy = tss_esapi::handles::ObjectHandle::from(match provision {
            Provision::Owner => tss_esapi::interface_types::resource_handles::Hierarchy::Owner,
            Provision::Platform => tss_esapi::interface_types::resource_handles::Hierarchy::Platform,
        });
        let session = parent::salted_password(tpm, salt_key, self.srk_name.as_ref(), hierarchy, secret)?;
        match evict(tpm, session) {
            Ok(_) => Ok(()),
            Err(fault) if fault.is_wrong_secret() => {
                Err(refusal::wrong_secret(tpm, SecretKind::TpmParentPassword, Some(name), true, &fault).into())
            }
            Err(fault) => Err(fault.into()),
        }
    }
}

/// TPM2_EvictControl would remove what is at the handle if the key were the same object, so the handle is looked at first.
fn check_free(tpm: &mut Tpm, handle: Handle) -> Result<(), Fault> {
    match tpm.persistent(handle) {
        Err(fault) if fault.is(ResponseCode::HANDLE) => Ok(()),
        Err(fault) => Err(fault),
        Ok(_) => Err(KeyError::new(
            KeyErrorKind::Taken,
            format!("{handle} is taken already, and nothing is overwritten: name another handle"),
        )
        .into()),
    }
}
