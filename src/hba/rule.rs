//! One rule: how its line is read, and which connections it fits.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use super::tokens::{Line, Token};
use super::{Attempt, HbaError};

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HbaRule {
    /// Its line in the file, from 1.
    pub line: u32,
    /// What kind of connections it is for.
    pub connection: ConnectionType,
    /// For which databases.
    pub databases: Vec<Database>,
    /// For whom.
    pub users: Vec<User>,
    /// From where.
    pub address: Address,
    /// How who comes by this rule is known.
    pub method: Method,
    /// The map of `pg_ident.conf` that says which role a system user may be.
    pub map: Option<String>,
    /// Whether a client certificate is asked for beside the method.
    pub client_cert: ClientCert,
    /// Which name in it counts.
    pub cert_name: CertName,
}

/// The kind of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionType {
    /// By a Unix socket.
    Local,
    /// By TCP, encrypted or not.
    Host,
    /// By TCP, encrypted.
    HostSsl,
    /// By TCP, not encrypted.
    HostNoSsl,
}

/// For which database a rule is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    /// Every one.
    All,
    /// The one with the user's name.
    SameUser,
    /// None: physical replication.
    Replication,
    /// This one.
    Name(String),
}

/// For whom a rule is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum User {
    /// Everybody.
    All,
    /// This role.
    Name(String),
}

/// From where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Address {
    /// Anywhere; of Unix sockets there is nothing else.
    All,
    /// From these addresses.
    Net(IpNet),
}

/// How the user is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Not at all: everybody is believed.
    Trust,
    /// Nobody comes in.
    Reject,
    /// By a password, proven by SCRAM-SHA-256.
    ScramSha256,
    /// By a client certificate.
    Cert,
    /// By the operating system's user on the other end of a Unix socket.
    Peer,
}

/// Whether a client certificate is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientCert {
    /// No.
    No,
    /// One that is signed by a trusted authority.
    VerifyCa,
    /// And says who the user is.
    VerifyFull,
}

/// Which name of a client certificate counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertName {
    /// The common name of its subject.
    CommonName,
    /// The whole name of its subject, as RFC 2253 writes it.
    DistinguishedName,
    /// Each name, mail address and URI among its alternative names; PostgreSQL has no such option.
    AlternativeName,
}

impl HbaRule {
    pub(super) fn parse(line: &Line) -> Result<Self, HbaError> {
        parse(line).map_err(|message| HbaError {
            line: line.number,
            message,
        })
    }

    pub(super) fn fits(&self, attempt: &Attempt<'_>) -> bool {
        let is_its_kind = match (self.connection, attempt.address) {
            (ConnectionType::Local, None) | (ConnectionType::Host, Some(_)) => true,
            (ConnectionType::HostSsl, Some(_)) => attempt.is_tls,
            (ConnectionType::HostNoSsl, Some(_)) => !attempt.is_tls,
            (ConnectionType::Local, Some(_))
            | (ConnectionType::Host | ConnectionType::HostSsl | ConnectionType::HostNoSsl, None) => {
                false
            }
        };
        is_its_kind
            && self.fits_address(attempt.address)
            && self.databases.iter().any(|one| one.fits(attempt))
            && self.users.iter().any(|one| one.fits(attempt.user))
    }

    fn fits_address(&self, address: Option<IpAddr>) -> bool {
        match (self.address, address) {
            (Address::All, _) => true,
            // A socket for both kinds of addresses shows those of IPv4 as mapped ones.
            (Address::Net(net), Some(address)) => net.contains(&address.to_canonical()),
            (Address::Net(_), None) => false,
        }
    }

    pub(super) fn reaches_beyond_loopback(&self) -> bool {
        self.connection != ConnectionType::Local
            && match self.address {
                Address::All => true,
                Address::Net(net) => {
                    !(net.network().is_loopback() && net.broadcast().is_loopback())
                }
            }
    }

    /// Its options, as `pg_hba_file_rules` shows them.
    pub fn options(&self) -> Vec<String> {
        let map = self.map.iter().map(|map| format!("map={map}"));
        let cert = match self.client_cert {
            ClientCert::No => None,
            ClientCert::VerifyCa => Some("clientcert=verify-ca".to_owned()),
            ClientCert::VerifyFull => Some("clientcert=verify-full".to_owned()),
        };
        map.chain(cert).collect()
    }
}

impl Database {
    fn fits(&self, attempt: &Attempt<'_>) -> bool {
        match self {
            Self::Replication => attempt.is_physical_replication,
            Self::All => !attempt.is_physical_replication,
            Self::SameUser => !attempt.is_physical_replication && attempt.database == attempt.user,
            Self::Name(name) => !attempt.is_physical_replication && attempt.database == name,
        }
    }
}

impl User {
    fn fits(&self, user: &str) -> bool {
        match self {
            Self::All => true,
            Self::Name(name) => name == user,
        }
    }
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "all",
            Self::SameUser => "sameuser",
            Self::Replication => "replication",
            Self::Name(name) => name,
        })
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "all",
            Self::Name(name) => name,
        })
    }
}

impl ConnectionType {
    /// As the file writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Host => "host",
            Self::HostSsl => "hostssl",
            Self::HostNoSsl => "hostnossl",
        }
    }

    fn parse(name: &str) -> Result<Self, String> {
        match name {
            "local" => Ok(Self::Local),
            "host" => Ok(Self::Host),
            "hostssl" => Ok(Self::HostSsl),
            "hostnossl" => Ok(Self::HostNoSsl),
            "hostgssenc" | "hostnogssenc" => Err(format!(
                "connection type \"{name}\" is not supported: there is no GSSAPI encryption; \
                 use host, hostssl or hostnossl"
            )),
            _ => Err(format!("invalid connection type \"{name}\"")),
        }
    }
}

/// Methods of PostgreSQL that are not here.
const OTHER_METHODS: [&str; 10] = [
    "ident", "password", "md5", "gss", "sspi", "pam", "bsd", "ldap", "radius", "krb5",
];

impl Method {
    /// As the file writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trust => "trust",
            Self::Reject => "reject",
            Self::ScramSha256 => "scram-sha-256",
            Self::Cert => "cert",
            Self::Peer => "peer",
        }
    }

    fn parse(name: &str) -> Result<Self, String> {
        match name {
            "trust" => Ok(Self::Trust),
            "reject" => Ok(Self::Reject),
            "scram-sha-256" => Ok(Self::ScramSha256),
            "cert" => Ok(Self::Cert),
            "peer" => Ok(Self::Peer),
            "md5" | "password" => Err(format!(
                "authentication method \"{name}\" is not supported: passwords are stored and \
                 proven as SCRAM-SHA-256 only; write scram-sha-256"
            )),
            "ident" => Err("authentication method \"ident\" is not supported; \
                 on Unix sockets write peer"
                .to_owned()),
            _ if OTHER_METHODS.contains(&name) => Err(format!(
                "authentication method \"{name}\" is not supported; there are scram-sha-256, \
                 cert, peer, reject and trust"
            )),
            _ => Err(format!("invalid authentication method \"{name}\"")),
        }
    }
}

type Fields<'a> = std::slice::Iter<'a, Vec<Token>>;

fn parse(line: &Line) -> Result<HbaRule, String> {
    let mut fields = line.fields.iter();
    let kind = only(&mut fields, "connection type", "connection type")?;
    let connection = ConnectionType::parse(&kind.text)?;
    let databases = fields.next().ok_or_else(|| missing("database"))?;
    let databases = databases.iter().map(database).collect::<Result<_, _>>()?;
    let users = fields.next().ok_or_else(|| missing("role"))?;
    let users = users.iter().map(user).collect::<Result<_, _>>()?;
    let address = match connection {
        ConnectionType::Local => Address::All,
        ConnectionType::Host | ConnectionType::HostSsl | ConnectionType::HostNoSsl => {
            address(&mut fields)?
        }
    };
    let method = only(&mut fields, "authentication method", "authentication type")?;
    let mut rule = HbaRule {
        line: line.number,
        connection,
        databases,
        users,
        address,
        method: Method::parse(&method.text)?,
        map: None,
        client_cert: ClientCert::No,
        cert_name: CertName::CommonName,
    };
    match (rule.method, connection) {
        (Method::Peer, kind) if kind != ConnectionType::Local => {
            return Err("peer authentication is only supported on local sockets".to_owned());
        }
        (Method::Cert, kind) if kind != ConnectionType::HostSsl => {
            return Err("cert authentication is only supported on hostssl connections".to_owned());
        }
        (Method::Cert, _) => rule.client_cert = ClientCert::VerifyFull,
        (Method::Trust | Method::Reject | Method::ScramSha256 | Method::Peer, _) => {}
    }
    for token in fields.flatten() {
        option(&mut rule, &token.text)?;
    }
    Ok(rule)
}

fn missing(what: &str) -> String {
    format!("end-of-line before {what} specification")
}

/// The only word of the next field.
fn only<'a>(fields: &mut Fields<'a>, what: &str, plural: &str) -> Result<&'a Token, String> {
    match fields.next().map(Vec::as_slice) {
        Some([token]) => Ok(token),
        Some(_) => Err(format!("multiple values specified for {plural}")),
        None if what.starts_with("authentication") => Err(format!("end-of-line before {what}")),
        None => Err(missing(what)),
    }
}

fn database(token: &Token) -> Result<Database, String> {
    for keyword in ["samerole", "samegroup"] {
        if token.is(keyword) {
            return Err(format!(
                "database \"{keyword}\" is not supported: roles have no members; \
                 use sameuser or names"
            ));
        }
    }
    Ok(match token {
        all if all.is("all") => Database::All,
        same if same.is("sameuser") => Database::SameUser,
        replication if replication.is("replication") => Database::Replication,
        name => Database::Name(name.text.clone()),
    })
}

fn user(token: &Token) -> Result<User, String> {
    if token.is("all") {
        return Ok(User::All);
    }
    if !token.is_quoted && token.text.starts_with('+') {
        let name = &token.text;
        return Err(format!(
            "user \"{name}\" is not supported: roles have no members; write their names"
        ));
    }
    Ok(User::Name(token.text.clone()))
}

fn address(fields: &mut Fields<'_>) -> Result<Address, String> {
    let token = only(fields, "IP address", "host address")?;
    if token.is("all") {
        return Ok(Address::All);
    }
    let text = token.text.as_str();
    if token.is("samehost") || token.is("samenet") {
        return Err(format!(
            "address \"{text}\" is not supported; write addresses with their masks"
        ));
    }
    let (ip, prefix) = match text.split_once('/') {
        Some((ip, prefix)) => (ip, Some(prefix)),
        None => (text, None),
    };
    let Ok(ip) = ip.parse::<IpAddr>() else {
        return Err(match prefix {
            Some(_) => format!("specifying both host name and CIDR mask is invalid: \"{text}\""),
            None => format!(
                "host name \"{text}\" is not supported as an address; write an IP address with \
                 its mask, or all"
            ),
        });
    };
    let net = match prefix {
        Some(prefix) => {
            let digits = prefix.bytes().all(|byte| byte.is_ascii_digit());
            let prefix = Some(prefix).filter(|_| digits);
            prefix
                .and_then(|prefix| prefix.parse().ok())
                .and_then(|prefix| IpNet::new(ip, prefix).ok())
                .ok_or_else(|| format!("invalid CIDR mask in address \"{text}\""))?
        }
        None => with_mask(ip, only(fields, "netmask", "netmask")?)?,
    };
    canonical(net).map(Address::Net).ok_or_else(|| {
        format!("address \"{text}\" mixes mapped IPv4 addresses with others; write them apart")
    })
}

/// The net as the addresses that are held against it are written: a mapped one is of IPv4. None
/// for one that begins with a mapped address and goes beyond those.
fn canonical(net: IpNet) -> Option<IpNet> {
    const MAPPED: u8 = 96;
    match (net, net.addr().to_canonical()) {
        (IpNet::V6(net), IpAddr::V4(ip)) => {
            let prefix = net.prefix_len().checked_sub(MAPPED)?;
            IpNet::new(IpAddr::V4(ip), prefix).ok()
        }
        (net, _) => Some(net),
    }
}

fn with_mask(ip: IpAddr, mask: &Token) -> Result<IpNet, String> {
    let text = &mask.text;
    let invalid = || format!("invalid IP mask \"{text}\"");
    let mask: IpAddr = text.parse().map_err(|_| invalid())?;
    if mask.is_ipv4() != ip.is_ipv4() {
        return Err("IP address and mask do not match".to_owned());
    }
    IpNet::with_netmask(ip, mask).map_err(|_| invalid())
}

fn option(rule: &mut HbaRule, text: &str) -> Result<(), String> {
    let Some((name, value)) = text.split_once('=') else {
        return Err(format!(
            "authentication option not in name=value format: {text}"
        ));
    };
    let is_ssl = rule.connection == ConnectionType::HostSsl;
    match (name, value) {
        ("map", _) if !matches!(rule.method, Method::Peer | Method::Cert) => Err(
            "authentication option \"map\" is only valid for authentication methods peer and cert"
                .to_owned(),
        ),
        ("map", map) => {
            rule.map = Some(map.to_owned());
            Ok(())
        }
        ("clientcert" | "clientname", _) if !is_ssl => Err(format!(
            "{name} can only be configured for \"hostssl\" rows"
        )),
        ("clientcert", "verify-full") => {
            rule.client_cert = ClientCert::VerifyFull;
            Ok(())
        }
        ("clientcert", "verify-ca") if rule.method == Method::Cert => Err(
            "clientcert only accepts \"verify-full\" when using \"cert\" authentication".to_owned(),
        ),
        ("clientcert", "verify-ca") => {
            rule.client_cert = ClientCert::VerifyCa;
            Ok(())
        }
        ("clientname", "CN") => {
            rule.cert_name = CertName::CommonName;
            Ok(())
        }
        ("clientname", "DN") => {
            rule.cert_name = CertName::DistinguishedName;
            Ok(())
        }
        ("clientname", "SAN") => {
            rule.cert_name = CertName::AlternativeName;
            Ok(())
        }
        ("clientcert" | "clientname", _) => Err(format!("invalid value for {name}: \"{value}\"")),
        _ => Err(format!(
            "unrecognized authentication option name: \"{name}\""
        )),
    }
}
