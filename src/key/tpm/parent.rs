//! The key above a key: finds the parent of a key file (persistent, or a hierarchy's primary), loads the file's key under it,
//! and finds the key to which sessions are salted.

use std::sync::{Mutex, PoisonError};

use tss_esapi::constants::SessionType;
use tss_esapi::handles::{KeyHandle, ObjectHandle};
use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::interface_types::resource_handles;
use tss_esapi::interface_types::session_handles::AuthSession;
use tss_esapi::structures::{EncryptedSecret, Private, SymmetricDefinitionObject};

use super::super::error::{KeyError, KeyErrorKind};
use super::super::secret::{Secret, SecretKind};
use super::context::{self, Tpm};
use super::error::{Fault, ResponseCode};
use super::handle::Handle;
use super::keyfile::{Hierarchy, Parent, TpmKeyFile};
use super::name::Name;
use super::public::{PublicArea, Template};
use super::refusal::{self, Refusal};

/// Where storage root keys customarily are (TCG Provisioning Guidance §7.8).
const SRK: u32 = 0x8100_0001;

/// The TCG's registry keeps these for endorsement keys, which are never storage parents by the templates here.
const ENDORSEMENT_KEYS: std::ops::Range<u32> = 0x8101_0000..0x8102_0000;

/// How many persistent keys are looked at in search of a hierarchy's primary; each costs a ReadPublic.
const MOST_CANDIDATES: usize = 8;

/// A storage key that is ready for use.
pub(super) struct StorageKey {
    pub(super) handle: KeyHandle,
    pub(super) area: PublicArea,
}

/// What a child needs from its parent: to be made or loaded there.
pub(super) struct OpenParent {
    pub(super) key: StorageKey,
    /// Proves the parent's password, or that it has none.
    pub(super) authorisation: AuthSession,
}

/// The private half of an imported key, wrapped for its parent: made once, good for as long as the parent.
pub(super) type Imported = Mutex<Option<Vec<u8>>>;

/// Loads a file's key; returns it with its parent.
///
/// Commands: Load, and ReadPublic of a persistent parent; for a hierarchy GetCapability and a ReadPublic per candidate, and
/// only where none of them serves CreatePrimary. Import before that for an importable key's first use.
pub(super) fn load(
    tpm: &mut Tpm,
    file: &TpmKeyFile,
    imported: &Imported,
    secret: Option<&Secret>,
    srk_name: Option<&Name>,
) -> Result<(KeyHandle, StorageKey), Refusal> {
    let mut tried = Vec::new();
    let outcome = with_parent(tpm, file.parent, secret, srk_name, |tpm, parent, name| {
        match load_under(tpm, file, imported, parent) {
            Err(fault) if is_wrong_parent(file, &fault) => {
                tried.push(name.to_owned());
                Err(Attempt::WrongParent(fault))
            }
            other => other.map_err(Attempt::Failed),
        }
    });
    outcome.map_err(|refusal| match refusal {
        Refusal::Fault(fault) if is_wrong_parent(file, &fault) => wrong_tpm(&tried, &fault).into(),
        other => other,
    })
}

/// The key belongs to none of the parents that this TPM has.
fn wrong_tpm(tried: &[String], fault: &Fault) -> KeyError {
    KeyError::new(
        KeyErrorKind::Unsupported,
        format!(
            "the key does not belong to this TPM, or its hierarchy was cleared since, or the file is damaged; tried {}",
            tried.join(" and ")
        ),
    )
    .with_code(fault.code())
}

/// Whether the TPM says that the key is another parent's.
fn is_wrong_parent(file: &TpmKeyFile, fault: &Fault) -> bool {
    // An import decrypts the seed first, which under the wrong key ends in any of these.
    let while_importing = file.seed.is_some()
        && matches!(fault, Fault::Response { command: "TPM2_Import", code } if code.base() == ResponseCode::VALUE);
    fault.is(ResponseCode::INTEGRITY) || while_importing
}

fn load_under(tpm: &mut Tpm, file: &TpmKeyFile, imported: &Imported, parent: &OpenParent) -> Result<KeyHandle, Fault> {
    let Some(seed) = &file.seed else {
        return tpm.load(parent.key.handle, parent.authorisation, &file.private, &file.public);
    };
    let known = imported.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let private = match known {
        Some(private) => private,
        None => import(tpm, file, seed, parent)?,
    };
    let key = tpm.load(parent.key.handle, parent.authorisation, &private, &file.public)?;
    *imported.lock().unwrap_or_else(PoisonError::into_inner) = Some(private);
    Ok(key)
}

/// Wraps an importable key for its parent. It has no inner wrapper (draft-bottomley-tpm2-keys §3.4).
fn import(tpm: &mut Tpm, file: &TpmKeyFile, seed: &[u8], parent: &OpenParent) -> Result<Vec<u8>, Fault> {
    let public = context::public(file.public.octets())?;
    let private = Private::try_from(file.private.as_slice()).map_err(|_| context::oversized())?;
    let seed = EncryptedSecret::try_from(seed).map_err(|_| context::oversized())?;
    let wrapped = tpm.run_with("TPM2_Import", parent.authorisation, |context| {
        context.import(
            ObjectHandle::from(parent.key.handle),
            None,
            public,
            private,
            seed,
            SymmetricDefinitionObject::Null,
        )
    })?;
    Ok(wrapped.value().to_vec())
}

/// What came of using a parent.
pub(super) enum Attempt {
    /// The work needs another parent.
    WrongParent(Fault),
    /// The work failed under whatever parent.
    Failed(Fault),
}

/// Does the work under the parent, trying the keys that may be it one after the other.
pub(super) fn with_parent<T>(
    tpm: &mut Tpm,
    parent: Parent,
    secret: Option<&Secret>,
    srk_name: Option<&Name>,
    mut work: impl FnMut(&mut Tpm, &OpenParent, &str) -> Result<T, Attempt>,
) -> Result<(T, StorageKey), Refusal> {
    match parent {
        Parent::Persistent(handle) => under_persistent(tpm, handle, secret, srk_name, &mut work),
        Parent::Primary(hierarchy, template) => {
            let mut search = Search { tpm, hierarchy, template, secret, srk_name };
            match search.under_candidates(&mut work)? {
                Some(done) => Ok(done),
                None => search.under_primary(&mut work),
            }
        }
    }
}

fn under_persistent<T>(
    tpm: &mut Tpm,
    handle: Handle,
    secret: Option<&Secret>,
    srk_name: Option<&Name>,
    work: &mut impl FnMut(&mut Tpm, &OpenParent, &str) -> Result<T, Attempt>,
) -> Result<(T, StorageKey), Refusal> {
    let name = Parent::Persistent(handle).to_string();
    let (object, area) = tpm.persistent(handle).map_err(|fault| match fault {
        fault if fault.is(ResponseCode::HANDLE) => KeyError::new(
            KeyErrorKind::NotFound,
            format!("the key file's parent is {name}, and this TPM has nothing there"),
        )
        .with_code(fault.code())
        .into(),
        fault => fault,
    })?;
    let key = StorageKey { handle: object, area };
    let exempt = key.area.is_exempt_from_lockout();
    let authorisation = match secret {
        Some(secret) => salted_password(tpm, &key, srk_name, object.into(), secret)?,
        // Whoever makes such a key tpm2-tools' way gives it no password, but nothing in the TPM says so, and a try that
        // fails would count.
        None if !exempt => {
            return Err(wants(&format!(
                "{name} (wrong passwords count towards lockout, so that even an empty one must be given)"
            )));
        }
        None => AuthSession::Password,
    };
    let open = OpenParent { key, authorisation };
    match work(tpm, &open, &name) {
        Ok(done) => Ok((done, open.key)),
        Err(Attempt::Failed(fault)) if fault.is_wrong_secret() => Err(match secret {
            Some(_) => refusal::wrong_secret(tpm, SecretKind::TpmParentPassword, Some(&name), exempt, &fault).into(),
            None => wants(&name),
        }),
        Err(Attempt::WrongParent(fault) | Attempt::Failed(fault)) => Err(fault.into()),
    }
}

struct Search<'a> {
    tpm: &'a mut Tpm,
    hierarchy: Hierarchy,
    template: Template,
    secret: Option<&'a Secret>,
    srk_name: Option<&'a Name>,
}

impl Search<'_> {
    /// Persistent keys that the template made: using one saves CreatePrimary, which wants the hierarchy's password and takes
    /// long. They are exempt from lockout, so that an empty password may be tried.
    fn under_candidates<T>(
        &mut self,
        work: &mut impl FnMut(&mut Tpm, &OpenParent, &str) -> Result<T, Attempt>,
    ) -> Result<Option<(T, StorageKey)>, Refusal> {
        // Keys of the null hierarchy cannot be persistent.
        if self.hierarchy == Hierarchy::Null {
            return Ok(None);
        }
        let present = self.tpm.persistent_handles()?;
        for handle in candidates(self.hierarchy, present) {
            let (object, area) = match self.tpm.persistent(handle) {
                Ok(found) => found,
                Err(fault) if fault.is_gone() => return Err(fault.into()),
                // It went away, or is of a kind that is not known here.
                Err(_) => continue,
            };
            if !self.template.fits(&area) {
                continue;
            }
            let name = Parent::Persistent(handle).to_string();
            let open = OpenParent { key: StorageKey { handle: object, area }, authorisation: AuthSession::Password };
            match work(self.tpm, &open, &name) {
                Ok(done) => return Ok(Some((done, open.key))),
                // Another hierarchy's key by the same template, or one with a password of its own, which the primary that
                // is made next has not.
                Err(Attempt::WrongParent(_)) => {}
                Err(Attempt::Failed(fault)) if fault.is_wrong_secret() => {}
                Err(Attempt::Failed(fault)) => return Err(fault.into()),
            }
        }
        Ok(None)
    }

    fn under_primary<T>(
        &mut self,
        work: &mut impl FnMut(&mut Tpm, &OpenParent, &str) -> Result<T, Attempt>,
    ) -> Result<(T, StorageKey), Refusal> {
        let name = Parent::Primary(self.hierarchy, self.template).to_string();
        let (handle, area) = self.create_primary()?;
        let open = OpenParent { key: StorageKey { handle, area }, authorisation: AuthSession::Password };
        match work(self.tpm, &open, &name) {
            Ok(done) => Ok((done, open.key)),
            Err(Attempt::WrongParent(fault) | Attempt::Failed(fault)) => Err(fault.into()),
        }
    }

    /// Wrong passwords of a hierarchy do not count towards lockout (part 1 §19.8.2), so that an empty one is tried first.
    fn create_primary(&mut self) -> Result<(KeyHandle, PublicArea), Refusal> {
        match self.tpm.create_primary(self.hierarchy, self.template, AuthSession::Password) {
            Err(fault) if fault.is_wrong_secret() => {}
            other => return Ok(other?),
        }
        let name = format!("the {} hierarchy", self.hierarchy.name());
        let Some(secret) = self.secret else { return Err(wants(&name)) };
        let salt_key = salt_key(self.tpm, self.srk_name)?;
        let hierarchy = ObjectHandle::from(resource_handles::Hierarchy::from(self.hierarchy));
        let session = salted_password(self.tpm, &salt_key, self.srk_name, hierarchy, secret)?;
        self.tpm.create_primary(self.hierarchy, self.template, session).map_err(|fault| {
            if fault.is_wrong_secret() {
                refusal::wrong_secret(self.tpm, SecretKind::TpmParentPassword, Some(&name), true, &fault).into()
            } else {
                fault.into()
            }
        })
    }
}

/// The persistent handles worth a look, the customary one first.
fn candidates(hierarchy: Hierarchy, mut present: Vec<Handle>) -> Vec<Handle> {
    present.retain(|handle| {
        let number = handle.number();
        // The upper half of the range is the platform's (part 2 §7.8).
        let is_platform = number & 0x0080_0000 != 0;
        is_platform == (hierarchy == Hierarchy::Platform)
            && (hierarchy == Hierarchy::Endorsement || !ENDORSEMENT_KEYS.contains(&number))
    });
    present.sort_by_key(|handle| (handle.number() != SRK, handle.number()));
    present.truncate(MOST_CANDIDATES);
    present
}

/// The key to which a session is salted where no parent is at hand: the persistent SRK where a template made it or its name is the
/// pinned one, else the owner's primary key, else, where the owner has a password, the null hierarchy's.
pub(super) fn salt_key(tpm: &mut Tpm, srk_name: Option<&Name>) -> Result<StorageKey, Refusal> {
    let is_pinned = |area: &PublicArea| srk_name.is_some() && area.name().as_ref() == srk_name;
    if let Some(handle) = Handle::from_number(SRK) {
        match tpm.persistent(handle) {
            Ok((object, area)) if Template::Ecc.fits(&area) || Template::Rsa.fits(&area) || is_pinned(&area) => {
                return Ok(StorageKey { handle: object, area });
            }
            Err(fault) if fault.is_gone() => return Err(fault.into()),
            Ok(_) | Err(_) => {}
        }
    }
    let made = match tpm.create_primary(Hierarchy::Owner, Template::Ecc, AuthSession::Password) {
        // A name that is pinned outlives restarts, which the null hierarchy's key does not.
        Err(Fault::Response { .. }) if srk_name.is_none() => {
            tpm.create_primary(Hierarchy::Null, Template::Ecc, AuthSession::Password)
        }
        other => other,
    };
    let (handle, area) = made?;
    Ok(StorageKey { handle, area })
}

/// Refuses a salt key whose Name is not the pinned one: with another's key, whoever sits on the bus could read along.
pub(super) fn check_pin(key: &StorageKey, srk_name: Option<&Name>) -> Result<(), KeyError> {
    let found = key.area.name();
    match srk_name {
        Some(pinned) if found.as_ref() != Some(pinned) => Err(KeyError::new(
            KeyErrorKind::Mismatch,
            format!(
                "wanted a storage root key with the name {pinned}, found {}: no secret was sent",
                found.map_or_else(|| "one that has none".to_owned(), |name| name.to_string())
            ),
        )),
        _ => Ok(()),
    }
}

/// A salted HMAC session that proves the object's password without showing it.
pub(super) fn salted_password(
    tpm: &mut Tpm,
    salt_key: &StorageKey,
    srk_name: Option<&Name>,
    object: ObjectHandle,
    secret: &Secret,
) -> Result<AuthSession, Refusal> {
    let auth = context::auth(SecretKind::TpmParentPassword, secret)?;
    if auth.is_empty() {
        return Ok(AuthSession::Password);
    }
    check_pin(salt_key, srk_name)?;
    let session = tpm.start_salted_session(SessionType::Hmac, salt_key.handle, HashingAlgorithm::Sha256)?;
    tpm.set_auth(object, auth)?;
    Ok(session)
}

fn wants(object: &str) -> Refusal {
    Refusal::Wants { kind: SecretKind::TpmParentPassword, object: object.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handles(numbers: &[u32]) -> Vec<Handle> {
        numbers.iter().filter_map(|number| Handle::from_number(*number)).collect()
    }

    #[test]
    fn the_customary_handle_is_looked_at_first_and_endorsement_keys_are_not() {
        let present = handles(&[0x8100_0000, 0x8100_0001, 0x8101_0001, 0x8180_0000]);
        assert_eq!(candidates(Hierarchy::Owner, present.clone()), handles(&[0x8100_0001, 0x8100_0000]));
        assert_eq!(candidates(Hierarchy::Platform, present), handles(&[0x8180_0000]));
    }
}
