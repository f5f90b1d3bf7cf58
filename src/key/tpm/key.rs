//! The TPM as a [`Device`] with one key, and that key as a [`SigningKey`]: asks for passwords before and between attempts,
//! never during one.

use std::sync::{Arc, Mutex, PoisonError};

use super::super::device::{Device, DeviceOptions, Listing, SigningKey, WantedKey};
use super::super::error::{KeyError, KeyErrorKind};
use super::super::public::PublicKey;
use super::super::secret::{Secret, SecretKind, SecretRequest};
use super::super::signing::{Signature, SigningInput};
use super::context::Tpm;
use super::handle::Handle;
use super::keyfile::TpmKeyFile;
use super::library;
use super::parent::Imported;
use super::policy::Step;
use super::public::PublicArea;
use super::reach::Reach;
use super::refusal::Refusal;
use super::sign::{self, Job, Password, Place};
use super::worker::{self, Turn};

/// A TPM, seen through the reference to one key.
pub(super) struct TpmDevice {
    reach: Reach,
    turn: Turn,
    options: DeviceOptions,
    target: Target,
}

enum Target {
    Handle(Handle),
    File { name: String, file: Box<TpmKeyFile> },
}

impl TpmDevice {
    pub(super) fn at_handle(handle: Handle, options: &DeviceOptions) -> Self {
        Self::new(Target::Handle(handle), options)
    }

    pub(super) fn with_file(name: &str, file: TpmKeyFile, options: &DeviceOptions) -> Self {
        Self::new(Target::File { name: name.to_owned(), file: Box::new(file) }, options)
    }

    fn new(target: Target, options: &DeviceOptions) -> Self {
        library::load_ahead();
        Self { reach: Reach::resolve(&options.tpm), turn: Turn::default(), options: options.clone(), target }
    }

    /// What the TPM shows of the key at a handle: one ReadPublic.
    fn read_public(&self, handle: Handle) -> Result<(PublicArea, Option<Vec<u8>>), KeyError> {
        let (reach, limit) = (self.reach.clone(), self.options.limit);
        worker::run(&self.options, &self.reach, &self.turn, move |log| {
            let mut tpm = Tpm::open(&reach, limit, log)?;
            let (_, area) = sign::find(&mut tpm, handle).map_err(KeyError::from)?;
            Ok((area, tpm.read_public_response(handle)))
        })?
    }
}

impl Device for TpmDevice {
    fn open_key(&self, wanted: &WantedKey) -> Result<Box<dyn SigningKey>, KeyError> {
        let (place, reference, area, known) = match &self.target {
            Target::Handle(handle) => {
                let (area, known) = self.read_public(*handle)?;
                (Place::Persistent(*handle), handle.to_string(), area, known)
            }
            Target::File { name, file } => {
                let area = file.public.clone();
                (Place::File { file: file.clone(), imported: Imported::default() }, name.clone(), area, None)
            }
        };
        let public_key = area.signing_key().map_err(|error| error.context(&reference))?;
        if let Some(certificate) = &wanted.certificate {
            certificate.public_key.require(&public_key, &reference)?;
        }
        if matches!(place, Place::Persistent(_)) && !area.is_usable_by_password() {
            return Err(KeyError::new(
                KeyErrorKind::Unsupported,
                format!(
                    "{reference} can be used by a policy only (its attribute userWithAuth is clear), and a handle tells \
                     none: use a key file that holds the policy"
                ),
            ));
        }
        let key = TpmKey {
            shared: Arc::new(Shared { place, reference, area, known, options: self.options.clone() }),
            reach: self.reach.clone(),
            turn: self.turn.clone(),
            public_key,
            gathered: Mutex::default(),
        };
        key.check_passwords()?;
        Ok(Box::new(key))
    }

    fn listing(&self) -> Option<&dyn Listing> {
        None
    }
}

/// What the thread that works with the TPM needs of a key.
struct Shared {
    place: Place,
    reference: String,
    area: PublicArea,
    /// The TPM's response to ReadPublic of the handle.
    known: Option<Vec<u8>>,
    options: DeviceOptions,
}

/// A TPM key that signs. Between signatures nothing of it is in the TPM but what was there before.
struct TpmKey {
    shared: Arc<Shared>,
    reach: Reach,
    turn: Turn,
    public_key: PublicKey,
    /// Secrets that were asked for ahead of the signature that will use them.
    gathered: Mutex<Gathered>,
}

#[derive(Default)]
struct Gathered {
    key: Option<Arc<Secret>>,
    parent: Option<Arc<Secret>>,
}

impl SigningKey for TpmKey {
    fn public_key(&self) -> Option<&PublicKey> {
        Some(&self.public_key)
    }

    fn reference(&self) -> &str {
        &self.shared.reference
    }

    fn gather_secrets(&self) -> Result<(), KeyError> {
        let mut gathered = self.gathered.lock().unwrap_or_else(PoisonError::into_inner);
        self.gather(&mut gathered)
    }

    fn sign(&self, input: &SigningInput) -> Result<Signature, KeyError> {
        let mut secrets = std::mem::take(&mut *self.gathered.lock().unwrap_or_else(PoisonError::into_inner));
        self.gather(&mut secrets)?;
        log::info!("{} signs with {}", self.reach, self.shared.reference);
        // Each round learns of one secret that is wanted, and there are two.
        for _ in 0..2 {
            match self.attempt(input, &secrets)? {
                Err(Refusal::Wants { kind, object }) => {
                    let slot = secrets.slot(kind);
                    *slot = Some(self.ask(kind, &object)?);
                }
                outcome => return self.finished(outcome, &secrets),
            }
        }
        let outcome = self.attempt(input, &secrets)?;
        self.finished(outcome, &secrets)
    }
}

impl Gathered {
    fn slot(&mut self, kind: SecretKind) -> &mut Option<Arc<Secret>> {
        match kind {
            SecretKind::TpmParentPassword => &mut self.parent,
            _ => &mut self.key,
        }
    }
}

impl TpmKey {
    /// Whether the key wants its password, as far as can be told without the TPM.
    fn password(&self, given: Option<&Arc<Secret>>) -> Password {
        if let Some(secret) = given {
            return Password::Given(Arc::clone(secret));
        }
        let none = self.shared.options.tpm.no_key_password
            || match &self.shared.place {
                Place::Persistent(_) => false,
                Place::File { file, .. } => !wants_password(file),
            };
        if none { Password::None } else { Password::Unknown }
    }

    /// A password for a key that has none is a mistake worth telling, before anything is tried.
    fn check_passwords(&self) -> Result<(), KeyError> {
        let Place::File { file, .. } = &self.shared.place else { return Ok(()) };
        if file.without_password && self.is_at_hand(SecretKind::TpmKeyPassword) {
            let names = self.shared.options.secrets.names(SecretKind::TpmKeyPassword);
            return Err(KeyError::new(
                KeyErrorKind::SecretWrong,
                format!(
                    "{} says that its key has no password, and one is given ({} or {}); nothing was tried",
                    self.shared.reference, names.flag, names.variable
                ),
            ));
        }
        Ok(())
    }

    /// Asks for what will certainly be wanted, and for what has a source that asks nobody.
    fn gather(&self, secrets: &mut Gathered) -> Result<(), KeyError> {
        if secrets.key.is_none() && matches!(self.password(None), Password::Unknown) {
            // A wrong password of an exempt key does not count, so that an empty one is tried before anybody is asked.
            let may_try_empty =
                matches!(self.shared.place, Place::Persistent(_)) && self.shared.area.is_exempt_from_lockout();
            if !may_try_empty || self.is_at_hand(SecretKind::TpmKeyPassword) {
                secrets.key = Some(self.ask_for_key()?);
            }
        }
        let has_parent = matches!(self.shared.place, Place::File { .. });
        if has_parent && secrets.parent.is_none() && self.is_at_hand(SecretKind::TpmParentPassword) {
            secrets.parent = Some(self.ask(SecretKind::TpmParentPassword, &self.shared.reference)?);
        }
        Ok(())
    }

    fn is_at_hand(&self, kind: SecretKind) -> bool {
        self.shared.options.secrets.is_at_hand(kind)
    }

    /// A handle does not tell whether its key has a password; who knows that it has none can say so.
    fn ask_for_key(&self) -> Result<Arc<Secret>, KeyError> {
        self.ask(SecretKind::TpmKeyPassword, &self.shared.reference).map_err(|error| match self.shared.place {
            Place::Persistent(_) if error.kind() == KeyErrorKind::SecretMissing => {
                error.context("without --no-tpm-key-password")
            }
            _ => error,
        })
    }

    fn ask(&self, kind: SecretKind, device: &str) -> Result<Arc<Secret>, KeyError> {
        let secrets = &self.shared.options.secrets;
        let secret = secrets.obtain(&SecretRequest { kind, device, warning: None }, None)?;
        match secrets.was_refused(kind, &self.shared.reference, &secret) {
            true => Err(KeyError::new(
                KeyErrorKind::SecretWrong,
                format!(
                    "the source of the {kind} gave what the TPM has refused before for {device}; it was not tried again"
                ),
            )),
            false => Ok(secret),
        }
    }

    /// A secret that was refused is not tried again; the error then says where it comes from.
    fn remember_refused(&self, error: KeyError, secrets: &Gathered) -> KeyError {
        let Some(kind) = error.refused_secret() else { return error };
        let secret = match kind {
            SecretKind::TpmParentPassword => &secrets.parent,
            _ => &secrets.key,
        };
        let Some(secret) = secret else { return error };
        self.shared.options.secrets.refuse(kind, &self.shared.reference, secret);
        error.with_origin(secret.origin())
    }

    /// One use of the TPM, on its own thread.
    fn attempt(&self, input: &SigningInput, secrets: &Gathered) -> Result<Result<Signature, Refusal>, KeyError> {
        let shared = Arc::clone(&self.shared);
        let reach = self.reach.clone();
        let algorithm = self.public_key.algorithm();
        let (hash, digest) = (input.hash(), input.digest().to_vec());
        let password = self.password(secrets.key.as_ref());
        let parent_password = secrets.parent.clone();
        worker::run(&self.shared.options, &self.reach, &self.turn, move |log| {
            let options = &shared.options;
            // A session proves its password for the Name, so that there the TPM is asked whether the key is still the same:
            // a proof for another key would count towards lockout.
            if let (Place::Persistent(handle), Some(known), false) =
                (&shared.place, &shared.known, matches!(password, Password::Given(_)))
            {
                log.remember(handle.number(), known.clone());
            }
            let mut tpm = Tpm::open(&reach, options.limit, log)?;
            Job {
                place: &shared.place,
                name: &shared.reference,
                area: &shared.area,
                algorithm,
                hash,
                digest: &digest,
                password: &password,
                password_names: options.secrets.names(SecretKind::TpmKeyPassword),
                parent_password: parent_password.as_deref(),
                srk_name: options.tpm.srk_name.as_ref(),
            }
            .run(&mut tpm)
        })
    }

    fn finished(&self, outcome: Result<Signature, Refusal>, secrets: &Gathered) -> Result<Signature, KeyError> {
        outcome.map_err(|refusal| match refusal {
            Refusal::Fault(fault) => {
                let error = KeyError::from(fault).context(&self.shared.reference);
                self.remember_refused(error, secrets)
            }
            Refusal::Wants { kind, object } => KeyError::new(
                KeyErrorKind::SecretWrong,
                format!("{object} has a {kind}, and the empty one given is wrong"),
            ),
        })
    }
}

/// Whether the file says that the key's password is needed; a policy may do without it.
pub(super) fn wants_password(file: &TpmKeyFile) -> bool {
    !file.without_password && (file.policy.is_empty() || file.policy.contains(&Step::Password))
}
