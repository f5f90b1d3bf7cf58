//! The handle on an opened key: keeps what the key's module needs, sends it the input, and waits.

use std::sync::{Arc, Mutex};

use super::super::device::SigningKey;
use super::super::error::KeyError;
use super::super::public::PublicKey;
use super::super::secret::Secret;
use super::super::signing::{Signature, SigningInput};
use super::locked;
use super::record::KeyRecord;
use super::search::FoundKey;
use super::sign::{self, Input};
use super::uri::Uri;
use super::worker::Worker;

/// A private key on a token.
pub(super) struct TokenKey {
    worker: Arc<Worker>,
    uri: Uri,
    public_key: Option<PublicKey>,
    reference: String,
    /// Locked on the module's thread only.
    record: Arc<Mutex<KeyRecord>>,
    pins: ContextPins,
}

/// Where the PIN of the context login comes from.
enum ContextPins {
    /// The key wants no context login, or the token asks for its PIN itself.
    None,
    /// The user PIN is used again, as the person allowed.
    Reused(Arc<Secret>),
    /// Asked for before each signature, used once.
    Asked(Mutex<Option<Arc<Secret>>>),
}

impl TokenKey {
    pub(super) fn new(worker: Arc<Worker>, uri: Uri, found: FoundKey) -> Self {
        let FoundKey { record, reference, user_pin, keypad } = found;
        let pins = match (record.always_authenticate && !keypad, user_pin) {
            (false, _) => ContextPins::None,
            (true, Some(pin)) => ContextPins::Reused(pin),
            (true, None) => ContextPins::Asked(Mutex::new(None)),
        };
        let public_key = record.public_key.clone();
        Self { worker, uri, public_key, reference, record: Arc::new(Mutex::new(record)), pins }
    }

    fn ask(&self) -> Result<Arc<Secret>, KeyError> {
        let record = Arc::clone(&self.record);
        self.worker.run(move |module| sign::context_pin(module, &locked(&record)))
    }

    fn context_pin(&self) -> Result<Option<Arc<Secret>>, KeyError> {
        match &self.pins {
            ContextPins::None => Ok(None),
            ContextPins::Reused(pin) => Ok(Some(Arc::clone(pin))),
            ContextPins::Asked(gathered) => match locked(gathered).take() {
                Some(pin) => Ok(Some(pin)),
                None => self.ask().map(Some),
            },
        }
    }
}

impl SigningKey for TokenKey {
    fn public_key(&self) -> Option<&PublicKey> {
        self.public_key.as_ref()
    }

    fn reference(&self) -> &str {
        &self.reference
    }

    fn gather_secrets(&self) -> Result<(), KeyError> {
        if let ContextPins::Asked(gathered) = &self.pins {
            let mut gathered = locked(gathered);
            if gathered.is_none() {
                *gathered = Some(self.ask()?);
            }
        }
        Ok(())
    }

    fn sign(&self, input: &SigningInput) -> Result<Signature, KeyError> {
        let pin = self.context_pin()?;
        let (record, uri, input) = (Arc::clone(&self.record), self.uri.clone(), Input::new(input));
        self.worker.run(move |module| sign::sign(module, &mut locked(&record), &uri, &input, pin))
    }
}
