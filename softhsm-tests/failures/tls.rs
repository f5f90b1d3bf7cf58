//! TLS certificates that are not to be trusted, and trust that cannot be read.

use super::{FileIdentity, NETWORK, refused};
use crate::support::Folder;
use crate::support::key::Key;

#[test]
fn an_issuer_that_is_not_trusted_is_said_so_and_not_tried_again() {
    let identity = FileIdentity::new(Key::Ec256);
    let sandbox = identity.sandbox(&[]);
    let other = identity.ca.certificate.pem_path();
    for variable in ["AWS_CA_BUNDLE", "SSL_CERT_FILE"] {
        let outcome = identity.ask(sandbox.endpoint()).env(variable, &other).run();
        refused(
            &outcome,
            NETWORK,
            &["the TLS certificate of 127.0.0.1 is issued by CN=keyanchor sandbox", "does not vouch for", variable],
            "--ca-bundle FILE",
        );
        outcome.stderr_lacks("tried");
    }
    // The service counts its connections: this is the third, so that each of the others was one.
    identity.ask(sandbox.endpoint()).arg("--ca-bundle").arg(sandbox.ca()).run().succeeds();
    let requests = sandbox.requests("/sessions");
    assert!(requests.len() == 1 && requests[0].contains("connection=3 "), "{}", sandbox.log());
}

#[test]
fn a_certificate_for_another_host_names_both() {
    let identity = FileIdentity::new(Key::Ec256);
    // All of 127.0.0.0/8 is this machine, and the certificate is for 127.0.0.1.
    let sandbox = identity.sandbox(&["--listen", "0.0.0.0:0"]);
    let port = sandbox.endpoint().rsplit_once(':').unwrap().1.to_owned();
    let endpoint = format!("https://127.0.0.2:{port}");
    let outcome = identity.ask(&endpoint).arg("--ca-bundle").arg(sandbox.ca()).run();
    refused(&outcome, NETWORK, &["127.0.0.2", "127.0.0.1"], "--endpoint");
    outcome.stderr_lacks("tried");
    assert_eq!(sandbox.requests("/sessions").len(), 0);
}

#[test]
fn a_bundle_that_cannot_be_read_is_named_with_what_named_it() {
    let identity = FileIdentity::new(Key::Ec256);
    let folder = Folder::new();
    let garbage = folder.write("garbage.pem", "no PEM\n");
    let key = identity.key.path().to_owned();
    let sandbox = identity.sandbox(&[]);
    for (file, found) in [
        (folder.join("absent.pem"), "No such file"),
        (garbage, "found none"),
        (key, "found none"),
        (folder.path().to_owned(), "directory"),
        ("/dev/zero".into(), "more than 4194304 octets"),
    ] {
        let path = file.display().to_string();
        let outcome = identity.ask(sandbox.endpoint()).env("AWS_CA_BUNDLE", &file).run();
        refused(&outcome, NETWORK, &["AWS_CA_BUNDLE", &path, found], "--ca-bundle");
        let outcome = identity.ask(sandbox.endpoint()).arg("--ca-bundle").arg(&file).run();
        refused(&outcome, NETWORK, &["--ca-bundle", &path, found], "--ca-bundle");
    }
    assert_eq!(sandbox.requests("/sessions").len(), 0);
}

#[test]
fn a_service_without_tls_is_said_so() {
    let identity = FileIdentity::new(Key::Ec256);
    let service = super::servers::Scripted::new("HTTP/1.1 400 Bad Request\r\n\r\n");
    // The ClientHello holds no line end where a request would have one: the server answers nothing, so it closes at once.
    let outcome = identity.ask(&format!("https://{}", service.address())).args(["--timeout", "2"]).run();
    refused(&outcome, NETWORK, &["127.0.0.1", "TLS"], "");
}
