//! What `serve` serves: every role with the session that it is assumed with, and the consumers of the configuration file.

use super::identity_args::IdentityArgs;
use super::identity_settings::{Identities, IdentitySettings};
use super::session_args::SessionArgs;
use super::vending::Role;
use super::{Failure, FailureKind};
use crate::config::{ConsumerConfig, ConsumerOf};
use crate::key::Devices;
use crate::session::Session;
use crate::vend::schedule::Schedule;
use crate::vend::server::{Consumer, RoleSource};

/// Roles, consumers, and what they have open.
pub struct Served {
    /// At least one.
    pub roles: Vec<RoleSource>,
    /// None where there is no configuration file.
    pub consumers: Vec<Consumer>,
    /// One for each identity; some may be on the same devices.
    pub sessions: Vec<Session>,
}

impl Served {
    /// Everything that can be checked without a device is; none is opened.
    pub fn new(identity: &IdentityArgs, args: &SessionArgs) -> Result<Self, Failure> {
        let Identities { settings, consumers } = identity.all_settings()?;
        if settings.len() > 1 && args.names_role() {
            let names: Vec<_> = settings.iter().filter_map(|(name, _)| name.as_deref()).collect();
            let message = format!("wanted --identity NAME beside --role-arn, found none of {}", names.join(", "));
            return Err(Failure::new(FailureKind::Usage, message));
        }
        let sessions = sessions(&settings, args)?;
        let mut roles = Vec::new();
        let mut first_role_of = Vec::new();
        for ((name, settings), session) in settings.iter().zip(&sessions) {
            let of_identity = roles_of(settings, session, args).map_err(|failure| match name {
                Some(name) => failure.in_flag(&format!("[identity.{name}]")),
                None => failure,
            })?;
            if let (Some(name), Some(first)) = (name, of_identity.first()) {
                first_role_of.push((name.clone(), first.role_arn.clone()));
            }
            roles.extend(of_identity);
        }
        let consumers = consumers.into_iter().filter_map(|(name, consumer)| served(name, consumer, &first_role_of));
        Ok(Self { consumers: consumers.collect(), roles, sessions })
    }
}

/// A session for each identity. Those whose devices are opened alike share them: a module cannot be loaded twice, and a PIN that was
/// wrong once must not be tried again.
fn sessions(settings: &[(Option<String>, IdentitySettings<'_>)], args: &SessionArgs) -> Result<Vec<Session>, Failure> {
    let mut sessions: Vec<Session> = Vec::new();
    for (_, own) in settings {
        let reference = own.reference()?;
        let alike = settings.iter().zip(&sessions).find(|((_, other), _)| other.opens_devices_like(own));
        let session = match alike {
            Some((_, session)) => session.beside(reference),
            None => Session::new(Devices::new(own.device_options(true)?), reference, !args.no_preflight()),
        };
        sessions.push(session);
    }
    Ok(sessions)
}

fn roles_of(
    settings: &IdentitySettings<'_>,
    session: &Session,
    args: &SessionArgs,
) -> Result<Vec<RoleSource>, Failure> {
    let source = |arns| {
        let role = Role::of(session, settings, args, arns)?;
        let (role_arn, region) = (role.arn().to_owned(), role.region().to_owned());
        Ok(RoleSource { role_arn, region, vend: Box::new(role), pace: Box::new(Schedule::new()) })
    };
    args.roles()?.into_iter().map(source).collect()
}

/// A consumer, unless its identity is another process's.
fn served(name: String, consumer: ConsumerConfig, roles: &[(String, String)]) -> Option<Consumer> {
    let ConsumerConfig { of, token_file } = consumer;
    let role = match of {
        ConsumerOf::Role(role) => role,
        ConsumerOf::Identity(identity) => match roles.iter().find(|(served, _)| *served == identity) {
            Some((_, role)) => role.clone(),
            None => {
                log::info!("consumer {name} gets no token here: its identity {identity} is not served");
                return None;
            }
        },
    };
    Some(Consumer { name, role, token_file })
}
