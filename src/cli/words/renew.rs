//! What people read of a certificate that was not renewed.

use crate::cli::{Failure, FailureKind};
use crate::files::{shell_word, unused_name};
use crate::provision::renew::{CommandError, RenewError};

use super::with_sources;

impl From<RenewError> for Failure {
    fn from(error: RenewError) -> Self {
        let message = with_sources(&error);
        match error {
            RenewError::Identity(error) => error.into(),
            RenewError::Command(error) => error.into(),
            RenewError::Refused(_) => Self::new(FailureKind::Certificate, message),
            RenewError::Occupied(path) => {
                let path = shell_word(&path.display().to_string());
                Self::new(FailureKind::Usage, message).with_hint(format!("move it away: mv {path} {path}.1"))
            }
            RenewError::Exists(path) => Self::new(FailureKind::Usage, message)
                .in_flag("--out")
                .with_hint(format!("name another: --out {}", unused_name(&path, "pem"))),
            _ => Self::new(FailureKind::Other, message),
        }
    }
}

impl From<CommandError> for Failure {
    fn from(error: CommandError) -> Self {
        let failure = Self::new(FailureKind::Other, with_sources(&error));
        match error {
            CommandError::Timeout(_) => failure.with_hint("allow it more time with --ca-timeout SECONDS"),
            CommandError::Ended(_) | CommandError::NoCertificate(_) => {
                failure.with_hint("try it by hand: keyanchor csr ... | COMMAND | openssl x509 -noout -text")
            }
            _ => failure,
        }
    }
}
