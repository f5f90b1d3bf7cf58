//! From the first refresh to the last signal.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::sync_channel;

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::*;

fn access_key(reply: &Reply) -> String {
    assert_eq!(reply.status, 200, "{reply:?}");
    let document: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
    document["AccessKeyId"].as_str().unwrap().to_owned()
}

#[test]
fn credentials_come_by_the_way_that_sdks_go() {
    let (server, address) = serving(good);
    let mut client = Client::new(address);
    let token = client.token();
    let listing = client.ask("GET", LISTING, &[("X-aws-ec2-metadata-token", &token)]);
    assert_eq!((listing.status, &*listing.body), (200, "web"));
    assert_eq!(access_key(&client.document(&token)), "ASIATEST1");
    server.end().unwrap();
}

#[test]
fn nobody_can_connect_before_there_are_credentials() {
    let (go, wait) = sync_channel::<()>(0);
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let options = Options { listen: vec![port], ..options() };
    let script = move |number| {
        wait.recv().unwrap();
        good(number)
    };
    let server = Server::start(options, vec![role(ROLE, script)], Vec::new());
    assert!(TcpStream::connect(port).is_err());
    go.send(()).unwrap();
    let (address, _) = server.listening();
    assert_eq!(address, port);
    assert!(TcpStream::connect(address).is_ok());
    server.end().unwrap();
}

#[test]
fn a_failure_at_the_start_ends_the_server_with_it() {
    let second = "arn:aws:iam::123456789012:role/batch";
    let roles = vec![role(ROLE, good), role(second, |_| refused())];
    match Server::start(options(), roles, Vec::new()).ended() {
        Err(ServeError::FirstRefresh { role, source }) => {
            assert_eq!((&*role, source.kind()), ("batch", VendErrorKind::Refused));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn with_keep_trying_a_503_says_why_until_there_are_credentials() {
    let options = Options { keep_trying: true, ..options() };
    let (go, wait) = sync_channel::<()>(0);
    let script = move |number| match number {
        1 => refused(),
        _ => {
            wait.recv().unwrap();
            good(number)
        }
    };
    let server = Server::start(options, vec![role_every(ROLE, Duration::from_millis(100), script)], Vec::new());
    let (address, status) = server.listening();
    let mut client = Client::new(address);
    let token = client.token();
    until("the failure is told", || client.document(&token).body.contains("AccessDeniedException"));
    assert_eq!(client.document(&token).status, 503);
    assert_eq!(Client::new(status).ask("GET", "/healthz", &[]).status, 200);
    let ready = Client::new(status).ask("GET", "/readyz", &[]);
    assert_eq!((ready.status, &*ready.body), (503, "no valid credentials for role web\n"));

    go.send(()).unwrap();
    until("there are credentials", || client.document(&token).status == 200);
    assert_eq!(Client::new(status).ask("GET", "/readyz", &[]).status, 200);
    drop(go);
    server.end().unwrap();
}

#[test]
fn the_last_good_credentials_outlive_failed_refreshes() {
    let (failed, failures) = channel();
    let script = move |number| match number {
        1 => good(1),
        _ => {
            let _ = failed.send(());
            refused()
        }
    };
    let role = role_every(ROLE, Duration::from_millis(100), script);
    let server = Server::start(options(), vec![role], Vec::new());
    let (address, status) = server.listening();
    let mut client = Client::new(address);
    let token = client.token();
    for _ in 0..3 {
        failures.recv_timeout(LIMIT).unwrap();
        assert_eq!(access_key(&client.document(&token)), "ASIATEST1");
    }
    let metrics = Client::new(status).ask("GET", "/metrics", &[]).body;
    assert!(metrics.contains("keyanchor_refreshes_total{role=\"web\"} 1\n"), "{metrics}");
    assert!(!metrics.contains("keyanchor_refresh_failures_total{role=\"web\",kind=\"refused\"} 0"), "{metrics}");
    server.end().unwrap();
}

#[test]
fn credentials_that_expire_while_refreshes_fail_are_no_longer_served() {
    let script = |number| match number {
        1 => Ok(vended(credentials(1, SignedDuration::from_millis(1500)))),
        _ => refused(),
    };
    let role = role_every(ROLE, Duration::from_millis(100), script);
    let server = Server::start(options(), vec![role], Vec::new());
    let (address, _) = server.listening();
    let mut client = Client::new(address);
    let token = client.token();
    assert_eq!(access_key(&client.document(&token)), "ASIATEST1");
    until("the credentials have expired", || client.document(&token).status == 503);
    assert!(client.document(&token).body.contains("the last refresh failed: AccessDeniedException"));
    server.end().unwrap();
}

#[test]
fn fifty_clients_at_the_moment_of_a_refresh_cost_one_refresh() {
    let calls = Arc::new(AtomicU32::new(0));
    let (began, begun) = channel();
    let (go, wait) = sync_channel::<()>(0);
    let counted = Arc::clone(&calls);
    let script = move |number| {
        counted.fetch_add(1, Ordering::SeqCst);
        if number == 2 {
            began.send(()).unwrap();
            wait.recv().unwrap();
        }
        good(number)
    };
    let (server, address) = serving(script);
    server.reload();
    begun.recv_timeout(LIMIT).unwrap();
    let token = Client::new(address).token();
    let clients: Vec<_> = (0..50)
        .map(|_| {
            let token = token.clone();
            thread::spawn(move || access_key(&Client::new(address).document(&token)))
        })
        .collect();
    for client in clients {
        assert_eq!(client.join().unwrap(), "ASIATEST1", "a refresh keeps nobody waiting");
    }
    go.send(()).unwrap();
    let mut client = Client::new(address);
    until("the refresh is done", || access_key(&client.document(&token)) == "ASIATEST2");
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    server.end().unwrap();
}

#[test]
fn reloads_that_come_during_a_refresh_are_one_refresh() {
    let (began, begun) = channel();
    let (go, wait) = sync_channel::<()>(0);
    let script = move |number| {
        if number > 1 {
            began.send(number).unwrap();
            wait.recv().unwrap();
        }
        good(number)
    };
    let server = Server::start(options(), vec![role(ROLE, script)], Vec::new());
    let (_, status) = server.listening();
    server.reload();
    assert_eq!(begun.recv_timeout(LIMIT).unwrap(), 2);
    for _ in 0..10 {
        server.reload();
    }
    // Reloads and probes are the same thread's work: once a probe has been answered, the reloads have been passed on.
    assert_eq!(Client::new(status).ask("GET", "/healthz", &[]).status, 200);
    go.send(()).unwrap();
    assert_eq!(begun.recv_timeout(LIMIT).unwrap(), 3);
    go.send(()).unwrap();
    assert!(begun.recv_timeout(Duration::from_millis(300)).is_err());
    server.end().unwrap();
}

#[test]
fn each_consumer_gets_its_role_by_the_token_in_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join("tokens").join(name);
    let roles = vec![role(ROLE, good), role("arn:aws:iam::123456789012:role/batch", |_| good(7))];
    let consumers = vec![
        Consumer { name: "a".into(), role: "batch".into(), token_file: file("a") },
        Consumer { name: "b".into(), role: ROLE.into(), token_file: file("b") },
    ];
    let server = Server::start(options(), roles, consumers);
    let (address, _) = server.listening();
    for (name, key) in [("a", "ASIATEST7"), ("b", "ASIATEST1")] {
        let token = std::fs::read_to_string(file(name)).unwrap();
        let reply = Client::new(address).ask("GET", CONTAINER_PATH, &[("Authorization", &token)]);
        assert_eq!(access_key(&reply), key);
    }
    server.end().unwrap();
}

#[test]
fn a_consumer_that_reads_its_file_for_each_request_never_notices_a_rotation() {
    let folder = tempfile::tempdir().unwrap();
    let token_file = folder.path().join("tokens/web");
    let consumer = Consumer { name: "web".into(), role: "web".into(), token_file: token_file.clone() };
    let options =
        Options { token_lifetime: Duration::from_millis(20), token_overlap: Duration::from_millis(500), ..options() };
    let server = Server::start(options, vec![role(ROLE, good)], vec![consumer]);
    let (address, _) = server.listening();
    let mut client = Client::new(address);
    let first = std::fs::read_to_string(&token_file).unwrap();
    let mut tokens = std::collections::BTreeSet::new();
    until("there were ten rotations", || {
        let token = std::fs::read_to_string(&token_file).unwrap();
        assert_eq!(client.ask("GET", CONTAINER_PATH, &[("Authorization", &token)]).status, 200);
        tokens.insert(token);
        tokens.len() >= 10
    });
    assert_eq!(client.ask("GET", CONTAINER_PATH, &[("Authorization", &first)]).status, 401);
    server.end().unwrap();
}

#[test]
fn an_address_in_use_is_said_before_a_signature_is_spent() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let options = Options { listen: vec![taken.local_addr().unwrap()], ..options() };
    let script = |_| panic!("a signature was spent");
    match Server::start(options, vec![role(ROLE, script)], Vec::new()).ended() {
        Err(ServeError::Listen { address, .. }) => assert_eq!(address, taken.local_addr().unwrap()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_address_that_others_can_reach_is_refused() {
    let options = Options { listen: vec!["0.0.0.0:0".parse().unwrap()], ..options() };
    match Server::start(options, vec![role(ROLE, good)], Vec::new()).ended() {
        Err(ServeError::Usage(reason)) => assert!(reason.contains("others on the network"), "{reason}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_server_ends_within_two_seconds_whatever_is_under_way() {
    let (began, begun) = channel();
    let script = move |number| {
        if number > 1 {
            began.send(()).unwrap();
            thread::sleep(LIMIT);
        }
        good(number)
    };
    let (server, address) = serving(script);
    let mut idle = Client::new(address);
    let mut half = Client::new(address);
    idle.token();
    half.send(b"GET /latest");
    server.reload();
    begun.recv_timeout(LIMIT).unwrap();
    let now = Instant::now();
    server.end().unwrap();
    assert!(now.elapsed() < Duration::from_secs(2), "{:?}", now.elapsed());
    assert_eq!(idle.rest().0, "");
}

#[test]
fn an_end_during_the_first_refresh_is_an_end() {
    let (began, begun) = channel();
    let script = move |number| {
        began.send(()).unwrap();
        thread::sleep(Duration::from_millis(300));
        good(number)
    };
    let server = Server::start(options(), vec![role(ROLE, script)], Vec::new());
    begun.recv_timeout(LIMIT).unwrap();
    server.end().unwrap();
}

#[test]
fn probes_are_answered_whatever_host_they_name() {
    let server = Server::start(options(), vec![role(ROLE, good)], Vec::new());
    let (_, status) = server.listening();
    let mut probe = Client::new(status);
    probe.send(b"GET /readyz HTTP/1.1\r\nHost: pod.example\r\n\r\n");
    let reply = probe.reply();
    assert_eq!((reply.status, &*reply.body), (200, "ready\n"));
    assert_eq!(probe.ask("POST", "/healthz", &[]).header("allow"), Some("GET, HEAD"));
    assert_eq!(probe.ask("GET", DOCUMENT, &[]).status, 404, "there are no credentials on this listener");
    let metrics = probe.ask("GET", "/metrics", &[]);
    assert!(metrics.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    assert!(metrics.body.ends_with("# EOF\n"));
    assert!(metrics.body.contains("keyanchor_device_seconds_count{role=\"web\"} 1\n"));
    assert!(metrics.body.contains("keyanchor_certificate_remaining_seconds{role=\"web\"} 8"), "{}", metrics.body);
    for secret in ["test-secret", "test-token", "ASIATEST1"] {
        assert!(!metrics.body.contains(secret));
    }
    server.end().unwrap();
}

#[test]
fn several_addresses_are_served_at_once() {
    struct All(Sender<Vec<SocketAddr>>);
    impl Hooks for All {
        fn listening(&mut self, addresses: &[SocketAddr], status: Option<SocketAddr>) {
            assert_eq!(status, None);
            self.0.send(addresses.to_vec()).unwrap();
        }
        fn reload(&mut self) {}
    }
    let listen = ["127.0.0.1:0", "[::1]:0"].map(|address| address.parse().unwrap()).to_vec();
    let options = Options { listen, status_listen: None, ..options() };
    let (heard, addresses) = channel();
    let (events, receiver) = unbounded_channel();
    let server = thread::spawn(|| run_until(options, vec![role(ROLE, good)], Vec::new(), &mut All(heard), receiver));
    let addresses = addresses.recv_timeout(LIMIT).unwrap();
    assert!(matches!(addresses[..], [SocketAddr::V4(_), SocketAddr::V6(_)]), "{addresses:?}");
    for address in addresses {
        let mut client = Client::new(address);
        let token = client.token();
        assert_eq!(client.document(&token).status, 200, "{address}");
    }
    drop(events);
    server.join().unwrap().unwrap();
}

#[test]
fn a_server_that_ended_can_be_started_again_at_once() {
    let (server, address) = serving(good);
    let mut client = Client::new(address);
    client.token();
    // The server closes first, so that its end of the connection lingers.
    server.end().unwrap();
    assert_eq!(client.rest().0, "");
    let options = Options { listen: vec![address], ..options() };
    let server = Server::start(options, vec![role(ROLE, good)], Vec::new());
    assert_eq!(server.listening().0, address);
    server.end().unwrap();
}

#[test]
fn a_pace_that_never_waits_is_no_loop() {
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let script = move |number| {
        counted.fetch_add(1, Ordering::SeqCst);
        good(number)
    };
    let began = Instant::now();
    let server = Server::start(options(), vec![role_every(ROLE, Duration::ZERO, script)], Vec::new());
    until("it was refreshed three times", || calls.load(Ordering::SeqCst) >= 3);
    server.end().unwrap();
    let most = 1 + began.elapsed().as_millis() / 100;
    assert!(u128::from(calls.load(Ordering::SeqCst)) <= most, "{calls:?} in {:?}", began.elapsed());
}

/// A consumer with its token in a directory of its own.
fn consumer(folder: &tempfile::TempDir) -> Consumer {
    Consumer { name: "web".into(), role: "web".into(), token_file: folder.path().join("tokens/web") }
}

#[test]
fn a_token_that_cannot_be_handed_out_ends_the_start() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tokens"), "a file").unwrap();
    let consumer = consumer(&folder);
    match Server::start(options(), vec![role(ROLE, good)], vec![consumer.clone()]).ended() {
        Err(ServeError::TokenFile { path, .. }) => assert_eq!(path, consumer.token_file),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_token_that_cannot_be_replaced_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let consumer = consumer(&folder);
    let options = Options { token_lifetime: Duration::from_millis(50), token_overlap: Duration::ZERO, ..options() };
    let server = Server::start(options, vec![role(ROLE, good)], vec![consumer.clone()]);
    let (address, _) = server.listening();
    let tokens = consumer.token_file.parent().unwrap();
    // At one blow a file is where the directory was: nothing can be put there, and what could be read is the last token.
    let kept = folder.path().join("kept");
    std::fs::write(&kept, "a file").unwrap();
    renameat_with(CWD, tokens, CWD, &kept, RenameFlags::EXCHANGE).unwrap();
    let mut client = Client::new(address);
    let last = std::fs::read_to_string(kept.join("web")).unwrap();
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(300) {
        assert_eq!(client.ask("GET", CONTAINER_PATH, &[("Authorization", &last)]).status, 200);
    }
    server.end().unwrap();
}

#[test]
fn nobody_who_asked_for_a_refresh_gets_one_after_the_end() {
    let calls = Arc::new(AtomicU32::new(0));
    let (began, begun) = channel();
    let counted = Arc::clone(&calls);
    let script = move |number| {
        counted.fetch_add(1, Ordering::SeqCst);
        if number > 1 {
            began.send(()).unwrap();
            thread::sleep(Duration::from_millis(200));
        }
        good(number)
    };
    let server = Server::start(options(), vec![role(ROLE, script)], Vec::new());
    server.listening();
    server.reload();
    begun.recv_timeout(LIMIT).unwrap();
    // This one waits for the refresh that is under way, and then the server has ended.
    server.reload();
    server.end().unwrap();
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}
