//! The client against real TLS servers on this machine.

mod support;

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::Ordering;
use std::sync::mpsc;

use support::{Act, CREDENTIALS, Server, answer, created, identity, test_key};

use super::super::Urgency;
use super::*;
use crate::rolesanywhere::Meaning;
use crate::rolesanywhere::environment::environment;

fn session() -> CreateSession {
    CreateSession::new(
        "arn:aws:rolesanywhere:us-east-1:111122223333:trust-anchor/11111111-2222-4333-8444-555555555555",
        "arn:aws:rolesanywhere:us-east-1:111122223333:profile/0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f1",
        "arn:aws:iam::111122223333:role/ExampleRole",
    )
    .unwrap()
}

/// Creates a session without pauses between attempts.
fn create(identity: &Identity, options: &ClientOptions) -> Result<Credentials, ClientError> {
    let mut client = Client::new(&session(), options)?;
    client.chance = || 0.0;
    client.create_session(identity, Urgency::Needed).map(|created| created.credentials)
}

fn fail(acts: Vec<Act>) -> (ClientError, Server) {
    let server = Server::start(acts);
    let error = create(&identity(|| ()).0, &server.options()).unwrap_err();
    (error, server)
}

fn connection_kind(error: &ClientError) -> ConnectionErrorKind {
    match error.cause() {
        Cause::Connection(connection) => connection.kind(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn tls_is_open_before_the_key_has_signed_and_is_the_only_connection() {
    let server = Arc::new(Server::start(vec![created()]));
    let waiting = Arc::clone(&server);
    let (identity, signatures) = identity(move || waiting.wait_until_ready());
    let credentials = create(&identity, &server.options()).unwrap();
    assert_eq!(credentials.access_key_id, "ASIATEST");
    assert_eq!((server.connections(), signatures.load(Ordering::SeqCst)), (1, 1));
}

#[test]
fn the_request_holds_what_was_signed() {
    let server = Server::start(vec![created()]);
    let (identity, _) = identity(|| ());
    create(&identity, &server.options()).unwrap();
    let request = String::from_utf8(server.requests().remove(0)).unwrap();
    assert!(request.starts_with("POST /sessions HTTP/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("\r\nhost: localhost:{}\r\n", server.port)), "{request}");
    assert!(request.contains("\r\nauthorization: AWS4-X509-ECDSA-SHA256 Credential="), "{request}");
    assert!(request.contains(concat!("\r\nuser-agent: keyanchor/", env!("CARGO_PKG_VERSION"), " (")), "{request}");
    assert!(request.ends_with("/11111111-2222-4333-8444-555555555555\"}"), "{request}");
}

#[test]
fn a_connection_that_died_while_the_key_signed_is_replaced_and_counts_as_no_attempt() {
    let busy = answer("503 Service Unavailable", "", "{}");
    let server = Arc::new(Server::start(vec![Act::Close, busy.clone(), busy, created()]));
    let waiting = Arc::clone(&server);
    let (identity, signatures) = identity(move || waiting.wait_until_ready());
    create(&identity, &server.options()).unwrap();
    assert_eq!((server.connections(), signatures.load(Ordering::SeqCst)), (4, 1));
}

#[test]
fn a_retry_sends_the_same_octets_with_the_same_signature() {
    let busy = answer("503 Service Unavailable", "x-amz-retry-after: 1\r\n", "{}");
    let server = Server::start(vec![busy, created()]);
    let (identity, signatures) = identity(|| ());
    create(&identity, &server.options()).unwrap();
    let requests = server.requests();
    assert_eq!((requests.len(), signatures.load(Ordering::SeqCst)), (2, 1));
    assert_eq!(requests[0], requests[1]);
}

#[test]
fn three_attempts_are_all() {
    let (error, server) = fail(vec![answer("500 Internal Server Error", "", r#"{"message":"boom"}"#)]);
    assert_eq!((server.requests().len(), error.attempts()), (3, 3));
    assert_eq!(error.to_string(), "localhost answered HTTP 500: boom (tried 3 times)");
}

#[test]
fn a_denial_is_final() {
    let denied = r#"{"message":"Untrusted certificate. Insufficient certificate"}"#;
    let (error, server) = fail(vec![answer("403 Forbidden", "x-amzn-errortype: AccessDeniedException\r\n", denied)]);
    assert_eq!(server.requests().len(), 1);
    let Cause::Service(service) = error.cause() else { panic!("{error}") };
    assert_eq!(service.meaning(), Meaning::InsufficientCertificate);
}

#[test]
fn a_refused_time_is_corrected_and_signed_once_more() {
    let date = "date: Fri, 02 Jan 2026 03:04:05 GMT\r\nx-amzn-errortype: AccessDeniedException\r\n";
    let server = Server::start(vec![answer("403 Forbidden", date, r#"{"message":"Signature expired"}"#), created()]);
    let (identity, signatures) = identity(|| ());
    create(&identity, &server.options()).unwrap();
    assert_eq!(signatures.load(Ordering::SeqCst), 2);
    let second = String::from_utf8(server.requests().remove(1)).unwrap();
    assert!(second.contains("\r\nx-amz-date: 20260102T0304"), "{second}");
}

#[test]
fn a_refused_signature_costs_no_second_one_where_nothing_would_change() {
    let server = Server::start(vec![answer(
        "403 Forbidden",
        "x-amzn-errortype: AccessDeniedException\r\n",
        r#"{"message":"Invalid signature"}"#,
    )]);
    let (identity, signatures) = identity(|| ());
    create(&identity, &server.options()).unwrap_err();
    assert_eq!(signatures.load(Ordering::SeqCst), 1);
}

#[test]
fn a_server_that_never_answers_ends_by_the_limit() {
    let server = Server::start(vec![Act::Silence]);
    let options = ClientOptions { timeout: Duration::from_millis(600), ..server.options() };
    let start = Instant::now();
    let error = create(&identity(|| ()).0, &options).unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_eq!(connection_kind(&error), ConnectionErrorKind::Timeout);
    assert!(error.to_string().contains("--timeout allows 0.6 s in all"), "{error}");
}

#[test]
fn a_server_that_never_accepts_tls_ends_by_the_limit() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = Some(format!("https://localhost:{}", listener.local_addr().unwrap().port()));
    let server = Server::start(vec![]);
    let options = ClientOptions { endpoint, timeout: Duration::from_millis(600), ..server.options() };
    let error = create(&identity(|| ()).0, &options).unwrap_err();
    assert_eq!(connection_kind(&error), ConnectionErrorKind::Timeout);
}

#[test]
fn an_untrusted_certificate_is_final_and_names_its_issuer() {
    let server = Server::start(vec![created()]);
    let other = Server::start(vec![created()]);
    let options = ClientOptions { ca_bundle: Some(other.ca.path().to_owned()), ..server.options() };
    let error = create(&identity(|| ()).0, &options).unwrap_err();
    assert_eq!(connection_kind(&error), ConnectionErrorKind::UntrustedIssuer);
    assert!(error.to_string().contains("is issued by CN=Test TLS CA, which"), "{error}");
    assert!(error.to_string().contains("(--ca-bundle) does not vouch for"), "{error}");
    assert_eq!((server.connections(), error.attempts()), (1, 1));
}

#[test]
fn a_certificate_for_another_host_is_final() {
    let server = Server::start_for("other.example", vec![created()]);
    let error = create(&identity(|| ()).0, &server.options()).unwrap_err();
    assert_eq!(connection_kind(&error), ConnectionErrorKind::OtherHost);
    assert!(error.to_string().contains("wanted a TLS certificate for localhost, found one for"), "{error}");
    assert!(error.to_string().contains("other.example"), "{error}");
    assert_eq!(server.connections(), 1);
}

#[test]
fn an_untrusted_certificate_is_taken_without_verification() {
    let server = Server::start_for("other.example", vec![created()]);
    let options = ClientOptions { ca_bundle: None, no_verify_ssl: true, ..server.options() };
    create(&identity(|| ()).0, &options).unwrap();
}

#[test]
fn a_bundle_without_certificates_is_said() {
    let empty = tempfile::NamedTempFile::new().unwrap();
    let server = Server::start(vec![created()]);
    for (path, wanted) in [(empty.path(), "found none"), (std::path::Path::new("/nonexistent.pem"), "No such file")] {
        let options = ClientOptions { ca_bundle: Some(path.to_owned()), ..server.options() };
        let error = create(&identity(|| ()).0, &options).unwrap_err();
        assert_eq!(connection_kind(&error), ConnectionErrorKind::TrustRoots);
        assert!(error.to_string().contains(wanted) && error.to_string().contains("--ca-bundle"), "{error}");
    }
}

#[test]
fn a_page_of_html_does_not_hide_the_status() {
    let (error, server) = fail(vec![answer("403 Forbidden", "content-type: text/html\r\n", "<html>blocked</html>")]);
    assert!(error.to_string().starts_with("localhost answered HTTP 403: no message that can be read"), "{error}");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn an_empty_credential_set_is_no_success() {
    let (error, _) = fail(vec![answer("201 Created", "", r#"{"credentialSet":[]}"#)]);
    assert!(matches!(error.cause(), Cause::Answer(_)), "{error}");
}

#[test]
fn json_that_ends_early_is_no_success() {
    let (error, _) = fail(vec![answer("201 Created", "", &CREDENTIALS[..60])]);
    assert!(error.to_string().contains("found an end before its time"), "{error}");
}

#[test]
fn a_body_shorter_than_announced_is_sent_for_again() {
    let cut = Act::Answer(format!("HTTP/1.1 201 Created\r\ncontent-length: 9999\r\n\r\n{CREDENTIALS}"));
    let server = Server::start(vec![cut, created()]);
    create(&identity(|| ()).0, &server.options()).unwrap();
    assert_eq!(server.connections(), 2);
}

#[test]
fn a_body_without_end_is_refused() {
    let (error, _) = fail(vec![answer("201 Created", "", &" ".repeat(100_000))]);
    assert_eq!(connection_kind(&error), ConnectionErrorKind::Protocol);
    assert!(error.to_string().contains("at most 65536 octets"), "{error}");
}

#[test]
fn a_redirect_is_not_followed() {
    let (error, server) = fail(vec![answer("307 Temporary Redirect", "location: https://localhost:1/\r\n", "")]);
    assert!(error.to_string().contains("a redirect to https://localhost:1/, which is not followed"), "{error}");
    assert_eq!(server.connections(), 1);
}

#[test]
fn what_is_no_http_is_said() {
    let (error, server) = fail(vec![Act::Answer("SSH-2.0-OpenSSH\r\n\r\n".to_owned())]);
    assert_eq!(connection_kind(&error), ConnectionErrorKind::Protocol);
    assert_eq!(server.connections(), 1);
}

#[test]
fn what_is_no_tls_is_said() {
    let server = Server::start_without_tls(vec![created()]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = Some(format!("https://localhost:{}", listener.local_addr().unwrap().port()));
    thread::spawn(move || listener.accept().unwrap().0.write_all(b"220 mail.example ESMTP\r\n"));
    let error = create(&identity(|| ()).0, &ClientOptions { endpoint, ..server.options() }).unwrap_err();
    assert_eq!(connection_kind(&error), ConnectionErrorKind::Tls);
    assert!(error.to_string().contains("wanted TLS from localhost, found something else"), "{error}");
}

#[test]
fn clear_text_works_on_this_machine() {
    let server = Server::start_without_tls(vec![created()]);
    let endpoint = Some(format!("http://127.0.0.1:{}/prefix", server.port));
    create(&identity(|| ()).0, &ClientOptions { endpoint, ..server.options() }).unwrap();
    assert!(server.requests()[0].starts_with(b"POST /prefix/sessions HTTP/1.1\r\n"));
}

#[test]
fn nobody_listening_is_tried_three_times() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = Server::start(vec![]);
    let endpoint = Some(format!("https://127.0.0.1:{port}"));
    let error = create(&identity(|| ()).0, &ClientOptions { endpoint, ..server.options() }).unwrap_err();
    assert_eq!((connection_kind(&error), error.attempts()), (ConnectionErrorKind::Unreachable, 3));
    assert!(
        error.to_string().starts_with(&format!("cannot connect to 127.0.0.1 port {port}: Connection refused")),
        "{error}"
    );
}

/// A proxy that opens one tunnel, or refuses to; gives its port and what it was asked.
fn proxy(answer: &'static str) -> (u16, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, asked) = mpsc::channel();
    thread::spawn(move || {
        let mut client = listener.accept().unwrap().0;
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut octet = [0];
            client.read_exact(&mut octet).unwrap();
            request.extend(octet);
        }
        let request = String::from_utf8(request).unwrap();
        let target = request.split(' ').nth(1).unwrap().to_owned();
        sender.send(request).unwrap();
        client.write_all(answer.as_bytes()).unwrap();
        if answer.contains(" 200 ") {
            let server = TcpStream::connect(target).unwrap();
            let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            thread::spawn(move || drop(io::copy(&mut from, &mut to)));
            let _ = io::copy(&mut &server, &mut client);
        }
    });
    (port, asked)
}

/// Goes through a proxy, which the environment never chooses for this machine.
fn create_through(server: &Server, proxy_port: u16) -> Result<Credentials, ClientError> {
    let (identity, _) = identity(|| ());
    let mut client = Client::new(&session(), &server.options()).unwrap();
    client.target = Arc::new(Target {
        endpoint: client.target.endpoint.clone(),
        proxy: Some(Proxy {
            https: false,
            host: "127.0.0.1".to_owned(),
            port: proxy_port,
            authorization: Some(zeroize::Zeroizing::new("Basic dGVzdA==".to_owned())),
        }),
        trust: client.target.trust.clone(),
    });
    client.create_session(&identity, Urgency::Needed).map(|created| created.credentials)
}

#[test]
fn a_proxy_is_asked_for_a_tunnel() {
    let server = Server::start(vec![created()]);
    let (port, asked) = proxy("HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n");
    create_through(&server, port).unwrap();
    let request = asked.recv().unwrap();
    assert_eq!(
        request,
        format!(
            "CONNECT localhost:{0} HTTP/1.1\r\nHost: localhost:{0}\r\nProxy-Authorization: Basic dGVzdA==\r\n\r\n",
            server.port
        )
    );
}

#[test]
fn a_proxy_that_refuses_is_named_and_not_asked_again() {
    let server = Server::start(vec![created()]);
    for (answer, wanted) in [
        ("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "wants a user name and password"),
        ("HTTP/1.1 403 Forbidden\r\n\r\n", "does not connect to localhost:"),
    ] {
        let (port, _asked) = proxy(answer);
        let error = create_through(&server, port).unwrap_err();
        assert_eq!((connection_kind(&error), error.attempts()), (ConnectionErrorKind::Proxy, 1));
        assert!(error.to_string().contains(wanted), "{error}");
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_wrong_signature_is_not_sent() {
    let server = Server::start(vec![created()]);
    let (mut mine, _) = identity(|| ());
    mine.key = identity(|| ()).0.key;
    let error = create(&mine, &server.options()).unwrap_err();
    assert!(matches!(error.cause(), Cause::Key(_)), "{error}");
    assert!(server.requests().is_empty());
}

#[test]
fn nothing_is_opened_before_the_secrets_are_at_hand() {
    let server = Server::start(vec![created()]);
    let (mut key, leaf) = test_key();
    key.locked = true;
    let error = create(&Identity { key: Box::new(key), leaf, chain: Vec::new() }, &server.options()).unwrap_err();
    assert!(matches!(error.cause(), Cause::Key(_)), "{error}");
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_region_that_was_asked_for_is_the_scope_whatever_the_endpoint() {
    let server = Server::start(vec![created()]);
    let options = ClientOptions { region: Some("eu-central-1".to_owned()), ..server.options() };
    create(&identity(|| ()).0, &options).unwrap();
    let request = String::from_utf8(server.requests().remove(0)).unwrap();
    assert!(request.contains("/eu-central-1/rolesanywhere/aws4_request, "), "{request}");
}

#[test]
fn roots_come_from_the_environment_where_no_flag_names_them() {
    let server = Server::start(vec![created()]);
    let ca = server.ca.path().to_str().unwrap();
    for variable in ["AWS_CA_BUNDLE", "SSL_CERT_FILE"] {
        let environment = environment(&[(variable, ca)]).unwrap();
        let options = ClientOptions { ca_bundle: None, environment, ..server.options() };
        create(&identity(|| ()).0, &options).unwrap();
    }
}

#[test]
fn a_limit_beyond_all_clocks_is_taken() {
    let server = Server::start(vec![created()]);
    create(&identity(|| ()).0, &ClientOptions { timeout: Duration::MAX, ..server.options() }).unwrap();
}
