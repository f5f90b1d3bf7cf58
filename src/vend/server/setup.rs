//! From options, roles and consumers to the first snapshot: what does not go together is refused here. Pure.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use hyper::body::Bytes;

use super::consumer::{ConsumerToken, ConsumerTokens};
use super::error::ServeError;
use super::options::{Consumer, Options, RoleSource, Surface};
use super::session::SessionTokens;
use super::state::{ConsumerState, RoleState, Snapshot, Unavailable};

/// The name by which IMDS shows a role: what follows the last `/` of its ARN.
pub fn role_name(arn: &str) -> Result<&str, ServeError> {
    let resource = arn.splitn(6, ':').nth(5).and_then(|resource| resource.strip_prefix("role/"));
    match resource.and_then(|path| path.rsplit('/').next()) {
        Some(name) if !name.is_empty() && arn.starts_with("arn:") && name.bytes().all(is_role_name_octet) => Ok(name),
        _ => Err(ServeError::Usage(format!(
            "wanted a role ARN such as arn:aws:iam::123456789012:role/NAME, found {arn:?}"
        ))),
    }
}

/// The characters that IAM allows in the name of a role.
fn is_role_name_octet(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"_+=,.@-".contains(&octet)
}

/// What each address to listen on may be asked for.
pub fn surfaces(options: &Options, consumers: &[Consumer]) -> Result<Vec<(SocketAddr, Surface)>, ServeError> {
    if options.listen.is_empty() && options.given.is_empty() {
        return Err(ServeError::Usage("wanted an address to listen on, found none".into()));
    }
    options.listen.iter().map(|address| Ok((*address, surface(options, consumers, *address)?))).collect()
}

/// What one address may be asked for.
pub fn surface(options: &Options, consumers: &[Consumer], address: SocketAddr) -> Result<Surface, ServeError> {
    let surface = Surface::of(address.ip(), !consumers.is_empty()).map_err(ServeError::Usage)?;
    Ok(if options.containers_only { Surface::Containers } else { surface })
}

/// The state before the first refresh.
pub fn first_snapshot(options: &Options, roles: &[RoleSource], consumers: &[Consumer]) -> Result<Snapshot, ServeError> {
    let mut names = BTreeSet::new();
    let mut states = Vec::new();
    for role in roles {
        let name = role_name(&role.role_arn)?;
        if !names.insert(name) {
            return Err(ServeError::Usage(format!(
                "two roles have the name {name}: clients could not tell them apart"
            )));
        }
        states.push(Arc::new(RoleState {
            name: Bytes::copy_from_slice(name.as_bytes()),
            arn: role.role_arn.clone(),
            region: Bytes::copy_from_slice(role.region.as_bytes()),
            credentials: None,
            certificate_expires: None,
            unavailable: Unavailable::because("the first refresh is not done yet"),
        }));
    }
    if states.is_empty() {
        return Err(ServeError::Usage("wanted a role to serve, found none".into()));
    }
    let imds_role = options.imds_role.as_deref().map_or(Ok(0), |wanted| find_role(&states, wanted))?;
    Ok(Snapshot {
        imds_role,
        consumers: consumer_states(&states, consumers)?,
        sessions: Arc::new(SessionTokens::new()?),
        roles: states,
    })
}

fn consumer_states(roles: &[Arc<RoleState>], consumers: &[Consumer]) -> Result<Vec<ConsumerState>, ServeError> {
    let mut files = BTreeSet::new();
    let mut states = Vec::new();
    for consumer in consumers {
        if !files.insert(&consumer.token_file) {
            let (name, path) = (&consumer.name, consumer.token_file.display());
            return Err(ServeError::Usage(format!("consumer {name} has the token file of another consumer, {path}")));
        }
        let role = find_role(roles, &consumer.role)?;
        let token = ConsumerToken::generate().map_err(ServeError::System)?;
        states.push(ConsumerState { role, tokens: ConsumerTokens::new(token) });
    }
    Ok(states)
}

fn find_role(roles: &[Arc<RoleState>], wanted: &str) -> Result<usize, ServeError> {
    roles.iter().position(|role| role.name == wanted.as_bytes() || role.arn == wanted).ok_or_else(|| {
        let names: Vec<_> = roles.iter().map(|role| String::from_utf8_lossy(&role.name)).collect();
        ServeError::Usage(format!("wanted one of the roles {}, found {wanted:?}", names.join(", ")))
    })
}
