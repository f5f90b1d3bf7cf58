//! Where the request goes: scheme, host, port, path. Parsed from a URL or made from a region. Pure.

use std::net::IpAddr;

use super::environment::Environment;
use super::error::RequestError;
use super::region::Region;

/// The endpoint's base URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    https: bool,
    /// Lower-case name or address, an IPv6 address without brackets.
    host: String,
    port: u16,
    /// What precedes `/sessions`: empty, or beginning and not ending with a slash.
    prefix: String,
}

/// The flags that decide about the endpoint.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct EndpointChoice<'a> {
    pub(super) endpoint: Option<&'a str>,
    pub(super) fips: Option<bool>,
    pub(super) dual_stack: Option<bool>,
    pub(super) no_verify_ssl: bool,
}

impl Endpoint {
    /// `--endpoint`, else the environment's, else the region's host.
    pub(super) fn choose(
        choice: &EndpointChoice<'_>,
        environment: &Environment,
        region: &Region,
    ) -> Result<Self, RequestError> {
        let fips = variant((choice.fips, "--fips"), (environment.fips, "AWS_USE_FIPS_ENDPOINT"));
        let dual_stack =
            variant((choice.dual_stack, "--dualstack"), (environment.dual_stack, "AWS_USE_DUALSTACK_ENDPOINT"));
        let named = choice.endpoint.map(|url| ("--endpoint", url));
        let configured = environment.endpoint.as_ref().map(|(variable, url)| (*variable, url.as_str()));
        let Some((place, url)) = named.or(configured) else {
            return Ok(Self::of_host(region.host(fips.is_some(), dual_stack.is_some())));
        };
        // A URL names one host; which of its variants was meant cannot be known.
        if let Some(variant) = fips.or(dual_stack) {
            return Err(RequestError::new(format!("{variant} cannot be combined with the endpoint from {place}")));
        }
        let endpoint = Self::parse(url, place)?;
        // Credentials in clear stay on this machine, unless the person gave up on the transport's security already.
        if !endpoint.https && !endpoint.is_loopback() && !choice.no_verify_ssl {
            let message = format!("{place}: wanted https://, found {url:?}, where the credentials come back in clear");
            return Err(RequestError::new(message).with_flag("--no-verify-ssl"));
        }
        Ok(endpoint)
    }

    fn of_host(host: String) -> Self {
        Self { https: true, host, port: 443, prefix: String::new() }
    }

    /// Reads a URL; `place` says where it was written.
    fn parse(url: &str, place: &str) -> Result<Self, RequestError> {
        Self::read(url).map_err(|problem| {
            RequestError::new(format!("{place}: wanted https://HOST[:PORT][/PATH], found {}{problem}", shown(url)))
        })
    }

    fn read(url: &str) -> Result<Self, &'static str> {
        let (https, rest) = match url.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (true, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (false, rest),
            Some(_) => return Err(", with another scheme"),
            None => return Err(", without a scheme"),
        };
        if rest.contains(['?', '#']) {
            return Err(", with a query or fragment");
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(", with a user name");
        }
        let (host, port) = split_authority(authority).ok_or(", without a host and port that can be read")?;
        let prefix = path.trim_end_matches('/');
        if !is_plain_path(prefix) {
            return Err(", with a path that is not made of plain percent-encoded segments");
        }
        let default = if https { 443 } else { 80 };
        Ok(Self { https, host, port: port.unwrap_or(default), prefix: prefix.to_owned() })
    }

    pub(super) fn is_https(&self) -> bool {
        self.https
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// The Host header: the port only where it is not the scheme's own.
    pub(super) fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        match (self.https, self.port) {
            (true, 443) | (false, 80) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }

    /// Path of CreateSession, as it is sent.
    pub(super) fn path(&self) -> String {
        format!("{}/sessions", self.prefix)
    }

    /// The whole URL of CreateSession.
    pub(super) fn url(&self) -> String {
        format!("{}://{}{}", if self.https { "https" } else { "http" }, self.authority(), self.path())
    }

    pub(super) fn is_loopback(&self) -> bool {
        is_loopback(&self.host)
    }
}

/// Whether a host is this machine: by name, or by address.
pub(super) fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

/// Host in lower case and without brackets, and the port. `None` where either cannot be read.
pub(super) fn split_authority(authority: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            address.parse::<std::net::Ipv6Addr>().ok()?;
            (address, port)
        }
        None => {
            let (host, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
            if !is_host_name(host) {
                return None;
            }
            (host, port)
        }
    };
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => None,
        Some("") => None,
        Some(digits) if digits.bytes().all(|octet| octet.is_ascii_digit()) => {
            Some(digits.parse().ok().filter(|port| *port != 0)?)
        }
        _ => return None,
    };
    Some((host.to_ascii_lowercase(), port))
}

/// A DNS name or an IPv4 address; underscores occur in the names that container networks give.
fn is_host_name(host: &str) -> bool {
    (1..=253).contains(&host.len())
        && host.trim_end_matches('.').split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_'))
        })
}

/// Empty, or segments of RFC 3986 characters that no server takes for something else: neither empty nor dots.
fn is_plain_path(path: &str) -> bool {
    let Some(segments) = path.strip_prefix('/') else {
        return path.is_empty();
    };
    segments.split('/').all(|segment| {
        let mut octets = segment.bytes();
        let mut plain = !matches!(segment, "" | "." | "..");
        while let Some(octet) = octets.next() {
            plain &= match octet {
                b'%' => {
                    [octets.next(), octets.next()].into_iter().all(|hex| hex.is_some_and(|hex| hex.is_ascii_hexdigit()))
                }
                _ => octet.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&octet),
            };
        }
        plain
    })
}

/// A URL fit for an error: without the user name and password that it may hold.
fn shown(url: &str) -> String {
    match url.rsplit_once('@') {
        Some((_, host)) => format!("{:?}", format!("…@{host}")),
        None => format!("{url:?}"),
    }
}

/// What asks for a variant of the endpoint: the flag where it says something, else the variable.
fn variant(flag: (Option<bool>, &'static str), variable: (bool, &'static str)) -> Option<&'static str> {
    match flag.0 {
        Some(wanted) => wanted.then_some(flag.1),
        None => variable.0.then_some(variable.1),
    }
}

#[cfg(test)]
mod tests {
    use super::super::environment::environment;
    use super::*;

    fn choose(endpoint: Option<&str>, variables: &[(&str, &str)]) -> Result<String, String> {
        let choice = EndpointChoice { endpoint, ..Default::default() };
        let region = Region::parse("us-east-1", "--region").unwrap();
        Endpoint::choose(&choice, &environment(variables).unwrap(), &region)
            .map(|endpoint| endpoint.url())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_flag_wins_over_the_environment_and_that_over_the_region() {
        let variable = ("AWS_ENDPOINT_URL", "https://b.example");
        assert_eq!(choose(Some("https://a.example"), &[variable]).unwrap(), "https://a.example/sessions");
        assert_eq!(choose(None, &[variable]).unwrap(), "https://b.example/sessions");
        assert_eq!(choose(None, &[]).unwrap(), "https://rolesanywhere.us-east-1.amazonaws.com/sessions");
    }

    #[test]
    fn fips_and_dual_stack_choose_the_host() {
        let fips = ("AWS_USE_FIPS_ENDPOINT", "true");
        let dual = ("AWS_USE_DUALSTACK_ENDPOINT", "true");
        assert_eq!(choose(None, &[fips]).unwrap(), "https://rolesanywhere-fips.us-east-1.amazonaws.com/sessions");
        assert_eq!(choose(None, &[dual]).unwrap(), "https://rolesanywhere.us-east-1.api.aws/sessions");
        assert_eq!(choose(None, &[fips, dual]).unwrap(), "https://rolesanywhere-fips.us-east-1.api.aws/sessions");
    }

    #[test]
    fn a_flag_that_says_no_wins_over_a_variable_that_says_yes() {
        let variables = [("AWS_USE_FIPS_ENDPOINT", "true"), ("AWS_USE_DUALSTACK_ENDPOINT", "true")];
        let choice = EndpointChoice { fips: Some(false), ..Default::default() };
        let region = Region::parse("us-east-1", "--region").unwrap();
        let endpoint = Endpoint::choose(&choice, &environment(&variables).unwrap(), &region).unwrap();
        assert_eq!(endpoint.host(), "rolesanywhere.us-east-1.api.aws");
    }

    #[test]
    fn fips_or_dual_stack_with_a_custom_endpoint_is_an_error() {
        assert_eq!(
            choose(Some("https://a.example"), &[("AWS_USE_FIPS_ENDPOINT", "true")]).unwrap_err(),
            "AWS_USE_FIPS_ENDPOINT cannot be combined with the endpoint from --endpoint"
        );
        let choice = EndpointChoice { dual_stack: Some(true), ..Default::default() };
        let region = Region::parse("us-east-1", "--region").unwrap();
        let variable = environment(&[("AWS_ENDPOINT_URL", "https://a.example")]).unwrap();
        assert_eq!(
            Endpoint::choose(&choice, &variable, &region).unwrap_err().to_string(),
            "--dualstack cannot be combined with the endpoint from AWS_ENDPOINT_URL"
        );
    }

    #[test]
    fn urls_are_read_and_normalised() {
        let table = [
            ("https://Host.Example", "https://host.example/sessions"),
            ("HTTPS://host.example:443/", "https://host.example/sessions"),
            ("https://host.example:8443//", "https://host.example:8443/sessions"),
            ("https://host.example/pre%20fix/v1/", "https://host.example/pre%20fix/v1/sessions"),
            ("https://[::1]:8443", "https://[::1]:8443/sessions"),
            ("https://192.0.2.1", "https://192.0.2.1/sessions"),
            ("http://localhost:4566", "http://localhost:4566/sessions"),
            ("http://127.0.0.2:80", "http://127.0.0.2/sessions"),
            ("http://[::1]", "http://[::1]/sessions"),
        ];
        for (url, wanted) in table {
            assert_eq!(choose(Some(url), &[]).as_deref(), Ok(wanted), "{url}");
        }
    }

    #[test]
    fn what_is_no_base_url_is_refused() {
        let table = [
            ("host.example", "without a scheme"),
            ("ftp://host.example", "another scheme"),
            ("https://", "without a host"),
            ("https://host.example:0", "without a host and port"),
            ("https://host.example:70000", "without a host and port"),
            ("https://host.example:+1", "without a host and port"),
            ("https://[::1", "without a host and port"),
            ("https://[zz]", "without a host and port"),
            ("https://a..b", "without a host and port"),
            ("https://hös.example", "without a host and port"),
            ("https://host.example?x=1", "query or fragment"),
            ("https://host.example/#x", "query or fragment"),
            ("https://host.example/a/../b", "path"),
            ("https://host.example/a//b", "path"),
            ("https://host.example/a b", "path"),
            ("https://host.example/%zz", "path"),
            ("https://host.example\r\nX: y", "without a host and port"),
        ];
        for (url, wanted) in table {
            let error = choose(Some(url), &[]).unwrap_err();
            assert!(error.starts_with("--endpoint: wanted https://HOST") && error.contains(wanted), "{url}: {error}");
        }
    }

    #[test]
    fn a_password_in_a_url_is_refused_and_not_shown() {
        let error = choose(Some("https://user:test-password@host.example"), &[]).unwrap_err();
        assert!(error.contains("with a user name") && !error.contains("test-password"), "{error}");
    }

    #[test]
    fn clear_text_is_for_this_machine() {
        assert!(
            choose(Some("http://host.example"), &[]).unwrap_err().contains("where the credentials come back in clear")
        );
        let choice =
            EndpointChoice { endpoint: Some("http://host.example"), no_verify_ssl: true, ..Default::default() };
        let region = Region::parse("us-east-1", "--region").unwrap();
        assert!(Endpoint::choose(&choice, &Environment::default(), &region).is_ok());
    }
}
