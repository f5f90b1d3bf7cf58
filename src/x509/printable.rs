//! Text from certificates and from people that may hold anything, for messages and tables.

/// The text with everything written in escapes that could steer a terminal or reorder a line.
pub fn printable(text: &str) -> String {
    text.chars().map(shown).collect()
}

/// One character of it. Quotation marks and backslashes stay as they are.
pub fn shown(c: char) -> String {
    match c {
        '"' | '\'' | '\\' => c.to_string(),
        _ => c.escape_debug().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_steers_the_terminal() {
        assert_eq!(
            printable("O'Brien \"M\u{fc}ller\" \\ \u{1b}[2J\u{202e}\n"),
            "O'Brien \"M\u{fc}ller\" \\ \\u{1b}[2J\\u{202e}\\n"
        );
    }
}
