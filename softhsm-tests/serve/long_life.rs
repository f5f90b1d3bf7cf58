//! A life in a minute: AWS fails in every way that passes, the token is away and comes back, the certificate is replaced, and one
//! renewal comes by itself. Somebody asks all the while.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;

use super::{Client, Scene, Server, key_id};
use crate::support::fault::Fault;
use crate::support::key::Key;
use crate::support::softhsm::{SoftHsm, TEST_USER_PIN};
use crate::support::{text, until, within};

/// Credentials of 60 s are renewed within 30 s; the rest takes some seconds.
const LIMIT: Duration = Duration::from_secs(60);

/// What is said of a refresh that failed.
const FAILED: &str = "the refresh failed, the old credentials go on";

/// What AWS does to which request: the first credentials come, the refresh after them fails, the next one is sent again, and so
/// is the renewal.
const FAULTS: [&str; 8] = ["--fault", "503:1@2", "--fault", "429:1@3", "--fault", "close:1@4", "--fault", "500:1@7"];

/// Ends the asking, also where the test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Asks again and again until it is told that it is over; every answer must be credentials that are still valid. Gives the keys
/// that it saw.
fn always_has_credentials(client: Client, is_over: &AtomicBool) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        let (status, document) = client.document("ExampleRole");
        assert_eq!(status, 200, "{document}");
        let expires: serde_json::Value = serde_json::from_str(&document).unwrap();
        let expires: Timestamp = expires["Expiration"].as_str().unwrap().parse().unwrap();
        assert!(expires > Timestamp::now(), "{document}");
        let key_id = key_id(&document);
        if seen.last() != Some(&key_id) {
            seen.push(key_id);
        }
        thread::sleep(Duration::from_millis(5));
    }
    seen
}

#[test]
fn there_are_valid_credentials_at_any_time() {
    let scene = Scene::with(&[&["--lifetime", "60"], &FAULTS[..]].concat());
    let token = SoftHsm::new().token("t");
    token.identity(Key::Ec256, "01", "host", &scene.ca);
    // Away once the refresh that AWS failed has been made up for: that took the third signature.
    let fault = Fault::of(token.hsm()).away_after("C_Sign", 3, Some(2));
    let module = Fault::module();
    let flags = ["--verbose", "--port", "0", "--pkcs11", "pkcs11:token=t;object=host", "--pkcs11-lib", text(&module)];
    let run = scene.sandbox.command("serve", flags).envs(fault.env()).env("KEYANCHOR_PIN", TEST_USER_PIN);
    let server = Server::start(run.limit(2 * LIMIT));
    let answered = |requests| until("the answer", || scene.sandbox.requests("/sessions").len() >= requests);

    let is_over = &AtomicBool::new(false);
    let (seen, grown, opened) = thread::scope(|scope| {
        let client = server.client;
        let asking = scope.spawn(move || always_has_credentials(client, is_over));
        let over = Over(is_over);
        server.reload();
        answered(5);
        let (memory, descriptors) = (server.memory(), server.descriptors());
        let renewed = scene.ca.leaf("renewed", &token.public_key("01"));
        token.delete_certificate("01");
        token.import_certificate(&renewed, "01", "host");
        server.reload();
        until("the loss of the token", || server.said().matches(FAILED).count() == 2);
        // By itself from here on: the next try, and half a minute later the renewal with its failure.
        answered(6);
        within(LIMIT, "the renewal", || scene.sandbox.requests("/sessions").len() >= 8 || asking.is_finished());
        thread::sleep(Duration::from_millis(100));
        drop(over);
        (asking.join().unwrap(), server.memory() - memory, server.descriptors().abs_diff(descriptors))
    });
    let requests = scene.sandbox.requests("/sessions");
    assert!(seen.len() >= 4, "three more credentials, found {seen:?}\n{}", server.said());
    assert!(requests[7].contains("status=201") && requests[7].contains("leaf=\"CN=renewed\""), "{requests:?}");
    assert!(grown < 4096 && opened < 8, "grown by {grown} KiB and {opened} descriptors");
    assert_eq!(fault.wrong_pins(), 0);
    let said = server.end();
    assert!(said.matches(FAILED).count() >= 2, "{said}");
}
