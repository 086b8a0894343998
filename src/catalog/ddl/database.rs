//! CREATE DATABASE, DROP DATABASE, PAUSE and RESUME: from text to what they ask for.
//!
//! What a captured database follows stands in parentheses, which PostgreSQL's grammar does not
//! have there; options without them are PostgreSQL's.

use sqlparser::tokenizer::Token;

use crate::captures::NewCapture;
use crate::datum::Keyword;
use crate::pgerror::PgError;

use super::cursor::Cursor;

/// A statement about databases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DatabaseStatement {
    /// CREATE DATABASE
    Create(CreateDatabase),
    /// DROP DATABASE
    Drop {
        /// Which.
        name: String,
        /// IF EXISTS
        if_exists: bool,
        /// WITH (FORCE): whoever is connected is thrown out.
        force: bool,
    },
    /// PAUSE, RESUME
    Pause {
        /// Which; `None` is the session's own.
        name: Option<String>,
        /// PAUSE, not RESUME.
        pause: bool,
    },
}

/// CREATE DATABASE
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CreateDatabase {
    /// Its name.
    pub(crate) name: String,
    /// To whom it is to belong, if that is said.
    pub(crate) owner: Option<String>,
    /// From what it is to be made, if that is said.
    pub(crate) template: Option<String>,
    /// What it is to follow.
    pub(crate) capture: Option<NewCapture>,
}

impl DatabaseStatement {
    /// Command tag.
    pub(crate) const fn tag(&self) -> &'static str {
        match self {
            Self::Create(_) => "CREATE DATABASE",
            Self::Drop { .. } => "DROP DATABASE",
            Self::Pause { pause: true, .. } => "PAUSE",
            Self::Pause { pause: false, .. } => "RESUME",
        }
    }
}

/// Reads the one statement of `text`; `None` when it is none about databases.
pub(crate) fn parse_databases(text: &str) -> Result<Option<DatabaseStatement>, PgError> {
    let mut cursor = Cursor::new(text)?;
    let statement = if cursor.take_all(&["create", "database"]) {
        DatabaseStatement::Create(create(&mut cursor)?)
    } else if cursor.take_all(&["drop", "database"]) {
        drop(&mut cursor)?
    } else {
        return Ok(None);
    };
    cursor.end()?;
    Ok(Some(statement))
}

fn create(cursor: &mut Cursor<'_>) -> Result<CreateDatabase, PgError> {
    let name = cursor.name()?;
    let mut new = CreateDatabase {
        name,
        owner: None,
        template: None,
        capture: None,
    };
    cursor.take("with");
    if cursor.peek() == Some(&Token::LParen) {
        new.capture = Some(capture(cursor, &new.name)?);
        return Ok(new);
    }
    let mut seen = Vec::new();
    while !matches!(cursor.peek(), None | Some(Token::EOF | Token::SemiColon)) {
        let option = plain_option(cursor)?;
        if seen.contains(&option.name) {
            return Err(twice().at(option.position));
        }
        seen.push(option.name.clone());
        check_plain(&option, &mut new)?;
    }
    Ok(new)
}

fn drop(cursor: &mut Cursor<'_>) -> Result<DatabaseStatement, PgError> {
    let if_exists = cursor.if_exists();
    let name = cursor.name()?;
    let mut force = false;
    let with = cursor.take("with");
    if with || cursor.peek() == Some(&Token::LParen) {
        cursor.in_parentheses(|cursor| {
            let position = cursor.position();
            let option = cursor.label()?;
            if option != "force" {
                let message = format!("unrecognized DROP DATABASE option \"{option}\"");
                return Err(PgError::error("42601", message).at(position));
            }
            force = true;
            Ok(())
        })?;
    }
    Ok(DatabaseStatement::Drop {
        name,
        if_exists,
        force,
    })
}

/// One option, as it is written.
struct Written {
    name: String,
    /// `None` is DEFAULT.
    value: Option<String>,
    position: u32,
}

/// `(upstream = '...', ...)`
fn capture(cursor: &mut Cursor<'_>, database: &str) -> Result<NewCapture, PgError> {
    let options = cursor.in_parentheses(|cursor| {
        let position = cursor.position();
        let name = cursor.label()?;
        cursor.take_token(&Token::Eq);
        // A name alone is a yes, as in PostgreSQL's lists of options.
        let value = match cursor.peek() {
            Some(Token::Comma | Token::RParen) => "true".to_owned(),
            _ => value(cursor)?,
        };
        let value = Some(value);
        Ok(Written {
            name,
            value,
            position,
        })
    })?;
    let pairs = options.iter().map(|option| {
        let value = option.value.as_deref().unwrap_or_default();
        (option.name.as_str(), value)
    });
    NewCapture::from_options(database, pairs).map_err(|error| {
        let about = error.option();
        // Of two the later one is too many.
        let mut about = options.iter().filter(|option| Some(&*option.name) == about);
        let position = about.next_back().map(|option| option.position);
        let error = PgError::from(error);
        match position {
            Some(position) => error.at(position),
            None => error,
        }
    })
}

/// One of PostgreSQL's options.
fn plain_option(cursor: &mut Cursor<'_>) -> Result<Written, PgError> {
    let position = cursor.position();
    let name = if cursor.take_all(&["connection", "limit"]) {
        "connection limit".to_owned()
    } else {
        // Beside names without a meaning the grammar knows these.
        const WORDS: &[&str] = &["encoding", "location", "owner", "tablespace", "template"];
        let word = cursor.peek_word().unwrap_or_default();
        if !WORDS.contains(&word.as_str()) && crate::datum::keyword(&word).is_some() {
            return Err(cursor.error());
        }
        cursor.label()?
    };
    cursor.take_token(&Token::Eq);
    let value = match cursor.take("default") {
        true => None,
        false => Some(value(cursor)?),
    };
    Ok(Written {
        name,
        value,
        position,
    })
}

/// A string, a number or a word.
fn value(cursor: &mut Cursor<'_>) -> Result<String, PgError> {
    let minus = cursor.take_token(&Token::Minus);
    let text = match cursor.peek() {
        Some(Token::Number(digits, _)) => match minus {
            true => format!("-{digits}"),
            false => digits.clone(),
        },
        _ if minus => return Err(cursor.error()),
        Some(
            Token::SingleQuotedString(text)
            | Token::EscapedStringLiteral(text)
            | Token::UnicodeStringLiteral(text),
        ) => text.clone(),
        Some(Token::DollarQuotedString(quoted)) => quoted.value.clone(),
        Some(Token::Word(_)) => {
            let word = cursor.peek_word().unwrap_or_default();
            let is_word = matches!(word.as_str(), "true" | "false" | "on")
                || crate::datum::keyword(&word).is_none_or(|kind| kind != Keyword::Reserved);
            if !is_word {
                return Err(cursor.error());
            }
            return cursor.label();
        }
        _no_value => return Err(cursor.error()),
    };
    cursor.advance();
    Ok(text)
}

fn twice() -> PgError {
    PgError::error("42601", "conflicting or redundant options")
}

/// Takes an option that changes nothing here, or says why it cannot be had.
fn check_plain(option: &Written, new: &mut CreateDatabase) -> Result<(), PgError> {
    let Some(value) = option.value.as_deref() else {
        return match KNOWN.contains(&option.name.as_str()) {
            true => Ok(()),
            false => Err(unknown(option)),
        };
    };
    let lower = value.to_ascii_lowercase();
    let fits = match option.name.as_str() {
        "owner" => {
            new.owner = Some(value.to_owned());
            true
        }
        "template" => {
            new.template = Some(value.to_owned());
            true
        }
        "encoding" => {
            let plain = |c: &char| c.is_ascii_alphanumeric();
            let name: String = lower.chars().filter(plain).collect();
            matches!(name.as_str(), "utf8" | "unicode" | "6")
        }
        "locale" | "lc_collate" | "lc_ctype" => {
            matches!(lower.as_str(), "c" | "posix" | "c.utf-8" | "c.utf8")
        }
        "locale_provider" => match lower.as_str() {
            "libc" => true,
            "icu" => false,
            _other => {
                let message = format!("unrecognized locale provider: {value}");
                return Err(PgError::error("42P17", message).at(option.position));
            }
        },
        "tablespace" if lower == "pg_default" => true,
        "tablespace" => {
            let message = format!("tablespace \"{value}\" does not exist");
            return Err(PgError::error("42704", message));
        }
        "is_template" => !boolean(option, value)?,
        "allow_connections" => boolean(option, value)?,
        "connection limit" | "connection_limit" => match value.parse::<i32>() {
            Ok(-1) => true,
            Ok(limit) if limit < -1 => {
                let message = format!("invalid connection limit: {limit}");
                return Err(PgError::error("22023", message));
            }
            Ok(_) => false,
            Err(_) => {
                let message = format!("{} requires an integer value", option.name);
                return Err(PgError::error("42601", message));
            }
        },
        "strategy" if matches!(lower.as_str(), "wal_log" | "file_copy") => true,
        "strategy" => {
            let message = format!("invalid create database strategy \"{value}\"");
            let hint = "Valid strategies are \"wal_log\", and \"file_copy\".";
            return Err(PgError::error("22023", message).with_hint(hint));
        }
        "icu_locale" | "collation_version" | "oid" | "location" => false,
        _other => return Err(unknown(option)),
    };
    if fits {
        return Ok(());
    }
    let name = option.name.to_ascii_uppercase();
    let message = format!("{name} {value} is not supported for a database");
    let hint = "A database here is in UTF8 and the locale C.UTF-8, and takes connections without a \
                limit of its own.";
    Err(PgError::unsupported(message)
        .with_hint(hint)
        .at(option.position))
}

/// PostgreSQL's options.
const KNOWN: &[&str] = &[
    "allow_connections",
    "collation_version",
    "connection limit",
    "connection_limit",
    "encoding",
    "icu_locale",
    "is_template",
    "lc_collate",
    "lc_ctype",
    "locale",
    "locale_provider",
    "location",
    "oid",
    "owner",
    "strategy",
    "tablespace",
    "template",
];

fn unknown(option: &Written) -> PgError {
    let message = format!("option \"{}\" not recognized", option.name);
    PgError::error("42601", message).at(option.position)
}

fn boolean(option: &Written, value: &str) -> Result<bool, PgError> {
    crate::plugins::parse_bool(value).ok_or_else(|| {
        let message = format!("{} requires a Boolean value", option.name);
        PgError::error("42601", message)
    })
}
