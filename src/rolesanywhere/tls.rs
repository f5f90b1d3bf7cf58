//! TLS: which roots are trusted, the configuration, and what a failed handshake means. Knows no HTTP.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use der::Decode;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_native_certs::CertificateResult;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::environment::Environment;
use super::error::{ConnectionError, ConnectionErrorKind as Kind};
use crate::files;

/// Where systems keep all their roots in one file: Debian and its kin, Fedora and its kin, OpenSUSE, Alpine. One file is
/// read in a third of the time that the folders beside it take.
const SYSTEM_BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Longest file of roots: the bundle of every public root of the Web has a twentieth of this.
const LONGEST_BUNDLE: usize = 4 << 20;

/// Whom to trust. No file is read before a connection needs it.
#[derive(Clone, Debug)]
pub(super) enum Trust {
    /// The certificates of this file and no others; who named it.
    Bundle(PathBuf, &'static str),
    /// SSL_CERT_FILE and SSL_CERT_DIR, as OpenSSL reads them.
    Listed(Option<PathBuf>, Option<OsString>),
    /// The system's.
    System,
    /// Everybody: `--no-verify-ssl`.
    Everybody,
}

impl Trust {
    /// `--no-verify-ssl`, `--ca-bundle`, AWS_CA_BUNDLE, SSL_CERT_FILE and SSL_CERT_DIR, the system: the first that is there.
    pub(super) fn choose(no_verify_ssl: bool, ca_bundle: Option<&Path>, environment: &Environment) -> Self {
        if no_verify_ssl {
            return Self::Everybody;
        }
        if let Some(path) = ca_bundle {
            return Self::Bundle(path.to_owned(), "--ca-bundle");
        }
        if let Some(path) = &environment.ca_bundle {
            return Self::Bundle(path.clone(), "AWS_CA_BUNDLE");
        }
        match (&environment.ssl_cert_file, &environment.ssl_cert_dir) {
            (None, None) => Self::System,
            (file, folder) => Self::Listed(file.clone(), folder.clone()),
        }
    }

    /// A TLS configuration with these roots, read now.
    pub(super) fn client_config(&self) -> Result<TlsClient, ConnectionError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let (verifier, roots): (Arc<dyn ServerCertVerifier>, String) = match self {
            Self::Everybody => (Arc::new(NoVerification(Arc::clone(&provider))), "nothing".to_owned()),
            _ => {
                let (roots, place) = self.read()?;
                let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                    .build()
                    .map_err(|source| {
                        ConnectionError::new(Kind::TrustRoots, format!("cannot trust the certificates of {place}"))
                            .with_source(source)
                    })?;
                (verifier, place)
            }
        };
        let verifier = Arc::new(Remembering { inner: verifier, refused: Mutex::default() });
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|source| ConnectionError::new(Kind::Tls, "TLS cannot be set up").with_source(source))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&verifier) as Arc<dyn ServerCertVerifier>)
            .with_no_client_auth();
        // One connection, one session: nothing will be resumed.
        config.resumption = rustls::client::Resumption::disabled();
        Ok(TlsClient { config: Arc::new(config), verifier, roots })
    }

    /// The roots, and where they are from.
    fn read(&self) -> Result<(RootCertStore, String), ConnectionError> {
        let mut found = Found::default();
        let place = match self {
            Self::Bundle(path, named_by) => {
                found.add_file(path);
                format!("{} ({named_by})", path.display())
            }
            Self::Listed(file, folders) => {
                if let Some(file) = file {
                    found.add_file(file);
                }
                for folder in folders.iter().flat_map(std::env::split_paths).filter(|path| !path.as_os_str().is_empty())
                {
                    found.add(rustls_native_certs::load_certs_from_paths(None, Some(&folder)));
                }
                "SSL_CERT_FILE and SSL_CERT_DIR".to_owned()
            }
            Self::System | Self::Everybody => match SYSTEM_BUNDLES.iter().map(Path::new).find(|path| path.exists()) {
                Some(path) => {
                    found.add_file(path);
                    path.display().to_string()
                }
                None => {
                    found.add(rustls_native_certs::load_native_certs());
                    "the system".to_owned()
                }
            },
        };
        let mut roots = RootCertStore::empty();
        let (trusted, ignored) = roots.add_parsable_certificates(found.certs);
        log::debug!("trusting {trusted} certificates of {place}, leaving out {ignored} that cannot be read");
        if trusted == 0 {
            let error = ConnectionError::new(
                Kind::TrustRoots,
                match found.error {
                    Some(error) => format!("wanted certificates to trust in {place}: {error}"),
                    None => format!("wanted certificates in PEM to trust in {place}, found none"),
                },
            );
            return Err(error);
        }
        Ok((roots, place))
    }
}

/// Certificates that may become roots, and why the first that was not found was not.
#[derive(Default)]
struct Found {
    certs: Vec<CertificateDer<'static>>,
    error: Option<String>,
}

impl Found {
    fn add_file(&mut self, path: &Path) {
        match files::read_octets(path, LONGEST_BUNDLE) {
            Ok(pem) => {
                for certificate in CertificateDer::pem_slice_iter(&pem) {
                    match certificate {
                        Ok(certificate) => self.certs.push(certificate),
                        Err(error) => self.fail(&error),
                    }
                }
            }
            Err(error) => self.fail(&error),
        }
    }

    fn add(&mut self, more: CertificateResult) {
        self.certs.extend(more.certs);
        if let Some(error) = more.errors.first() {
            self.fail(error);
        }
    }

    fn fail(&mut self, error: &dyn std::error::Error) {
        self.error.get_or_insert_with(|| error.to_string());
    }
}

/// What a handshake needs, and what explains its failure.
#[derive(Clone, Debug)]
pub(super) struct TlsClient {
    pub(super) config: Arc<ClientConfig>,
    verifier: Arc<Remembering>,
    roots: String,
}

impl TlsClient {
    /// Where the trusted certificates are from.
    pub(super) fn roots(&self) -> &str {
        &self.roots
    }

    /// What a failed handshake with this host means.
    pub(super) fn explain(&self, error: rustls::Error, host: &str) -> ConnectionError {
        let (kind, message) = match &error {
            rustls::Error::InvalidCertificate(problem) => self.explain_certificate(problem, host),
            rustls::Error::AlertReceived(alert) => {
                (Kind::Tls, format!("{host} ended the TLS handshake with {alert:?}"))
            }
            rustls::Error::InvalidMessage(_) => (Kind::Tls, format!("wanted TLS from {host}, found something else")),
            other => (Kind::Tls, format!("the TLS handshake with {host} failed: {other}")),
        };
        ConnectionError::new(kind, message).with_source(error)
    }

    fn explain_certificate(&self, problem: &CertificateError, host: &str) -> (Kind, String) {
        use CertificateError as Problem;
        let issuer = self.verifier.issuer().unwrap_or_else(|| "an issuer that cannot be read".to_owned());
        match problem {
            // The last two: a root has the issuer's name and another key.
            Problem::UnknownIssuer
            | Problem::BadSignature
            | Problem::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => (
                Kind::UntrustedIssuer,
                format!("the TLS certificate of {host} is issued by {issuer}, which {} does not vouch for", self.roots),
            ),
            Problem::NotValidForName => {
                (Kind::OtherHost, format!("wanted a TLS certificate for {host}, found one for another host"))
            }
            Problem::NotValidForNameContext { presented, .. } => {
                (Kind::OtherHost, format!("wanted a TLS certificate for {host}, found one for {}", listed(presented)))
            }
            Problem::Expired | Problem::ExpiredContext { .. } => (
                Kind::CertificateTime,
                format!("the TLS certificate of {host} has expired, or this machine's clock is ahead"),
            ),
            Problem::NotValidYet | Problem::NotValidYetContext { .. } => (
                Kind::CertificateTime,
                format!("the TLS certificate of {host} is not valid yet, or this machine's clock is behind"),
            ),
            Problem::InvalidPurpose | Problem::InvalidPurposeContext { .. } => {
                (Kind::Tls, format!("the TLS certificate of {host}, issued by {issuer}, is not for servers"))
            }
            other => {
                (Kind::Tls, format!("the TLS certificate of {host}, issued by {issuer}, is not acceptable: {other}"))
            }
        }
    }
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "no name".to_owned() } else { names.join(", ") }
}

/// Who issued a certificate, in DER; `None` where it cannot be read.
pub(super) fn issuer(der: &[u8]) -> Option<String> {
    let certificate = x509_cert::Certificate::from_der(der).ok()?;
    Some(certificate.tbs_certificate().issuer().to_string())
}

/// Passes everything on, and remembers the certificate that was refused: its issuer tells a company's TLS proxy from an attack.
#[derive(Debug)]
struct Remembering {
    inner: Arc<dyn ServerCertVerifier>,
    refused: Mutex<Option<Vec<u8>>>,
}

impl Remembering {
    fn issuer(&self) -> Option<String> {
        issuer(&self.refused.lock().ok()?.take()?)
    }
}

impl ServerCertVerifier for Remembering {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now).inspect_err(|_| {
            if let Ok(mut refused) = self.refused.lock() {
                *refused = Some(end_entity.to_vec());
            }
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Accepts any certificate, for `--no-verify-ssl`. The handshake's signatures are still checked against it.
#[derive(Debug)]
struct NoVerification(Arc<CryptoProvider>);

impl ServerCertVerifier for NoVerification {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
