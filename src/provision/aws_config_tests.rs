//! What stays of `~/.aws/config`, and what is refused.

use super::*;

const COMMAND: &str = "/usr/bin/keyanchor credential-process --identity web";
const LINE: &str = "credential_process = /usr/bin/keyanchor credential-process --identity web\n";

fn edited(profile: &str, before: &str, replace: Replace) -> Result<String, ProfileError> {
    let profile = profile.parse().unwrap();
    let entry = ProfileEntry { profile: &profile, command: COMMAND, region: Some("eu-west-1") };
    put(before.as_bytes(), entry, replace).map(|edited| String::from_utf8(edited).unwrap())
}

#[track_caller]
fn becomes(profile: &str, before: &str, after: &str) {
    assert_eq!(edited(profile, before, Replace::AllWays).unwrap(), after);
    assert_eq!(edited(profile, after, Replace::Nothing).unwrap(), after, "a second time changes something");
}

#[test]
fn a_new_profile_is_added_at_the_end() {
    let new = format!("[profile web]\n{LINE}region = eu-west-1\n");
    becomes("web", "", &new);
    for (before, gap) in [
        ("# mine\n", "\n"),
        ("[default]\nregion = x\n\n", ""),
        ("[default]\nregion = x", "\n\n"),
        ("[web]\na = b\n", "\n"),
        ("[profile web2]\n", "\n"),
        ("#[profile web]\n", "\n"),
        ("[sso-session web]\nsso_region = x\n", "\n"),
    ] {
        becomes("web", before, &format!("{before}{gap}{new}"));
    }
    let crlf = |text: &str| text.replace('\n', "\r\n");
    becomes("web", "[default]\r\n", &crlf(&format!("[default]\n\n{new}")));
    becomes("default", "", &format!("[default]\n{LINE}region = eu-west-1\n"));
    becomes("my web", "", &format!("[profile \"my web\"]\n{LINE}region = eu-west-1\n"));
}

#[test]
fn a_profile_that_is_there_gets_the_line_behind_its_last_setting() {
    let before =
        "[profile web]\n# why\nOutput:json\ns3 =\n  max = 1\n\n# next\n[profile z]\ncredential_process = /other\n";
    let after = format!(
        "[profile web]\n# why\nOutput:json\ns3 =\n  max = 1\n{LINE}region = eu-west-1\n\n# next\n[profile z]\n\
         credential_process = /other\n"
    );
    becomes("web", before, &after);
    for header in
        ["[profile web]", "[profile   web] # mine", "[profile \"web\"]", "[profile\tweb]  ", "\u{feff}[profile web]"]
    {
        becomes("web", header, &format!("{header}\n{LINE}region = eu-west-1\n"));
        becomes(
            "web",
            &format!("{header}\r\n  region=x\r\n"),
            &format!("{header}\r\n  region=x\r\n  {}\r\n", LINE.trim_end()),
        );
    }
    becomes("default", "[default]\nregion = x\n[profile y]", &format!("[default]\nregion = x\n{LINE}[profile y]"));
    becomes("default", "[profile default]\nregion = x\n", &format!("[profile default]\nregion = x\n{LINE}"));
}

#[test]
fn another_credential_process_is_replaced_in_its_place_with_its_continuation() {
    let old = "[profile web]\r\nregion = x\r\n\tcredential_process=old\r\n  Credential_Process: /p \\\r\n     --x y \\\r\n\
               # why\r\n     --z=1\r\noutput = json";
    // The first of them is a part of the region to botocore, and stays.
    let new = format!("{old}\r\n{}\r\n", LINE.trim_end());
    becomes("web", old, &new);
    let old = "[profile web]\ncredential_process = /p \\\n  --x y \\\n# why\n    --z=1\noutput = json\nregion = x";
    let new = format!("[profile web]\n{LINE}# why\noutput = json\nregion = x");
    becomes("web", old, &new);
    let twice = "[profile web]\n  credential_process = a\n  region = x\n  credential_process = b";
    becomes("web", twice, &format!("[profile web]\n  {LINE}  region = x\n"));
}

#[test]
fn what_is_in_the_way_is_named_and_goes_only_by_force() {
    let before =
        "[profile web]\naws_access_key_id = AKIA\nAWS_SECRET_ACCESS_KEY = x\ncredential_process = /other\nregion = x\n";
    let found = |replace| match edited("web", before, replace) {
        Err(ProfileError::Taken { settings }) => settings.iter().map(|(_, line)| *line).collect(),
        _ => vec![],
    };
    assert_eq!((found(Replace::Nothing), found(Replace::Process)), (vec![2, 3, 4], vec![2, 3]));
    becomes("web", before, &format!("[profile web]\n{LINE}region = x\n"));
    let sso = "[profile web]\nsso_session = a\nregion = x\n";
    let error = edited("web", sso, Replace::Process).unwrap_err();
    assert_eq!(error.to_string(), "wanted a profile without credentials of its own, found sso_session in line 2");
    becomes("web", sso, &format!("[profile web]\nregion = x\n{LINE}"));
}

#[test]
fn headers_that_only_some_sdks_read_are_refused() {
    let refused = |profile: &str, before: &str, at: usize| {
        let error = edited(profile, before, Replace::AllWays).unwrap_err();
        assert!(matches!(error, ProfileError::Header { line, .. } if line == at), "{before}: {error}");
    };
    refused("web", "[default]\n[ profile web ]\n", 2);
    refused("web", " [profile web]\n", 1);
    refused("default", "[ default ]\n", 1);
    refused("my web", "[profile my web]\n", 1);
    for before in ["[profile web]\n[profile 'web']\n", "[profile web]\na = b\n[profile web]\n"] {
        assert!(
            matches!(edited("web", before, Replace::AllWays), Err(ProfileError::Twice { lines }) if lines.len() == 2)
        );
    }
    assert!(matches!(
        edited("default", "[default]\n[profile default]\n", Replace::AllWays),
        Err(ProfileError::Twice { .. })
    ));
}

#[test]
fn a_setting_that_would_go_with_the_old_command_is_refused() {
    let before = "[profile web]\ncredential_process = old\n  output = json\n";
    assert_eq!(edited("web", before, Replace::AllWays), Err(ProfileError::Slipped { line: 3 }));
}

#[test]
fn the_old_command_is_read_with_its_continuation() {
    let config = b"[profile a]\ncredential_process = x\n[profile web]\nregion=y\n\
                   CREDENTIAL_PROCESS = p credential-process \\\n  --a b \\\n\n  --c\n";
    let of = |profile: &str| credential_process(config, &profile.parse().unwrap()).unwrap();
    assert_eq!(of("web").as_deref(), Some("p credential-process \\\n--a b \\\n--c"));
    assert_eq!((of("a").as_deref(), of("none")), (Some("x"), None));
}

#[test]
fn keys_in_the_credentials_file_go_before_the_command() {
    let file =
        b"[profile web]\naws_access_key_id = a\n[web]\nregion = x\naws_access_key_id = b\n[z]\naws_access_key_id = c\n";
    let found = |profile: &str| before_process(file, &profile.parse().unwrap());
    assert_eq!(found("web"), [("aws_access_key_id".to_owned(), 5)]);
    assert!(found("default").is_empty());
}

#[test]
fn no_file_loses_a_line_of_others() {
    // Files of five lines out of those that interact, all combinations, in both line ends.
    let parts = [
        "[profile web]",
        "[default]",
        " [profile web]",
        "credential_process = o",
        "  region = y",
        "r =",
        "  s = 1",
        "",
        "# c",
        "  --x",
    ];
    let count = |text: &str, line: &str| text.lines().filter(|found| found.trim() == line).count();
    for number in 0..parts.len().pow(5) {
        let mut rest = number;
        let mut file = String::new();
        for _ in 0..5 {
            file.push_str(parts[rest % parts.len()]);
            file.push_str(if number % 2 == 0 { "\n" } else { "\r\n" });
            rest /= parts.len();
        }
        let Ok(after) = edited("web", &file, Replace::AllWays) else { continue };
        for theirs in ["[profile web]", "[default]", "r =", "s = 1", "# c", "region = y"] {
            assert!(count(&after, theirs) >= count(&file, theirs), "{theirs} in\n{file}\nbecame\n{after}");
        }
        let read = credential_process(after.as_bytes(), &"web".parse().unwrap()).unwrap();
        assert_eq!(read.as_deref(), Some(COMMAND), "{file}\nbecame\n{after}");
        assert_eq!(edited("web", &after, Replace::Nothing).as_ref(), Ok(&after), "{file}");
    }
}
