//! Tells systemd how the service does (sd_notify(3)): one datagram to the socket that NOTIFY_SOCKET names.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use rustix::time::{ClockId, clock_gettime};

/// Where the service manager listens, if there is one.
pub struct Notifier {
    socket: Option<OsString>,
}

impl Notifier {
    /// The service manager's socket from the environment.
    pub fn from_environment() -> Self {
        Self { socket: std::env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty()) }
    }

    /// Requests are answered.
    pub fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={status}"));
    }

    /// A reload has begun; [`ready`](Self::ready) ends it. `Type=notify-reload` wants to know when it began.
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let microseconds = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1000;
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}"));
    }

    /// The program is about to end.
    pub fn stopping(&self) {
        self.send("STOPPING=1");
    }

    fn send(&self, message: &str) {
        let Some(socket) = &self.socket else { return };
        if let Err(error) = send_to(socket, message.as_bytes()) {
            log::warn!("cannot tell the service manager {message:?}: {error}");
        }
    }
}

fn send_to(socket: &OsStr, message: &[u8]) -> io::Result<()> {
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?.send_to_addr(message, &address).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 256];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    #[test]
    fn the_service_manager_hears_each_state() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let notifier = Notifier { socket: Some(path.into()) };

        notifier.ready("serving");
        assert_eq!(received(&manager), "READY=1\nSTATUS=serving");
        notifier.reloading();
        let reloading = received(&manager);
        let began: u64 = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap().parse().unwrap();
        assert!(began > 0);
        notifier.stopping();
        assert_eq!(received(&manager), "STOPPING=1");
    }

    #[test]
    fn an_abstract_socket_is_reached_too() {
        let name = format!("keyanchor-test-{}", std::process::id());
        let manager = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        Notifier { socket: Some(format!("@{name}").into()) }.stopping();
        assert_eq!(received(&manager), "STOPPING=1");
    }

    #[test]
    fn nobody_is_told_where_nobody_listens() {
        Notifier { socket: None }.stopping();
        Notifier { socket: Some("/nonexistent/notify".into()) }.stopping();
    }
}
