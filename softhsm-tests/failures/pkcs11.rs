//! Modules, tokens and objects that are not as the URI says, on SoftHSM.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{ANCHOR_ARN, KEY, NO_HINT, PIN, PROFILE_ARN, ROLE_ARN, USAGE, ask, pasteable, refused, without_request};
use crate::support::Folder;
use crate::support::command::{Outcome, Run, keyanchor, tool};
use crate::support::key::Key;
use crate::support::pki::Ca;
use crate::support::softhsm::{SoftHsm, TEST_USER_PIN, Token, WRONG_TEST_PIN};

const LIST: &str = "keyanchor list --pkcs11-lib ";

/// `sign-string` with this key, and no PIN.
fn sign(hsm: &SoftHsm, uri: &str) -> Run {
    keyanchor(["sign-string", "--private-key", uri, "--pkcs11-lib"]).arg(SoftHsm::module()).envs(hsm.env())
}

/// The same with the right PIN.
fn sign_with_pin(hsm: &SoftHsm, uri: &str) -> Outcome {
    sign(hsm, uri).env("KEYANCHOR_PIN", TEST_USER_PIN).run()
}

/// The same as a person does it who pastes the word into a shell.
fn sign_pasted(hsm: &SoftHsm, word: &str) -> Outcome {
    let script = format!("exec \"$0\" sign-string --pkcs11-lib \"$1\" --private-key {word}");
    let run = Run::program("sh").args(["-c", &script, env!("CARGO_BIN_EXE_keyanchor")]).arg(SoftHsm::module());
    run.envs(hsm.env()).env("KEYANCHOR_PIN", TEST_USER_PIN).run()
}

/// `credential-process` with key and certificate by this URI and the right PIN, which must not reach the service.
fn vend(hsm: &SoftHsm, uri: &str) -> Outcome {
    without_request(|endpoint| {
        let run = ask(endpoint).args(["--pkcs11", uri, "--pkcs11-lib"]).arg(SoftHsm::module());
        run.envs(hsm.env()).env("KEYANCHOR_PIN", TEST_USER_PIN)
    })
}

fn token(label: &str) -> (SoftHsm, Token) {
    let hsm = SoftHsm::new();
    let token = hsm.token(label);
    (hsm, token)
}

/// A token with key and certificate.
fn token_with_identity(label: &str) -> (SoftHsm, Token, Ca) {
    let (hsm, token) = token(label);
    let ca = Ca::root("Test Root");
    token.identity(Key::Ec256, "01", "server", &ca);
    (hsm, token, ca)
}

#[test]
fn a_module_that_is_missing_comes_with_its_package_or_its_name() {
    let sign = |module: &str| keyanchor(["sign-string", "--private-key", "pkcs11:", "--pkcs11-lib", module]).run();
    let error = ["wanted the PKCS#11 module /nonexistent/libtpm2_pkcs11.so.9", "No such file"];
    refused(&sign("/nonexistent/libtpm2_pkcs11.so.9"), KEY, &error, "sudo apt-get install libtpm2-pkcs11-1");
    let configured = "p11-kit list-modules";
    refused(&sign("/nonexistent/vendor.so"), KEY, &["wanted the PKCS#11 module /nonexistent/vendor.so"], configured);
    refused(&sign("no-such-module.so"), KEY, &["wanted the PKCS#11 module no-such-module.so", "/usr/lib"], configured);
    let named = |uri: &str| keyanchor(["sign-string", "--private-key", uri]).run();
    let outcome = named("pkcs11:?module-name=no-such");
    refused(&outcome, KEY, &["no-such.so or libno-such.so, found it in none of"], configured);
    // It is there under nearly that name, or in another folder.
    let wanted = "wanted the PKCS#11 module";
    refused(&named("pkcs11:?module-name=softhsm3"), KEY, &[wanted], "did you mean softhsm2?");
    refused(&sign("libsofthsm.so"), KEY, &[wanted], "did you mean libsofthsm2.so?");
    let hint = format!("did you mean {}?", SoftHsm::module().display());
    refused(&sign("/nonexistent/libsofthsm2.so"), KEY, &[wanted], &hint);
}

#[test]
fn something_else_than_a_module_says_what_it_is() {
    let folder = Folder::new();
    let configured = "p11-kit list-modules";
    let text = folder.write("text.so", "not a library");
    let sign = |module: &str| keyanchor(["sign-string", "--private-key", "pkcs11:", "--pkcs11-lib", module]).run();
    let name = text.to_str().unwrap();
    refused(&sign(name), KEY, &["cannot load", name, "as a PKCS#11 module"], configured);
    refused(&sign(folder.path().to_str().unwrap()), KEY, &["wanted the PKCS#11 module", "directory"], configured);
    let outcome = sign("libm.so.6");
    refused(&outcome, KEY, &["wanted a PKCS#11 module", "a library without C_GetFunctionList"], configured);
}

#[test]
fn softhsm_without_its_configuration_says_what_it_reads() {
    let run = keyanchor(["sign-string", "--private-key", "pkcs11:token=a", "--pkcs11-lib"]).arg(SoftHsm::module());
    let outcome = run.env("SOFTHSM2_CONF", "/nonexistent/softhsm2.conf").run();
    let error = ["failed to start", "SOFTHSM2_CONF", "(CKR_GENERAL_ERROR from C_Initialize)"];
    refused(&outcome, KEY, &error, NO_HINT);
}

#[test]
fn no_such_token_lists_those_that_are_there() {
    let (hsm, _) = token("demo");
    for outcome in [sign_with_pin(&hsm, "pkcs11:token=dmeo"), vend(&hsm, "pkcs11:token=dmeo")] {
        refused(&outcome, KEY, &["wanted a token that matches pkcs11:token=dmeo", "pkcs11:token=demo;serial="], LIST);
    }
    let none = SoftHsm::new();
    refused(&sign_with_pin(&none, "pkcs11:token=demo"), KEY, &["shows no initialised token"], LIST);
}

#[test]
fn a_typo_in_the_object_lists_what_is_on_the_token() {
    let (hsm, ..) = token_with_identity("demo");
    let outcome = sign_with_pin(&hsm, "pkcs11:token=demo;object=servr");
    let error = ["no private key on token 'demo' matches pkcs11:token=demo;object=servr", "object=server;id=%01"];
    refused(&outcome, KEY, &error, LIST);
    let outcome = vend(&hsm, "pkcs11:token=demo;object=servr");
    refused(&outcome, KEY, &["no certificate matches pkcs11:token=demo;object=servr", "object=server;id=%01"], LIST);
    let outcome = vend(&hsm, "pkcs11:token=demo;id=%02");
    refused(&outcome, KEY, &["no certificate matches pkcs11:token=demo;id=%02", "id=%01"], LIST);
}

#[test]
fn a_typo_lists_what_is_there_although_no_pin_is_given() {
    let (hsm, ..) = token_with_identity("demo");
    // Nobody is at a terminal of a service.
    let run = Run::program("setsid").arg("--wait").arg(env!("CARGO_BIN_EXE_keyanchor")).arg("credential-process");
    let arns = ["--trust-anchor-arn", ANCHOR_ARN, "--profile-arn", PROFILE_ARN, "--role-arn", ROLE_ARN];
    let run = run.args(arns).args(["--pkcs11", "pkcs11:token=demo;object=servr"]).arg("--pkcs11-lib");
    let outcome = run.arg(SoftHsm::module()).envs(hsm.env()).run();
    refused(&outcome, KEY, &["without the user PIN", "no certificate matches", "object=server;id=%01"], LIST);
}

#[test]
fn an_empty_token_says_that_it_is_empty() {
    let (hsm, _) = token("demo");
    refused(
        &sign_with_pin(&hsm, "pkcs11:token=demo"),
        KEY,
        &["no private key", "it holds no certificate and no private key"],
        LIST,
    );
    refused(
        &vend(&hsm, "pkcs11:token=demo"),
        KEY,
        &["no certificate matches", "token 'demo' holds no certificate and no private key"],
        LIST,
    );
}

#[test]
fn a_certificate_without_its_key_says_that_the_key_is_missing() {
    let (hsm, token, _) = token_with_identity("demo");
    token.delete_private("01");
    refused(
        &vend(&hsm, "pkcs11:token=demo"),
        KEY,
        &["no private key on token 'demo'", "it holds certificate object=server"],
        LIST,
    );
}

#[test]
fn several_keys_are_listed_by_uris_that_can_be_pasted() {
    let (hsm, token) = token("demo");
    token.generate(Key::Ec256, "01", "one");
    token.generate(Key::Ec256, "02", "two");
    let outcome = sign_with_pin(&hsm, "pkcs11:token=demo");
    let error = "wanted one private key, 2 on token 'demo' match pkcs11:token=demo";
    refused(&outcome, KEY, &[error], "name one of these:\n");
    let found = pasteable(&outcome);
    assert_eq!(found.len(), 2, "{outcome}");
    let signed = found.iter().map(|uri| sign_pasted(&hsm, uri).succeeds().stdout.clone());
    let signed: Vec<_> = signed.collect();
    assert_ne!(signed[0], signed[1], "both URIs name the same key");
}

#[test]
fn several_certificates_are_listed_by_uris_that_can_be_pasted() {
    let (hsm, token, ca) = token_with_identity("demo");
    token.identity(Key::Ec256, "02", "client", &ca);
    let outcome = vend(&hsm, "pkcs11:token=demo");
    refused(&outcome, KEY, &["wanted one certificate, 2 whose keys are there match"], "name one of these:\n");
    let found = pasteable(&outcome);
    assert_eq!(found.len(), 2, "{outcome}");
    let sandbox = super::sandbox(&ca, &[]);
    for uri in found.iter().map(|word| word.trim_matches('\'')) {
        // As it stands there: it names the certificate, and by it the key.
        for flag in ["--pkcs11", "--certificate"] {
            let run = ask(sandbox.endpoint()).arg("--ca-bundle").arg(sandbox.ca()).args([flag, uri]);
            let run = run.arg("--pkcs11-lib").arg(SoftHsm::module()).envs(hsm.env());
            run.env("KEYANCHOR_PIN", TEST_USER_PIN).run().succeeds();
        }
    }
}

#[test]
fn a_key_in_several_tokens_is_listed_by_token() {
    let hsm = SoftHsm::new();
    let ca = Ca::root("Test Root");
    for name in ["one", "two"] {
        hsm.token(name).identity(Key::Ec256, "01", "server", &ca);
    }
    let outcome = sign_with_pin(&hsm, "pkcs11:object=server");
    refused(&outcome, KEY, &["wanted one token with the key, pkcs11:object=server selects 2"], "name one of these:\n");
    let found = pasteable(&outcome);
    for name in ["token=one", "token=two"] {
        assert_eq!(found.iter().filter(|uri| uri.contains(name)).count(), 1, "{outcome}");
    }
    for uri in found {
        sign_pasted(&hsm, uri).succeeds();
    }
    // Certificates in two tokens.
    let outcome = vend(&hsm, "pkcs11:object=server");
    refused(&outcome, KEY, &["wanted one certificate, 2"], "name one of these:\n");
    assert_eq!(pasteable(&outcome).len(), 2, "{outcome}");
    // Nothing there by that name, in several tokens.
    let outcome = vend(&hsm, "pkcs11:object=servr");
    refused(&outcome, KEY, &["no certificate matches", "token 'one' holds", "token 'two' holds"], LIST);
}

#[test]
fn two_tokens_of_one_name_are_told_apart_by_serial() {
    let hsm = SoftHsm::new();
    for _ in 0..2 {
        hsm.token("twin").generate(Key::Ec256, "01", "server");
    }
    let outcome = sign_with_pin(&hsm, "pkcs11:token=twin");
    refused(&outcome, KEY, &["wanted one token with the key", "selects 2"], "serial=");
    for uri in pasteable(&outcome) {
        sign_pasted(&hsm, uri).succeeds();
    }
}

#[test]
fn an_attribute_that_rfc_7512_does_not_define_matches_nothing() {
    let (hsm, ..) = token_with_identity("demo");
    // A PIN behind a mistyped attribute is not repeated.
    let outcome = sign_with_pin(&hsm, "pkcs11:token=demo;pin-valeu=test-secret");
    let error = ["its path has the attribute 'pin-valeu', which RFC 7512 does not define; did you mean 'pin-value'?"];
    refused(&outcome, USAGE, &error, NO_HINT);
    let outcome = sign_with_pin(&hsm, "pkcs11:token=demo;objct=server");
    refused(&outcome, USAGE, &["the attribute 'objct'", "did you mean 'object'?"], NO_HINT);
    // A vendor's own name is no slip of the hand.
    refused(&sign_with_pin(&hsm, "pkcs11:token=demo;x-objec=a"), KEY, &["the attribute 'x-objec'"], NO_HINT);
}

#[test]
fn a_type_names_what_is_sought() {
    let (hsm, ..) = token_with_identity("demo");
    let outcome = sign_with_pin(&hsm, "pkcs11:token=demo;type=cert");
    refused(&outcome, KEY, &["wanted an object of type=private", "selects only type=cert"], NO_HINT);
}

#[test]
fn keys_that_cannot_sign_a_request_are_named() {
    let (hsm, token) = token("demo");
    token.generate(Key::Secp256k1, "01", "koblitz");
    token.generate(Key::Ed25519, "02", "edwards");
    for (object, found) in [("koblitz", "secp256k1"), ("edwards", "Ed25519")] {
        let outcome = sign_with_pin(&hsm, &format!("pkcs11:token=demo;object={object}"));
        refused(&outcome, KEY, &[&format!("object={object}"), found], NO_HINT);
    }
}

#[test]
fn no_pin_and_no_terminal_says_how_to_give_one() {
    let (hsm, ..) = token_with_identity("demo");
    let run = Run::program("setsid")
        .arg("--wait")
        .arg(env!("CARGO_BIN_EXE_keyanchor"))
        .args(["sign-string", "--private-key"]);
    let outcome = run.args(["pkcs11:token=demo", "--pkcs11-lib"]).arg(SoftHsm::module()).envs(hsm.env()).run();
    refused(&outcome, PIN, &["token 'demo' wants the user PIN", "no terminal"], "--pin-source file:PATH");
}

#[test]
fn a_pin_source_that_gives_nothing_is_named() {
    let (hsm, ..) = token_with_identity("demo");
    let sign = |source: &str| sign(&hsm, "pkcs11:token=demo").args(["--pin-source", source]).run();
    let error = ["cannot read the user PIN from /nonexistent/pin", "No such file"];
    let write = "(umask 077; cat > /nonexistent/pin)";
    refused(&sign("file:/nonexistent/pin"), PIN, &error, write);
    let error = ["the environment variable NOT_SET, found it unset"];
    refused(&sign("env:NOT_SET"), PIN, &error, "read -rs NOT_SET && export NOT_SET");
    refused(&sign("fd:77"), PIN, &["descriptor 77"], "77< FILE");
    let error = ["credential pin", "CREDENTIALS_DIRECTORY unset"];
    refused(&sign("credential:pin"), PIN, &error, "LoadCredential=pin:PATH");
    let uri = "pkcs11:token=demo?pin-source=file:/nonexistent/pin";
    refused(&super::pkcs11::sign(&hsm, uri).run(), PIN, &["/nonexistent/pin"], write);
}

#[test]
fn a_pin_file_that_this_account_may_not_read_is_named() {
    let (hsm, ..) = token_with_identity("demo");
    let folder = Folder::new();
    let (file, open) = (folder.write("pin", TEST_USER_PIN), |path: &Path, mode| {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    });
    open(&file, 0o000);
    // The token is the account's own: only the PIN is not.
    tool("chmod", ["-R".as_ref(), "a+rwX".as_ref(), hsm.path().as_os_str()], Vec::new());
    let run = sign(&hsm, "pkcs11:token=demo").arg("--pin-source").arg(format!("file:{}", file.display()));
    open(folder.path(), 0o711);
    let outcome = run.unprivileged().run();
    refused(&outcome, PIN, &["cannot read the user PIN from", "pin: Permission denied"], "namei -l /");
}

#[test]
fn a_wrong_pin_says_so_wherever_it_comes_from() {
    let (hsm, ..) = token_with_identity("demo");
    let folder = Folder::new();
    let file = folder.write("pin", WRONG_TEST_PIN);
    let by_uri = format!("pkcs11:token=demo?pin-value={WRONG_TEST_PIN}");
    let by_file = format!("pkcs11:token=demo?pin-source=file:{}", file.display());
    let the_file = format!("it comes from the file {}", file.display());
    let by_flag = sign(&hsm, "pkcs11:token=demo").arg("--pin-source").arg(format!("file:{}", file.display()));
    let by_variable = sign(&hsm, "pkcs11:token=demo").env("KEYANCHOR_PIN", WRONG_TEST_PIN);
    let by_credential = sign(&hsm, "pkcs11:token=demo").args(["--pin-source", "credential:pin"]);
    let by_credential = by_credential.env("CREDENTIALS_DIRECTORY", folder.path());
    for (run, origin) in [
        (sign(&hsm, &by_uri), "it comes from the URI's pin-value"),
        (sign(&hsm, &by_file), &the_file),
        (by_flag, &the_file),
        (by_variable, "it comes from the environment variable KEYANCHOR_PIN"),
        (by_credential, "it comes from systemd's credential pin"),
    ] {
        let error =
            ["the user PIN for token 'demo' is wrong", "tried once", "(CKR_PIN_INCORRECT from C_Login)", origin];
        refused(&run.run(), PIN, &error, "--pin-source prompt");
    }
    // SoftHSM knows the flag that says so.
    let outcome = sign(&hsm, "pkcs11:token=demo").env("KEYANCHOR_PIN", WRONG_TEST_PIN).run();
    outcome.stderr_contains("a wrong PIN was entered since the last right one");
}

#[test]
fn two_pins_in_one_uri_are_a_usage_error() {
    let (hsm, ..) = token_with_identity("demo");
    let outcome = sign(&hsm, "pkcs11:token=demo?pin-value=test-secret&pin-source=/pin").run();
    refused(&outcome, USAGE, &["second source of the PIN"], NO_HINT);
}
