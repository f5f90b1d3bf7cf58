//! Key files that are missing, of another kind, or in another form.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::{FileIdentity, KEY, NO_HINT, ask, named, refused, without_request, without_secrets};
use crate::support::Folder;
use crate::support::command::{Outcome, Run, keyanchor, tool};
use crate::support::key::{Key, KeyFile};

const PASSWORD: &str = "test-secret-password";

/// Both commands that read a key say the same.
#[track_caller]
fn key_is_refused(path: &Path, error: &[&str], hint: &str) {
    let identity = FileIdentity::new(Key::Ec256);
    let outcome = without_request(|endpoint| named(ask(endpoint), &identity.leaf.pem_path(), path));
    let name = path.display().to_string();
    refused(&outcome, KEY, &[error, &[name.as_str()]].concat(), hint);
    refused(&sign(path), KEY, &[error, &[name.as_str()]].concat(), hint);
}

fn sign(path: &Path) -> Outcome {
    keyanchor(["sign-string", "--private-key"]).arg(path).run()
}

/// Runs the command that the hint gives, as a person would paste it, and gives the file that it made.
#[track_caller]
fn converted(folder: &Folder, path: &Path, password: bool) -> PathBuf {
    let outcome = sign(path);
    let hint = outcome.stderr.split_once("hint: convert it: ").map(|(_, hint)| hint.trim().to_owned());
    let mut command = hint.unwrap_or_else(|| panic!("no command\n{outcome}"));
    let made = command.split(' ').rev().find(|word| word.ends_with(".pem")).unwrap().to_owned();
    if password {
        // What openssl would ask on the terminal.
        command.push_str(&format!(" -passin pass:{PASSWORD}"));
    }
    Run::program("sh").args(["-c", &command]).run().succeeds();
    let made = folder.join(made);
    sign(&made).succeeds();
    made
}

fn openssl<const N: usize>(arguments: [&str; N]) {
    tool("openssl", arguments, Vec::new());
}

#[test]
fn a_key_file_that_is_missing_or_a_directory_is_named() {
    let folder = Folder::new();
    let hint = format!("see what is there: ls -la {}", folder.path().display());
    key_is_refused(&folder.join("absent.pem"), &["cannot read", "absent.pem: no such file"], &hint);
    key_is_refused(&folder.join("a/b/absent.pem"), &["cannot read", "absent.pem: no such file"], &hint);
    key_is_refused(folder.path(), &["cannot read", "it is a directory"], NO_HINT);
}

#[test]
fn garbage_is_no_key() {
    let folder = Folder::new();
    let found = |content: &[u8], found: &str| {
        let file = folder.write("key", content);
        key_is_refused(&file, &["wanted a private key", found], NO_HINT);
    };
    found(b"", "an empty file");
    found(b"hello world\n", "text without PEM in it");
    found(&[0, 1, 2, 0xff], "a format that is not known here");
    found(b"-----BEGIN PUBLIC KEY-----\nAQID\n-----END PUBLIC KEY-----\n", "found only PUBLIC KEY");
    let cut = folder.write("cut.pem", "-----BEGIN PRIVATE KEY-----\nAQID\n");
    key_is_refused(&cut, &["wanted a line '-----END PRIVATE KEY-----' after line 1", "cut off"], NO_HINT);
    let damaged = folder.write("damaged.pem", "-----BEGIN PRIVATE KEY-----\nAQID\n-----END PRIVATE KEY-----\n");
    key_is_refused(&damaged, &["wanted a private key in PKCS#8"], NO_HINT);
    key_is_refused(Path::new("/dev/zero"), &["found more than 1048576 octets"], NO_HINT);
}

#[test]
fn keys_that_roles_anywhere_does_not_take_are_named() {
    let key = KeyFile::generate(Key::Ed25519);
    key_is_refused(key.path(), &["wanted an RSA or EC private key, found Ed25519"], NO_HINT);
    let key = KeyFile::generate(Key::Secp256k1);
    key_is_refused(key.path(), &["P-256, P-384 or P-521", "secp256k1"], NO_HINT);
}

#[test]
fn a_key_that_this_account_may_not_read_says_so() {
    let key = KeyFile::generate(Key::Ec256);
    let run = keyanchor(["sign-string", "--private-key"]);
    let path = run.home().join("key.pem");
    std::fs::copy(key.path(), &path).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o000)).unwrap();
    let outcome = run.arg(&path).unprivileged().run();
    refused(&outcome, KEY, &["cannot read", "key.pem: permission denied"], "namei -l ");
}

#[test]
fn a_pkcs8_key_with_a_password_is_refused_with_the_command_that_decrypts_it() {
    let key = KeyFile::generate(Key::Ec256);
    let encrypted = key.encrypted_pem(PASSWORD);
    key_is_refused(&encrypted, &["wanted an unencrypted private key", "ENCRYPTED PRIVATE KEY"], "openssl pkey -in ");
    converted(key.folder(), &encrypted, true);

    // The peer takes the password on the command line; here it must not be echoed.
    let outcome = keyanchor(["sign-string", "--pkcs8-password", PASSWORD, "--private-key"]).arg(&encrypted).run();
    refused(&outcome, KEY, &["wanted an unencrypted private key"], "openssl pkey -in ");
}

#[test]
fn an_old_encrypted_key_is_refused_alike() {
    let key = KeyFile::generate(Key::Ec256);
    let (from, to) = (key.path().to_str().unwrap().to_owned(), key.folder().join("old.pem"));
    let password = format!("pass:{PASSWORD}");
    openssl(["ec", "-in", &from, "-aes128", "-passout", &password, "-out", to.to_str().unwrap()]);
    key_is_refused(&to, &["wanted an unencrypted private key", "EC PRIVATE KEY"], "openssl pkey -in ");
    converted(key.folder(), &to, true);
}

#[test]
fn a_pkcs12_file_is_refused_with_the_command_that_unpacks_it() {
    let identity = FileIdentity::new(Key::Ec256);
    let to = identity.key.folder().join("identity.p12");
    let (key, leaf) = (identity.key.path().to_str().unwrap().to_owned(), identity.leaf.pem_path());
    let password = format!("pass:{PASSWORD}");
    openssl([
        "pkcs12",
        "-export",
        "-inkey",
        &key,
        "-in",
        leaf.to_str().unwrap(),
        "-passout",
        &password,
        "-out",
        to.to_str().unwrap(),
    ]);
    key_is_refused(&to, &["wanted a private key in PEM, found PKCS#12"], "openssl pkcs12 -in ");
    let made = converted(identity.key.folder(), &to, true);
    // Key and certificate are in it.
    let sandbox = identity.sandbox(&[]);
    let outcome = ask(sandbox.endpoint()).arg("--certificate").arg(made).arg("--ca-bundle").arg(sandbox.ca()).run();
    outcome.succeeds();
    without_secrets(&outcome);
}

#[test]
fn a_key_in_der_is_refused_with_the_command_that_makes_pem() {
    let key = KeyFile::generate(Key::Rsa2048);
    let der = key.pkcs8_der();
    key_is_refused(&der, &["wanted a private key in PEM, found a private key in DER"], "openssl pkey -inform DER -in ");
    // Not over the key in PEM that is there already.
    let before = std::fs::read(key.path()).unwrap();
    assert_ne!(converted(key.folder(), &der, false), key.path());
    assert_eq!(std::fs::read(key.path()).unwrap(), before);
}

#[test]
fn an_openssh_key_is_refused_with_the_command_that_converts_it() {
    let folder = Folder::new();
    let path = folder.join("id_ecdsa");
    tool("ssh-keygen", ["-q", "-t", "ecdsa", "-b", "256", "-N", "", "-f", path.to_str().unwrap()], Vec::new());
    key_is_refused(&path, &["found an OpenSSH key"], "ssh-keygen -p ");
    converted(&folder, &path, false);
}

#[test]
fn a_certificate_alone_has_no_key() {
    let identity = FileIdentity::new(Key::Ec256);
    let outcome = without_request(|endpoint| ask(endpoint).arg("--certificate").arg(identity.leaf.pem_path()));
    let path = identity.leaf.pem_path().display().to_string();
    refused(&outcome, KEY, &[&path, "wanted a private key, found only CERTIFICATE"], "--private-key FILE");
}
