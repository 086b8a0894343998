//! The text of `pg_hba.conf` and `pg_ident.conf` as fields: what both files have in common.
//!
//! Fields stand between blanks, words of one field between commas. A word in double quotes is
//! never a keyword, and may hold blanks, commas and `#`; `""` in it is a quote. `#` begins a
//! comment, and a backslash at its end joins a line with the next.

use super::HbaError;

/// A line with something on it.
#[derive(Debug)]
pub(super) struct Line {
    /// Its number, from 1; the first of those that were joined.
    pub(super) number: u32,
    /// Its fields, each with one word or more.
    pub(super) fields: Vec<Vec<Token>>,
}

/// One word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) text: String,
    /// It begins with a quote, so it is no keyword.
    pub(super) is_quoted: bool,
}

impl Token {
    /// Whether it is this keyword.
    pub(super) fn is(&self, keyword: &str) -> bool {
        !self.is_quoted && self.text == keyword
    }
}

/// The lines that hold something, or what is wrong with them.
pub(super) fn lines(text: &str) -> Vec<Result<Line, HbaError>> {
    let mut found = vec![];
    let mut physical = (1_u32..).zip(text.split('\n'));
    while let Some((number, first)) = physical.next() {
        let mut line = first.trim_end_matches('\r').to_owned();
        while line.ends_with('\\') {
            line.pop();
            let Some((_, next)) = physical.next() else {
                break;
            };
            line.push_str(next.trim_end_matches('\r'));
        }
        match fields(&line) {
            Ok(fields) if fields.is_empty() => {}
            Ok(fields) => found.push(Ok(Line { number, fields })),
            Err(message) => found.push(Err(HbaError {
                line: number,
                message: message.to_owned(),
            })),
        }
    }
    found
}

const UNTERMINATED: &str = "unterminated quoted string";
const NO_FILES: &str = "names from another file (@file) are not supported; write them here";

fn fields(line: &str) -> Result<Vec<Vec<Token>>, &'static str> {
    let mut fields = vec![];
    let mut rest = line.chars().peekable();
    loop {
        let mut words = vec![];
        while let Some((word, goes_on)) = word(&mut rest)? {
            if !word.is_quoted && word.text.len() > 1 && word.text.starts_with('@') {
                return Err(NO_FILES);
            }
            words.push(word);
            if !goes_on {
                break;
            }
        }
        if words.is_empty() {
            return Ok(fields);
        }
        fields.push(words);
    }
}

const fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r')
}

/// The next word, and whether a comma says that its field goes on.
fn word(
    rest: &mut std::iter::Peekable<std::str::Chars<'_>>,
) -> Result<Option<(Token, bool)>, &'static str> {
    while rest.next_if(|&c| is_blank(c) || c == ',').is_some() {}
    let (mut text, mut is_quoted) = (String::new(), false);
    let (mut in_quotes, mut was_quote, mut goes_on) = (false, false, false);
    while let Some(c) = rest.next_if(|&c| in_quotes || !is_blank(c)) {
        match c {
            '#' if !in_quotes => {
                rest.by_ref().for_each(drop);
                break;
            }
            ',' if !in_quotes => {
                goes_on = true;
                break;
            }
            '"' => {
                if was_quote {
                    text.push('"');
                }
                was_quote = in_quotes && !was_quote;
                in_quotes = !in_quotes;
                is_quoted |= text.is_empty();
            }
            _ => {
                was_quote = false;
                text.push(c);
            }
        }
    }
    if in_quotes {
        return Err(UNTERMINATED);
    }
    let is_word = is_quoted || !text.is_empty();
    Ok(is_word.then_some((Token { text, is_quoted }, goes_on)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<Vec<String>> {
        let text = |token: Token| match token.is_quoted {
            true => format!("<{}>", token.text),
            false => token.text,
        };
        let fields = fields(line).unwrap().into_iter();
        fields
            .map(|words| words.into_iter().map(text).collect())
            .collect()
    }

    #[test]
    fn fields_are_split_as_postgresql_does() {
        for (line, wanted) in [
            ("", &[][..]),
            ("  # local all", &[]),
            ("local\tall  x#y", &[&["local"][..], &["all"], &["x"]]),
            ("a,b c", &[&["a", "b"], &["c"]]),
            ("a, b ,c", &[&["a", "b"], &["c"]]),
            (",a,", &[&["a"]]),
            (
                "\"all\" \"a b,#\" \"x\"\"y\" \"\"",
                &[&["<all>"], &["<a b,#>"], &["<x\"y>"], &["<>"]],
            ),
            ("a\"b c\"d", &[&["ab cd"]]),
            ("@ \"@x\"", &[&["@"], &["<@x>"]]),
        ] {
            assert_eq!(words(line), wanted, "{line}");
        }
        assert_eq!(fields("a \"b").unwrap_err(), UNTERMINATED);
        assert_eq!(fields("a @b").unwrap_err(), NO_FILES);
    }

    #[test]
    fn joined_lines_have_the_number_of_their_first() {
        let text = "# one\\\nstill a comment\nlocal \\\r\n all\r\n\nhost\\";
        let found: Vec<_> = lines(text)
            .into_iter()
            .map(|line| line.map(|line| (line.number, line.fields.len())))
            .collect();
        assert_eq!(found, [Ok((3, 2)), Ok((6, 1))]);
    }
}
