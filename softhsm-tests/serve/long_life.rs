//! A life in a minute: credentials that are renewed by themselves while AWS fails, the token is away and the certificate is replaced.

use std::fs;
use std::time::{Duration, Instant};

use super::{Scene, Server};
use crate::support::fault::Fault;
use crate::support::key::Key;
use crate::support::softhsm::{SoftHsm, TEST_USER_PIN};
use crate::support::{text, until};

/// Credentials of 60 s are renewed about 30 s after they came, and after a failure some seconds later.
const LIFE: Duration = Duration::from_secs(75);

/// Resident memory in KiB.
fn resident(server: &Server) -> i64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.running.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn there_are_valid_credentials_at_any_time() {
    let faults = ["--fault", "503:1", "--fault", "429:1", "--fault", "close:1"];
    let scene = Scene::with(&[&["--lifetime", "60"], &faults[..]].concat());
    let token = SoftHsm::new().token("t");
    token.identity(Key::Ec256, "01", "host", &scene.ca);
    // The first signature is for the requests that fail; away after the second, when the first renewal looks for it.
    let fault = Fault::of(token.hsm()).away_after("C_Sign", 2, Some(2));
    let module = Fault::module();
    let flags =
        ["--keep-trying", "--port", "0", "--pkcs11", "pkcs11:token=t;object=host", "--pkcs11-lib", text(&module)];
    let run = scene.sandbox.command("serve", flags).envs(fault.env()).env("KEYANCHOR_PIN", TEST_USER_PIN);
    let server = Server::start(run.limit(2 * LIFE));
    until("the first credentials", || server.document("ExampleRole").0 == 200);

    let started = Instant::now();
    let mut seen = vec![server.key_id("ExampleRole")];
    let before = resident(&server);
    let mut is_replaced = false;
    while started.elapsed() < LIFE {
        let key_id = server.key_id("ExampleRole");
        if seen.last() != Some(&key_id) {
            seen.push(key_id);
        }
        if seen.len() == 2 && !is_replaced {
            let renewed = scene.ca.leaf("renewed", &token.public_key("01"));
            token.delete_certificate("01");
            token.import_certificate(&renewed, "01", "host");
            is_replaced = true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let grown = resident(&server) - before;
    let request = scene.sandbox.requests("/sessions").pop().unwrap();
    assert!(seen.len() >= 3, "two renewals in {LIFE:?}, found {seen:?}\n{}", server.said());
    assert!(request.contains("leaf=\"CN=renewed\""), "{request}");
    assert!(grown < 4096, "grown by {grown} KiB");
    assert_eq!(fault.wrong_pins(), 0);
    let said = server.end();
    assert!(said.contains("the refresh failed, the old credentials go on"), "the token was never away\n{said}");
}
