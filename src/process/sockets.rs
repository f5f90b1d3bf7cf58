//! The sockets that a service manager has opened for this process (sd_listen_fds(3)). An FFI edge.
#![allow(unsafe_code)]

use std::env;
use std::io;
use std::net::TcpListener;
use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::net::{AddressFamily, SocketType, sockopt};

/// They follow stdin, stdout and stderr.
const FIRST: RawFd = 3;

/// More are a mistake: an unbounded count would be a long loop.
const MOST: RawFd = 64;

static TAKEN: AtomicBool = AtomicBool::new(false);

/// Takes the listening TCP sockets of LISTEN_FDS, if LISTEN_PID names this process; none the second time. A descriptor that is
/// something else is an error.
pub fn take() -> io::Result<Vec<TcpListener>> {
    let variable = |name| env::var(name).ok().filter(|text| !text.is_empty());
    let is_ours = variable("LISTEN_PID").and_then(|text| text.parse().ok()) == Some(process::id());
    let Some(count) = variable("LISTEN_FDS").filter(|_| is_ours && !TAKEN.swap(true, Ordering::Relaxed)) else {
        return Ok(Vec::new());
    };
    let count = count.parse().ok().filter(|count| (0..=MOST).contains(count));
    let count = count.ok_or_else(|| wrong(format!("a number of descriptors that is not from 0 to {MOST}")))?;
    (FIRST..FIRST + count).map(|number| listener(number).map_err(|error| wrong(format!("{number}: {error}")))).collect()
}

fn listener(number: RawFd) -> io::Result<TcpListener> {
    // SAFETY: fcntl has no precondition; of a number that is no descriptor it says so.
    if unsafe { libc::fcntl(number, libc::F_GETFD) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is open, was opened for us before this program began, and is taken once: nobody else owns it.
    let socket = unsafe { OwnedFd::from_raw_fd(number) };
    fcntl_setfd(&socket, FdFlags::CLOEXEC)?;
    let is_tcp = sockopt::socket_type(&socket)? == SocketType::STREAM
        && [AddressFamily::INET, AddressFamily::INET6].contains(&sockopt::socket_domain(&socket)?)
        && sockopt::socket_acceptconn(&socket)?;
    if is_tcp { Ok(socket.into()) } else { Err(wrong("another kind of socket")) }
}

fn wrong(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what.into())
}
