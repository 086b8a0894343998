//! The two forms of a connection string, as pairs of option and value.

use super::ConninfoError;

type Pairs = Vec<(String, String)>;

fn syntax(text: impl Into<String>) -> ConninfoError {
    ConninfoError::Syntax(text.into())
}

/// `key = value ...`; a value may stand in quotes, and a backslash takes the next character as it
/// is.
pub(super) fn keywords_of(text: &str) -> Result<Pairs, ConninfoError> {
    let mut pairs = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let end = rest.find(|c: char| c == '=' || c.is_whitespace());
        let (key, behind) = rest
            .split_at_checked(end.unwrap_or(rest.len()))
            .unwrap_or((rest, ""));
        let Some(value) = behind.trim_start().strip_prefix('=') else {
            let text = format!("missing \"=\" after \"{key}\" in connection info string");
            return Err(syntax(text));
        };
        let (value, behind) = value_of(value.trim_start())?;
        pairs.push((key.to_owned(), value));
        rest = behind.trim_start();
    }
    Ok(pairs)
}

/// A value, and what is behind it.
fn value_of(text: &str) -> Result<(String, &str), ConninfoError> {
    let quoted = text.strip_prefix('\'');
    let body = quoted.unwrap_or(text);
    let mut value = String::new();
    let mut chars = body.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => value.extend(chars.next().map(|(_, c)| c)),
            '\'' if quoted.is_some() => {
                return Ok((value, body.get(at + 1..).unwrap_or_default()));
            }
            c if quoted.is_none() && c.is_whitespace() => {
                return Ok((value, body.get(at..).unwrap_or_default()));
            }
            c => value.push(c),
        }
    }
    match quoted {
        Some(_) => Err(syntax(
            "unterminated quoted string in connection info string",
        )),
        None => Ok((value, "")),
    }
}

/// `[user[:password]@][host][:port][,...][/dbname][?key=value&...]`, without the scheme.
pub(super) fn uri_of(text: &str) -> Result<Pairs, ConninfoError> {
    let mut pairs = Vec::new();
    let mut put = |key: &str, value: &str| {
        if !value.is_empty() {
            pairs.push((key.to_owned(), decoded(value)?));
        }
        Ok::<_, ConninfoError>(())
    };
    let mut rest = text;
    if let Some(at) = text.find(['@', '/'])
        && let Some((who, behind)) = text.split_at_checked(at)
        && let Some(behind) = behind.strip_prefix('@')
    {
        let (user, password) = who.split_once(':').unwrap_or((who, ""));
        put("user", user)?;
        put("password", password)?;
        rest = behind;
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, behind) = rest.split_at_checked(end).unwrap_or((rest, ""));
    let (hosts, ports) = authority_of(authority)?;
    put("host", &hosts)?;
    put("port", &ports)?;
    let (path, query) = behind.split_once('?').unwrap_or((behind, ""));
    put("dbname", path.strip_prefix('/').unwrap_or(path))?;
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let Some((key, value)) = parameter.split_once('=') else {
            let text = "missing key/value separator \"=\" in URI query parameter";
            return Err(syntax(text));
        };
        match (decoded(key)?.as_str(), value) {
            // As libpq reads what JDBC writes.
            ("ssl", "true") => put("sslmode", "require")?,
            (key, value) => put(key, value)?,
        }
    }
    Ok(pairs)
}

/// Hosts and ports of a URI, each with commas between them.
fn authority_of(authority: &str) -> Result<(String, String), ConninfoError> {
    let mut hosts = Vec::new();
    let mut ports = Vec::new();
    for one in authority.split(',') {
        let (host, port) = match one.strip_prefix('[') {
            Some(rest) => {
                let (host, behind) = rest.split_once(']').ok_or_else(|| {
                    syntax(
                        "end of string reached when looking for matching \"]\" in IPv6 host \
                         address in URI",
                    )
                })?;
                match behind.strip_prefix(':') {
                    Some(port) => (host, port),
                    None if behind.is_empty() => (host, ""),
                    None => return Err(syntax("unexpected character behind \"]\" in URI")),
                }
            }
            None => one.split_once(':').unwrap_or((one, "")),
        };
        hosts.push(host);
        ports.push(port);
    }
    let ports = match ports.iter().all(|port| port.is_empty()) {
        true => String::new(),
        false => ports.join(","),
    };
    Ok((hosts.join(","), ports))
}

/// Without percent signs.
fn decoded(text: &str) -> Result<String, ConninfoError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        let (high, low) = (digit(), digit());
        let value = high
            .zip(low)
            .and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
        match value {
            Some(0) => return Err(syntax("forbidden value %00 in percent-encoded value")),
            Some(value) => bytes.push(value),
            None => return Err(syntax("invalid percent-encoded token")),
        }
    }
    String::from_utf8(bytes).map_err(|_| syntax("a percent-encoded value is not UTF-8"))
}
