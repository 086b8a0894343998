//! The rules that say who may come in how: `pg_hba.conf` and `pg_ident.conf`.
//!
//! Text into rules and rules into a decision; no files, no sockets. Both files are read as
//! PostgreSQL 15 reads them; what is not there (other methods, host names, groups of roles, names
//! from other files) is refused with its line, never ignored.

mod ident;
mod rule;
mod tokens;

use std::net::IpAddr;

pub use ident::{IdentMap, IdentMaps};
pub use rule::{Address, CertName, ClientCert, ConnectionType, Database, HbaRule, Method, User};

/// The rules of one `pg_hba.conf`, in order: the first that fits a connection decides.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HbaRules {
    rules: Vec<HbaRule>,
}

/// A connection that asks to come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt<'a> {
    /// The database it names.
    pub database: &'a str,
    /// Whether it is for physical replication, which `replication` stands for and `all` does not.
    pub is_physical_replication: bool,
    /// The user it names.
    pub user: &'a str,
    /// Where it is from; `None` is a Unix socket.
    pub address: Option<IpAddr>,
    /// Whether it is encrypted.
    pub is_tls: bool,
}

/// What is wrong in a file, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct HbaError {
    /// The line, from 1.
    pub line: u32,
    /// What is wrong.
    pub message: String,
}

impl HbaRules {
    /// Reads the text of a `pg_hba.conf`.
    ///
    /// # Errors
    ///
    /// All that is wrong in it; a file without rules is wrong too, nobody could come in.
    pub fn parse(text: &str) -> Result<Self, Vec<HbaError>> {
        let rules = sorted(Self::parse_lines(text))?;
        if rules.is_empty() {
            let message = "the file contains no entries".to_owned();
            return Err(vec![HbaError { line: 1, message }]);
        }
        Ok(Self { rules })
    }

    /// Each line of the text that holds something: its rule, or what is wrong with it.
    pub fn parse_lines(text: &str) -> Vec<Result<HbaRule, HbaError>> {
        let lines = tokens::lines(text).into_iter();
        lines
            .map(|line| line.and_then(|line| HbaRule::parse(&line)))
            .collect()
    }

    /// Trusts everybody; for tests and for programs that guard their door themselves.
    pub fn trust_all() -> Self {
        let rule = |connection| HbaRule {
            line: 1,
            connection,
            databases: vec![Database::All, Database::Replication],
            users: vec![User::All],
            address: Address::All,
            method: Method::Trust,
            map: None,
            client_cert: ClientCert::No,
            cert_name: CertName::CommonName,
        };
        Self {
            rules: [ConnectionType::Local, ConnectionType::Host]
                .map(rule)
                .to_vec(),
        }
    }

    /// The rule that decides; `None`: nobody comes in without one.
    pub fn find(&self, attempt: &Attempt<'_>) -> Option<&HbaRule> {
        self.rules.iter().find(|rule| rule.fits(attempt))
    }

    /// All, in order.
    pub fn iter(&self) -> impl Iterator<Item = &HbaRule> {
        self.rules.iter()
    }

    /// The first rule that believes who comes from another machine whatever they say.
    pub fn trusted_from_afar(&self) -> Option<&HbaRule> {
        self.iter()
            .find(|rule| rule.method == Method::Trust && rule.reaches_beyond_loopback())
    }

    /// The lines that let somebody in by TLS only: all, or those for this machine alone.
    pub fn encrypted_only(&self, local_only: bool) -> Vec<u32> {
        let rules = self.iter().filter(|rule| {
            rule.connection == ConnectionType::HostSsl
                && !(local_only && rule.reaches_beyond_loopback())
        });
        rules.map(|rule| rule.line).collect()
    }
}

/// The good ones, or all that is wrong.
fn sorted<T>(lines: Vec<Result<T, HbaError>>) -> Result<Vec<T>, Vec<HbaError>> {
    let (mut good, mut wrong) = (vec![], vec![]);
    for line in lines {
        match line {
            Ok(rule) => good.push(rule),
            Err(error) => wrong.push(error),
        }
    }
    if wrong.is_empty() {
        Ok(good)
    } else {
        Err(wrong)
    }
}
