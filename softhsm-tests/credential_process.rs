//! The main job through the binary: every way to name a key and its certificate ends in credentials from a service that
//! verified the request, and costs the token no more than it must.

use crate::support::command::{Outcome, Run, keyanchor};
use crate::support::key::{Key, KeyFile};
use crate::support::pki::{Ca, Certificate, bundle};
use crate::support::sandbox::{ARNS, Printed, Sandbox};
use crate::support::softhsm::{SoftHsm, TEST_USER_PIN, Token};
use crate::support::spy::{Calls, Spy};
use crate::support::{Folder, text, variable};

/// A root, the CA below it that issues, and a service that trusts the root.
struct Pki {
    root: Ca,
    issuing: Ca,
    sandbox: Sandbox,
}

impl Pki {
    fn new() -> Self {
        let root = Ca::root("Root");
        let (issuing, sandbox) = (root.intermediate("Issuing"), Sandbox::trusting(&root));
        Self { root, issuing, sandbox }
    }

    /// Asks with these arguments, and says whose certificate the service saw.
    #[track_caller]
    fn vends(&self, run: Run, leaf: &str) -> Outcome {
        let outcome = run.run();
        let printed = Printed::by(&outcome);
        let last = self.sandbox.requests("/sessions").pop().unwrap();
        assert!(last.contains(&format!("leaf=\"CN={leaf}\"")), "{last}");
        assert!(last.contains(&format!("vended={:?}", printed.access_key_id)), "{last}");
        assert!(last.contains(&format!("expiration={}", printed.expiration)), "{last}");
        outcome
    }

    #[track_caller]
    fn vends_with(&self, arguments: &[&str], leaf: &str) {
        self.vends(self.sandbox.credential_process(arguments), leaf);
    }
}

#[test]
fn key_files_of_every_kind_and_form() {
    let pki = Pki::new();
    for kind in Key::SUPPORTED {
        let (leaf, key) = pki.root.leaf_with_key("host", kind);
        let certificate = leaf.pem_path();
        for key in [key.path(), &key.traditional_pem()] {
            pki.vends_with(&["--certificate", text(&certificate), "--private-key", text(key)], "host");
        }
        let key_pem = std::fs::read_to_string(key.path()).unwrap();
        for content in [format!("{}{key_pem}", leaf.pem()), format!("{key_pem}{}", leaf.pem())] {
            let combined = key.folder().write("combined.pem", content);
            pki.vends_with(&["--certificate", text(&combined)], "host");
        }
    }
}

#[test]
fn intermediates_come_from_the_certificate_file_or_from_their_own() {
    let pki = Pki::new();
    let (leaf, key) = pki.issuing.leaf_with_key("host", Key::Ec256);
    let (certificate, issuing) = (leaf.pem_path(), pki.issuing.certificate.pem_path());
    let both = key.folder().write("both.pem", bundle([&leaf, &pki.issuing.certificate]));
    let key = ["--private-key", text(key.path())];
    pki.vends_with(&[&key[..], &["--certificate", text(&both)]].concat(), "host");
    let beside = ["--certificate", text(&certificate), "--intermediates", text(&issuing)];
    pki.vends_with(&[&key[..], &beside].concat(), "host");
    // Without them the service cannot know the leaf.
    let alone = pki.sandbox.credential_process(key).args(["--certificate", text(&certificate)]).run();
    alone.fails_with(5).stderr_contains("Untrusted signing certificate").stderr_contains("--intermediates");
}

#[test]
fn token_keys_of_every_kind() {
    let pki = Pki::new();
    let token = SoftHsm::new().token("t");
    for (kind, id) in Key::SUPPORTED.into_iter().zip(["01", "02", "03", "04"]) {
        token.identity(kind, id, &format!("host-{id}"), &pki.root);
        let uri = format!("pkcs11:token=t;id=%{id}");
        pki.vends(on_token(&pki, &token, &["--pkcs11", &uri]), &format!("host-{id}"));
    }
}

/// Asks with the module named by its path and the PIN from the environment.
fn on_token(pki: &Pki, token: &Token, arguments: &[&str]) -> Run {
    let module = SoftHsm::module();
    with_pin(pki.sandbox.credential_process(arguments), token).args(["--pkcs11-lib", text(&module)])
}

fn with_pin(run: Run, token: &Token) -> Run {
    run.envs(token.env()).args(["--pin-source", "env:TOKEN_PIN"]).env("TOKEN_PIN", TEST_USER_PIN)
}

#[test]
fn a_token_s_key_and_certificate_are_named_in_many_ways() {
    let pki = Pki::new();
    let token = SoftHsm::new().token("t");
    let leaf = token.identity(Key::Ec256, "01", "host", &pki.root).pem_path();
    let (uri, slot) = ("pkcs11:token=t;object=host", format!("pkcs11:slot-id={}", token.slot));
    let key_uri = format!("{uri};type=private");
    let certificate_uri = format!("{uri};type=cert");
    for arguments in [
        &["--pkcs11", uri][..],
        &["--pkcs11", &certificate_uri],
        &["--certificate", uri],
        &["--certificate", uri, "--private-key", uri],
        &["--certificate", &certificate_uri, "--private-key", &key_uri],
        &["--certificate", text(&leaf), "--private-key", uri],
        &["--certificate", text(&leaf), "--pkcs11", uri],
        &["--pkcs11", &slot],
    ] {
        pki.vends(on_token(&pki, &token, arguments), "host");
    }
}

#[test]
fn slot_0_is_a_slot_like_any_other() {
    let pki = Pki::new();
    let token = SoftHsm::new().token("t");
    token.identity(Key::Ec256, "01", "host", &pki.root);
    // SoftHSM numbers slots by serial; a URI of slot 0 must not match the token's slot, as it would if 0 meant any.
    let outcome = on_token(&pki, &token, &["--pkcs11", "pkcs11:slot-id=0"]).run();
    outcome.fails_with(3).stderr_contains("slot-id=0");
}

#[test]
fn the_module_is_named_by_flag_uri_environment_or_not_at_all() {
    let pki = Pki::new();
    let token = SoftHsm::new().token("t");
    token.identity(Key::Ec256, "01", "host", &pki.root);
    let module = SoftHsm::module();
    let by = |query: &str| with_pin(pki.sandbox.credential_process(["--pkcs11", &uri_with(query)]), &token);
    pki.vends(by("?module-name=softhsm2"), "host");
    pki.vends(by("?module-name=libsofthsm2"), "host");
    pki.vends(by(&format!("?module-path={}", module.display())), "host");
    pki.vends(by("").env("KEYANCHOR_PKCS11_LIB", &module), "host");
    pki.vends(by(""), "host");

    // Each of them wins over those after it: the loser is a module that does not exist.
    let nowhere = "/nonexistent/module.so";
    pki.vends(by(&format!("?module-path={nowhere}")).args(["--pkcs11-lib", text(&module)]), "host");
    pki.vends(by("?module-name=softhsm2").env("KEYANCHOR_PKCS11_LIB", nowhere), "host");
    let lost = by(&format!("?module-path={nowhere}")).env("KEYANCHOR_PKCS11_LIB", &module).run();
    lost.fails_with(3).stderr_contains(nowhere);
    by("").env("KEYANCHOR_PKCS11_LIB", nowhere).run().fails_with(3).stderr_contains(nowhere);
}

fn uri_with(query: &str) -> String {
    format!("pkcs11:token=t;object=host{query}")
}

/// A token with one identity, watched.
struct Watched {
    pki: Pki,
    token: Token,
}

impl Watched {
    fn new(kind: Key) -> Self {
        let pki = Pki::new();
        let token = SoftHsm::new().token("t");
        token.identity(kind, "01", "host", &pki.root);
        Self { pki, token }
    }

    /// The calls of one credential.
    #[track_caller]
    fn calls(&self, arguments: &[&str]) -> Calls {
        let spy = Spy::before(SoftHsm::module());
        let run = with_pin(self.pki.sandbox.credential_process(arguments), &self.token);
        self.pki.vends(run.envs(spy.env()).env("KEYANCHOR_PKCS11_LIB", Spy::module()), "host");
        let calls = spy.calls();
        let single = ["C_Login", "C_SignInit", "C_Sign"].map(|function| calls.of(function));
        assert_eq!(single, [1, 1, 1], "{calls:?}");
        calls
    }

    /// Stores certificates that have no key here.
    fn add(&self, count: usize, certificate: impl Fn() -> Certificate) {
        for number in 0..count {
            self.token.import_certificate(
                &certificate(),
                &format!("{:02x}", 0x40 + number),
                &format!("other-{number}"),
            );
        }
    }
}

#[test]
fn a_credential_costs_one_signature_one_login_and_25_calls() {
    for kind in Key::SUPPORTED {
        let watched = Watched::new(kind);
        for flag in ["--pkcs11", "--certificate"] {
            let calls = watched.calls(&[flag, "pkcs11:token=t;object=host"]);
            assert!(calls.total() <= 25, "{} calls for {kind:?}: {calls:?}", calls.total());
        }
        let leaf = watched.pki.root.leaf("host", &watched.token.public_key("01")).pem_path();
        let calls = watched.calls(&["--certificate", text(&leaf), "--private-key", "pkcs11:token=t;object=host"]);
        assert!(calls.total() <= 25, "{} calls for {kind:?}: {calls:?}", calls.total());
    }
}

#[test]
fn each_further_certificate_costs_two_calls_at_most() {
    const FURTHER: usize = 6;
    let watched = Watched::new(Key::Ec256);
    let ask = ["--pkcs11", "pkcs11:token=t"];
    let before = watched.calls(&ask).total();
    watched.add(FURTHER, || Ca::root("Stranger").certificate);
    let with_authorities = watched.calls(&ask).total();
    assert!(with_authorities <= before + 2 * FURTHER, "{before}, then {with_authorities}");

    // From the second leaf on the keys have to tell which of them is meant; the slope does not change.
    let leaf = || watched.pki.root.leaf("other", KeyFile::generate(Key::Ec256).public_key());
    watched.add(1, leaf);
    let two_leaves = watched.calls(&ask).total();
    watched.add(FURTHER, leaf);
    let with_leaves = watched.calls(&ask).total();
    assert!(with_leaves <= two_leaves + 2 * FURTHER, "{two_leaves}, then {with_leaves}");
}

#[test]
fn what_the_uri_excludes_costs_nothing() {
    let watched = Watched::new(Key::Ec256);
    let ask = ["--pkcs11", "pkcs11:token=t;object=host"];
    let before = watched.calls(&ask);
    watched.add(4, || watched.pki.root.leaf("other", KeyFile::generate(Key::Ec256).public_key()));
    watched.token.generate(Key::Ec256, "77", "another key");
    assert_eq!(watched.calls(&ask), before);
}

#[test]
fn what_was_asked_for_is_what_the_service_granted() {
    let root = Ca::root("Root");
    let sandbox = Sandbox::trusting_with(&root, &["--accept-role-session-name"]);
    let (leaf, key) = root.leaf_with_key("host", Key::Ec256);
    let (certificate, key) = (leaf.pem_path(), key.path().to_owned());
    let ask = |more: &[&str]| {
        let identity = ["--certificate", text(&certificate), "--private-key", text(&key)];
        sandbox.credential_process(identity).args(more).run()
    };
    let seconds = |printed: &Printed| {
        let end: jiff::Timestamp = printed.expiration.parse().unwrap();
        end.duration_since(jiff::Timestamp::now()).as_secs()
    };
    let usual = seconds(&Printed::by(&ask(&[])));
    assert!((3500..=3600).contains(&usual), "{usual}");
    let short = seconds(&Printed::by(&ask(&["--session-duration", "900", "--role-session-name", "web-01"])));
    assert!((800..=900).contains(&short), "{short}");
    let last = sandbox.requests("/sessions").pop().unwrap();
    assert!(last.contains("session=\"arn:aws:sts::111122223333:assumed-role/ExampleRole/web-01\""), "{last}");
}

#[test]
fn the_environment_may_name_endpoint_and_ca() {
    let root = Ca::root("Root");
    let sandbox = Sandbox::trusting(&root);
    let (leaf, key) = root.leaf_with_key("host", Key::Ec256);
    let folder = Folder::new();
    let both = folder.write("both.pem", leaf.pem() + &std::fs::read_to_string(key.path()).unwrap());
    let ask = |endpoint: &str| {
        let environment = vec![variable("AWS_CA_BUNDLE", sandbox.ca()), variable(endpoint, sandbox.endpoint())];
        let run = keyanchor(["credential-process", "--certificate", text(&both)]);
        Printed::by(&run.args(ARNS).envs(environment).run());
    };
    ask("AWS_ENDPOINT_URL");
    ask("AWS_ENDPOINT_URL_ROLESANYWHERE");
}
