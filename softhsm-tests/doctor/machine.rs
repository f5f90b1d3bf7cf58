//! The configuration file, the environment, and the ARNs.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{Report, Scene};
use crate::support::Folder;
use crate::support::command::{Run, keyanchor};
use crate::support::sandbox::ARNS;
use crate::support::softhsm::{SoftHsm, TEST_USER_PIN};

fn set(path: &Path, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

/// A configuration file with the identity of the scene, and `doctor` on it.
fn configured(scene: &Scene, folder: &Folder, more: &str) -> (std::path::PathBuf, Run) {
    let [_, anchor, _, profile, _, role] = ARNS;
    let text = format!(
        "[identity.web]\nkey = 'pkcs11:token=demo;object=server'\npkcs11-lib = '{}'\nendpoint = '{}'\n\
         trust-anchor-arn = '{anchor}'\nprofile-arn = '{profile}'\nrole-arn = '{role}'\n{more}",
        SoftHsm::module().display(),
        scene.sandbox.endpoint()
    );
    let file = folder.write("config.toml", text);
    set(&file, 0o600);
    let run = keyanchor(["doctor", "--json", "--identity", "web", "--config"]).arg(&file);
    let run = run.env("AWS_CA_BUNDLE", scene.sandbox.ca()).envs(scene.token.env());
    (file, run.env("KEYANCHOR_PIN", TEST_USER_PIN))
}

#[test]
fn an_identity_of_the_configuration_file_is_walked() {
    let scene = Scene::new();
    let folder = Folder::new();
    let (file, run) = configured(&scene, &folder, "");
    let report = Report::of(run.arg("--sign"), 0);
    report.only_bad(&[]).says("configuration.file", "good", &format!("{}: web;", file.display()));
    report.says("configuration.access", "good", "mode 0600").says("key.signature", "good", "");
    report.says("environment.settings", "note", "AWS_CA_BUNDLE").says("environment.settings", "note", "KEYANCHOR_PIN");
}

#[test]
fn a_configuration_file_that_others_can_change_is_bad_and_one_they_can_read_is_noted() {
    let scene = Scene::new();
    let folder = Folder::new();
    let doctor = || configured(&scene, &folder, "").1;
    let (file, _) = configured(&scene, &folder, "");
    for (folder_mode, mode, exit_code, standing, found, mend) in [
        (0o711, 0o644, 0, "note", "every account can read it", "chmod 600"),
        (0o711, 0o666, 1, "bad", "other accounts can change it", "chmod go-w"),
        (0o777, 0o600, 1, "bad", "put another file in its place", "chmod go-w"),
    ] {
        let run = doctor();
        set(folder.path(), folder_mode);
        set(&file, mode);
        let report = Report::of(run, exit_code);
        report.says("configuration.access", standing, found).mends("configuration.access", mend);
    }
}

#[test]
fn an_unknown_key_in_the_configuration_file_is_told_with_its_line() {
    let scene = Scene::new();
    let folder = Folder::new();
    let (file, run) = configured(&scene, &folder, "rolearn = 'x'\n");
    let report = Report::of(run, 2);
    report.says("configuration.file", "bad", "config.toml:8: unknown key rolearn");
    report.mends("configuration.file", &format!("{}", file.display()));
    report.only_bad(&["configuration.file"]).says("identity", "skip", "waits for configuration.file");
    // Flags that name everything do not need it.
    let run = scene.doctor();
    let own = run.home().join(".config/keyanchor");
    std::fs::create_dir_all(&own).unwrap();
    std::fs::copy(&file, own.join("config.toml")).unwrap();
    Report::of(run, 0).says("configuration.file", "note", "unknown key rolearn");
}

#[test]
fn an_identity_that_the_file_does_not_have_is_told() {
    let scene = Scene::new();
    let folder = Folder::new();
    let (_, run) = configured(&scene, &folder, "");
    let report = Report::of(run.args(["--identity", "wbe"]), 2);
    report.only_bad(&["identity"]).says("identity", "bad", "wanted [identity.wbe], found web");
    report.mends("identity", "name one of these: --identity web");
    report.says("device.library", "skip", "waits for identity");
}

#[test]
fn a_configuration_file_that_is_not_there_is_not_to_be_edited() {
    let report = Report::of(keyanchor(["doctor", "--json", "--identity", "web", "--config", "/nonexistent/c.toml"]), 2);
    report.says("configuration.file", "bad", "/nonexistent/c.toml: cannot read it");
    report.mends("configuration.file", "name another file with --config, or have one written: keyanchor configure");
}

#[test]
fn without_flags_the_identities_of_the_file_are_named() {
    let scene = Scene::new();
    let folder = Folder::new();
    let (file, _) = configured(&scene, &folder, "[identity.batch]\n");
    let report = Report::of(keyanchor(["doctor", "--json"]).env("KEYANCHOR_CONFIG", &file), 2);
    report.only_bad(&["identity"]).mends("identity", "--identity batch, --identity web");
}

#[test]
fn variables_that_win_over_the_profile_are_bad() {
    let scene = Scene::new();
    let run = scene.doctor().env("AWS_ACCESS_KEY_ID", "AKIATEST").env("AWS_SECRET_ACCESS_KEY", "test-secret-key");
    let report = Report::of(run, 1);
    report.only_bad(&["environment.credentials"]);
    report.mends("environment.credentials", "unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY");
    assert!(!report.1.text().contains("test-secret-key") && !report.1.text().contains(TEST_USER_PIN), "{}", report.1);
}

#[test]
fn keys_in_the_credentials_file_win_over_the_profile_that_asks() {
    let scene = Scene::new();
    let folder = Folder::new();
    let config = folder.write(
        "config",
        "[profile web]\ncredential_process = /usr/bin/keyanchor credential-process --tpm-key-password test-pw\n",
    );
    let credentials =
        folder.write("credentials", "[other]\naws_access_key_id = x\n\n[web]\naws_access_key_id = AKIATEST\n");
    let doctor = |profile: &str| {
        let run = scene.doctor().env("AWS_CONFIG_FILE", &config).env("AWS_SHARED_CREDENTIALS_FILE", &credentials);
        run.env("AWS_PROFILE", profile)
    };
    let report = Report::of(doctor("web"), 1);
    report.only_bad(&["environment.profile"]);
    report.says("environment.profile", "bad", "the profile web asks /usr/bin/keyanchor, but ");
    report.says("environment.profile", "bad", "aws_access_key_id (line 5)");
    report.mends("environment.profile", &format!("+5 {}", credentials.display()));
    assert!(!report.1.text().contains("test-pw") && !report.1.text().contains("AKIATEST"), "{}", report.1);
    // Nobody is asked for these: update may have put them there.
    Report::of(doctor("other"), 0).says("environment.profile", "note", "asks nobody");
    Report::of(doctor("default"), 0).says(
        "environment.profile",
        "good",
        "no file gives the profile default credentials",
    );
}

#[test]
fn regions_that_disagree_are_a_usage_failure() {
    let scene = Scene::new();
    let profile = ARNS[3].replace("eu-central-1", "us-east-1");
    let report = Report::of(scene.doctor().args(["--profile-arn", &profile]), 2);
    report.only_bad(&["session.arns"]).says("session.arns", "bad", "in eu-central-1 and --profile-arn in us-east-1");
    report.mends("session.arns", "aws rolesanywhere list-profiles");

    let report = Report::of(scene.doctor().args(["--region", "us-east-1"]), 2);
    report.only_bad(&["session.region"]).mends("session.region", "--region eu-central-1");
}

#[test]
fn an_arn_of_another_kind_is_told_with_where_the_right_one_is() {
    let scene = Scene::new();
    let report = Report::of(scene.doctor().args(["--role-arn", ARNS[3]]), 2);
    report.only_bad(&["session.arns"]).mends("session.arns", "aws iam list-roles");
}

#[test]
fn a_flag_that_cannot_be_read_ends_it_as_everywhere() {
    let scene = Scene::new();
    scene.doctor().args(["--token-timeout", "soon"]).run().fails_with(2).stderr_contains("--token-timeout");
    scene.doctor().args(["--trust-anchor", "/nonexistent.pem"]).run().fails_with(7).stderr_contains("--trust-anchor");
}
