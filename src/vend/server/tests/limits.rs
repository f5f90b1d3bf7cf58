//! Clients that are broken, slow, many or hostile: each meets a limit, and the others are answered meanwhile.

use super::*;

/// Far from a head's time and from the end of a test, so that it is clear which limit was met however slow the machine is.
const LONG: Duration = Duration::from_secs(8);

/// A server for eight clients, that waits 300 ms for a head.
fn strict() -> (Server, SocketAddr) {
    patient(LONG)
}

/// The same with another time between requests.
fn patient(idle_time: Duration) -> (Server, SocketAddr) {
    let mut options = options();
    let head_time = Duration::from_millis(300);
    options.limits = Limits { connections: 8, head_time, idle_time, ..Limits::default() };
    let server = Server::start(options, vec![role(ROLE, good)], Vec::new());
    let (address, _) = server.listening();
    (server, address)
}

#[test]
fn half_a_request_is_waited_for_no_longer_than_the_limit() {
    let (server, address) = strict();
    for half in [&b"G"[..], b"GET / HTTP/1.1\r\nHost: localhost\r\n", b"GET / HTTP/1.1\r\nX-Slow: "] {
        let mut client = Client::new(address);
        client.send(half);
        let (_, time) = client.rest();
        assert!(time < LONG / 2, "{time:?}");
    }
    server.end().unwrap();
}

#[test]
fn a_head_that_trickles_in_is_cut_off() {
    let (server, address) = strict();
    let mut client = Client::new(address);
    client.send(b"GET / HTTP/1.1\r\n");
    let began = Instant::now();
    while client.0.write_all(b"X-Drip: drop\r\n").is_ok() {
        assert!(began.elapsed() < LIMIT);
        thread::sleep(Duration::from_millis(20));
    }
    let time = began.elapsed();
    assert!((Duration::from_millis(250)..LONG / 2).contains(&time), "{time:?}");
    server.end().unwrap();
}

#[test]
fn a_connection_that_asks_is_kept_and_one_that_does_not_is_closed() {
    let idle_time = Duration::from_millis(1500);
    let (server, address) = patient(idle_time);
    let mut client = Client::new(address);
    let token = client.token();
    for _ in 0..5 {
        thread::sleep(idle_time / 4);
        assert_eq!(client.document(&token).status, 200);
    }
    let (rest, time) = client.rest();
    assert_eq!(rest, "");
    assert!((idle_time / 2..LONG).contains(&time), "{time:?}");
    server.end().unwrap();
}

#[test]
fn a_client_that_never_reads_is_closed() {
    let (server, address) = patient(Duration::from_millis(500));
    let mut client = Client::new(address);
    let token = client.token();
    client.0.set_write_timeout(Some(LIMIT)).unwrap();
    let request = format!("GET {DOCUMENT} HTTP/1.1\r\nHost: localhost\r\nX-aws-ec2-metadata-token: {token}\r\n\r\n");
    let many = request.repeat(1000);
    let began = Instant::now();
    while client.0.write_all(many.as_bytes()).is_ok() {
        assert!(began.elapsed() < LIMIT);
    }
    server.end().unwrap();
}

#[test]
fn a_flood_of_headers_is_refused() {
    let (server, address) = strict();
    for flood in [
        format!("GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: {}\r\n\r\n", "x".repeat(100_000)),
        format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "X-Many: y\r\n".repeat(1000)),
        format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "x".repeat(100_000)),
    ] {
        let mut client = Client::new(address);
        // The server may close before all of it is sent.
        let _ = client.0.write_all(flood.as_bytes());
        let (answer, _) = client.rest();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    assert_eq!(Client::new(address).token().len(), 64);
    server.end().unwrap();
}

#[test]
fn garbage_is_answered_with_400_or_nothing() {
    let (server, address) = strict();
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"\0\0\0\0\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ] {
        let mut client = Client::new(address);
        client.send(garbage);
        let (answer, _) = client.rest();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{garbage:?}: {answer}");
    }
    server.end().unwrap();
}

#[test]
fn an_endless_body_is_not_read() {
    let (server, address) = strict();
    let mut client = Client::new(address);
    client.send(b"PUT /latest/api/token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\nx");
    assert_eq!(client.reply().status, 200);
    let (_, time) = client.rest();
    assert!(time < LONG / 2, "{time:?}");
    server.end().unwrap();
}

#[test]
fn requests_may_come_before_the_answers_are_read() {
    let (server, address) = strict();
    let mut client = Client::new(address);
    let token = client.token();
    let request = format!("GET {LISTING} HTTP/1.1\r\nHost: localhost\r\nX-aws-ec2-metadata-token: {token}\r\n\r\n");
    client.send(request.repeat(20).as_bytes());
    for _ in 0..20 {
        assert_eq!(client.reply().body, "web");
    }
    server.end().unwrap();
}

#[test]
fn clients_that_take_every_connection_and_sit_on_it_do_not_keep_others_out() {
    let (server, address) = strict();
    let idle: Vec<_> = (0..8).map(|_| Client::new(address)).collect();
    let began = Instant::now();
    assert_eq!(Client::new(address).token().len(), 64);
    assert!(began.elapsed() < LONG / 2, "idle connections are cut short when others wait");
    drop(idle);
    server.end().unwrap();
}

#[test]
fn clients_that_come_and_go_leave_nothing_behind() {
    let (server, address) = strict();
    for _ in 0..2000 {
        drop(TcpStream::connect(address).unwrap());
    }
    for _ in 0..200 {
        let mut client = Client::new(address);
        client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        assert!(client.rest().0.starts_with("HTTP/1.1 404"));
    }
    let all: Vec<_> = (0..8).map(|_| Client::new(address)).collect();
    for mut client in all {
        client.token();
    }
    server.end().unwrap();
}
