//! Documents without blanks, escapes, objects and arrays, as most are: checked and read apart in
//! one pass.

use std::ops::Range;

/// The members of a document that is such; it stops early at whatever it does not know, and
/// [`Flat::is_done`] says whether it did not.
#[derive(Debug)]
pub(super) struct Flat<'a> {
    text: &'a str,
    at: usize,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Members,
    Done,
    Unknown,
}

impl<'a> Flat<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let is_object = text.as_bytes().first() == Some(&b'{');
        let state = if is_object {
            State::Members
        } else {
            State::Unknown
        };
        Self { text, at: 1, state }
    }

    /// Whether the text was one such document to its end, all of whose members were handed out.
    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done && self.at == self.text.len()
    }

    /// A name, where its value is, and what follows that.
    fn member(&mut self) -> Option<(&'a str, Range<usize>, u8)> {
        self.past(b'"')?;
        let name = self.string()?;
        let name = self.text.get(name)?;
        self.past(b':')?;
        let start = self.at;
        self.value()?;
        let value = start..self.at;
        let next = self.peek()?;
        self.at += 1;
        Some((name, value, next))
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn past(&mut self, wanted: u8) -> Option<()> {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found.then_some(())
    }

    /// What stands before the quote that ends a string.
    fn string(&mut self) -> Option<Range<usize>> {
        let rest = self.text.as_bytes().get(self.at..)?;
        let len = memchr::memchr(b'"', rest)?;
        // No early exit, so that it compiles to vector instructions.
        let is_plain = |so_far: bool, byte: &u8| so_far & (*byte >= b' ') & (*byte != b'\\');
        let inside = rest.get(..len)?.iter().fold(true, is_plain);
        let range = self.at..self.at + len;
        self.at += len + 1;
        inside.then_some(range)
    }

    fn value(&mut self) -> Option<()> {
        match self.peek()? {
            b'"' => {
                self.at += 1;
                self.string().map(|_| ())
            }
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            _ => self.number(),
        }
    }

    fn word(&mut self, wanted: &str) -> Option<()> {
        let is_it = self.text.get(self.at..)?.starts_with(wanted);
        self.at += wanted.len();
        is_it.then_some(())
    }

    /// A number without an exponent.
    fn number(&mut self) -> Option<()> {
        let _ = self.past(b'-');
        let has_zero = self.peek() == Some(b'0');
        let num_whole = self.digits();
        if num_whole == 0 || (has_zero && num_whole > 1) {
            return None;
        }
        if self.past(b'.').is_some() && self.digits() == 0 {
            return None;
        }
        Some(())
    }

    fn digits(&mut self) -> usize {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let len = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += len;
        len
    }
}

/// Names, and where their values are in the text.
impl<'a> Iterator for Flat<'a> {
    type Item = (&'a str, Range<usize>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.state != State::Members {
            return None;
        }
        let Some((name, value, next)) = self.member() else {
            self.state = State::Unknown;
            return None;
        };
        match next {
            b',' => {}
            b'}' => self.state = State::Done,
            _ => {
                self.state = State::Unknown;
                return None;
            }
        }
        Some((name, value))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::json::{self, Cursor};
    use super::*;

    /// The members as they are read the long way.
    fn long_way(text: &str) -> Vec<(String, String)> {
        json::check(text).unwrap();
        let mut cursor = Cursor::new(text);
        assert!(cursor.eat(b'{'));
        let mut members = Vec::new();
        while let Some(name) = cursor.string() {
            assert!(cursor.eat(b':'));
            let (_, raw) = cursor.spelled().unwrap();
            members.push((name.to_owned(), raw.to_owned()));
            if !cursor.eat(b',') {
                break;
            }
        }
        members
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        /// What is read in one pass is JSON, and both ways of reading it agree.
        #[test]
        fn both_ways_of_reading_a_document_agree(
            members in prop::collection::vec(
                ("[a-zä\\\\\n]{0,2}", "(-?0?[0-9]{0,3}(\\.[0-9]{0,2})?|\"[ -~ä\n]{0,4}\"|null|true|\
                  fals?e|\\[1\\]|\\{\\}|)"),
                0..4,
            ),
            tail in "[ x}]{0,1}",
        ) {
            let members: Vec<String> =
                members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
            let text = format!("{{{}}}{tail}", members.join(","));
            let mut flat = Flat::new(&text);
            let read: Vec<_> = flat
                .by_ref()
                .map(|(name, at)| (name.to_owned(), text[at].to_owned()))
                .collect();
            if flat.is_done() {
                prop_assert_eq!(read, long_way(&text));
            }
        }
    }

    #[test]
    fn a_row_as_a_producer_writes_it_is_read_in_one_pass() {
        let text = r#"{"id":42,"name":"Müller","price":-19.90,"paid":true,"note":null}"#;
        let mut flat = Flat::new(text);
        assert_eq!(flat.by_ref().count(), 5);
        assert!(flat.is_done());
        for text in [
            r#"{"a":01}"#,
            r#"{"a":1.}"#,
            r#"{"a":1}}"#,
            r#"{"a":1,}"#,
            "{}",
            "",
        ] {
            let mut flat = Flat::new(text);
            let _ = flat.by_ref().count();
            assert!(!flat.is_done(), "{text}");
        }
    }
}
