//! The commands of a shell text, as words, without running it: enough of the language for the examples that people are given
//! (quotes, continued lines, pipes, lists, redirections, comments, substitutions).

use std::iter::Peekable;
use std::str::Chars;

/// The arguments, the program's name first, of each call of `keyanchor` in a shell text, or in a line of a configuration file.
pub fn keyanchor_calls(text: &str) -> Vec<Vec<String>> {
    commands(text).into_iter().filter_map(keyanchor_call).collect()
}

/// Whether the words call the program, perhaps by way of `sudo`, of `credential_process =` or of `ExecStart=`.
fn keyanchor_call(words: Vec<String>) -> Option<Vec<String>> {
    let before = ["sudo", "exec", "-", "credential_process", "="];
    let is_assignment = |word: &str| word.split_once('=').is_some_and(|(name, _)| !name.contains(['/', '-', ' ']));
    let mut words = words.into_iter().skip_while(|word| {
        before.contains(&word.as_str()) || (is_assignment(word) && !word.starts_with("ExecStart=")) || *word == "-E"
    });
    let program = words.next()?;
    let program = program.strip_prefix("ExecStart=").unwrap_or(&program);
    let is_ours = program == "keyanchor" || program.ends_with("/keyanchor");
    is_ours.then(|| std::iter::once("keyanchor".to_owned()).chain(words).collect())
}

/// The words of each simple command, those of substitutions before the command that they are in.
pub fn commands(text: &str) -> Vec<Vec<String>> {
    let mut reader = Reader { rest: text.chars().peekable(), found: Vec::new() };
    reader.list(None);
    reader.found
}

struct Reader<'a> {
    rest: Peekable<Chars<'a>>,
    found: Vec<Vec<String>>,
}

impl Reader<'_> {
    /// Reads to the end, or to the parenthesis that closes a substitution.
    fn list(&mut self, end: Option<char>) {
        let mut words = Vec::new();
        loop {
            match self.rest.peek().copied() {
                None => break,
                Some(letter) if Some(letter) == end => {
                    self.rest.next();
                    break;
                }
                Some(' ' | '\t') => {
                    self.rest.next();
                }
                Some('#') => while self.rest.next_if(|letter| *letter != '\n').is_some() {},
                Some('\n' | ';' | '&' | '|' | '(' | ')') => {
                    self.rest.next();
                    self.keep(std::mem::take(&mut words));
                }
                Some('<' | '>') => self.redirection(),
                Some(_) => words.extend(self.word()),
            }
        }
        self.keep(words);
    }

    fn keep(&mut self, words: Vec<String>) {
        if !words.is_empty() {
            self.found.push(words);
        }
    }

    /// `> FILE`, `2>&1`, `<(LIST)`; what they name is no word of the command.
    fn redirection(&mut self) {
        while self.rest.next_if(|letter| matches!(letter, '<' | '>' | '&')).is_some() {}
        if self.rest.next_if_eq(&'(').is_some() {
            return self.list(Some(')'));
        }
        while self.rest.next_if_eq(&' ').is_some() {}
        self.word();
    }

    /// None for a continued line between words, and for the `2` of `2>FILE`.
    fn word(&mut self) -> Option<String> {
        let mut word = String::new();
        let mut is_word = false;
        while let Some(letter) = self.rest.next_if(|letter| !" \t\n;&|()<>".contains(*letter)) {
            match letter {
                '\\' if self.rest.next_if_eq(&'\n').is_some() => continue,
                '\\' => word.extend(self.rest.next()),
                '\'' => word.extend(std::iter::from_fn(|| self.rest.next().filter(|letter| *letter != '\''))),
                '"' => self.quoted(&mut word),
                '$' if self.rest.next_if_eq(&'(').is_some() => self.substitution(&mut word),
                _ => word.push(letter),
            }
            is_word = true;
        }
        let is_descriptor =
            matches!(self.rest.peek(), Some('<' | '>')) && word.bytes().all(|octet| octet.is_ascii_digit());
        (is_word && !is_descriptor).then_some(word)
    }

    fn quoted(&mut self, word: &mut String) {
        while let Some(letter) = self.rest.next() {
            match letter {
                '"' => return,
                '\\' if self.rest.next_if_eq(&'\n').is_some() => {}
                '\\' => word.extend(self.rest.next()),
                '$' if self.rest.next_if_eq(&'(').is_some() => self.substitution(word),
                _ => word.push(letter),
            }
        }
    }

    /// What it will say is not known here.
    fn substitution(&mut self, word: &mut String) {
        self.list(Some(')'));
        word.push_str("substituted");
    }
}
