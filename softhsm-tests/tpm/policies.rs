//! Policies in key files.

use keyanchor::key::{KeyErrorKind, SecretKind};
use sha2::{Digest, Sha256};

use super::{Bench, NO_PASSWORD, SRK, der, pem, signs};
use crate::support::swtpm::Swtpm;

/// Usable by policy only.
const POLICY_ONLY: &str = "fixedtpm|fixedparent|sensitivedataorigin|noda|sign";

const POLICY_AUTH_VALUE: u16 = 0x16b;
const POLICY_COMMAND_CODE: u16 = 0x16c;
const POLICY_PCR: u16 = 0x17f;
const POLICY_PASSWORD: u16 = 0x18c;
const POLICY_SECRET: u16 = 0x151;

/// The `policy` field with these entries.
fn policy(entries: &[(u16, &[u8])]) -> Vec<u8> {
    let entries: Vec<Vec<u8>> = entries
        .iter()
        .map(|(code, body)| {
            let code = der(0xa0, &der(0x02, &code.to_be_bytes()));
            der(0x30, &[code, der(0xa1, &der(0x04, body))].concat())
        })
        .collect();
    der(0xa1, &der(0x30, &entries.concat()))
}

/// The digest of the policy that these tools' commands make, in `key.policy`.
fn make_policy(tpm: &Swtpm, commands: &[&str]) {
    tpm.tool("tpm2_startauthsession -S trial.ctx");
    for command in commands {
        tpm.tool(&format!("tpm2_{command} -Q -S trial.ctx -L key.policy"));
    }
    tpm.tool("tpm2_flushcontext trial.ctx");
}

/// A key under this policy of the tools, in a file with these entries.
fn key_with(tpm: &Swtpm, commands: &[&str], more: &str, fields: &[u8], entries: &[(u16, &[u8])]) -> Vec<u8> {
    tpm.make_srk("0x81000001");
    make_policy(tpm, commands);
    let key = tpm.make_key("0x81000001", "ecc256", POLICY_ONLY, &format!("-L key.policy{more}"));
    pem(&[fields, &policy(entries)].concat(), SRK, &key.public(), &key.private())
}

/// Body of a PolicyPCR over sha256 registers 16 and 23 that are both zero.
fn pcr_body(engine_order: bool) -> Vec<u8> {
    let digest = Sha256::digest([0; 64]).to_vec();
    let selection = [0, 0, 0, 1, 0x00, 0x0b, 3, 0, 0, 0x81].to_vec();
    if engine_order { [selection, digest].concat() } else { [vec![0, 32], digest, selection].concat() }
}

const PCR_COMMAND: &str = "policypcr -l sha256:16,23";

#[test]
fn a_password_policy_takes_the_password_and_both_names_mean_the_same() {
    for code in [POLICY_AUTH_VALUE, POLICY_PASSWORD] {
        let tpm = Swtpm::start();
        let file = key_with(&tpm, &["policyauthvalue"], " -p test-password", &[], &[(code, &[])]);
        let with = |password| Bench::with_secrets(tpm.tcti(), &[(SecretKind::TpmKeyPassword, password)]);
        signs(with("test-password").pem(&file)).unwrap();
        let error = signs(with("test-wrong").pem(&file)).unwrap_err();
        assert_eq!(error.kind(), KeyErrorKind::SecretWrong);
        assert_eq!(tpm.left_behind(), "");
    }
}

#[test]
fn a_command_code_policy_lets_sign() {
    let tpm = Swtpm::start();
    let sign = &0x15du32.to_be_bytes()[..];
    let file = key_with(&tpm, &["policycommandcode TPM2_CC_Sign"], "", NO_PASSWORD, &[(POLICY_COMMAND_CODE, sign)]);
    signs(Bench::at(tpm.tcti()).pem(&file)).unwrap();
    assert_eq!(tpm.left_behind(), "");
}

#[test]
fn a_pcr_policy_signs_while_the_registers_are_as_they_were() {
    for engine_order in [false, true] {
        let tpm = Swtpm::start();
        let body = pcr_body(engine_order);
        let file = key_with(&tpm, &[PCR_COMMAND], "", NO_PASSWORD, &[(POLICY_PCR, &body)]);
        signs(Bench::at(tpm.tcti()).pem(&file)).unwrap();

        tpm.tool(&format!("tpm2_pcrextend 16:sha256={}", "ab".repeat(32)));
        let error = signs(Bench::at(tpm.tcti()).pem(&file)).unwrap_err();
        assert_eq!(error.kind(), KeyErrorKind::Unsupported);
        let said = error.to_string();
        assert!(said.contains("sha256 register 16 (now ") && said.contains(" differs"), "{said}");
        assert!(!said.contains("register 23"), "{said}");
        assert_eq!(tpm.left_behind(), "");
    }
}

#[test]
fn steps_are_carried_out_in_order_and_a_password_among_them_is_protected() {
    let tpm = Swtpm::start();
    let (body, sign) = (pcr_body(false), 0x15du32.to_be_bytes());
    let entries: &[(u16, &[u8])] = &[(POLICY_PCR, &body), (POLICY_AUTH_VALUE, &[]), (POLICY_COMMAND_CODE, &sign)];
    let commands = &[PCR_COMMAND, "policyauthvalue", "policycommandcode TPM2_CC_Sign"];
    let file = key_with(&tpm, commands, " -p test-password", &[], entries);
    let bench = Bench::with_secrets(tpm.tcti(), &[(SecretKind::TpmKeyPassword, "test-password")]);
    signs(bench.pem(&file)).unwrap();
    assert_eq!(tpm.left_behind(), "");
}

#[test]
fn policies_that_are_not_supported_or_not_the_keys_are_refused() {
    let tpm = Swtpm::start();
    let refused = key_with(&tpm, &["policyauthvalue"], "", NO_PASSWORD, &[(POLICY_SECRET, &[])]);
    let error = signs(Bench::at(tpm.tcti()).pem(&refused)).unwrap_err();
    assert!(error.to_string().contains("PolicySecret"), "{error}");

    let tpm = Swtpm::start();
    let body = pcr_body(false);
    let other = key_with(&tpm, &["policyauthvalue"], "", NO_PASSWORD, &[(POLICY_PCR, &body)]);
    let error = signs(Bench::at(tpm.tcti()).pem(&other)).unwrap_err();
    assert!(error.to_string().contains("not the one that the key demands"), "{error}");
}

#[test]
fn a_key_that_wants_a_policy_and_has_none_is_refused() {
    let tpm = Swtpm::start();
    tpm.make_srk("0x81000001");
    make_policy(&tpm, &["policyauthvalue"]);
    let key = tpm.make_key("0x81000001", "ecc256", POLICY_ONLY, "-L key.policy");
    let error = signs(Bench::at(tpm.tcti()).pem(&pem(NO_PASSWORD, SRK, &key.public(), &key.private()))).unwrap_err();
    assert!(error.to_string().contains("holds no policy"), "{error}");
    tpm.persist("0x81000001", "", "0x81000101");
    let error = signs(Bench::at(tpm.tcti()).handle("handle:0x81000101")).unwrap_err();
    assert!(error.to_string().contains("policy only"), "{error}");
}
