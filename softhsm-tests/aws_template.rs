//! `aws-template`: the template under the linter of CloudFormation; the commands in a shell, under the AWS CLI's own checks and up
//! to an identity that works.

use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::command::{Outcome, Run, keyanchor, pinned_client, tool};
use crate::support::key::{Key, KeyFile};
use crate::support::pki::{Ca, Certificate, bundle};
use crate::support::sandbox::{ARNS, Printed, Sandbox};
use crate::support::softhsm::SoftHsm;
use crate::support::{Environment, Folder, text};

/// A CA, a certificate of it and its key.
struct Scene {
    ca: Ca,
    leaf: Certificate,
    key: KeyFile,
    folder: Folder,
}

impl Scene {
    fn new() -> Self {
        let ca = Ca::root("Root");
        let (leaf, key) = ca.leaf_with_key("web-01", Key::Ec256);
        Self { ca, leaf, key, folder: Folder::new() }
    }

    /// For this CA, and no certificate yet.
    fn bare(&self, arguments: &[&str]) -> Run {
        keyanchor(["aws-template", "--trust-anchor", text(&self.ca.certificate.pem_path())]).args(arguments)
    }

    /// For the certificate and its key.
    fn template(&self, arguments: &[&str]) -> Run {
        let certificate = self.leaf.pem_path();
        self.bare(&["--certificate", text(&certificate), "--private-key", text(self.key.path())]).args(arguments)
    }

    /// A revocation list of the CA's, made by openssl.
    fn revocations(&self) -> PathBuf {
        let (index, number) = (self.folder.write("index", ""), self.folder.write("number", "01"));
        let (configuration, list) = (self.folder.join("ca.conf"), self.folder.join("crl.pem"));
        let settings = format!("[ca]\ndatabase = {}\ncrlnumber = {}\n", index.display(), number.display());
        fs::write(&configuration, settings).unwrap();
        let (certificate, key) = (self.ca.certificate.pem_path(), self.ca.key_path());
        let signer = ["-cert", text(&certificate), "-keyfile", text(key), "-md", "sha256", "-crldays", "9"];
        let run = ["ca", "-gencrl", "-name", "ca", "-config", text(&configuration), "-out", text(&list)];
        tool("openssl", run.iter().chain(&signer), Environment::new());
        list
    }
}

/// All that can be asked for beside the certificate.
fn every_option(crl: &Path) -> Vec<&str> {
    let mut flags = vec!["--name", "web", "--role-name", "web-role", "--crl", text(crl), "--session-duration", "43200"];
    flags.extend(["--managed-policy-arn", "arn:aws:iam::aws:policy/ReadOnlyAccess", "--accept-role-session-name"]);
    flags.extend(["--managed-policy-arn", "arn:aws:iam::111122223333:policy/team/web", "--subject-cn", "web-01"]);
    flags.extend(["--subject-cn", "web: 02", "--require-tag", "x509Issuer/CN=Root"]);
    flags
}

#[test]
fn the_linter_of_cloudformation_takes_the_template() {
    let lint = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/clients/python/bin/cfn-lint");
    if !lint.exists() {
        let _ = writeln!(std::io::stderr(), "skipped cfn-lint: it is not in target/clients, see scripts/setup");
        return;
    }
    let scene = Scene::new();
    let (crl, two) = (
        scene.revocations(),
        scene.folder.write("two.pem", bundle([&scene.ca.certificate, &Ca::root("B").certificate])),
    );
    let lints = |name: &str, run: Run| {
        let file = scene.folder.join(name);
        run.args(["--out", text(&file)]).run().succeeds();
        let outcome = Run::program(&lint).args(["--include-checks", "I", "--", text(&file)]).run();
        assert_eq!(outcome.succeeds().text(), "", "{outcome}");
        file
    };
    lints("plain.yaml", scene.template(&[]));
    lints("any.yaml", scene.bare(&["--any-subject"]));
    lints("all.yaml", scene.template(&every_option(&crl)));
    lints("two.yaml", keyanchor(["aws-template", "--trust-anchor", text(&two), "--subject-cn", "x"]));
    // It does look: without its trust anchor's source a template is refused.
    let broken = fs::read_to_string(scene.folder.join("plain.yaml")).unwrap().replace("SourceType", "SourceKind");
    let file = scene.folder.write("broken.yaml", broken);
    assert!(!Run::program(&lint).args(["--", text(&file)]).run().status.success());
}

/// Runs what `--cli` printed with this program as `aws`, and gives what it recorded: the arguments of each call.
fn runs(commands: &str, folder: &Folder, aws: &str) -> (Outcome, Vec<Vec<String>>) {
    let script = folder.write("commands.sh", commands);
    tool("bash", ["-n", text(&script)], Environment::new());
    let bin = folder.join("bin");
    fs::create_dir_all(&bin).unwrap();
    let record = folder.join("record");
    let aws = format!("#!/bin/bash\nprintf '%s\\0' \"$#\" \"$@\" >>'{}'\n{aws}\n", record.display());
    let path = folder.write("bin/aws", aws);
    fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_keyanchor"), bin.join("keyanchor")).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let outcome = Run::program("bash").args(["-eu", text(&script)]).env("PATH", path).env("HOME", folder.path()).run();
    let recorded = fs::read_to_string(record).unwrap_or_default();
    let mut words = recorded.split_terminator('\0').map(str::to_owned);
    let mut calls = Vec::new();
    while let Some(count) = words.next() {
        calls.push(words.by_ref().take(count.parse().unwrap()).collect());
    }
    (outcome, calls)
}

/// The value of a flag in a call.
#[track_caller]
fn value<'a>(call: &'a [String], flag: &str) -> &'a str {
    let at = call.iter().position(|word| word == flag).unwrap_or_else(|| panic!("no {flag} in {call:?}"));
    &call[at + 1]
}

#[test]
fn the_commands_lead_to_an_identity_that_works() {
    let scene = Scene::new();
    let crl = scene.revocations();
    let commands = scene.template(&every_option(&crl)).arg("--cli").run();
    let [_, anchor, _, profile, _, role] = ARNS;
    let answers = format!(
        "case $2 in create-trust-anchor) echo {anchor};; create-role) echo {role};; create-profile) echo {profile};; esac"
    );
    let (outcome, calls) = runs(commands.succeeds().text(), &scene.folder, &answers);
    outcome.succeeds();
    let verbs: Vec<_> = calls.iter().map(|call| call[1].as_str()).collect();
    let policies = ["attach-role-policy"; 2];
    assert_eq!(verbs[..3], ["create-trust-anchor", "import-crl", "create-role"]);
    assert_eq!((&verbs[3..5], &verbs[5..]), (&policies[..], &["wait", "create-profile"][..]));

    let source: Value = serde_json::from_str(value(&calls[0], "--source")).unwrap();
    assert_eq!(source["sourceData"]["x509CertificateData"], scene.ca.certificate.pem());
    assert_eq!(value(&calls[1], "--crl-data"), format!("fileb://{}", crl.display()));
    let policy: Value = serde_json::from_str(value(&calls[2], "--assume-role-policy-document")).unwrap();
    let statement = &policy["Statement"][0];
    assert_eq!(statement["Action"], serde_json::json!(["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]));
    let condition = serde_json::json!({
        "ArnEquals": { "aws:SourceArn": anchor },
        "StringEquals": {
            "aws:PrincipalTag/x509Subject/CN": ["web-01", "web: 02"],
            "aws:PrincipalTag/x509Issuer/CN": "Root",
        },
    });
    assert_eq!(statement["Condition"], condition);
    assert_eq!(value(&calls[2], "--max-session-duration"), "43200");
    assert_eq!((value(&calls[6], "--role-arns"), value(&calls[6], "--duration-seconds")), (role, "43200"));

    let sandbox = Sandbox::trusting(&scene.ca);
    let here = ["--endpoint", sandbox.endpoint(), "--ca-bundle", text(sandbox.ca())];
    let run = keyanchor(["credential-process", "--identity", "web"]).args(here);
    Printed::by(&run.env("HOME", scene.folder.path()).run());
    assert!(sandbox.requests("/sessions").pop().unwrap().contains("leaf=\"CN=web-01\""), "{}", sandbox.log());
}

#[test]
fn the_aws_cli_takes_the_parameters_of_every_command() {
    const TEST: &str = "the_aws_cli_takes_the_parameters_of_every_command";
    let Some(real) = pinned_client("python/bin/aws", TEST) else { return };
    let scene = Scene::new();
    let crl = scene.revocations();
    for (number, flags) in [every_option(&crl), Vec::new()].into_iter().enumerate() {
        let folder = Folder::new();
        let commands = scene.template(&flags).arg("--cli").run();
        // The real one, which checks its parameters before it finds that nobody answers.
        let real = format!(
            "'{}' \"$@\" --endpoint-url http://127.0.0.1:1 --region eu-central-1 2>>\"$HOME/said\"; echo $2 >>\"$HOME/ended\"; echo arn",
            real.display()
        );
        let settings = "export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_MAX_ATTEMPTS=1 AWS_EC2_METADATA_DISABLED=true\n";
        let (_, calls) = runs(commands.succeeds().text(), &folder, &format!("{settings}{real}"));
        let said = fs::read_to_string(folder.join("said")).unwrap();
        let refused = said.matches("Could not connect to the endpoint URL").count();
        assert_eq!((refused, calls.len()), ([7, 4][number], [7, 4][number]), "{said}");
    }
}

#[test]
fn a_certificate_on_a_token_names_itself() {
    let (hsm, ca) = (SoftHsm::new(), Ca::root("Root"));
    let token = hsm.token("prod 1");
    token.identity(Key::Ec256, "01", "web 01", &ca);
    let (anchor, module) = (ca.certificate.pem_path(), SoftHsm::module());
    let uri = "pkcs11:token=prod%201;object=web%2001";
    let flags =
        ["--trust-anchor", text(&anchor), "--pkcs11", uri, "--pkcs11-lib", text(&module), "--pin-source", "env:P"];
    let template = keyanchor(["aws-template"]).args(flags).envs(token.env()).run();
    template.succeeds().stdout_contains("aws:PrincipalTag/x509Subject/CN: 'web 01'\n");
    let commands = keyanchor(["aws-template", "--cli"]).args(flags).envs(token.env()).run();
    let wanted = format!(
        "\nkeyanchor configure --identity keyanchor --pkcs11 '{uri}' --pkcs11-lib {} --pin-source env:P --trust-anchor-arn",
        module.display()
    );
    commands.succeeds().stdout_contains(&wanted);
}

#[test]
fn an_identity_that_lacks_its_arns_gets_them_and_keeps_the_rest() {
    let scene = Scene::new();
    let (certificate, key) = (scene.leaf.pem_path(), scene.key.path());
    let identity = format!(
        "[identity.files] # mine\nkey = {:?}\ncertificate = {:?}\nca-command = 'ask'\n",
        text(key),
        text(&certificate)
    );
    let config = scene.folder.write("my identities.toml", &identity);
    let template = scene.bare(&["--cli", "--name", "web", "--identity", "files", "--config", text(&config)]).run();
    let [_, anchor, _, profile, _, role] = ARNS;
    let answers = format!(
        "case $2 in create-trust-anchor) echo {anchor};; create-role) echo {role};; create-profile) echo {profile};; esac"
    );
    runs(template.succeeds().text(), &scene.folder, &answers).0.succeeds();
    let arns = format!("trust-anchor-arn = \"{anchor}\"\nprofile-arn = \"{profile}\"\nrole-arn = \"{role}\"\n");
    assert_eq!(fs::read_to_string(&config).unwrap(), identity.clone() + &arns);
    let line = fs::read_to_string(scene.folder.join(".aws/config")).unwrap();
    assert!(line.contains(&format!("--identity files --config '{}'\n", config.display())), "{line}");
    assert!(line.contains("region = eu-central-1\n"), "{line}");

    // The role that it has by then is another one's to replace.
    let home = |flags: &[&str]| {
        let run = keyanchor(["configure", "--no-aws-profile", "--identity", "files", "--config", text(&config)]);
        run.args(flags).env("HOME", scene.folder.path()).run()
    };
    let other = ["--role-arn", "arn:aws:iam::111122223333:role/other"];
    home(&other).fails_with(2).stderr_contains("there is another [identity.files] already").stderr_contains("--force");
    home(&[&other[..], &["--force"]].concat()).succeeds();
    let after = identity + &arns.replace(role, other[1]);
    assert_eq!(fs::read_to_string(&config).unwrap(), after);
    // One that is not there is not completed.
    keyanchor(["configure", "--identity", "new", "--config", text(&config)])
        .args(other)
        .run()
        .fails_with(2)
        .stderr_contains("wanted --pkcs11, --private-key, --tpm or --certificate; --trust-anchor-arn");
}

#[test]
fn what_would_not_work_at_aws_is_refused_here() {
    let scene = Scene::new();
    let (other, leaf) = (Ca::root("Other"), scene.leaf.pem_path());
    let (stranger, _) = other.leaf_with_key("stranger", Key::Ec256);
    let (stranger, no_crl) = (stranger.pem_path(), scene.ca.certificate.pem_path());
    for (code, flags, said) in [
        (2, &[][..], "wanted to know which certificates may assume the role"),
        (2, &["--subject-cn", "web (1)"], "STS does not take '('"),
        (2, &["--require-tag", "CN=web"], "--require-tag: wanted x509Subject/"),
        (2, &["--subject-cn", "web", "--any-subject"], "found both"),
        (2, &["--subject-cn", "web", "--name", "a b"], "--name: wanted"),
        (2, &["--subject-cn", "web", "--ca", "dir"], "wanted --trust-anchor or --ca, found both"),
        (2, &["--subject-cn", "web", "--managed-policy-arn", "ReadOnlyAccess"], "aws iam list-policies"),
        (2, &["--subject-cn", "web", "--session-duration", "60"], "--session-duration"),
        (2, &["--private-key", "pkcs11:token=t?pin-value=test-4711", "--subject-cn", "x", "--cli"], "holds a PIN"),
        (7, &["--certificate", text(&stranger)], "will refuse the certificate CN=stranger"),
        (7, &["--certificate", text(&leaf), "--subject-cn", "web-02"], "found one that gives \"web-01\""),
        (7, &["--subject-cn", "web", "--crl", text(&no_crl)], "--crl: wanted a revocation list"),
        (7, &["--subject-cn", "web", "--crl", "/nonexistent"], "no such file"),
        (2, &["--subject-cn", "web", "--crl", "a", "--crl", "b", "--crl", "c"], "--crl: wanted at most 2"),
    ] {
        scene.bare(flags).run().fails_with(code).stderr_contains(said).stderr_lacks("4711");
    }
    let anchor = keyanchor(["aws-template", "--any-subject", "--trust-anchor", text(&leaf)]).run();
    anchor.fails_with(7).stderr_contains("CN=web-01 is no trust anchor for AWS");
    let nowhere = keyanchor(["aws-template", "--any-subject", "--ca", "nowhere"]).run();
    nowhere.fails_with(2).stderr_contains("found no ca.toml there").stderr_contains("keyanchor ca init --ca nowhere");
}

#[test]
fn an_authority_of_ones_own_needs_no_other_tool() {
    let (folder, key) = (Folder::new(), KeyFile::generate(Key::Ec256));
    let ca = folder.join("ca");
    let at_ca = |words: &[&str]| {
        let run = keyanchor([&["ca", words[0], "--ca", text(&ca)], &words[1..]].concat());
        run.run().succeeds();
    };
    at_ca(&["init", "--subject", "CN=Root", "--intermediate-subject", "CN=Issuing"]);
    let (certificate, list) = (folder.join("web.pem"), ca.join("intermediate.crl"));
    at_ca(&["issue", "--private-key", text(key.path()), "--subject", "CN=web-03", "--certificate", text(&certificate)]);
    at_ca(&["crl"]);
    let files = ["--certificate", text(&certificate), "--private-key", text(key.path()), "--crl", text(&list)];
    let commands = keyanchor(["aws-template", "--cli", "--name", "web", "--ca", text(&ca)]).args(files).run();
    let [_, anchor, _, profile, _, role] = ARNS;
    let answers = format!(
        "case $2 in create-trust-anchor) echo {anchor};; create-role) echo {role};; create-profile) echo {profile};; esac"
    );
    runs(commands.succeeds().text(), &folder, &answers).0.succeeds();
    let sandbox = Sandbox::start(["--trust-anchor", text(&ca.join("root.pem"))]);
    let here = ["--endpoint", sandbox.endpoint(), "--ca-bundle", text(sandbox.ca())];
    let run = keyanchor(["credential-process", "--identity", "web"]).args(here);
    Printed::by(&run.env("HOME", folder.path()).run());
    assert!(sandbox.requests("/sessions").pop().unwrap().contains("leaf=\"CN=web-03\""), "{}", sandbox.log());
}
