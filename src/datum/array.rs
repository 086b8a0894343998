//! Arrays in their text form: reading it apart and writing it again.

use super::DatumError;

/// The most dimensions that an array has.
const MAX_DIMENSIONS: usize = 6;

/// The most elements that an array has.
const MAX_ELEMENTS: usize = 134_217_727;

/// An array read apart: its elements are in text form, rows one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Array {
    /// Length and lower bound of each dimension; empty for an empty array.
    pub dimensions: Vec<(usize, i32)>,
    /// Elements, `None` for NULL.
    pub elements: Vec<Option<String>>,
}

impl Array {
    /// An array of one dimension that counts from 1.
    #[must_use]
    pub fn of(elements: Vec<Option<String>>) -> Self {
        let dimensions = if elements.is_empty() {
            Vec::new()
        } else {
            vec![(elements.len(), 1)]
        };
        Self {
            dimensions,
            elements,
        }
    }
}

/// Reads an array apart: `{1,2}`, with bounds (`[0:1]={1,2}`) if they are not from 1.
pub fn parse_array(text: &str, delim: char) -> Result<Array, DatumError> {
    Parser::new(text, delim).array()
}

/// Reads an array apart that is in stored form; also an int2vector or oidvector, `1 2`, which
/// counts from 0.
pub fn parse_stored_array(text: &str, delim: char) -> Result<Array, DatumError> {
    if !text.starts_with(['{', '[']) && is_vector_text(text) {
        return Ok(vector(text));
    }
    parse_array(text, delim)
}

/// Whether it is numbers with blanks between.
fn is_vector_text(text: &str) -> bool {
    text.bytes()
        .all(|b| b.is_ascii_digit() || b == b' ' || b == b'-')
}

fn vector(text: &str) -> Array {
    let elements: Vec<_> = text
        .split_ascii_whitespace()
        .map(|item| Some(item.to_owned()))
        .collect();
    let dimensions = if elements.is_empty() {
        Vec::new()
    } else {
        vec![(elements.len(), 0)]
    };
    Array {
        dimensions,
        elements,
    }
}

/// Appends an array in its text form.
pub fn write_array(array: &Array, delim: char, out: &mut String) {
    if array.dimensions.iter().any(|(_, lower)| *lower != 1) {
        for (length, lower) in &array.dimensions {
            let upper = i64::from(*lower) + i64::try_from(*length).unwrap_or(i64::MAX) - 1;
            out.push_str(&format!("[{lower}:{upper}]"));
        }
        out.push('=');
    }
    if array.dimensions.is_empty() || array.elements.is_empty() {
        out.push_str("{}");
        return;
    }
    let mut elements = array.elements.iter();
    write_level(&array.dimensions, &mut elements, delim, out);
}

fn write_level<'a>(
    dimensions: &[(usize, i32)],
    elements: &mut impl Iterator<Item = &'a Option<String>>,
    delim: char,
    out: &mut String,
) {
    let Some(((length, _), inner)) = dimensions.split_first() else {
        match elements.next() {
            Some(Some(element)) => write_element(element, delim, out),
            Some(None) | None => out.push_str("NULL"),
        }
        return;
    };
    out.push('{');
    for index in 0..*length {
        if index > 0 {
            out.push(delim);
        }
        write_level(inner, elements, delim, out);
    }
    out.push('}');
}

fn write_element(element: &str, delim: char, out: &mut String) {
    let special = |c: char| {
        c == delim
            || matches!(
                c,
                '"' | '\\' | '{' | '}' | ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c'
            )
    };
    let quote =
        element.is_empty() || element.eq_ignore_ascii_case("null") || element.contains(special);
    if !quote {
        out.push_str(element);
        return;
    }
    out.push('"');
    for character in element.chars() {
        if matches!(character, '"' | '\\') {
            out.push('\\');
        }
        out.push(character);
    }
    out.push('"');
}

/// Reads the text form of an array.
struct Parser<'a> {
    text: &'a str,
    rest: &'a str,
    delim: char,
    lengths: Vec<Option<usize>>,
    elements: Vec<Option<String>>,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, delim: char) -> Self {
        Self {
            text,
            rest: text,
            delim,
            lengths: Vec::new(),
            elements: Vec::new(),
        }
    }

    fn malformed(&self, detail: &str) -> DatumError {
        DatumError::Malformed {
            message: format!("malformed array literal: \"{}\"", self.text),
            detail: detail.to_owned(),
        }
    }

    fn skip_blanks(&mut self) {
        self.rest = self
            .rest
            .trim_start_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']);
    }

    fn eat(&mut self, wanted: char) -> bool {
        match self.rest.strip_prefix(wanted) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn array(mut self) -> Result<Array, DatumError> {
        self.skip_blanks();
        let bounds = self.bounds()?;
        if !self.rest.starts_with('{') {
            return Err(self.malformed(if bounds.is_some() {
                "Array contents must start with \"{\"."
            } else {
                "Array value must start with \"{\" or dimension information."
            }));
        }
        self.level(0)?;
        self.skip_blanks();
        if !self.rest.is_empty() {
            return Err(self.malformed("Junk after closing right brace."));
        }
        if self.elements.is_empty() {
            return Ok(Array::default());
        }
        let lengths: Vec<usize> = self
            .lengths
            .iter()
            .map(|length| length.unwrap_or(0))
            .collect();
        let dimensions = match bounds {
            None => lengths.iter().map(|length| (*length, 1)).collect(),
            Some(bounds) => {
                let same = bounds
                    .iter()
                    .map(|(length, _)| *length)
                    .eq(lengths.iter().copied());
                if !same {
                    return Err(
                        self.malformed("Specified array dimensions do not match array contents.")
                    );
                }
                bounds
            }
        };
        Ok(Array {
            dimensions,
            elements: self.elements,
        })
    }

    /// `[1:2][0:4]=`
    fn bounds(&mut self) -> Result<Option<Vec<(usize, i32)>>, DatumError> {
        let mut bounds = Vec::new();
        while self.eat('[') {
            let Some((inside, rest)) = self.rest.split_once(']') else {
                return Err(self.malformed("Missing array dimension value."));
            };
            self.rest = rest;
            let (lower, upper) = inside.split_once(':').unwrap_or(("1", inside));
            let number = |text: &str| text.trim().parse::<i32>().ok();
            let (Some(lower), Some(upper)) = (number(lower), number(upper)) else {
                return Err(self.malformed("Missing array dimension value."));
            };
            let length = i64::from(upper) - i64::from(lower) + 1;
            let Some(length) = usize::try_from(length)
                .ok()
                .filter(|l| (1..=MAX_ELEMENTS).contains(l))
            else {
                return Err(DatumError::TooLarge(
                    "upper bound cannot be less than lower bound".to_owned(),
                ));
            };
            bounds.push((length, lower));
            self.check_depth(bounds.len())?;
            self.skip_blanks();
        }
        if bounds.is_empty() {
            return Ok(None);
        }
        if !self.eat('=') {
            return Err(self.malformed("Missing \"=\" after array dimensions."));
        }
        self.skip_blanks();
        Ok(Some(bounds))
    }

    fn check_depth(&self, depth: usize) -> Result<(), DatumError> {
        if depth > MAX_DIMENSIONS {
            return Err(DatumError::TooLarge(format!(
                "number of array dimensions ({depth}) exceeds the maximum allowed ({MAX_DIMENSIONS})"
            )));
        }
        Ok(())
    }

    /// One pair of braces and what is in it; returns how many members it has.
    fn level(&mut self, depth: usize) -> Result<(), DatumError> {
        self.check_depth(depth + 1)?;
        self.eat('{');
        if self.lengths.len() <= depth {
            self.lengths.push(None);
        }
        let mut length = 0;
        self.skip_blanks();
        if !self.eat('}') {
            loop {
                self.skip_blanks();
                self.member(depth)?;
                length += 1;
                self.skip_blanks();
                if self.eat(self.delim) {
                    continue;
                }
                if self.eat('}') {
                    break;
                }
                return Err(self.unexpected());
            }
        } else if depth > 0 {
            return Err(self.malformed("Unexpected \"}\" character."));
        }
        match self.lengths.get_mut(depth) {
            Some(known @ None) => *known = Some(length),
            Some(Some(known)) if *known != length => return Err(self.ragged()),
            Some(Some(_)) | None => {}
        }
        Ok(())
    }

    fn ragged(&self) -> DatumError {
        self.malformed("Multidimensional arrays must have sub-arrays with matching dimensions.")
    }

    fn unexpected(&self) -> DatumError {
        match self.rest.chars().next() {
            None => self.malformed("Unexpected end of input."),
            Some(other) if other == self.delim || matches!(other, '{' | '}') => {
                self.malformed(&format!("Unexpected \"{other}\" character."))
            }
            Some(_) => self.malformed("Unexpected array element."),
        }
    }

    fn member(&mut self, depth: usize) -> Result<(), DatumError> {
        // Elements stand at one depth only: the innermost.
        let inner_known = self.lengths.len() > depth + 1;
        if self.rest.starts_with('{') {
            if !inner_known && self.lengths.get(depth).is_some_and(Option::is_some) {
                return Err(self.ragged());
            }
            if !inner_known && !self.elements.is_empty() {
                return Err(self.ragged());
            }
            return self.level(depth + 1);
        }
        if self.rest.is_empty() || self.rest.starts_with(['}', self.delim]) {
            return Err(self.unexpected());
        }
        if inner_known {
            return Err(self.malformed("Unexpected array element."));
        }
        let element = self.element()?;
        self.elements.push(element);
        if self.elements.len() > MAX_ELEMENTS {
            return Err(DatumError::TooLarge(format!(
                "array size exceeds the maximum allowed ({MAX_ELEMENTS})"
            )));
        }
        Ok(())
    }

    /// An element, quoted or not.
    fn element(&mut self) -> Result<Option<String>, DatumError> {
        let mut text = String::new();
        if self.eat('"') {
            loop {
                let mut characters = self.rest.chars();
                match characters.next() {
                    None => return Err(self.malformed("Unexpected end of input.")),
                    Some('"') => break,
                    Some('\\') => match characters.next() {
                        None => return Err(self.malformed("Unexpected end of input.")),
                        Some(escaped) => text.push(escaped),
                    },
                    Some(plain) => text.push(plain),
                }
                self.rest = characters.as_str();
            }
            self.eat('"');
            return Ok(Some(text));
        }
        // Blanks inside count, those at the end do not; what a backslash protects always counts.
        let mut kept = 0;
        let mut escaped_any = false;
        loop {
            let mut characters = self.rest.chars();
            match characters.next() {
                None => return Err(self.malformed("Unexpected end of input.")),
                Some(c) if c == self.delim || c == '}' => break,
                Some('{' | '"') => return Err(self.unexpected()),
                Some('\\') => {
                    let Some(escaped) = characters.next() else {
                        return Err(self.malformed("Unexpected end of input."));
                    };
                    text.push(escaped);
                    kept = text.len();
                    escaped_any = true;
                }
                Some(plain) => {
                    text.push(plain);
                    if !plain.is_ascii_whitespace() && plain != '\x0b' {
                        kept = text.len();
                    }
                }
            }
            self.rest = characters.as_str();
        }
        text.truncate(kept);
        if !escaped_any && text.eq_ignore_ascii_case("null") {
            return Ok(None);
        }
        Ok(Some(text))
    }
}
