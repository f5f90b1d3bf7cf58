//! What a service, or something in its place, can answer.

use super::servers::{ClosedPort, Listener, Scripted};
use super::{FileIdentity, NETWORK, NO_HINT, REFUSED, refused};
use crate::support::command::Outcome;
use crate::support::key::Key;
use std::time::Duration;

/// Asks a service over plain HTTP on this machine.
fn asked(service: &Scripted) -> Outcome {
    FileIdentity::new(Key::Ec256).ask(&service.http()).run()
}

/// Asks a sandbox that goes wrong like this.
fn asked_with_fault(fault: &str, more: &[&str]) -> (Outcome, usize) {
    let identity = FileIdentity::new(Key::Ec256);
    let sandbox = identity.sandbox(&["--fault", fault]);
    let outcome = identity.ask(sandbox.endpoint()).arg("--ca-bundle").arg(sandbox.ca()).args(more).run();
    (outcome, sandbox.requests("/sessions").len())
}

#[test]
fn each_known_denial_has_its_hint() {
    let role = "Unable to assume role for arn:aws:iam::111122223333:role/ExampleRole.";
    let tags = format!("{role} Some attributes failed to be mapped into session tags. Issuer: [ ]; SAN: [ DNS/2 ]");
    let duration = format!("{role} The requested DurationSeconds exceeds the MaxSessionDuration set for this role.");
    let table = [
        ("Untrusted signing certificate", "--intermediates FILE"),
        ("Untrusted certificate. Insufficient certificate", "openssl x509 -in FILE -noout"),
        ("Invalid signature", "--debug"),
        ("Signature expired: 20260102T030405Z is now earlier than 20260102T030505Z", "timedatectl"),
        ("Not authorized to set roleSessionName.", "--accept-role-session-name"),
        (role, "sts:SetSourceIdentity"),
        (&tags, "session tags"),
        (&duration, "--session-duration"),
    ];
    for (message, hint) in table {
        let service = Scripted::aws_error(403, "AccessDeniedException", message);
        let answered = format!("127.0.0.1 answered HTTP 403 AccessDeniedException: {message} (request id 0000-test)");
        refused(&asked(&service), REFUSED, &[&answered], hint);
        assert_eq!(service.requests(), 1, "a denial was asked for again: {message}");
    }
}

#[test]
fn a_denial_that_nobody_knows_is_shown_as_it_is() {
    let service = Scripted::aws_error(403, "AccessDeniedException", "Something new\u{1b}[31m");
    let outcome = asked(&service);
    refused(&outcome, REFUSED, &["HTTP 403 AccessDeniedException: Something new"], NO_HINT);
    outcome.stderr_lacks("\u{1b}");
}

#[test]
fn other_refusals_are_not_asked_for_again() {
    let table = [
        (404, "ResourceNotFoundException", "Profile not found", "aws rolesanywhere list-profiles"),
        (400, "ValidationException", "1 validation error detected", NO_HINT),
    ];
    for (status, code, message, hint) in table {
        let service = Scripted::aws_error(status, code, message);
        refused(&asked(&service), REFUSED, &[&format!("HTTP {status} {code}: {message}")], hint);
        assert_eq!(service.requests(), 1, "{code}");
    }
}

#[test]
fn a_service_that_fails_is_asked_three_times() {
    for (status, code) in [(500, "InternalServerException"), (503, "ServiceUnavailableException")] {
        let service = Scripted::aws_error(status, code, "boom");
        let error = [&format!("HTTP {status} {code}: boom") as &str, "(tried 3 times)"];
        refused(&asked(&service), NETWORK, &error, "try again");
        assert_eq!(service.requests(), 3, "{code}");
    }
    for (status, code) in [(429, "TooManyRequestsException"), (400, "ThrottlingException")] {
        let service = Scripted::aws_error(status, code, "slow down");
        refused(
            &asked(&service),
            NETWORK,
            &[&format!("HTTP {status} {code}"), "(tried 3 times)"],
            "limited per certificate",
        );
        assert_eq!(service.requests(), 3, "{code}");
    }
}

#[test]
fn a_redirect_is_not_followed() {
    let elsewhere = Listener::new();
    for status in [302, 307] {
        let service = Scripted::http_answer(status, &format!("location: {}/sessions\r\n", elsewhere.http()), "");
        let target = format!("a redirect to {}/sessions, which is not followed", elsewhere.http());
        refused(&asked(&service), REFUSED, &[&format!("HTTP {status}"), &target], "--endpoint");
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[test]
fn a_page_in_place_of_the_service_is_shown_as_such() {
    let page = "<html><title>Blocked by policy</title></html>";
    for status in [403, 404, 407] {
        let service = Scripted::http_answer(status, "content-type: text/html\r\n", page);
        let error = [&format!("HTTP {status}") as &str, "text/html", "Blocked by policy"];
        refused(&asked(&service), REFUSED, &error, "something else than AWS may have answered");
    }
    // A captive portal says 200.
    let service = Scripted::http_answer(200, "content-type: text/html\r\n", page);
    refused(
        &asked(&service),
        REFUSED,
        &["HTTP 200 without usable credentials", "found something else"],
        "something else than AWS may have answered",
    );
}

#[test]
fn a_success_without_credentials_is_none() {
    let set = |members: &str| format!(r#"{{"credentialSet":[{{"credentials":{{{members}}}}}]}}"#);
    let key = r#""accessKeyId":"ASIATEST","secretAccessKey":"test-secret""#;
    let table = [
        (String::new(), "found an end before its time"),
        (r#"{"credentialSet":[{"credentials":{"accessKeyId":"ASIA"#.to_owned(), "found an end before its time"),
        (r#"{"credentialSet":[]}"#.to_owned(), "found it empty"),
        (r#"{"credentialSet":null}"#.to_owned(), "found none"),
        ("[]".to_owned(), "found"),
        (set(key), "found no sessionToken"),
        (set(&format!(r#"{key},"sessionToken":"""#)), "found no sessionToken"),
        (set(&format!(r#"{key},"sessionToken":"t""#)), "found no expiration"),
        (set(&format!(r#"{key},"sessionToken":"t","expiration":"2020-01-01T00:00:00Z""#)), "in the future"),
    ];
    for (body, found) in table {
        let service = Scripted::http_answer(201, "x-amzn-requestid: 0000-test\r\n", &body);
        let outcome = asked(&service);
        let error = ["127.0.0.1 answered HTTP 201 without usable credentials: ", found, "(request id 0000-test)"];
        refused(&outcome, REFUSED, &error, "check --endpoint and the proxy");
        assert_eq!(service.requests(), 1, "{body}");
    }
}

#[test]
fn the_faults_of_the_sandbox_end_alike() {
    let table = [
        ("403", REFUSED, "HTTP 403 AccessDeniedException", 1),
        ("html-403", REFUSED, "text/html", 1),
        ("redirect", REFUSED, "which is not followed", 1),
        ("malformed", REFUSED, "without usable credentials", 1),
        ("empty", REFUSED, "without usable credentials", 1),
        ("missing-fields", REFUSED, "found no secretAccessKey", 1),
        ("endless", NETWORK, "wanted an answer of at most 65536 octets", 1),
        ("500", NETWORK, "(tried 3 times)", 3),
        ("truncated", NETWORK, "(tried 3 times)", 0),
        ("close", NETWORK, "(tried 3 times)", 0),
    ];
    for (fault, code, said, requests) in table {
        let (outcome, came) = asked_with_fault(fault, &[]);
        outcome.fails_with(code).stderr_contains(said);
        super::without_secrets(&outcome);
        assert!(requests == 0 || requests == came, "{fault}: {came} requests\n{outcome}");
    }
}

#[test]
fn a_service_that_never_answers_ends_by_the_limit() {
    let identity = FileIdentity::new(Key::Ec256);
    let silent = Listener::new();
    let outcomes = [
        // Before TLS, before HTTP's answer, and without TLS.
        identity.ask(&silent.https()).args(["--timeout", "1"]).run(),
        asked_with_fault("hang", &["--timeout", "1"]).0,
        asked_with_fault("hang-tls", &["--timeout", "1"]).0,
        identity.ask(&silent.http()).args(["--timeout", "1"]).run(),
    ];
    for outcome in outcomes {
        let error = ["127.0.0.1", " time", "--timeout allows 1 s in all"];
        refused(&outcome, NETWORK, &error, "--timeout SECONDS");
        assert!(outcome.took < Duration::from_secs(3), "{outcome}");
    }
}

#[test]
fn a_connection_that_is_refused_is_tried_three_times() {
    let identity = FileIdentity::new(Key::Ec256);
    let closed = ClosedPort::new();
    let address = closed.address;
    let outcome = identity.ask(&format!("https://{address}")).run();
    let error = [&format!("cannot connect to 127.0.0.1 port {}", address.port()) as &str, "refused", "(tried 3 times)"];
    refused(&outcome, NETWORK, &error, "env | grep -i _proxy");
    // Said once.
    assert_eq!(outcome.stderr.matches("Connection refused").count(), 1, "{outcome}");
}

#[test]
fn a_host_that_is_unknown_is_named() {
    let identity = FileIdentity::new(Key::Ec256);
    let outcome = identity.ask("https://no-such-host.invalid").run();
    // Where this machine cannot ask a name server, it says that instead, after trying again.
    refused(&outcome, NETWORK, &["cannot look up no-such-host.invalid"], "name");
}

#[test]
fn what_does_not_speak_http_is_said_so() {
    let service = Scripted::new("220 mail.example ESMTP\r\n");
    refused(&asked(&service), NETWORK, &["wanted HTTP/1.1 from 127.0.0.1, found something else"], "--endpoint");
}

#[test]
fn a_clock_that_is_off_is_named_with_the_difference() {
    let identity = FileIdentity::new(Key::Ec256);
    let sandbox = identity.sandbox(&["--fault", "403", "--fault", "clock:+3600"]);
    let outcome = identity.ask(sandbox.endpoint()).arg("--ca-bundle").arg(sandbox.ca()).run();
    refused(
        &outcome,
        REFUSED,
        &["HTTP 403", "this machine's clock is 3", " s behind the server's"],
        "timedatectl set-ntp true",
    );
}

/// The region's own host, which only the proxy knows.
fn through(proxy: &str) -> Outcome {
    let identity = FileIdentity::new(Key::Ec256);
    identity.ask("").env("HTTPS_PROXY", proxy).args(["--timeout", "5"]).run()
}

#[test]
fn a_proxy_that_does_not_let_through_is_named() {
    let wants_password = Scripted::http_answer(407, "proxy-authenticate: Basic\r\n", "");
    let place = format!("the proxy 127.0.0.1:{}", wants_password.address().port());
    let outcome = through(&format!("http://user:test-secret@{}", wants_password.address()));
    refused(&outcome, NETWORK, &[&place, "wants a user name and password", "HTTP 407"], "HTTPS_PROXY");
    assert_eq!(wants_password.requests(), 1);

    let refuses = Scripted::http_answer(503, "", "");
    let error = ["does not connect to rolesanywhere.us-east-1.amazonaws.com:443 (HTTP 503)"];
    refused(&through(&format!("http://{}", refuses.address())), NETWORK, &error, "HTTPS_PROXY");

    let other = Scripted::new("SSH-2.0-OpenSSH_9.2\r\n\r\n");
    let outcome = through(&format!("http://{}", other.address()));
    refused(&outcome, NETWORK, &["the proxy 127.0.0.1:", "wanted an answer to CONNECT"], "HTTPS_PROXY");
}

#[test]
fn a_proxy_that_is_not_there_is_named_as_the_proxy() {
    let closed = ClosedPort::new();
    let address = closed.address;
    let outcome = through(&format!("http://user:test-secret@{address}"));
    let error = [&format!("proxy: cannot connect to 127.0.0.1 port {}", address.port()) as &str, "refused"];
    refused(&outcome, NETWORK, &error, "_proxy");
}

#[test]
fn a_proxy_that_is_silent_ends_by_the_limit() {
    let silent = Listener::new();
    let identity = FileIdentity::new(Key::Ec256);
    let outcome = identity.ask("").env("HTTPS_PROXY", silent.http()).args(["--timeout", "1"]).run();
    refused(&outcome, NETWORK, &["the proxy 127.0.0.1:", " time", "--timeout allows 1 s in all"], "--timeout SECONDS");
    assert!(outcome.took < Duration::from_secs(3), "{outcome}");
}

#[test]
fn a_profile_that_is_broken_is_not_read() {
    let identity = FileIdentity::new(Key::Ec256);
    let sandbox = identity.sandbox(&[]);
    let run = identity.ask(sandbox.endpoint()).arg("--ca-bundle").arg(sandbox.ca()).env("AWS_PROFILE", "nope");
    std::fs::create_dir(run.home().join(".aws")).unwrap();
    std::fs::write(run.home().join(".aws/credentials"), "[default]\naws_access_key_id = half\n").unwrap();
    std::fs::write(run.home().join(".aws/config"), "[default\nendpoint_url = https://elsewhere.invalid\n").unwrap();
    run.run().succeeds();
}
