//! The tokens of container credentials: one per consumer, put where only the consumer's account can read it, replaced from
//! time to time with the old one still taken for a while.

use std::fmt;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::{constant_time, rand};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use zeroize::Zeroizing;

/// A consumer's token: 256 random bits in Base64, and no line end, which SDKs refuse in a header.
#[derive(Clone)]
pub struct ConsumerToken(Arc<Zeroizing<String>>);

impl ConsumerToken {
    /// A fresh token; an error where the system has no randomness.
    pub fn generate() -> io::Result<Self> {
        let mut octets = Zeroizing::new([0; 32]);
        rand::fill(&mut *octets).map_err(|_| io::Error::other("no random octets to be had"))?;
        Ok(Self(Arc::new(Zeroizing::new(URL_SAFE_NO_PAD.encode(*octets)))))
    }

    /// The token, for the file and for tests.
    pub fn expose(&self) -> &str {
        &self.0
    }

    fn is(&self, presented: &[u8]) -> bool {
        constant_time::verify_slices_are_equal(self.0.as_bytes(), presented).is_ok()
    }
}

impl fmt::Debug for ConsumerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConsumerToken(..)")
    }
}

/// The token of a consumer, and the one before it.
#[derive(Clone, Debug)]
pub struct ConsumerTokens {
    current: ConsumerToken,
    previous: Option<Previous>,
}

#[derive(Clone, Debug)]
struct Previous {
    token: ConsumerToken,
    until: Timestamp,
}

impl ConsumerTokens {
    /// The first token.
    pub fn new(current: ConsumerToken) -> Self {
        Self { current, previous: None }
    }

    /// The token to hand out.
    pub fn current(&self) -> &ConsumerToken {
        &self.current
    }

    /// Takes a new token, and the old one until the given time.
    pub fn rotate(&mut self, next: ConsumerToken, until: Timestamp) {
        let token = std::mem::replace(&mut self.current, next);
        self.previous = Some(Previous { token, until });
    }

    /// Whether the presented octets are a token that is taken. Takes the same time whichever it is.
    pub fn accepts(&self, presented: &[u8], now: Timestamp) -> bool {
        let current = self.current.is(presented);
        let previous = self.previous.as_ref().is_some_and(|old| old.token.is(presented) & (now < old.until));
        current | previous
    }
}

/// Puts the token into its file: 0600, no line end, replaced whole so that a reader sees one token or the other.
///
/// A directory that does not exist is made 0700; one in which others can put files is refused.
pub fn write_token(path: &Path, token: &ConsumerToken) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    refuse_open_directory(directory)?;

    let mut name = path.file_name().ok_or_else(|| io::Error::other("wanted a file, found a directory"))?.to_owned();
    name.push(".new");
    let new = directory.join(name);
    // What a run that was killed has left; the directory is nobody else's, so nobody puts another in its place.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(token.expose().as_bytes())?;
    fs::rename(&new, path)
}

fn refuse_open_directory(directory: &Path) -> io::Result<()> {
    let metadata = fs::metadata(directory)?;
    let ours = metadata.uid() == rustix::process::geteuid().as_raw();
    if metadata.mode() & 0o022 == 0 && ours {
        return Ok(());
    }
    let found = if ours { format!("mode {:04o}", metadata.mode() & 0o7777) } else { format!("uid {}", metadata.uid()) };
    Err(io::Error::new(
        io::ErrorKind::PermissionDenied,
        format!(
            "wanted a directory of our own that nobody else can write to, found {} with {found}",
            directory.display()
        ),
    ))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn token() -> ConsumerToken {
        ConsumerToken::generate().unwrap()
    }

    fn takes(tokens: &ConsumerTokens, token: &ConsumerToken, at: i64) -> bool {
        tokens.accepts(token.expose().as_bytes(), second(at))
    }

    #[test]
    fn the_old_token_is_taken_for_a_while_after_a_rotation() {
        let (old, new) = (token(), token());
        let mut tokens = ConsumerTokens::new(old.clone());
        assert!(takes(&tokens, &old, 0) && !takes(&tokens, &new, 0));
        tokens.rotate(new.clone(), second(300));
        assert!(takes(&tokens, &old, 299) && !takes(&tokens, &old, 300));
        assert!(takes(&tokens, &new, 0) && takes(&tokens, &new, 1_000_000));
    }

    #[test]
    fn part_of_a_token_is_no_token() {
        let token = token();
        let tokens = ConsumerTokens::new(token.clone());
        let octets = token.expose().as_bytes();
        assert!(!tokens.accepts(b"", second(0)));
        assert!(!tokens.accepts(&octets[..42], second(0)));
        assert!(!tokens.accepts(&[octets, b"\n"].concat(), second(0)));
    }

    #[test]
    fn the_file_is_0600_without_a_line_end_in_a_0700_directory() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("made/web.token");
        for _ in 0..2 {
            let token = token();
            write_token(&path, &token).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), token.expose());
        }
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().mode() & 0o7777, 0o700);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside the token");
    }

    #[test]
    fn what_a_killed_run_left_behind_is_in_nobodys_way() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("web.token");
        fs::write(folder.path().join("web.token.new"), "half").unwrap();
        write_token(&path, &token()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
    }

    #[test]
    fn a_directory_that_others_can_write_to_is_refused_by_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let error = write_token(&folder.path().join("web.token"), &token()).unwrap_err();
        assert!(error.to_string().contains("mode 0777"), "{error}");
    }

    #[test]
    fn a_token_does_not_show_in_debug() {
        let token = token();
        assert!(!format!("{:?}", ConsumerTokens::new(token.clone())).contains(token.expose()));
    }
}
