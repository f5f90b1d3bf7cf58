//! Certificates from PEM files: a leaf with what stands beside it, or a bundle of intermediates.

use std::path::Path;

use super::certificate::Certificate;
use super::error::{CertificateError, CertificateErrorKind};
use crate::files::{self, Block, Format, shell_word, unused_name};
use crate::key::Advice;

/// What a certificate file holds. A private key beside the certificates is passed over: it is for the key's reader.
#[derive(Clone, Debug)]
pub struct CertificateFile {
    /// The first certificate.
    pub leaf: Certificate,
    /// Every further one, in the file's order.
    pub others: Vec<Certificate>,
}

/// Reads a certificate file: the leaf first, then whatever else.
pub fn read_certificates(path: &Path) -> Result<CertificateFile, CertificateError> {
    CertificateFile::from_octets(path, &files::read(path)?.octets)
}

impl CertificateFile {
    /// From the file's content; `path` is what messages call it.
    pub fn from_octets(path: &Path, octets: &[u8]) -> Result<Self, CertificateError> {
        let blocks = blocks(path, octets)?;
        let mut certificates = certificates(path, blocks.iter())?.into_iter();
        match certificates.next() {
            Some(leaf) => Ok(Self { leaf, others: certificates.collect() }),
            None => Err(none_found(path, octets, &blocks)),
        }
    }
}

/// Reads a bundle of intermediate certificates: at least one, and nothing else.
pub fn read_intermediates(path: &Path) -> Result<Vec<Certificate>, CertificateError> {
    let octets = files::read(path)?.octets;
    let blocks = blocks(path, &octets)?;
    if let Some(other) = blocks.iter().find(|block| !is_certificate(block) && conversion(path, block).is_none()) {
        return Err(CertificateError::new(
            CertificateErrorKind::Format,
            format!(
                "wanted only certificates in {}, found a {} block at line {}",
                path.display(),
                other.label,
                other.line
            ),
        ));
    }
    let certificates = certificates(path, blocks.iter())?;
    if certificates.is_empty() { Err(none_found(path, &octets, &blocks)) } else { Ok(certificates) }
}

fn blocks<'a>(path: &Path, octets: &'a [u8]) -> Result<Vec<Block<'a>>, CertificateError> {
    files::blocks(octets).map_err(|error| malformed(path, error))
}

fn certificates<'a>(
    path: &Path,
    blocks: impl Iterator<Item = &'a Block<'a>>,
) -> Result<Vec<Certificate>, CertificateError> {
    let mut certificates = Vec::new();
    for block in blocks {
        if let Some(command) = conversion(path, block) {
            return Err(CertificateError::new(
                CertificateErrorKind::Format,
                format!(
                    "wanted CERTIFICATE blocks in {}, found a {} block at line {}",
                    path.display(),
                    block.label,
                    block.line
                ),
            )
            .with_advice(Advice::Convert { command }));
        }
        if is_certificate(block) {
            let der = block.decode().map_err(|error| malformed(path, error))?;
            let certificate = Certificate::from_der(&der)
                .map_err(|error| error.context(format_args!("{} line {}", path.display(), block.line)))?;
            certificates.push(certificate);
        }
    }
    Ok(certificates)
}

/// OpenSSL writes the first label and reads the second, which is older, as the same.
fn is_certificate(block: &Block<'_>) -> bool {
    matches!(block.label, "CERTIFICATE" | "X509 CERTIFICATE")
}

/// The command that makes CERTIFICATE blocks of a block that holds certificates in another form.
fn conversion(path: &Path, block: &Block<'_>) -> Option<String> {
    let from = shell_word(&path.display().to_string());
    let to = || unused_name(path, "pem");
    match block.label {
        // A certificate and OpenSSL's own trust settings behind it.
        "TRUSTED CERTIFICATE" => Some(format!("openssl x509 -in {from} -out {}", to())),
        "PKCS7" | "CMS" => Some(format!("openssl pkcs7 -in {from} -print_certs -out {}", to())),
        _ => None,
    }
}

fn none_found(path: &Path, octets: &[u8], blocks: &[Block<'_>]) -> CertificateError {
    if blocks.is_empty() {
        return CertificateError::unsupported(path, Format::of(octets));
    }
    let labels: Vec<_> = blocks.iter().map(|block| block.label).collect();
    CertificateError::new(
        CertificateErrorKind::Missing,
        format!("wanted a CERTIFICATE block in {}, found only {}", path.display(), labels.join(", ")),
    )
}

fn malformed(path: &Path, error: files::PemError) -> CertificateError {
    CertificateError::new(CertificateErrorKind::Malformed, error.to_string()).context(path.display())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::test_pki::Pki;
    use super::*;

    #[test]
    fn the_first_certificate_is_the_leaf_wherever_the_key_stands() {
        let pki = Pki::new();
        let ca = pki.root("Root");
        let leaf = ca.leaf("host");
        let path = pki.path("combined.pem");
        let text = [pki.key_pem(&leaf).as_str(), "a remark\n", &leaf.pem(), &ca.certificate.pem()].concat();
        fs::write(&path, text.replace('\n', "\r\n")).unwrap();
        let file = read_certificates(&path).unwrap();
        assert_eq!(file.leaf.subject().to_string(), "CN=host");
        assert_eq!(file.others, [ca.certificate.read()]);
    }

    #[test]
    fn a_private_key_among_the_intermediates_is_refused_by_name() {
        let pki = Pki::new();
        let ca = pki.root("Root");
        let path = pki.path("bundle.pem");
        fs::write(&path, ca.certificate.pem() + &pki.key_pem(&ca.certificate)).unwrap();
        let error = read_intermediates(&path).unwrap_err();
        assert_eq!(error.kind(), CertificateErrorKind::Format);
        assert!(error.to_string().contains("found a PRIVATE KEY block at line"), "{error}");
        assert_eq!(read_certificates(&path).unwrap().others, []);
    }

    #[test]
    fn intermediates_without_any_certificate_are_an_error() {
        let pki = Pki::new();
        let path = pki.path("bundle.pem");
        for (content, wanted) in [("", "an empty file"), ("no PEM here\n", "text without PEM in it")] {
            fs::write(&path, content).unwrap();
            let error = read_intermediates(&path).unwrap_err();
            assert_eq!(error.kind(), CertificateErrorKind::Missing);
            assert!(error.to_string().ends_with(wanted), "{error}");
        }
    }

    #[test]
    fn other_forms_are_refused_with_the_command_that_converts_them() {
        let pki = Pki::new();
        let leaf = pki.root("Root").leaf("host");
        let converted = |command: &str| {
            pki.run(command, &[("LEAF", &leaf.path), ("KEY", &leaf.key), ("OUT", &pki.path("other"))]);
            let error = read_certificates(&pki.path("other")).unwrap_err();
            assert_eq!(error.kind(), CertificateErrorKind::Format, "{command}: {error}");
            let Some(Advice::Convert { command }) = error.advice() else { panic!("{command}: {error}") };
            // The advice is worth something only if it works.
            let command = command.replace("pkcs12 ", "pkcs12 -passin pass: ");
            pki.run(&command, &[]);
            let made = command.split(' ').rev().find(|word| word.ends_with(".pem")).unwrap().to_owned();
            assert_eq!(read_certificates(Path::new(&made)).unwrap().leaf, leaf.read(), "{command}");
            error.to_string()
        };
        assert!(converted("openssl x509 -in $LEAF -outform DER -out $OUT").ends_with("a certificate in DER"));
        assert!(
            converted("openssl crl2pkcs7 -nocrl -certfile $LEAF -outform DER -out $OUT").ends_with("PKCS#7 in DER")
        );
        assert!(converted("openssl crl2pkcs7 -nocrl -certfile $LEAF -out $OUT").ends_with("a PKCS7 block at line 1"));
        assert!(converted("iconv -f UTF-8 -t UTF-16 -o $OUT $LEAF").ends_with("text in UTF-16"));
        assert!(converted("openssl x509 -in $LEAF -trustout -out $OUT").contains("TRUSTED CERTIFICATE"));
        assert!(
            converted("openssl pkcs12 -export -in $LEAF -inkey $KEY -passout pass: -out $OUT")
                .ends_with("found PKCS#12")
        );
    }

    #[test]
    fn a_file_that_cannot_be_read_is_no_certificate() {
        let pki = Pki::new();
        for (path, found) in [(pki.path("absent.pem"), "no such file"), (pki.path(""), "it is a directory")] {
            for error in [read_certificates(&path).unwrap_err(), read_intermediates(&path).unwrap_err()] {
                assert_eq!(error.kind(), CertificateErrorKind::File);
                assert!(error.to_string().ends_with(found), "{error}");
            }
        }
    }

    #[test]
    fn a_file_without_a_certificate_says_what_it_has() {
        let pki = Pki::new();
        let leaf = pki.root("Root").leaf("host");
        let error = read_certificates(&leaf.key).unwrap_err();
        assert_eq!(error.kind(), CertificateErrorKind::Missing);
        assert!(error.to_string().ends_with("found only PRIVATE KEY"), "{error}");
    }

    #[test]
    fn a_damaged_certificate_names_file_and_line() {
        let pki = Pki::new();
        let path = pki.path("damaged.pem");
        fs::write(&path, "-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n").unwrap();
        let error = read_certificates(&path).unwrap_err();
        assert_eq!(error.kind(), CertificateErrorKind::Malformed);
        assert!(error.to_string().contains("damaged.pem line 1: wanted an X.509 certificate"), "{error}");
    }
}
