//! PostgreSQL's advanced regular expressions in the notation of the regex crate. Everything that
//! means something else there is spelled out, and what PostgreSQL refuses is refused in its words.

use super::PatternError;

/// The most that a bound may say.
const MAX_BOUND: u32 = 255;

/// How an expression is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mode {
    /// Blanks and comments mean nothing.
    pub(super) expanded: bool,
    /// No negated bracket matches the end of a line.
    pub(super) by_lines: bool,
}

type Result<T> = std::result::Result<T, PatternError>;

pub(super) fn wrong<T>(what: &str) -> Result<T> {
    Err(PatternError::Regex(what.to_owned()))
}

const ESCAPE: &str = "invalid escape \\ sequence";
const OPERAND: &str = "quantifier operand invalid";
const PARENTHESES: &str = "parentheses () not balanced";
const BRACKETS: &str = "brackets [] not balanced";
const BRACES: &str = "braces {} not balanced";
const COUNT: &str = "invalid repetition count(s)";
const RANGE: &str = "invalid character range";

/// What a backslash begins.
enum Escaped {
    Character(char),
    /// In the words of the regex crate, to stand in brackets.
    Class(&'static str),
    /// Where something matches rather than what.
    Place(&'static str),
}

struct Reader<'p> {
    rest: &'p str,
    mode: Mode,
    out: String,
    depth: usize,
    num_groups: u32,
    /// The last part can be repeated.
    is_atom: bool,
}

pub(super) fn translated(pattern: &str, mode: Mode) -> Result<String> {
    let mut reader = Reader {
        rest: pattern,
        mode,
        out: String::with_capacity(pattern.len() + 8),
        depth: 0,
        num_groups: 0,
        is_atom: false,
    };
    while let Some(character) = reader.next() {
        reader.part(character)?;
    }
    if reader.depth > 0 {
        return wrong(PARENTHESES);
    }
    Ok(reader.out)
}

/// Appends a character that means nothing but itself, in brackets or not.
fn literal(character: char, out: &mut String) {
    if character.is_ascii_alphanumeric() || !(character.is_ascii() || character.is_whitespace()) {
        out.push(character);
    } else {
        out.push_str(&format!("\\x{{{:x}}}", u32::from(character)));
    }
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let mut characters = self.rest.chars();
        let found = characters.next()?;
        self.rest = characters.as_str();
        Some(found)
    }

    fn eat(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn part(&mut self, character: char) -> Result<()> {
        match character {
            '*' | '+' | '?' => return self.repeated(character.encode_utf8(&mut [0; 4])),
            '{' if self.rest.starts_with(|c: char| c.is_ascii_digit()) => return self.bound(),
            '(' => return self.open(),
            ')' => {
                self.depth = match self.depth.checked_sub(1) {
                    Some(depth) => depth,
                    None => return wrong(PARENTHESES),
                };
                self.out.push(')');
                self.is_atom = true;
            }
            '|' | '^' | '$' => {
                self.out.push(character);
                self.is_atom = false;
            }
            '.' => {
                self.out.push('.');
                self.is_atom = true;
            }
            '[' if self.eat("[:<:]]") => self.place("\\b{start}"),
            '[' if self.eat("[:>:]]") => self.place("\\b{end}"),
            '[' => {
                self.bracket()?;
                self.is_atom = true;
            }
            '\\' => self.backslash()?,
            blank if self.mode.expanded && blank.is_whitespace() => {}
            '#' if self.mode.expanded => {
                let end = self.rest.find('\n').unwrap_or(self.rest.len());
                self.rest = self.rest.get(end..).unwrap_or_default();
            }
            plain => {
                literal(plain, &mut self.out);
                self.is_atom = true;
            }
        }
        Ok(())
    }

    fn place(&mut self, place: &str) {
        self.out.push_str(place);
        self.is_atom = false;
    }

    fn repeated(&mut self, quantifier: &str) -> Result<()> {
        if !self.is_atom {
            return wrong(OPERAND);
        }
        self.out.push_str(quantifier);
        if self.eat("?") {
            self.out.push('?');
        }
        self.is_atom = false;
        Ok(())
    }

    fn bound(&mut self) -> Result<()> {
        let least = self.number();
        let most = match self.eat(",") {
            true if self.rest.starts_with(|c: char| c.is_ascii_digit()) => Some(self.number()),
            true => None,
            false => Some(least),
        };
        if !self.eat("}") {
            return wrong(BRACES);
        }
        if least.max(most.unwrap_or(0)) > MAX_BOUND || most.is_some_and(|most| most < least) {
            return wrong(COUNT);
        }
        let most = most.map(|most| most.to_string()).unwrap_or_default();
        self.repeated(&format!("{{{least},{most}}}"))
    }

    fn number(&mut self) -> u32 {
        let end = self.rest.find(|c: char| !c.is_ascii_digit());
        let (digits, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        digits.parse().unwrap_or(u32::MAX)
    }

    fn open(&mut self) -> Result<()> {
        if self.eat("?#") {
            let Some((_, rest)) = self.rest.split_once(')') else {
                return wrong(PARENTHESES);
            };
            self.rest = rest;
            return Ok(());
        }
        if self.eat("?:") {
            self.out.push_str("(?:");
        } else if ["?=", "?!", "?<=", "?<!"].iter().any(|sign| self.eat(sign)) {
            return Err(PatternError::Unsupported("looking around"));
        } else if self.rest.starts_with('?') {
            return wrong(OPERAND);
        } else {
            self.num_groups += 1;
            self.out.push('(');
        }
        self.depth += 1;
        self.is_atom = false;
        Ok(())
    }

    fn backslash(&mut self) -> Result<()> {
        match self.escaped(false)? {
            Escaped::Character(character) => literal(character, &mut self.out),
            Escaped::Class(class) => {
                self.out.push('[');
                self.out.push_str(class);
                self.out.push(']');
            }
            Escaped::Place(place) => {
                self.place(place);
                return Ok(());
            }
        }
        self.is_atom = true;
        Ok(())
    }

    /// What stands behind a backslash.
    fn escaped(&mut self, in_bracket: bool) -> Result<Escaped> {
        let Some(character) = self.next() else {
            return wrong(ESCAPE);
        };
        let found = match character {
            'a' => Escaped::Character('\x07'),
            'b' => Escaped::Character('\x08'),
            'B' => Escaped::Character('\\'),
            'e' => Escaped::Character('\x1b'),
            'f' => Escaped::Character('\x0c'),
            'n' => Escaped::Character('\n'),
            'r' => Escaped::Character('\r'),
            't' => Escaped::Character('\t'),
            'v' => Escaped::Character('\x0b'),
            'c' => match self.next() {
                Some(of) => Escaped::Character(code(u32::from(of) & 0x1f)?),
                None => return wrong(ESCAPE),
            },
            'u' => Escaped::Character(self.digits(16, 4, 4)?),
            'U' => Escaped::Character(self.digits(16, 8, 8)?),
            'x' => Escaped::Character(self.digits(16, 1, 255)?),
            'd' => Escaped::Class("0-9"),
            'D' => Escaped::Class("[^0-9]"),
            's' => Escaped::Class("\\s"),
            'S' => Escaped::Class("\\S"),
            'w' => Escaped::Class("\\w"),
            'W' => Escaped::Class("\\W"),
            '0' => Escaped::Character(self.octal('0')?),
            '1'..='9' => self.reference(character, in_bracket)?,
            'A' if !in_bracket => Escaped::Place("\\A"),
            'm' if !in_bracket => Escaped::Place("\\b{start}"),
            'M' if !in_bracket => Escaped::Place("\\b{end}"),
            'y' if !in_bracket => Escaped::Place("\\b"),
            'Y' if !in_bracket => Escaped::Place("\\B"),
            'Z' if !in_bracket => Escaped::Place("\\z"),
            other if other.is_ascii_alphanumeric() => return wrong(ESCAPE),
            plain => Escaped::Character(plain),
        };
        Ok(found)
    }

    /// A reference back, or a character by its number where there is nothing to refer to.
    fn reference(&mut self, first: char, in_bracket: bool) -> Result<Escaped> {
        let is_single = !self.rest.starts_with(|c: char| c.is_ascii_digit());
        let digits = self.rest.find(|c: char| !c.is_ascii_digit());
        let digits = self.rest.get(..digits.unwrap_or(self.rest.len()));
        let number = format!("{first}{}", digits.unwrap_or_default()).parse();
        if !in_bracket && number.is_ok_and(|number: u32| number <= self.num_groups) {
            return Err(PatternError::Unsupported("a reference back"));
        }
        match is_single {
            true if in_bracket => wrong(ESCAPE),
            true => wrong("invalid backreference number"),
            false => Ok(Escaped::Character(self.octal(first)?)),
        }
    }

    fn octal(&mut self, first: char) -> Result<char> {
        let mut value = first.to_digit(8).map_or_else(|| wrong(ESCAPE), Ok)?;
        for _ in 0..2 {
            let Some(digit) = self.rest.chars().next().and_then(|c| c.to_digit(8)) else {
                break;
            };
            if value * 8 + digit > 0o377 {
                break;
            }
            value = value * 8 + digit;
            self.next();
        }
        code(value)
    }

    /// A character by its number.
    fn digits(&mut self, radix: u32, least: usize, most: usize) -> Result<char> {
        let (mut value, mut len) = (0_u32, 0);
        while len < most
            && let Some(digit) = self.rest.chars().next().and_then(|c| c.to_digit(radix))
        {
            value = value.saturating_mul(radix).saturating_add(digit);
            len += 1;
            self.next();
        }
        if len < least {
            return wrong(ESCAPE);
        }
        code(value)
    }

    fn bracket(&mut self) -> Result<()> {
        let negated = self.eat("^");
        self.out.push_str(if negated { "[^" } else { "[" });
        let mut is_first = true;
        loop {
            let Some(character) = self.next() else {
                return wrong(BRACKETS);
            };
            if character == ']' && !is_first {
                break;
            }
            let is_last = self.rest.starts_with(']');
            if character == '-' && !is_first && !is_last {
                return wrong(RANGE);
            }
            is_first = false;
            let least = self.item(character)?;
            if !self.rest.starts_with('-') || self.rest.starts_with("-]") {
                if let Some(least) = least {
                    literal(least, &mut self.out);
                }
                continue;
            }
            self.next();
            let Some(character) = self.next() else {
                return wrong(BRACKETS);
            };
            let most = self.item(character)?;
            match (least, most) {
                (Some(least), Some(most)) if least <= most => {
                    literal(least, &mut self.out);
                    self.out.push('-');
                    literal(most, &mut self.out);
                }
                _ => return wrong(RANGE),
            }
        }
        if negated && self.mode.by_lines {
            self.out.push_str("\\n");
        }
        self.out.push(']');
        Ok(())
    }

    /// One character of a bracket; a class is written at once.
    fn item(&mut self, character: char) -> Result<Option<char>> {
        if character == '\\' {
            return Ok(match self.escaped(true)? {
                Escaped::Character(character) => Some(character),
                Escaped::Class(text) | Escaped::Place(text) => {
                    self.out.push_str(text);
                    None
                }
            });
        }
        let mark = self.rest.chars().next().filter(|_| character == '[');
        let Some(mark @ (':' | '.' | '=')) = mark else {
            return Ok(Some(character));
        };
        self.next();
        let Some((name, rest)) = self.rest.split_once(&format!("{mark}]")) else {
            return wrong(BRACKETS);
        };
        self.rest = rest;
        if mark == ':' {
            self.out.push_str(class(name)?);
            return Ok(None);
        }
        let mut characters = name.chars();
        match (characters.next(), characters.next()) {
            (Some(found), None) if mark == '.' => Ok(Some(found)),
            (Some(found), None) => {
                literal(found, &mut self.out);
                Ok(None)
            }
            (Some(_), Some(_)) => Err(PatternError::Unsupported("a character's name")),
            (None, _) => wrong("invalid collating element"),
        }
    }
}

fn code(value: u32) -> Result<char> {
    char::from_u32(value).ok_or(PatternError::Unsupported("what is no character of Unicode"))
}

/// A named class, to stand in brackets.
fn class(name: &str) -> Result<&'static str> {
    Ok(match name {
        "alnum" => "\\p{Alphabetic}\\p{Nd}",
        "alpha" => "\\p{Alphabetic}",
        "ascii" => "\\x00-\\x7f",
        "blank" => "\\t\\p{Zs}",
        "cntrl" => "\\p{Cc}",
        "digit" => "0-9",
        "graph" => "[^\\s\\p{C}]",
        "lower" => "\\p{Lowercase}",
        "print" => "[^\\p{C}]",
        "punct" => "\\p{P}\\p{S}",
        "space" => "\\s",
        "upper" => "\\p{Uppercase}",
        "word" => "\\w",
        "xdigit" => "0-9A-Fa-f",
        _ => return wrong("invalid character class"),
    })
}
