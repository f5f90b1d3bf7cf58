//! `keyanchor csr`: a signing request for a key on a device.

use super::Failure;
use super::identity_args::IdentityArgs;
use super::identity_settings::{IdentitySettings, with_devices};
use super::log::LogArgs;
use super::out_args::OutArgs;
use super::subject_args::SubjectArgs;
use super::values::without;
use crate::files::pem;
use crate::identity;
use crate::key::Devices;
use crate::provision::request::request;

const EXAMPLES: &str = "\
Examples:
  For a key on a token, to be sent to a CA:
    keyanchor csr --pkcs11 'pkcs11:token=prod;object=web-01' --subject CN=web-01 --out web-01.csr
  With names beside the subject, to stdout:
    keyanchor csr --tpm /etc/keyanchor/key.pem --subject 'CN=web-01,O=Example' \\
        --dns web-01.example.org --uri spiffe://example.org/web";

/// Make a signing request (PKCS#10) for a key, signed on its device
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES, mut_args(|flag| without(&["intermediates"], flag)))]
pub struct Args {
    #[command(flatten)]
    subject: SubjectArgs,
    #[command(flatten)]
    identity: IdentityArgs,
    #[command(flatten)]
    out: OutArgs,
    #[command(flatten)]
    log: LogArgs,
}

/// One device signature.
pub fn run(args: &Args) -> u8 {
    args.log.start();
    with_devices(&args.identity, |settings, devices| make(args, settings, devices))
}

fn make(args: &Args, settings: &IdentitySettings<'_>, devices: &mut Devices) -> Result<(), Failure> {
    let (subject, names) = (args.subject.required_subject()?, args.subject.names()?);
    let out = args.out.target()?;
    let key = identity::open_key(devices, &settings.key_reference()?)?;
    let der = request(key.as_ref(), subject, names)?;
    out.write(&pem("CERTIFICATE REQUEST", &der))
}
