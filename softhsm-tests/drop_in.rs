//! In the place of `aws_signing_helper` 1.8: its flags with their meaning, its spellings of values, and the exact octets that its
//! commands print.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

use crate::support::command::{Outcome, Run, keyanchor, tool};
use crate::support::key::{Key, KeyFile};
use crate::support::pki::{Ca, Certificate};
use crate::support::sandbox::{ARNS, Printed, Sandbox};
use crate::support::softhsm::{SoftHsm, TEST_USER_PIN, Token};
use crate::support::{Environment, Folder, text};

/// A key in a file, its certificate, and a service that grants it a session.
struct Scene {
    leaf: Certificate,
    key: KeyFile,
    sandbox: Sandbox,
}

impl Scene {
    fn new() -> Self {
        let ca = Ca::root("Root");
        let (leaf, key) = ca.leaf_with_key("host", Key::Ec256);
        Self { leaf, key, sandbox: Sandbox::trusting_with(&ca, &["--accept-role-session-name"]) }
    }

    fn ask(&self) -> Run {
        let certificate = self.leaf.pem_path();
        let files = ["--certificate", text(&certificate), "--private-key", text(self.key.path())];
        self.sandbox.credential_process(files)
    }

    #[track_caller]
    fn vends(&self, more: &[&str]) -> Outcome {
        let outcome = self.ask().args(more).run();
        Printed::by(&outcome);
        outcome
    }

    fn last_session(&self) -> String {
        self.sandbox.requests("/sessions").pop().unwrap()
    }
}

#[test]
fn every_flag_of_credential_process_is_taken() {
    let scene = Scene::new();
    let intermediates = scene.leaf.pem_path();
    for separate in [true, false] {
        let flags = [
            ("--session-duration", "900"),
            ("--role-session-name", "web-01"),
            ("--region", "eu-central-1"),
            ("--intermediates", text(&intermediates)),
            ("--pkcs11-lib", "/nonexistent/module.so"),
            ("--tpm-key-password", ""),
            ("--pkcs8-password", ""),
            ("--cert-selector", ""),
            ("--system-store-name", ""),
        ];
        let mut run = scene.ask();
        for (flag, value) in flags {
            run = if separate { run.args([flag, value]) } else { run.arg(format!("{flag}={value}")) };
        }
        let switches = ["--no-verify-ssl", "--with-proxy", "--debug", "--reuse-pin", "--no-tpm-key-password"];
        let outcome = run.args(switches).arg("--use-latest-expiring-certificate=false").run();
        Printed::by(&outcome);
        outcome.stderr_contains("canonical request").stderr_contains("warning: --no-verify-ssl");
        assert!(scene.last_session().contains("/ExampleRole/web-01\""), "{}", scene.last_session());
    }
}

#[test]
fn the_region_of_a_flag_is_signed_for_whatever_the_trust_anchor_s_is() {
    let scene = Scene::new();
    let outcome = scene.ask().args(["--region", "eu-west-1", "--debug"]).run();
    outcome.stderr_contains("/eu-west-1/rolesanywhere/aws4_request");
    // Which has no trust anchors of another region.
    outcome.fails_with(5).stderr_contains("HTTP 404 ResourceNotFoundException");
}

#[test]
fn every_flag_of_the_other_commands_is_taken() {
    let scene = Scene::new();
    let (certificate, key) = (scene.leaf.pem_path(), scene.key.path());
    let both = ["--certificate", text(&certificate), "--pkcs11-lib", "", "--cert-selector", "", "--debug"];
    let read = keyanchor(["read-certificate-data"]).args(both).args(["--system-store-name", ""]).run();
    read.succeeds();
    let more = ["--private-key", text(key), "--reuse-pin", "--no-tpm-key-password", "--pkcs8-password", ""];
    let signed =
        keyanchor(["sign-string"]).args(both).args(more).args(["--format", "json", "--digest", "SHA256"]).run();
    signed.succeeds();
}

#[test]
fn an_empty_value_counts_as_unset() {
    let scene = Scene::new();
    let outcome = scene.vends(&["--region", "", "--session-duration=", "--role-session-name", "", "--debug"]);
    outcome.stderr_contains("/eu-central-1/rolesanywhere/aws4_request");
    let environment = scene.vends(&["--endpoint", scene.sandbox.endpoint(), "--intermediates", "", "--pkcs11", ""]);
    assert_eq!(environment.stderr, "");
    let nothing = keyanchor(["sign-string", "--certificate", "", "--private-key="]).run();
    nothing.fails_with(2).stderr_contains("wanted a key or a certificate");
}

#[test]
fn a_switch_takes_true_and_false_in_every_spelling_of_the_peer() {
    let scene = Scene::new();
    for off in ["0", "f", "F", "false", "FALSE", "False"] {
        assert_eq!(scene.vends(&[&format!("--debug={off}")]).stderr, "", "{off}");
    }
    for on in ["1", "t", "T", "true", "TRUE", "True"] {
        scene.vends(&[&format!("--debug={on}")]).stderr_contains("canonical request");
    }
    let outcome = scene.ask().arg("--debug=maybe").run();
    outcome.fails_with(2).stderr_contains("error: --debug: wanted true or false");
}

#[test]
fn of_a_repeated_flag_the_last_wins() {
    let scene = Scene::new();
    let last =
        ["--role-arn", "arn:aws:iam::111122223333:role/First", "--role-arn", "arn:aws:iam::111122223333:role/Last"];
    let outcome = scene.vends(&[&last[..], &["--debug", "--debug=false", "--region", "xx", "--region", ""]].concat());
    assert_eq!(outcome.stderr, "");
    assert!(scene.last_session().contains("assumed-role/Last/"), "{}", scene.last_session());
}

#[test]
fn other_systems_stores_are_said_to_be_missing() {
    let scene = Scene::new();
    for asked in [
        &["--cert-selector", "Key=x509Subject,Value=CN=host"][..],
        &["--system-store-name", "MY"],
        &["--use-latest-expiring-certificate"],
    ] {
        for command in ["credential-process", "sign-string", "read-certificate-data"] {
            let arns = if command == "credential-process" { &ARNS[..] } else { &[] };
            let outcome = keyanchor([command]).args(arns).args(asked).run();
            outcome.fails_with(2).stderr_contains(asked[0]).stderr_contains("no such store");
            outcome.stderr_contains("hint: name the certificate");
        }
    }
    assert_eq!(scene.sandbox.connections(), 0);
}

#[test]
fn flags_that_exclude_each_other_are_a_usage_error_that_names_both() {
    for [first, second] in [
        ["--tpm-key-password=x", "--no-tpm-key-password"],
        ["--tpm-key-password=x", "--reuse-pin"],
        ["--tpm-key-password=x", "--pkcs8-password=x"],
        ["--certificate=x", "--cert-selector=x"],
        ["--private-key=x", "--cert-selector=x"],
        ["--private-key=x", "--pkcs11=pkcs11:token=x"],
    ] {
        let outcome = keyanchor(["sign-string", first, second, "--certificate", "x"]).run();
        outcome.fails_with(2);
        let named = |argument: &str| outcome.stderr.contains(argument.split('=').next().unwrap());
        // A store that is missing is said to be so, whatever stands beside it.
        assert!(named(second) && (named(first) || second.starts_with("--cert-selector")), "{outcome}");
    }
}

#[test]
fn mistakes_on_the_command_line_print_no_usage_and_repeat_no_value() {
    for (arguments, said) in [
        (&["sign-string", "--nope=test-secret"][..], "there is no flag --nope"),
        (&["credential-proces"], "did you mean credential-process?"),
        (&["sign-string", "test-secret"], "a word that belongs to no flag"),
        (&["sign-string", "--format", "yaml", "--certificate", "x"], "--format: wanted json, text or bin"),
        (&["sign-string", "--format", "JSON", "--certificate", "x"], "--format: wanted json, text or bin"),
        (&["sign-string", "--digest", "sha256", "--certificate", "x"], "--digest: wanted SHA256, SHA384 or SHA512"),
        (&["sign-string", "--certificate"], "--certificate: wanted a value, found none"),
        (&["credential-process", "--certificate", "x"], "--trust-anchor-arn: wanted arn:"),
        (&["sign-string", "--private-key", "pkcs11:object=%zz?pin-value=test-secret"], "--private-key"),
        (&[], "wanted a command, found none"),
    ] {
        let outcome = keyanchor(arguments).run();
        outcome.fails_with(2).stderr_contains(said).stderr_lacks("Usage").stderr_lacks("test-secret");
    }
}

#[test]
fn version_prints_the_version_and_a_line_end() {
    assert_eq!(keyanchor(["version"]).run().succeeds().text(), concat!(env!("CARGO_PKG_VERSION"), "\n"));
}

/// The message that sign-string signs: this text, and the SHA-256 of `IAM RA` and the public key.
fn message(public_key_digest: &[u8]) -> Vec<u8> {
    [&b"AWS Roles Anywhere Credential Helper Signing Test1"[..], public_key_digest].concat()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// A file of the recorded identities, whose keys everybody knows.
fn vector(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("softhsm-tests/vectors/identities").join(name)
}

/// SHA-256 of `IAM RA` and the public key: PKCS#1 for RSA, the uncompressed point for EC.
const RSA_KEY_DIGEST: &str = "292226f8c2c946a6cee3fc7594384172ee1d644768709c3380a46114df6c1114";
const EC_KEY_DIGEST: &str = "e896aae55bfa9ebab208504054130b49bb5296c26d550b2acae62d198b7659a7";

#[test]
fn an_rsa_signature_is_the_same_to_the_octet_in_every_format() {
    let (key, certificate) = (vector("rsa.test-key.pem"), vector("rsa.pem"));
    let message = message(&unhex(RSA_KEY_DIGEST));
    for (digest, option) in [("SHA256", "-sha256"), ("SHA384", "-sha384"), ("SHA512", "-sha512")] {
        let by_openssl =
            Run::program("openssl").args(["dgst", option, "-sign", text(&key)]).input(message.clone()).run();
        let signature = &by_openssl.succeeds().stdout;
        let formats = [
            ("json", format!("\"{}\"", hex(signature)).into_bytes()),
            ("text", hex(signature).into_bytes()),
            ("bin", signature.clone()),
            ("", format!("\"{}\"", hex(signature)).into_bytes()),
        ];
        for (format, wanted) in formats {
            let files = ["--certificate", text(&certificate), "--private-key", text(&key)];
            let outcome = keyanchor(["sign-string", "--digest", digest, "--format", format]).args(files).run();
            assert_eq!(outcome.succeeds().stdout, wanted, "{digest} {format}");
        }
    }
    let alone = keyanchor(["sign-string", "--private-key", text(&key)]).run();
    let by_openssl = Run::program("openssl").args(["dgst", "-sha256", "-sign", text(&key)]).input(message).run();
    assert_eq!(alone.succeeds().text(), format!("\"{}\"", hex(&by_openssl.stdout)));
}

#[test]
fn openssl_verifies_ec_signatures_of_every_digest() {
    let (key, certificate) = (vector("p256.test-key.pem"), vector("p256.pem"));
    let message = message(&unhex(EC_KEY_DIGEST));
    let public_key = tool("openssl", ["x509", "-in", text(&certificate), "-noout", "-pubkey"], Environment::new());
    for (digest, option) in [("SHA256", "-sha256"), ("SHA384", "-sha384"), ("SHA512", "-sha512")] {
        let files = ["--certificate", text(&certificate), "--private-key", text(&key)];
        let signed = keyanchor(["sign-string", "--format", "bin", "--digest", digest]).args(files).run();
        verify(&public_key, option, &signed.succeeds().stdout, &message);
    }
}

#[track_caller]
fn verify(public_key_pem: &[u8], digest: &str, signature: &[u8], message: &[u8]) {
    let folder = Folder::new();
    let (public_key, signature) = (folder.write("public.pem", public_key_pem), folder.write("signature", signature));
    let arguments = ["dgst", digest, "-verify", text(&public_key), "-signature", text(&signature)];
    Run::program("openssl").args(arguments).input(message).run().succeeds();
}

#[test]
fn a_token_signs_the_same_string_as_a_file() {
    let token = SoftHsm::new().token("t");
    let key = vector("rsa.test-key.pem");
    let folder = Folder::new();
    let der = folder.join("rsa.der");
    let convert = ["pkcs8", "-topk8", "-nocrypt", "-in", text(&key), "-outform", "DER", "-out", text(&der)];
    tool("openssl", convert, Environment::new());
    token.import_key(&der, "01", "vector");
    let from_file = keyanchor(["sign-string", "--private-key", text(&key)]).run();
    let certificate = vector("rsa.pem");
    let uri = "pkcs11:token=t;object=vector?module-name=softhsm2";
    for named in
        [&["--private-key", uri][..], &["--pkcs11", uri], &["--certificate", text(&certificate), "--private-key", uri]]
    {
        let run = keyanchor(["sign-string"]).args(named).envs(token.env()).env("KEYANCHOR_PIN", TEST_USER_PIN);
        assert_eq!(run.run().succeeds().stdout, from_file.stdout);
    }
}

#[test]
fn a_certificate_file_is_printed_as_the_peer_prints_it() {
    for (name, key_type, serial, algorithms) in [
        ("rsa.pem", "RSA", "41796794418840706582093025104159514797", r#""RSASHA256","RSASHA384","RSASHA512""#),
        ("p256.pem", "EC", "74782582284297281991299323512", r#""ECSHA256","ECSHA384","ECSHA512""#),
    ] {
        let path = vector(name);
        let der = tool("openssl", ["x509", "-in", text(&path), "-outform", "DER"], Environment::new());
        let data = STANDARD.encode(der);
        let wanted = format!(
            r#"{{"keyType":"{key_type}","certificateData":"{data}","serialNumber":"{serial}","supportedAlgorithms":[{algorithms}]}}"#
        );
        assert_eq!(keyanchor(["read-certificate-data", "--certificate", text(&path)]).run().succeeds().text(), wanted);
    }
}

/// Lists by this URI, with the PIN at hand.
fn list(token: &Token, uri: &str) -> Outcome {
    let run = keyanchor(["read-certificate-data", "--certificate", uri]).envs(token.env());
    run.env("KEYANCHOR_PKCS11_LIB", SoftHsm::module()).env("KEYANCHOR_PIN", TEST_USER_PIN).run()
}

fn uris(listing: &str) -> Vec<String> {
    listing.lines().filter_map(|line| line.strip_prefix("URI: ")).map(str::to_owned).collect()
}

#[test]
fn the_certificates_of_a_token_are_listed_as_the_peer_lists_them() {
    let token = SoftHsm::new().token("a token");
    let (pem, folder) = (vector("p256.pem"), Folder::new());
    let der = folder.join("ec.der");
    tool("openssl", ["x509", "-in", text(&pem), "-outform", "DER", "-out", text(&der)], Environment::new());
    import(&token, &der);
    let outcome = list(&token, "pkcs11:token=a%20token");
    let uri = uris(outcome.succeeds().text()).remove(0);
    let fingerprint = hex(&Sha1::digest(std::fs::read(&der).unwrap()));
    let wanted = format!(
        "Matching identities\n\
         1) Hex Fingerprint: {fingerprint}\n\
         Subject: CN=vector-ec,O=Example Org,C=US\n\
         Issuer: CN=Vector CA,O=Example Org,C=US\n\
         Serial Number: F1A2B3C4D5E6F70812345678\n\
         URI: {uri}\n\n"
    );
    assert_eq!(outcome.text(), wanted);
}

#[test]
fn a_listing_is_the_same_every_time() {
    let ca = Ca::root("Root");
    let token = SoftHsm::new().token("t");
    for (kind, id) in Key::SUPPORTED.into_iter().zip(["01", "02", "03", "04"]) {
        token.identity(kind, id, id, &ca);
    }
    let first = list(&token, "pkcs11:");
    assert!(first.succeeds().text().contains("\n4) Hex Fingerprint: "), "{first}");
    for _ in 0..3 {
        assert_eq!(list(&token, "pkcs11:").text(), first.text());
    }
}

/// Stores a certificate that no CA of these tests made.
fn import(token: &Token, der: &Path) {
    let module = SoftHsm::module();
    let slot = token.slot.to_string();
    let here = ["--module", text(&module), "--slot", &slot, "--login", "--pin", TEST_USER_PIN];
    let write = ["--write-object", text(der), "--type", "cert", "--id", "01", "--label", "vector"];
    tool("pkcs11-tool", here.iter().chain(&write), token.env());
}

#[test]
fn a_listed_uri_can_be_pasted_back() {
    let ca = Ca::root("Root");
    let token = SoftHsm::new().token("a; token?");
    for (kind, id) in [(Key::Ec256, "01"), (Key::Rsa2048, "02")] {
        token.identity(kind, id, "the same label", &ca);
    }
    let sandbox = Sandbox::trusting(&ca);
    let all = list(&token, "pkcs11:");
    let uris = uris(all.text());
    assert_eq!(uris.len(), 2, "{all}");
    for uri in uris {
        let listing = list(&token, &uri);
        assert_eq!(listing.text().matches("Hex Fingerprint").count(), 1, "{listing}");
        assert!(listing.text().contains(&format!("URI: {uri}\n")), "{listing}");
        let run = sandbox.credential_process(["--certificate", &uri]).envs(token.env());
        Printed::by(&run.env("KEYANCHOR_PKCS11_LIB", SoftHsm::module()).env("KEYANCHOR_PIN", TEST_USER_PIN).run());
    }
}

#[test]
fn where_no_certificate_matches_that_is_the_answer_and_what_there_is_stands_beside_it() {
    let token = SoftHsm::new().token("t");
    token.generate(Key::Ec256, "01", "key");
    let outcome = list(&token, "pkcs11:token=t;object=nobody");
    assert_eq!(outcome.succeeds().text(), "No matching identities\n");
    outcome.stderr_contains("warning: no certificate matches").stderr_contains("object=key");
    // No such token is another matter.
    list(&token, "pkcs11:token=another").fails_with(3).stderr_contains("token=another");
}
