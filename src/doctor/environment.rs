//! Variables that change what the commands do, and whatever gives SDKs other credentials before they would ask for these.

use std::ffi::OsString;
use std::path::PathBuf;

use super::check::Check;
use super::fact::EnvironmentFact;
use super::finding::{Finding, Standing};
use crate::files;
use crate::files::profiles::{self, ProfileName};
use crate::provision::aws_config::{before_process, credential_process};

/// Longest file of profiles that is read.
const LONGEST: usize = 1 << 20;

/// What the commands read; secrets are told apart, for their sources are judged elsewhere.
const SETTINGS: [&str; 27] = [
    "KEYANCHOR_CONFIG",
    "KEYANCHOR_IDENTITY",
    "KEYANCHOR_PKCS11_LIB",
    "KEYANCHOR_TCTI",
    "KEYANCHOR_PIN",
    "KEYANCHOR_CONTEXT_PIN",
    "KEYANCHOR_TPM_PASSWORD",
    "KEYANCHOR_TPM_PARENT_PASSWORD",
    "TPM_DEVICE",
    "TPM2TOOLS_TCTI",
    "TCTI",
    "AWS_ENDPOINT_URL_ROLESANYWHERE",
    "AWS_ENDPOINT_URL",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_USE_DUALSTACK_ENDPOINT",
    "AWS_CA_BUNDLE",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "NO_PROXY",
    "no_proxy",
    "CREDENTIALS_DIRECTORY",
    "SOFTHSM2_CONF",
];

/// By each of these SDKs have credentials before they come to a profile's `credential_process`.
const WINNING: [&str; 2] = ["AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE"];

/// What goes with them, to be unset together.
const COMPANIONS: [&str; 3] = ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ROLE_ARN"];

/// Looks at variables by name; their values stay where they are.
pub fn check(variable: impl Fn(&str) -> Option<OsString>) -> Vec<Finding> {
    let is_set = |name: &&&str| variable(name).is_some_and(|value| !value.is_empty());
    let settings: Vec<_> = SETTINGS.iter().filter(is_set).copied().collect();
    let standing = if settings.is_empty() { Standing::Good } else { Standing::Note };
    let settings = Finding::new(Check::EnvironmentSettings, standing, EnvironmentFact::Settings(settings));
    let credentials = match WINNING.iter().any(|name| is_set(&name)) {
        true => {
            let all: Vec<_> = WINNING.iter().chain(&COMPANIONS).filter(is_set).copied().collect();
            (Standing::Bad, EnvironmentFact::Credentials(all))
        }
        false => (Standing::Good, EnvironmentFact::NoCredentials),
    };
    let credentials = Finding::new(Check::EnvironmentCredentials, credentials.0, credentials.1);
    [Some(settings), Some(credentials), profile(&variable)].into_iter().flatten().collect()
}

/// The profile that SDKs take here. `None` where its name is none, or its section cannot be told: SDKs say so themselves.
fn profile(variable: &impl Fn(&str) -> Option<OsString>) -> Option<Finding> {
    let text = |name| variable(name).filter(|value| !value.is_empty());
    let named = text("AWS_PROFILE").or_else(|| text("AWS_DEFAULT_PROFILE"));
    let named = named.map_or(Some("default".to_owned()), |name| name.into_string().ok())?;
    let profile: ProfileName = named.parse().ok()?;
    let file = |name, in_home| profiles::path(variable(name), variable("HOME"), in_home);
    let read = |path: &PathBuf| files::read_octets(path, LONGEST).unwrap_or_default();
    let config = file("AWS_CONFIG_FILE", ".aws/config").as_ref().map(read).unwrap_or_default();
    let process = credential_process(&config, &profile).ok()?;
    // Only the program: the line may hold a password.
    let process = process.map(|line| line.split_whitespace().next().unwrap_or_default().to_owned());
    let credentials = file("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials");
    let before = credentials.map(|path| (before_process(&read(&path), &profile), path));
    let before = before.filter(|(settings, _)| !settings.is_empty()).map(|(settings, path)| (path, settings));
    let standing = match (&process, &before) {
        (Some(_), Some(_)) => Standing::Bad,
        (None, Some(_)) => Standing::Note,
        (_, None) => Standing::Good,
    };
    Some(Finding::new(Check::EnvironmentProfile, standing, EnvironmentFact::Profile { profile, process, before }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(set: &[(&str, &str)]) -> Vec<Finding> {
        check(|name| set.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into()))
    }

    #[test]
    fn keys_in_the_environment_win_and_are_named_with_their_kin() {
        let findings = found(&[("AWS_ACCESS_KEY_ID", "x"), ("AWS_SECRET_ACCESS_KEY", "y"), ("TCTI", "")]);
        assert!(
            matches!(&findings[0].fact, super::super::Fact::Environment(EnvironmentFact::Settings(set)) if set.is_empty())
        );
        assert_eq!(findings[1].standing, Standing::Bad);
        let super::super::Fact::Environment(EnvironmentFact::Credentials(names)) = &findings[1].fact else { panic!() };
        assert_eq!(names, &["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]);
    }

    #[test]
    fn a_secret_key_alone_gives_nobody_credentials() {
        assert_eq!(found(&[("AWS_SECRET_ACCESS_KEY", "y")])[1].standing, Standing::Good);
    }
}
