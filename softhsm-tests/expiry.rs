//! The warning before a certificate ends: of which certificate, from when on, how often, and by which commands. The certificates
//! are openssl's.

use std::path::PathBuf;

use rustix::process::Signal;

use crate::support::command::{Outcome, Run, keyanchor, tool};
use crate::support::sandbox::{ARNS, Printed, Sandbox};
use crate::support::{Environment, Folder, text, until};

/// A root, an intermediate and a leaf, and a service that trusts the root.
struct Scene {
    folder: Folder,
    sandbox: Sandbox,
}

const PKI: &str = r#"
    cd "$1"
    new="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
    printf 'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n' >ca.ext
    printf 'basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n' >leaf.ext
    openssl req -x509 $new -days 365 -subj /CN=Root -addext keyUsage=critical,keyCertSign -keyout root.key -out root.pem
    openssl req -new $new -subj '/CN=Issuing CA' -keyout ca.key -out ca.csr
    openssl x509 -req -in ca.csr -days "$2" -extfile ca.ext -CA root.pem -CAkey root.key -out ca.pem
    openssl req -new $new -subj /CN=web -keyout key.pem -out leaf.csr
    openssl x509 -req -in leaf.csr -days "$3" -extfile leaf.ext -CA ca.pem -CAkey ca.key -out certificate.pem
"#;

impl Scene {
    /// With an intermediate and a leaf that end in so many days.
    fn ending_in(intermediate: u32, leaf: u32) -> Self {
        let folder = Folder::new();
        let days = [intermediate.to_string(), leaf.to_string()];
        tool("sh", ["-e", "-c", PKI, "sh", text(folder.path()), &days[0], &days[1]], Environment::new());
        let sandbox = Sandbox::start(["--trust-anchor", text(&folder.join("root.pem"))]);
        Self { folder, sandbox }
    }

    fn command(&self, name: &str, more: &[&str]) -> Run {
        let [certificate, key, intermediates] =
            ["certificate.pem", "key.pem", "ca.pem"].map(|name| self.folder.join(name));
        let files =
            ["--certificate", text(&certificate), "--private-key", text(&key), "--intermediates", text(&intermediates)];
        self.sandbox.command(name, files).args(more)
    }

    fn vend(&self, more: &[&str]) -> Outcome {
        let outcome = self.command("credential-process", more).run();
        Printed::by(&outcome);
        outcome
    }

    /// A configuration file with this identity.
    fn configuration(&self, more: &str) -> PathBuf {
        let [_, anchor, _, profile, _, role] = ARNS;
        let endpoint = self.sandbox.endpoint();
        let arns = format!("trust-anchor-arn = '{anchor}'\nprofile-arn = '{profile}'\nrole-arn = '{role}'\n");
        let files = "key = 'key.pem'\ncertificate = 'certificate.pem'\nintermediates = 'ca.pem'\n";
        let content = format!("[identity.web]\n{files}{arns}endpoint = '{endpoint}'\n{more}");
        self.folder.write("config.toml", content)
    }
}

/// How many warnings were said.
fn warnings(said: &str) -> usize {
    said.matches("warning: ").count()
}

#[test]
fn a_leaf_that_ends_in_ten_days_is_spoken_of_in_one_line_with_the_command_that_renews_it() {
    let scene = Scene::ending_in(300, 10);
    let outcome = scene.vend(&[]);
    assert_eq!(outcome.stderr.lines().count(), 1, "{outcome}");
    outcome.stderr_contains("warning: the certificate CN=web ends in 9 days, at 2");
    let folder = text(scene.folder.path());
    let renewal = format!(
        "; renew it: keyanchor renew --private-key {folder}/key.pem --certificate {folder}/certificate.pem \
         --intermediates {folder}/ca.pem\n"
    );
    assert!(outcome.stderr.ends_with(&renewal), "{outcome}");
}

#[test]
fn fifteen_days_are_no_cause_for_a_word_unless_more_are_wanted() {
    let scene = Scene::ending_in(16, 15);
    assert_eq!(scene.vend(&[]).stderr, "");
    scene.vend(&["--warn-expiry", "15"]).stderr_contains("CN=web ends in 14 days");
    let configuration = scene.configuration("warn-expiry = 15\n");
    let by_file = ["credential-process", "--config", text(&configuration), "--identity", "web"];
    let by_file = || keyanchor(by_file).env("AWS_CA_BUNDLE", scene.sandbox.ca());
    let outcome = by_file().run();
    let renewal = format!("renew it: keyanchor renew --config {} --identity web\n", text(&configuration));
    outcome.stderr_contains(&renewal);
    assert_eq!(by_file().args(["--warn-expiry", "14"]).run().succeeds().stderr, "");
}

#[test]
fn the_warning_can_be_switched_off() {
    let scene = Scene::ending_in(5, 5);
    assert_eq!(scene.vend(&["--warn-expiry", "0"]).stderr, "");
    scene.command("credential-process", &["--warn-expiry=-1"]).run().fails_with(2).stderr_contains("--warn-expiry");
    scene.command("credential-process", &["--warn-expiry=soon"]).run().fails_with(2).stderr_contains("0 to 3650");
}

#[test]
fn an_intermediate_that_ends_before_the_leaf_is_the_one_that_is_named() {
    let scene = Scene::ending_in(7, 12);
    let outcome = scene.vend(&[]);
    assert_eq!(warnings(&outcome.stderr), 1, "{outcome}");
    outcome.stderr_contains("warning: the intermediate certificate CN=Issuing CA ends in 6 days, at ");
    outcome.stderr_contains("renew yours: keyanchor renew ").stderr_lacks("CN=web");
}

#[test]
fn what_the_cache_gives_is_given_without_a_word() {
    let scene = Scene::ending_in(300, 10);
    let state = Folder::new();
    let call = || scene.command("credential-process", &["--cache"]).env("XDG_STATE_HOME", state.path()).run();
    assert_eq!(warnings(&call().succeeds().stderr), 1);
    assert_eq!(call().succeeds().stderr, "");
}

#[test]
fn several_profiles_of_one_certificate_are_one_warning() {
    let scene = Scene::ending_in(300, 10);
    let file = scene.folder.join("credentials");
    let profiles = ["--once", "--profile", "one", "--profile", "two=arn:aws:iam::111122223333:role/Other"];
    let outcome = scene.command("update", &profiles).env("AWS_SHARED_CREDENTIALS_FILE", &file).run();
    assert_eq!(warnings(&outcome.succeeds().stderr), 1, "{outcome}");
    assert_eq!(scene.sandbox.requests("/sessions").len(), 2);
}

#[test]
fn the_command_of_exec_runs_after_the_warning() {
    let scene = Scene::ending_in(300, 10);
    let outcome = scene.command("exec", &["--", "printenv", "AWS_ACCESS_KEY_ID"]).run();
    outcome.succeeds().stdout_contains("ASIASANDBOX").stderr_contains("warning: the certificate CN=web");
}

#[test]
fn a_server_says_it_once_for_many_refreshes() {
    let scene = Scene::ending_in(300, 10);
    let roles = ["--port", "0", "--log-format", "json", "--role-arn", "arn:aws:iam::111122223333:role/Other"];
    let server = scene.command("serve", &roles).heeding_signals().spawn();
    let refreshed = |times| until("a refresh", || scene.sandbox.requests("/sessions").len() >= times);
    refreshed(2);
    until("the address", || server.has_said("AWS_EC2_METADATA_SERVICE_ENDPOINT"));
    server.signal(Signal::HUP);
    refreshed(4);
    server.signal(Signal::TERM);
    let outcome = server.wait();
    outcome.succeeds();
    let said: Vec<_> = outcome.stderr.lines().filter(|line| line.contains("the certificate CN=web ends in")).collect();
    assert!(said.len() == 1 && said[0].contains(r#""level":"warn""#), "{outcome}");
}
