//! What makes credentials for every command that hands them out: a role of a session. Joins the library's errors to the kinds of
//! failures.

use jiff::Timestamp;

use super::expiry::ExpiryNotice;
use super::failure::conclude;
use super::identity_args::IdentityArgs;
use super::identity_settings::IdentitySettings;
use super::session_args::{RoleArns, SessionArgs};
use super::{Failure, FailureKind};
use crate::key::Devices;
use crate::process::end;
use crate::rolesanywhere::{Client, Urgency};
use crate::session::Session;
use crate::vend::{Vend, VendError, VendErrorKind, Vended};

/// Runs a command on a session, prints its failure and gives its exit code. The devices are closed after the output: a module
/// that crashes when it is finalised must not cost the credentials.
///
/// With `lives_long`, what a secret's source gives only once is kept.
pub fn with_session(
    identity: &IdentityArgs,
    args: &SessionArgs,
    lives_long: bool,
    command: impl FnOnce(&IdentitySettings<'_>, &Session) -> Result<(), Failure>,
) -> u8 {
    let (settings, session) = match open(identity, args, lives_long) {
        Ok(opened) => opened,
        Err(failure) => return conclude(Err(failure)),
    };
    let code = conclude(command(&settings, &session));
    end::despite_crashes(code);
    session.close();
    code
}

/// Reads what flags and file say, and opens nothing yet.
pub fn open<'a>(
    identity: &'a IdentityArgs,
    args: &SessionArgs,
    lives_long: bool,
) -> Result<(IdentitySettings<'a>, Session), Failure> {
    let settings = identity.settings()?;
    let devices = Devices::new(settings.device_options(lives_long)?);
    let session = Session::new(devices, settings.reference()?, !args.no_preflight());
    Ok((settings, session))
}

/// A role, and the session that it is assumed with.
pub struct Role {
    arn: String,
    client: Client,
    session: Session,
    expiry: ExpiryNotice,
    /// The end of what was vended last.
    good_until: Option<Timestamp>,
}

impl Role {
    /// The role of these flags, or this one in place of theirs. Everything that can be checked without a device is.
    pub fn new(
        session: &Session,
        settings: &IdentitySettings<'_>,
        args: &SessionArgs,
        role_arn: Option<&str>,
    ) -> Result<Self, Failure> {
        Self::of(session, settings, args, RoleArns { role: role_arn, profile: None })
    }

    /// The same for a role that has a profile of its own.
    pub fn of(
        session: &Session,
        settings: &IdentitySettings<'_>,
        args: &SessionArgs,
        arns: RoleArns<'_>,
    ) -> Result<Self, Failure> {
        let request = args.create_session(settings.file(), arns)?;
        let client = Client::new(&request, &args.client_options(settings.file())?)?;
        let expiry = ExpiryNotice::new(args.warn_expiry(settings.file())?, settings.renewal()?);
        Ok(Self { arn: request.role_arn().to_owned(), client, session: session.clone(), expiry, good_until: None })
    }

    /// Its ARN.
    pub fn arn(&self) -> &str {
        &self.arn
    }

    /// The region that signs.
    pub fn region(&self) -> &str {
        self.client.region()
    }

    /// What is asked for, of whom.
    pub fn parameters(&self) -> [(&'static str, String); 3] {
        self.client.parameters()
    }
}

impl Vend for Role {
    fn vend(&mut self) -> Result<Vended, VendError> {
        let is_good = self.good_until.is_some_and(|end| Timestamp::now() < end);
        let urgency = if is_good { Urgency::CanWait } else { Urgency::Needed };
        let (created, identity) = self.session.create(&self.client, urgency).map_err(Failure::from)?;
        self.good_until = created.credentials.expiration.parse().ok();
        self.expiry.tell(&identity, Timestamp::now());
        Ok(Vended {
            credentials: created.credentials,
            certificate_expires: Some(identity.leaf.not_after()),
            device: Some(created.signing),
            service: Some(created.answer),
        })
    }
}

impl From<Failure> for VendError {
    fn from(failure: Failure) -> Self {
        let kind = match failure.kind() {
            FailureKind::Key => VendErrorKind::Key,
            FailureKind::Secret => VendErrorKind::Secret,
            FailureKind::Refused => VendErrorKind::Refused,
            FailureKind::Network => VendErrorKind::Network,
            FailureKind::Certificate => VendErrorKind::Certificate,
            FailureKind::Usage | FailureKind::Other | FailureKind::NotExecutable | FailureKind::NotFound => {
                VendErrorKind::Other
            }
        };
        Self::new(kind, failure.to_string()).with_source(failure)
    }
}

impl From<VendError> for Failure {
    fn from(error: VendError) -> Self {
        let (kind, message) = (error.kind().into(), error.to_string());
        match error.into_source().map(|source| source.downcast::<Failure>()) {
            Some(Ok(failure)) => *failure,
            _ => Self::new(kind, message),
        }
    }
}

impl From<VendErrorKind> for FailureKind {
    fn from(kind: VendErrorKind) -> Self {
        match kind {
            VendErrorKind::Key => Self::Key,
            VendErrorKind::Secret => Self::Secret,
            VendErrorKind::Refused => Self::Refused,
            VendErrorKind::Network => Self::Network,
            VendErrorKind::Certificate => Self::Certificate,
            VendErrorKind::Other => Self::Other,
        }
    }
}
