//! Whether a request was meant for this server. A web page whose name was rebound to this machine's address gets a browser to
//! send requests here, but the browser names the page's host in them; so only names that cannot be rebound are taken. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hyper::header::HOST;
use hyper::http::request::Parts;

/// The addresses of IMDS itself, which arrive here by a redirect in the firewall.
const IMDS_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254));
const IMDS_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254));

/// Whether the request names this server as its host, once and by a name that cannot be rebound. `local` is the address
/// that the request came to. Ports are not compared: a redirect changes them, and rebinding cannot use them.
pub fn is_ours(request: &Parts, local: IpAddr) -> bool {
    let mut hosts = request.headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    // A request line in absolute form names a host too, which counts (RFC 9112, 3.2.2).
    let of_target = request.uri.host().is_none_or(|host| is_name_of(host, local));
    of_target && host.to_str().is_ok_and(|host| without_port(host).is_some_and(|host| is_name_of(host, local)))
}

fn is_name_of(host: &str, local: IpAddr) -> bool {
    let host = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    match host.parse::<IpAddr>() {
        Ok(address) => address == local || (local.is_loopback() && is_loopback_name(address)),
        Err(_) => local.is_loopback() && host.eq_ignore_ascii_case("localhost"),
    }
}

fn is_loopback_name(address: IpAddr) -> bool {
    address.is_loopback() || address == IMDS_V4 || address == IMDS_V6
}

fn without_port(host: &str) -> Option<&str> {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, port),
        _ => (host, ""),
    };
    port.bytes().all(|digit| digit.is_ascii_digit()).then_some(name)
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    fn takes(local: &str, target: &str, hosts: &[&str]) -> bool {
        let mut request = Request::builder().uri(target);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        is_ours(&request.body(()).unwrap().into_parts().0, local.parse().unwrap())
    }

    #[test]
    fn names_of_loopback_are_ours_with_and_without_port() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:9911",
            "localhost",
            "LocalHost:80",
            "[::1]:9911",
            "[::1]",
            "127.0.0.9",
            "169.254.169.254",
        ] {
            assert!(takes("127.0.0.1", "/", &[host]), "{host}");
        }
        assert!(takes("::1", "/", &["[fd00:ec2::254]"]));
    }

    #[test]
    fn names_that_can_be_rebound_and_other_machines_are_not() {
        for host in [
            "evil.example",
            "evil.example:9911",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "127.0.0.1@evil.example",
            "192.168.1.2",
            "[::1]evil",
            "127.0.0.1:99:11",
            "127.0.0.1:x",
            "",
            ":80",
        ] {
            assert!(!takes("127.0.0.1", "/", &[host]), "{host}");
        }
    }

    #[test]
    fn a_request_names_one_host() {
        assert!(!takes("127.0.0.1", "/", &[]));
        assert!(!takes("127.0.0.1", "/", &["localhost", "localhost"]));
        assert!(!takes("127.0.0.1", "http://evil.example/", &["localhost"]));
        assert!(takes("127.0.0.1", "http://localhost:9911/", &["localhost"]));
    }

    #[test]
    fn a_link_local_address_goes_by_its_own_name_only() {
        assert!(takes("169.254.170.2", "/", &["169.254.170.2"]));
        for host in ["localhost", "127.0.0.1", "169.254.169.254", "169.254.170.23"] {
            assert!(!takes("169.254.170.2", "/", &[host]), "{host}");
        }
    }
}
