//! A hundred thousand clients that come one after the other: some ask, some leave without a word, some in the middle of one.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use rustix::net::sockopt;

use super::{LISTING, Scene};
use crate::support::until;

const CLIENTS: usize = 100_000;
/// Each opens its connections one after the other. With fewer, this side is what takes the time.
const THREADS: usize = 4;

/// A connection that is reset at its end. A closed one would keep its port for a minute (TIME_WAIT), and there are 28,000.
fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

fn visit(address: SocketAddr, number: usize, token: &str) {
    let mut stream = connect(address);
    let half = format!("GET {LISTING} HTTP/1.1\r\nHost: {address}\r\nX-aws-ec2-metadata-token: ");
    match number % 3 {
        0 => {}
        1 => stream.write_all(half.as_bytes()).unwrap(),
        _ => {
            stream.write_all(format!("{half}{token}\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\nExampleRole"), "{answer}");
        }
    }
}

fn visits(address: SocketAddr, clients: usize, token: &str) {
    thread::scope(|scope| {
        let visitor = |_| scope.spawn(|| (0..clients / THREADS).for_each(|number| visit(address, number, token)));
        (0..THREADS).map(visitor).collect::<Vec<_>>().into_iter().for_each(|visitor| visitor.join().unwrap());
    });
}

#[test]
fn a_hundred_thousand_connections_leave_nothing_behind() {
    let scene = Scene::new();
    let server = scene.serve(&[]);
    let token = server.token();
    let descriptors = server.descriptors();
    visits(server.0, 1_000, &token);
    let memory = server.memory();
    visits(server.0, CLIENTS, &token);
    until("the end of the last connection", || server.descriptors() <= descriptors);
    let grown = server.memory() - memory;
    assert!(grown < 4096, "grown by {grown} KiB");
    assert_eq!((server.document("ExampleRole").0, scene.sessions()), (200, 1));
    server.end();
}
