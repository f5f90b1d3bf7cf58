//! One signature: the key is found or loaded, authorised by password or policy, used once, and taken out again.

use std::sync::Arc;

use tss_esapi::constants::{CommandCode, SessionType};
use tss_esapi::handles::KeyHandle;
use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::interface_types::session_handles::{AuthSession, PolicySession};
use tss_esapi::structures::{
    Auth, Digest, HashScheme, HashcheckTicket, PcrSelectionList, Signature as TpmSignature, SignatureScheme,
};
use tss_esapi::tss2_esys::{TPM2B_DIGEST, TPML_PCR_SELECTION, TPMS_PCR_SELECTION, TPMT_TK_HASHCHECK};

use super::super::algorithm::{HashAlgorithm, KeyAlgorithm};
use super::super::error::{Advice, KeyError, KeyErrorKind};
use super::super::secret::{Secret, SecretKind, SecretNames};
use super::super::signing::Signature;
use super::context::{self, Tpm};
use super::error::{Fault, ResponseCode};
use super::handle::Handle;
use super::keyfile::TpmKeyFile;
use super::name::Name;
use super::parent::{self, Imported, StorageKey};
use super::policy::{Bank, PcrPolicy, Step};
use super::public::{self, PublicArea};
use super::refusal::{self, Refusal};
use super::scheme::{self, Choice};

/// Where a key is when nobody uses it.
#[derive(Debug)]
pub(super) enum Place {
    /// In the TPM.
    Persistent(Handle),
    /// In a file, encrypted for its parent.
    File {
        /// The file's content.
        file: Box<TpmKeyFile>,
        /// What an import has made of it.
        imported: Imported,
    },
}

/// What is known of the key's password.
#[derive(Clone)]
pub(super) enum Password {
    /// It has none: the file or the person says so.
    None,
    /// Nobody said; an empty one may be tried, since a wrong one does not count.
    Unknown,
    /// This one.
    Given(Arc<Secret>),
}

/// What one signature needs.
pub(super) struct Job<'a> {
    pub(super) place: &'a Place,
    /// The key as messages call it.
    pub(super) name: &'a str,
    pub(super) area: &'a PublicArea,
    pub(super) algorithm: KeyAlgorithm,
    pub(super) hash: HashAlgorithm,
    pub(super) digest: &'a [u8],
    pub(super) password: &'a Password,
    /// What its password is called where a source is sought.
    pub(super) password_names: SecretNames,
    pub(super) parent_password: Option<&'a Secret>,
    pub(super) srk_name: Option<&'a Name>,
}

impl Job<'_> {
    /// Commands: those of finding or loading the key and of its authorisation, then one Sign. What was loaded or started is
    /// flushed with the context.
    pub(super) fn run(&self, tpm: &mut Tpm) -> Result<Signature, Refusal> {
        let choices = scheme::choices(self.area.scheme(), self.algorithm, self.hash, self.digest)?;
        self.sign(tpm, &choices).map_err(|refusal| match refusal {
            Refusal::Fault(fault) if fault.is(ResponseCode::LOCKOUT) => refusal::lockout(tpm, &fault).into(),
            other => other,
        })
    }

    fn sign(&self, tpm: &mut Tpm, choices: &[Choice]) -> Result<Signature, Refusal> {
        let (key, parent) = self.open(tpm)?;
        let session = self.authorise(tpm, key, parent)?;
        let mut refused = None;
        for choice in choices {
            match self.command(tpm, key, session, choice) {
                Ok(signature) => return converted(signature),
                Err(fault) if is_about_the_hash(&fault) => refused = Some(fault),
                Err(fault) if fault.is_wrong_secret() => return Err(self.wrong_password(tpm, &fault)),
                Err(fault) => return Err(fault.into()),
            }
        }
        // There is one choice at least, so there was a refusal.
        Err(refused.map_or_else(|| not_a_signature().into(), Refusal::Fault))
    }

    fn open(&self, tpm: &mut Tpm) -> Result<(KeyHandle, Option<StorageKey>), Refusal> {
        match self.place {
            Place::Persistent(handle) => {
                let (key, area) = find(tpm, *handle)?;
                if area.octets() != self.area.octets() {
                    return Err(KeyError::new(
                        KeyErrorKind::Mismatch,
                        "the handle holds another key than when it was opened",
                    )
                    .into());
                }
                Ok((key, None))
            }
            Place::File { file, imported } => {
                let (key, parent) = parent::load(tpm, file, imported, self.parent_password, self.srk_name)?;
                Ok((key, Some(parent)))
            }
        }
    }

    fn policy(&self) -> &[Step] {
        match self.place {
            Place::Persistent(_) => &[],
            Place::File { file, .. } => &file.policy,
        }
    }

    /// Nothing more than an empty password where there is no secret and no policy: a session would cost commands and protect
    /// nothing.
    fn authorise(&self, tpm: &mut Tpm, key: KeyHandle, parent: Option<StorageKey>) -> Result<AuthSession, Refusal> {
        let auth = match self.password {
            Password::Given(secret) => context::auth(SecretKind::TpmKeyPassword, secret)?,
            Password::None | Password::Unknown => Auth::default(),
        };
        let (kind, hash) = match self.policy() {
            [] if auth.is_empty() => return Ok(AuthSession::Password),
            [] => (SessionType::Hmac, HashingAlgorithm::Sha256),
            _ => (SessionType::Policy, hashing_algorithm(self.area.name_hash())?),
        };
        let session = if auth.is_empty() {
            tpm.start_session(kind, None, hash)?
        } else {
            let salt_key = match parent {
                Some(parent) => parent,
                None => parent::salt_key(tpm, self.srk_name)?,
            };
            parent::check_pin(&salt_key, self.srk_name)?;
            let session = tpm.start_salted_session(kind, salt_key.handle, hash)?;
            tpm.set_auth(key.into(), auth)?;
            session
        };
        for step in self.policy() {
            self.satisfy(tpm, session, step)?;
        }
        Ok(session)
    }

    /// Carries out one step of the policy in the session.
    fn satisfy(&self, tpm: &mut Tpm, session: AuthSession, step: &Step) -> Result<(), Refusal> {
        let session = PolicySession::try_from(session)
            .map_err(|source| KeyError::new(KeyErrorKind::Device, "wanted a policy session").with_source(source))?;
        match step {
            Step::Password => tpm.run("TPM2_PolicyAuthValue", |context| {
                context.execute_without_session(|context| context.policy_auth_value(session))
            })?,
            Step::SignOnly => tpm.run("TPM2_PolicyCommandCode", |context| {
                context.execute_without_session(|context| context.policy_command_code(session, CommandCode::Sign))
            })?,
            Step::Pcr(pcr) => {
                let digest = Digest::try_from(pcr.digest.as_slice()).map_err(|_| context::oversized())?;
                let selection = selection(&pcr.selection)?;
                let met = tpm.run("TPM2_PolicyPCR", |context| {
                    context.execute_without_session(|context| context.policy_pcr(session, digest, selection))
                });
                match met {
                    Err(fault) if fault.is(ResponseCode::VALUE) => {
                        return Err(self.unmet_pcr_policy(tpm, pcr, &fault).into());
                    }
                    other => other?,
                }
            }
        }
        Ok(())
    }

    fn unmet_pcr_policy(&self, tpm: &mut Tpm, pcr: &PcrPolicy, fault: &Fault) -> KeyError {
        let why = match read_registers(tpm, &pcr.selection) {
            Ok(values) => pcr.explain(self.area.name_hash(), &values),
            Err(_) => "its registers cannot be read".to_owned(),
        };
        KeyError::new(
            KeyErrorKind::Unsupported,
            format!("the PCR policy is not met: {why}; an update may have changed what was measured"),
        )
        .with_code(fault.code())
    }

    fn command(
        &self,
        tpm: &mut Tpm,
        key: KeyHandle,
        session: AuthSession,
        choice: &Choice,
    ) -> Result<TpmSignature, Fault> {
        let hash_scheme = HashScheme::new(hashing_algorithm(public::hash_id(choice.hash))?);
        let scheme = match self.algorithm {
            KeyAlgorithm::Rsa { .. } => SignatureScheme::RsaSsa { hash_scheme },
            KeyAlgorithm::Ec(_) => SignatureScheme::EcDsa { hash_scheme },
        };
        let digest = Digest::try_from(choice.digest.as_slice()).map_err(|_| context::oversized())?;
        tpm.run_with("TPM2_Sign", session, |context| context.sign(key, digest, scheme, not_hashed_by_the_tpm()?))
    }

    /// The TPM refused the key's password, or the empty one.
    fn wrong_password(&self, tpm: &mut Tpm, fault: &Fault) -> Refusal {
        match self.password {
            Password::Unknown => Refusal::Wants { kind: SecretKind::TpmKeyPassword, object: self.name.to_owned() },
            Password::Given(_) => {
                let exempt = self.area.is_exempt_from_lockout();
                refusal::wrong_secret(tpm, SecretKind::TpmKeyPassword, None, exempt, fault).into()
            }
            Password::None => {
                let said = match self.place {
                    Place::File { file, .. } if file.without_password => "although its file says that it has none",
                    _ => "and was said to have none",
                };
                KeyError::new(KeyErrorKind::SecretWrong, format!("the key has a password, {said}"))
                    .with_code(fault.code())
                    .with_advice(Advice::GiveSecret {
                        flag: self.password_names.flag,
                        variable: Some(self.password_names.variable),
                    })
                    .into()
            }
        }
    }
}

/// The key at a persistent handle.
pub(super) fn find(tpm: &mut Tpm, handle: Handle) -> Result<(KeyHandle, PublicArea), Fault> {
    tpm.persistent(handle).map_err(|fault| {
        if !fault.is(ResponseCode::HANDLE) {
            return fault;
        }
        KeyError::new(KeyErrorKind::NotFound, format!("wanted a key at {handle}, found nothing there"))
            .with_code(fault.code())
            .with_advice(Advice::Run { command: "tpm2_getcap handles-persistent".to_owned() })
            .into()
    })
}

/// Whether the TPM may take another hash.
fn is_about_the_hash(fault: &Fault) -> bool {
    [ResponseCode::HASH, ResponseCode::SCHEME, ResponseCode::VALUE].into_iter().any(|code| fault.is(code))
}

/// The ticket of data that the TPM did not hash, which unrestricted keys sign (part 3 §20.2).
fn not_hashed_by_the_tpm() -> tss_esapi::Result<HashcheckTicket> {
    const ST_HASHCHECK: u16 = 0x8024;
    const RH_NULL: u32 = 0x4000_0007;
    HashcheckTicket::try_from(TPMT_TK_HASHCHECK {
        tag: ST_HASHCHECK,
        hierarchy: RH_NULL,
        digest: TPM2B_DIGEST::default(),
    })
}

fn converted(signature: TpmSignature) -> Result<Signature, Refusal> {
    match signature {
        TpmSignature::RsaSsa(signature) => Ok(Signature::from_rsa(signature.signature().value().to_vec())),
        TpmSignature::EcDsa(signature) => {
            let (r, s) = (signature.signature_r().value(), signature.signature_s().value());
            Ok(Signature::from_ecdsa_integers(r, s)?)
        }
        _ => Err(not_a_signature().into()),
    }
}

fn not_a_signature() -> KeyError {
    KeyError::new(KeyErrorKind::Device, "the TPM returned a signature of another scheme than it was asked for")
}

fn hashing_algorithm(id: u16) -> Result<HashingAlgorithm, KeyError> {
    HashingAlgorithm::try_from(id).map_err(|source| {
        KeyError::new(KeyErrorKind::Unsupported, format!("tpm2-tss does not know hash 0x{id:04x}")).with_source(source)
    })
}

fn selection(banks: &[Bank]) -> Result<PcrSelectionList, Fault> {
    let mut list = TPML_PCR_SELECTION { count: banks.len() as u32, ..Default::default() };
    for (slot, bank) in list.pcrSelections.iter_mut().zip(banks) {
        *slot = TPMS_PCR_SELECTION { hash: bank.hash, sizeofSelect: bank.bitmap.len() as u8, ..Default::default() };
        for (target, octet) in slot.pcrSelect.iter_mut().zip(&bank.bitmap) {
            *target = *octet;
        }
    }
    PcrSelectionList::try_from(list).map_err(|source| {
        Fault::Key(
            KeyError::new(KeyErrorKind::Unsupported, "tpm2-tss does not know a bank of the key's PCR policy")
                .with_source(source),
        )
    })
}

/// Present values in the order of the selection. A TPM returns eight at most per PCR_Read, so each is read alone.
fn read_registers(tpm: &mut Tpm, banks: &[Bank]) -> Result<Vec<Vec<u8>>, Fault> {
    let mut values = Vec::new();
    for bank in banks {
        for register in bank.registers() {
            let mut bitmap = vec![0; bank.bitmap.len()];
            if let Some(octet) = bitmap.get_mut(register / 8) {
                *octet = 1 << (register % 8);
            }
            let one = selection(&[Bank { hash: bank.hash, bitmap }])?;
            let (_, _, digests) =
                tpm.run("TPM2_PCR_Read", |context| context.execute_without_session(|context| context.pcr_read(one)))?;
            values.extend(digests.value().iter().map(|digest| digest.value().to_vec()));
        }
    }
    Ok(values)
}
