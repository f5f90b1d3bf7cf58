//! Which proxy the connection goes through, chosen as the AWS SDK for Go chooses (golang.org/x/net/http/httpproxy):
//! HTTPS_PROXY for https, HTTP_PROXY for http, NO_PROXY against both, never for loopback, and no ALL_PROXY. Pure.

use std::fmt;
use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::endpoint::{Endpoint, split_authority};
use super::environment::Environment;
use super::error::RequestError;

/// An HTTP proxy that is asked to CONNECT.
#[derive(Clone)]
pub(super) struct Proxy {
    /// Whether TLS is spoken to the proxy itself.
    pub(super) https: bool,
    pub(super) host: String,
    pub(super) port: u16,
    /// Value of Proxy-Authorization.
    pub(super) authorization: Option<Zeroizing<String>>,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({}:{})", self.host, self.port)
    }
}

impl Proxy {
    /// The proxy in words, without its password.
    pub(super) fn name(&self) -> String {
        format!("the proxy {}:{}", self.host, self.port)
    }

    /// The proxy for this endpoint, if there is one.
    pub(super) fn choose(endpoint: &Endpoint, environment: &Environment) -> Result<Option<Self>, RequestError> {
        let variable = if endpoint.is_https() { &environment.https_proxy } else { &environment.http_proxy };
        let Some((name, url)) = variable else {
            return Ok(None);
        };
        if endpoint.is_loopback() || is_excepted(&environment.no_proxy, endpoint.host(), endpoint.port()) {
            return Ok(None);
        }
        // The value is not shown: it may hold a password.
        Self::parse(url).map(Some).map_err(|problem| {
            RequestError::new(format!("{name}: wanted http://[USER:PASSWORD@]HOST[:PORT], found {problem}"))
        })
    }

    /// Reads a URL; without a scheme, `http://` is meant. The error is what was found, without the value.
    fn parse(url: &str) -> Result<Self, String> {
        let (https, rest) = match url.split_once("://") {
            None => (false, url),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (false, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (true, rest),
            Some(_) => return Err("another scheme".to_owned()),
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (user, authority) = match authority.rsplit_once('@') {
            Some((user, authority)) => (Some(user), authority),
            None => (None, authority),
        };
        let (host, port) = split_authority(authority).ok_or("no host and port that can be read")?;
        Ok(Self {
            https,
            host,
            port: port.unwrap_or(if https { 443 } else { 80 }),
            authorization: user.map(basic).transpose()?,
        })
    }
}

/// Basic credentials (RFC 7617) from the percent-encoded `USER:PASSWORD` of a URL.
fn basic(user: &str) -> Result<Zeroizing<String>, String> {
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    let decode = |text| percent_decode(text).ok_or("a user name or password that is not percent-encoded".to_owned());
    let (name, password) = (decode(name)?, decode(password)?);
    let pair = Zeroizing::new([name.as_slice(), b":", password.as_slice()].concat());
    let encoded = Zeroizing::new(STANDARD.encode(&*pair));
    Ok(Zeroizing::new(format!("Basic {}", *encoded)))
}

fn percent_decode(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut decoded = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut octets = text.bytes();
    while let Some(octet) = octets.next() {
        decoded.push(match octet {
            b'%' => {
                let digit = |octet: Option<u8>| char::from(octet?).to_digit(16);
                (digit(octets.next())? * 16 + digit(octets.next())?) as u8
            }
            other => other,
        });
    }
    Some(decoded)
}

/// Whether NO_PROXY names this host: `*`, a CIDR block, an address, a domain with its subdomains (`example.com`), subdomains
/// alone (`.example.com`, `*.example.com`); each but the first two with a port or without.
fn is_excepted(no_proxy: &str, host: &str, port: u16) -> bool {
    let address = host.parse::<IpAddr>().ok();
    no_proxy.split(',').map(str::trim).filter(|entry| !entry.is_empty()).any(|entry| {
        let entry = entry.to_ascii_lowercase();
        if entry == "*" {
            return true;
        }
        if let Some((network, bits)) = read_cidr(&entry) {
            return address.is_some_and(|address| contains(network, bits, address));
        }
        let (name, wanted_port) = split_entry(&entry);
        if wanted_port.is_some_and(|wanted| wanted != port.to_string()) {
            return false;
        }
        match (name.parse::<IpAddr>(), address) {
            (Ok(listed), found) => found == Some(listed),
            (Err(_), Some(_)) => false,
            (Err(_), None) => is_in_domain(host, name),
        }
    })
}

/// The name of an entry without brackets, and its port.
fn split_entry(entry: &str) -> (&str, Option<&str>) {
    if entry.parse::<IpAddr>().is_ok() {
        return (entry, None);
    }
    if let Some((address, rest)) = entry.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return (address, rest.strip_prefix(':'));
    }
    match entry.split_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (entry, None),
    }
}

fn is_in_domain(host: &str, entry: &str) -> bool {
    let entry = entry.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(entry);
    match entry.strip_prefix('.') {
        Some(domain) => is_below(host, domain),
        None => host == entry || is_below(host, entry),
    }
}

fn is_below(host: &str, domain: &str) -> bool {
    !domain.is_empty() && host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
}

fn read_cidr(entry: &str) -> Option<(IpAddr, u32)> {
    let (network, bits) = entry.split_once('/')?;
    let network: IpAddr = network.parse().ok()?;
    let bits: u32 = bits.parse().ok()?;
    (bits <= if network.is_ipv4() { 32 } else { 128 }).then_some((network, bits))
}

fn contains(network: IpAddr, bits: u32, address: IpAddr) -> bool {
    match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            network.to_bits() & mask == address.to_bits() & mask
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            network.to_bits() & mask == address.to_bits() & mask
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::endpoint::EndpointChoice;
    use super::super::environment::environment;
    use super::super::region::Region;
    use super::*;

    fn choose(url: &str, variables: &[(&str, &str)]) -> Result<Option<Proxy>, RequestError> {
        let environment = environment(variables).unwrap();
        let choice = EndpointChoice { endpoint: Some(url), no_verify_ssl: true, ..Default::default() };
        let region = Region::parse("us-east-1", "--region").unwrap();
        Proxy::choose(&Endpoint::choose(&choice, &environment, &region).unwrap(), &environment)
    }

    fn chosen(url: &str, variables: &[(&str, &str)]) -> Option<String> {
        choose(url, variables).unwrap().map(|proxy| format!("{}:{}", proxy.host, proxy.port))
    }

    #[test]
    fn the_scheme_chooses_the_variable() {
        let variables =
            [("HTTPS_PROXY", "http://secure:1"), ("http_proxy", "http://clear:2"), ("ALL_PROXY", "http://all:3")];
        assert_eq!(chosen("https://host.example", &variables).as_deref(), Some("secure:1"));
        assert_eq!(chosen("http://host.example", &variables).as_deref(), Some("clear:2"));
        assert_eq!(chosen("https://host.example", &variables[1..]), None);
        assert_eq!(chosen("https://host.example", &[("https_proxy", "low:4")]).as_deref(), Some("low:4"));
    }

    #[test]
    fn loopback_is_never_proxied() {
        for url in ["https://localhost:8443", "https://127.0.0.9", "https://[::1]:1"] {
            assert_eq!(chosen(url, &[("HTTPS_PROXY", "http://proxy:3128")]), None, "{url}");
        }
    }

    #[test]
    fn no_proxy_follows_the_rules_of_go() {
        let table = [
            ("*", "host.example", true),
            ("other,host.example", "host.example", true),
            ("host.example", "sub.host.example", true),
            ("host.example", "ahost.example", false),
            (".host.example", "sub.host.example", true),
            (".host.example", "host.example", false),
            ("*.host.example", "sub.host.example", true),
            ("*.host.example", "host.example", false),
            ("HOST.example", "Host.Example", true),
            ("host.example:8443", "host.example:8443", true),
            ("host.example:8443", "host.example", false),
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.0.0.0/8", "11.1.2.3", false),
            ("0.0.0.0/0", "11.1.2.3", true),
            ("10.0.0.0/8", "host.example", false),
            ("2001:db8::/32", "[2001:db8::1]", true),
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1:443", "192.0.2.1", true),
            ("192.0.2.1:80", "192.0.2.1", false),
            ("[2001:db8::1]:443", "[2001:db8::1]", true),
            ("2001:db8::1", "[2001:db8::1]", true),
            (" , host.example , ", "host.example", true),
            (".", "host.example", false),
            ("", "host.example", false),
        ];
        for (no_proxy, host, excepted) in table {
            let variables = [("HTTPS_PROXY", "http://proxy:3128"), ("NO_PROXY", no_proxy)];
            assert_eq!(chosen(&format!("https://{host}"), &variables).is_none(), excepted, "{no_proxy:?} {host}");
        }
    }

    #[test]
    fn credentials_of_a_proxy_are_decoded_and_hidden() {
        let proxy =
            choose("https://host.example", &[("HTTPS_PROXY", "http://us%40er:test%3Apw@proxy")]).unwrap().unwrap();
        assert_eq!((proxy.host.as_str(), proxy.port), ("proxy", 80));
        assert_eq!(
            proxy.authorization.as_ref().unwrap().as_str(),
            format!("Basic {}", STANDARD.encode("us@er:test:pw"))
        );
        assert!(!format!("{proxy:?}").contains("test"));
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_named_without_its_value() {
        for value in
            ["socks5://u:test-password@proxy:1080", "http://u:test-password@", "http://u:test-password%zz@proxy"]
        {
            let error = choose("https://host.example", &[("HTTPS_PROXY", value)]).unwrap_err().to_string();
            assert!(error.starts_with("HTTPS_PROXY: wanted http://[USER:PASSWORD@]HOST[:PORT]"), "{error}");
            assert!(!error.contains("test-password"), "{error}");
        }
    }
}
