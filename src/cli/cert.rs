//! `pgspool cert`: a certificate that the server signs itself, and its key.
//!
//! Enough for a network of one's own: clients verify it with a copy of the certificate. It is not
//! an authority, so it signs nothing else.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair};

/// What the files are called unless settings say otherwise.
const CERTIFICATE: &str = "server.crt";
const KEY: &str = "server.key";
/// Names and addresses that each certificate is for.
const HERE: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

#[derive(Debug, Args)]
pub(super) struct CertArgs {
    /// Data directory: server.crt and server.key go into it.
    #[arg(long = "data", value_name = "DIR", default_value = "./pgspool-data")]
    data: PathBuf,
    /// Another directory for them.
    #[arg(long, value_name = "DIR", conflicts_with = "data")]
    out: Option<PathBuf>,
    /// A name or an address that clients use for this server; may be given several times.
    /// localhost, 127.0.0.1 and ::1 are in it anyway.
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,
    /// For how many days it is valid.
    #[arg(long, value_name = "N", default_value_t = 365,
          value_parser = clap::value_parser!(u16).range(1..=36_500))]
    days: u16,
    /// Overwrite a certificate and a key that are there.
    #[arg(long)]
    force: bool,
}

/// Why there is no new certificate.
#[derive(Debug, thiserror::Error)]
pub(super) enum CertError {
    #[error("{} is there already; --force overwrites it", .0.display())]
    Exists(PathBuf),
    #[error("cannot make a certificate")]
    Make(#[from] rcgen::Error),
    #[error("that many days end after the calendar")]
    Calendar(#[from] jiff::Error),
    #[error("cannot write {}", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// A certificate and its key, both in PEM.
struct Made {
    certificate: String,
    key: String,
    names: Vec<String>,
    last_day: Date,
}

/// Runs the command.
pub(super) fn run(args: &CertArgs) -> Result<ExitCode, CertError> {
    let directory = args.out.as_ref().unwrap_or(&args.data);
    let (certificate, key) = (directory.join(CERTIFICATE), directory.join(KEY));
    for path in [&certificate, &key] {
        if !args.force && path.exists() {
            return Err(CertError::Exists(path.clone()));
        }
    }
    let made = make(&args.hosts, args.days)?;
    fs::create_dir_all(directory).map_err(|source| write_error(directory, source))?;
    write(&key, &made.key, 0o600)?;
    write(&certificate, &made.certificate, 0o644)?;
    let name = args.hosts.first().map_or("localhost", String::as_str);
    print!("{}", advice(args, &made, directory, name));
    Ok(ExitCode::SUCCESS)
}

fn make(hosts: &[String], days: u16) -> Result<Made, CertError> {
    let mut names: Vec<String> = HERE.map(str::to_owned).into();
    for host in hosts {
        if !names.contains(host) {
            names.push(host.clone());
        }
    }
    let today = TimeZone::UTC.to_datetime(Timestamp::now()).date();
    let last_day = today.checked_add(Span::new().days(i64::from(days)))?;
    let mut params = CertificateParams::new(names.clone())?;
    params.distinguished_name = DistinguishedName::new();
    let common = hosts.iter().find(|host| host.parse::<IpAddr>().is_err());
    let common = common.map_or("localhost", String::as_str);
    params.distinguished_name.push(DnType::CommonName, common);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let day = |date: Date| {
        let (month, day) = (date.month().unsigned_abs(), date.day().unsigned_abs());
        rcgen::date_time_ymd(date.year().into(), month, day)
    };
    // A client whose clock is behind must not wait for tomorrow.
    params.not_before = day(today.yesterday()?);
    params.not_after = day(last_day);
    let key = KeyPair::generate()?;
    Ok(Made {
        certificate: params.self_signed(&key)?.pem(),
        key: key.serialize_pem(),
        names,
        last_day,
    })
}

/// Writes a file anew with these permissions from its first byte on.
fn write(path: &Path, text: &str, mode: u32) -> Result<(), CertError> {
    let unfinished = path.with_extension("new");
    let written = || {
        match fs::remove_file(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file = OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(mode)
            .open(&unfinished)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&unfinished, path)
    };
    written().map_err(|source| write_error(path, source))
}

fn write_error(path: &Path, source: io::Error) -> CertError {
    CertError::Write {
        path: path.to_owned(),
        source,
    }
}

fn advice(args: &CertArgs, made: &Made, directory: &Path, name: &str) -> String {
    let (certificate, key) = (directory.join(CERTIFICATE), directory.join(KEY));
    let mut settings = vec!["ssl = true".to_owned()];
    if args.out.is_some() {
        let full = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        settings.push(format!("ssl_cert_file = {:?}", full(&certificate)));
        settings.push(format!("ssl_key_file = {:?}", full(&key)));
    }
    format!(
        "wrote {} and {}\nvalid to {} for {}\n\n\
         to switch it on, in pgspool.toml in the data directory:\n\n  {}\n\n\
         then send the server SIGHUP, or: SELECT pg_reload_conf();\n\n\
         clients verify it with a copy of {CERTIFICATE} (never of the key):\n\n  \
         psql \"host={name} port=5433 sslmode=verify-full sslrootcert={}\"\n",
        certificate.display(),
        key.display(),
        made.last_day,
        made.names.join(", "),
        settings.join("\n  "),
        certificate.display(),
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use x509_parser::extensions::GeneralName;
    use x509_parser::pem::parse_x509_pem;

    use super::*;

    fn args(directory: &Path, force: bool) -> CertArgs {
        CertArgs {
            data: directory.to_owned(),
            out: None,
            hosts: vec!["db.example.org".to_owned(), "192.0.2.7".to_owned()],
            days: 30,
            force,
        }
    }

    #[test]
    fn a_certificate_is_for_this_host_and_the_named_ones() {
        let folder = tempfile::tempdir().unwrap();
        run(&args(folder.path(), false)).unwrap();
        let text = fs::read(folder.path().join(CERTIFICATE)).unwrap();
        let (_, pem) = parse_x509_pem(&text).unwrap();
        let certificate = pem.parse_x509().unwrap();
        assert_eq!(certificate.subject().to_string(), "CN=db.example.org");
        let names = certificate.subject_alternative_name().unwrap().unwrap();
        let dns = names.value.general_names.iter();
        let dns: Vec<_> = dns
            .filter_map(|name| {
                let GeneralName::DNSName(name) = name else {
                    return None;
                };
                Some(*name)
            })
            .collect();
        assert_eq!(dns, ["localhost", "db.example.org"]);
        assert_eq!(names.value.general_names.len(), 5);
        assert!(certificate.validity().is_valid());
        let left = certificate.validity().time_to_expiration().unwrap();
        assert!((29..=30).contains(&left.whole_days()), "{left}");
        assert!(!certificate.is_ca());
    }

    #[test]
    fn a_key_is_for_its_owner_and_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join(KEY);
        run(&args(folder.path(), false)).unwrap();
        assert_eq!(fs::metadata(&key).unwrap().mode() & 0o777, 0o600);
        let before = fs::read(&key).unwrap();
        let refused = run(&args(folder.path(), false));
        assert!(matches!(refused, Err(CertError::Exists(_))));
        assert_eq!(fs::read(&key).unwrap(), before);
        run(&args(folder.path(), true)).unwrap();
        assert_ne!(fs::read(&key).unwrap(), before);
        assert_eq!(fs::metadata(&key).unwrap().mode() & 0o777, 0o600);
    }
}
