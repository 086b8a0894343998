//! Tokens into the pieces that commands are made of: keywords, names, option lists.
//!
//! A word is a name unless it is spelled exactly like one of PostgreSQL's upper-case keywords
//! (`slot` is a fine slot name, `SLOT` is not); where the grammar wants a keyword, any case
//! will do. This module knows no command.

use super::command::{CommandError, CommandOption};
use super::lexer::{Lexer, Token, folded};
use crate::lsn::Lsn;

/// PostgreSQL 15's keywords of the replication grammar.
const KEYWORDS: &[&str] = &[
    "BASE_BACKUP",
    "IDENTIFY_SYSTEM",
    "READ_REPLICATION_SLOT",
    "SHOW",
    "START_REPLICATION",
    "CREATE_REPLICATION_SLOT",
    "DROP_REPLICATION_SLOT",
    "TIMELINE_HISTORY",
    "TIMELINE",
    "PHYSICAL",
    "LOGICAL",
    "SLOT",
    "RESERVE_WAL",
    "TEMPORARY",
    "TWO_PHASE",
    "EXPORT_SNAPSHOT",
    "NOEXPORT_SNAPSHOT",
    "USE_SNAPSHOT",
    "WAIT",
];

/// How much of a token an error message repeats.
const MAX_QUOTED_CHARS: usize = 64;

/// A command's text with one token of look-ahead.
#[derive(Debug)]
pub(super) struct Parser<'a> {
    lexer: Lexer<'a>,
    current: Token<'a>,
}

impl<'a> Parser<'a> {
    /// Reads the first token.
    pub(super) fn new(text: &'a str) -> Result<Self, CommandError> {
        let mut lexer = Lexer::new(text);
        let current = lexer.next()?;
        Ok(Self { lexer, current })
    }

    /// The token that comes next.
    pub(super) const fn current(&self) -> &Token<'a> {
        &self.current
    }

    /// Goes on to the next token and hands out the current one.
    pub(super) fn advance(&mut self) -> Result<Token<'a>, CommandError> {
        let next = self.lexer.next()?;
        Ok(std::mem::replace(&mut self.current, next))
    }

    /// Consumes `keyword` if it comes next.
    pub(super) fn accept_keyword(&mut self, keyword: &str) -> Result<bool, CommandError> {
        let here = matches!(&self.current, Token::Word(word) if word.eq_ignore_ascii_case(keyword));
        if here {
            self.advance()?;
        }
        Ok(here)
    }

    /// Consumes `symbol` if it comes next.
    pub(super) fn accept_symbol(&mut self, symbol: char) -> Result<bool, CommandError> {
        let here = self.current == Token::Symbol(symbol);
        if here {
            self.advance()?;
        }
        Ok(here)
    }

    /// A bare or quoted name.
    pub(super) fn name(&mut self) -> Result<String, CommandError> {
        let name = match &self.current {
            Token::Word(word) if !KEYWORDS.contains(word) => folded(word),
            Token::QuotedName(name) => name.clone(),
            Token::Word(_)
            | Token::Literal(_)
            | Token::Number(_)
            | Token::Position(_)
            | Token::Symbol(_)
            | Token::End => return Err(self.syntax_error()),
        };
        self.advance()?;
        Ok(name)
    }

    /// One or more names with dots between them.
    pub(super) fn dotted_name(&mut self) -> Result<String, CommandError> {
        let mut whole = self.name()?;
        while self.accept_symbol('.')? {
            whole.push('.');
            whole.push_str(&self.name()?);
        }
        Ok(whole)
    }

    /// An unsigned number.
    pub(super) fn number(&mut self) -> Result<u32, CommandError> {
        let Token::Number(number) = self.current else {
            return Err(self.syntax_error());
        };
        self.advance()?;
        Ok(number)
    }

    /// A position.
    pub(super) fn position(&mut self) -> Result<Lsn, CommandError> {
        let Token::Position(position) = self.current else {
            return Err(self.syntax_error());
        };
        self.advance()?;
        Ok(position)
    }

    /// `( option, ... )` if a parenthesis comes next; `option` reads one of them.
    pub(super) fn option_list<T>(
        &mut self,
        option: impl Fn(&mut Self) -> Result<T, CommandError>,
    ) -> Result<Option<Vec<T>>, CommandError> {
        if !self.accept_symbol('(')? {
            return Ok(None);
        }
        let mut options = vec![option(self)?];
        while self.accept_symbol(',')? {
            options.push(option(self)?);
        }
        if self.accept_symbol(')')? {
            Ok(Some(options))
        } else {
            Err(self.syntax_error())
        }
    }

    /// An output plugin's option: a name and maybe a literal.
    pub(super) fn plugin_option(&mut self) -> Result<CommandOption, CommandError> {
        let name = self.name()?;
        let Token::Literal(value) = &self.current else {
            return Ok((name, None));
        };
        let value = value.clone();
        self.advance()?;
        Ok((name, Some(value)))
    }

    /// The end of the command, with or without a semicolon.
    pub(super) fn finish(&mut self) -> Result<(), CommandError> {
        self.accept_symbol(';')?;
        if self.current == Token::End {
            Ok(())
        } else {
            Err(self.syntax_error())
        }
    }

    /// The error that the token which comes next should not be there.
    pub(super) fn syntax_error(&self) -> CommandError {
        if self.current == Token::End {
            return CommandError::syntax("syntax error at end of input".to_owned());
        }
        let token: String = self
            .lexer
            .token_text()
            .chars()
            .take(MAX_QUOTED_CHARS)
            .collect();
        CommandError::syntax(format!("syntax error at or near \"{token}\""))
    }
}
