//! Which TPM is meant, and the way to it: flag and environment, devices, sockets, TCTI strings, and what a refusal by the
//! operating system means. Knows no TPM command.

use std::env;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::device::TpmOptions;
use super::super::error::{Advice, KeyError, KeyErrorKind};
use super::library;
use super::line::{Line, StreamLine};

/// What named the TPM where nothing did.
const DEFAULT: &str = "the default";

/// The kernel's resource manager: programs share the TPM, and what they leave in it goes when they close it.
const DEFAULT_DEVICE: &str = "/dev/tpmrm0";

/// A TPM, and who named it.
#[derive(Clone, Debug)]
pub(super) struct Reach {
    way: Way,
    /// The flag or variable that chose it.
    named_by: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Way {
    /// A character device, or a Unix socket that carries bare commands.
    Path(PathBuf),
    /// A TCTI string for libtss2's loader, `NAME:CONF`.
    Tcti(String),
}

impl Reach {
    /// The first that is named: `--tcti`, KEYANCHOR_TCTI, TPM_DEVICE (a path), TPM2TOOLS_TCTI, TCTI; else /dev/tpmrm0.
    pub(super) fn resolve(options: &TpmOptions) -> Self {
        Self::resolve_from(options, |name| env::var(name).ok())
    }

    fn resolve_from(options: &TpmOptions, variable: impl Fn(&str) -> Option<String>) -> Self {
        let variable = |name| variable(name).filter(|value| !value.is_empty());
        if let Some(tcti) = &options.tcti {
            return Self { way: Way::from_tcti(tcti), named_by: "--tcti" };
        }
        if let Some(tcti) = variable("KEYANCHOR_TCTI") {
            return Self { way: Way::from_tcti(&tcti), named_by: "KEYANCHOR_TCTI" };
        }
        if let Some(path) = variable("TPM_DEVICE") {
            return Self { way: Way::Path(path.into()), named_by: "TPM_DEVICE" };
        }
        for named_by in ["TPM2TOOLS_TCTI", "TCTI"] {
            if let Some(tcti) = variable(named_by) {
                return Self { way: Way::from_tcti(&tcti), named_by };
            }
        }
        Self { way: Way::Path(DEFAULT_DEVICE.into()), named_by: DEFAULT }
    }

    /// The path or the TCTI string, where a flag or a variable named it.
    pub(super) fn named(options: &TpmOptions) -> Option<String> {
        let reach = Self::resolve(options);
        (reach.named_by != DEFAULT).then(|| reach.way_as_text())
    }

    /// The flag or variable that named it.
    pub(super) fn named_by(&self) -> &'static str {
        self.named_by
    }

    /// The path or the TCTI string.
    pub(super) fn way_as_text(&self) -> String {
        match &self.way {
            Way::Path(path) => path.display().to_string(),
            Way::Tcti(tcti) => tcti.clone(),
        }
    }

    /// Opens the way to the TPM. No command is sent. A read from a socket ends soon after the limit.
    pub(super) fn connect(&self, limit: Duration) -> Result<Box<dyn Line>, KeyError> {
        match &self.way {
            Way::Path(path) => connect_path(path, limit).map_err(|error| self.refusal(path, error)),
            Way::Tcti(tcti) => library::TctiLine::open(tcti)
                .map(|line| Box::new(line) as Box<dyn Line>)
                .map_err(|error| error.context(format_args!("TCTI {tcti} ({})", self.named_by))),
        }
    }

    fn refusal(&self, path: &Path, error: io::Error) -> KeyError {
        let shown = path.display();
        let named_by = self.named_by;
        match error.kind() {
            io::ErrorKind::PermissionDenied => permission(path).with_source(error),
            io::ErrorKind::NotFound => KeyError::new(
                KeyErrorKind::Unreachable,
                format!("wanted a TPM at {shown} ({named_by}), found nothing there"),
            )
            .with_advice(Advice::Run { command: "ls -l /dev/tpm*".to_owned() }),
            io::ErrorKind::ResourceBusy => KeyError::new(
                KeyErrorKind::Unreachable,
                format!("{shown} is in use by another program; {DEFAULT_DEVICE} can be shared"),
            ),
            io::ErrorKind::ConnectionRefused => KeyError::new(
                KeyErrorKind::Unreachable,
                format!("wanted a TPM at the socket {shown} ({named_by}), found nobody listening"),
            ),
            _ => KeyError::new(
                KeyErrorKind::Unreachable,
                format!("cannot open the TPM at {shown} ({named_by}): {error}"),
            )
            .with_source(error),
        }
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TPM {}", self.way_as_text())
    }
}

impl Way {
    /// `device:PATH` needs none of libtss2's transports: opening the path here tells why it fails.
    fn from_tcti(tcti: &str) -> Self {
        if tcti.starts_with('/') {
            return Self::Path(tcti.into());
        }
        match tcti.strip_prefix("device") {
            Some("" | ":") => Self::Path(DEFAULT_DEVICE.into()),
            Some(path) => {
                path.strip_prefix(':').map_or_else(|| Self::Tcti(tcti.to_owned()), |path| Self::Path(path.into()))
            }
            None => Self::Tcti(tcti.to_owned()),
        }
    }
}

fn connect_path(path: &Path, limit: Duration) -> io::Result<Box<dyn Line>> {
    let kind = fs::metadata(path)?.file_type();
    if kind.is_socket() {
        let stream = UnixStream::connect(path)?;
        // Later than the limit of the whole work, which has the better message; this ends the thread that is left behind.
        let limit = limit.saturating_add(Duration::from_secs(1));
        stream.set_read_timeout(Some(limit))?;
        stream.set_write_timeout(Some(limit))?;
        return Ok(Box::new(StreamLine::new(stream)));
    }
    if !kind.is_char_device() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is neither a device nor a socket"));
    }
    let device = File::options().read(true).write(true).open(path)?;
    if is_raw(path) {
        log::warn!(
            "{} is used without a resource manager: keys and sessions of other programs are in the way; {DEFAULT_DEVICE} has one",
            path.display()
        );
    }
    Ok(Box::new(StreamLine::new(device)))
}

/// Whether the path is the kernel's device without resource manager, /dev/tpmN.
fn is_raw(path: &Path) -> bool {
    path.file_name()
        .and_then(|name| name.to_str())
        .and_then(|name| name.strip_prefix("tpm"))
        .is_some_and(|number| !number.is_empty() && number.bytes().all(|octet| octet.is_ascii_digit()))
}

/// Who may use the path, and how to become one of them.
fn permission(path: &Path) -> KeyError {
    let shown = path.display();
    let refused = |message| KeyError::new(KeyErrorKind::Permission, message);
    let Ok(metadata) = fs::metadata(path) else {
        return refused(format!("this account may not reach {shown}: a folder on the way is closed to it"));
    };
    // Read and write for the group.
    let for_group = metadata.permissions().mode() & 0o060 == 0o060;
    // The raw device is for the resource manager alone; its group is mostly root's.
    if !for_group || metadata.gid() == 0 {
        let instead =
            if is_raw(path) { format!("; {DEFAULT_DEVICE} is for everybody in its group") } else { String::new() };
        return refused(format!("only its owner (uid {}) may use {shown}{instead}", metadata.uid()));
    }
    let group = group_name(metadata.gid());
    refused(format!("this account may not use {shown}, which is for the group {group}"))
        .with_advice(Advice::JoinGroup { group })
}

/// The group's name by /etc/group, where device groups are kept; else its number.
fn group_name(gid: u32) -> String {
    let groups = fs::read_to_string("/etc/group").unwrap_or_default();
    groups
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            let number: u32 = fields.nth(1)?.parse().ok()?;
            (number == gid).then(|| name.to_owned())
        })
        .next()
        .unwrap_or_else(|| gid.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(tcti: Option<&str>, variables: &[(&str, &str)]) -> Way {
        let options = TpmOptions { tcti: tcti.map(str::to_owned), ..TpmOptions::default() };
        Reach::resolve_from(&options, |name| {
            variables.iter().find(|(variable, _)| *variable == name).map(|(_, value)| (*value).to_owned())
        })
        .way
    }

    #[test]
    fn the_first_that_is_named_wins() {
        let mut variables = vec![
            ("KEYANCHOR_TCTI", "swtpm:port=1"),
            ("TPM_DEVICE", "/dev/tpm3"),
            ("TPM2TOOLS_TCTI", "swtpm:port=2"),
            ("TCTI", "swtpm:port=3"),
        ];
        assert_eq!(way(Some("swtpm:port=0"), &variables), Way::Tcti("swtpm:port=0".to_owned()));
        for wanted in [
            Way::Tcti("swtpm:port=1".to_owned()),
            Way::Path("/dev/tpm3".into()),
            Way::Tcti("swtpm:port=2".to_owned()),
            Way::Tcti("swtpm:port=3".to_owned()),
            Way::Path(DEFAULT_DEVICE.into()),
        ] {
            assert_eq!(way(None, &variables), wanted);
            if !variables.is_empty() {
                variables.remove(0);
            }
        }
    }

    #[test]
    fn an_empty_variable_names_nothing() {
        assert_eq!(way(None, &[("TPM_DEVICE", "")]), Way::Path(DEFAULT_DEVICE.into()));
    }

    #[test]
    fn device_strings_are_paths() {
        assert_eq!(way(Some("device"), &[]), Way::Path(DEFAULT_DEVICE.into()));
        assert_eq!(way(Some("device:/dev/tpm1"), &[]), Way::Path("/dev/tpm1".into()));
        assert_eq!(way(Some("/run/swtpm.sock"), &[]), Way::Path("/run/swtpm.sock".into()));
        assert_eq!(way(Some("tabrmd"), &[]), Way::Tcti("tabrmd".to_owned()));
    }

    #[test]
    fn a_raw_device_is_told_from_a_managed_one() {
        assert!(is_raw(Path::new("/dev/tpm0")));
        assert!(!is_raw(Path::new("/dev/tpmrm0")));
        assert!(!is_raw(Path::new("/dev/tpm")));
    }
}
