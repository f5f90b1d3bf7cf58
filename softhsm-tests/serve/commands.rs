//! What `serve` and `env` take, say and answer.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::thread;
use std::time::Duration;

use super::{LISTING, Scene, Server, key_id};
use crate::support::command::{keyanchor, tool};
use crate::support::fault::Fault;
use crate::support::key::Key;
use crate::support::pki::Ca;
use crate::support::sandbox::ARNS;
use crate::support::softhsm::{SoftHsm, TEST_USER_PIN};
use crate::support::{Environment, Folder, text, until};

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
    let run = scene
        .sandbox
        .command("serve", flags)
        .args(["--role-arn", "arn:aws:iam::111122223333:role/path/Batch"])
        .args(["--imds-role", "Batch"]);
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
