//! What Roles Anywhere demands of a certificate is checked here first: each fault has its own message and costs no connection.
//! With `--no-preflight` the request is sent, and the service's own refusal comes out.

use crate::support::command::Outcome;
use crate::support::key::{Key, KeyFile};
use crate::support::pki::{Ca, Draft};
use crate::support::sandbox::{Printed, Sandbox};
use crate::support::softhsm::{SoftHsm, TEST_USER_PIN};
use crate::support::text;

fn ask(sandbox: &Sandbox, ca: &Ca, draft: &Draft, key: &KeyFile, more: &[&str]) -> Outcome {
    let certificate = ca.issue(draft, key.public_key()).pem_path();
    let files = ["--certificate", text(&certificate), "--private-key", text(key.path())];
    sandbox.credential_process(files).args(more).run()
}

/// Certificates that Roles Anywhere does not take, and what is said of each.
fn faults() -> [(&'static str, Draft, &'static str); 8] {
    let good = || Draft::leaf("host");
    [
        ("expired", good().expired(), "it expired at "),
        ("not yet valid", good().not_yet_valid(), "it is not valid until "),
        ("version 1", good().v1(), "wanted X.509 version 3, found version 1"),
        ("a CA", good().ca_true(), "wanted an end-entity certificate, found one of a CA"),
        ("another usage", good().without_digital_signature(), "digitalSignature, found keyUsage without it"),
        ("no usage", good().without_key_usage(), "digitalSignature, found no keyUsage"),
        ("SHA-1", good().hashed_with_sha1(), "signed with SHA-256 or stronger, found SHA-1"),
        ("no subject", good().without_subject(), "wanted a subject that names something, found an empty one"),
    ]
}

#[test]
fn every_fault_has_its_own_message_and_costs_no_connection() {
    let ca = Ca::root("Root");
    let (sandbox, key) = (Sandbox::trusting(&ca), KeyFile::generate(Key::Ec256));
    for (fault, draft, message) in faults() {
        let outcome = ask(&sandbox, &ca, &draft, &key, &[]);
        outcome.fails_with(7).stderr_contains(message).stderr_contains("hint: ").stderr_contains("--no-preflight");
        for (other, _, theirs) in faults() {
            // A certificate of version 1 has no extensions, so that its usage is missing too.
            assert!(other == fault || fault == "version 1" || !outcome.stderr.contains(theirs), "{other}\n{outcome}");
        }
    }
    assert_eq!(sandbox.connections(), 0);
}

#[test]
fn a_certificate_without_basic_constraints_is_an_end_entity_s() {
    let ca = Ca::root("Root");
    let (sandbox, key) = (Sandbox::trusting(&ca), KeyFile::generate(Key::Ec256));
    Printed::by(&ask(&sandbox, &ca, &Draft::leaf("host").without_basic_constraints(), &key, &[]));
}

#[test]
fn without_the_check_the_service_refuses_with_a_hint() {
    let ca = Ca::root("Root");
    let (sandbox, key) = (Sandbox::trusting(&ca), KeyFile::generate(Key::Ec256));
    for (fault, draft, message) in faults() {
        let outcome = ask(&sandbox, &ca, &draft, &key, &["--no-preflight"]);
        outcome.fails_with(5).stderr_lacks(message).stderr_contains("HTTP 403 AccessDeniedException");
        outcome.stderr_contains("Untrusted certificate. Insufficient certificate").stderr_contains("request id ");
        outcome.stderr_contains("hint: the leaf must be an end-entity certificate with digitalSignature");
        let requests = sandbox.requests("/sessions");
        assert!(requests.last().unwrap().contains("reason="), "{fault}: {requests:?}");
    }
    assert_eq!(sandbox.requests("/sessions").len(), faults().len(), "a refusal is not sent again");
}

#[test]
fn keys_of_other_kinds_are_named_and_cost_no_connection() {
    let ca = Ca::root("Root");
    let sandbox = Sandbox::trusting(&ca);
    for (kind, name) in [(Key::Ed25519, "Ed25519"), (Key::Secp256k1, "secp256k1"), (Key::Rsa1024, "1024")] {
        let key = KeyFile::generate(kind);
        for more in [&[][..], &["--no-preflight"]] {
            let outcome = ask(&sandbox, &ca, &Draft::leaf("host"), &key, more);
            outcome.fails_with(3).stderr_contains(name);
        }
    }
    assert_eq!(sandbox.connections(), 0);
}

#[test]
fn a_certificate_of_a_key_of_another_kind_is_named_for_it() {
    let ca = Ca::root("Root");
    let sandbox = Sandbox::trusting(&ca);
    let token = SoftHsm::new().token("t");
    for (kind, id, name) in
        [(Key::Ed25519, "01", "Ed25519"), (Key::Secp256k1, "02", "secp256k1"), (Key::Rsa1024, "03", "1024")]
    {
        let key = KeyFile::generate(kind);
        token.import_certificate(&ca.leaf("host", key.public_key()), id, id);
        let uri = format!("pkcs11:token=t;object={id}?module-name=softhsm2");
        let run = sandbox.credential_process(["--pkcs11", &uri]).envs(token.env());
        run.env("KEYANCHOR_PIN", TEST_USER_PIN).run().fails_with(7).stderr_contains(name);
    }
    assert_eq!(sandbox.connections(), 0);
}

#[test]
fn a_certificate_of_another_key_is_refused_with_and_without_the_check() {
    let ca = Ca::root("Root");
    let sandbox = Sandbox::trusting(&ca);
    for other in [Key::Ec256, Key::Rsa2048] {
        let (leaf, _) = ca.leaf_with_key("host", other);
        let (certificate, key) = (leaf.pem_path(), KeyFile::generate(Key::Ec256));
        for more in [&[][..], &["--no-preflight"]] {
            let files = ["--certificate", text(&certificate), "--private-key", text(key.path())];
            let outcome = sandbox.credential_process(files).args(more).run();
            outcome.fails_with(3).stderr_contains("key");
        }
    }
    assert_eq!(sandbox.connections(), 0);
}

#[test]
fn an_intermediate_that_aws_may_refuse_is_warned_of() {
    let root = Ca::root("Root");
    let issuing = root.intermediate("Issuing");
    let (leaf, key) = issuing.leaf_with_key("host", Key::Ec256);
    let expired = root.issue(&Draft::ca("Issuing").expired(), issuing.public_key());
    let sandbox = Sandbox::trusting(&root);
    let (certificate, intermediates) = (leaf.pem_path(), expired.pem_path());
    let files = ["--certificate", text(&certificate), "--private-key", text(key.path())];
    let outcome = sandbox.credential_process(files).args(["--intermediates", text(&intermediates)]).run();
    outcome.fails_with(5).stderr_contains("warning: ").stderr_contains("CN=Issuing").stderr_contains("it expired at ");
}
