//! Sockets that a service manager has opened before: clients wait while the service starts, and nobody is refused while it restarts.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::thread;

use rustix::process::Signal;

use super::documents::is_there;
use super::{Client, LISTING, Scene, Server, ask};
use crate::support::command::Run;
use crate::support::own_process::in_own_network;
use crate::support::until;

/// Has a command find this descriptor where systemd puts the first one, and in its environment what systemd says of it.
fn given(run: Run, descriptor: impl Into<OwnedFd>, count: &str) -> Run {
    run.in_shell(&format!("exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS={count} exec \"$@\"")).stdin(descriptor)
}

#[test]
fn clients_that_came_before_the_service_are_answered_by_it_and_by_the_next_one() {
    let scene = Scene::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    for _ in 0..2 {
        // Accepted by the system, long before there is a service.
        let waiting = thread::spawn(move || Client(address).key_id("ExampleRole"));
        let server = Server::start(given(scene.command_without_port(), listener.try_clone().unwrap(), "1"));
        assert_eq!(server.0, address);
        assert_eq!(waiting.join().unwrap(), server.key_id("ExampleRole"));
        server.end();
    }
    assert_eq!(scene.sessions(), 2);
}

#[test]
fn what_is_given_is_held_to_the_same_rules() {
    let scene = Scene::new();
    let refused = |run: Run, message: &str| run.run().fails_with(2).stderr_contains(message).status;
    let everywhere = TcpListener::bind("0.0.0.0:0").unwrap();
    refused(given(scene.command_without_port(), everywhere, "1"), "found 0.0.0.0: others on the network could ask");
    let other_kind = UnixListener::bind(scene.folder.join("socket")).unwrap();
    refused(given(scene.command_without_port(), other_kind, "1"), "3: another kind of socket");
    let file = || File::open("/dev/null").unwrap();
    refused(given(scene.command_without_port(), file(), "1"), "LISTEN_FDS: wanted listening TCP sockets");
    for count in ["65", "-1", "many"] {
        refused(given(scene.command_without_port(), file(), count), "a number of descriptors that is not from 0 to 64");
    }
    assert_eq!(scene.sessions(), 0);
}

#[test]
fn what_is_given_to_another_process_is_not_taken() {
    let scene = Scene::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let run = scene.command().in_shell("exec 3<&0 </dev/null; LISTEN_PID=1 LISTEN_FDS=1 exec \"$@\"").stdin(listener);
    let server = Server::start(run);
    assert_ne!(server.0, address);
    server.end();
}

#[test]
fn systemd_hands_its_socket_over() {
    if !is_there("systemd-socket-activate", "systemd_hands_its_socket_over") {
        return;
    }
    // A port of its own choice is not announced, so that there must be one that is free.
    in_own_network(|| {
        let scene = Scene::new();
        let address: SocketAddr = "127.0.0.1:9911".parse().unwrap();
        let activated = scene.command_without_port().under("systemd-socket-activate", &["--listen=127.0.0.1:9911"]);
        let running = activated.spawn();
        until("the socket", || running.has_said("Listening on 127.0.0.1:9911"));
        let token = Client(address).token();
        assert_eq!(ask(address, "GET", LISTING, &[("X-aws-ec2-metadata-token", &token)]), (200, "ExampleRole".into()));
        running.signal(Signal::TERM);
        running.wait().ends_with(0);
    });
}
