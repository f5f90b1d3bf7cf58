//! What the edit must keep: each test is a file that some tool has damaged, or that a person has written in a way of his own.

use zeroize::Zeroizing;

use super::*;
use crate::credentials::Credentials;

/// The three lines that the entry of these tests writes.
const NEW: &str = "aws_access_key_id = AKIDNEW\naws_secret_access_key = new/Secret+=\naws_session_token = newToken==\n";

fn credentials() -> Credentials {
    Credentials {
        access_key_id: "AKIDNEW".into(),
        secret_access_key: Zeroizing::new("new/Secret+=".into()),
        session_token: Zeroizing::new("newToken==".into()),
        expiration: "2026-01-01T00:00:00Z".into(),
    }
}

fn entry(profile: &str) -> Entry {
    Entry::new(profile.parse().unwrap(), &credentials()).unwrap()
}

#[track_caller]
fn becomes(profile: &str, before: &str, after: &str) {
    let edited = edit(before.as_bytes(), &entry(profile));
    assert_eq!(String::from_utf8_lossy(&edited), after);
    let again = edit(&edited, &entry(profile));
    assert_eq!(*again, *edited, "a second edit with the same credentials changes something");
}

#[test]
fn a_new_file_has_the_profile_alone() {
    becomes("default", "", &format!("[default]\n{NEW}"));
}

#[test]
fn a_new_profile_follows_a_blank_line() {
    becomes("x", "[default]\na = b\n", &format!("[default]\na = b\n\n[x]\n{NEW}"));
    becomes("x", "[default]\na = b\n\n", &format!("[default]\na = b\n\n[x]\n{NEW}"));
    becomes("x", "[default]\na = b", &format!("[default]\na = b\n\n[x]\n{NEW}"));
}

#[test]
fn only_the_values_change() {
    let before = "# ours\n\n[default]\n; keys\naws_secret_access_key=old\nregion = eu-west-1\n\naws_access_key_id =old\n\
                  aws_session_token   =   old\n\n[other]\naws_access_key_id = keep\n";
    let after = "# ours\n\n[default]\n; keys\naws_secret_access_key = new/Secret+=\nregion = eu-west-1\n\n\
                 aws_access_key_id = AKIDNEW\naws_session_token = newToken==\n\n[other]\naws_access_key_id = keep\n";
    becomes("default", before, after);
}

#[test]
fn the_last_line_of_the_last_profile_stays() {
    for last in ["region = us-east-1", "region = us-east-1\n", "# a comment", "# a comment\n"] {
        let before = format!("[default]\n{}{last}", NEW.replace("new", "old"));
        becomes("default", &before, &format!("[default]\n{NEW}{last}"));
    }
}

#[test]
fn the_next_header_stays_where_it_is_the_last_line() {
    becomes("default", "[default]\n[next]", &format!("[default]\n{NEW}[next]"));
    becomes("default", "[default]\n\n[next]\n", &format!("[default]\n{NEW}\n[next]\n"));
}

#[test]
fn a_header_that_is_the_last_line_is_found() {
    becomes("default", "[default]", &format!("[default]\n{NEW}"));
    becomes("x", "[default]\n\n[x]\n", &format!("[default]\n\n[x]\n{NEW}"));
}

#[test]
fn headers_with_spaces_or_comments_are_found() {
    for header in
        ["[ default ]", "[default] # mine", "[default];mine", "\t[default]", "[default]  ", "\u{feff}[default]"]
    {
        becomes("default", &format!("{header}\nregion = x\n"), &format!("{header}\nregion = x\n{NEW}"));
    }
}

#[test]
fn a_section_of_the_configuration_file_is_another_profile() {
    // The SDKs ignore `[profile x]` in this file.
    becomes("x", "[profile x]\na = b\n", &format!("[profile x]\na = b\n\n[x]\n{NEW}"));
    becomes("default", "[DEFAULT]\n[default2]\n", &format!("[DEFAULT]\n[default2]\n\n[default]\n{NEW}"));
}

#[test]
fn a_commented_header_is_no_header() {
    becomes("default", "#[default]\n", &format!("#[default]\n\n[default]\n{NEW}"));
}

#[test]
fn lines_of_any_length_stay() {
    let long = format!("note = {}\n", "x".repeat(70_000));
    let before = format!("[default]\n{long}aws_access_key_id = old\n[z]\n{long}last = line\n");
    let (id, others) = NEW.split_at(NEW.find('\n').unwrap() + 1);
    becomes("default", &before, &format!("[default]\n{long}{id}{others}[z]\n{long}last = line\n"));
}

#[test]
fn a_key_that_begins_like_ours_is_not_ours() {
    let note = "aws_session_token_note = hello\nx_aws_session_token = hello\naws_session_toke = hello\n";
    becomes("default", &format!("[default]\n{note}"), &format!("[default]\n{note}{NEW}"));
}

#[test]
fn our_keys_are_found_in_any_case_indentation_and_delimiter() {
    let before = "[default]\n  AWS_ACCESS_KEY_ID = old\n  Aws_Secret_Access_Key: old\n\taws_session_token=old\n";
    let after = "[default]\n  aws_access_key_id = AKIDNEW\n  aws_secret_access_key = new/Secret+=\n\
                 \taws_session_token = newToken==\n";
    becomes("default", before, after);
}

#[test]
fn a_key_is_added_with_the_indentation_of_its_neighbours() {
    // Without it botocore would read on, but a key with more would be the rest of the value above.
    becomes(
        "default",
        "[default]\n  aws_access_key_id = old\n  aws_session_token = old\n\n[z]\n",
        "[default]\n  aws_access_key_id = AKIDNEW\n  aws_session_token = newToken==\n  aws_secret_access_key = new/Secret+=\n\n[z]\n",
    );
}

#[test]
fn missing_keys_come_before_the_blank_lines_and_comments_of_the_next_section() {
    let before = "[default]\nregion = x\n\n\n# the next one\n[next]\na = b\n";
    becomes("default", before, &format!("[default]\nregion = x\n{NEW}\n\n# the next one\n[next]\na = b\n"));
}

#[test]
fn windows_line_ends_stay() {
    let new = NEW.replace('\n', "\r\n");
    becomes("default", "[default]\r\nregion = x\r\n", &format!("[default]\r\nregion = x\r\n{new}"));
    becomes("default", "[default]\r\naws_access_key_id = old\r\n", &format!("[default]\r\n{new}"));
    becomes("x", "[default]\r\na = b", &format!("[default]\r\na = b\r\n\r\n[x]\r\n{new}"));
}

#[test]
fn a_missing_last_line_end_stays_missing() {
    let before = NEW.replace("new", "old");
    becomes("default", &format!("[default]\n{}", before.trim_end()), &format!("[default]\n{}", NEW.trim_end()));
}

#[test]
fn octets_that_are_no_utf8_stay() {
    let before = b"# caf\xe9\n[default]\nname = \xff\xfe\x00\n\x80\n";
    let edited = edit(before, &entry("default"));
    assert_eq!(*edited, [&before[..], NEW.as_bytes()].concat());
}

#[test]
fn settings_of_a_group_are_not_ours() {
    let before = "[default]\ns3 =\n  aws_access_key_id = of the group\n  max = 1\nregion = x\n";
    becomes("default", before, &format!("{before}{NEW}"));
}

#[test]
fn the_rest_of_an_old_value_goes_with_it() {
    let before =
        "[default]\naws_session_token = old\n   oldOldOld+/=\n   # why it is folded\n   oldEnd==\nregion = x\n";
    let after = "[default]\naws_session_token = newToken==\n   # why it is folded\nregion = x\n\
                 aws_access_key_id = AKIDNEW\naws_secret_access_key = new/Secret+=\n";
    becomes("default", before, after);
}

#[test]
fn our_key_indented_below_another_value_is_found() {
    let before = "[default]\nregion = x\n  aws_access_key_id = old\n  output = json\n";
    becomes("default", before, &format!("[default]\nregion = x\n  output = json\n{NEW}"));
    let before = "[default]\naws_access_key_id = old\n  aws_secret_access_key = old\n  aws_session_token = old\n";
    becomes("default", before, &format!("[default]\n{NEW}"));
}

#[test]
fn a_setting_that_slipped_into_our_value_is_one_again() {
    let before = "[default]\nregion = x\naws_access_key_id = old\naws_session_token = old\n    output = json\n    s3 =\n        a = b\n    c = d\n";
    let after = "[default]\nregion = x\naws_access_key_id = AKIDNEW\naws_session_token = newToken==\noutput = json\ns3 =\n        a = b\nc = d\n\
                 aws_secret_access_key = new/Secret+=\n";
    becomes("default", before, after);
}

#[test]
fn keys_that_stand_twice_are_left_once() {
    // Parsers that take the last one would go on with old credentials; botocore refuses such a file.
    let before = "[default]\naws_access_key_id = old\nregion = x\nAWS_ACCESS_KEY_ID = older\n";
    let after = "[default]\naws_access_key_id = AKIDNEW\nregion = x\naws_secret_access_key = new/Secret+=\n\
                 aws_session_token = newToken==\n";
    becomes("default", before, after);
}

#[test]
fn a_section_that_stands_twice_has_the_keys_once() {
    // The second header was left by a tool that did not find the first.
    let before = "[ default ]\nregion = x\naws_access_key_id = old\n\n[z]\n\n[default]\naws_access_key_id = old\noutput = json\n";
    let after = "[ default ]\nregion = x\n\n[z]\n\n[default]\naws_access_key_id = AKIDNEW\noutput = json\n\
                 aws_secret_access_key = new/Secret+=\naws_session_token = newToken==\n";
    becomes("default", before, after);
}

#[test]
fn what_breaks_a_line_is_refused() {
    for name in ["", " x", "x ", "x]", "[x", "x\ny", "x#y", "x;y", "x\0"] {
        assert!(name.parse::<ProfileName>().is_err(), "{name:?}");
    }
    for name in ["default", "my profile", "user@host", "a/b:c+d.e%f", "über"] {
        assert_eq!(name.parse::<ProfileName>().unwrap().as_str(), name);
    }
    for token in ["", "a\nb", "a\r[default]", "a b", "a\u{e9}"] {
        let credentials = Credentials { session_token: Zeroizing::new(token.into()), ..credentials() };
        let refused = Entry::new("default".parse().unwrap(), &credentials).map(drop);
        assert_eq!(refused, Err(Unwritable("aws_session_token")), "{token:?}");
    }
}

#[test]
fn no_file_makes_the_edit_panic_or_lose_a_line_of_others() {
    // Files of up to six lines out of those that interact, all combinations.
    let parts = [
        "[default]",
        "[z]\r",
        " [ default ]",
        "aws_access_key_id = o",
        "  aws_session_token = o",
        "r =",
        "  s = 1",
        "",
        "#",
        "  x",
    ];
    let entry = entry("default");
    let mut file = Vec::new();
    for number in 0..parts.len().pow(5) {
        file.clear();
        let mut rest = number;
        for _ in 0..5 {
            file.extend_from_slice(parts[rest % parts.len()].as_bytes());
            file.push(b'\n');
            rest /= parts.len();
        }
        let edited = edit(&file, &entry);
        for theirs in ["[default]", "[z]", "[ default ]", "r =", "s = 1", "#"] {
            let count = |text: &[u8]| {
                text.split(|octet| *octet == b'\n').filter(|line| line.trim_ascii() == theirs.as_bytes()).count()
            };
            assert!(count(&edited) >= count(&file), "{theirs} in\n{}", String::from_utf8_lossy(&file));
        }
        assert_eq!(*edit(&edited, &entry), *edited, "{}", String::from_utf8_lossy(&file));
    }
}
