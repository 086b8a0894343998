//! Mend what sqlparser would read otherwise than PostgreSQL, token by token; places stay.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Span, Token, TokenWithSpan, Whitespace, Word};

use crate::pgerror::PgError;

use super::{Source, limits, operators};

/// `tokens` without blanks, mended.
pub(super) fn mended(
    source: &Source<'_>,
    tokens: Vec<TokenWithSpan>,
) -> Result<Vec<TokenWithSpan>, PgError> {
    let tokens = joined_strings(source, tokens)?;
    limits::check(source, &tokens)?;
    let mut out: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut rest = tokens.as_slice();
    while let [token, after @ ..] = rest {
        rest = after;
        let next = after.first().map(|token| &token.token);
        check_number(source, token, after.first())?;
        let before = out.last().map(|token| &token.token);
        match mend(before, &token.token, next) {
            Mend::Keep => out.push(token.clone()),
            Mend::Drop => {}
            Mend::Replace { with, num_more } => {
                out.extend(
                    with.into_iter()
                        .map(|new| TokenWithSpan::new(new, token.span)),
                );
                rest = rest.get(num_more..).unwrap_or_default();
            }
            Mend::Refuse => {
                let error = PgError::unsupported("ROWS FROM is not supported");
                return Err(source.placed(error, token.span.start));
            }
        }
    }
    Ok(out)
}

/// The token that PostgreSQL blames when the parser stops at the one at `at`; `None` for the end.
pub(super) fn blamed(tokens: &[TokenWithSpan], at: usize) -> Option<&TokenWithSpan> {
    let token = tokens.get(at)?;
    let next = tokens.get(at.saturating_add(1));
    let begins = [Keyword::GROUP, Keyword::ORDER]
        .iter()
        .any(|word| is_keyword(Some(&token.token), *word));
    // PostgreSQL reads on to what should be BY.
    if begins && !is_keyword(next.map(|next| &next.token), Keyword::BY) {
        return next;
    }
    Some(token)
}

/// `tokens` without blanks, not mended.
pub(super) fn checked(
    source: &Source<'_>,
    tokens: Vec<TokenWithSpan>,
) -> Result<Vec<TokenWithSpan>, PgError> {
    let tokens = joined_strings(source, tokens)?;
    limits::check(source, &tokens)?;
    let nexts = tokens.iter().skip(1).map(Some).chain([None]);
    for (token, next) in tokens.iter().zip(nexts) {
        check_number(source, token, next)?;
    }
    Ok(tokens)
}

/// What is to be done with a token.
enum Mend {
    Keep,
    Drop,
    /// Other tokens for it and as many more behind it.
    Replace {
        with: Vec<Token>,
        num_more: usize,
    },
    Refuse,
}

impl Mend {
    const fn with(with: Vec<Token>) -> Self {
        Self::Replace { with, num_more: 0 }
    }
}

fn mend(before: Option<&Token>, token: &Token, next: Option<&Token>) -> Mend {
    if *token == Token::Mul && before == Some(&Token::Period) {
        return Mend::Keep;
    }
    // `(f(x)).*`: the star becomes a name that no text can write
    if *token == Token::Period && before == Some(&Token::RParen) && next == Some(&Token::Mul) {
        return Mend::Replace {
            with: vec![Token::Period, name("*")],
            num_more: 1,
        };
    }
    let Token::Word(word) = token else {
        return Mend::Keep;
    };
    if word.quote_style.is_some() || before == Some(&Token::Period) {
        return Mend::Keep;
    }
    match word.keyword {
        Keyword::SELECT if next.is_none_or(ends_a_list) => {
            Mend::with(vec![token.clone(), name("")])
        }
        Keyword::TABLE if begins_a_query(before) && matches!(next, Some(Token::Word(_))) => {
            let keywords = [Keyword::SELECT, Keyword::FROM].map(keyword);
            let [select, from] = keywords;
            Mend::with(vec![select, Token::Mul, from])
        }
        Keyword::ONLY if before.is_some_and(takes_a_table) && !is_open(next) => Mend::Drop,
        Keyword::ROWS if is_keyword(next, Keyword::FROM) => Mend::Refuse,
        Keyword::USING if matches!(next, Some(Token::Lt)) => Mend::Replace {
            with: vec![keyword(Keyword::ASC)],
            num_more: 1,
        },
        Keyword::USING if matches!(next, Some(Token::Gt)) => Mend::Replace {
            with: vec![keyword(Keyword::DESC)],
            num_more: 1,
        },
        _ if word.value.eq_ignore_ascii_case("variadic")
            && matches!(before, Some(Token::LParen | Token::Comma)) =>
        {
            Mend::with(vec![name("variadic"), Token::RArrow])
        }
        _ if word.value.eq_ignore_ascii_case("isnull")
            && !is_open(next)
            && before.is_some_and(ends_an_expression) =>
        {
            Mend::with(vec![keyword(Keyword::IS), keyword(Keyword::NULL)])
        }
        // `pg_lsn '0/0'`: sqlparser knows that of its own types only
        Keyword::NoKeyword if is_type(word) => match next {
            Some(text @ Token::SingleQuotedString(_)) => Mend::Replace {
                with: vec![
                    keyword(Keyword::CAST),
                    Token::LParen,
                    text.clone(),
                    keyword(Keyword::AS),
                    token.clone(),
                    Token::RParen,
                ],
                num_more: 1,
            },
            _ => Mend::Keep,
        },
        _ => mend_word(before, token, word.keyword, next),
    }
}

/// Syntax that sqlparser does not know at all.
fn mend_word(before: Option<&Token>, token: &Token, word: Keyword, next: Option<&Token>) -> Mend {
    match word {
        // An operator that PostgreSQL does not have marks the bound.
        Keyword::SYMMETRIC if is_keyword(before, Keyword::BETWEEN) => {
            Mend::with(vec![Token::DoubleExclamationMark])
        }
        Keyword::ASYMMETRIC if is_keyword(before, Keyword::BETWEEN) => Mend::Drop,
        // `TRIM(TRAILING FROM x)` takes off blanks.
        Keyword::TRAILING | Keyword::LEADING | Keyword::BOTH
            if is_open(before) && is_keyword(next, Keyword::FROM) =>
        {
            let blank = Token::SingleQuotedString(" ".to_owned());
            Mend::with(vec![token.clone(), blank])
        }
        // `TRIM(FROM x)`
        Keyword::FROM if is_open(before) => Mend::Drop,
        _ => Mend::Keep,
    }
}

fn is_type(word: &Word) -> bool {
    crate::datum::type_by_name(&word.value.to_ascii_lowercase()).is_some()
}

fn name(value: &str) -> Token {
    Token::Word(Word {
        value: value.to_owned(),
        quote_style: None,
        keyword: Keyword::NoKeyword,
    })
}

fn keyword(keyword: Keyword) -> Token {
    Token::Word(Word {
        value: format!("{keyword:?}"),
        quote_style: None,
        keyword,
    })
}

fn is_keyword(token: Option<&Token>, keyword: Keyword) -> bool {
    matches!(token, Some(Token::Word(word)) if word.quote_style.is_none() && word.keyword == keyword)
}

fn is_open(token: Option<&Token>) -> bool {
    token == Some(&Token::LParen)
}

/// Whether a select list ends here before it began.
fn ends_a_list(token: &Token) -> bool {
    const AFTER: [Keyword; 9] = [
        Keyword::WHERE,
        Keyword::GROUP,
        Keyword::HAVING,
        Keyword::UNION,
        Keyword::EXCEPT,
        Keyword::INTERSECT,
        Keyword::ORDER,
        Keyword::LIMIT,
        Keyword::OFFSET,
    ];
    matches!(token, Token::EOF | Token::RParen | Token::SemiColon)
        || AFTER.iter().any(|after| is_keyword(Some(token), *after))
}

/// Whether a query may begin behind this token.
fn begins_a_query(before: Option<&Token>) -> bool {
    let Some(before) = before else {
        return true;
    };
    let setting = [
        Keyword::UNION,
        Keyword::EXCEPT,
        Keyword::INTERSECT,
        Keyword::ALL,
    ];
    matches!(before, Token::LParen | Token::SemiColon)
        || setting.iter().any(|word| is_keyword(Some(before), *word))
}

/// Whether a table's name comes behind this token.
fn takes_a_table(before: &Token) -> bool {
    *before == Token::Comma
        || is_keyword(Some(before), Keyword::FROM)
        || is_keyword(Some(before), Keyword::JOIN)
}

/// Whether an expression may end with this token.
fn ends_an_expression(token: &Token) -> bool {
    match token {
        Token::Word(word) => {
            word.quote_style.is_some()
                || !matches!(
                    word.keyword,
                    Keyword::AS | Keyword::SELECT | Keyword::FROM | Keyword::JOIN | Keyword::BY
                )
        }
        Token::Number(..)
        | Token::SingleQuotedString(_)
        | Token::RParen
        | Token::RBracket
        | Token::Placeholder(_) => true,
        _ => false,
    }
}

/// Without blanks and comments. Strings that only a line break parts are one.
fn joined_strings(
    source: &Source<'_>,
    tokens: Vec<TokenWithSpan>,
) -> Result<Vec<TokenWithSpan>, PgError> {
    let mut out: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut new_line = false;
    for token in tokens {
        match token.token {
            Token::Whitespace(Whitespace::Newline | Whitespace::SingleLineComment { .. }) => {
                new_line = true;
                continue;
            }
            Token::Whitespace(_) => continue,
            _ => {}
        }
        if let Token::SingleQuotedString(second) = &token.token
            && let Some(TokenWithSpan {
                token: Token::SingleQuotedString(first) | Token::EscapedStringLiteral(first),
                span,
            }) = out.last_mut()
        {
            if !new_line {
                return Err(source.error_at(&token));
            }
            first.push_str(second);
            *span = Span::new(span.start, token.span.end);
        } else if let Some(parts) = operators::split(&token) {
            out.extend(parts);
        } else {
            out.push(token);
        }
        new_line = false;
    }
    Ok(out)
}

/// A number must not run into a word (`123abc`).
fn check_number(
    source: &Source<'_>,
    token: &TokenWithSpan,
    next: Option<&TokenWithSpan>,
) -> Result<(), PgError> {
    let text = || source.between(token.span.start, token.span.end);
    let junk = match (&token.token, next.map(|next| &next.token)) {
        (Token::Number(_, true), _) => text(),
        (Token::HexStringLiteral(_), _) if text().starts_with('0') => "0x".to_owned(),
        (Token::Number(..), Some(Token::Word(word)))
            if word.quote_style.is_none()
                && next.is_some_and(|next| next.span.start == token.span.end) =>
        {
            format!("{}{}", text(), word.value)
        }
        _ => return Ok(()),
    };
    let message = format!("trailing junk after numeric literal at or near \"{junk}\"");
    Err(source.placed(PgError::error("42601", message), token.span.start))
}
