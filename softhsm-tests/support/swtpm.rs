//! A software TPM per test, in a folder of its own and gone with it. Its keys are made with tpm2-tools and the tpm2 provider
//! of OpenSSL, so that what other people write is read.

use std::ffi::OsStr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::command::{Outcome, Run};
use super::pki::Ca;
use super::{Folder, variable};

/// A swtpm at work.
pub struct Swtpm {
    child: Child,
    folder: Folder,
}

impl Swtpm {
    /// A TPM that has just been started, without keys.
    pub fn start() -> Self {
        let folder = Folder::new();
        Self { child: launch(&folder), folder }
    }

    /// Ends it and starts it again on the same state, as a reboot does.
    pub fn restart(&mut self) {
        self.stop();
        self.child = launch(&self.folder);
    }

    /// Ends it as a power cut does.
    pub fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(self.socket());
        let _ = std::fs::remove_file(self.folder.join("sock.ctrl"));
    }

    /// The socket that carries bare commands.
    pub fn socket(&self) -> PathBuf {
        self.folder.join("sock")
    }

    /// The TCTI string by which the program reaches it within a test. tpm2-tss's own transport does not close its socket in
    /// children, so that a program which another test starts meanwhile would keep the TPM's one line busy.
    pub fn tcti(&self) -> String {
        format!("device:{}", self.socket().display())
    }

    /// The TCTI string by which tpm2-tss reaches it.
    pub fn tpm2_tss_tcti(&self) -> String {
        format!("swtpm:path={}", self.socket().display())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Runs one of tpm2-tools or openssl on it, in its folder; the outcome is the caller's.
    pub fn try_tool<A: AsRef<OsStr>>(&self, name: &str, arguments: impl IntoIterator<Item = A>) -> Outcome {
        // Paths in the arguments are relative to the TPM's folder.
        let line = [OsStr::new("cd \"$0\" && exec \"$@\"").to_owned(), self.folder.path().into(), name.into()];
        Run::program("sh")
            .arg("-c")
            .args(line)
            .args(arguments)
            .envs(vec![
                variable("TPM2TOOLS_TCTI", self.tpm2_tss_tcti()),
                variable("TPM2OPENSSL_TCTI", self.tpm2_tss_tcti()),
            ])
            .run()
    }

    /// Runs one that must succeed and gives its stdout.
    #[track_caller]
    pub fn tool(&self, line: &str) -> String {
        let mut words = line.split(' ');
        let outcome = self.try_tool(words.next().unwrap(), words);
        assert!(outcome.status.success(), "{outcome}");
        String::from_utf8_lossy(&outcome.stdout).into_owned()
    }

    /// Runs one of tpm2-tools, and takes the objects out of the TPM that it leaves there.
    #[track_caller]
    pub fn tpm2(&self, line: &str) -> String {
        let said = self.tool(&format!("tpm2_{line}"));
        self.tool("tpm2_flushcontext -t");
        said
    }

    /// Makes the template key of the owner hierarchy and keeps it, as systemd and others do.
    pub fn make_srk(&self, handle: &str) {
        self.tpm2("createprimary -Q -C o -g sha256 -G ecc256:aes128cfb -a fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt -c srk.ctx");
        self.tpm2(&format!("evictcontrol -Q -C o -c srk.ctx {handle}"));
    }

    /// Makes a signing key under a parent with tpm2_create; `more` are further arguments.
    pub fn make_key(&self, parent: &str, algorithm: &str, attributes: &str, more: &str) -> TpmKeyParts {
        let more = if more.is_empty() { String::new() } else { format!(" {more}") };
        self.tpm2(&format!("create -Q -C {parent} -G {algorithm} -a {attributes} -u key.pub -r key.priv{more}"));
        TpmKeyParts { public: self.path("key.pub"), private: self.path("key.priv") }
    }

    /// Keeps the key that [`make_key`](Self::make_key) has made.
    pub fn persist(&self, parent: &str, parent_auth: &str, handle: &str) {
        let auth = if parent_auth.is_empty() { String::new() } else { format!(" -P {parent_auth}") };
        self.tpm2(&format!("load -Q -C {parent}{auth} -u key.pub -r key.priv -c key.ctx"));
        self.tpm2(&format!("evictcontrol -Q -C o -c key.ctx {handle}"));
    }

    /// A key file by the tpm2 provider of OpenSSL.
    pub fn openssl_key(&self, arguments: &str) -> PathBuf {
        self.tool(&format!(
            "openssl genpkey -provider tpm2 -provider default -propquery ?provider=tpm2 {arguments} -out provider.pem"
        ));
        self.path("provider.pem")
    }

    /// A key file of the tpm2 provider, and a leaf for it under the CA.
    pub fn identity(&self, ca: &Ca) -> (PathBuf, PathBuf) {
        let key = self.openssl_key("-algorithm EC -pkeyopt group:P-256");
        let providers = "-provider tpm2 -provider default -propquery ?provider=tpm2";
        self.tool(&format!("openssl pkey {providers} -in provider.pem -pubout -outform DER -out public.der"));
        let public = std::fs::read(self.path("public.der")).unwrap();
        (key, ca.leaf("host", &public).pem_path())
    }

    /// Handles of transient objects and loaded sessions: what somebody left in the TPM.
    pub fn left_behind(&self) -> String {
        let mut left = self.tool("tpm2_getcap handles-transient");
        left.push_str(&self.tool("tpm2_getcap handles-loaded-session"));
        left.push_str(&self.tool("tpm2_getcap handles-saved-session"));
        left
    }

    /// How many wrong passwords the TPM has counted.
    pub fn lockout_counter(&self) -> u32 {
        let properties = self.tool("tpm2_getcap properties-variable");
        let line = properties.lines().find(|line| line.contains("TPM2_PT_LOCKOUT_COUNTER")).unwrap();
        u32::from_str_radix(line.rsplit("0x").next().unwrap().trim(), 16).unwrap()
    }
}

impl Drop for Swtpm {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The two files that tpm2_create writes.
pub struct TpmKeyParts {
    public: PathBuf,
    private: PathBuf,
}

impl TpmKeyParts {
    /// TPM2B_PUBLIC.
    pub fn public(&self) -> Vec<u8> {
        std::fs::read(&self.public).unwrap()
    }

    /// TPM2B_PRIVATE.
    pub fn private(&self) -> Vec<u8> {
        std::fs::read(&self.private).unwrap()
    }
}

fn launch(folder: &Folder) -> Child {
    let socket = folder.join("sock");
    let child = Command::new("swtpm")
        .args(["socket", "--tpm2", "--flags", "startup-clear", "--tpmstate"])
        .arg(format!("dir={}", folder.path().display()))
        .arg("--server")
        .arg(format!("type=unixio,path={}", socket.display()))
        .arg("--ctrl")
        .arg(format!("type=unixio,path={}.ctrl", socket.display()))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("swtpm of the package swtpm; scripts/setup installs it");
    until_listening(&socket);
    child
}

fn until_listening(socket: &Path) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while UnixStream::connect(socket).is_err() {
        assert!(Instant::now() < deadline, "swtpm does not listen at {}", socket.display());
        std::thread::sleep(Duration::from_millis(2));
    }
}
