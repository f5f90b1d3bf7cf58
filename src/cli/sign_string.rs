//! `keyanchor sign-string`: signs the peer's fixed message, to show that the key works.

use aws_lc_rs::digest::{SHA256, digest};

use super::identity_args::IdentityArgs;
use super::identity_settings::{IdentitySettings, with_devices};
use super::log::LogArgs;
use super::output::print;
use super::values::{set, without};
use super::{Failure, FailureKind};
use crate::identity;
use crate::key::{Devices, HashAlgorithm, PublicKey, Signature, SigningInput};

/// What precedes the key's own part in the signed message.
const MESSAGE: &[u8] = b"AWS Roles Anywhere Credential Helper Signing Test1";

/// What the key's own part is the SHA-256 of, together with the public key.
const PUBLIC_KEY_PREFIX: &[u8] = b"IAM RA";

const EXAMPLES: &str = "\
Examples:
  Show that a key signs, before AWS comes into play:
    keyanchor sign-string --pkcs11 'pkcs11:token=prod;object=web-01'
    keyanchor sign-string --tpm /etc/keyanchor/key.pem --format text";

/// Sign a fixed message, to show that a key works
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES, mut_args(|flag| without(&["intermediates"], flag)))]
pub struct Args {
    #[command(flatten)]
    identity: IdentityArgs,
    /// How the signature is printed: json (quoted hex), text (hex) or bin
    #[arg(long, value_name = "FORMAT", default_value = "json", help_heading = "Signature")]
    format: String,
    /// Hash of the signature: SHA256, SHA384 or SHA512
    #[arg(long, value_name = "HASH", default_value = "SHA256", help_heading = "Signature")]
    digest: String,
    #[command(flatten)]
    log: LogArgs,
}

/// One device signature.
pub fn run(args: &Args) -> u8 {
    args.log.start();
    with_devices(&args.identity, |settings, devices| sign(args, settings, devices))
}

fn sign(args: &Args, settings: &IdentitySettings<'_>, devices: &mut Devices) -> Result<(), Failure> {
    let format = Format::parse(&args.format)?;
    let hash = hash(&args.digest)?;
    let key = identity::open_key(devices, &settings.key_reference()?)?;
    let input = SigningInput::new(message(key.public_key()), hash);
    key.gather_secrets()?;
    let signature = key.sign(&input)?;
    if let Some(public_key) = key.public_key() {
        public_key.verify(&input, &signature)?;
    }
    print(format.encode(&signature))
}

/// The peer's message: without the last part where the device does not show the public key.
fn message(public_key: Option<&PublicKey>) -> Vec<u8> {
    let mut message = MESSAGE.to_vec();
    if let Some(public_key) = public_key {
        message.extend(digest(&SHA256, &[PUBLIC_KEY_PREFIX, public_key.as_raw()].concat()).as_ref());
    }
    message
}

#[derive(Clone, Copy)]
enum Format {
    Json,
    Text,
    Binary,
}

impl Format {
    fn parse(text: &str) -> Result<Self, Failure> {
        match set(Some(text)) {
            None | Some("json") => Ok(Self::Json),
            Some("text") => Ok(Self::Text),
            Some("bin") => Ok(Self::Binary),
            Some(other) => {
                Err(Failure::new(FailureKind::Usage, format!("--format: wanted json, text or bin, found '{other}'")))
            }
        }
    }

    /// No line end in any format, as in the peer.
    fn encode(self, signature: &Signature) -> Vec<u8> {
        let hex = || signature.as_bytes().iter().map(|octet| format!("{octet:02x}")).collect::<String>();
        match self {
            Self::Json => format!("\"{}\"", hex()).into_bytes(),
            Self::Text => hex().into_bytes(),
            Self::Binary => signature.as_bytes().to_vec(),
        }
    }
}

fn hash(text: &str) -> Result<HashAlgorithm, Failure> {
    match set(Some(text)) {
        None | Some("SHA256") => Ok(HashAlgorithm::Sha256),
        Some("SHA384") => Ok(HashAlgorithm::Sha384),
        Some("SHA512") => Ok(HashAlgorithm::Sha512),
        Some(other) => {
            Err(Failure::new(FailureKind::Usage, format!("--digest: wanted SHA256, SHA384 or SHA512, found '{other}'")))
        }
    }
}
