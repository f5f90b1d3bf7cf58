//! The cache: hits, refreshes, waiting, and what it does not trust.

use std::cell::Cell;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use super::*;

const ISSUED: i64 = 1_800_000_000;

struct Bench {
    folder: tempfile::TempDir,
    cache: Cache,
    name: EntryName,
    made: Cell<u32>,
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(ISSUED + second).unwrap()
}

fn credentials(number: u32) -> Credentials {
    Credentials {
        access_key_id: format!("AKID{number}"),
        secret_access_key: "test \"secret\"".to_owned().into(),
        session_token: "test-token".to_owned().into(),
        expiration: at(3_600).to_string(),
    }
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path().join("run/keyanchor")).unwrap();
        Self { folder, cache, name: EntryName::of([("role", "arn:x")]), made: Cell::new(0) }
    }

    /// The number of the credentials that come at this second.
    fn obtain(&self, second: i64) -> Result<u32, VendError> {
        let vend = || {
            self.made.set(self.made.get() + 1);
            Ok(credentials(self.made.get()))
        };
        let credentials = self.cache.obtain(&self.name, "arn:x", || at(second), vend)?;
        assert_eq!(*credentials.secret_access_key, "test \"secret\"");
        assert_eq!(credentials.expiration, at(3_600).to_string());
        Ok(credentials.access_key_id.strip_prefix("AKID").unwrap().parse().unwrap())
    }

    fn file(&self) -> PathBuf {
        self.cache.path(&self.name, ".json")
    }
}

#[test]
fn the_cache_is_where_a_reboot_empties_it_else_in_the_state_home() {
    let directory = |runtime: &str, state: &str, home: &str| {
        super::directory(Some(runtime.into()), Some(state.into()), Some(home.into()))
            .map(|path| path.display().to_string())
    };
    assert_eq!(directory("/run/user/1", "/s", "/h").as_deref(), Some("/run/user/1/keyanchor"));
    assert_eq!(directory("", "/s", "/h").as_deref(), Some("/s/keyanchor"));
    assert_eq!(directory("relative", "relative", "/h").as_deref(), Some("/h/.local/state/keyanchor"));
    assert_eq!(directory("", "", ""), None);
}

#[test]
fn names_differ_where_any_parameter_does() {
    let name = |parameters: &[(&str, &str)]| EntryName::of(parameters.iter().copied());
    assert_eq!(name(&[("a", "b")]), name(&[("a", "b")]));
    assert_ne!(name(&[("a", "bc")]), name(&[("ab", "c")]));
    assert_ne!(name(&[("a", "b"), ("c", "d")]), name(&[("a", "b")]));
    assert_eq!(name(&[]).as_str(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

#[test]
fn kept_credentials_are_reused_until_twenty_minutes_are_left() {
    let bench = Bench::new();
    let numbers: Vec<_> = [0, 10, 2_399, 2_400, 3_000].map(|second| bench.obtain(second).unwrap()).into();
    // The second ones live for 20 minutes, and are good for two thirds of that.
    assert_eq!(numbers, [1, 1, 1, 2, 2]);
}

#[test]
fn an_entry_is_for_the_person_alone_and_holds_no_more_than_it_must() {
    let bench = Bench::new();
    bench.obtain(0).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
    assert_eq!((mode(&bench.file()), mode(&bench.cache.directory)), (0o600, 0o700));
    let text = fs::read_to_string(bench.file()).unwrap();
    let keys: Vec<_> = text.split('"').filter(|word| word.starts_with(|c: char| c.is_ascii_uppercase())).collect();
    assert_eq!(keys[..3], ["Version", "Label", "Issued"]);
    let listed = bench.cache.list().unwrap();
    let life = Life { issued: at(0), expires: at(3_600) };
    assert_eq!(listed, [Listed { name: bench.name.clone(), kept: Some(("arn:x".into(), life)) }]);
}

#[test]
fn what_is_damaged_is_replaced() {
    let bench = Bench::new();
    bench.obtain(0).unwrap();
    let whole = fs::read_to_string(bench.file()).unwrap();
    let damages = [
        String::new(),
        whole[..whole.len() / 2].to_owned(),
        whole.replace("\"Version\":1", "\"Version\":2"),
        whole.replace("2027", "soon"),
        whole.replace("\"Label\"", "\"Other\""),
        format!("{whole}{}", " ".repeat(LARGEST)),
    ];
    for (number, damage) in (2..).zip(damages) {
        fs::write(bench.file(), &damage).unwrap();
        assert_eq!(bench.cache.list().unwrap()[0].kept, None, "{damage:.80}");
        assert_eq!(bench.obtain(1).unwrap(), number, "{damage:.80}");
    }
}

#[test]
fn what_others_could_have_written_is_replaced() {
    let bench = Bench::new();
    bench.obtain(0).unwrap();
    for (number, mode) in (2..).zip([0o640, 0o604, 0o660]) {
        fs::set_permissions(bench.file(), PermissionsExt::from_mode(mode)).unwrap();
        assert_eq!(bench.obtain(1).unwrap(), number);
    }
    let elsewhere = bench.folder.path().join("elsewhere");
    fs::rename(bench.file(), &elsewhere).unwrap();
    symlink(&elsewhere, bench.file()).unwrap();
    assert_eq!(bench.obtain(1).unwrap(), 5);
    assert!(bench.file().symlink_metadata().unwrap().is_file());
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(bench.file(), Some(12_345), None).unwrap();
        assert_eq!(bench.obtain(1).unwrap(), 6);
    }
}

#[test]
fn a_directory_that_others_can_get_into_is_refused() {
    let bench = Bench::new();
    fs::set_permissions(&bench.cache.directory, PermissionsExt::from_mode(0o750)).unwrap();
    let error = Cache::open(bench.cache.directory.clone()).unwrap_err().to_string();
    assert!(error.ends_with("with mode 0750"), "{error}");
    let link = bench.folder.path().join("link");
    symlink(&bench.cache.directory, &link).unwrap();
    assert!(Cache::open(link).is_err());
}

#[test]
fn fifty_at_once_make_one_signature() {
    let bench = Bench::new();
    let (cache, name) = (&bench.cache, &bench.name);
    let (made, barrier) = (AtomicU32::new(0), Barrier::new(50));
    thread::scope(|scope| {
        for _ in 0..50 {
            scope.spawn(|| {
                barrier.wait();
                let vend = || Ok::<_, VendError>(credentials(made.fetch_add(1, Ordering::SeqCst)));
                assert_eq!(cache.obtain(name, "", || at(0), vend).unwrap().access_key_id, "AKID0");
            });
        }
    });
    assert_eq!(made.into_inner(), 1);
}

#[test]
fn those_who_waited_for_a_failure_do_not_repeat_it() {
    let bench = Bench::new();
    let (cache, name) = (&bench.cache, &bench.name);
    let (made, barrier) = (AtomicU32::new(0), Barrier::new(20));
    thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                let asked = at(0);
                barrier.wait();
                let vend = || {
                    made.fetch_add(1, Ordering::SeqCst);
                    Err(VendError::new(VendErrorKind::Secret, "wrong PIN"))
                };
                let error = cache.obtain(name, "", || asked, vend).unwrap_err();
                assert!(error.to_string().ends_with("wrong PIN"), "{error}");
                assert_eq!(error.kind(), VendErrorKind::Secret);
            });
        }
    });
    assert_eq!(made.into_inner(), 1);
    // Who asks later tries, and a success is a success.
    assert_eq!(bench.obtain(1).unwrap(), 1);
    assert_eq!(bench.obtain(2).unwrap(), 1);
}

#[test]
fn a_cache_that_cannot_be_written_gives_credentials_all_the_same() {
    let bench = Bench::new();
    fs::remove_dir(&bench.cache.directory).unwrap();
    assert_eq!(bench.obtain(0).unwrap(), 1);
    assert_eq!(bench.obtain(0).unwrap(), 2);
}

#[test]
fn clearing_removes_what_is_ours() {
    let bench = Bench::new();
    bench.obtain(0).unwrap();
    let _ = bench.cache.obtain(&EntryName::of([]), "", || at(0), || Err(VendError::new(VendErrorKind::Other, "x")));
    let foreign = bench.cache.directory.join("notes.json");
    fs::write(&foreign, "").unwrap();
    assert_eq!(bench.cache.clear().unwrap(), 1);
    assert_eq!(bench.cache.list().unwrap(), []);
    assert_eq!(fs::read_dir(&bench.cache.directory).unwrap().count(), 1);
    assert!(foreign.exists());
    assert_eq!(bench.obtain(0).unwrap(), 2);
}
