//! `keyanchor credential-process`: one credential, as the JSON that AWS SDKs read from a `credential_process`.

use jiff::Timestamp;

use super::identity_args::IdentityArgs;
use super::identity_settings::{IdentitySettings, with_devices};
use super::log::LogArgs;
use super::session_args::SessionArgs;
use super::{Failure, output};
use crate::identity::Identity;
use crate::key::Devices;
use crate::rolesanywhere::Client;
use crate::vend::process;

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
    with_devices(&args.identity, |settings, devices| vend(args, settings, devices))
}

fn vend(args: &Args, settings: &IdentitySettings<'_>, devices: &mut Devices) -> Result<(), Failure> {
    let request = args.session.create_session(settings.file(), None)?;
    let client = Client::new(&request, &args.session.client_options(settings.file())?)?;
    let identity = Identity::open(devices, &settings.reference()?, !args.session.no_preflight(), Timestamp::now())?;
    let credentials = client.create_session(&identity)?;
    output::print_with(|stdout| process::write(&credentials, stdout))
}
