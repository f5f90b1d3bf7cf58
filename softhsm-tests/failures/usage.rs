//! Command lines, URIs and ARNs that cannot be meant. Nothing is opened and nobody is asked.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::servers::Listener;
use super::{ANCHOR_ARN, CERTIFICATE, FileIdentity, NO_HINT, PROFILE_ARN, ROLE_ARN, USAGE, ask, refused};
use crate::support::command::{Outcome, keyanchor};
use crate::support::key::Key;
use crate::support::sandbox::Printed;
use crate::support::text;

const HELP: &str = "keyanchor --help";

/// A whole command line, with these words added.
fn with(more: &[&str]) -> Outcome {
    let identity = FileIdentity::new(Key::Ec256);
    let listener = Listener::new();
    let outcome = identity.ask(&listener.https()).args(more).run();
    assert_eq!(listener.connections(), 0, "{outcome}");
    outcome
}

#[test]
fn an_unknown_flag_is_named_and_its_value_is_not() {
    for arguments in [["--pni-source=test-secret"].as_slice(), &["--pni-source", "test-secret"]] {
        refused(&with(arguments), USAGE, &["there is no flag --pni-source"], "did you mean --pin-source?");
    }
    refused(&with(&["--nope"]), USAGE, &["there is no flag --nope"], HELP);
}

#[test]
fn a_uri_without_its_flag_is_not_repeated() {
    let outcome = keyanchor(["credential-process", "pkcs11:token=t?pin-value=test-secret"]).run();
    refused(&outcome, USAGE, &["found a word that belongs to no flag"], "keyanchor COMMAND --help");
}

#[test]
fn a_flag_without_its_value_is_named() {
    refused(&with(&["--region"]), USAGE, &["--region: wanted a value, found none"], HELP);
    refused(&with(&["--reuse-pin=test-secret"]), USAGE, &["--reuse-pin: wanted true or false"], HELP);
}

#[test]
fn an_argument_that_is_not_utf_8_is_said_so() {
    let file = OsStr::from_bytes(b"key-\xff.pem");
    let outcome = keyanchor([OsStr::new("sign-string"), OsStr::new("--private-key"), file]).run();
    refused(&outcome, USAGE, &["wanted arguments in UTF-8, found one in another encoding"], HELP);
}

#[test]
fn commands_are_named_where_none_is_meant() {
    let table = [(vec![], "wanted a command, found none"), (vec!["vend"], "found no command of that name")];
    for (arguments, wanted) in table {
        refused(&keyanchor(arguments).run(), USAGE, &[wanted], HELP);
    }
    let outcome = keyanchor(["credential-proces"]).run();
    refused(&outcome, USAGE, &["found no command of that name"], "did you mean credential-process?");
}

#[test]
fn nothing_named_says_how_to_name_both() {
    for command in ["credential-process", "sign-string", "read-certificate-data"] {
        let arns = ["--trust-anchor-arn", ANCHOR_ARN, "--profile-arn", PROFILE_ARN, "--role-arn", ROLE_ARN];
        let arns = if command == "credential-process" { arns.as_slice() } else { &[] };
        let outcome = keyanchor([command]).args(arns).run();
        let wanted = "wanted a key or a certificate, found no flag that names one";
        refused(&outcome, USAGE, &[wanted], "--pkcs11 'pkcs11:token=NAME;object=LABEL'");
    }
}

#[test]
fn a_key_file_alone_says_that_its_certificate_is_missing() {
    let identity = FileIdentity::new(Key::Ec256);
    let outcome = super::without_request(|endpoint| ask(endpoint).arg("--private-key").arg(identity.key.path()));
    let path = identity.key.path().display().to_string();
    refused(&outcome, USAGE, &["wanted the certificate of the key", &path, "found none"], "--certificate FILE");

    let outcome = keyanchor(["read-certificate-data", "--private-key", &path]).run();
    refused(&outcome, USAGE, &["wanted a certificate, found no --certificate and no --pkcs11"], "--certificate FILE");
}

#[test]
fn arns_are_checked_with_the_flag_that_brought_them() {
    let identity = FileIdentity::new(Key::Ec256);
    let flags = ["--trust-anchor-arn", "--profile-arn", "--role-arn"];
    let good = [ANCHOR_ARN, PROFILE_ARN, ROLE_ARN];
    let hints = ["aws rolesanywhere list-trust-anchors", "aws rolesanywhere list-profiles", "aws iam list-roles"];
    for (at, (flag, hint)) in flags.into_iter().zip(hints).enumerate() {
        for (bad, found) in [("", "found nothing"), ("not-an-arn", "found \"not-an-arn\", which has not six parts")] {
            let listener = Listener::new();
            // Of a repeated flag the last counts, and an empty value unsets it.
            let outcome = identity.ask(&listener.https()).args([flag, bad]).run();
            let said = format!("{flag}: wanted arn:PARTITION:");
            refused(&outcome, USAGE, &[&said, found], hint);
            assert_eq!(listener.connections(), 0);
        }
        let other = good[(at + 1) % 3];
        refused(&with(&[flag, other]), USAGE, &[flag, "found the ARN of a "], hint);
    }
}

#[test]
fn missing_arns_are_missed_before_the_key() {
    let outcome =
        keyanchor(["credential-process", "--private-key", "/nonexistent", "--certificate", "/nonexistent"]).run();
    refused(&outcome, USAGE, &["--trust-anchor-arn", "found nothing"], "list-trust-anchors");
}

#[test]
fn regions_and_partitions_that_differ_name_both() {
    let outcome = with(&["--profile-arn", &PROFILE_ARN.replace("us-east-1", "eu-west-1")]);
    refused(&outcome, USAGE, &["--trust-anchor-arn in us-east-1", "--profile-arn in eu-west-1"], NO_HINT);
    let outcome = with(&["--role-arn", &ROLE_ARN.replace("arn:aws:", "arn:aws-cn:")]);
    refused(&outcome, USAGE, &["one partition", "--trust-anchor-arn in aws", "--role-arn in aws-cn"], NO_HINT);
    refused(&with(&["--region", "us east"]), USAGE, &["--region", "us east"], NO_HINT);
}

#[test]
fn numbers_out_of_range_are_refused_here() {
    for (value, found) in [("899", "found 899"), ("43201", "found 43201")] {
        let error = ["--session-duration: wanted 900 to 43200 seconds", found];
        refused(&with(&["--session-duration", value]), USAGE, &error, NO_HINT);
    }
    for value in ["1h", "-1", "99999999999"] {
        let error = ["--session-duration: wanted a whole number", value];
        refused(&with(&[&format!("--session-duration={value}")]), USAGE, &error, NO_HINT);
    }
    for flag in ["--timeout", "--token-timeout"] {
        for value in ["0", "-1", "soon", "inf"] {
            refused(&with(&[&format!("{flag}={value}")]), USAGE, &[flag, "wanted seconds above 0", value], NO_HINT);
        }
    }
}

#[test]
fn a_name_of_a_tpm_key_that_cannot_be_one_is_refused_here() {
    for name in ["zz", "000b00"] {
        let error = ["--tpm-srk-name: wanted a TPM key's name in hexadecimal", name];
        refused(&with(&["--tpm-srk-name", name]), USAGE, &error, NO_HINT);
    }
}

#[test]
fn a_session_name_is_checked_here() {
    for name in ["x", "with space", "sl/ash", &"x".repeat(65)] {
        let error = ["--role-session-name: wanted 2 to 64 of the characters", name];
        refused(&with(&["--role-session-name", name]), USAGE, &error, NO_HINT);
    }
}

#[test]
fn flags_that_exclude_each_other_are_both_named() {
    let table: [(&[&str], [&str; 2]); 6] = [
        (&["--pkcs11", "pkcs11:token=t"], ["--private-key", "--pkcs11"]),
        (&["--tpm", "handle:0x81000101"], ["--private-key", "--tpm"]),
        (&["--reuse-pin", "--context-pin-source", "prompt"], ["--reuse-pin", "--context-pin-source"]),
        (
            &["--tpm-key-password", "test-secret", "--no-tpm-key-password"],
            ["--tpm-key-password", "--no-tpm-key-password"],
        ),
        (&["--tpm-key-password", "test-secret", "--reuse-pin"], ["--tpm-key-password", "--reuse-pin"]),
        (&["--fips"], ["--fips", "--endpoint"]),
    ];
    for (flags, both) in table {
        refused(&with(flags), USAGE, &both, NO_HINT);
    }
}

#[test]
fn a_switch_that_is_off_wins_over_its_variable() {
    let identity = FileIdentity::new(Key::Ec256);
    let sandbox = identity.sandbox(&[]);
    let ask = |flags: &[&str]| {
        let run = identity.ask(sandbox.endpoint()).args(["--ca-bundle", text(sandbox.ca())]).args(flags);
        run.env("AWS_USE_FIPS_ENDPOINT", "true").env("AWS_USE_DUALSTACK_ENDPOINT", "true").run()
    };
    Printed::by(&ask(&["--fips=false", "--dualstack=0"]));
    refused(&ask(&["--fips=", "--dualstack=0"]), USAGE, &["AWS_USE_FIPS_ENDPOINT", "--endpoint"], NO_HINT);
    refused(&ask(&["--fips=maybe"]), USAGE, &["--fips: wanted true or false"], HELP);
}

#[test]
fn what_is_no_key_in_a_tpm_is_said_with_the_flag_that_takes_it() {
    let identity = FileIdentity::new(Key::Ec256);
    let ask = |flags: &[&str]| ask("https://127.0.0.1:1").args(flags).run();
    let (key, certificate) = (text(identity.key.path()), identity.leaf.pem_path());
    let outcome = ask(&["--tpm", key, "--certificate", text(&certificate)]);
    refused(
        &outcome,
        USAGE,
        &["wanted a key in a TPM", key, "found a private key itself"],
        &format!("--private-key {key}"),
    );
    let outcome = ask(&["--tpm", "handle:0x81000101", "--certificate", "handle:0x81000101"]);
    refused(&outcome, USAGE, &["--certificate: wanted a certificate", "a TPM keeps keys, no certificates"], NO_HINT);
    let outcome = ask(&["--tpm", "0x01c00002", "--certificate", text(&certificate)]);
    refused(&outcome, USAGE, &["--tpm: wanted a persistent TPM handle", "found handle:0x01c00002"], NO_HINT);
}

#[test]
fn a_handle_behind_tpm_needs_no_scheme() {
    let identity = FileIdentity::new(Key::Ec256);
    let certificate = identity.leaf.pem_path();
    let flags = ["--tpm", "0x81000101", "--certificate", text(&certificate), "--tcti", "device:/nonexistent"];
    let outcome = ask("https://127.0.0.1:1").args(flags).run();
    outcome.fails_with(3).stderr_lacks("0x81000101: No such file");
}

#[test]
fn stores_of_other_systems_say_what_to_name_instead() {
    let table: [&[&str]; 3] =
        [&["--cert-selector", "Key=x"], &["--system-store-name", "MY"], &["--use-latest-expiring-certificate"]];
    for flags in table {
        refused(&with(flags), USAGE, &[flags[0], "this build has no such store"], "--certificate FILE");
    }
}

#[test]
fn a_mistaken_secret_source_is_not_repeated() {
    let outcome = with(&["--pin-source", "test-secret"]);
    refused(&outcome, USAGE, &["--pin-source: wanted a secret source (file:PATH"], "by its path behind file:");
}

#[test]
fn endpoints_that_cannot_be_meant_are_refused() {
    let table = [
        ("host.example", "without a scheme"),
        ("ftp://host.example", "with another scheme"),
        ("https://user:test-secret@host.example", "with a user name"),
        ("https://host.example:port", "without a host and port"),
        ("https://host.example/?a=b", "with a query"),
    ];
    for (endpoint, found) in table {
        let error = ["--endpoint: wanted https://HOST[:PORT][/PATH]", found];
        refused(&with(&["--endpoint", endpoint]), USAGE, &error, NO_HINT);
    }
    let outcome = with(&["--endpoint", "http://host.example"]);
    refused(&outcome, USAGE, &["--endpoint: wanted https://", "in clear"], "--no-verify-ssl");
}

#[test]
fn variables_that_cannot_be_read_are_named() {
    let identity = FileIdentity::new(Key::Ec256);
    let outcome = identity.ask("").env("AWS_ENDPOINT_URL", "nowhere").run();
    refused(&outcome, USAGE, &["AWS_ENDPOINT_URL: wanted https://", "nowhere"], NO_HINT);
    let outcome = identity.ask("").env("AWS_USE_FIPS_ENDPOINT", "yes").run();
    refused(&outcome, USAGE, &["AWS_USE_FIPS_ENDPOINT: wanted true or false"], NO_HINT);
    let outcome = identity.ask("").env("HTTPS_PROXY", "socks5://user:test-secret@proxy").run();
    refused(&outcome, USAGE, &["HTTPS_PROXY: wanted http://", "found another scheme"], NO_HINT);
}

#[test]
fn malformed_uris_say_where() {
    let table = [
        ("pkcs11:token", "wanted name=value at character 8, found no '='"),
        ("pkcs11:token=a;;object=b", "wanted an attribute at character 16"),
        ("pkcs11:token=a;token=b", "token at character 16 is given a second time"),
        ("pkcs11:token=%zz", "wanted two hexadecimal digits behind the '%' at character 14 in token"),
        ("pkcs11:token=%4", "behind the '%' at character 14 in token"),
        ("pkcs11:to ken!=a", "found another character at 14"),
        ("pkcs11:slot-id=one", "slot-id at character 8 wants a decimal number, found 'one'"),
        ("pkcs11:type=key", "type at character 8 wants public, private, cert, secret-key or data, found 'key'"),
        ("pkcs11:module-name=opensc", "module-name at character 8 belongs behind the '?'"),
        ("pkcs11:?token=a", "token at character 9 belongs before the '?'"),
        ("pkcs11:?pin-source=|cat%20pin", "pin-source at character 9 names a command, which is not run"),
        ("pkcs11:?pin-value=test-secret&pin-source=/pin", "is a second source of the PIN"),
        ("pkcs11:?pin-value=test-secret%zz", "in pin-value"),
    ];
    for (uri, wanted) in table {
        for flag in ["--pkcs11", "--private-key", "--certificate"] {
            let outcome = keyanchor(["sign-string", flag, uri]).run();
            refused(&outcome, USAGE, &[&format!("{flag}: cannot read the pkcs11 URI: "), wanted], NO_HINT);
        }
    }
}

#[test]
fn something_else_for_pkcs11_is_no_uri() {
    for text in ["key.pem", "handle:0x81000101"] {
        let outcome = keyanchor(["sign-string", "--pkcs11", text]).run();
        refused(&outcome, USAGE, &["--pkcs11: wanted a URI that begins with pkcs11:"], "--private-key");
    }
}

#[test]
fn a_uri_without_its_scheme_does_not_pass_for_a_file() {
    for flag in ["--pkcs11", "--private-key", "--certificate"] {
        for uri in ["token=t?pin-value=test-secret", "pkcs1:token=t;pin-value=test-secret"] {
            let outcome = keyanchor(["sign-string", flag, uri]).run();
            refused(&outcome, USAGE, &[flag, "a URI that begins with pkcs11:", "found a pin-value"], NO_HINT);
        }
    }
}

#[test]
fn sign_string_lists_its_formats_and_hashes() {
    let identity = FileIdentity::new(Key::Ec256);
    let sign = |more: [&str; 2]| keyanchor(["sign-string", "--private-key"]).arg(identity.key.path()).args(more).run();
    refused(&sign(["--format", "xml"]), USAGE, &["--format: wanted json, text or bin, found 'xml'"], NO_HINT);
    refused(&sign(["--digest", "MD5"]), USAGE, &["--digest: wanted SHA256, SHA384 or SHA512, found 'MD5'"], NO_HINT);
}

#[test]
fn a_value_that_names_a_file_which_is_a_flag_is_no_file() {
    let outcome = keyanchor(["read-certificate-data", "--certificate", ""]).run();
    refused(&outcome, USAGE, &["wanted a key or a certificate"], "--pkcs11");
    let outcome = keyanchor(["read-certificate-data", "--certificate", "nothing-there.pem"]).run();
    refused(&outcome, CERTIFICATE, &["cannot read nothing-there.pem: no such file"], "ls -la .");
}
