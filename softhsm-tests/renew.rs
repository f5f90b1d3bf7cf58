//! `keyanchor renew`: by the local authority and by commands of other CAs. The old certificate is at work until the new one is.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::support::command::{Run, keyanchor};
use crate::support::key::{Key, KeyFile};
use crate::support::pki::{Ca, Draft, bundle};
#[cfg(feature = "tpm")]
use crate::support::sandbox::ARNS;
use crate::support::sandbox::{Printed, Sandbox};
use crate::support::softhsm::{SoftHsm, TEST_USER_PIN, Token};
use crate::support::spy::Spy;
#[cfg(feature = "tpm")]
use crate::support::swtpm::Swtpm;
use crate::support::{Folder, openssl, text};

const URI: &str = "pkcs11:token=demo;object=web-01";

/// An authority of ours, a token whose key it has certified, and a service that trusts the authority.
struct OnToken {
    folder: Folder,
    token: Token,
    spy: Spy,
    sandbox: Sandbox,
}

impl OnToken {
    fn new(more: &[&str]) -> Self {
        let (folder, hsm) = (Folder::new(), SoftHsm::new());
        let token = hsm.token("demo");
        token.generate(Key::Ec256, "01", "web-01");
        let ca = folder.join("ca");
        let init = ["ca", "init", "--ca", text(&ca), "--subject", "CN=Test Root"];
        keyanchor(init).args(more).run().succeeds();
        let root = ca.join("root.pem");
        let sandbox = Sandbox::start(["--trust-anchor", text(&root)]);
        let made = Self { folder, token, spy: Spy::before(SoftHsm::module()), sandbox };
        let issue = ["ca", "issue", "--ca", text(&ca), "--subject", "CN=web-01,O=Example", "--dns", "web-01.example"];
        made.on_token(keyanchor(issue).args(["--days", "5", "--pkcs11", URI, "--certificate", URI])).run().succeeds();
        made
    }

    fn ca(&self) -> PathBuf {
        self.folder.join("ca")
    }

    fn on_token(&self, run: Run) -> Run {
        run.envs(self.token.env())
            .envs(self.spy.env())
            .env("KEYANCHOR_PKCS11_LIB", Spy::module())
            .env("KEYANCHOR_PIN", TEST_USER_PIN)
    }

    fn renew(&self, more: &[&str]) -> Run {
        self.on_token(keyanchor(["renew", "--pkcs11", URI]).args(more))
    }

    /// The end of the certificate that credentials are got with, which must be got.
    #[track_caller]
    fn works_until(&self) -> String {
        Printed::by(&self.on_token(self.sandbox.credential_process(["--pkcs11", URI])).run());
        let shown = self.on_token(keyanchor(["certificate", "show", "--json", "--pkcs11", URI])).run();
        shown.succeeds().json()["notAfter"].as_str().unwrap().to_owned()
    }

    fn certificates(&self) -> usize {
        self.token.listing().matches("Certificate Object;").count()
    }
}

#[test]
fn a_certificate_on_a_token_is_renewed_and_the_old_one_stays_beside_it() {
    let scene = OnToken::new(&[]);
    let before = scene.works_until();
    let calls = scene.spy.calls();
    let outcome = scene.renew(&["--ca", text(&scene.ca())]).run();
    outcome.succeeds().stderr_contains("renewed CN=web-01,O=Example: serial number ");
    outcome.stderr_contains("the old certificate is kept: beside it on the token, serial ");
    assert!(outcome.text().starts_with("pkcs11:") && outcome.text().ends_with('\n'), "{outcome}");
    assert_eq!(scene.spy.calls().of("C_Sign") - calls.of("C_Sign"), 0, "the public half is enough for the authority");
    assert_eq!(scene.spy.calls().of("C_Login") - calls.of("C_Login"), 1);
    assert_eq!(scene.certificates(), 2);
    let after = scene.works_until();
    assert!(after > before, "{after} after {before}");
    let shown = scene.on_token(keyanchor(["certificate", "show", "--pkcs11", URI])).run();
    shown.stdout_contains("DNS:web-01.example").stdout_contains("subject          CN=web-01,O=Example\n");
    // The next one takes the place of the newest and leaves the oldest alone.
    let outcome = scene.renew(&["--ca", text(&scene.ca()), "--remove-old", "--days", "80"]).run();
    outcome.succeeds().stderr_lacks("is kept");
    assert_eq!(scene.certificates(), 2);
    scene.works_until();
}

#[test]
fn a_session_proves_the_new_certificate_before_it_is_put_in_place() {
    let scene = OnToken::new(&[]);
    let session = |sandbox: &Sandbox, more: &[&str]| {
        scene.on_token(sandbox.command("renew", ["--pkcs11", URI, "--ca", text(&scene.ca())])).args(more).run()
    };
    let calls = scene.spy.calls();
    session(&scene.sandbox, &[]).succeeds();
    assert_eq!(scene.spy.calls().of("C_Sign") - calls.of("C_Sign"), 1);
    assert_eq!(scene.sandbox.requests("/sessions").len(), 1);
    assert_eq!(scene.certificates(), 2);
    let stranger = Sandbox::trusting(&Ca::root("Other"));
    let outcome = session(&stranger, &[]);
    outcome.fails_with(5).stderr_contains("; nothing was changed, and what was issued is not used");
    assert_eq!(scene.certificates(), 2);
    let ca = scene.ca();
    let listed = keyanchor(["ca", "list", "--json", "--ca", text(&ca)]).run().succeeds().json();
    let serial = listed.as_array().unwrap().last().unwrap()["serial"].as_str().unwrap().to_owned();
    outcome.stderr_contains(&format!("it has the serial number {serial} and stays valid until it is revoked"));
    let revoke = ["ca", "revoke", "--ca", text(&ca), "--serial", &serial, "--reason", "superseded"];
    outcome.stderr_contains(&format!("revoke it: keyanchor {}", revoke.join(" ")));
    keyanchor(revoke).run().succeeds();
    session(&stranger, &["--offline"]).succeeds();
    assert_eq!(scene.certificates(), 3);
    scene.works_until();
}

#[test]
fn a_new_key_gets_its_certificate_and_the_old_pair_goes_on() {
    let scene = OnToken::new(&[]);
    let before = scene.works_until();
    scene.token.generate(Key::Ec384, "02", "web-02");
    let new = "pkcs11:token=demo;object=web-02";
    let outcome = scene.renew(&["--ca", text(&scene.ca()), "--new-key", new]).run();
    outcome
        .succeeds()
        .stderr_contains("the new pair: --private-key 'pkcs11:token=demo;object=web-02' --certificate 'pkcs11:");
    assert_eq!(scene.works_until(), before, "the old pair");
    Printed::by(&scene.on_token(scene.sandbox.credential_process(["--pkcs11", new])).run());
    let absent = scene.renew(&["--ca", text(&scene.ca()), "--new-key", "pkcs11:token=demo;object=absent"]).run();
    absent.fails_with(3).stderr_contains("absent");
    assert_eq!(scene.certificates(), 2);
    // Each of the two is renewed again, whatever the other has.
    for key in [URI, new] {
        let again = keyanchor(["renew", "--pkcs11", key, "--ca", text(&scene.ca())]);
        scene.on_token(again).run().succeeds();
        Printed::by(&scene.on_token(scene.sandbox.credential_process(["--pkcs11", key])).run());
    }
}

#[test]
fn an_authority_that_is_missing_is_told_before_anybody_types_a_pin() {
    let scene = OnToken::new(&[]);
    let nowhere = scene.folder.join("nowhere");
    let outcome = scene.renew(&["--ca", text(&nowhere)]).env("KEYANCHOR_PIN", "").run();
    outcome
        .fails_with(2)
        .stderr_contains("found no ca.toml there")
        .stderr_contains("hint: make one: keyanchor ca init");
}

#[test]
fn a_service_that_cannot_be_reached_costs_no_certificate() {
    let scene = OnToken::new(&[]);
    let issued = || keyanchor(["ca", "list", "--ca", text(&scene.ca())]).run().succeeds().text().to_owned();
    let before = issued();
    let session = scene.sandbox.command("renew", ["--pkcs11", URI, "--ca", text(&scene.ca())]);
    let outcome = scene.on_token(session).args(["--endpoint", "http://127.0.0.1:1"]).run();
    outcome.fails_with(6).stderr_contains("127.0.0.1");
    assert_eq!(issued(), before);
    assert_eq!(scene.certificates(), 1);
}

#[test]
fn an_issuer_that_nobody_would_find_later_is_a_reason_to_stop() {
    let scene = OnToken::new(&["--intermediate-subject", "CN=Test Clients"]);
    let lacking = scene.renew(&["--ca", text(&scene.ca())]).run();
    lacking.fails_with(7).stderr_contains("wanted the certificate of the issuer CN=Test Clients on the token or in");
    assert_eq!(scene.certificates(), 1);
    let between = scene.ca().join("intermediate.pem");
    scene.renew(&["--ca", text(&scene.ca()), "--intermediates", text(&between)]).run().succeeds();
    assert_eq!(scene.certificates(), 2);
}

#[cfg(feature = "tpm")]
#[test]
fn an_identity_of_the_configuration_file_with_its_key_in_a_tpm_is_renewed_by_its_name() {
    let (folder, tpm) = (Folder::new(), Swtpm::start());
    tpm.make_srk("0x81000001");
    let (ca, certificate) = (folder.join("ca"), folder.join("web-01.pem"));
    let key = tpm.openssl_key("-algorithm EC -pkeyopt group:P-256");
    keyanchor(["ca", "init", "--ca", text(&ca), "--subject", "CN=Root"]).run().succeeds();
    let device = ["--tpm", text(&key), "--tcti", &tpm.tcti()];
    let issue = ["ca", "issue", "--ca", text(&ca), "--subject", "CN=web-01", "--certificate", text(&certificate)];
    keyanchor(issue).args(["--days", "5"]).args(device).run().succeeds();
    let sandbox = Sandbox::start(["--trust-anchor", text(&ca.join("root.pem"))]);
    let settings = [
        ("key", text(&key)),
        ("tcti", &tpm.tcti()),
        ("certificate", text(&certificate)),
        ("endpoint", sandbox.endpoint()),
        ("ca-bundle", text(sandbox.ca())),
        ("trust-anchor-arn", ARNS[1]),
        ("profile-arn", ARNS[3]),
        ("role-arn", ARNS[5]),
        ("ca", "ca"),
    ];
    let lines: String = settings.iter().map(|(name, value)| format!("{name} = \"{value}\"\n")).collect();
    let config = folder.write("config.toml", format!("[identity.web]\n{lines}"));
    let named = ["--config", text(&config), "--identity", "web"];
    let before = serial(&certificate);
    let early = keyanchor(["renew", "--within", "4"]).args(named).run();
    early.succeeds().stderr_contains("nothing to be done: CN=web-01 is good until ");
    assert_eq!((serial(&certificate), sandbox.requests("/sessions").len()), (before.clone(), 0));
    let due = keyanchor(["renew", "--within", "5"]).args(named).run();
    due.succeeds().stderr_contains("renewed CN=web-01: ");
    assert_eq!(sandbox.requests("/sessions").len(), 1, "it was proved");
    assert_ne!(serial(&certificate), before);
    Printed::by(&keyanchor(["credential-process"]).args(named).run());
    assert_eq!(tpm.left_behind(), "");
}

/// A key and a certificate in files, issued by openssl, and a command that has openssl issue another one.
struct InFiles {
    ca: Ca,
    key: KeyFile,
    folder: Folder,
    certificate: PathBuf,
}

impl InFiles {
    fn new() -> Self {
        let (ca, key, folder) = (Ca::root("Root"), KeyFile::generate(Key::Rsa2048), Folder::new());
        let leaf = ca.issue(&Draft::leaf("web-01").valid(-7200, 86_400), key.public_key());
        let certificate = folder.write("web-01.pem", leaf.pem());
        Self { ca, key, folder, certificate }
    }

    /// What a person would write: openssl as the CA, with the extensions that the request asks for.
    fn command(&self) -> String {
        let issuer = self.ca.key_path();
        let root = self.ca.certificate.pem_path();
        let (request, extensions) = (self.folder.join("request"), self.folder.join("extensions"));
        std::fs::write(&extensions, "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n")
            .unwrap();
        format!(
            "cat > {request} && openssl req -verify -noout -in {request} && test \"$KEYANCHOR_RENEW_SUBJECT\" = CN=web-01 && \
             test -z \"$KEYANCHOR_PIN\" && echo issuing >&2 && openssl x509 -req -in {request} -CA {root} -CAkey {issuer} \
             -set_serial 0x4711 -days 30 -extfile {extensions}",
            request = text(&request),
            root = text(&root),
            issuer = text(issuer),
            extensions = text(&extensions),
        )
    }

    fn renew(&self, command: &str) -> Run {
        let files = ["--private-key", text(self.key.path()), "--certificate", text(&self.certificate)];
        keyanchor(["renew", "--ca-command", command]).args(files).env("KEYANCHOR_PIN", TEST_USER_PIN)
    }

    fn old(&self) -> PathBuf {
        PathBuf::from(format!("{}.old", text(&self.certificate)))
    }

    /// Runs a renewal that must fail and change nothing.
    #[track_caller]
    fn refuses(&self, command: &str, more: &[&str], code: i32, message: &str) {
        let before = std::fs::read(&self.certificate).unwrap();
        let outcome = self.renew(command).args(more).run();
        outcome.fails_with(code).stderr_contains(message);
        assert_eq!(std::fs::read(&self.certificate).unwrap(), before, "{outcome}");
        assert!(!self.old().exists(), "{outcome}");
    }
}

fn serial(path: &Path) -> String {
    openssl(&["x509", "-in", text(path), "-noout", "-serial"]).trim().to_owned()
}

#[test]
fn a_command_that_calls_openssl_renews_a_file_and_the_old_one_stays_beside_it() {
    let scene = InFiles::new();
    let (sandbox, first) = (Sandbox::trusting(&scene.ca), std::fs::read_to_string(&scene.certificate).unwrap());
    let files = ["--private-key", text(scene.key.path()), "--certificate", text(&scene.certificate)];
    let works = || Printed::by(&sandbox.credential_process(files).run());
    works();
    let outcome = scene.renew(&scene.command()).run();
    assert_eq!(outcome.succeeds().text(), format!("{}\n", text(&scene.certificate)));
    outcome
        .stderr_contains("issuing\n")
        .stderr_contains(&format!("the old certificate is kept: {}", text(&scene.old())));
    assert_eq!(serial(&scene.certificate), "serial=4711");
    assert_eq!(std::fs::read_to_string(scene.old()).unwrap(), first);
    works();
    // What an earlier renewal left there makes room; anything else does not.
    let command = scene.command().replace("0x4711", "0x4712");
    scene.renew(&command).run().succeeds();
    assert_eq!((serial(&scene.certificate), serial(&scene.old())), ("serial=4712".into(), "serial=4711".into()));
    std::fs::write(scene.old(), "something of somebody's\n").unwrap();
    let outcome = scene.renew("touch asked; false").run();
    outcome
        .fails_with(2)
        .stderr_contains("for the old certificate, found something else there")
        .stderr_contains("hint: move it away: mv ");
    assert_eq!(serial(&scene.certificate), "serial=4712");
    let command = scene.command().replace("0x4711", "0x4713");
    scene.renew(&command).arg("--remove-old").run().succeeds();
    assert_eq!(std::fs::read_to_string(scene.old()).unwrap(), "something of somebody's\n");
    assert_eq!(serial(&scene.certificate), "serial=4713");
}

#[test]
fn a_private_key_beside_the_certificate_stays_where_it_is() {
    let scene = InFiles::new();
    let key = std::fs::read_to_string(scene.key.path()).unwrap();
    let leaf = std::fs::read_to_string(&scene.certificate).unwrap();
    std::fs::write(&scene.certificate, format!("{key}{leaf}")).unwrap();
    let outcome =
        keyanchor(["renew", "--ca-command", &scene.command(), "--certificate", text(&scene.certificate)]).run();
    outcome.succeeds();
    let content = std::fs::read_to_string(&scene.certificate).unwrap();
    assert!(content.starts_with("-----BEGIN CERTIFICATE-----") && content.ends_with(&key), "{content}");
    keyanchor(["sign-string", "--certificate", text(&scene.certificate)]).run().succeeds();
}

#[test]
fn what_is_no_successor_changes_nothing() {
    let scene = InFiles::new();
    let file = |name: &str, content: String| text(&scene.folder.write(name, content)).to_owned();
    let cat = |path: String| format!("cat {path}");
    let other = KeyFile::generate(Key::Ec256);
    let draft = |draft: &Draft| scene.ca.issue(draft, scene.key.public_key()).pem();
    scene.refuses("exit 7", &[], 1, "it ended with exit status: 7");
    scene.refuses("true", &[], 1, "found nothing");
    scene.refuses("sleep 60", &["--ca-timeout", "0.2"], 1, "within 0.2 s");
    scene.refuses(&cat(text(&scene.certificate).to_owned()), &[], 7, "found the old one again");
    let older = file("older.pem", draft(&Draft::leaf("web-01").valid(-14_400, 80_000)));
    scene.refuses(&cat(older), &[], 7, "wanted a newer certificate than serial ");
    let of_other = file("other.pem", scene.ca.leaf("web-01", other.public_key()).pem());
    scene.refuses(&cat(of_other), &[], 3, "new certificate CN=web-01: wanted the private key of the certificate");
    let of_ca = file("ca.pem", draft(&Draft::ca("web-01")));
    scene.refuses(&cat(of_ca), &[], 7, "wanted an end-entity certificate, found one of a CA");
    let expired = file("expired.pem", draft(&Draft::leaf("web-01").expired()));
    scene.refuses(&cat(expired), &[], 7, "does not take the new certificate CN=web-01: it expired at ");
    let stranger = Ca::root("Stranger");
    let elsewhere = file("elsewhere.pem", stranger.leaf("web-01", scene.key.public_key()).pem());
    scene.refuses(
        &cat(elsewhere),
        &[],
        7,
        "wanted a path to CN=Root, as the old certificate has, found one that ends at CN=Stranger",
    );
    scene.refuses("true", &["--ca", "ca"], 2, "wanted --ca or --ca-command, found both");
    scene.refuses("", &[], 2, "found no --ca and no --ca-command");
    scene.refuses("true", &["--within", "soon"], 2, "--within: wanted a whole number");
    scene.refuses("true", &["--new-key", text(other.path())], 2, "hint: name a file for the new certificate: --out ");
    scene.refuses("true", &["--out", "new.pem", "--remove-old"], 2, "found another place");
}

#[test]
fn what_a_command_gives_above_the_leaf_goes_into_the_file_behind_it() {
    let scene = InFiles::new();
    let middle = scene.ca.intermediate("Middle");
    let leaf = middle.issue(&Draft::leaf("web-01"), scene.key.public_key());
    let given = scene.folder.write("given.pem", bundle([&scene.ca.certificate, &middle.certificate, &leaf]));
    let sandbox = Sandbox::trusting(&scene.ca);
    let files = ["--private-key", text(scene.key.path()), "--certificate", text(&scene.certificate)];
    let command = format!("cat {}", text(&given));
    sandbox.command("renew", files).args(["--ca-command", &command]).run().succeeds();
    assert_eq!(std::fs::read_to_string(&scene.certificate).unwrap(), bundle([&leaf, &middle.certificate]));
    Printed::by(&sandbox.credential_process(files).run());
}

#[test]
fn a_new_key_in_a_file_gets_a_new_file() {
    let scene = InFiles::new();
    let (new, out) = (KeyFile::generate(Key::Ec256), scene.folder.join("new.pem"));
    let before = std::fs::read_to_string(&scene.certificate).unwrap();
    let arguments = ["--new-key", text(new.path()), "--out", text(&out)];
    scene.renew(&scene.command()).args(arguments).run().succeeds();
    assert_eq!(std::fs::read_to_string(&scene.certificate).unwrap(), before);
    let pair = ["--private-key", text(new.path()), "--certificate", text(&out)];
    keyanchor(["sign-string"]).args(pair).run().succeeds();
    let again = scene.renew(&scene.command()).args(arguments).run();
    again.fails_with(2).stderr_contains("error: --out: wanted a new file, found ").stderr_contains("which exists");
    again.stderr_contains("hint: name another: --out ");
}

#[test]
fn a_folder_that_cannot_be_written_costs_no_certificate() {
    let scene = InFiles::new();
    let asked = scene.folder.join("asked");
    let allow = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    allow(scene.key.folder().path(), 0o755);
    allow(scene.key.path(), 0o644);
    let refused = |message: &str| {
        allow(&scene.certificate, 0o666);
        allow(scene.folder.path(), 0o555);
        let outcome = scene.renew(&format!("touch {}", text(&asked))).unprivileged().run();
        allow(scene.folder.path(), 0o755);
        outcome.fails_with(1).stderr_contains(message);
        assert!(!asked.exists());
    };
    refused("error: cannot open the lock file ");
    // One that an earlier change has left behind.
    allow(&scene.folder.write("web-01.pem.lock", ""), 0o666);
    refused("error: cannot write in ");
}
