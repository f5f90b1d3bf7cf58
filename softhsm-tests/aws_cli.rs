//! The AWS CLI with keyanchor as the `credential_process` of a profile: what people put into ~/.aws/config.

use crate::support::command::{Run, has_aws_cli};
use crate::support::key::Key;
use crate::support::pki::Ca;
use crate::support::sandbox::{ARNS, Sandbox};
use crate::support::softhsm::{SoftHsm, TEST_USER_PIN};
use crate::support::{Folder, text};

#[test]
fn a_profile_whose_credentials_come_from_a_key_on_a_token_knows_who_it_is() {
    if !has_aws_cli("a_profile_whose_credentials_come_from_a_key_on_a_token_knows_who_it_is") {
        return;
    }
    let ca = Ca::root("Root");
    let token = SoftHsm::new().token("aws cli");
    token.identity(Key::Ec256, "01", "web-01", &ca);
    let sandbox = Sandbox::trusting(&ca);
    let folder = Folder::new();
    let pin = folder.write("pin", format!("{TEST_USER_PIN}\n"));
    let uri = format!("pkcs11:token=aws%20cli;object=web-01?module-name=softhsm2&pin-source=file:{}", pin.display());
    let command = [env!("CARGO_BIN_EXE_keyanchor"), "credential-process", "--pkcs11", &format!("\"{uri}\"")];
    let endpoint = ["--endpoint", sandbox.endpoint()];
    let line = command.into_iter().chain(ARNS).chain(endpoint).collect::<Vec<_>>().join(" ");
    let config =
        folder.write("config", format!("[profile anchored]\nregion = eu-west-1\ncredential_process = {line}\n"));

    let outcome = Run::program("aws")
        .args(["sts", "get-caller-identity", "--profile", "anchored", "--output", "json"])
        .args(["--endpoint-url", sandbox.endpoint()])
        .env("AWS_CONFIG_FILE", config)
        .env("AWS_CA_BUNDLE", sandbox.ca())
        .envs(token.env())
        .run();

    let identity = outcome.succeeds().json();
    assert_eq!(identity["Account"], "111122223333", "{outcome}");
    let arn = identity["Arn"].as_str().unwrap();
    assert!(arn.starts_with("arn:aws:sts::111122223333:assumed-role/ExampleRole/"), "{outcome}");
    assert_eq!(sandbox.requests("/sessions").len(), 1, "{}", sandbox.log());
    let caller = sandbox.requests("/").pop().unwrap();
    assert!(caller.contains(&format!("caller={arn:?}")), "{caller}");
}

/// `aws sts get-caller-identity` in the sandbox, with these variables.
fn who_am_i(run: Run, sandbox: &Sandbox) -> String {
    let outcome = run.env("AWS_CA_BUNDLE", sandbox.ca()).env("AWS_DEFAULT_REGION", "eu-west-1").run();
    outcome.succeeds().json()["Arn"].as_str().unwrap().to_owned()
}

#[test]
fn the_aws_cli_runs_under_exec_and_on_a_profile_that_update_wrote() {
    if !has_aws_cli("the_aws_cli_runs_under_exec_and_on_a_profile_that_update_wrote") {
        return;
    }
    let ca = Ca::root("Root");
    let (leaf, key) = ca.leaf_with_key("host", Key::Ec256);
    let (sandbox, folder, certificate) = (Sandbox::trusting(&ca), Folder::new(), leaf.pem_path());
    let files = ["--certificate", text(&certificate), "--private-key", text(key.path())];
    let ask = ["sts", "get-caller-identity", "--output", "json", "--endpoint-url", sandbox.endpoint()];
    let expected = "arn:aws:sts::111122223333:assumed-role/ExampleRole/";

    let exec = sandbox.command("exec", files).args(["--", "aws"]).args(ask);
    assert!(who_am_i(exec, &sandbox).starts_with(expected));

    let file = folder.join("credentials");
    let update = sandbox.command("update", files).args(["--once", "--profile", "web"]);
    update.env("AWS_SHARED_CREDENTIALS_FILE", &file).run().succeeds();
    let profile = Run::program("aws").args(ask).args(["--profile", "web"]).env("AWS_SHARED_CREDENTIALS_FILE", &file);
    assert!(who_am_i(profile, &sandbox).starts_with(expected));
}
