//! The environment variables that concern the client, read once and passed on as a value, so that the rest is pure. Nothing
//! is read from `~/.aws/config`: a credential process must not be redirected by the profile that calls it.

use std::ffi::OsString;
use std::path::PathBuf;

use zeroize::Zeroizing;

use super::error::RequestError;

/// What the environment says. An empty variable counts as unset.
#[derive(Clone, Default)]
pub struct Environment {
    /// AWS_ENDPOINT_URL_ROLESANYWHERE or AWS_ENDPOINT_URL, with the variable's name; `None` under
    /// AWS_IGNORE_CONFIGURED_ENDPOINT_URLS.
    pub(super) endpoint: Option<(&'static str, String)>,
    /// AWS_USE_FIPS_ENDPOINT.
    pub(super) fips: bool,
    /// AWS_USE_DUALSTACK_ENDPOINT.
    pub(super) dual_stack: bool,
    /// AWS_CA_BUNDLE.
    pub(super) ca_bundle: Option<PathBuf>,
    /// SSL_CERT_FILE and SSL_CERT_DIR.
    pub(super) ssl_cert_file: Option<PathBuf>,
    pub(super) ssl_cert_dir: Option<OsString>,
    /// HTTPS_PROXY and HTTP_PROXY with the variable's name. They may hold a password.
    pub(super) https_proxy: Option<(&'static str, Zeroizing<String>)>,
    pub(super) http_proxy: Option<(&'static str, Zeroizing<String>)>,
    /// NO_PROXY.
    pub(super) no_proxy: String,
}

impl Environment {
    /// Reads this process's environment.
    pub fn from_process() -> Result<Self, RequestError> {
        Self::from_lookup(|name| std::env::var_os(name))
    }

    pub(super) fn from_lookup(lookup: impl Fn(&str) -> Option<OsString>) -> Result<Self, RequestError> {
        let raw = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let text = |name: &'static str| match raw(name).map(OsString::into_string) {
            None => Ok(None),
            Some(Ok(value)) => Ok(Some((name, value))),
            // The value is not shown: a proxy's address may hold a password.
            Some(Err(_)) => Err(RequestError::new(format!("{name}: wanted UTF-8, found other octets"))),
        };
        let first = |names: [&'static str; 2]| -> Result<_, RequestError> {
            let [upper, lower] = names;
            Ok(match text(upper)? {
                None => text(lower)?,
                found => found,
            })
        };
        // Anything else may be a misspelt "true", and not to use FIPS silently is worse than to stop.
        let flag = |name: &'static str| match text(name)? {
            None => Ok(false),
            Some((_, value)) if value.eq_ignore_ascii_case("true") => Ok(true),
            Some((_, value)) if value.eq_ignore_ascii_case("false") => Ok(false),
            Some((_, value)) => Err(RequestError::new(format!("{name}: wanted true or false, found {value:?}"))),
        };
        let hide = |(name, value)| (name, Zeroizing::new(value));

        let endpoint = if flag("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")? {
            None
        } else {
            first(["AWS_ENDPOINT_URL_ROLESANYWHERE", "AWS_ENDPOINT_URL"])?
        };
        Ok(Self {
            endpoint,
            fips: flag("AWS_USE_FIPS_ENDPOINT")?,
            dual_stack: flag("AWS_USE_DUALSTACK_ENDPOINT")?,
            ca_bundle: raw("AWS_CA_BUNDLE").map(PathBuf::from),
            ssl_cert_file: raw("SSL_CERT_FILE").map(PathBuf::from),
            ssl_cert_dir: raw("SSL_CERT_DIR"),
            https_proxy: first(["HTTPS_PROXY", "https_proxy"])?.map(hide),
            // Where REQUEST_METHOD is set, this may be a CGI script, and HTTP_PROXY a client's `Proxy` header (httpoxy).
            http_proxy: if raw("REQUEST_METHOD").is_some() {
                text("http_proxy")?.map(hide)
            } else {
                first(["HTTP_PROXY", "http_proxy"])?.map(hide)
            },
            no_proxy: first(["NO_PROXY", "no_proxy"])?.map(|(_, value)| value).unwrap_or_default(),
        })
    }
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Environment")
            .field("endpoint", &self.endpoint)
            .field("fips", &self.fips)
            .field("dual_stack", &self.dual_stack)
            .field("ca_bundle", &self.ca_bundle)
            .field("no_proxy", &self.no_proxy)
            .finish_non_exhaustive()
    }
}

/// For tests: an environment of these variables.
#[cfg(test)]
pub(super) fn environment(variables: &[(&str, &str)]) -> Result<Environment, RequestError> {
    Environment::from_lookup(|name| {
        variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(variables: &[(&str, &str)]) -> Option<&'static str> {
        environment(variables).unwrap().endpoint.map(|(name, _)| name)
    }

    #[test]
    fn the_variable_of_the_service_wins_and_both_can_be_ignored() {
        let special = ("AWS_ENDPOINT_URL_ROLESANYWHERE", "https://a.example");
        let general = ("AWS_ENDPOINT_URL", "https://b.example");
        let ignore = ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "TRUE");
        assert_eq!(endpoint(&[special, general]), Some("AWS_ENDPOINT_URL_ROLESANYWHERE"));
        assert_eq!(endpoint(&[(special.0, ""), general]), Some("AWS_ENDPOINT_URL"));
        assert_eq!(endpoint(&[special, general, ignore]), None);
        assert_eq!(endpoint(&[general, (ignore.0, "false")]), Some("AWS_ENDPOINT_URL"));
    }

    #[test]
    fn a_misspelt_truth_is_an_error() {
        let error = environment(&[("AWS_USE_FIPS_ENDPOINT", "yes")]).unwrap_err();
        assert_eq!(error.to_string(), "AWS_USE_FIPS_ENDPOINT: wanted true or false, found \"yes\"");
        assert!(environment(&[("AWS_USE_FIPS_ENDPOINT", "True")]).unwrap().fips);
    }

    #[test]
    fn a_cgi_client_cannot_choose_the_proxy() {
        let proxy = ("HTTP_PROXY", "http://attacker.example");
        assert!(environment(&[proxy]).unwrap().http_proxy.is_some());
        assert!(environment(&[proxy, ("REQUEST_METHOD", "GET")]).unwrap().http_proxy.is_none());
    }

    #[test]
    fn a_proxys_password_does_not_show_in_debug() {
        let environment = environment(&[("HTTPS_PROXY", "http://u:test-password@proxy:3128")]).unwrap();
        assert!(!format!("{environment:?}").contains("test-password"));
    }
}
