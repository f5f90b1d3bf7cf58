//! `serve` and `env` through the binary: what SDKs are answered, who is, and how the server goes on and ends.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::Deref;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::command::{Outcome, Run, Running, keyanchor, tool};
use crate::support::fault::Fault;
use crate::support::key::{Key, KeyFile};
use crate::support::pki::{Ca, Certificate};
use crate::support::sandbox::{ARNS, Sandbox};
use crate::support::softhsm::{SoftHsm, TEST_USER_PIN};
use crate::support::{Environment, Folder, text, until};

const LISTING: &str = "/latest/meta-data/iam/security-credentials/";
const SECOND: [&str; 4] = ["--role-arn", ARNS[5], "--role-arn", "arn:aws:iam::111122223333:role/path/Batch"];

struct Scene {
    ca: Ca,
    leaf: Certificate,
    key: KeyFile,
    sandbox: Sandbox,
    folder: Folder,
}

impl Scene {
    fn new() -> Self {
        Self::with(&[])
    }

    fn with(more: &[&str]) -> Self {
        let ca = Ca::root("Root");
        let (leaf, key) = ca.leaf_with_key("host", Key::Ec256);
        let sandbox = Sandbox::trusting_with(&ca, more);
        Self { ca, leaf, key, sandbox, folder: Folder::new() }
    }

    fn command(&self) -> Run {
        let certificate = self.leaf.pem_path();
        let files = ["--certificate", text(&certificate), "--private-key", text(self.key.path())];
        self.sandbox.command("serve", files).args(["--port", "0"])
    }

    fn serve(&self, arguments: &[&str]) -> Server {
        Server::start(self.command().args(arguments))
    }

    fn sessions(&self) -> usize {
        self.sandbox.requests("/sessions").len()
    }

    /// A configuration file with this identity, whose values the flags would otherwise give, and with what follows.
    fn configuration(&self, names: &[&str], more: &str) -> PathBuf {
        let (certificate, key) = (self.leaf.pem_path(), self.key.path());
        let identity = |name: &&str| {
            format!(
                "[identity.{name}]\ncertificate = '{}'\nkey = '{}'\ntrust-anchor-arn = '{}'\nprofile-arn = '{}'\n\
                 role-arn = 'arn:aws:iam::111122223333:role/{name}'\nendpoint = '{}'\n",
                certificate.display(),
                key.display(),
                ARNS[1],
                ARNS[3],
                self.sandbox.endpoint()
            )
        };
        let identities: String = names.iter().map(identity).collect();
        self.folder.write("config.toml", identities + more)
    }

    fn serve_configured(&self, configuration: &Path, arguments: &[&str]) -> Run {
        keyanchor(["serve", "--port", "0", "--ca-bundle", text(self.sandbox.ca()), "--config", text(configuration)])
            .args(arguments)
    }
}

/// A running `serve` that has said where it listens.
struct Server {
    running: Running,
    said: PathBuf,
    client: Client,
    _folder: Folder,
}

impl Server {
    /// Its stderr goes to a file, so that it can be read while it runs.
    fn start(run: Run) -> Self {
        let folder = Folder::new();
        let said = folder.join("stderr");
        let running = run.stderr_to(&said).spawn();
        let mut address = None;
        until("the server's endpoint", || {
            let line = fs::read_to_string(&said).unwrap_or_default();
            let line = line.lines().find_map(|line| line.split("AWS_EC2_METADATA_SERVICE_ENDPOINT=http://").nth(1));
            address = line.and_then(|line| line.split('"').next()?.parse().ok());
            address.is_some()
        });
        Self { running, said, client: Client(address.unwrap()), _folder: folder }
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.said).unwrap()
    }

    fn reload(&self) {
        self.running.signal(Signal::HUP);
    }

    /// SIGTERM: 0 within two seconds.
    #[track_caller]
    fn end(self) -> String {
        let started = Instant::now();
        self.running.signal(Signal::TERM);
        self.running.wait().ends_with(0);
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
        let said = fs::read_to_string(&self.said).unwrap();
        assert!(!said.contains("panicked") && !said.contains("sandbox-not-a-secret"), "{said}");
        said
    }
}

/// Asks a server as SDKs do.
#[derive(Clone, Copy)]
struct Client(SocketAddr);

impl Client {
    fn url(self, path: &str) -> String {
        format!("http://{}{path}", self.0)
    }

    fn ask(self, method: &str, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
        ask(self.0, method, path, headers)
    }

    fn token(self) -> String {
        let (status, token) =
            self.ask("PUT", "/latest/api/token", &[("X-aws-ec2-metadata-token-ttl-seconds", "21600")]);
        assert_eq!(status, 200, "{token}");
        token
    }

    fn document(self, role: &str) -> (u16, String) {
        self.ask("GET", &format!("{LISTING}{role}"), &[("X-aws-ec2-metadata-token", &self.token())])
    }

    /// The access key id that IMDS has for a role.
    #[track_caller]
    fn key_id(self, role: &str) -> String {
        let (status, document) = self.document(role);
        assert_eq!(status, 200, "{document}");
        key_id(&document)
    }

    fn container(self, token: &str) -> (u16, String) {
        self.ask("GET", "/v1/credentials", &[("Authorization", token)])
    }
}

impl Deref for Server {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

fn ask(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: {address}\r\n{headers}Connection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[track_caller]
fn key_id(document: &str) -> String {
    let document: serde_json::Value = serde_json::from_str(document).unwrap();
    document["AccessKeyId"].as_str().unwrap_or_else(|| panic!("{document}")).to_owned()
}

#[test]
fn it_says_where_it_is_as_people_are_used_to() {
    let scene = Scene::new();
    let server = scene.serve(&[]);
    let port = server.0.port();
    let lines = format!(
        "Local server started on port: {port}\nMake it available to the sdk by running:\n\
         export AWS_EC2_METADATA_SERVICE_ENDPOINT=http://127.0.0.1:{port}\n"
    );
    assert_eq!(server.end(), lines);
}

#[test]
fn curl_gets_credentials_by_imds() {
    let scene = Scene::new();
    let server = scene.serve(&[]);
    let curl = |arguments: &[&str]| {
        let output = tool("curl", ["-fsS"].iter().chain(arguments), Environment::new());
        String::from_utf8(output).unwrap()
    };
    let ttl = "X-aws-ec2-metadata-token-ttl-seconds: 21600";
    let token = curl(&["-X", "PUT", "-H", ttl, &server.url("/latest/api/token")]);
    let header = format!("X-aws-ec2-metadata-token: {token}");
    assert_eq!(curl(&["-H", &header, &server.url(LISTING)]), "ExampleRole");
    assert_eq!(curl(&["-H", &header, &server.url("/latest/meta-data/placement/region")]), "eu-central-1");
    let document = curl(&["-H", &header, &server.url(&format!("{LISTING}ExampleRole"))]);
    let session = scene.sandbox.requests("/sessions").pop().unwrap();
    assert!(session.contains(&key_id(&document)), "{document}\n{session}");
    let (status, _) = server.ask("GET", LISTING, &[]);
    assert_eq!(status, 401, "there is no IMDSv1");
    server.end();
}

#[test]
fn every_role_has_its_own_credentials_by_one_login() {
    let scene = Scene::new();
    let token = SoftHsm::new().token("t");
    token.identity(Key::Ec256, "01", "host", &scene.ca);
    let fault = Fault::of(token.hsm());
    let flags = ["--port", "0", "--pkcs11", "pkcs11:token=t;object=host", "--pkcs11-lib", text(&Fault::module())]
        .map(str::to_owned);
    let run = scene.sandbox.command("serve", flags).args(&SECOND[2..]).args(["--imds-role", "Batch"]);
    let server = Server::start(run.envs(fault.env()).env("KEYANCHOR_PIN", TEST_USER_PIN));
    let (status, listing) = server.ask("GET", LISTING, &[("X-aws-ec2-metadata-token", &server.token())]);
    assert_eq!((status, &*listing), (200, "Batch"));
    let batch = server.key_id("Batch");
    let requests = scene.sandbox.requests("/sessions");
    let of_batch = requests.iter().find(|request| request.contains(&batch)).unwrap();
    assert!(requests.len() == 2 && of_batch.contains("/Batch/"), "{requests:?}");
    let calls = fault.calls();
    assert_eq!((calls.of("C_Initialize"), calls.of("C_Login"), calls.of("C_Sign")), (1, 1, 2));
    server.end();
}

#[test]
fn a_wrong_pin_is_tried_once_for_all_roles() {
    let scene = Scene::new();
    let token = SoftHsm::new().token("t");
    token.identity(Key::Ec256, "01", "host", &scene.ca);
    for more in [&[][..], &["--keep-trying"]] {
        let fault = Fault::of(token.hsm());
        let module = Fault::module();
        let flags = ["--port", "0", "--pkcs11", "pkcs11:token=t;object=host", "--pkcs11-lib", text(&module)];
        let roles = ["C", "D", "E"].map(|name| format!("--role-arn=arn:aws:iam::111122223333:role/{name}"));
        let run = scene.sandbox.command("serve", flags).args(roles).args(more).envs(fault.env());
        let run = run.env("KEYANCHOR_PIN", "0000");
        if more.is_empty() {
            run.run().fails_with(4).stderr_contains("error: role ");
        } else {
            let server = Server::start(run);
            until("the first refresh", || server.document("ExampleRole").1.contains("the last refresh failed"));
            for _ in 0..3 {
                server.reload();
                thread::sleep(Duration::from_millis(100));
            }
            server.end();
        }
        assert_eq!(fault.user_pins_tried(), 1, "{more:?}");
    }
}

#[test]
fn a_failure_at_the_start_ends_it_with_its_exit_code() {
    let scene = Scene::with(&["--fault", "403:1"]);
    scene.command().run().fails_with(5).stderr_contains("error: role ExampleRole: ");
    let (other, _) = Ca::root("Other").leaf_with_key("other", Key::Ec256);
    let mismatch = scene.command().args(["--certificate", text(&other.pem_path())]).run();
    mismatch.fails_with(3);
    scene.command().args(["--endpoint", "https://127.0.0.1:1", "--timeout", "1"]).run().fails_with(6);
    scene.command().args(["--private-key", "/nonexistent"]).run().fails_with(3);
}

#[test]
fn what_cannot_be_served_is_said_before_a_signature() {
    let scene = Scene::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let table: [(&[&str], i32, &str); 12] = [
        (&["--port", &port], 6, "hint: see who listens there: ss -ltnp"),
        (&["--port", "65536"], 2, "--port: wanted a whole number from 0 to 65535, found '65536'"),
        (&["--hop-limit", "0"], 2, "--hop-limit: wanted a whole number from 1 to 255, found '0'"),
        (&["--listen", "0.0.0.0:0"], 2, "found 0.0.0.0: others on the network could ask for credentials there"),
        (&["--listen", "localhost:1"], 2, "--listen: wanted ADDRESS:PORT"),
        (&["--listen", "169.254.170.2:0"], 2, "wanted at least one consumer"),
        (&["--imds-role", "Nobody"], 2, "wanted one of the roles ExampleRole, found \"Nobody\""),
        (&["--log-format", "xml"], 2, "--log-format: wanted text or json, found 'xml'"),
        (&["--role-arn", "arn:aws:iam::111122223333:role/x/ExampleRole"], 2, "two roles have the name ExampleRole"),
        (&["--profile-arn", ARNS[3], "--profile-arn", ARNS[3]], 2, "wanted a --profile-arn for each --role-arn"),
        (&["--role-arn", "arn:aws:iam::1:user/R"], 2, "--role-arn: wanted"),
        (&["--config", "/nonexistent"], 2, "/nonexistent: cannot read it"),
    ];
    for (arguments, code, message) in table {
        scene.command().args(arguments).run().fails_with(code).stderr_contains(message);
    }
    assert_eq!(scene.sessions(), 0);
}

#[test]
fn a_consumers_token_decides_its_role() {
    let scene = Scene::new();
    let consumers = "[consumer.shop]\nidentity = 'web'\ntoken-file = 'tokens/shop'\n\
                     [consumer.jobs]\nrole = 'batch'\ntoken-file = 'tokens/jobs'\n";
    let configuration = scene.configuration(&["batch", "web"], consumers);
    let server = Server::start(scene.serve_configured(&configuration, &[]));
    let mut seen = Vec::new();
    for (consumer, role) in [("shop", "web"), ("jobs", "batch")] {
        let port = server.0.port().to_string();
        let printed =
            keyanchor(["env", "--consumer", consumer, "--port", &port]).args(["--config", text(&configuration)]);
        let lines = printed.run().succeeds().text().to_owned();
        let script = format!(
            "{lines}printf '%s\\n' \"$AWS_CONTAINER_CREDENTIALS_FULL_URI\" \"$AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE\""
        );
        let values = String::from_utf8(tool("sh", ["-c", &script], Environment::new())).unwrap();
        let (url, file) = values.trim_end().split_once('\n').unwrap();
        assert_eq!(url, server.url("/v1/credentials"));
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o7777, 0o600);
        let (status, document) = server.container(&fs::read_to_string(file).unwrap());
        assert_eq!(status, 200, "{document}");
        let key_id = key_id(&document);
        let request = scene.sandbox.requests("/sessions").into_iter().find(|request| request.contains(&key_id));
        assert!(request.unwrap().contains(&format!("/{role}/")));
        seen.push(key_id);
    }
    assert_ne!(seen[0], seen[1]);
    assert_eq!(server.container("guess").0, 401);
    // One identity of the file: the other's consumer is somebody else's.
    let one = scene.serve_configured(&configuration, &["--identity", "batch"]);
    let one = Server::start(one.args(["--verbose"]));
    assert!(one.end().contains("consumer shop gets no token here"));
    server.end();
}

#[test]
fn identities_with_the_same_secrets_share_a_login() {
    let scene = Scene::new();
    let token = SoftHsm::new().token("t");
    for (id, label) in [("01", "a"), ("02", "b")] {
        token.identity(Key::Ec256, id, label, &scene.ca);
    }
    let fault = Fault::of(token.hsm());
    let pin = scene.folder.write("pin", TEST_USER_PIN);
    let identity = |name: &str| {
        format!(
            "[identity.{name}]\nkey = 'pkcs11:token=t;object={name}'\npkcs11-lib = '{}'\npin-source = 'file:{}'\n\
             trust-anchor-arn = '{}'\nprofile-arn = '{}'\nrole-arn = 'arn:aws:iam::111122223333:role/{name}'\n\
             endpoint = '{}'\n",
            Fault::module().display(),
            pin.display(),
            ARNS[1],
            ARNS[3],
            scene.sandbox.endpoint()
        )
    };
    let configuration = scene.folder.write("config.toml", identity("a") + &identity("b"));
    let server = Server::start(scene.serve_configured(&configuration, &[]).envs(fault.env()));
    assert_ne!(server.key_id("a"), "");
    server.end();
    let calls = fault.calls();
    assert_eq!((calls.of("C_Initialize"), calls.of("C_Login"), calls.of("C_Sign")), (1, 1, 2));
}

#[test]
fn variables_are_printed_for_shells_units_and_pods() {
    let folder = Folder::new();
    let text_of = "[consumer.shop]\nrole = 'web'\ntoken-file = '/run/it''s 100%/token'\n".replace("''", "\"");
    let configuration = folder.write("config.toml", text_of);
    let env = |arguments: &[&str]| keyanchor(["env", "--config", text(&configuration)]).args(arguments).run();
    let shop = ["--consumer", "shop"];
    let uri = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
    let file = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";
    assert_eq!(
        env(&shop).succeeds().text(),
        format!("export {uri}=http://127.0.0.1:9911/v1/credentials\nexport {file}='/run/it\"s 100%/token'\n")
    );
    let unit = env(&["--consumer", "shop", "--format", "unit", "--listen", "169.254.170.2:80"]);
    assert_eq!(
        unit.succeeds().text(),
        format!(
            "Environment=\"{uri}=http://169.254.170.2:80/v1/credentials\"\n\
             Environment=\"{file}=/run/it\\\"s 100%%/token\"\n"
        )
    );
    let pod = env(&["--consumer", "shop", "--format", "pod"]);
    assert!(pod.succeeds().text().ends_with(&format!("- name: {file}\n  value: '/run/it\"s 100%/token'\n")));
    env(&["--consumer", "other"]).fails_with(2).stderr_contains("wanted [consumer.other], found shop");
    env(&[]).fails_with(2).stderr_contains("wanted --consumer NAME");
    env(&["--consumer", "shop", "--format", "fish"])
        .fails_with(2)
        .stderr_contains("--format: wanted shell, unit or pod");
}

#[test]
fn the_last_good_credentials_go_on_while_aws_fails() {
    let mut scene = Scene::new();
    let server = scene.serve(&["--timeout", "1"]);
    let before = server.key_id("ExampleRole");
    scene.sandbox.end_by(Signal::TERM);
    server.reload();
    until("the failure", || server.said().contains("the refresh failed, the old credentials go on"));
    assert_eq!(server.key_id("ExampleRole"), before);
    server.end();
}

#[test]
fn with_keep_trying_it_serves_reasons_until_there_are_credentials() {
    let scene = Scene::with(&["--fault", "403:2"]);
    let status = ["--keep-trying", "--status-listen", "127.0.0.1:0"];
    let server = scene.serve(&status);
    let said = server.said();
    let probes: SocketAddr =
        said.split("Status on http://").nth(1).unwrap().split('/').next().unwrap().parse().unwrap();
    let (mut refused, mut answer) = (false, (0, String::new()));
    until("credentials", || {
        answer = server.document("ExampleRole");
        refused |= answer.0 == 503 && answer.1.contains("AccessDenied");
        answer.0 == 200
    });
    assert!(refused, "no 503 with the reason");
    assert_eq!(ask(probes, "GET", "/readyz", &[]).0, 200);
    let (_, metrics) = ask(probes, "GET", "/metrics", &[]);
    assert!(metrics.contains("kind=\"refused\"") && metrics.ends_with("# EOF\n"), "{metrics}");
    server.end();
}

#[test]
fn many_clients_at_the_moment_of_a_refresh_cost_one_session() {
    let scene = Scene::with(&["--delay", "2000"]);
    let server = scene.serve(&[]);
    assert_eq!(scene.sessions(), 1);
    let before = server.key_id("ExampleRole");
    server.reload();
    thread::scope(|scope| {
        let (client, before) = (server.client, &before);
        let client =
            move || assert_eq!(client.key_id("ExampleRole"), *before, "the old ones, until there are new ones");
        let clients: Vec<_> = (0..50).map(|_| scope.spawn(client)).collect();
        clients.into_iter().for_each(|client| client.join().unwrap());
    });
    until("newer credentials", || server.key_id("ExampleRole") != before);
    assert_eq!(scene.sessions(), 2);
    server.end();
}

#[test]
fn it_ends_in_time_while_aws_hangs() {
    let scene = Scene::with(&["--fault", "hang"]);
    for signal in [Signal::TERM, Signal::INT] {
        let before = scene.sandbox.log().len();
        let running = scene.command().spawn();
        until("the request", || scene.sandbox.log().len() > before);
        let started = Instant::now();
        running.signal(signal);
        running.wait().ends_with(0);
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    }
}

#[test]
fn a_renewed_certificate_is_used_after_a_reload_and_half_of_a_pair_is_not() {
    let scene = Scene::new();
    let (certificate, key) = (scene.folder.join("leaf.pem"), scene.folder.join("key.pem"));
    fs::copy(scene.leaf.pem_path(), &certificate).unwrap();
    fs::copy(scene.key.path(), &key).unwrap();
    let server = scene.serve(&["--certificate", text(&certificate), "--private-key", text(&key)]);
    let (new_leaf, new_key) = scene.ca.leaf_with_key("renewed", Key::Ec384);
    for (from, to, name) in
        [(new_leaf.pem_path(), &certificate, "CN=host"), (new_key.path().to_owned(), &key, "CN=renewed")]
    {
        fs::copy(from, to).unwrap();
        let before = scene.sessions();
        server.reload();
        until("a refresh", || scene.sessions() > before);
        let request = scene.sandbox.requests("/sessions").pop().unwrap();
        assert!(request.contains(&format!("leaf=\"{name}\"")), "{request}");
    }
    assert!(server.end().contains("the certificate and key from before go on: "));
}

#[test]
fn lines_are_json_for_programs_that_collect_them() {
    let scene = Scene::with(&["--fault", "403:1"]);
    let lines = |outcome: &Outcome| {
        let objects = outcome.stderr.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        objects.collect::<Vec<_>>()
    };
    let refused = scene.command().args(["--log-format", "json", "--verbose"]).run();
    refused.ends_with(5);
    let last = lines(&refused).pop().unwrap();
    assert_eq!(last["level"], "error");
    assert!(last["message"].as_str().unwrap().starts_with("role ExampleRole: "), "{last}");
    let server = scene.serve(&["--log-format", "json", "--verbose"]);
    let said = server.end();
    for line in said.lines() {
        let object: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(object["time"].is_string() && object["message"].is_string(), "{line}");
    }
}
