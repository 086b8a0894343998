//! The tokens of a statement, one after the other, with PostgreSQL's rules for names and its errors.

use sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use crate::catalog::parse::{self, Source};
use crate::datum::{Keyword, keyword};
use crate::pgerror::PgError;
use crate::relations::TableName;

/// Longer names are cut off.
const MAX_NAME: usize = 63;

/// What is left of a statement.
pub(super) struct Cursor<'t> {
    source: Source<'t>,
    tokens: Vec<TokenWithSpan>,
    at: usize,
}

/// A place to come back to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place(usize);

impl<'t> Cursor<'t> {
    pub(super) fn new(text: &'t str) -> Result<Self, PgError> {
        let (source, tokens) = parse::tokens_of(text)?;
        Ok(Self {
            source,
            tokens,
            at: 0,
        })
    }

    pub(super) const fn place(&self) -> Place {
        Place(self.at)
    }

    pub(super) const fn go_back(&mut self, place: Place) {
        self.at = place.0;
    }

    pub(super) const fn is_at(&self, place: Place) -> bool {
        self.at == place.0
    }

    pub(super) fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|token| &token.token)
    }

    pub(super) fn peek_second(&self) -> Option<&Token> {
        self.tokens.get(self.at + 1).map(|token| &token.token)
    }

    pub(super) const fn advance(&mut self) {
        self.at += 1;
    }

    /// Where the next token begins, in characters from 1.
    pub(super) fn position(&self) -> u32 {
        let place = self.tokens.get(self.at).map(|token| token.span.start);
        place
            .and_then(|place| self.source.position(place))
            .unwrap_or(0)
    }

    /// A syntax error at the next token.
    pub(super) fn error(&self) -> PgError {
        match self.tokens.get(self.at) {
            Some(token) => self.source.error_at(token),
            None => self.source.error_at_end(),
        }
    }

    /// A syntax error at the token before the next.
    pub(super) fn error_before(&self) -> PgError {
        match self.at.checked_sub(1).and_then(|at| self.tokens.get(at)) {
            Some(token) => self.source.error_at(token),
            None => self.error(),
        }
    }

    /// The next token, if it is a word without quotes; in lower case.
    pub(super) fn peek_word(&self) -> Option<String> {
        word_of(self.peek()?)
    }

    /// The word behind the next token.
    pub(super) fn peek_second_word(&self) -> Option<String> {
        word_of(self.peek_second()?)
    }

    /// Takes the keyword `word` if it is the next token.
    pub(super) fn take(&mut self, word: &str) -> bool {
        let Some(Token::Word(next)) = self.peek() else {
            return false;
        };
        let found = next.quote_style.is_none() && next.value.eq_ignore_ascii_case(word);
        self.at += usize::from(found);
        found
    }

    /// Takes `words` if they are the next tokens, all or none.
    pub(super) fn take_all(&mut self, words: &[&str]) -> bool {
        let place = self.place();
        let found = words.iter().all(|word| self.take(word));
        if !found {
            self.go_back(place);
        }
        found
    }

    pub(super) fn expect(&mut self, word: &str) -> Result<(), PgError> {
        if self.take(word) {
            Ok(())
        } else {
            Err(self.error())
        }
    }

    /// Takes `token` if it is the next one.
    pub(super) fn take_token(&mut self, token: &Token) -> bool {
        let found = self.peek() == Some(token);
        self.at += usize::from(found);
        found
    }

    pub(super) fn expect_token(&mut self, token: &Token) -> Result<(), PgError> {
        if self.take_token(token) {
            Ok(())
        } else {
            Err(self.error())
        }
    }

    /// The statement must end here.
    pub(super) fn end(&mut self) -> Result<(), PgError> {
        while self.take_token(&Token::SemiColon) {}
        match self.peek() {
            None | Some(Token::EOF) => Ok(()),
            Some(_) => Err(self.error()),
        }
    }

    /// A name of a table, column, publication or schema.
    pub(super) fn name(&mut self) -> Result<String, PgError> {
        self.name_unless(|kind| matches!(kind, Keyword::Reserved | Keyword::TypeOrFunction))
    }

    /// A name behind a period, or one that `AS` announces: any word.
    pub(super) fn label(&mut self) -> Result<String, PgError> {
        self.name_unless(|_| false)
    }

    /// The name of a type or function.
    pub(super) fn type_name(&mut self) -> Result<String, PgError> {
        self.name_unless(|kind| matches!(kind, Keyword::Reserved | Keyword::ColumnName))
    }

    /// The name of a role.
    pub(super) fn role_name(&mut self) -> Result<String, PgError> {
        self.name_unless(|kind| kind == Keyword::Reserved)
    }

    fn name_unless(&mut self, is_refused: impl Fn(Keyword) -> bool) -> Result<String, PgError> {
        let Some(Token::Word(word)) = self.peek() else {
            return Err(self.error());
        };
        let name = folded(word);
        if word.quote_style.is_none() && keyword(&name).is_some_and(is_refused) {
            return Err(self.error());
        }
        if name.is_empty() {
            let position = self.position();
            let message = "zero-length delimited identifier at or near \"\"\"\"";
            return Err(PgError::error("42601", message).at(position));
        }
        self.advance();
        Ok(name)
    }

    /// A name with a schema, and perhaps with a database.
    pub(super) fn table_name(&mut self) -> Result<TableName, PgError> {
        let position = self.position();
        let mut parts = vec![self.name()?];
        while self.take_token(&Token::Period) {
            parts.push(self.label()?);
        }
        let whole = parts.join(".");
        let (schema, name) = match <[String; 1]>::try_from(parts) {
            Ok([name]) => (None, name),
            Err(parts) => match <[String; 2]>::try_from(parts) {
                Ok([schema, name]) => (Some(schema), name),
                Err(parts) if parts.len() == 3 => {
                    let message = "cross-database references are not implemented";
                    let error = PgError::unsupported(format!("{message}: \"{whole}\""));
                    return Err(error.at(position));
                }
                Err(_) => {
                    let message = "improper qualified name (too many dotted names)";
                    let error = PgError::error("42601", format!("{message}: {whole}"));
                    return Err(error.at(position));
                }
            },
        };
        Ok(TableName {
            schema,
            name,
            position,
        })
    }

    /// What stands between parentheses, by commas.
    pub(super) fn in_parentheses<T>(
        &mut self,
        item: impl FnMut(&mut Self) -> Result<T, PgError>,
    ) -> Result<Vec<T>, PgError> {
        self.expect_token(&Token::LParen)?;
        let items = self.list(item)?;
        self.expect_token(&Token::RParen)?;
        Ok(items)
    }

    /// One or more, by commas.
    pub(super) fn list<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<T, PgError>,
    ) -> Result<Vec<T>, PgError> {
        let mut items = vec![item(self)?];
        while self.take_token(&Token::Comma) {
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// IF EXISTS
    pub(super) fn if_exists(&mut self) -> bool {
        self.take_all(&["if", "exists"])
    }

    /// IF NOT EXISTS
    pub(super) fn if_not_exists(&mut self) -> bool {
        self.take_all(&["if", "not", "exists"])
    }

    /// CASCADE or RESTRICT; true for CASCADE.
    pub(super) fn drop_behavior(&mut self) -> bool {
        self.take("cascade") || {
            self.take("restrict");
            false
        }
    }

    /// What PostgreSQL has and this has not, at the next token.
    pub(super) fn unsupported(&self, what: &str) -> PgError {
        PgError::unsupported(format!("{what} is not supported")).at(self.position())
    }
}

fn word_of(token: &Token) -> Option<String> {
    if let Token::Word(word) = token
        && word.quote_style.is_none()
    {
        return Some(word.value.to_ascii_lowercase());
    }
    None
}

/// A name as PostgreSQL keeps it.
fn folded(word: &Word) -> String {
    let mut name = match word.quote_style {
        Some(_) => word.value.clone(),
        None => word.value.to_lowercase(),
    };
    let mut end = MAX_NAME.min(name.len());
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.truncate(end);
    name
}
