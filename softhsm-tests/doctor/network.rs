//! Names that do not resolve, ports that nobody serves, TLS that nobody vouches for, and clocks that are off.

use super::{Report, Scene};
use crate::failures::servers::{ClosedPort, Scripted};
use crate::support::command::{Run, keyanchor};
use crate::support::pki::Ca;
use crate::support::sandbox::ARNS;

/// `doctor` on a whole identity, with another endpoint than its service.
fn at(scene: &Scene, endpoint: &str) -> Run {
    let run = scene.doctor();
    run.args(["--timeout", "3", "--endpoint", endpoint])
}

#[test]
fn a_name_that_does_not_resolve_is_told() {
    let scene = Scene::new();
    let report = Report::of(at(&scene, "https://rolesanywhere.invalid"), 6);
    report.only_bad(&["network.name"]).says("network.name", "bad", "rolesanywhere.invalid");
    report.mends("network.name", "getent hosts").says("clock", "skip", "waits for network.name");
}

#[test]
fn a_port_that_nobody_serves_is_told() {
    let scene = Scene::new();
    let closed = ClosedPort::new();
    let report = Report::of(at(&scene, &format!("https://{}", closed.address)), 6);
    report.only_bad(&["network.connection"]).says("network.connection", "bad", "refused");
    report.mends("network.connection", "env | grep -i _proxy").says("network.tls", "skip", "network.connection");
}

#[test]
fn an_issuer_that_is_not_trusted_is_named() {
    let scene = Scene::new();
    let other = Ca::root("Other Root");
    let report = Report::of(scene.doctor().arg("--ca-bundle").arg(other.certificate.pem_path()), 6);
    report.only_bad(&["network.tls"]).says("network.tls", "bad", "issued by CN=keyanchor sandbox");
    report.mends("network.tls", "--ca-bundle FILE").says("network.connection", "good", "127.0.0.1");
}

#[test]
fn a_bundle_that_cannot_be_read_is_told_first() {
    let scene = Scene::new();
    let report = Report::of(scene.doctor().args(["--ca-bundle", "/nonexistent.pem"]), 6);
    report.only_bad(&["network.trust"]).says("network.trust", "bad", "/nonexistent.pem");
    report.mends("network.trust", "--ca-bundle").says("network.name", "skip", "waits for network.trust");
}

#[test]
fn a_proxy_that_is_not_there_is_named_without_its_password() {
    let closed = ClosedPort::new();
    let scene = Scene::new();
    let run = scene.doctor().args(["--endpoint", "https://rolesanywhere.eu-central-1.amazonaws.com"]);
    let report = Report::of(run.env("HTTPS_PROXY", format!("http://user:test-proxy-password@{}", closed.address)), 6);
    report.says("network.endpoint", "good", &format!("through the proxy {}", closed.address));
    report.only_bad(&["network.connection"]).mends("network.connection", "_proxy");
    report.says("network.tunnel", "skip", "waits for network.connection");
    assert!(!report.1.text().contains("test-proxy-password"), "{}", report.1);
}

#[test]
fn a_proxy_that_refuses_the_endpoint_is_told() {
    let scene = Scene::new();
    for (answer, found) in [
        (
            "HTTP/1.1 403 Forbidden\r\n\r\n",
            "does not connect to rolesanywhere.eu-central-1.amazonaws.com:443 (HTTP 403)",
        ),
        ("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "wants a user name and password"),
    ] {
        let proxy = Scripted::new(answer);
        let run = scene.doctor().args(["--endpoint", "https://rolesanywhere.eu-central-1.amazonaws.com"]);
        let report = Report::of(run.env("HTTPS_PROXY", format!("http://{}", proxy.address())), 6);
        report.only_bad(&["network.tunnel"]).says("network.tunnel", "bad", found).mends("network.tunnel", "NO_PROXY");
        report.says("network.name", "good", "127.0.0.1").says("network.tls", "skip", "waits for network.tunnel");
    }
}

#[test]
fn a_clock_that_is_off_is_told_with_the_command_that_sets_it() {
    for (fault, exit_code, standing, direction) in [
        ("clock:+3600", 1, "bad", "behind"),
        ("clock:-3600", 1, "bad", "ahead of"),
        ("clock:+120", 0, "note", "behind"),
    ] {
        let scene = Scene::with_sandbox(&["--fault", fault]);
        let report = Report::of(scene.doctor(), exit_code);
        report.says("clock", standing, direction).mends("clock", "timedatectl set-ntp true");
        report.only_bad(if exit_code == 0 { &[] } else { &["clock"] });
    }
}

#[test]
fn a_service_that_hangs_ends_by_the_limit() {
    let scene = Scene::with_sandbox(&["--fault", "hang-tls"]);
    let report = Report::of(scene.doctor().args(["--timeout", "1"]), 6);
    report.only_bad(&["network.tls"]).says("network.tls", "bad", "in time").mends("network.tls", "--timeout");
}

#[test]
fn without_arns_a_region_leads_to_the_service() {
    let scene = Scene::new();
    let endpoint = scene.sandbox.endpoint();
    let doctor =
        || keyanchor(["doctor", "--json", "--private-key", "/nonexistent/key", "--certificate", "/nonexistent/cert"]);
    let report = Report::of(doctor(), 3);
    report.says("session.arns", "note", "no ARN").mends("session.arns", ARNS[0]);
    report.says("network.endpoint", "skip", "region").mends("network.endpoint", "--region REGION");
    report.only_bad(&["device.file", "certificate.found"]).mends("device.file", "ls -la /");
    let run =
        doctor().args(["--region", "eu-central-1", "--endpoint", endpoint, "--ca-bundle"]).arg(scene.sandbox.ca());
    Report::of(run, 3).says("network.answer", "good", "HTTP 405").says("clock", "good", "");
}
