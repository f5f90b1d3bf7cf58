//! The endpoint of one command: container credentials on a loopback port, for whoever can read the token in a private folder.

use std::env;
use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};

use aws_lc_rs::rand;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::super::vending::Role;
use super::super::{Failure, FailureKind};
use crate::vend::schedule::Schedule;
use crate::vend::server::{self, CONTAINER_PATH, Consumer, Event, Hooks, Options, RoleSource, ServeError};

/// Where SDKs look for the URL.
pub const URL: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";

/// Where they look for the path of the token.
pub const TOKEN_FILE: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";

/// An endpoint that ends, and whose token is removed, when this is dropped.
pub struct Endpoint {
    address: SocketAddr,
    folder: Folder,
    events: UnboundedSender<Event>,
    server: Option<JoinHandle<Result<(), ServeError>>>,
}

impl Endpoint {
    /// Serves the role as soon as there are credentials of it; fails where there are none.
    pub fn start(role: Role) -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::new(FailureKind::Other, format!("cannot serve the command: {error}"));
        let folder = Folder::make().map_err(failed)?;
        let options = Options {
            listen: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))],
            containers_only: true,
            ..Options::default()
        };
        let consumer =
            Consumer { name: "exec".to_owned(), role: role.arn().to_owned(), token_file: folder.token_file() };
        let (events, received) = unbounded_channel();
        let (sender, listening) = channel();
        let serve =
            move || server::run_until(options, vec![source(role)], vec![consumer], &mut Announce(sender), received);
        let server = thread::Builder::new().name("endpoint".to_owned()).spawn(serve).map_err(failed)?;
        match listening.recv() {
            Ok(address) => Ok(Self { address, folder, events, server: Some(server) }),
            // It has ended before it listened.
            Err(_) => match server.join() {
                Ok(Err(error)) => Err(error.into()),
                _ => Err(failed(io::ErrorKind::BrokenPipe.into())),
            },
        }
    }

    /// By what the command finds it. The token itself is in no environment.
    pub fn variables(&self) -> [(&'static str, OsString); 2] {
        [
            (URL, format!("http://{}{CONTAINER_PATH}", self.address).into()),
            (TOKEN_FILE, self.folder.token_file().into()),
        ]
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        // A server that has ended already hears nothing and leaves nothing to wait for.
        let _ = self.events.send(Event::End);
        if let Some(server) = self.server.take() {
            let _ = server.join();
        }
    }
}

fn source(role: Role) -> RoleSource {
    let (role_arn, region) = (role.arn().to_owned(), role.region().to_owned());
    RoleSource { role_arn, region, vend: Box::new(role), pace: Box::new(Schedule::new()) }
}

struct Announce(Sender<SocketAddr>);

impl Hooks for Announce {
    fn listening(&mut self, addresses: &[SocketAddr], _status: Option<SocketAddr>) {
        if let Some(address) = addresses.first() {
            // Whoever started the server waits for this.
            let _ = self.0.send(*address);
        }
    }

    fn reload(&mut self) {}
}

/// A folder for the token, of this account alone; removed on drop.
struct Folder(PathBuf);

impl Folder {
    fn make() -> io::Result<Self> {
        let mut octets = [0; 8];
        rand::fill(&mut octets).map_err(|_| io::Error::other("no random octets to be had"))?;
        let runtime = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
        let above = runtime.unwrap_or_else(env::temp_dir);
        let folder = above.join(format!("keyanchor-exec-{:016x}", u64::from_ne_bytes(octets)));
        DirBuilder::new().mode(0o700).create(&folder)?;
        Ok(Self(folder))
    }

    fn token_file(&self) -> PathBuf {
        self.0.join("token")
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Only what was put there goes; what remains after an error is a token that nobody takes any more.
        let _ = fs::remove_file(self.token_file()).and_then(|()| fs::remove_dir(self.path()));
    }
}
