//! A Roles Anywhere client made of openssl and curl, and the certificates it needs.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::sandbox::Sandbox;

pub const CA_EXTENSIONS: &str = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign";
pub const LEAF_EXTENSIONS: &str = "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature";

const BODY: &str = concat!(
    r#"{"durationSeconds":900,"#,
    r#""profileArn":"arn:aws:rolesanywhere:us-east-1:111122223333:profile/0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f1","#,
    r#""roleArn":"arn:aws:iam::111122223333:role/ExampleRole","#,
    r#""trustAnchorArn":"arn:aws:rolesanywhere:us-east-1:111122223333:trust-anchor/11111111-2222-4333-8444-555555555555"}"#,
);

/// A key and a certificate for it.
pub struct Identity {
    pub key: PathBuf,
    pub certificate: PathBuf,
    pub serial: u128,
}

/// A folder of keys and certificates.
pub struct Pki {
    folder: TempDir,
    next: Cell<u128>,
}

impl Pki {
    pub fn new() -> Self {
        // Longer than 64 bits, so that a serial number cut to a machine word shows.
        Self { folder: tempfile::tempdir().unwrap(), next: Cell::new(0xf1a2_b3c4_d5e6_f708_1234_5678) }
    }

    /// A self-signed P-256 CA.
    pub fn authority(&self, name: &str) -> Identity {
        self.make(name, "P-256", None, CA_EXTENSIONS, &[])
    }

    /// A CA whose folder lives as long as the result.
    pub fn authority_elsewhere(self, name: &str) -> (Self, Identity) {
        let authority = self.authority(name);
        (self, authority)
    }

    pub fn intermediate(&self, name: &str, issuer: &Identity, extensions: &str) -> Identity {
        self.make(name, "P-256", Some(issuer), extensions, &[])
    }

    pub fn leaf(&self, name: &str, kind: &str, issuer: &Identity) -> Identity {
        self.make(name, kind, Some(issuer), LEAF_EXTENSIONS, &[])
    }

    /// With further arguments for `openssl x509`, which take precedence.
    pub fn issue(&self, name: &str, kind: &str, issuer: &Identity, extensions: &str, arguments: &[&str]) -> Identity {
        self.make(name, kind, Some(issuer), extensions, arguments)
    }

    fn make(
        &self,
        name: &str,
        kind: &str,
        issuer: Option<&Identity>,
        extensions: &str,
        arguments: &[&str],
    ) -> Identity {
        let serial = self.next.replace(self.next.get() + 1);
        let path = |suffix: &str| self.folder.path().join(format!("{serial:x}.{suffix}"));
        let (key, request, certificate, config) = (path("key"), path("csr"), path("pem"), path("ext"));
        let algorithm = match kind.split_once('-') {
            Some(("RSA", bits)) => ["RSA".to_owned(), format!("rsa_keygen_bits:{bits}")],
            _ => ["EC".to_owned(), format!("ec_paramgen_curve:{kind}")],
        };
        run(Command::new("openssl")
            .args(["genpkey", "-algorithm", &algorithm[0], "-pkeyopt", &algorithm[1], "-out"])
            .arg(&key));
        let subject = if name.is_empty() { "/".to_owned() } else { format!("/CN={name}") };
        run(Command::new("openssl")
            .args(["req", "-new", "-subj", &subject, "-key"])
            .arg(&key)
            .arg("-out")
            .arg(&request));
        fs::write(&config, extensions).unwrap();
        let mut sign = Command::new("openssl");
        sign.args(["x509", "-req", "-in"]).arg(&request);
        match issuer {
            Some(issuer) => sign.arg("-CA").arg(&issuer.certificate).arg("-CAkey").arg(&issuer.key),
            None => sign.arg("-key").arg(&key),
        };
        if !extensions.is_empty() {
            sign.arg("-extfile").arg(&config);
        }
        for (option, value) in [("-days", "30"), ("-set_serial", serial.to_string().as_str())] {
            if !arguments.contains(&option) {
                sign.args([option, value]);
            }
        }
        run(sign.args(arguments).arg("-out").arg(&certificate));
        Identity { key, certificate, serial }
    }
}

/// A CreateSession request before it is signed.
pub struct RequestPlan<'a> {
    leaf: &'a Identity,
    chain: Vec<String>,
    signed_body: String,
    sent_body: String,
}

impl<'a> RequestPlan<'a> {
    pub fn new(leaf: &'a Identity) -> Self {
        Self { leaf, chain: Vec::new(), signed_body: BODY.to_owned(), sent_body: BODY.to_owned() }
    }

    pub fn chain(mut self, chain: &[&Identity]) -> Self {
        self.chain = chain.iter().map(|identity| base64_of(&identity.certificate)).collect();
        self
    }

    /// Changes the body before it is signed.
    pub fn edit_body(mut self, from: &str, to: &str) -> Self {
        assert!(self.signed_body.contains(from));
        self.signed_body = self.signed_body.replacen(from, to, 1);
        self.sent_body.clone_from(&self.signed_body);
        self
    }

    /// Changes the body after it was signed.
    pub fn tamper_body(mut self, from: &str, to: &str) -> Self {
        assert!(self.sent_body.contains(from));
        self.sent_body = self.sent_body.replacen(from, to, 1);
        self
    }

    /// Signs with openssl, sends with curl.
    pub fn send(&self, sandbox: &Sandbox) -> Answer {
        self.try_send(sandbox, &[]).unwrap_or_else(|code| panic!("curl ended with {code}\n{}", sandbox.log()))
    }

    /// Like [`Self::send`] with further arguments for curl; an error is curl's exit code.
    pub fn try_send(&self, sandbox: &Sandbox, arguments: &[&str]) -> Result<Answer, i32> {
        let headers = self.signed_headers(sandbox.endpoint().trim_start_matches("https://"));
        let url = format!("{}/sessions", sandbox.endpoint());
        let mut all: Vec<&str> = headers.iter().flat_map(|header| ["-H", header.as_str()]).collect();
        all.extend(["--data-binary", &self.sent_body, &url]);
        all.extend(arguments);
        curl_with(sandbox, &all)
    }

    fn signed_headers(&self, host: &str) -> Vec<String> {
        let date = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
        let mut headers = vec![
            "content-type:application/json".to_owned(),
            format!("host:{host}"),
            format!("x-amz-date:{date}"),
            format!("x-amz-x509:{}", base64_of(&self.leaf.certificate)),
        ];
        if !self.chain.is_empty() {
            headers.push(format!("x-amz-x509-chain:{}", self.chain.join(",")));
        }
        let names: Vec<&str> = headers.iter().filter_map(|header| header.split(':').next()).collect();
        let names = names.join(";");
        let body_hash = sha256_hex(&self.signed_body);
        let canonical = format!("POST\n/sessions\n\n{}\n\n{names}\n{body_hash}", headers.join("\n"));
        let key = fs::read_to_string(&self.leaf.key).unwrap();
        let is_rsa = run_with_input(Command::new("openssl").args(["pkey", "-noout", "-text"]), key.as_bytes());
        let is_rsa = String::from_utf8_lossy(&is_rsa).contains("modulus");
        let algorithm = if is_rsa { "AWS4-X509-RSA-SHA256" } else { "AWS4-X509-ECDSA-SHA256" };
        let scope = format!("{}/us-east-1/rolesanywhere/aws4_request", &date[..8]);
        let to_sign = format!("{algorithm}\n{date}\n{scope}\n{}", sha256_hex(&canonical));
        let signature = run_with_input(
            Command::new("openssl").args(["dgst", "-sha256", "-sign"]).arg(&self.leaf.key),
            to_sign.as_bytes(),
        );
        let signature: String = signature.iter().map(|octet| format!("{octet:02x}")).collect();
        let credential = format!("{}/{scope}", self.leaf.serial);
        headers.push(format!(
            "authorization:{algorithm} Credential={credential}, SignedHeaders={names}, Signature={signature}"
        ));
        headers
    }
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(header, _)| header == name).map_or("", |(_, value)| value)
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// A 403 in the service's form with this message.
    pub fn assert_denied(&self, message: &str) {
        assert_eq!((self.status, self.header("x-amzn-errortype")), (403, "AccessDeniedException"), "{self:?}");
        assert_eq!(self.json()["message"], message);
    }
}

/// Runs curl, which must get an answer.
pub fn curl(sandbox: &Sandbox, arguments: &[&str]) -> Answer {
    curl_with(sandbox, arguments).unwrap_or_else(|code| panic!("curl ended with {code}\n{}", sandbox.log()))
}

/// Runs curl; an error is its exit code.
pub fn curl_with(sandbox: &Sandbox, arguments: &[&str]) -> Result<Answer, i32> {
    let output = Command::new("curl")
        .args(["--disable", "--silent", "--include", "--http1.1", "--max-time", "20", "--noproxy", "*", "--cacert"])
        .arg(sandbox.ca())
        .args(arguments)
        .output()
        .expect("curl is installed");
    if !output.status.success() {
        return Err(output.status.code().unwrap());
    }
    let text = String::from_utf8(output.stdout).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers =
        lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.to_lowercase(), value.to_owned()));
    Ok(Answer { status, headers: headers.collect(), body: body.to_owned() })
}

fn base64_of(certificate: &Path) -> String {
    fs::read_to_string(certificate).unwrap().lines().filter(|line| !line.starts_with("-----")).collect()
}

fn sha256_hex(text: &str) -> String {
    let output = run_with_input(Command::new("openssl").args(["dgst", "-sha256", "-r"]), text.as_bytes());
    String::from_utf8(output).unwrap().split(' ').next().unwrap().to_owned()
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn run_with_input(command: &mut Command, input: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{command:?}");
    output.stdout
}
