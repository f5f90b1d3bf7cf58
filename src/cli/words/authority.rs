//! What people read of a certificate authority that refuses.

use std::path::Path;

use crate::cli::{Failure, FailureKind};
use crate::files::shell_word;
use crate::provision::ca::{CaError, KeySettings, RefusalKind};
use crate::x509::build::UnknownReason;

/// Words for an error of the authority in this directory, which hints name.
pub fn authority_failure(ca: &Path) -> impl Fn(CaError) -> Failure + use<> {
    let directory = shell_word(&ca.display().to_string());
    move |error| match error {
        CaError::Refused(refusal) => {
            let failure = Failure::new(kind(refusal.kind()), refusal.to_string());
            match hint(refusal.kind(), &directory) {
                Some(hint) => failure.with_hint(hint),
                None => failure,
            }
        }
        CaError::Key(error) => error.into(),
        CaError::NoKey(settings, error) => {
            let (failure, make) = (Failure::from(error), generate(&settings));
            let hint = failure.hint().map_or(make.clone(), |other| format!("{make}; or {other}"));
            failure.with_hint(hint)
        }
        CaError::Certificate(error) => error.into(),
        CaError::Settings(error) => error.into(),
        CaError::File(error) => Failure::new(FailureKind::Other, error.to_string()),
    }
}

/// The command that makes a key where there is none.
fn generate(settings: &KeySettings) -> String {
    let module = settings.pkcs11_lib.as_ref().map(|path| path.display().to_string());
    let flags = [
        ("--private-key", Some(settings.key.to_string())),
        ("--pkcs11-lib", module),
        ("--tcti", settings.tcti.clone()),
    ];
    let flags = flags.into_iter().filter_map(|(flag, value)| Some(format!(" {flag} {}", shell_word(&value?))));
    format!("make the key first: keyanchor generate{}", flags.collect::<String>())
}

fn kind(kind: &RefusalKind) -> FailureKind {
    match kind {
        RefusalKind::Busy | RefusalKind::Index => FailureKind::Other,
        RefusalKind::Authority => FailureKind::Certificate,
        _ => FailureKind::Usage,
    }
}

fn hint(kind: &RefusalKind, directory: &str) -> Option<String> {
    Some(match kind {
        RefusalKind::NoAuthority => format!("make one: keyanchor ca init --ca {directory} --subject 'CN=Example Root'"),
        RefusalKind::Occupied => format!("name another directory with --ca; see what is there: ls -la {directory}"),
        RefusalKind::Foreign => format!("name another directory with --ca; see whose it is: ls -ld {directory}"),
        RefusalKind::Exposed => format!("take that from them: chmod go-w {directory}"),
        RefusalKind::Busy => format!("see who holds it: fuser -v {directory}/index.lock"),
        RefusalKind::Index => {
            format!("bring back {directory}/index.jsonl as it was before: it is only ever appended to")
        }
        RefusalKind::NameTaken { serial } => format!(
            "revoke that one: keyanchor ca revoke --ca {directory} --serial {serial}; or certify both keys: keyanchor ca issue \
             with --another-key"
        ),
        RefusalKind::Several { serials } => {
            let commands =
                serials.iter().map(|serial| format!("keyanchor ca revoke --ca {directory} --serial {serial}"));
            format!(
                "revoke those that are meant, with the same --reason:\n  {}",
                commands.collect::<Vec<_>>().join("\n  ")
            )
        }
        RefusalKind::Unknown | RefusalKind::Revoked => {
            format!("see what was issued: keyanchor ca list --ca {directory}")
        }
        _ => return None,
    })
}

impl From<UnknownReason> for Failure {
    fn from(error: UnknownReason) -> Self {
        Self::new(FailureKind::Usage, error.to_string())
    }
}
