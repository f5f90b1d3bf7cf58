//! Who issues the new certificate: the local authority, or a command.

use std::time::Duration;

use jiff::Timestamp;

use super::{Args, Renewal};
use crate::cli::Failure;
use crate::cli::ca::days;
use crate::cli::ca::held::Held;
use crate::cli::exec::secret_variables;
use crate::cli::identity_settings::IdentitySettings;
use crate::cli::values::seconds;
use crate::cli::words::authority_failure;
use crate::identity::IdentityReference;
use crate::key::Devices;
use crate::provision::ca::{Authority, Order};
use crate::provision::renew::CaCommand;
use crate::provision::request::{request, shown};
use crate::x509::Certificate;

/// How long a command may take where no flag says otherwise: somebody may have to touch a token.
const COMMAND_LIMIT: Duration = Duration::from_secs(120);

impl Args {
    /// By the local authority: one signature of its key; the public half of the identity's is enough.
    pub(super) fn by_authority(
        &self,
        authority: &Authority,
        renewal: &Renewal,
        held: &mut Held,
        now: Timestamp,
    ) -> Result<Vec<Certificate>, Failure> {
        let failed = authority_failure(authority.directory().path());
        let order = Order {
            subject: renewal.old.subject().clone(),
            names: renewal.old.alternative_names()?,
            public_key: shown(&*renewal.key)?,
            days: days("--days", self.days.as_deref())?,
            another_key: self.new_key.is_some(),
        };
        authority.admit(&order, now).map_err(&failed)?;
        let issuer = authority.issuer();
        let settings = authority.settings().key(issuer).unwrap_or(&authority.settings().root);
        let options = self.authority.device_options(settings, self.identity.token_timeout.as_deref())?;
        let devices = held.authority.insert(Devices::new(options));
        let leaf =
            authority.signer(issuer, devices, now).and_then(|signer| signer.issue(&order, now)).map_err(&failed)?;
        Ok([leaf].into_iter().chain(authority.chain().cloned()).collect())
    }

    /// By a command, for a request that the identity's key signs.
    pub(super) fn by_command(
        &self,
        line: &str,
        renewal: &Renewal,
        wanted: &IdentityReference,
        settings: &IdentitySettings<'_>,
    ) -> Result<Vec<Certificate>, Failure> {
        let old = &renewal.old;
        let reference = wanted.certificate.as_ref().map(ToString::to_string).unwrap_or_default();
        let command = CaCommand {
            line: line.to_owned(),
            variables: vec![
                ("KEYANCHOR_RENEW_SUBJECT", old.subject().to_string()),
                ("KEYANCHOR_RENEW_SERIAL", old.serial_hex()),
                ("KEYANCHOR_RENEW_NOT_AFTER", old.not_after().to_string()),
                ("KEYANCHOR_RENEW_CERTIFICATE", reference),
            ],
            hidden: secret_variables().map(str::to_owned).chain(settings.secret_variables()).collect(),
            limit: seconds("--ca-timeout", self.ca_timeout.as_deref())?.unwrap_or(COMMAND_LIMIT),
        };
        let der = request(&*renewal.key, old.subject().clone(), old.alternative_names()?)?;
        Ok(command.run(&der)?)
    }
}
