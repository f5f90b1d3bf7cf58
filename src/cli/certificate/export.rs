//! `keyanchor certificate export`: a certificate on a token, or the first of a file, as PEM.

use clap::ArgAction::Set;

use super::super::Failure;
use super::super::identity_settings::{IdentitySettings, with_devices};
use super::super::log::LogArgs;
use super::super::out_args::OutArgs;
use super::super::values::{SWITCH, switch, without};
use super::{IdentityArgs, OF_KEYS};
use crate::files::pem;
use crate::identity::find_certificate;
use crate::key::Devices;

const EXAMPLES: &str = "\
Examples:
  To a file, with what is sent above it:
    keyanchor certificate export --pkcs11 'pkcs11:token=prod;object=web-01' --chain \\
        --out web-01.pem
  To another program:
    keyanchor certificate export --identity web | openssl x509 -noout -text";

/// Write a certificate as PEM
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES, mut_args(|flag| without(&OF_KEYS, flag)))]
pub struct Args {
    #[command(flatten)]
    identity: IdentityArgs,
    /// Write the certificates between leaf and root behind it, in the order in which they are sent
    #[arg(long, value_parser = switch, action = Set, value_name = SWITCH, help_heading = "Output")]
    chain: bool,
    #[command(flatten)]
    out: OutArgs,
    #[command(flatten)]
    log: LogArgs,
}

/// No device signature.
pub fn run(args: &Args) -> u8 {
    args.log.start();
    with_devices(&args.identity, |settings, devices| export(args, settings, devices))
}

fn export(args: &Args, settings: &IdentitySettings<'_>, devices: &mut Devices) -> Result<(), Failure> {
    let out = args.out.target()?;
    let (leaf, chain) = find_certificate(devices, &settings.reference()?)?;
    let further = chain.certificates.iter().filter(|_| args.chain);
    let text: String = std::iter::once(&leaf).chain(further).map(|it| pem("CERTIFICATE", it.der())).collect();
    out.write(&text)
}
