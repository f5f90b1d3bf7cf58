//! TLS servers on this machine that do as they are told, and a key that counts.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::identity::Identity;
use crate::key::{KeyError, KeyErrorKind, PublicKey, Signature, SigningInput, SigningKey};
use crate::rolesanywhere::ClientOptions;
use crate::x509::Certificate;

pub(super) const CREDENTIALS: &str = r#"{"credentialSet":[{"credentials":{"accessKeyId":"ASIATEST","secretAccessKey":"test-secret","sessionToken":"test-token","expiration":"2999-01-01T00:00:00Z"}}]}"#;

/// What a server does with one connection, after the TLS handshake.
#[derive(Clone)]
pub(super) enum Act {
    /// Reads a request and answers it.
    Answer(String),
    /// Closes without reading.
    Close,
    /// Reads a request and answers nothing until the test ends.
    Silence,
}

pub(super) fn answer(status: &str, headers: &str, body: &str) -> Act {
    Act::Answer(format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}", body.len()))
}

pub(super) fn created() -> Act {
    answer("201 Created", "content-type: application/json\r\n", CREDENTIALS)
}

/// A server with a certificate for `localhost`, and the file that vouches for it.
pub(super) struct Server {
    pub(super) port: u16,
    pub(super) ca: tempfile::NamedTempFile,
    record: Arc<Record>,
    /// One message for each connection whose act is done, or which waits for a request.
    ready: Mutex<mpsc::Receiver<()>>,
}

#[derive(Default)]
struct Record {
    connections: AtomicUsize,
    requests: Mutex<Vec<Vec<u8>>>,
}

impl Server {
    /// One act for each connection in turn; the last is repeated.
    pub(super) fn start(acts: Vec<Act>) -> Self {
        Self::start_for("localhost", acts)
    }

    pub(super) fn start_for(name: &str, acts: Vec<Act>) -> Self {
        let (ca, config) = certify(name);
        Self::serve(ca, Some(config), acts)
    }

    pub(super) fn start_without_tls(acts: Vec<Act>) -> Self {
        let (ca, _) = certify("localhost");
        Self::serve(ca, None, acts)
    }

    fn serve(ca: tempfile::NamedTempFile, config: Option<Arc<ServerConfig>>, acts: Vec<Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let record = Arc::new(Record::default());
        let (sender, ready) = mpsc::channel();
        let shared = Arc::clone(&record);
        thread::spawn(move || {
            for tcp in listener.incoming() {
                let at = shared.connections.fetch_add(1, Ordering::SeqCst);
                let act = acts.get(at).or(acts.last()).unwrap().clone();
                let (config, record, sender) = (config.clone(), Arc::clone(&shared), sender.clone());
                // A client that refuses the certificate ends the handshake with an error, which is its right.
                thread::spawn(move || drop(converse(tcp.unwrap(), config, act, &record, &sender)));
            }
        });
        Self { port, ca, record, ready: Mutex::new(ready) }
    }

    pub(super) fn wait_until_ready(&self) {
        self.ready.lock().unwrap().recv_timeout(Duration::from_secs(10)).expect("no connection was made");
    }

    pub(super) fn connections(&self) -> usize {
        self.record.connections.load(Ordering::SeqCst)
    }

    pub(super) fn requests(&self) -> Vec<Vec<u8>> {
        self.record.requests.lock().unwrap().clone()
    }

    pub(super) fn options(&self) -> ClientOptions {
        ClientOptions {
            endpoint: Some(format!("https://localhost:{}", self.port)),
            ca_bundle: Some(self.ca.path().to_owned()),
            ..ClientOptions::default()
        }
    }
}

fn certify(name: &str) -> (tempfile::NamedTempFile, Arc<ServerConfig>) {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, "Test TLS CA");
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let ca = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(ca.path(), issuer.pem()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der())))
        .unwrap();
    (ca, Arc::new(config))
}

trait ReadWrite: Read + Write {}
impl<T: Read + Write> ReadWrite for T {}

fn converse(
    mut tcp: TcpStream,
    config: Option<Arc<ServerConfig>>,
    act: Act,
    record: &Record,
    ready: &mpsc::Sender<()>,
) -> io::Result<()> {
    let mut stream: Box<dyn ReadWrite> = match config {
        None => Box::new(tcp),
        Some(config) => {
            let mut tls = ServerConnection::new(config).unwrap();
            while tls.is_handshaking() {
                tls.complete_io(&mut tcp)?;
            }
            Box::new(StreamOwned::new(tls, tcp))
        }
    };
    if matches!(act, Act::Close) {
        drop(stream);
        let _ = ready.send(());
        return Ok(());
    }
    let _ = ready.send(());
    let request = read_request(&mut stream)?;
    record.requests.lock().unwrap().push(request);
    match act {
        Act::Answer(text) => stream.write_all(text.as_bytes()).and_then(|()| stream.flush()),
        // Ends when the client goes away.
        _ => stream.read_to_end(&mut Vec::new()).map(drop),
    }
}

fn read_request(stream: &mut dyn ReadWrite) -> io::Result<Vec<u8>> {
    let mut request = Vec::new();
    loop {
        let mut octet = [0];
        stream.read_exact(&mut octet)?;
        request.extend(octet);
        let text = String::from_utf8_lossy(&request);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            if body.len() == length.parse::<usize>().unwrap() {
                return Ok(request);
            }
        }
    }
}

/// A software key that counts its signatures, and does something before each.
pub(super) struct TestKey {
    pair: EcdsaKeyPair,
    public: PublicKey,
    signatures: Arc<AtomicUsize>,
    before: Box<dyn Fn() + Send + Sync>,
    /// Nobody can be asked for the secret.
    pub(super) locked: bool,
}

impl SigningKey for TestKey {
    fn public_key(&self) -> Option<&PublicKey> {
        Some(&self.public)
    }
    fn reference(&self) -> &str {
        "test key"
    }
    fn gather_secrets(&self) -> Result<(), KeyError> {
        if self.locked { Err(KeyError::new(KeyErrorKind::SecretMissing, "test")) } else { Ok(()) }
    }
    fn sign(&self, input: &SigningInput) -> Result<Signature, KeyError> {
        (self.before)();
        self.signatures.fetch_add(1, Ordering::SeqCst);
        let signature = self.pair.sign(&SystemRandom::new(), input.message()).unwrap();
        Ok(Signature::from_ecdsa_der(signature.as_ref().to_vec()))
    }
}

pub(super) fn test_key() -> (TestKey, Certificate) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new([]).unwrap().self_signed(&key).unwrap();
    let leaf = Certificate::from_der(certificate.der()).unwrap();
    let key = TestKey {
        pair: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &key.serialize_der()).unwrap(),
        public: leaf.public_key().unwrap(),
        signatures: Arc::default(),
        before: Box::new(|| ()),
        locked: false,
    };
    (key, leaf)
}

/// An identity, and the number of signatures that its key has made.
pub(super) fn identity(before: impl Fn() + Send + Sync + 'static) -> (Identity, Arc<AtomicUsize>) {
    let (mut key, leaf) = test_key();
    key.before = Box::new(before);
    let signatures = Arc::clone(&key.signatures);
    (Identity { key: Box::new(key), leaf, chain: Vec::new() }, signatures)
}
