//! `configure`: what it writes is what the AWS CLI and keyanchor read; what is not its own stays; what is refused changes nothing.

use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use keyanchor::provision::aws_config::{ProfileEntry, Replace, put};

use crate::support::command::{Outcome, Run, has_aws_cli, keyanchor};
use crate::support::key::{Key, KeyFile};
use crate::support::pki::{Ca, Certificate};
use crate::support::sandbox::{ARNS, Printed, Sandbox};
use crate::support::softhsm::{SoftHsm, TEST_USER_PIN};
use crate::support::{Folder, text};

const AWS_CONFIG: &str = ".aws/config";
const CONFIG: &str = ".config/keyanchor/config.toml";

/// A service, a key with its certificate in files, and the home of a person.
struct Scene {
    leaf: Certificate,
    key: KeyFile,
    sandbox: Sandbox,
    home: Folder,
}

impl Scene {
    fn new() -> Self {
        let ca = Ca::root("Root");
        let (leaf, key) = ca.leaf_with_key("host", Key::Ec256);
        Self { leaf, key, sandbox: Sandbox::trusting(&ca), home: Folder::new() }
    }

    /// At home, and nothing of the session named.
    fn bare(&self, arguments: &[&str]) -> Run {
        keyanchor(["configure"]).args(arguments).env("HOME", self.home.path())
    }

    fn configure(&self, arguments: &[&str]) -> Run {
        let here = ["--endpoint", self.sandbox.endpoint(), "--ca-bundle", text(self.sandbox.ca())];
        self.bare(&ARNS).args(here).args(arguments)
    }

    /// The same for the key and the certificate in files.
    fn of_files(&self, arguments: &[&str]) -> Run {
        let certificate = self.leaf.pem_path();
        let files = ["--certificate", text(&certificate), "--private-key", text(self.key.path())];
        self.configure(arguments).args(files)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.home.join(name)
    }

    fn write(&self, name: &str, content: &str) -> PathBuf {
        fs::create_dir_all(self.file(name).parent().unwrap()).unwrap();
        self.home.write(name, content)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap_or_default()
    }

    /// Who the profile is, according to the AWS CLI.
    #[track_caller]
    fn who_is(&self, profile: &str) -> Outcome {
        let ask = ["sts", "get-caller-identity", "--query", "Arn", "--output", "text", "--profile", profile];
        let run = Run::program("aws").args(ask).args(["--endpoint-url", self.sandbox.endpoint()]);
        run.env("HOME", self.home.path()).env("AWS_CA_BUNDLE", self.sandbox.ca()).run()
    }

    /// A setting of the profile as botocore reads it.
    #[track_caller]
    fn setting(&self, profile: &str, name: &str) -> String {
        let run = Run::program("aws").args(["configure", "get", name, "--profile", profile]);
        run.env("HOME", self.home.path()).run().succeeds().text().trim_end().to_owned()
    }

    /// `keyanchor credential-process --identity NAME` at home gets a credential.
    #[track_caller]
    fn vends(&self, identity: &str) {
        let run = keyanchor(["credential-process", "--identity", identity]).env("HOME", self.home.path());
        Printed::by(&run.run());
    }
}

#[track_caller]
fn is_example_role(outcome: &Outcome) {
    let arn = outcome.succeeds().text();
    assert!(arn.starts_with("arn:aws:sts::111122223333:assumed-role/ExampleRole/"), "{outcome}");
}

#[test]
fn a_profile_for_a_key_on_a_token_takes_one_command() {
    let scene = Scene::new();
    let ca = Ca::root("Of the token");
    let token = SoftHsm::new().token("aws cli");
    token.identity(Key::Ec256, "01", "web 01", &ca);
    let sandbox = Sandbox::trusting(&ca);
    scene.home.write("pin", TEST_USER_PIN);
    let scene = Scene { sandbox, ..scene };
    let uri = "pkcs11:token=aws%20cli;object=web%2001";
    let flags = ["--identity", "web", "--aws-profile", "my web", "--pkcs11", uri, "--pin-source", "file:pin"];
    let module = SoftHsm::module();
    let more = ["--pkcs11-lib", text(&module), "--cache"];
    // The program's folder of the moment is what a relative path means.
    let run = Run::program("sh").args(["-c", "cd \"$HOME\" && exec \"$@\"", "sh", env!("CARGO_BIN_EXE_keyanchor")]);
    let run = run.args(["configure"]).args(flags).args(more).args(ARNS).env("HOME", scene.home.path());
    let run = run.args(["--endpoint", scene.sandbox.endpoint(), "--ca-bundle", text(scene.sandbox.ca())]);
    let outcome = run.run();
    outcome.succeeds().stderr_contains("aws sts get-caller-identity --profile 'my web'");
    assert_eq!(outcome.text(), "", "stdout is for data");

    let line = format!("{} credential-process --identity web --cache", env!("CARGO_BIN_EXE_keyanchor"));
    let expected = format!("[profile \"my web\"]\ncredential_process = {line}\nregion = eu-central-1\n");
    assert_eq!(scene.read(AWS_CONFIG), expected);
    let mode = |name: &str| fs::metadata(scene.file(name)).unwrap().mode() & 0o7777;
    assert_eq!([AWS_CONFIG, CONFIG, ".aws", ".config/keyanchor"].map(mode), [0o600, 0o600, 0o700, 0o700]);
    assert!(!scene.read(CONFIG).contains(TEST_USER_PIN), "{}", scene.read(CONFIG));

    if has_aws_cli("a_profile_for_a_key_on_a_token_takes_one_command") {
        assert_eq!(scene.setting("my web", "credential_process"), line);
        assert_eq!(scene.setting("my web", "region"), "eu-central-1");
        for _ in 0..2 {
            let ask = ["sts", "get-caller-identity", "--query", "Arn", "--output", "text", "--profile", "my web"];
            let run = Run::program("aws").args(ask).args(["--endpoint-url", scene.sandbox.endpoint()]);
            let run = run.env("HOME", scene.home.path()).env("AWS_CA_BUNDLE", scene.sandbox.ca());
            is_example_role(&run.envs(token.env()).run());
        }
        assert_eq!(scene.sandbox.requests("/sessions").len(), 1, "--cache is in the line");
    }
}

#[test]
fn a_line_of_aws_signing_helper_is_taken_over_with_all_that_it_says() {
    let scene = Scene::new();
    let [_, anchor, _, profile, _, role] = ARNS;
    let (certificate, key) = (scene.leaf.pem_path(), scene.key.path());
    // As people write it, so that the AWS CLI hands the backslashes on.
    let before = format!(
        "# ours\n[default]\nregion = x\n\n[profile web]\noutput = json\n\
         credential_process = /usr/bin/aws_signing_helper credential-process \\\n    --certificate \"{}\" \\\n\
         \x20   --private-key={} \\\n    --trust-anchor-arn {anchor} --profile-arn={profile} --role-arn '{role}' \\\n\
         \x20   --with-proxy --debug --reuse-pin=true --region \"\" --endpoint {}\n# end\n\n[profile z]\nregion = z",
        certificate.display(),
        key.display(),
        scene.sandbox.endpoint(),
    );
    scene.write(AWS_CONFIG, &before);
    let outcome = scene.bare(&["--from", "web", "--ca-bundle", text(scene.sandbox.ca())]).run();
    outcome.succeeds().stderr_contains("left out: --with-proxy").stderr_contains("left out: --debug");
    let line = format!("{} credential-process --identity web --reuse-pin", env!("CARGO_BIN_EXE_keyanchor"));
    let (head, rest) = before.split_once("credential_process").unwrap();
    let (_, tail) = rest.split_once("# end").unwrap();
    let after = format!("{head}credential_process = {line}\nregion = eu-central-1\n# end{tail}");
    // The region follows the last setting of its profile.
    assert_eq!(scene.read(AWS_CONFIG), after);
    scene.vends("web");
    if has_aws_cli("a_line_of_aws_signing_helper_is_taken_over_with_all_that_it_says") {
        is_example_role(&scene.who_is("web"));
    }
    // Once more changes nothing, and says that there is nothing to take over.
    scene.bare(&["--from", "web"]).run().fails_with(2).stderr_contains("found one that takes an identity");
    assert_eq!(scene.read(AWS_CONFIG), after);
}

#[test]
fn a_line_from_stdin_can_be_for_another_profile() {
    let scene = Scene::new();
    let (certificate, key) = (scene.leaf.pem_path(), scene.key.path());
    let line = format!(
        "credential_process=aws_signing_helper credential-process --certificate {} --private-key {} --session-duration 900 {}\n",
        certificate.display(),
        key.display(),
        ARNS.join(" ")
    );
    let here = ["--endpoint", scene.sandbox.endpoint(), "--ca-bundle", text(scene.sandbox.ca())];
    let run = scene.bare(&["--from", "-", "--identity", "web", "--session-duration", "1800"]).args(here);
    run.input(line).run().succeeds();
    assert!(scene.read(CONFIG).contains("session-duration = 1800\n"), "flags win: {}", scene.read(CONFIG));
    assert!(scene.read(AWS_CONFIG).starts_with("[profile web]\n"), "{}", scene.read(AWS_CONFIG));
    scene.vends("web");
    // A long line of this program's own is shortened in the same way, and stays as it was about the cache.
    let line = format!("keyanchor credential-process --cache --timeout=5 --pkcs11 pkcs11:token=t {}", ARNS.join(" "));
    scene.bare(&["--from", "-", "--identity", "long"]).input(line).run().succeeds();
    let short = "credential-process --identity long --timeout=5 --cache\n";
    assert!(scene.read(AWS_CONFIG).contains(short), "{}", scene.read(AWS_CONFIG));
}

#[test]
fn a_pin_is_never_written_down() {
    let scene = Scene::new();
    let uri = "pkcs11:token=t;object=x?pin-value=test-pin-4711";
    let flags = ["--identity", "web", "--pkcs11", uri];
    let outcome = scene.configure(&flags).run();
    outcome.fails_with(2).stderr_contains("--pin-source file:PATH").stderr_lacks("4711");
    let line = format!("aws_signing_helper credential-process --certificate {uri} {}", ARNS.join(" "));
    let from = ["--from", "-", "--identity", "web"];
    scene.bare(&from).input(line.clone()).run().fails_with(2).stderr_contains("holds a PIN").stderr_lacks("4711");
    for flag in ["--tpm-key-password=test-pin-4711", "--pkcs8-password=test-pin-4711"] {
        let flags = ["--identity", "web", "--private-key", "/k.pem", "--certificate", "/c.pem", flag];
        scene.configure(&flags).run().fails_with(2).stderr_lacks("4711");
    }
    assert!(!scene.file(CONFIG).exists() && !scene.file(AWS_CONFIG).exists());
    // With a source in its place, the rest of the line is taken over.
    let run = scene.bare(&from).args(["--pin-source", "env:TOKEN_PIN"]).input(line);
    run.run().succeeds().stderr_lacks("4711");
    let config = scene.read(CONFIG);
    let expected = "certificate = \"pkcs11:token=t;object=x\"\npin-source = \"env:TOKEN_PIN\"\n";
    assert!(config.contains(expected) && !config.contains("4711"), "{config}");
}

#[test]
fn what_is_missing_is_listed_at_once() {
    let scene = Scene::new();
    let outcome = scene.bare(&["--identity", "web"]).run();
    for flag in ["--pkcs11", "--trust-anchor-arn", "--profile-arn", "--role-arn"] {
        outcome.fails_with(2).stderr_contains(flag);
    }
    scene.bare(&[]).run().fails_with(2).stderr_contains("--identity NAME");
}

#[test]
fn what_is_refused_changes_neither_file() {
    let scene = Scene::new();
    let config = "# mine\r\n[identity.web]\r\nkey = '/other.pem'\r\n";
    let aws_config = "[profile static]\naws_access_key_id = AKIA\n[profile other]\ncredential_process = /x\n[ profile odd ]\n\
                      [profile twice]\n[profile twice]\n[profile serves]\ncredential_process = aws_signing_helper serve --port 1\n";
    scene.write(CONFIG, config);
    scene.write(AWS_CONFIG, aws_config);
    scene.write(".aws/credentials", "[keys]\nregion = x\naws_access_key_id = AKIA\n");
    for (flags, said) in [
        (&["--identity", "web"][..], "config.toml:2: there is another [identity.web]"),
        (&["--identity", "new", "--aws-profile", "static"], "found aws_access_key_id in line 2"),
        (&["--identity", "new", "--aws-profile", "other"], "found credential_process in line 4"),
        (&["--identity", "new", "--aws-profile", "odd", "--force"], "write it as every SDK reads it"),
        (&["--identity", "new", "--aws-profile", "twice", "--force"], "lines 6 and 7"),
        (&["--identity", "keys", "--force"], "aws_access_key_id in line 3 of"),
        (&["--identity", "new", "--from", "serves"], "found the command serve"),
        (&["--identity", "new", "--from", "nobody"], "wanted a credential_process of profile nobody"),
        (&["--identity", "new", "--from", "other"], "found something else"),
        (&["--identity", "a/b"], "wanted a name of letters"),
        (&["--identity", "new", "--aws-profile", "a]b"], "wanted the name of a profile"),
        (&["--identity", "new", "--session-duration", "1"], "--session-duration: wanted"),
        (&["--identity", "new", "--role-arn", "arn:aws:iam::111122223333:role/Another"], "wanted one --role-arn"),
        (&["--identity", "new", "--endpoint", "nonsense"], "--endpoint"),
        (&["--identity", "new", "--aws-profile", "p", "--no-aws-profile"], "found both"),
    ] {
        scene.of_files(flags).run().fails_with(2).stderr_contains(said);
        assert_eq!((scene.read(CONFIG).as_str(), scene.read(AWS_CONFIG).as_str()), (config, aws_config), "{flags:?}");
    }
    // A file that is wrong already is said, with its line, and left alone.
    scene.write(CONFIG, "[identity.a]\nroll-arn = 'x'\n");
    scene.of_files(&["--identity", "new"]).run().fails_with(2).stderr_contains("config.toml:2: unknown key");
    assert_eq!(scene.read(AWS_CONFIG), aws_config);
}

#[test]
fn force_replaces_what_was_named_and_keeps_every_other_byte() {
    let scene = Scene::new();
    let config = "# mine\r\n[identity.web]\r\n# the key\r\nkey = '/other.pem' # old\r\n\r\n[identity.z] # last";
    let aws_config = "; mine\r\n[profile web] # here\r\n  AWS_ACCESS_KEY_ID : AKIA\r\n  # why\r\n  output=json\r\n\r\n[profile z]\r\nregion=z";
    let (real, link) = (scene.write("files/config", aws_config), scene.file(AWS_CONFIG));
    fs::create_dir(scene.file(".aws")).unwrap();
    symlink("../files/config", &link).unwrap();
    fs::set_permissions(&real, Permissions::from_mode(0o640)).unwrap();
    scene.write(CONFIG, config);
    scene.of_files(&["--identity", "web", "--force"]).run().succeeds();
    let line =
        format!("  credential_process = {} credential-process --identity web\r\n", env!("CARGO_BIN_EXE_keyanchor"));
    let expected = aws_config
        .replace("  AWS_ACCESS_KEY_ID : AKIA\r\n", "")
        .replace("output=json\r\n", &format!("output=json\r\n{line}  region = eu-central-1\r\n"));
    assert_eq!(scene.read(AWS_CONFIG), expected);
    assert_eq!(fs::read_link(&link).unwrap(), Path::new("../files/config"));
    assert_eq!(fs::metadata(&real).unwrap().mode() & 0o7777, 0o640);
    let after = scene.read(CONFIG);
    assert!(after.starts_with("# mine\r\n[identity.web]\r\n# the key\r\nkey = \""), "{after}");
    assert!(after.ends_with("\r\n\r\n[identity.z] # last") && !after.contains("other.pem"), "{after}");
    scene.vends("web");
    // The same again needs no force and writes nothing.
    let before = [AWS_CONFIG, CONFIG].map(|name| fs::metadata(scene.file(name)).unwrap().ino());
    scene.of_files(&["--identity", "web"]).run().succeeds();
    assert_eq!([AWS_CONFIG, CONFIG].map(|name| fs::metadata(scene.file(name)).unwrap().ino()), before);
}

#[test]
fn an_identity_alone_and_one_in_another_file() {
    let scene = Scene::new();
    scene.of_files(&["--identity", "web", "--no-aws-profile"]).run().succeeds();
    assert!(scene.file(CONFIG).exists() && !scene.file(".aws").exists());
    let (config, aws_config) = (scene.file("my files/c.toml"), scene.file("aws"));
    let run = scene.of_files(&["--identity", "web"]).env("KEYANCHOR_CONFIG", &config).env("AWS_CONFIG_FILE", "~/aws");
    run.run().succeeds();
    let line = fs::read_to_string(&aws_config).unwrap();
    let expected = format!("--identity web --config '{}'\n", config.display());
    assert!(line.contains(&expected), "SDKs have no KEYANCHOR_CONFIG: {line}");
    assert!(!scene.file(AWS_CONFIG).exists());
}

#[test]
fn a_program_that_is_called_by_a_link_is_named_by_the_link() {
    let scene = Scene::new();
    fs::create_dir(scene.file("bin")).unwrap();
    let link = scene.file("bin/keyanchor");
    symlink(env!("CARGO_BIN_EXE_keyanchor"), &link).unwrap();
    let path = format!("{}:{}", scene.file("bin").display(), std::env::var("PATH").unwrap());
    let (certificate, key) = (scene.leaf.pem_path(), scene.key.path());
    let run =
        Run::program("sh").args(["-c", "exec keyanchor \"$@\"", "sh", "configure", "--identity", "web"]).args(ARNS);
    let run = run.args(["--certificate", text(&certificate), "--private-key", text(key)]);
    run.env("HOME", scene.home.path()).env("PATH", path).run().succeeds();
    let expected = format!("credential_process = {} credential-process", link.display());
    assert!(scene.read(AWS_CONFIG).contains(&expected), "{}", scene.read(AWS_CONFIG));
}

#[test]
fn where_the_second_file_cannot_be_written_the_first_stays_as_it_was() {
    let scene = Scene::new();
    for (name, content) in [(AWS_CONFIG, "[default]\n"), (CONFIG, "# mine\n")] {
        scene.write(name, content);
    }
    scene.write(".aws/config.lock", "");
    scene.write(".config/keyanchor/config.toml.lock", "");
    // The owner is kept, which nobody can do for a file of root's.
    let user = (rustix::process::geteuid().is_root()).then_some(65534);
    chown(scene.file(CONFIG), user, user).unwrap();
    let modes = |file: u32, folder: u32| {
        for (name, mode) in [
            (".", 0o755),
            (".config", 0o755),
            (".config/keyanchor", 0o777),
            (CONFIG, 0o644),
            (".config/keyanchor/config.toml.lock", 0o666),
            (AWS_CONFIG, file),
            (".aws", folder),
            (".aws/config.lock", 0o666),
        ] {
            fs::set_permissions(scene.file(name), Permissions::from_mode(mode)).unwrap();
        }
    };
    for (file, folder) in [(0o444, 0o777), (0o666, 0o555)] {
        modes(file, folder);
        let run = scene.bare(&["--identity", "web", "--private-key", "/k.pem", "--certificate", "/c.pem"]).args(ARNS);
        let outcome = run.unprivileged().run();
        outcome.fails_with(1).stderr_contains("Permission denied").stderr_contains(text(&scene.file(AWS_CONFIG)));
        assert_eq!((scene.read(CONFIG).as_str(), scene.read(AWS_CONFIG).as_str()), ("# mine\n", "[default]\n"));
        let left: Vec<_> =
            fs::read_dir(scene.file(".config/keyanchor")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left.len(), 2, "the file and its lock: {left:?}");
    }
    modes(0o666, 0o777);
}

#[test]
fn a_sudden_death_leaves_both_files_whole_and_a_second_call_completes_them() {
    let scene = Scene::new();
    let old = ["# mine\n", "[default]\nregion = x\n"];
    let names = [CONFIG, AWS_CONFIG];
    let state = || names.map(|name| scene.read(name));
    let reset = || names.iter().zip(old).for_each(|(name, content)| drop(scene.write(name, content)));
    reset();
    scene.of_files(&["--identity", "web"]).run().succeeds();
    let new = state();
    let mut deaths = 0;
    for call in ["flock", "fchmod", "fsync", "rename"] {
        for n in 1.. {
            reset();
            let trace = format!("inject={call}:signal=KILL:when={n}");
            let run = Run::program("strace").args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}")]);
            let certificate = scene.leaf.pem_path();
            let run = run.args(["-e", &trace, env!("CARGO_BIN_EXE_keyanchor"), "configure", "--identity", "web"]);
            let run =
                run.args(ARNS).args(["--endpoint", scene.sandbox.endpoint(), "--ca-bundle", text(scene.sandbox.ca())]);
            let run = run.args(["--certificate", text(&certificate), "--private-key", text(scene.key.path())]);
            let survived = run.env("HOME", scene.home.path()).run().status.success();
            let [config, aws_config] = state();
            assert!(config == old[0] || config == new[0], "after death at {call} {n}:\n{config}");
            assert!(aws_config == old[1] || aws_config == new[1], "after death at {call} {n}:\n{aws_config}");
            assert!(config == new[0] || aws_config == old[1], "a line without its identity after {call} {n}");
            if survived {
                assert_eq!(state(), new);
                break;
            }
            deaths += 1;
            scene.of_files(&["--identity", "web"]).run().succeeds();
            assert_eq!(state(), new, "after death at {call} {n}");
        }
    }
    assert!(deaths >= 8, "only {deaths} deaths");
}

#[cfg(feature = "tpm")]
#[test]
fn an_identity_in_a_tpm_says_which_tpm() {
    use crate::support::swtpm::Swtpm;
    let (tpm, ca) = (Swtpm::start(), Ca::root("Root"));
    let key = tpm.openssl_key("-algorithm EC -pkeyopt group:P-256");
    tpm.tool("openssl pkey -provider tpm2 -provider default -in provider.pem -pubout -outform DER -out public.der");
    let leaf = ca.leaf("bound", &fs::read(tpm.path("public.der")).unwrap());
    let scene = Scene { leaf, sandbox: Sandbox::trusting(&ca), ..Scene::new() };
    let (certificate, tcti) = (scene.leaf.pem_path(), tpm.tcti());
    let flags = ["--identity", "bound", "--tpm", text(&key), "--certificate", text(&certificate), "--tcti", &tcti];
    scene.configure(&flags).run().succeeds();
    scene.vends("bound");
}

/// Reads pairs of files, before and after, and prints every pair that botocore finds changed beyond the profile `web`, or does not
/// find changed there.
const COMPARE: &str = r#"
import json, sys, tempfile
from botocore.configloader import build_profile_map, raw_config_parse
from botocore.exceptions import ConfigParseError
ours = ['credential_process', 'region', 'aws_access_key_id', 'sso_session']
def read(text):
    with tempfile.NamedTemporaryFile('w', newline='') as file:
        file.write(text); file.flush()
        return build_profile_map(raw_config_parse(file.name))
compared = 0
for before, after in json.load(sys.stdin):
    try:
        old = read(before)
    except ConfigParseError:
        continue
    compared += 1
    try:
        new = read(after)
        web, was = new['profiles'].pop('web'), old['profiles'].pop('web', {})
        region = was.get('region', 'eu-west-1')
        good = new == old and (web['credential_process'], web['region']) == ('/k --identity web', region)
        if not good or {k: v for k, v in was.items() if k not in ours} != {k: v for k, v in web.items() if k not in ours}:
            print(json.dumps([before, after]))
    except Exception as error:
        print(json.dumps([before, after, repr(error)]))
print(compared)
"#;

#[test]
fn botocore_finds_one_profile_changed_and_nothing_else() {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/clients/python/bin/python3");
    if !python.exists() {
        let _ = writeln!(std::io::stderr(), "skipped botocore: it is not in target/clients, see scripts/setup");
        return;
    }
    let parts = [
        "[profile web]",
        "[profile 'web']",
        "[ profile web ]",
        "[default]",
        "[web]",
        "credential_process = old",
        "  Credential_Process=old",
        "  region = y",
        "region: z",
        "s3 =",
        "  max = 1",
        "\taws_access_key_id = A",
        "sso_session = s",
        "",
        "# c",
        "  --more x",
    ];
    let web = "web".parse().unwrap();
    let entry = ProfileEntry { profile: &web, command: "/k --identity web", region: Some("eu-west-1") };
    let mut pairs = Vec::new();
    // Some of the files of a header and five such lines; a prime, so that all lines come everywhere.
    for number in (0..parts.len().pow(5) * 5).step_by(997) {
        let eol = if number % 2 == 0 { "\n" } else { "\r\n" };
        let mut lines = vec![parts[number % 5]];
        lines.extend((0..5).map(|place| parts[number / 5 / parts.len().pow(place) % parts.len()]));
        let before = lines.join(eol);
        if let Ok(after) = put(before.as_bytes(), entry, Replace::AllWays) {
            pairs.push((before, String::from_utf8(after).unwrap()));
        }
    }
    let outcome = Run::program(python).args(["-c", COMPARE]).input(serde_json::to_vec(&pairs).unwrap()).run();
    let said = outcome.succeeds().text().trim_end();
    assert!(said.parse::<u32>().is_ok_and(|compared| compared > 500), "{} pairs: {said}", pairs.len());
}
