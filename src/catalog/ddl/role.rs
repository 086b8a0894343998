//! CREATE ROLE, ALTER ROLE, DROP ROLE, and the same with USER: from text to what they ask for.
//!
//! Nothing is looked up here: whether a role is there, who may do it and when a time is, is known
//! when the statement runs.

use std::fmt;

use sqlparser::tokenizer::Token;

use crate::pgerror::PgError;

use super::cursor::Cursor;

/// A statement about roles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RoleStatement {
    /// CREATE ROLE, CREATE USER
    Create {
        /// Its name.
        name: String,
        /// What is said of it.
        options: RoleOptions,
    },
    /// ALTER ROLE
    Alter {
        /// Which.
        role: RoleSpec,
        /// What changes.
        options: RoleOptions,
    },
    /// ALTER ROLE ... RENAME TO
    Rename {
        /// Its name.
        name: String,
        /// Its new one.
        to: String,
    },
    /// DROP ROLE
    Drop {
        /// Which.
        roles: Vec<RoleSpec>,
        /// IF EXISTS
        if_exists: bool,
    },
    /// GRANT CONNECT ON DATABASE, REVOKE
    Databases {
        /// Which databases.
        databases: Vec<String>,
        /// To or from whom.
        roles: Vec<RoleSpec>,
        /// GRANT, not REVOKE.
        grant: bool,
    },
    /// GRANT role TO role, REVOKE
    Members {
        /// Which roles are given.
        granted: Vec<String>,
        /// To or from whom.
        roles: Vec<RoleSpec>,
        /// GRANT, not REVOKE.
        grant: bool,
    },
}

/// A role as a statement names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RoleSpec {
    /// By its name.
    Named(String),
    /// CURRENT_USER, CURRENT_ROLE, SESSION_USER: who asks.
    Current,
    /// PUBLIC: everybody.
    Public,
}

/// A password, which nothing prints.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(pub(crate) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// What a statement says of a role.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct RoleOptions {
    pub(crate) login: Option<bool>,
    pub(crate) superuser: Option<bool>,
    pub(crate) replication: Option<bool>,
    pub(crate) publish: Option<bool>,
    pub(crate) monitor: Option<bool>,
    /// `Some(None)` is PASSWORD NULL.
    pub(crate) password: Option<Option<Secret>>,
    pub(crate) connection_limit: Option<i64>,
    /// As it was written.
    pub(crate) valid_until: Option<String>,
    pub(crate) databases: Option<Vec<String>>,
    inherit: Option<bool>,
    /// What no role can be but a superuser, who is it anyway: by the first letters of its word.
    createdb: Option<bool>,
    createrole: Option<bool>,
    bypassrls: Option<bool>,
}

impl RoleOptions {
    /// Whether nothing is said but a password.
    pub(crate) fn is_password_only(&self) -> bool {
        let without = Self {
            password: None,
            ..self.clone()
        };
        self.password.is_some() && without == Self::default()
    }
}

/// Reads the one statement of `text`; `None` when it is none about roles.
pub(crate) fn parse_roles(text: &str) -> Result<Option<RoleStatement>, PgError> {
    let mut words = text.split_whitespace();
    let may_be = ["create", "alter", "drop", "grant", "revoke"];
    let first = words.next().unwrap_or_default();
    let is_word = first.bytes().all(|byte| byte.is_ascii_alphabetic());
    // A comment in front, or right behind, may hide anything.
    if is_word && !may_be.iter().any(|word| first.eq_ignore_ascii_case(word)) {
        return Ok(None);
    }
    let mut cursor = Cursor::new(text)?;
    let statement = statement(&mut cursor)?;
    if statement.is_some() {
        cursor.end()?;
    }
    Ok(statement)
}

fn statement(cursor: &mut Cursor<'_>) -> Result<Option<RoleStatement>, PgError> {
    if cursor.take("grant") {
        return super::grant::grant(cursor).map(Some);
    }
    if cursor.take("revoke") {
        return super::grant::revoke(cursor).map(Some);
    }
    let verb = cursor.peek_word().unwrap_or_default();
    if !matches!(verb.as_str(), "create" | "alter" | "drop") {
        return Ok(None);
    }
    cursor.advance();
    let is_user = cursor.take("user");
    if !is_user && !cursor.take("role") {
        return Ok(None);
    }
    if is_user && cursor.peek_word().as_deref() == Some("mapping") {
        return Err(cursor.unsupported("a user mapping"));
    }
    match verb.as_str() {
        "create" => create(cursor, is_user),
        "alter" => alter(cursor),
        _drop => drop(cursor),
    }
    .map(Some)
}

fn create(cursor: &mut Cursor<'_>, is_user: bool) -> Result<RoleStatement, PgError> {
    let name = name(cursor)?;
    cursor.take("with");
    let mut options = options(cursor, true)?;
    if is_user {
        options.login.get_or_insert(true);
    }
    Ok(RoleStatement::Create { name, options })
}

fn alter(cursor: &mut Cursor<'_>) -> Result<RoleStatement, PgError> {
    if cursor.take("all") {
        return Err(match cursor.peek_word().as_deref() {
            Some("set" | "reset" | "in") => cursor.unsupported("a setting of a role"),
            Some(_) | None => cursor.error(),
        });
    }
    let place = cursor.place();
    let role = spec(cursor)?;
    if cursor.take_all(&["rename", "to"]) {
        let to = name(cursor)?;
        let end = cursor.place();
        cursor.go_back(place);
        let old = name(cursor)?;
        cursor.go_back(end);
        return Ok(RoleStatement::Rename { name: old, to });
    }
    if let Some("set" | "reset" | "in") = cursor.peek_word().as_deref() {
        return Err(cursor.unsupported("a setting of a role"));
    }
    cursor.take("with");
    let options = options(cursor, false)?;
    Ok(RoleStatement::Alter { role, options })
}

fn drop(cursor: &mut Cursor<'_>) -> Result<RoleStatement, PgError> {
    let if_exists = cursor.if_exists();
    let roles = cursor.list(spec)?;
    Ok(RoleStatement::Drop { roles, if_exists })
}

/// A role that there is, or everybody.
pub(super) fn spec(cursor: &mut Cursor<'_>) -> Result<RoleSpec, PgError> {
    for word in ["current_user", "current_role", "session_user"] {
        if cursor.take(word) {
            return Ok(RoleSpec::Current);
        }
    }
    let position = cursor.position();
    let name = cursor.role_name()?;
    match name.as_str() {
        "public" => Ok(RoleSpec::Public),
        "none" => Err(reserved(&name).at(position)),
        _other => Ok(RoleSpec::Named(name)),
    }
}

/// The name of one role, which must be a name.
pub(super) fn name(cursor: &mut Cursor<'_>) -> Result<String, PgError> {
    let position = cursor.position();
    for word in ["current_user", "current_role", "session_user"] {
        if cursor.take(word) {
            let word = word.to_ascii_uppercase();
            let message = format!("{word} cannot be used as a role name here");
            return Err(PgError::error("42939", message).at(position));
        }
    }
    match spec(cursor)? {
        RoleSpec::Named(name) => Ok(name),
        RoleSpec::Current | RoleSpec::Public => Err(reserved("public").at(position)),
    }
}

fn reserved(name: &str) -> PgError {
    PgError::error("42939", format!("role name \"{name}\" is reserved"))
}

fn options(cursor: &mut Cursor<'_>, is_new: bool) -> Result<RoleOptions, PgError> {
    let mut options = RoleOptions::default();
    while !matches!(cursor.peek(), None | Some(Token::EOF | Token::SemiColon)) {
        option(cursor, &mut options, is_new)?;
    }
    let beyond = [
        (options.createdb, "CREATEDB"),
        (options.createrole, "CREATEROLE"),
        (options.bypassrls, "BYPASSRLS"),
    ];
    // A superuser may do it all: for one it adds nothing.
    let is_superuser = options.superuser == Some(true);
    match beyond.iter().find(|(set, _)| *set == Some(true)) {
        Some((_, word)) if !is_superuser => Err(PgError::unsupported(format!(
            "{word} is not supported for a role that is no superuser"
        ))),
        Some(_) | None => Ok(options),
    }
}

fn option(cursor: &mut Cursor<'_>, options: &mut RoleOptions, is_new: bool) -> Result<(), PgError> {
    let position = cursor.position();
    let Some(word) = cursor.peek_word() else {
        return Err(cursor.error());
    };
    cursor.advance();
    let once = OncePlace(position);
    match word.as_str() {
        "encrypted" | "password" => {
            if word == "encrypted" {
                cursor.expect("password")?;
            }
            let null = word == "password" && cursor.take("null");
            let password = match null {
                true => None,
                false => Some(Secret(string(cursor)?)),
            };
            once.set(&mut options.password, password)
        }
        "unencrypted" => {
            cursor.expect("password")?;
            string(cursor)?;
            let message = "UNENCRYPTED PASSWORD is no longer supported";
            let hint = "Remove UNENCRYPTED to store the password in encrypted form instead.";
            Err(PgError::unsupported(message).with_hint(hint).at(position))
        }
        "connection" => {
            cursor.expect("limit")?;
            let limit = signed(cursor)?;
            once.set(&mut options.connection_limit, limit)
        }
        "valid" => {
            cursor.expect("until")?;
            let until = string(cursor)?;
            once.set(&mut options.valid_until, until)
        }
        "in" if is_new && cursor.take("database") => {
            let databases = cursor.list(Cursor::role_name)?;
            once.set(&mut options.databases, databases)
        }
        "in" | "role" | "admin" | "sysid" if is_new => {
            let error = PgError::unsupported("membership in roles is not supported");
            Err(error.with_hint(super::grant::HINT).at(position))
        }
        _flag => flag(cursor, options, &word, &once),
    }
}

/// An option that is one word.
fn flag(
    cursor: &Cursor<'_>,
    options: &mut RoleOptions,
    word: &str,
    once: &OncePlace,
) -> Result<(), PgError> {
    let (name, on) = match word.strip_prefix("no") {
        Some(name) => (name, false),
        None => (word, true),
    };
    let which = match name {
        "login" => &mut options.login,
        "superuser" => &mut options.superuser,
        "replication" => &mut options.replication,
        "publish" => &mut options.publish,
        "monitor" => &mut options.monitor,
        "createdb" => &mut options.createdb,
        "createrole" => &mut options.createrole,
        "bypassrls" => &mut options.bypassrls,
        "inherit" if on => &mut options.inherit,
        "inherit" => return Err(PgError::unsupported("NOINHERIT is not supported").at(once.0)),
        _other if is_option_word(word) => return Err(cursor.error_before()),
        _other => {
            let message = format!("unrecognized role option \"{word}\"");
            return Err(PgError::error("42601", message).at(once.0));
        }
    };
    once.set(which, on)
}

/// Keywords are no names of options.
fn is_option_word(word: &str) -> bool {
    crate::datum::keyword(word).is_some()
}

/// Where an option stands that may be there once.
struct OncePlace(u32);

impl OncePlace {
    fn set<T>(&self, option: &mut Option<T>, value: T) -> Result<(), PgError> {
        match option.replace(value) {
            None => Ok(()),
            Some(_) => {
                let message = "conflicting or redundant options";
                Err(PgError::error("42601", message).at(self.0))
            }
        }
    }
}

fn string(cursor: &mut Cursor<'_>) -> Result<String, PgError> {
    let text = match cursor.peek() {
        Some(
            Token::SingleQuotedString(text)
            | Token::EscapedStringLiteral(text)
            | Token::UnicodeStringLiteral(text),
        ) => text.clone(),
        Some(Token::DollarQuotedString(quoted)) => quoted.value.clone(),
        _no_string => return Err(cursor.error()),
    };
    cursor.advance();
    Ok(text)
}

fn signed(cursor: &mut Cursor<'_>) -> Result<i64, PgError> {
    let minus = cursor.take_token(&Token::Minus);
    if !minus {
        cursor.take_token(&Token::Plus);
    }
    let number = match cursor.peek() {
        Some(Token::Number(digits, _)) => digits.parse::<i32>().ok(),
        _no_number => None,
    };
    let number = number.ok_or_else(|| cursor.error())?;
    cursor.advance();
    Ok(if minus {
        -i64::from(number)
    } else {
        number.into()
    })
}
