//! libpq's connection strings: several hosts, and which of them will do.
//!
//! A string names hosts and options; a password is refused, since it would be stored and shown.
//! For each host there is one string for the client crate, to which the password is added at the
//! moment of connecting ([`Target::conninfo`]). What the crate cannot do is refused, never ignored.

mod parse;

use std::fmt;

use parse::{keywords_of, uri_of};

/// Which servers will do (`target_session_attrs`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TargetAttrs {
    /// Any.
    #[default]
    Any,
    /// Takes writes.
    ReadWrite,
    /// Does not.
    ReadOnly,
    /// Is no standby.
    Primary,
    /// Is one.
    Standby,
    /// Is one, or any if none is.
    PreferStandby,
}

/// One server to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
}

/// A connection string that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conninfo {
    targets: Vec<Target>,
    attrs: TargetAttrs,
    user: String,
    dbname: String,
    application_name: Option<String>,
    /// What is handed through as it is.
    options: Vec<(&'static str, String)>,
}

/// Why a connection string is refused. No value of it is repeated: it may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConninfoError {
    /// libpq knows no such option.
    #[error("invalid connection option \"{0}\"")]
    UnknownOption(String),
    /// It is libpq's, and cannot be done here.
    #[error("connection option \"{0}\" is not supported for an upstream")]
    Unsupported(String),
    /// See the text.
    #[error("a connection string for an upstream cannot contain a password (\"{0}\")")]
    Password(&'static str),
    /// It cannot be read.
    #[error("{0}")]
    Syntax(String),
    /// The value of an option is none of its values.
    #[error("invalid value for connection option \"{0}\"")]
    Value(&'static str),
    /// As libpq says it.
    #[error("could not match {ports} port numbers to {hosts} hosts")]
    Ports {
        /// How many ports.
        ports: usize,
        /// How many hosts.
        hosts: usize,
    },
    /// The certificate would be checked against the address, not the name.
    #[error(
        "a connection string for an upstream cannot contain both \"host\" and \"hostaddr\": name \
         one of them"
    )]
    HostAndAddress,
    /// A database has to be named.
    #[error("a connection string for an upstream needs \"dbname\"")]
    NoDatabase,
    /// Sockets in the file system.
    #[error("an upstream is reached over TCP: \"host\" cannot be a directory")]
    UnixSocket,
}

/// Options that the client crate reads.
const PASSED: &[&str] = &[
    "sslmode",
    "sslrootcert",
    "sslnegotiation",
    "connect_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
    "requiressl",
];

/// Options without which nothing weaker or other comes about.
const WITHOUT_EFFECT: &[&str] = &[
    "fallback_application_name",
    "gsslib",
    "krbsrvname",
    "sslsni",
];

/// Options of libpq that would be ignored.
const UNSUPPORTED: &[&str] = &[
    "channel_binding",
    "client_encoding",
    "gssdelegation",
    "gssencmode",
    "load_balance_hosts",
    "max_protocol_version",
    "min_protocol_version",
    "oauth_issuer",
    "options",
    "passfile",
    "replication",
    "require_auth",
    "requirepeer",
    "service",
    "servicefile",
    "ssl_max_protocol_version",
    "ssl_min_protocol_version",
    "sslcert",
    "sslcertmode",
    "sslcompression",
    "sslcrl",
    "sslcrldir",
    "sslkey",
    "sslkeylogfile",
];

/// Options that are a secret, or carry one.
const SECRETS: &[&str] = &[
    "password",
    "sslpassword",
    "scram_client_key",
    "scram_server_key",
    "oauth_client_secret",
];

/// How long connecting to one host may take where the string says nothing, in seconds.
const CONNECT_TIMEOUT: &str = "10";

/// PostgreSQL's port.
const PORT: u16 = 5432;

impl Conninfo {
    /// Reads a string of either form, `key=value ...` or `postgresql://...`.
    pub fn parse(text: &str) -> Result<Self, ConninfoError> {
        let uri = ["postgresql://", "postgres://"];
        let uri = uri.iter().find_map(|scheme| text.strip_prefix(scheme));
        let pairs = match uri {
            Some(rest) => uri_of(rest)?,
            None => keywords_of(text)?,
        };
        Self::of(pairs)
    }

    fn of(pairs: Vec<(String, String)>) -> Result<Self, ConninfoError> {
        let mut draft = Draft::default();
        for (key, value) in pairs {
            draft.set(&key, value)?;
        }
        draft.finish()
    }

    /// The servers, in the order in which they are tried.
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// Which of them will do.
    pub const fn attrs(&self) -> TargetAttrs {
        self.attrs
    }

    /// The role.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The database.
    pub fn dbname(&self) -> &str {
        &self.dbname
    }

    /// `application_name`, where it says one.
    pub fn application_name(&self) -> Option<&str> {
        self.application_name.as_deref()
    }

    /// The string for one server, with the password. It is not to be shown to anybody.
    pub(super) fn with_password(
        &self,
        target: &Target,
        password: &str,
        replication: bool,
    ) -> String {
        let port = target.port.to_string();
        let mut pairs = vec![
            ("host", target.host.as_str()),
            ("port", port.as_str()),
            ("user", self.user.as_str()),
            ("dbname", self.dbname.as_str()),
            // An empty one keeps the server's own PGPASSWORD out of it.
            ("password", password),
        ];
        if replication {
            pairs.push(("replication", "database"));
        }
        if !self
            .options
            .iter()
            .any(|(key, _)| *key == "connect_timeout")
        {
            pairs.push(("connect_timeout", CONNECT_TIMEOUT));
        }
        pairs.extend(
            self.options
                .iter()
                .map(|(key, value)| (*key, value.as_str())),
        );
        let pairs = pairs.into_iter();
        // The client crate's rule: quotes are doubled, and a backslash is itself.
        let quoted = pairs.map(|(key, value)| format!("{key}='{}'", value.replace('\'', "''")));
        quoted.collect::<Vec<_>>().join(" ")
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// A string while it is read: a later option replaces an earlier one, as in libpq.
#[derive(Debug, Default)]
struct Draft {
    host: Option<String>,
    hostaddr: Option<String>,
    port: Option<String>,
    attrs: TargetAttrs,
    user: Option<String>,
    dbname: Option<String>,
    application_name: Option<String>,
    options: Vec<(&'static str, String)>,
}

impl Draft {
    fn set(&mut self, key: &str, value: String) -> Result<(), ConninfoError> {
        let among = |names: &'static [&'static str]| names.iter().find(|name| **name == key);
        if let Some(secret) = among(SECRETS) {
            return Err(ConninfoError::Password(secret));
        }
        match key {
            "host" => self.host = Some(value),
            "hostaddr" => self.hostaddr = Some(value),
            "port" => self.port = Some(value),
            "user" => self.user = Some(value),
            "dbname" => self.dbname = Some(value),
            "application_name" => self.application_name = Some(value),
            "target_session_attrs" => self.attrs = attrs(&value)?,
            _ if among(WITHOUT_EFFECT).is_some() => {}
            _ => match among(PASSED) {
                Some(key) => {
                    check(key, &value)?;
                    self.options.retain(|(other, _)| other != key);
                    self.options.push((key, value));
                }
                None if among(UNSUPPORTED).is_some() => {
                    return Err(ConninfoError::Unsupported(key.to_owned()));
                }
                None => return Err(ConninfoError::UnknownOption(key.to_owned())),
            },
        }
        Ok(())
    }

    fn finish(self) -> Result<Conninfo, ConninfoError> {
        let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
        let hosts = match (filled(self.host), filled(self.hostaddr)) {
            (Some(_), Some(_)) => return Err(ConninfoError::HostAndAddress),
            (host, address) => host.or(address),
        };
        let dbname = filled(self.dbname).ok_or(ConninfoError::NoDatabase)?;
        let os_user = || uzers::get_current_username()?.into_string().ok();
        let user = filled(self.user).or_else(os_user);
        Ok(Conninfo {
            targets: targets(hosts, filled(self.port))?,
            attrs: self.attrs,
            user: user.unwrap_or_else(|| "postgres".to_owned()),
            dbname,
            application_name: filled(self.application_name),
            options: self.options,
        })
    }
}

/// Hosts and ports beside one another; one port is that of all hosts.
fn targets(hosts: Option<String>, ports: Option<String>) -> Result<Vec<Target>, ConninfoError> {
    let hosts = hosts.unwrap_or_else(|| "localhost".to_owned());
    let hosts: Vec<&str> = hosts.split(',').map(str::trim).collect();
    let ports = ports.unwrap_or_default();
    let ports: Vec<&str> = ports.split(',').map(str::trim).collect();
    if ports.len() > 1 && ports.len() != hosts.len() {
        return Err(ConninfoError::Ports {
            ports: ports.len(),
            hosts: hosts.len(),
        });
    }
    let last = ports.last().copied().unwrap_or_default();
    let ports = ports.iter().copied().chain(std::iter::repeat(last));
    let target = |(host, port): (&str, &str)| {
        if host.starts_with(['/', '@']) {
            return Err(ConninfoError::UnixSocket);
        }
        let host = if host.is_empty() { "localhost" } else { host };
        let port = match port {
            "" => PORT,
            port => port.parse().map_err(|_| ConninfoError::Value("port"))?,
        };
        if port == 0 {
            return Err(ConninfoError::Value("port"));
        }
        Ok(Target {
            host: host.to_owned(),
            port,
        })
    };
    hosts.into_iter().zip(ports).map(target).collect()
}

fn attrs(value: &str) -> Result<TargetAttrs, ConninfoError> {
    Ok(match value {
        "any" => TargetAttrs::Any,
        "read-write" => TargetAttrs::ReadWrite,
        "read-only" => TargetAttrs::ReadOnly,
        "primary" => TargetAttrs::Primary,
        "standby" => TargetAttrs::Standby,
        "prefer-standby" => TargetAttrs::PreferStandby,
        _ => return Err(ConninfoError::Value("target_session_attrs")),
    })
}

/// Whether the client crate will understand a value; better now than at each connection.
fn check(key: &'static str, value: &str) -> Result<(), ConninfoError> {
    const MODES: &[&str] = &[
        "disable",
        "allow",
        "prefer",
        "require",
        "verify-ca",
        "verify-full",
    ];
    let holds = match key {
        "sslmode" => MODES.contains(&value),
        "sslrootcert" => !value.is_empty(),
        "sslnegotiation" => matches!(value, "postgres" | "direct"),
        _ => value.parse::<i64>().is_ok(),
    };
    if holds {
        Ok(())
    } else {
        Err(ConninfoError::Value(key))
    }
}

#[cfg(test)]
mod tests;
