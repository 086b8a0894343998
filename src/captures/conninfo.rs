//! A connection string of libpq's as its parameters: `host=a dbname=b`, or
//! `postgresql://a/b`.
//!
//! Which parameters there are, and what they mean, is the connection's to know.

/// What cannot be used as the connection string of a captured database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConninfoError {
    /// It cannot be read. The text names no value: one may be a password.
    #[error("invalid connection string syntax: {0}")]
    Syntax(String),
    /// It says a password.
    #[error("the connection string must not contain a password")]
    Password,
}

/// The parameters of a connection string, in order; a later one of the same name counts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Conninfo {
    parameters: Vec<(String, String)>,
}

/// Refuses what cannot be read or says a password.
pub fn check_conninfo(text: &str) -> Result<(), ConninfoError> {
    match Conninfo::parse(text)?.get("password") {
        None => Ok(()),
        Some(_) => Err(ConninfoError::Password),
    }
}

impl Conninfo {
    /// Reads a connection string.
    pub fn parse(text: &str) -> Result<Self, ConninfoError> {
        let uri = ["postgresql://", "postgres://"];
        match uri.iter().find_map(|scheme| text.strip_prefix(scheme)) {
            Some(rest) => parse_uri(rest),
            None => parse_pairs(text),
        }
    }

    /// The value of a parameter; an empty one counts as none, as in libpq.
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut found = self.parameters.iter().rev();
        let (_, value) = found.find(|(known, _)| known == name)?;
        Some(value.as_str()).filter(|value| !value.is_empty())
    }

    /// All, in order.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, &str)> {
        let pairs = self.parameters.iter();
        pairs.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    fn push(&mut self, name: &str, value: String) {
        self.parameters.push((name.to_owned(), value));
    }
}

fn syntax(words: impl Into<String>) -> ConninfoError {
    ConninfoError::Syntax(words.into())
}

fn parse_pairs(text: &str) -> Result<Conninfo, ConninfoError> {
    let mut found = Conninfo::default();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let ends = |c: char| c == '=' || c.is_whitespace();
        let (name, behind) = rest.split_at(rest.find(ends).unwrap_or(rest.len()));
        let missing = || {
            let words = format!("missing \"=\" after \"{name}\" in connection info string");
            syntax(words)
        };
        let behind = behind.trim_start().strip_prefix('=').ok_or_else(missing)?;
        if name.is_empty() {
            return Err(missing());
        }
        let (value, behind) = pair_value(behind.trim_start())?;
        found.push(name, value);
        rest = behind.trim_start();
    }
    Ok(found)
}

/// A value, in quotes or up to the next blank, and what is behind it. A backslash takes the next
/// character as it is.
fn pair_value(text: &str) -> Result<(String, &str), ConninfoError> {
    let (quoted, text) = match text.strip_prefix('\'') {
        Some(text) => (true, text),
        None => (false, text),
    };
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        let rest = text.get(at..).unwrap_or_default();
        match c {
            '\\' => value.extend(characters.next().map(|(_, next)| next)),
            '\'' if quoted => return Ok((value, rest.get(1..).unwrap_or_default())),
            c if !quoted && c.is_whitespace() => return Ok((value, rest)),
            c => value.push(c),
        }
    }
    if quoted {
        return Err(syntax(
            "unterminated quoted string in connection info string",
        ));
    }
    Ok((value, ""))
}

fn parse_uri(text: &str) -> Result<Conninfo, ConninfoError> {
    let mut found = Conninfo::default();
    let (text, query) = text.split_once('?').unwrap_or((text, ""));
    let (authority, database) = text.split_once('/').unwrap_or((text, ""));
    let hosts = match authority.rsplit_once('@') {
        None => authority,
        Some((user, hosts)) => {
            let (user, password) = match user.split_once(':') {
                Some((user, password)) => (user, Some(password)),
                None => (user, None),
            };
            found.push("user", decoded(user)?);
            if let Some(password) = password {
                found.push("password", decoded(password)?);
            }
            hosts
        }
    };
    let mut names = Vec::new();
    let mut ports = Vec::new();
    for host in hosts.split(',') {
        let (name, port) = host_and_port(host)?;
        names.push(decoded(name)?);
        ports.push(port);
    }
    if names.iter().any(|name| !name.is_empty()) {
        found.push("host", names.join(","));
    }
    if ports.iter().any(|port| !port.is_empty()) {
        found.push("port", ports.join(","));
    }
    if !database.is_empty() {
        found.push("dbname", decoded(database)?);
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let missing = "missing key/value separator \"=\" in URI query parameter";
        let (name, value) = pair.split_once('=').ok_or_else(|| syntax(missing))?;
        let name = decoded(name)?;
        match (name.as_str(), value) {
            ("ssl", "true") => found.push("sslmode", "require".to_owned()),
            (name, value) => found.push(name, decoded(value)?),
        }
    }
    Ok(found)
}

fn host_and_port(host: &str) -> Result<(&str, &str), ConninfoError> {
    let Some(v6) = host.strip_prefix('[') else {
        return Ok(host.split_once(':').unwrap_or((host, "")));
    };
    let (name, behind) = v6
        .split_once(']')
        .ok_or_else(|| syntax("missing \"]\" behind an IPv6 address in URI"))?;
    match behind.strip_prefix(':') {
        Some(port) => Ok((name, port)),
        None if behind.is_empty() => Ok((name, "")),
        None => Err(syntax("unexpected text behind an IPv6 address in URI")),
    }
}

/// A part of a URI without its percent signs.
fn decoded(text: &str) -> Result<String, ConninfoError> {
    let invalid = || syntax("invalid percent-encoded token in URI");
    let mut bytes = Vec::new();
    let mut parts = text.split('%');
    bytes.extend_from_slice(parts.next().unwrap_or_default().as_bytes());
    for part in parts {
        let digits = part.get(..2).ok_or_else(invalid)?;
        let byte = hex::decode(digits).map_err(|_| invalid())?;
        if byte == [0] {
            return Err(invalid());
        }
        bytes.extend(byte);
        bytes.extend_from_slice(part.get(2..).unwrap_or_default().as_bytes());
    }
    String::from_utf8(bytes).map_err(|_| invalid())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, String)> {
        Conninfo::parse(text).unwrap().parameters
    }

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        list.iter().map(owned).collect()
    }

    #[test]
    fn pairs_are_read_as_libpq_reads_them() {
        assert_eq!(
            read(" host=a,b port = 5432,5433 dbname='x y' user=o\\'k application_name=''"),
            pairs(&[
                ("host", "a,b"),
                ("port", "5432,5433"),
                ("dbname", "x y"),
                ("user", "o'k"),
                ("application_name", "")
            ])
        );
        assert_eq!(read(""), []);
        for (text, words) in [
            ("host", "missing \"=\" after \"host\""),
            ("host a", "missing \"=\" after \"host\""),
            ("=a", "missing \"=\" after \"\""),
            ("dbname='x", "unterminated quoted string"),
        ] {
            let error = Conninfo::parse(text).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn uris_are_read_as_libpq_reads_them() {
        assert_eq!(
            read("postgresql://ann@a:1,[::1]:2/my%20db?sslmode=require&connect_timeout=3"),
            pairs(&[
                ("user", "ann"),
                ("host", "a,::1"),
                ("port", "1,2"),
                ("dbname", "my db"),
                ("sslmode", "require"),
                ("connect_timeout", "3")
            ])
        );
        assert_eq!(read("postgres:///db"), pairs(&[("dbname", "db")]));
        for text in [
            "postgres://a%zz",
            "postgres://[::1",
            "postgres://[::1]x",
            "postgres://a?b",
        ] {
            assert!(Conninfo::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_password_is_refused_wherever_it_stands() {
        for text in [
            "host=a password=secret",
            "host=a password = 'se cret'",
            "postgresql://ann:secret@a/b",
            "postgresql://a/b?password=secret",
        ] {
            let error = check_conninfo(text).unwrap_err();
            assert_eq!(error, ConninfoError::Password, "{text}");
        }
        assert_eq!(check_conninfo("host=a dbname=password"), Ok(()));
    }
}
