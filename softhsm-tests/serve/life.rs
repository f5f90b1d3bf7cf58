//! How a server goes on while things fail or change, and how it ends.

use std::fs;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{Scene, Server, ask};
use crate::support::command::Outcome;
use crate::support::fault::Fault;
use crate::support::key::Key;
use crate::support::softhsm::{SoftHsm, TEST_USER_PIN};
#[cfg(feature = "tpm")]
use crate::support::swtpm::Swtpm;
use crate::support::{text, until};

#[test]
fn the_last_good_credentials_go_on_while_aws_fails() {
    let mut scene = Scene::new();
    let server = scene.serve(&["--timeout", "1"]);
    let before = server.key_id("ExampleRole");
    scene.sandbox.end_by(Signal::TERM);
    server.reload();
    until("the failure", || server.said().contains("the refresh failed, the old credentials go on"));
    assert_eq!(server.key_id("ExampleRole"), before);
    server.end();
}

#[test]
fn with_keep_trying_it_serves_reasons_until_there_are_credentials() {
    let scene = Scene::with(&["--fault", "403:2"]);
    let status = ["--keep-trying", "--status-listen", "127.0.0.1:0"];
    let server = scene.serve(&status);
    let said = server.said();
    let probes: SocketAddr =
        said.split("Status on http://").nth(1).unwrap().split('/').next().unwrap().parse().unwrap();
    let (mut refused, mut answer) = (false, (0, String::new()));
    until("credentials", || {
        answer = server.document("ExampleRole");
        refused |= answer.0 == 503 && answer.1.contains("AccessDenied");
        answer.0 == 200
    });
    assert!(refused, "no 503 with the reason");
    assert_eq!(ask(probes, "GET", "/readyz", &[]).0, 200);
    let (_, metrics) = ask(probes, "GET", "/metrics", &[]);
    assert!(metrics.contains("kind=\"refused\"") && metrics.ends_with("# EOF\n"), "{metrics}");
    server.end();
}

#[test]
fn many_clients_at_the_moment_of_a_refresh_cost_one_session() {
    let scene = Scene::with(&["--delay", "2000"]);
    let server = scene.serve(&[]);
    assert_eq!(scene.sessions(), 1);
    let before = server.key_id("ExampleRole");
    server.reload();
    thread::scope(|scope| {
        let (client, before) = (server.client, &before);
        let client =
            move || assert_eq!(client.key_id("ExampleRole"), *before, "the old ones, until there are new ones");
        let clients: Vec<_> = (0..50).map(|_| scope.spawn(client)).collect();
        clients.into_iter().for_each(|client| client.join().unwrap());
    });
    until("newer credentials", || server.key_id("ExampleRole") != before);
    assert_eq!(scene.sessions(), 2);
    server.end();
}

#[test]
fn it_ends_in_time_while_aws_hangs() {
    let scene = Scene::with(&["--fault", "hang"]);
    for signal in [Signal::TERM, Signal::INT] {
        let before = scene.sandbox.log().len();
        let running = scene.command().spawn();
        until("the request", || scene.sandbox.log().len() > before);
        let started = Instant::now();
        running.signal(signal);
        running.wait().ends_with(0);
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    }
}

#[test]
fn a_renewed_certificate_is_used_after_a_reload_and_half_of_a_pair_is_not() {
    let scene = Scene::new();
    let (certificate, key) = (scene.folder.join("leaf.pem"), scene.folder.join("key.pem"));
    fs::copy(scene.leaf.pem_path(), &certificate).unwrap();
    fs::copy(scene.key.path(), &key).unwrap();
    let server = scene.serve(&["--certificate", text(&certificate), "--private-key", text(&key)]);
    let (new_leaf, new_key) = scene.ca.leaf_with_key("renewed", Key::Ec384);
    for (from, to, name) in
        [(new_leaf.pem_path(), &certificate, "CN=host"), (new_key.path().to_owned(), &key, "CN=renewed")]
    {
        fs::copy(from, to).unwrap();
        let before = scene.sessions();
        server.reload();
        until("a refresh", || scene.sessions() > before);
        let request = scene.sandbox.requests("/sessions").pop().unwrap();
        assert!(request.contains(&format!("leaf=\"{name}\"")), "{request}");
    }
    assert!(server.end().contains("the certificate and key from before go on: "));
}

#[test]
fn lines_are_json_for_programs_that_collect_them() {
    let scene = Scene::with(&["--fault", "403:1"]);
    let lines = |outcome: &Outcome| {
        let objects = outcome.stderr.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        objects.collect::<Vec<_>>()
    };
    let refused = scene.command().args(["--log-format", "json", "--verbose"]).run();
    refused.ends_with(5);
    let last = lines(&refused).pop().unwrap();
    assert_eq!(last["level"], "error");
    assert!(last["message"].as_str().unwrap().starts_with("role ExampleRole: "), "{last}");
    let server = scene.serve(&["--log-format", "json", "--verbose"]);
    let said = server.end();
    for line in said.lines() {
        let object: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(object["time"].is_string() && object["message"].is_string(), "{line}");
    }
}

#[test]
fn what_has_expired_is_not_answered_and_why_is_said() {
    let scene = Scene::with(&["--lifetime", "2"]);
    let server = scene.serve(&[]);
    let before = server.key_id("ExampleRole");
    let mut answer = (0, String::new());
    until("the end of the credentials", || {
        answer = server.document("ExampleRole");
        answer.0 != 200
    });
    assert_eq!(answer.0, 503);
    assert!(answer.1.contains("expired") && !answer.1.contains("AccessKeyId"), "{}", answer.1);
    server.reload();
    until("newer credentials", || server.document("ExampleRole").0 == 200);
    assert_ne!(server.key_id("ExampleRole"), before);
    server.end();
}

#[test]
fn a_token_that_went_away_is_found_again_while_the_last_credentials_go_on() {
    let scene = Scene::new();
    let token = SoftHsm::new().token("t");
    token.identity(Key::Ec256, "01", "host", &scene.ca);
    let fault = Fault::of(token.hsm()).away_after("C_Sign", 1, Some(2));
    let module = Fault::module();
    let flags = ["--port", "0", "--pkcs11", "pkcs11:token=t;object=host", "--pkcs11-lib", text(&module)];
    let run = scene.sandbox.command("serve", flags).envs(fault.env()).env("KEYANCHOR_PIN", TEST_USER_PIN);
    let server = Server::start(run);
    let before = server.key_id("ExampleRole");
    until("newer credentials", || {
        server.reload();
        thread::sleep(Duration::from_millis(100));
        // There are some at any time.
        server.key_id("ExampleRole") != before
    });
    assert_eq!(fault.wrong_pins(), 0);
    assert!(server.end().contains("the refresh failed, the old credentials go on"));
}

#[cfg(feature = "tpm")]
#[test]
fn a_tpm_that_was_restarted_is_found_again_while_the_last_credentials_go_on() {
    let scene = Scene::new();
    let mut tpm = Swtpm::start();
    let (key, certificate) = tpm.identity(&scene.ca);
    let tcti = tpm.tcti();
    let flags = ["--port", "0", "--private-key", text(&key), "--certificate", text(&certificate), "--tcti", &tcti];
    let server = Server::start(scene.sandbox.command("serve", flags));
    let before = server.key_id("ExampleRole");
    tpm.stop();
    server.reload();
    until("the failure", || server.said().contains("the refresh failed, the old credentials go on"));
    assert_eq!((server.key_id("ExampleRole"), scene.sessions()), (before.clone(), 1));
    tpm.restart();
    server.reload();
    until("newer credentials", || server.key_id("ExampleRole") != before);
    assert_eq!(scene.sessions(), 2);
    server.end();
    let left = tpm.left_behind();
    assert!(left.is_empty(), "{left}");
}

#[test]
fn the_next_one_takes_the_port_at_once() {
    let scene = Scene::new();
    let server = scene.serve(&[]);
    let port = server.0.port().to_string();
    // A connection that the server has closed lingers in the system.
    assert_ne!(server.key_id("ExampleRole"), "");
    server.end();
    let next = scene.serve(&["--port", &port]);
    assert_eq!(next.0.port().to_string(), port);
    next.end();
}
