//! `keyanchor sandbox` asked by other people's tools: openssl makes certificates and signs, curl sends, the AWS CLI asks STS. No
//! code of the signer takes part, so that what passes here passes without its help.

mod client;

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::Value;

use crate::support::command::has_aws_cli;
use crate::support::sandbox::Sandbox;
use client::{Answer, CA_EXTENSIONS, Identity, LEAF_EXTENSIONS, Pki, RequestPlan, curl};

fn sandbox(anchor: &Identity, more: &[&str]) -> Sandbox {
    Sandbox::start(["--trust-anchor", anchor.certificate.to_str().unwrap()].iter().chain(more))
}

/// A CA, a P-256 leaf under it, and a service that trusts it.
fn simple(more: &[&str]) -> (Pki, Identity, Sandbox) {
    let pki = Pki::new();
    let ca = pki.authority("ca");
    let leaf = pki.leaf("leaf", "P-256", &ca);
    let sandbox = sandbox(&ca, more);
    (pki, leaf, sandbox)
}

fn credentials(answer: &Answer) -> Value {
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()["credentialSet"][0]["credentials"].clone()
}

#[test]
fn requests_signed_by_openssl_are_granted_whatever_the_key() {
    let pki = Pki::new();
    let ca = pki.authority("ca");
    let sandbox = sandbox(&ca, &[]);
    for kind in ["RSA-2048", "RSA-3072", "P-256", "P-384", "P-521"] {
        let leaf = pki.leaf(kind, kind, &ca);
        let answer = RequestPlan::new(&leaf).send(&sandbox);
        let credentials = credentials(&answer);
        assert!(credentials["accessKeyId"].as_str().unwrap().starts_with("ASIASANDBOX"), "{kind}");
        assert!(credentials["secretAccessKey"].as_str().unwrap().starts_with("sandbox-not-a-secret-"));
        assert!(credentials["expiration"].as_str().unwrap().ends_with('Z'));
        let body = answer.json();
        assert_eq!(body["credentialSet"][0]["roleArn"], "arn:aws:iam::111122223333:role/ExampleRole");
        assert_eq!(body["credentialSet"][0]["sourceIdentity"], format!("CN={kind}"));
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!(answer.header("x-amzn-requestid").len(), 36);
        assert!(answer.header("date").ends_with(" GMT"));
    }
}

#[test]
fn the_chain_may_come_in_any_order_and_holds_at_most_five() {
    let pki = Pki::new();
    let root = pki.authority("root");
    let upper = pki.intermediate("upper", &root, CA_EXTENSIONS);
    let lower = pki.intermediate("lower", &upper, CA_EXTENSIONS);
    let stranger = pki.authority("stranger");
    let leaf = pki.leaf("leaf", "P-256", &lower);
    let sandbox = sandbox(&root, &[]);
    for chain in [vec![&lower, &upper], vec![&upper, &lower], vec![&stranger, &upper, &root, &lower, &leaf]] {
        assert_eq!(RequestPlan::new(&leaf).chain(&chain).send(&sandbox).status, 201);
    }
    for chain in [vec![], vec![&lower], vec![&upper], vec![&lower, &upper, &root, &root, &root, &root]] {
        let answer = RequestPlan::new(&leaf).chain(&chain).send(&sandbox);
        answer.assert_denied("Untrusted signing certificate");
    }
    assert!(sandbox.log().contains("the issuer of"), "{}", sandbox.log());
}

#[test]
fn a_chain_with_a_broken_link_is_untrusted_and_the_log_tells_which() {
    let pki = Pki::new();
    let root = pki.authority("root");
    let sandbox = sandbox(&root, &[]);
    let broken: [(&str, &str, &[&str], &str); 5] = [
        (
            "not-ca",
            "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,keyCertSign",
            &[],
            "wanted basicConstraints CA:TRUE",
        ),
        ("no-cert-sign", "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,digitalSignature", &[], "keyCertSign"),
        ("no-usage", "basicConstraints=critical,CA:TRUE", &[], "found no keyUsage"),
        ("stranger", &format!("{CA_EXTENSIONS}\n1.2.3.4=critical,ASN1:NULL"), &[], "1.2.3.4"),
        ("sha1", CA_EXTENSIONS, &["-sha1"], "SHA-256 or stronger"),
    ];
    for (name, extensions, arguments, reason) in broken {
        let middle = pki.issue(name, "P-256", &root, extensions, arguments);
        let leaf = pki.leaf("leaf", "P-256", &middle);
        RequestPlan::new(&leaf).chain(&[&middle]).send(&sandbox).assert_denied("Untrusted signing certificate");
        let last = sandbox.requests("/sessions").pop().unwrap();
        assert!(last.contains(reason), "{last}");
    }
    let narrow =
        pki.intermediate("narrow", &root, "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign");
    let below = pki.intermediate("below", &narrow, CA_EXTENSIONS);
    let leaf = pki.leaf("leaf", "P-256", &below);
    RequestPlan::new(&leaf).chain(&[&below, &narrow]).send(&sandbox).assert_denied("Untrusted signing certificate");
    assert!(sandbox.log().contains("pathLenConstraint"));
    // A CA's certificate for its own next key does not count.
    let renewed = pki.intermediate("narrow", &narrow, CA_EXTENSIONS);
    let leaf = pki.leaf("leaf", "P-256", &renewed);
    assert_eq!(RequestPlan::new(&leaf).chain(&[&renewed, &narrow]).send(&sandbox).status, 201, "{}", sandbox.log());
    // Directly under the narrow CA the same leaf would be in order.
    let leaf = pki.leaf("leaf", "P-256", &narrow);
    assert_eq!(RequestPlan::new(&leaf).chain(&[&narrow]).send(&sandbox).status, 201);
}

#[test]
fn a_ca_of_the_right_name_and_another_key_is_untrusted() {
    let pki = Pki::new();
    let ca = pki.authority("ca");
    let sandbox = sandbox(&ca, &[]);
    let impostor = Pki::new().authority_elsewhere("ca");
    let leaf = pki.leaf("leaf", "P-256", &impostor.1);
    RequestPlan::new(&leaf).send(&sandbox).assert_denied("Untrusted signing certificate");
    assert!(sandbox.log().contains("wanted a signature by CN=ca, found one that does not verify"), "{}", sandbox.log());
}

#[test]
fn a_leaf_that_breaks_a_rule_is_insufficient_and_the_log_tells_which() {
    let pki = Pki::new();
    let ca = pki.authority("ca");
    let sandbox = sandbox(&ca, &[]);
    let basic = "basicConstraints=critical,CA:FALSE";
    let rules: [(&str, &str, &[&str], &str); 8] = [
        ("no-usage", basic, &[], "found no keyUsage"),
        ("wrong-usage", &format!("{basic}\nkeyUsage=critical,keyAgreement"), &[], "found a keyUsage without it"),
        ("is-ca", CA_EXTENSIONS, &[], "found basicConstraints CA:TRUE"),
        ("sha1", LEAF_EXTENSIONS, &["-sha1"], "SHA-256 or stronger"),
        ("unknown-critical", &format!("{LEAF_EXTENSIONS}\n1.2.3.4=critical,ASN1:NULL"), &[], "1.2.3.4"),
        ("expired", LEAF_EXTENSIONS, &["-days", "-1"], "expired at"),
        ("", LEAF_EXTENSIONS, &[], "wanted a certificate with a subject"),
        ("v1", "", &[], "wanted an X.509 v3 certificate"),
    ];
    for (name, extensions, arguments, reason) in rules {
        let leaf = pki.issue(name, "P-256", &ca, extensions, arguments);
        let answer = RequestPlan::new(&leaf).send(&sandbox);
        answer.assert_denied("Untrusted certificate. Insufficient certificate");
        let last = sandbox.requests("/sessions").pop().unwrap();
        assert!(last.contains(reason), "{name}: {last}");
    }
    let brainpool = pki.leaf("brainpool", "brainpoolP256r1", &ca);
    let answer = RequestPlan::new(&brainpool).send(&sandbox);
    answer.assert_denied("Untrusted certificate. Insufficient certificate");
    let plain = pki.issue("plain", "P-256", &ca, "keyUsage=digitalSignature", &[]);
    assert_eq!(RequestPlan::new(&plain).send(&sandbox).status, 201, "basicConstraints may be absent");
}

#[test]
fn a_negative_serial_number_does_not_pass_for_a_positive_one() {
    let pki = Pki::new();
    let ca = pki.authority("ca");
    let sandbox = sandbox(&ca, &[]);
    let negative = pki.issue("negative", "P-256", &ca, LEAF_EXTENSIONS, &["-set_serial", "-5"]);
    // -5 and 251 are both the octet FB.
    let answer = RequestPlan::new(&Identity { serial: 251, ..negative }).send(&sandbox);
    answer.assert_denied("Untrusted certificate. Insufficient certificate");
    assert!(sandbox.log().contains("wanted a positive serial number"));
}

#[test]
fn parameters_are_checked_after_the_signature() {
    let roles = [
        "--role-arn",
        "arn:aws:iam::111122223333:role/ExampleRole",
        "--role-arn",
        "arn:aws:iam::111122223334:role/ExampleRole",
    ];
    let (_pki, leaf, sandbox) = simple(&roles);
    let refused = |from: &str, to: &str, status: u16, code: &str| {
        let answer = RequestPlan::new(&leaf).edit_body(from, to).send(&sandbox);
        assert_eq!((answer.status, answer.header("x-amzn-errortype")), (status, code), "{answer:?}");
        answer.json()["message"].as_str().unwrap().to_owned()
    };
    refused("\"durationSeconds\":900", "\"durationSeconds\":899", 400, "ValidationException");
    refused("us-east-1:111122223333:profile", "eu-west-1:111122223333:profile", 404, "ResourceNotFoundException");
    refused("us-east-1:111122223333:profile", "us-east-1:111122223334:profile", 404, "ResourceNotFoundException");
    refused("iam::111122223333", "iam::111122223334", 403, "AccessDeniedException");
    let message = refused("ExampleRole", "OtherRole", 403, "AccessDeniedException");
    assert_eq!(message, "Unable to assume role for arn:aws:iam::111122223333:role/OtherRole.");
    let message = refused("{", "{\"roleSessionName\":\"web-01\",", 403, "AccessDeniedException");
    assert_eq!(message, "Not authorized to set roleSessionName.");
    let unsigned = RequestPlan::new(&leaf).edit_body("900", "899").tamper_body("899", "898").send(&sandbox);
    unsigned.assert_denied("Invalid signature");
}

#[test]
fn the_aws_cli_learns_who_it_is_from_what_was_vended() {
    if !has_aws_cli("the_aws_cli_learns_who_it_is_from_what_was_vended") {
        return;
    }
    let (_pki, leaf, sandbox) = simple(&[]);
    let credentials = credentials(&RequestPlan::new(&leaf).send(&sandbox));
    let output = Command::new("aws")
        .args(["sts", "get-caller-identity", "--output", "json", "--endpoint-url", sandbox.endpoint()])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", sandbox.folder())
        .env("AWS_DEFAULT_REGION", "eu-central-1")
        .env("AWS_CA_BUNDLE", sandbox.ca())
        .env("AWS_ACCESS_KEY_ID", credentials["accessKeyId"].as_str().unwrap())
        .env("AWS_SECRET_ACCESS_KEY", credentials["secretAccessKey"].as_str().unwrap())
        .env("AWS_SESSION_TOKEN", credentials["sessionToken"].as_str().unwrap())
        .output()
        .expect("the AWS CLI is installed");
    assert!(output.status.success(), "{}\n{}", String::from_utf8_lossy(&output.stderr), sandbox.log());
    let identity: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(identity["Account"], "111122223333");
    let session = format!("arn:aws:sts::111122223333:assumed-role/ExampleRole/{:x}", leaf.serial);
    assert_eq!(identity["Arn"], session);
}

/// Signs for STS with curl's own SigV4.
fn ask_sts(sandbox: &Sandbox, key: &str, secret: &str, token: &str, get: bool) -> Answer {
    let user = format!("{key}:{secret}");
    let token = format!("x-amz-security-token: {token}");
    let form = "Action=GetCallerIdentity&Version=2011-06-15";
    let url = if get { format!("{}/?{form}", sandbox.endpoint()) } else { format!("{}/", sandbox.endpoint()) };
    let mut arguments = vec!["--aws-sigv4", "aws:amz:us-east-1:sts", "--user", &user, "-H", &token, &url];
    if !get {
        arguments.extend(["--data", form]);
    }
    curl(sandbox, &arguments)
}

#[test]
fn sts_takes_only_what_was_vended_while_it_lives() {
    let (_pki, leaf, sandbox) = simple(&[]);
    let credentials = credentials(&RequestPlan::new(&leaf).send(&sandbox));
    let field = |name: &str| credentials[name].as_str().unwrap().to_owned();
    let (key, secret, token) = (field("accessKeyId"), field("secretAccessKey"), field("sessionToken"));
    for get in [false, true] {
        let good = ask_sts(&sandbox, &key, &secret, &token, get);
        assert_eq!(good.status, 200, "{good:?}\n{}", sandbox.log());
        assert!(good.body.contains("<Account>111122223333</Account>"), "{good:?}");
    }
    let wrong = [
        (ask_sts(&sandbox, &key, "sandbox-not-the-secret", &token, false), "SignatureDoesNotMatch"),
        (ask_sts(&sandbox, &key, &secret, "other", false), "InvalidClientTokenId"),
        (ask_sts(&sandbox, "ASIASANDBOXUNKNOWN00", &secret, &token, false), "InvalidClientTokenId"),
    ];
    for (answer, code) in wrong {
        assert_eq!(answer.status, 403, "{answer:?}");
        assert!(answer.body.contains(&format!("<Code>{code}</Code>")), "{answer:?}");
    }
}

#[test]
fn sts_knows_one_operation() {
    let (_pki, _leaf, sandbox) = simple(&[]);
    let answer =
        curl(&sandbox, &["--data", "Action=Get<Caller>&Version=2011-06-15", &format!("{}/", sandbox.endpoint())]);
    assert_eq!(answer.status, 400);
    assert!(answer.body.contains("<Code>InvalidAction</Code>"), "{answer:?}");
    assert!(answer.body.contains("operation Get&lt;Caller&gt; for"), "{answer:?}");
}

#[test]
fn sts_refuses_what_has_expired() {
    let (_pki, leaf, sandbox) = simple(&["--lifetime", "0"]);
    let credentials = credentials(&RequestPlan::new(&leaf).send(&sandbox));
    let field = |name: &str| credentials[name].as_str().unwrap().to_owned();
    let answer = ask_sts(&sandbox, &field("accessKeyId"), &field("secretAccessKey"), &field("sessionToken"), false);
    assert!(answer.body.contains("<Code>ExpiredToken</Code>"), "{answer:?}");
}

#[test]
fn faults_come_in_order_and_then_the_truth() {
    let faults = ["503:2", "429:1", "html-403:1", "redirect:1", "malformed:1", "empty:1", "missing-fields:1"];
    let arguments: Vec<&str> = faults.iter().flat_map(|fault| ["--fault", fault]).collect();
    let (_pki, leaf, sandbox) = simple(&arguments);
    let next = || RequestPlan::new(&leaf).send(&sandbox);
    for (status, code) in
        [(503, "ServiceUnavailableException"), (503, "ServiceUnavailableException"), (429, "ThrottlingException")]
    {
        let answer = next();
        assert_eq!((answer.status, answer.header("x-amzn-errortype")), (status, code));
    }
    let page = next();
    assert_eq!((page.status, page.header("content-type")), (403, "text/html"));
    let redirect = next();
    assert_eq!((redirect.status, redirect.header("location")), (302, "https://elsewhere.invalid/sessions"));
    let malformed = next();
    assert_eq!(malformed.status, 201);
    assert!(serde_json::from_str::<Value>(&malformed.body).is_err());
    assert_eq!(next().json()["credentialSet"], serde_json::json!([]));
    assert!(next().json()["credentialSet"][0]["credentials"]["secretAccessKey"].is_null());
    credentials(&next());
    // A fault replaces the answer; the log tells what it would have been.
    assert!(sandbox.requests("/sessions")[0].ends_with("fault=503 instead-of=\"201\""), "{}", sandbox.log());
}

#[test]
fn connections_break_and_hang_as_asked() {
    let faults = ["hang-tls:1", "close-tls:1", "close:1", "hang:1", "truncated:1", "endless:1"];
    let arguments: Vec<&str> = faults.iter().flat_map(|fault| ["--fault", fault]).collect();
    let (_pki, leaf, mut sandbox) = simple(&arguments);
    let exit = |arguments: &[&str]| RequestPlan::new(&leaf).try_send(&sandbox, arguments).unwrap_err();
    let (timeout, no_answer, partial, too_large) = (28, [52, 56], 18, 63);
    assert_eq!(exit(&["--max-time", "0.3"]), timeout, "hang-tls");
    assert!(no_answer.contains(&exit(&[])), "close-tls");
    assert!(no_answer.contains(&exit(&[])), "close");
    assert_eq!(exit(&["--max-time", "0.3"]), timeout, "hang");
    assert!([partial, 56].contains(&exit(&[])), "truncated");
    assert!([too_large, timeout].contains(&exit(&["--max-filesize", "1000000", "--max-time", "1"])), "endless");
    credentials(&RequestPlan::new(&leaf).send(&sandbox));
    assert!(sandbox.end_by(Signal::TERM).success());
}

#[test]
fn a_clock_that_is_off_shows_in_the_date_and_refuses() {
    let (_pki, leaf, sandbox) = simple(&["--fault", "clock:+600"]);
    let answer = RequestPlan::new(&leaf).send(&sandbox);
    assert_eq!(answer.status, 403);
    assert!(answer.json()["message"].as_str().unwrap().starts_with("Signature expired: "), "{answer:?}");
    let date = jiff::fmt::rfc2822::parse(answer.header("date")).unwrap().timestamp();
    let lead = date.as_second() - jiff::Timestamp::now().as_second();
    assert!((590..=600).contains(&lead), "{lead}");
}

#[test]
fn an_answer_waits_as_long_as_asked() {
    let (_pki, leaf, sandbox) = simple(&["--delay", "300"]);
    let begun = Instant::now();
    credentials(&RequestPlan::new(&leaf).send(&sandbox));
    assert!(begun.elapsed() >= Duration::from_millis(300));
}

#[test]
fn large_headers_are_read_and_large_bodies_are_not() {
    let (_pki, _leaf, sandbox) = simple(&[]);
    let url = format!("{}/sessions", sandbox.endpoint());
    let header = format!("X-Amz-X509: {}", "A".repeat(64_000));
    assert_eq!(curl(&sandbox, &["-H", &header, "--data", "{}", &url]).status, 403);
    let body = sandbox.folder().join("body");
    fs::write(&body, "x".repeat(70_000)).unwrap();
    assert_eq!(curl(&sandbox, &["--data-binary", &format!("@{}", body.display()), &url]).status, 413);
}

#[test]
fn other_methods_and_paths_are_not_served() {
    let (_pki, _leaf, sandbox) = simple(&[]);
    let get = curl(&sandbox, &[&format!("{}/sessions", sandbox.endpoint())]);
    assert_eq!((get.status, get.header("allow")), (405, "POST"));
    for path in ["/sessions/", "/session", "//sessions", "/__log", "/prefix/sessions"] {
        assert_eq!(curl(&sandbox, &["--data", "{}", &format!("{}{path}", sandbox.endpoint())]).status, 404, "{path}");
    }
}

#[test]
fn the_server_certificate_is_good_for_localhost_by_any_name() {
    let (_pki, _leaf, sandbox) = simple(&[]);
    let port = sandbox.endpoint().rsplit(':').next().unwrap().to_owned();
    for host in ["localhost", "127.0.0.1"] {
        assert_eq!(curl(&sandbox, &["--noproxy", "*", &format!("https://{host}:{port}/x")]).status, 404);
    }
    let strict = Command::new("openssl")
        .args(["s_client", "-x509_strict", "-verify_return_error", "-verify_ip", "127.0.0.1", "-CAfile"])
        .arg(sandbox.ca())
        .args(["-connect", &format!("127.0.0.1:{port}")])
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    assert!(strict.status.success(), "{}", String::from_utf8_lossy(&strict.stderr));
}

#[test]
fn tls_is_post_quantum_where_the_client_is_and_1_2_where_it_is_old() {
    let (_pki, _leaf, sandbox) = simple(&[]);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(sandbox.ca()).unwrap()).unwrap();
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut client = rustls::ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
    let mut stream = TcpStream::connect(sandbox.endpoint().trim_start_matches("https://")).unwrap();
    while client.is_handshaking() {
        client.complete_io(&mut stream).unwrap();
    }
    assert_eq!(client.negotiated_key_exchange_group().unwrap().name(), rustls::NamedGroup::X25519MLKEM768);
    assert_eq!(curl(&sandbox, &["--tls-max", "1.2", sandbox.endpoint()]).status, 400);
}

#[test]
fn the_log_names_who_and_why_and_no_secret() {
    let (_pki, leaf, sandbox) = simple(&[]);
    let plan = RequestPlan::new(&leaf);
    let credentials = credentials(&plan.send(&sandbox));
    RequestPlan::new(&leaf).tamper_body("900", "901").send(&sandbox).assert_denied("Invalid signature");
    let lines = sandbox.requests("/sessions");
    assert!(lines[0].contains(&format!(" leaf=\"CN=leaf\" serial={:x} status=201 ", leaf.serial)), "{}", lines[0]);
    assert!(
        lines[1].contains(" status=403 code=AccessDeniedException message=\"Invalid signature\" reason="),
        "{}",
        lines[1]
    );
    let log = sandbox.log();
    for secret in ["secretAccessKey", "sessionToken"] {
        assert!(!log.contains(credentials[secret].as_str().unwrap()));
    }
    assert!(!log.contains("Signature="));
}

#[test]
fn a_signal_ends_it_cleanly_and_leaves_nothing_behind() {
    for signal in [Signal::INT, Signal::TERM] {
        let (_pki, leaf, mut sandbox) = simple(&["--fault", "hang"]);
        assert_eq!(RequestPlan::new(&leaf).try_send(&sandbox, &["--max-time", "0.2"]).unwrap_err(), 28);
        let private = sandbox.ca().parent().unwrap().to_owned();
        assert!(private.is_dir());
        let begun = Instant::now();
        assert_eq!(sandbox.end_by(signal).code(), Some(0));
        assert!(begun.elapsed() < Duration::from_secs(1));
        assert!(!private.exists());
        assert!(sandbox.log().lines().last().unwrap().ends_with("ended=signal connections=1 requests=1 vended=0"));
    }
}

#[test]
fn the_ca_can_be_written_to_a_named_file_which_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sandbox-ca.pem");
    fs::write(&path, "older").unwrap();
    let (_pki, leaf, mut sandbox) = simple(&["--ca-out", path.to_str().unwrap()]);
    assert_eq!(sandbox.ca(), path);
    credentials(&RequestPlan::new(&leaf).send(&sandbox));
    assert!(sandbox.end_by(Signal::TERM).success());
    assert!(fs::read_to_string(&path).unwrap().starts_with("-----BEGIN CERTIFICATE-----"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// Exit code, stdout and stderr of a start that fails.
fn fails(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_keyanchor")).arg("sandbox").args(arguments).output().unwrap();
    let text = |octets: Vec<u8>| String::from_utf8(octets).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn what_is_no_trust_anchor_is_refused_at_the_start() {
    let pki = Pki::new();
    let ca = pki.authority("ca");
    let leaf = pki.leaf("leaf", "P-256", &ca);
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let cases = [
        ("/nonexistent.pem".to_owned(), "No such file"),
        ("/dev/zero".to_owned(), "more than 1048576 octets"),
        (text(&leaf.key), "wanted certificates in PEM, found none"),
        (text(&leaf.certificate), "CN=leaf: wanted basicConstraints CA:TRUE, found none"),
    ];
    for (file, reason) in cases {
        let (code, stdout, stderr) = fails(&["--trust-anchor", &file]);
        assert_eq!((code, stdout.as_str()), (Some(7), ""));
        assert!(stderr.starts_with(&format!("error: trust anchor {file}: ")) && stderr.contains(reason), "{stderr}");
    }
}

#[test]
fn wrong_flags_and_a_taken_port_are_refused_at_the_start() {
    let (pki, _leaf, sandbox) = simple(&[]);
    let anchor = pki.authority("other").certificate;
    let anchor = anchor.to_str().unwrap();
    assert_eq!(fails(&[]).0, Some(2));
    for fault in ["nope", "503:0", "200", "clock"] {
        let (code, _, stderr) = fails(&["--trust-anchor", anchor, "--fault", fault]);
        assert_eq!(code, Some(2));
        assert!(stderr.contains(fault), "{stderr}");
    }
    let taken = sandbox.endpoint().trim_start_matches("https://");
    let (code, stdout, stderr) = fails(&["--trust-anchor", anchor, "--listen", taken]);
    assert_eq!((code, stdout.as_str()), (Some(6), ""));
    assert!(stderr.starts_with(&format!("error: cannot listen on {taken}: ")), "{stderr}");
    assert!(stderr.contains("hint: see who listens there: ss -ltnp") && stderr.contains("--listen"), "{stderr}");
}
