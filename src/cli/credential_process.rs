//! `keyanchor credential-process`: one credential, as the JSON that AWS SDKs read from a `credential_process`.

use super::identity_args::IdentityArgs;
use super::identity_settings::IdentitySettings;
use super::log::LogArgs;
use super::session_args::SessionArgs;
use super::vending::{Role, with_session};
use super::{Failure, output};
use crate::session::Session;
use crate::vend::{Vend, process};

/// Print temporary credentials for the AWS SDKs' credential_process
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    identity: IdentityArgs,
    #[command(flatten)]
    session: SessionArgs,
    #[command(flatten)]
    log: LogArgs,
}

/// One device signature and one login; the connection is opened while the device signs.
pub fn run(args: &Args) -> u8 {
    args.log.start();
    with_session(&args.identity, &args.session, false, |settings, session| vend(args, settings, session))
}

fn vend(args: &Args, settings: &IdentitySettings<'_>, session: &Session) -> Result<(), Failure> {
    let credentials = Role::new(session, settings, &args.session, None)?.vend()?.credentials;
    output::print_with(|stdout| process::write(&credentials, stdout))
}
