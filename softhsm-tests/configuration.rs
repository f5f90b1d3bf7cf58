//! Identities from the configuration file, through the binary: what it names, what flags win over, what is wrong in it.

use std::path::{Path, PathBuf};

use crate::support::command::{Run, keyanchor};
use crate::support::key::{Key, KeyFile};
use crate::support::pki::{Ca, Certificate};
use crate::support::sandbox::{ARNS, Printed, Sandbox};
use crate::support::softhsm::{SoftHsm, TEST_USER_PIN};
use crate::support::{Folder, text};

/// A key in a file, its certificate, a service, and the configuration file that names them all.
struct Scene {
    ca: Ca,
    leaf: Certificate,
    key: KeyFile,
    sandbox: Sandbox,
    folder: Folder,
}

impl Scene {
    fn new() -> Self {
        let ca = Ca::root("Root");
        let (leaf, key) = ca.leaf_with_key("host", Key::Ec256);
        let sandbox = Sandbox::trusting(&ca);
        Self { ca, leaf, key, sandbox, folder: Folder::new() }
    }

    /// The settings of a session as the file has them.
    fn session(&self) -> String {
        let [_, anchor, _, profile, _, role] = ARNS;
        let endpoint = self.sandbox.endpoint();
        format!(
            "trust-anchor-arn = '{anchor}'\nprofile-arn = '{profile}'\nrole-arn = '{role}'\nendpoint = '{endpoint}'\n"
        )
    }

    fn of_files(&self) -> String {
        let (key, certificate) = (self.key.path().display(), self.leaf.pem_path());
        let certificate = certificate.display();
        format!("[identity.web]\nkey = '{key}'\ncertificate = '{certificate}'\n{}", self.session())
    }

    fn config(&self, content: impl AsRef<[u8]>) -> PathBuf {
        self.folder.write("config.toml", content)
    }

    fn run(&self, arguments: &[&str]) -> Run {
        keyanchor(arguments).env("AWS_CA_BUNDLE", self.sandbox.ca())
    }

    fn last(&self) -> String {
        self.sandbox.requests("/sessions").pop().unwrap()
    }
}

#[test]
fn an_identity_of_the_file_needs_no_other_flag() {
    let scene = Scene::new();
    let config = scene.config(scene.of_files());
    let flags = ["credential-process", "--identity", "web", "--config", text(&config)];
    Printed::by(&scene.run(&flags).run());
    let by_variables = scene.run(&flags[..1]).env("KEYANCHOR_IDENTITY", "web").env("KEYANCHOR_CONFIG", &config);
    Printed::by(&by_variables.run());
    let at_home = scene.run(&flags[..3]);
    let folder = at_home.home().join(".config/keyanchor");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::copy(&config, folder.join("config.toml")).unwrap();
    Printed::by(&at_home.run());
    for command in ["sign-string", "read-certificate-data"] {
        scene.run(&[&[command], &flags[1..]].concat()).run().succeeds();
    }
}

#[test]
fn paths_are_relative_to_the_file() {
    let scene = Scene::new();
    std::fs::copy(scene.key.path(), scene.folder.join("key.pem")).unwrap();
    std::fs::copy(scene.leaf.pem_path(), scene.folder.join("leaf.pem")).unwrap();
    let config =
        scene.config(format!("[identity.web]\nkey = 'key.pem'\ncertificate = 'leaf.pem'\n{}", scene.session()));
    Printed::by(&scene.run(&["credential-process", "--identity", "web", "--config", text(&config)]).run());
}

#[test]
fn flags_win_over_the_file() {
    let scene = Scene::new();
    let config = scene.config(scene.of_files());
    let (other, key) = scene.ca.leaf_with_key("other", Key::Ec256);
    let (certificate, role) = (other.pem_path(), "arn:aws:iam::111122223333:role/OtherRole");
    let flags = ["credential-process", "--identity", "web", "--config", text(&config), "--role-arn", role];
    let keys = ["--certificate", text(&certificate), "--private-key", text(key.path())];
    Printed::by(&scene.run(&[&flags[..], &keys].concat()).run());
    assert!(scene.last().contains("leaf=\"CN=other\"") && scene.last().contains("/OtherRole/"), "{}", scene.last());
}

#[test]
fn a_token_key_of_the_file_has_its_pin_and_module_there_too() {
    let scene = Scene::new();
    let token = SoftHsm::new().token("t");
    token.identity(Key::Ec256, "01", "on token", &scene.ca);
    scene.folder.write("pin", TEST_USER_PIN);
    let module = SoftHsm::module();
    let config = scene.config(format!(
        "[identity.hsm]\nkey = 'pkcs11:token=t;object=on%20token'\npkcs11-lib = '{}'\npin-source = 'file:pin'\n{}",
        module.display(),
        scene.session()
    ));
    let flags = ["--identity", "hsm", "--config", text(&config)];
    Printed::by(&scene.run(&[&["credential-process"], &flags[..]].concat()).envs(token.env()).run());
    assert!(scene.last().contains("leaf=\"CN=on token\""), "{}", scene.last());
    scene.run(&[&["sign-string"], &flags[..]].concat()).envs(token.env()).run().succeeds();
}

#[test]
fn the_pin_of_the_file_is_not_tried_on_another_token() {
    let scene = Scene::new();
    let hsm = SoftHsm::new();
    let token = hsm.token("mine");
    token.identity(Key::Ec256, "01", "mine", &scene.ca);
    let pin = scene.folder.write("pin", "test-pin-of-another-token");
    let config = scene.config(format!(
        "[identity.hsm]\nkey = 'pkcs11:token=another;object=x'\npin-source = 'file:{}'\n{}",
        pin.display(),
        scene.session()
    ));
    let flags = ["credential-process", "--identity", "hsm", "--config", text(&config), "--pkcs11", "pkcs11:token=mine"];
    let run = scene.run(&flags).args(["--pkcs11-lib", text(&SoftHsm::module())]).envs(token.env());
    Printed::by(&run.env("KEYANCHOR_PIN", TEST_USER_PIN).run());
}

#[test]
fn what_is_wrong_in_the_file_is_said_with_its_line() {
    let scene = Scene::new();
    let ask = |config: &Path, identity: &str| {
        scene.run(&["credential-process", "--config", text(config), "--identity", identity]).run()
    };
    let config = scene.config(scene.of_files());
    ask(&config, "wbe")
        .fails_with(2)
        .stderr_contains("wanted [identity.wbe], found web\nhint: name one of these: --identity web");
    let config = scene.config(format!("{}roll-arn = 'x'\n", scene.of_files()));
    ask(&config, "web").fails_with(2).stderr_contains("config.toml:8: unknown key roll-arn");
    ask(Path::new("/nonexistent/config.toml"), "web").fails_with(2).stderr_contains("cannot read it");
    let config = scene.config("[identity.web]\nkey = 'pkcs11:token=t?pin-value=test-4711'\n");
    ask(&config, "web").fails_with(2).stderr_contains("config.toml:2: ").stderr_lacks("4711");
    scene
        .run(&["credential-process", "--config", text(&config)])
        .run()
        .fails_with(2)
        .stderr_contains("--identity NAME");
}
