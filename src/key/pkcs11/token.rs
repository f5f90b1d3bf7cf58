//! A token in its slot: the one session on it, what was already read from it, and whether it is still there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cryptoki::error::Error;
use cryptoki_sys::{CK_SLOT_ID, CKF_RW_SESSION};

use super::super::device::{CertificateOfKey, StoredCertificate};
use super::super::error::KeyError;
use super::super::inventory::TokenInfo;
use super::super::secret::Secret;
use super::api::Api;
use super::error::{is_loss, refused};
use super::info::{self, Flags, Identity, SlotTexts};
use super::raw::{Object, Session};
use super::uri::Uri;

/// For how long the token's flags count as read before a try.
const FRESH: Duration = Duration::from_secs(5);

/// A token and the state of this process on it.
pub(super) struct Token {
    pub(super) slot: CK_SLOT_ID,
    pub(super) identity: Identity,
    flags: Flags,
    /// `None` where the flags are known to be outdated.
    flags_read: Option<Instant>,
    slot_texts: Option<SlotTexts>,
    session: Option<Session>,
    session_number: u64,
    /// The session is a read-write one.
    writes: bool,
    pub(super) logged_in: bool,
    /// The PIN of the login, kept only where it is to serve context logins too.
    pub(super) reusable_pin: Option<Arc<Secret>>,
    /// The token, its session or its objects are not what they were: everything known of it is to be forgotten.
    pub(super) lost: bool,
    /// Certificates that were read in this session, so that they are not read again.
    certificates: Vec<(Object, StoredCertificate)>,
}

impl Token {
    pub(super) fn new(slot: CK_SLOT_ID, identity: Identity, flags: Flags) -> Self {
        Self {
            slot,
            identity,
            flags,
            flags_read: Some(Instant::now()),
            slot_texts: None,
            session: None,
            session_number: 0,
            writes: false,
            logged_in: false,
            reusable_pin: None,
            lost: false,
            certificates: Vec::new(),
        }
    }

    /// The token in words.
    pub(super) fn name(&self) -> String {
        self.identity.name()
    }

    /// Makes a call that concerns this token, and notes when the token turns out to be lost.
    pub(super) fn call<T>(
        &mut self,
        api: &Api,
        name: &'static str,
        call: impl FnOnce(Session) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let session = self.session(api)?;
        let outcome = api.activity.call(name, || call(session));
        self.lost |= outcome.as_ref().is_err_and(is_loss);
        outcome
    }

    /// Words for a failed call on this token.
    pub(super) fn refused(&self, error: &Error) -> KeyError {
        refused(error, &self.name())
    }

    /// The session, opened where it is not.
    pub(super) fn session(&mut self, api: &Api) -> Result<Session, Error> {
        if let Some(session) = self.session {
            return Ok(session);
        }
        api.activity.about(&self.name());
        let slot = self.slot;
        let read_only = api.activity.call("C_OpenSession", || api.raw.open_session(slot, 0));
        // Some modules know no read-only sessions (AWS CloudHSM's SDK 5): one more try.
        let session = read_only.or_else(|error| match is_loss(&error) {
            true => Err(error),
            false => {
                log::debug!("no read-only session on {}, trying a read-write one", self.identity.name());
                let read_write = || api.raw.open_session(slot, CKF_RW_SESSION);
                api.activity.call("C_OpenSession", read_write).map_err(|_| error)
            }
        });
        self.lost |= session.as_ref().is_err_and(is_loss);
        let session = session?;
        self.writes = false;
        self.replace_session(api, session);
        Ok(session)
    }

    /// Makes the session a read-write one: it takes the other's place before that is closed, so that the login lasts (it ends
    /// with the last session, PKCS#11 2.40 §5.6).
    pub(super) fn begin_writing(&mut self, api: &Api) -> Result<(), Error> {
        if self.writes && self.session.is_some() {
            return Ok(());
        }
        api.activity.about(&self.name());
        let slot = self.slot;
        let opened = api.activity.call("C_OpenSession", || api.raw.open_session(slot, CKF_RW_SESSION));
        self.lost |= opened.as_ref().is_err_and(is_loss);
        let opened = opened?;
        let old = self.replace_session(api, opened);
        self.writes = true;
        if let Some(old) = old {
            let closed = api.activity.call("C_CloseSession", || api.raw.close_session(old));
            self.lost |= closed.is_err();
        }
        Ok(())
    }

    /// Objects are about to change: what was read of them is forgotten.
    pub(super) fn forget_objects(&mut self) {
        self.certificates.clear();
    }

    fn replace_session(&mut self, api: &Api, session: Session) -> Option<Session> {
        self.forget_objects();
        self.session_number = api.sessions.get() + 1;
        api.sessions.set(self.session_number);
        self.session.replace(session)
    }

    /// Ends the session, and with it whatever operation is under way and the login.
    pub(super) fn close(&mut self, api: &Api) {
        self.logged_in = false;
        self.reusable_pin = None;
        self.certificates.clear();
        if let Some(session) = self.session.take() {
            let closed = api.activity.call("C_CloseSession", || api.raw.close_session(session));
            self.lost |= closed.is_err();
        }
    }

    /// Number of the open session, 0 where there is none: handles are good in the session they were found in.
    pub(super) fn session_number(&self) -> u64 {
        if self.session.is_some() && !self.lost { self.session_number } else { 0 }
    }

    /// The user is logged in: warnings about earlier tries are over.
    pub(super) fn set_logged_in(&mut self, reusable_pin: Option<Arc<Secret>>) {
        self.logged_in = true;
        self.reusable_pin = reusable_pin;
        if self.flags.warning().is_some() {
            self.flags_read = None;
        }
    }

    /// The flags, asked anew where they are not fresh.
    pub(super) fn flags(&mut self, api: &Api) -> Result<Flags, KeyError> {
        if self.flags_read.is_none_or(|read| read.elapsed() > FRESH) {
            return self.ask_flags(api);
        }
        Ok(self.flags)
    }

    /// The flags as they are now: one C_GetTokenInfo.
    pub(super) fn ask_flags(&mut self, api: &Api) -> Result<Flags, KeyError> {
        let slot = self.slot;
        let info = api.activity.call("C_GetTokenInfo", || api.raw.token_info(slot));
        self.lost |= info.as_ref().is_err_and(is_loss);
        let (_, flags) = info::read(&info.map_err(|error| self.refused(&error))?);
        self.flags = flags;
        self.flags_read = Some(Instant::now());
        Ok(flags)
    }

    /// The token as people see it; `uri` tells which module was named.
    pub(super) fn describe(&mut self, api: &Api, uri: &Uri) -> Result<TokenInfo, KeyError> {
        let flags = self.flags(api)?;
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        let Identity { label, manufacturer, model, serial } = &self.identity;
        Ok(TokenInfo {
            reference: Uri { module: uri.module.clone(), ..self.identity.uri() }.to_string(),
            label: text(label),
            serial: text(serial),
            manufacturer: text(manufacturer),
            model: text(model),
            slot: info::wide(self.slot),
            pin: flags.pin(),
            login_required: flags.login_required(),
            keypad: flags.keypad(),
            write_protected: flags.write_protected(),
            logged_in: self.logged_in,
        })
    }

    /// What C_GetSlotInfo tells, asked once.
    pub(super) fn slot_texts(&mut self, api: &Api) -> Result<SlotTexts, KeyError> {
        if let Some(texts) = &self.slot_texts {
            return Ok(texts.clone());
        }
        let slot = self.slot;
        let info = api.activity.call("C_GetSlotInfo", || api.raw.slot_info(slot));
        let info = info.map_err(|error| self.refused(&error))?;
        let texts = SlotTexts::from(&info);
        self.slot_texts = Some(texts.clone());
        Ok(texts)
    }

    pub(super) fn remembered(&self, handle: Object) -> Option<&StoredCertificate> {
        self.certificates.iter().find(|(known, _)| *known == handle).map(|(_, certificate)| certificate)
    }

    pub(super) fn remember(&mut self, handle: Object, certificate: StoredCertificate) {
        self.certificates.push((handle, certificate));
    }

    /// Whether this certificate was found here: one with its CKA_ID, in whose DER its public key stands word for word.
    pub(super) fn has_shown(&self, wanted: &CertificateOfKey) -> bool {
        let key = wanted.public_key.as_raw();
        self.certificates.iter().any(|(_, certificate)| {
            certificate.id == wanted.id && certificate.der.windows(key.len()).any(|octets| octets == key)
        })
    }
}
