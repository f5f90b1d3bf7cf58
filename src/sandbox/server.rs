//! Connections: listening, TLS, limits, and the end by a signal. Knows no request.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::authority::ServerIdentity;
use super::fault::FaultKind;
use super::journal::Line;
use super::service::Service;

/// More than tests and rehearsals open; further ones wait.
const MOST_CONNECTIONS: usize = 512;
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);
/// A client may open its connection while somebody looks for the token to touch.
const HEADER_TIMEOUT: Duration = Duration::from_secs(120);
/// An ML-DSA leaf with five intermediates takes about 100 KB of headers.
const LARGEST_HEADERS: usize = 256 * 1024;

/// A listening socket that serves nothing yet.
pub struct Server {
    listener: TcpListener,
    tls: TlsAcceptor,
    signals: [Signal; 2],
}

impl Server {
    /// Listens. From here on SIGINT and SIGTERM end [`Server::serve`] and not the process.
    pub async fn bind(address: SocketAddr, identity: ServerIdentity) -> io::Result<Self> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| {
                builder.with_no_client_auth().with_single_cert(vec![identity.certificate], identity.key)
            })
            .map_err(io::Error::other)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            listener: TcpListener::bind(address).await?,
            tls: TlsAcceptor::from(Arc::new(config)),
            signals: [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?],
        })
    }

    /// Where it listens, the port filled in.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until a signal comes; then drops what is open.
    pub async fn serve(mut self, service: Arc<Service>) {
        let mut opened: u64 = 0;
        let mut connections = JoinSet::new();
        let [interrupt, terminate] = &mut self.signals;
        loop {
            tokio::select! {
                _ = interrupt.recv() => break,
                _ = terminate.recv() => break,
                Some(_) = connections.join_next() => {}
                accepted = self.listener.accept(), if connections.len() < MOST_CONNECTIONS => match accepted {
                    Ok((stream, peer)) => {
                        opened += 1;
                        log::info!("connection {opened} from {peer}");
                        connections.spawn(converse(opened, stream, self.tls.clone(), Arc::clone(&service)));
                    }
                    // Out of descriptors, most likely: others must end first.
                    Err(error) => {
                        Line::new().quoted("accept", &error.to_string()).write();
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
            }
        }
        Line::new()
            .plain("ended", "signal")
            .plain("connections", opened)
            .plain("requests", service.requests.load(Ordering::Relaxed))
            .plain("vended", service.vended.load(Ordering::Relaxed))
            .write();
    }
}

/// One connection from handshake to end.
async fn converse(number: u64, stream: TcpStream, tls: TlsAcceptor, service: Arc<Service>) {
    let fault = service.faults.next_handshake();
    if let Some(fault) = fault {
        Line::new().plain("connection", number).plain("fault", fault).write();
    }
    if fault == Some(FaultKind::HangTls) {
        return wait_for_close(stream).await;
    }
    let _ = stream.set_nodelay(true);
    let stream = match tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            return Line::new().plain("connection", number).quoted("handshake", &error.to_string()).write();
        }
        Err(_) => return Line::new().plain("connection", number).quoted("handshake", "unfinished after 30 s").write(),
    };
    if fault == Some(FaultKind::CloseTls) {
        return;
    }
    let answer = service_fn(|request| {
        let service = Arc::clone(&service);
        async move { service.answer(number, request).await }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(LARGEST_HEADERS)
        .serve_connection(TokioIo::new(stream), answer)
        .await;
    if let Err(error) = served {
        log::info!("connection {number} ended: {error}");
    }
}

/// Reads and drops what comes until the client gives up.
async fn wait_for_close(mut stream: TcpStream) {
    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
}
