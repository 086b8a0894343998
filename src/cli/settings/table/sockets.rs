//! Settings of sockets: where they are, and how TCP is encrypted.

use std::path::PathBuf;

use crate::plugins::parse_bool;
use crate::server::TlsVersion;

use super::{CONN, Context, Kind, Setting};

fn shown(path: &std::path::Path) -> String {
    path.display().to_string()
}

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        name: "unix_socket_directories",
        meaning: "where the Unix sockets are, with commas between; . is the data directory; empty: none",
        kind: Kind::Text,
        context: Context::Postmaster,
        category: CONN,
        show: |of| {
            let all: Vec<_> = of
                .socket_directories
                .0
                .iter()
                .map(|path| shown(path))
                .collect();
            all.join(", ")
        },
        apply: |to, value| {
            let all = value
                .split(',')
                .map(str::trim)
                .filter(|path| !path.is_empty());
            to.socket_directories.0 = all.map(PathBuf::from).collect();
            Ok(())
        },
    },
    Setting {
        name: "unix_socket_permissions",
        meaning: "who may connect to a Unix socket, as chmod takes it",
        kind: Kind::Mode,
        context: Context::Postmaster,
        category: CONN,
        show: |of| format!("{:04o}", of.server.unix_socket_permissions),
        apply: |to, value| {
            let mode = u32::from_str_radix(value, 8).map_err(|_| MODE)?;
            to.server.unix_socket_permissions = Some(mode).filter(|m| *m <= 0o777).ok_or(MODE)?;
            Ok(())
        },
    },
    Setting {
        name: "ssl",
        meaning: "encrypt connections whose clients ask for it",
        kind: Kind::Bool,
        context: Context::Sighup,
        category: SSL,
        show: |of| on_off(of.tls.enabled),
        apply: |to, value| {
            to.tls.enabled = parse_bool(value).ok_or(BOOL)?;
            Ok(())
        },
    },
    Setting {
        name: "ssl_cert_file",
        meaning: "the server's certificate (PEM), from the data directory on",
        kind: Kind::Text,
        context: Context::Sighup,
        category: SSL,
        show: |of| shown(&of.tls.cert_file),
        apply: |to, value| {
            to.tls.cert_file = value.into();
            Ok(())
        },
    },
    Setting {
        name: "ssl_key_file",
        meaning: "the key of the server's certificate (PEM), from the data directory on",
        kind: Kind::Text,
        context: Context::Sighup,
        category: SSL,
        show: |of| shown(&of.tls.key_file),
        apply: |to, value| {
            to.tls.key_file = value.into();
            Ok(())
        },
    },
    Setting {
        name: "ssl_ca_file",
        meaning: "who signs client certificates (PEM); empty: clients are not asked for one",
        kind: Kind::Text,
        context: Context::Sighup,
        category: SSL,
        show: |of| shown(&of.tls.ca_file),
        apply: |to, value| {
            to.tls.ca_file = value.into();
            Ok(())
        },
    },
    Setting {
        name: "ssl_min_protocol_version",
        meaning: "the oldest version of TLS that is spoken",
        kind: Kind::Enum(&["TLSv1.2", "TLSv1.3"]),
        context: Context::Sighup,
        category: SSL,
        show: |of| version_name(of.tls.min_version).to_owned(),
        apply: |to, value| {
            to.tls.min_version = version(value).ok_or(VERSION)?;
            Ok(())
        },
    },
    Setting {
        name: "ssl_max_protocol_version",
        meaning: "the newest version of TLS that is spoken; empty: the newest there is",
        kind: Kind::Enum(&["", "TLSv1.2", "TLSv1.3"]),
        context: Context::Sighup,
        category: SSL,
        show: |of| {
            of.tls
                .max_version
                .map(version_name)
                .unwrap_or_default()
                .to_owned()
        },
        apply: |to, value| {
            to.tls.max_version = match value {
                "" => None,
                _ => Some(version(value).ok_or(VERSION)?),
            };
            Ok(())
        },
    },
];

const SSL: &str = "Connections and Authentication / SSL";

const MODE: &str = "expected an octal number from 0000 to 0777";
const BOOL: &str = "expected on or off";
const VERSION: &str = "expected TLSv1.2 or TLSv1.3";

fn on_off(value: bool) -> String {
    if value { "on" } else { "off" }.to_owned()
}

fn version(text: &str) -> Option<TlsVersion> {
    let all = [TlsVersion::V12, TlsVersion::V13];
    all.into_iter()
        .find(|known| version_name(*known).eq_ignore_ascii_case(text))
}

const fn version_name(version: TlsVersion) -> &'static str {
    match version {
        TlsVersion::V12 => "TLSv1.2",
        TlsVersion::V13 => "TLSv1.3",
    }
}
