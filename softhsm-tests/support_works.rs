//! The support itself: each tool does what it says, and fails where it must.

use std::time::Duration;

use crate::support::command::{Run, keyanchor, tool};
use crate::support::key::{Key, KeyFile};
use crate::support::pki::{Ca, Draft, bundle};
use crate::support::shell::keyanchor_calls;
use crate::support::softhsm::{SoftHsm, TEST_USER_PIN};
use crate::support::spy::Spy;
use crate::support::{Environment, Folder};

fn shell(script: &str) -> Run {
    Run::program("sh").args(["-c", script])
}

#[test]
fn the_program_runs_in_a_clean_environment() {
    let outcome = keyanchor(["version"]).run();
    assert_eq!(outcome.succeeds().text(), concat!(env!("CARGO_PKG_VERSION"), "\n"));
    let variables = Run::program("env").run();
    assert!(variables.text().lines().all(|line| line.starts_with("PATH=") || line.starts_with("HOME=")), "{variables}");
}

#[test]
#[should_panic(expected = "did not end within")]
fn a_hang_is_a_failure() {
    shell("echo waiting >&2; sleep 600").limit(Duration::from_millis(100)).run();
}

#[test]
#[should_panic(expected = "keeps its output open")]
fn a_child_that_is_left_behind_is_a_failure() {
    shell("sleep 600 &").limit(Duration::from_millis(500)).run();
}

#[test]
#[should_panic(expected = "something on stdout")]
fn output_of_a_failed_command_is_noticed() {
    shell("echo half a credential; echo error: it broke >&2; exit 3").run().fails_with(3);
}

#[test]
#[should_panic(expected = "exit code and signal")]
fn a_crash_is_not_an_exit_code() {
    shell("kill -SEGV $$").run().fails_with(3);
}

#[test]
fn permissions_bind_an_unprivileged_command() {
    let secret = Folder::new();
    let path = secret.write("secret", "x");
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
    let outcome = Run::program("cat").arg(&path).unprivileged().run();
    assert!(!outcome.status.success(), "{outcome}");
    keyanchor(["version"]).unprivileged().run().succeeds();
}

#[test]
fn a_terminal_can_be_read_and_typed_into() {
    let ask = "printf 'PIN: ' >/dev/tty; read answer </dev/tty; echo data; echo \"got $answer\" >&2";
    let mut terminal = shell(ask).on_terminal();
    terminal.sees("PIN: ").types(TEST_USER_PIN);
    let outcome = terminal.wait();
    assert_eq!(outcome.succeeds().text(), "data\n");
    outcome.stderr_contains(&format!("got {TEST_USER_PIN}"));
}

#[test]
#[should_panic(expected = "never showed 'PIN'")]
fn a_prompt_that_does_not_come_is_a_failure() {
    shell("exit 0").on_terminal().sees("PIN");
}

#[test]
fn tokens_hold_keys_that_cannot_be_extracted() {
    let hsm = SoftHsm::new();
    let token = hsm.token("first");
    for (kind, id) in Key::SUPPORTED.into_iter().zip(["01", "02", "03", "04"]) {
        token.generate(kind, id, "k");
    }
    token.generate_always_authenticate(Key::Ec256, "05", "always");
    token.generate(Key::Secp256k1, "06", "k");
    token.generate(Key::Ed25519, "07", "k");
    let listing = token.listing();
    assert_eq!(listing.matches("never extractable").count(), 7, "{listing}");
    assert_eq!(listing.matches("always authenticate").count(), 1, "{listing}");

    let second = hsm.token("first");
    assert_ne!(second.slot, token.slot);
    for (kind, id) in Key::SUPPORTED.into_iter().zip(["01", "02", "03", "04"]) {
        second.import_key(&KeyFile::generate(kind).pkcs8_der(), id, "imported");
    }
    second.delete_public("02");
    let listing = second.listing();
    assert_eq!(listing.matches("Private Key Object").count(), 4, "{listing}");
    assert_eq!(listing.matches("Public Key Object").count(), 3, "{listing}");
    assert!(!listing.contains("Access:     extractable"), "{listing}");
}

#[test]
fn openssl_accepts_the_chain_of_a_token_key() {
    let root = Ca::root("Test Root");
    let issuing = root.intermediate("Test Issuing");
    let token = SoftHsm::new().token("t");
    for (kind, id) in Key::SUPPORTED.into_iter().zip(["01", "02", "03", "04"]) {
        let leaf = token.identity(kind, id, "leaf", &issuing);
        verify(&root, &issuing, &leaf.pem_path().display().to_string(), 0);
    }
    assert_eq!(token.listing().matches("Certificate Object").count(), 4);
    let other_path = Ca::root("Other Root");
    let crossed = other_path.cross_sign(&issuing);
    let leaf = issuing.leaf("leaf", &token.public_key("01"));
    let folder = Folder::new();
    let untrusted = folder.write("crossed.pem", bundle([&crossed]));
    let trusted = other_path.certificate.pem_path();
    tool(
        "openssl",
        [
            "verify",
            "-CAfile",
            trusted.to_str().unwrap(),
            "-untrusted",
            untrusted.to_str().unwrap(),
            leaf.pem_path().to_str().unwrap(),
        ],
        Environment::new(),
    );
}

#[test]
fn bad_leaves_are_bad_in_the_way_that_was_asked_for() {
    let root = Ca::root_with("Test Root", Key::Rsa2048);
    let key = KeyFile::generate(Key::Ec256);
    let good = || Draft::leaf("leaf");
    let told = |draft: Draft| {
        let path = root.issue(&draft, key.public_key()).pem_path();
        let text = tool("openssl", ["x509", "-noout", "-text", "-in", path.to_str().unwrap()], Environment::new());
        String::from_utf8(text).unwrap()
    };
    assert!(told(good()).contains("Version: 3"));
    assert!(told(good()).contains("Digital Signature"));
    assert!(told(good()).contains("CA:FALSE"));
    assert!(told(good().v1()).contains("Version: 1"));
    assert!(told(good().ca_true()).contains("CA:TRUE"));
    assert!(!told(good().without_digital_signature()).contains("Digital Signature"));
    assert!(told(good().hashed_with_sha1()).contains("sha1WithRSAEncryption"));
    assert!(told(good().without_subject()).contains("Subject: \n"));
    assert!(!told(good().without_basic_constraints().without_key_usage()).contains("critical"));
    for (draft, reason) in [(good().expired(), "certificate has expired"), (good().not_yet_valid(), "not yet valid")] {
        let path = root.issue(&draft, key.public_key()).pem_path();
        let outcome =
            Run::program("openssl").args(["verify", "-CAfile"]).arg(root.certificate.pem_path()).arg(path).run();
        outcome.ends_with(2).stderr_contains(reason);
    }
}

fn verify(root: &Ca, issuing: &Ca, leaf: &str, code: i32) {
    let outcome = Run::program("openssl")
        .args(["verify", "-x509_strict", "-CAfile"])
        .arg(root.certificate.pem_path())
        .arg("-untrusted")
        .arg(issuing.certificate.pem_path())
        .arg(leaf)
        .run();
    outcome.ends_with(code);
}

#[test]
fn key_files_come_in_every_format() {
    let head = |path: std::path::PathBuf| std::fs::read_to_string(path).unwrap().lines().next().unwrap().to_owned();
    let (ec, rsa) = (KeyFile::generate(Key::Ec384), KeyFile::generate(Key::Rsa2048));
    assert_eq!(head(ec.path().to_owned()), "-----BEGIN PRIVATE KEY-----");
    assert_eq!(head(ec.traditional_pem()), "-----BEGIN EC PRIVATE KEY-----");
    assert_eq!(head(rsa.traditional_pem()), "-----BEGIN RSA PRIVATE KEY-----");
    assert_eq!(head(ec.encrypted_pem("test-password")), "-----BEGIN ENCRYPTED PRIVATE KEY-----");
    assert_eq!(head(ec.pem_after_parameters()), "-----BEGIN EC PARAMETERS-----");
}

#[test]
fn the_spy_counts_calls_by_name() {
    let token = SoftHsm::new().token("t");
    let spy = Spy::before(SoftHsm::module());
    let module = Spy::module();
    let list = ["--module", module.to_str().unwrap(), "--list-token-slots"];
    tool("pkcs11-tool", list, [token.env(), spy.env()].concat());
    assert_eq!(spy.calls().of("C_Initialize"), 1);
    assert_eq!(spy.calls().of("C_Sign"), 0);
    assert!(spy.calls().total() > 4, "{:?}", spy.calls());
}

#[test]
fn calls_are_found_in_a_shell_text_as_the_shell_would_find_them() {
    let calls = keyanchor_calls(
        "PIN=x sudo keyanchor generate --private-key 'pkcs11:token=a b;object=c' # keyanchor no\n\
         key=\"$(keyanchor list \\\n  --json | jq .)\"; /opt/keyanchor man >file 2>&1 && man keyanchor\n\
         credential_process = /usr/bin/keyanchor credential-process --pkcs11 \"pkcs11:x?y&z\"\n\
         source <(keyanchor completions bash)",
    );
    let calls: Vec<_> = calls.iter().map(|words| words[1..].join("|")).collect();
    let wanted = [
        "generate|--private-key|pkcs11:token=a b;object=c",
        "list|--json",
        "man",
        "credential-process|--pkcs11|pkcs11:x?y&z",
        "completions|bash",
    ];
    assert_eq!(calls, wanted);
}
