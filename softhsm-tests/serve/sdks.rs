//! The SDKs that people use against what keyanchor gives: each by IMDSv2, by a container token and by `credential_process`, and
//! each asks the sandbox's STS who it is. `scripts/setup` puts them, of pinned versions, into `target/clients`.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::{Scene, Server};
use crate::support::command::Run;
use crate::support::key::Key;
use crate::support::sandbox::ARNS;
use crate::support::softhsm::{SoftHsm, TEST_USER_PIN};
#[cfg(feature = "tpm")]
use crate::support::swtpm::Swtpm;
use crate::support::{Environment, text, until, variable};

/// Asks by a new session, so that nothing is kept from before.
const BOTO3: &str = "import boto3; print(boto3.Session().client('sts').get_caller_identity()['Arn'])";

/// The same for JavaScript.
const JAVASCRIPT: &str = "const { STSClient, GetCallerIdentityCommand } = require('@aws-sdk/client-sts');
const { fromNodeProviderChain } = require('@aws-sdk/credential-providers');
const client = new STSClient({ credentials: fromNodeProviderChain() });
client.send(new GetCallerIdentityCommand({})).then(answer => console.log(answer.Arn));";

/// A program that asks STS who it is, and prints the ARN.
pub(super) struct Sdk {
    name: &'static str,
    program: PathBuf,
    arguments: Vec<String>,
    /// Where JavaScript finds its modules.
    packages: PathBuf,
}

/// The SDKs that are here; says which test lacks which, past the capture of test output.
pub(super) fn sdks(test: &str) -> Vec<Sdk> {
    let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/clients");
    let python = |tool| clients.join("python/bin").join(tool);
    let cli = ["sts", "get-caller-identity", "--query", "Arn", "--output", "text"].map(str::to_owned);
    let packages = clients.join("node/node_modules");
    let all = [
        ("boto3", python("python3"), vec!["-c".to_owned(), BOTO3.to_owned()]),
        ("the AWS CLI", python("aws"), cli.to_vec()),
        ("the SDK for JavaScript", clients.join("node/node"), vec!["-e".to_owned(), JAVASCRIPT.to_owned()]),
    ];
    let mut here = Vec::new();
    for (name, program, arguments) in all {
        if program.exists() {
            here.push(Sdk { name, program, arguments, packages: packages.clone() });
        } else {
            let _ = writeln!(
                std::io::stderr(),
                "skipped {test} for {name}: it is not in target/clients, see scripts/setup"
            );
        }
    }
    here
}

impl Sdk {
    /// Asks with these variables and no other source of credentials.
    #[track_caller]
    pub(super) fn asks(&self, scene: &Scene, variables: &[(&str, &str)]) {
        let before = scene.sandbox.requests("/").len();
        let ca = scene.sandbox.ca();
        let mut run = Run::program(&self.program).args(&self.arguments).env("NODE_PATH", &self.packages);
        for name in ["AWS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"] {
            run = run.env(name, ca);
        }
        run = run.env("AWS_ENDPOINT_URL_STS", scene.sandbox.endpoint()).env("AWS_REGION", "eu-central-1");
        run = run.env("AWS_DEFAULT_REGION", "eu-central-1");
        let outcome = variables.iter().fold(run, |run, (name, value)| run.env(name, value)).run();
        let arn = outcome.succeeds().text();
        assert!(arn.starts_with("arn:aws:sts::111122223333:assumed-role/ExampleRole/"), "{}: {outcome}", self.name);
        assert_eq!(scene.sandbox.requests("/").len(), before + 1, "{}\n{}", self.name, scene.sandbox.log());
    }

    #[track_caller]
    fn asks_by_imds(&self, scene: &Scene, server: &Server) {
        self.asks(scene, &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", server.url("").as_str())]);
    }
}

#[test]
fn each_sdk_takes_credentials_by_imds() {
    let scene = Scene::new();
    let server = scene.serve(&[]);
    for sdk in sdks("each_sdk_takes_credentials_by_imds") {
        sdk.asks_by_imds(&scene, &server);
    }
    assert_eq!(scene.sessions(), 1);
    server.end();
}

#[test]
fn each_sdk_takes_credentials_by_a_container_token() {
    let scene = Scene::new();
    let consumer = "[consumer.shop]\nrole = 'ExampleRole'\ntoken-file = 'tokens/shop'\n";
    let configuration = scene.folder.write("config.toml", consumer);
    let server = scene.serve(&["--config", text(&configuration)]);
    let token = scene.folder.join("tokens/shop");
    for sdk in sdks("each_sdk_takes_credentials_by_a_container_token") {
        let url = server.url("/v1/credentials");
        let variables = [
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", url.as_str()),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", text(&token)),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ];
        sdk.asks(&scene, &variables);
    }
    assert_eq!(scene.sessions(), 1);
    server.end();
}

#[test]
fn each_sdk_takes_credentials_by_credential_process() {
    let scene = Scene::new();
    let (certificate, key) = (scene.leaf.pem_path(), scene.key.path());
    let files = ["--certificate", text(&certificate), "--private-key", text(key)];
    let here = ["--endpoint", scene.sandbox.endpoint(), "--ca-bundle", text(scene.sandbox.ca())];
    let command = [env!("CARGO_BIN_EXE_keyanchor"), "credential-process"];
    let line = command.into_iter().chain(files).chain(here).chain(ARNS).collect::<Vec<_>>().join(" ");
    let profile = format!("[default]\nregion = eu-central-1\ncredential_process = {line}\n");
    let config = scene.folder.write("config", profile);
    for sdk in sdks("each_sdk_takes_credentials_by_credential_process") {
        let before = scene.sessions();
        sdk.asks(&scene, &[("AWS_CONFIG_FILE", text(&config)), ("AWS_EC2_METADATA_DISABLED", "true")]);
        assert_eq!(scene.sessions(), before + 1, "{}", sdk.name);
    }
}

/// Ten refreshes, after each of which every SDK works with what came.
fn ten_refreshes(scene: &Scene, test: &str, identity: &[&str], environment: Environment) {
    let run = scene.sandbox.command("serve", ["--port", "0"]).args(identity).envs(environment);
    let server = Server::start(run);
    let sdks: Vec<_> = sdks(test).into_iter().filter(|sdk| !sdk.name.ends_with("JavaScript")).collect();
    for refresh in 1..=10 {
        let before = server.key_id("ExampleRole");
        server.reload();
        until("newer credentials", || server.key_id("ExampleRole") != before);
        sdks.iter().for_each(|sdk| sdk.asks_by_imds(scene, &server));
        assert_eq!(scene.sessions(), 1 + refresh);
    }
    server.end();
}

#[test]
fn sdks_work_through_ten_refreshes_with_a_key_on_a_token() {
    let scene = Scene::with(&["--lifetime", "60"]);
    let token = SoftHsm::new().token("t");
    token.identity(Key::Ec256, "01", "host", &scene.ca);
    let module = SoftHsm::module();
    let identity = ["--pkcs11", "pkcs11:token=t;object=host", "--pkcs11-lib", text(&module)];
    let environment: Environment = token.env().into_iter().chain([variable("KEYANCHOR_PIN", TEST_USER_PIN)]).collect();
    ten_refreshes(&scene, "sdks_work_through_ten_refreshes_with_a_key_on_a_token", &identity, environment);
}

#[cfg(feature = "tpm")]
#[test]
fn sdks_work_through_ten_refreshes_with_a_key_in_a_tpm() {
    let scene = Scene::with(&["--lifetime", "60"]);
    let tpm = Swtpm::start();
    let (key, certificate) = tpm.identity(&scene.ca);
    let tcti = tpm.tcti();
    let identity = ["--private-key", text(&key), "--certificate", text(&certificate), "--tcti", &tcti];
    ten_refreshes(&scene, "sdks_work_through_ten_refreshes_with_a_key_in_a_tpm", &identity, Environment::new());
}
