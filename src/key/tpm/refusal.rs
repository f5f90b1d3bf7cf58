//! What work with a TPM ends in other than success: a secret that is wanted after all, or a fault. Also the words about
//! passwords, tries left and lockout.

use std::time::Duration;

use super::super::error::{Advice, KeyError, KeyErrorKind};
use super::super::secret::SecretKind;
use super::context::{Lockout, Tpm};
use super::error::Fault;

/// Ends the recovery from lockout at once, for who knows the lockout password.
const CLEAR_LOCKOUT: &str = "tpm2_dictionarylockout --clear-lockout";

/// Why an attempt came to nothing.
pub(super) enum Refusal {
    /// The object has a password, which was not given: ask, and try again. Nothing was counted towards lockout.
    Wants {
        /// Which secret.
        kind: SecretKind,
        /// What has the password, in words.
        object: String,
    },
    /// The attempt failed.
    Fault(Fault),
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<KeyError> for Refusal {
    fn from(error: KeyError) -> Self {
        Self::Fault(Fault::Key(error))
    }
}

/// The TPM refused a password that was given: what was tried, and what the TPM says about further tries. `object` names what
/// has the password where that is not the key.
pub(super) fn wrong_secret(
    tpm: &mut Tpm,
    kind: SecretKind,
    object: Option<&str>,
    exempt: bool,
    fault: &Fault,
) -> KeyError {
    let of = object.map_or_else(String::new, |object| format!(" of {object}"));
    let tries = match tpm.lockout() {
        _ if exempt => "; wrong ones do not count towards lockout here".to_owned(),
        Some(Lockout { tries_left: 0, one_forgiven_after }) => {
            format!("; no try is left before lockout{}", forgiveness(one_forgiven_after))
        }
        Some(Lockout { tries_left, one_forgiven_after }) => {
            format!("; {tries_left} more before lockout{}", forgiveness(one_forgiven_after))
        }
        None => String::new(),
    };
    KeyError::new(KeyErrorKind::SecretWrong, format!("the TPM refused the {kind}{of}, which was tried once{tries}"))
        .with_code(fault.code())
        .with_refused_secret(kind)
}

/// The TPM is in lockout: nothing that was given matters, and nothing more is tried.
pub(super) fn lockout(tpm: &mut Tpm, fault: &Fault) -> KeyError {
    let recovery = tpm.lockout().map_or_else(String::new, |lockout| forgiveness(lockout.one_forgiven_after));
    KeyError::new(
        KeyErrorKind::SecretLocked,
        format!(
            "the TPM is in dictionary-attack lockout after too many wrong passwords and refuses the key, whatever the \
             password{recovery}"
        ),
    )
    .with_code(fault.code())
    .with_advice(Advice::Run { command: CLEAR_LOCKOUT.to_owned() })
}

fn forgiveness(interval: Duration) -> String {
    match interval.as_secs() {
        0 => String::new(),
        seconds => format!(", one is forgiven every {}", duration(seconds)),
    }
}

/// The largest unit that needs no fraction.
fn duration(seconds: u64) -> String {
    match seconds {
        _ if seconds.is_multiple_of(3600) => format!("{} h", seconds / 3600),
        _ if seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        _ => format!("{seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recovery_times_are_told_in_whole_units() {
        for (seconds, wanted) in [(7200, "2 h"), (600, "10 min"), (1000, "1000 s")] {
            assert_eq!(duration(seconds), wanted);
        }
        assert_eq!(forgiveness(Duration::ZERO), "");
    }
}
