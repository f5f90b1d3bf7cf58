//! `keyanchor ca crl`: the list of what was revoked, and how AWS gets it.

use std::path::{Path, PathBuf};

use super::authority_args::AuthorityKeyArgs;
use super::held::{Held, with_held};
use super::init::days;
use super::now;
use crate::cli::log::LogArgs;
use crate::cli::out_args::OutArgs;
use crate::cli::output::note;
use crate::cli::values::set;
use crate::cli::words::authority_failure;
use crate::cli::{Failure, FailureKind};
use crate::files::shell_word;
use crate::key::Devices;
use crate::provision::ca::{Authority, Issuer, SignedCrl};

/// Octets that AWS takes of one CRL (IAM Roles Anywhere API reference, ImportCrl).
const LONGEST_FOR_AWS: usize = 300_000;

const LONG_ABOUT: &str = "\
Sign the list of revoked certificates (CRL)

The CRL goes to --out, else to stdout, and DIR keeps a copy. How AWS gets it is said on stderr. AWS asks nobody for CRLs: it knows
those that were imported, two for each trust anchor, which are enough for a root and an intermediate.";

const EXAMPLES: &str = "\
Examples:
  The list for AWS:
    keyanchor ca crl --ca ca --out revoked.pem
  A root revokes its intermediate:
    keyanchor ca crl --ca ca --issuer root --days 365";

/// Sign the list of revoked certificates (CRL)
#[derive(clap::Args, Debug)]
#[command(long_about = LONG_ABOUT, after_help = EXAMPLES)]
pub struct Args {
    /// Directory of the authority
    #[arg(long, value_name = "DIR")]
    ca: PathBuf,
    /// Whose CRL: root or intermediate [default: that of whoever issues the certificates]
    #[arg(long, value_name = "ISSUER")]
    issuer: Option<String>,
    /// Days until the next CRL is due [default: crl-days in ca.toml, which is 30 at first]
    #[arg(long, value_name = "DAYS")]
    days: Option<String>,
    /// How long the device may work, prompts not counted [default: 60]
    #[arg(long, value_name = "SECONDS")]
    token_timeout: Option<String>,
    #[command(flatten)]
    key: AuthorityKeyArgs,
    #[command(flatten)]
    out: OutArgs,
    #[command(flatten)]
    log: LogArgs,
}

/// One device signature.
pub fn run(args: &Args) -> u8 {
    args.log.start();
    with_held(|held| crl(args, held))
}

fn crl(args: &Args, held: &mut Held) -> Result<(), Failure> {
    let failed = authority_failure(&args.ca);
    let now = now();
    let authority = Authority::open(&args.ca).map_err(&failed)?;
    let (issuer, days) = (args.issuer(&authority)?, days("--days", args.days.as_deref())?);
    let out = args.out.target()?;
    let settings = authority.settings().key(issuer).unwrap_or(&authority.settings().root);
    let devices =
        held.authority.insert(Devices::new(args.key.device_options(settings, args.token_timeout.as_deref())?));
    let signer = authority.signer(issuer, devices, now).map_err(&failed)?;
    let crl = signer.revocation_list(days, now).map_err(&failed)?;
    out.write(&crl.pem)?;
    if crl.pem.len() > LONGEST_FOR_AWS {
        log::warn!("AWS takes CRLs of {LONGEST_FOR_AWS} octets at most, this one has {}", crl.pem.len());
    }
    note(&how_to_import(&crl, &authority.directory().crl(issuer)));
    Ok(())
}

impl Args {
    fn issuer(&self, authority: &Authority) -> Result<Issuer, Failure> {
        let wanted = match set(self.issuer.as_deref()) {
            None => return Ok(authority.issuer()),
            Some("root") => Issuer::Root,
            Some("intermediate") => Issuer::Intermediate,
            Some(other) => {
                let message = format!("--issuer: wanted root or intermediate, found '{}'", other.escape_debug());
                return Err(Failure::new(FailureKind::Usage, message));
            }
        };
        match authority.certificate(wanted) {
            Some(_) => Ok(wanted),
            None => Err(Failure::new(FailureKind::Usage, format!("--issuer: this authority has no {wanted}"))),
        }
    }
}

/// The copy in the directory is named, which is there whatever becomes of the output.
fn how_to_import(crl: &SignedCrl, copy: &Path) -> String {
    let copy = std::path::absolute(copy).unwrap_or_else(|_| copy.to_owned());
    let data = shell_word(&format!("fileb://{}", copy.display()));
    let issuer = crl.record.issuer;
    let first = format!(
        "aws rolesanywhere import-crl --name keyanchor-{issuer} --crl-data {data} --enabled --trust-anchor-arn TRUST-ANCHOR-ARN"
    );
    let count = format!(
        "CRL {} of the {issuer}, {} revoked, the next one is due by {}",
        crl.record.number, crl.revoked, crl.record.next_update
    );
    match crl.record.number {
        1 => format!("{count}; for AWS:\n  {first}"),
        _ => format!(
            "{count}; for AWS, where it has one already and where it has none:\n  \
             aws rolesanywhere update-crl --crl-data {data} --crl-id CRL-ID\n  {first}"
        ),
    }
}
