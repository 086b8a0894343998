//! What a data directory needs so that its operator, and nobody else, can come in: rules, an owner
//! role with a random password, and the file that holds that password.
//!
//! Each step can be repeated, and the last of them, the role, is what makes the rest count: a
//! start that was cut off anywhere is made up for by the next one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::roles::{NoRandomness, RoleChanges, RoleCommand, RoleError, Roles, Verifier};

/// The role that a first start makes.
pub(super) const OWNER: &str = "pgspool";
/// The file with its password, as libpq reads it.
pub(super) const OWNER_PASSWORD_FILE: &str = "owner.pgpass";
/// What answers to unknown names are made with.
const SECRET_FILE: &str = "scram.secret";
/// Random bytes of a password, and of a secret.
const PASSWORD_BYTES: usize = 18;
const SECRET_BYTES: usize = 32;

/// The rules of a new data directory.
const DEFAULT_RULES: &str = include_str!("first_start/pg_hba.conf");

/// Why a data directory could not be made ready.
#[derive(Debug, thiserror::Error)]
pub(super) enum FirstStartError {
    #[error("cannot write {}: {reason}", path.display())]
    Write { path: PathBuf, reason: io::Error },
    #[error(
        "{} is missing. There are roles already, so the default, which may let others in than it \
         did, is not put in its place: put yours back, or write the default there with \
         \"pgspool role rules --data {}\"", path.display(), data.display()
    )]
    LostRules { path: PathBuf, data: PathBuf },
    #[error("cannot read {}: {reason}", path.display())]
    Read { path: PathBuf, reason: io::Error },
    #[error("the system gave no random bytes: {0}")]
    Random(getrandom::Error),
    #[error(transparent)]
    Salt(#[from] NoRandomness),
    #[error("cannot make the owner role: {0}")]
    Role(#[from] RoleError),
}

/// Writes the rules of a new data directory, unless there are some. It is not new where there are
/// roles: rules that were lost are somebody's decision who may come in.
pub(super) fn make_rules(path: &Path, data: &Path, is_new: bool) -> Result<(), FirstStartError> {
    if !is_new && fs::symlink_metadata(path).is_err() {
        return Err(FirstStartError::LostRules {
            path: path.to_owned(),
            data: data.to_owned(),
        });
    }
    write_rules(path)
}

/// Writes the default rules, unless there are some.
pub(super) fn write_rules(path: &Path) -> Result<(), FirstStartError> {
    if fs::symlink_metadata(path).is_ok() {
        return Ok(());
    }
    write_private(path, DEFAULT_RULES.as_bytes())?;
    tracing::info!("wrote {}: who may come in how", path.display());
    Ok(())
}

/// The secret of this data directory that answers to unknown names are made with.
pub(super) fn secret(data: &Path) -> Result<Vec<u8>, FirstStartError> {
    let path = data.join(SECRET_FILE);
    match fs::read(&path) {
        Ok(secret) if secret.len() == SECRET_BYTES => return Ok(secret),
        Ok(secret) => {
            let reason = format!("it has {} bytes instead of {SECRET_BYTES}", secret.len());
            let reason = io::Error::new(io::ErrorKind::InvalidData, reason);
            return Err(FirstStartError::Read { path, reason });
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(reason) => return Err(FirstStartError::Read { path, reason }),
    }
    let mut secret = vec![0; SECRET_BYTES];
    getrandom::fill(&mut secret).map_err(FirstStartError::Random)?;
    write_private(&path, &secret)?;
    Ok(secret)
}

/// Makes the owner role where there are no roles. Its password is in its file before the role is
/// there, so that there is never a role whose password nobody knows.
pub(super) fn make_owner(
    data: &Path,
    roles: &Roles,
    address: SocketAddr,
    socket_directories: &[PathBuf],
) -> Result<(), FirstStartError> {
    if !roles.current().is_empty() {
        return Ok(());
    }
    let mut bytes = [0; PASSWORD_BYTES];
    getrandom::fill(&mut bytes).map_err(FirstStartError::Random)?;
    let password = URL_SAFE_NO_PAD.encode(bytes);
    let path = data.join(OWNER_PASSWORD_FILE);
    let text = password_file(&path, &password, address, socket_directories);
    write_private(&path, text.as_bytes())?;
    let changes = RoleChanges {
        login: Some(true),
        superuser: Some(true),
        replication: Some(true),
        publish: Some(true),
        monitor: Some(true),
        verifier: Some(Some(Verifier::of_password(&password)?)),
        ..RoleChanges::default()
    };
    roles.apply(&RoleCommand::Create {
        name: OWNER.to_owned(),
        changes,
    })?;
    tracing::info!(
        "made the role \"{OWNER}\"; its password is in {}",
        path.display()
    );
    Ok(())
}

/// Whether the file with the owner's password is there, and still lets him in.
pub(super) fn owner_can_use_file(data: &Path, roles: &Roles) -> bool {
    let text = fs::read_to_string(data.join(OWNER_PASSWORD_FILE)).unwrap_or_default();
    let middle = format!(":*:{OWNER}:");
    let mut lines = text.lines().filter(|line| !line.starts_with('#'));
    let password = lines.find_map(|line| Some(line.split_once(&middle)?.1));
    let roles = roles.current();
    let owner = roles.find(OWNER).filter(|role| role.rights.login);
    let verifier = owner.and_then(|role| role.verifier.as_ref());
    matches!((password, verifier), (Some(password), Some(verifier)) if verifier.fits(password))
}

/// The password as libpq looks it up, and how to connect with it.
fn password_file(
    path: &Path,
    password: &str,
    address: SocketAddr,
    socket_directories: &[PathBuf],
) -> String {
    let path = absolute(path);
    let path = path.display();
    let (host, port) = (reachable(address.ip()), address.port());
    let in_uri = match host {
        IpAddr::V4(host) => host.to_string(),
        IpAddr::V6(host) => format!("[{host}]"),
    };
    let mut hosts = vec![
        host.to_string(),
        "localhost".to_owned(),
        Ipv4Addr::LOCALHOST.to_string(),
        Ipv6Addr::LOCALHOST.to_string(),
    ];
    let directories = socket_directories.iter();
    hosts.extend(directories.map(|dir| absolute(dir).display().to_string()));
    let mut lines = String::new();
    for (index, host) in hosts.iter().enumerate() {
        if !hosts.iter().take(index).any(|before| before == host) {
            let host = host.replace('\\', "\\\\").replace(':', "\\:");
            lines.push_str(&format!("{host}:*:*:{OWNER}:{password}\n"));
        }
    }
    format!(
        "# The password of the owner role \"{OWNER}\", made at the first start. Keep this file to \
         yourself.\n\
         # With a PostgreSQL client:\n\
         #   PGPASSFILE={path} psql -h {host} -p {port} -U {OWNER} -d {OWNER}\n\
         # As a URI, for clients that read no password file:\n\
         #   postgresql://{OWNER}:{password}@{in_uri}:{port}/{OWNER}\n\
         # Once you have roles of your own, give this one another password (it cannot be dropped):\n\
         #   ALTER ROLE {OWNER} PASSWORD '...'; then remove this file.\n\
         {lines}"
    )
}

/// An address that a client on this machine can name.
pub(super) const fn reachable(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(v4) if v4.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(v6) if v6.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        IpAddr::V4(_) | IpAddr::V6(_) => ip,
    }
}

/// The path from the root, where that can be said.
pub(super) fn absolute(path: &Path) -> PathBuf {
    let absolute = path.canonicalize();
    absolute
        .or_else(|_| std::path::absolute(path))
        .unwrap_or_else(|_| path.to_owned())
}

/// Writes a file that only its owner may read; all of it is there, durably, or nothing.
fn write_private(path: &Path, bytes: &[u8]) -> Result<(), FirstStartError> {
    let write = || {
        let dir = path.parent().unwrap_or_else(|| Path::new("."));
        let mut temp = path.as_os_str().to_owned();
        temp.push(".tmp");
        // One that a start left behind may have other rights.
        match fs::remove_file(&temp) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temp)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temp, path)?;
        File::open(dir)?.sync_all()
    };
    write().map_err(|reason| FirstStartError::Write {
        path: path.to_owned(),
        reason,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Arc;

    use super::*;
    use crate::disk::RealDisk;
    use crate::hba::{HbaRules, Method};

    const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 5433);

    fn password(data: &Path) -> String {
        let text = fs::read_to_string(data.join(OWNER_PASSWORD_FILE)).unwrap();
        let line = text.lines().find(|line| !line.starts_with('#')).unwrap();
        line.rsplit_once(":*:pgspool:").unwrap().1.to_owned()
    }

    #[test]
    fn nobody_is_trusted_by_the_rules_of_a_first_start() {
        let rules = HbaRules::parse(DEFAULT_RULES).unwrap();
        assert!(rules.iter().count() >= 6);
        assert!(rules.iter().all(|rule| rule.method == Method::ScramSha256));
    }

    #[test]
    fn the_owners_password_is_in_a_private_file_with_its_connection_lines() {
        let data = tempfile::tempdir().unwrap();
        let roles = Roles::open(Arc::new(RealDisk), data.path()).unwrap();
        make_owner(data.path(), &roles, ADDRESS, &[]).unwrap();
        let file = data.path().join(OWNER_PASSWORD_FILE);
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let text = fs::read_to_string(&file).unwrap();
        let password = password(data.path());
        assert!(password.len() >= 24);
        assert!(text.contains(&format!(
            "postgresql://pgspool:{password}@127.0.0.1:5433/pgspool"
        )));
        let line = format!(
            "PGPASSFILE={} psql -h 127.0.0.1 -p 5433",
            absolute(&file).display()
        );
        assert!(text.contains(&line), "{text}");
        let roles = roles.current();
        let owner = roles.find(OWNER).unwrap();
        assert!(owner.rights.superuser && owner.rights.login);
        assert!(owner.verifier.as_ref().unwrap().fits(&password));
    }

    #[test]
    fn a_start_that_was_cut_off_is_made_up_for() {
        let data = tempfile::tempdir().unwrap();
        // The password was written, and half of something else; the role was not made.
        fs::write(data.path().join(OWNER_PASSWORD_FILE), "*:*:*:pgspool:old\n").unwrap();
        fs::write(data.path().join("owner.pgpass.tmp"), "*:*").unwrap();
        let roles = Roles::open(Arc::new(RealDisk), data.path()).unwrap();
        make_owner(data.path(), &roles, ADDRESS, &[]).unwrap();
        let password = password(data.path());
        let set = roles.current();
        assert!(
            set.find(OWNER)
                .unwrap()
                .verifier
                .as_ref()
                .unwrap()
                .fits(&password)
        );
        // From then on nothing is touched.
        make_owner(data.path(), &roles, ADDRESS, &[]).unwrap();
        assert_eq!(self::password(data.path()), password);
        let rules = data.path().join("pg_hba.conf");
        write_rules(&rules).unwrap();
        fs::write(&rules, "local all all reject\n").unwrap();
        write_rules(&rules).unwrap();
        assert_eq!(
            fs::read_to_string(&rules).unwrap(),
            "local all all reject\n"
        );
    }

    #[test]
    fn the_password_file_is_named_only_while_it_fits() {
        let data = tempfile::tempdir().unwrap();
        let roles = Roles::open(Arc::new(RealDisk), data.path()).unwrap();
        assert!(!owner_can_use_file(data.path(), &roles));
        make_owner(data.path(), &roles, ADDRESS, &[]).unwrap();
        assert!(owner_can_use_file(data.path(), &roles));
        let change = |changes| {
            let name = OWNER.to_owned();
            roles.apply(&RoleCommand::Alter { name, changes }).unwrap();
        };
        change(RoleChanges {
            verifier: Some(Some(Verifier::of_password("another").unwrap())),
            ..RoleChanges::default()
        });
        assert!(!owner_can_use_file(data.path(), &roles));
    }

    #[test]
    fn lost_rules_beside_roles_are_not_replaced_by_the_default() {
        let data = tempfile::tempdir().unwrap();
        let rules = data.path().join("pg_hba.conf");
        let error = make_rules(&rules, data.path(), false)
            .unwrap_err()
            .to_string();
        assert!(error.contains(rules.to_str().unwrap()), "{error}");
        assert!(error.contains("pgspool role rules"), "{error}");
        assert!(!rules.exists());
        make_rules(&rules, data.path(), true).unwrap();
        make_rules(&rules, data.path(), false).unwrap();
    }

    #[test]
    fn where_there_are_roles_no_owner_is_made() {
        let data = tempfile::tempdir().unwrap();
        let roles = Roles::open(Arc::new(RealDisk), data.path()).unwrap();
        let name = "ann".to_owned();
        let changes = RoleChanges::default();
        roles.apply(&RoleCommand::Create { name, changes }).unwrap();
        make_owner(data.path(), &roles, ADDRESS, &[]).unwrap();
        assert!(roles.current().find(OWNER).is_none());
        assert!(!data.path().join(OWNER_PASSWORD_FILE).exists());
    }

    #[test]
    fn a_secret_that_cannot_be_read_is_not_replaced() {
        let data = tempfile::tempdir().unwrap();
        let path = data.path().join(SECRET_FILE);
        fs::write(&path, "short").unwrap();
        assert!(matches!(
            secret(data.path()),
            Err(FirstStartError::Read { .. })
        ));
        assert_eq!(fs::read(&path).unwrap(), b"short");
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(secret(data.path()).is_err());
        assert!(path.is_dir());
    }

    #[test]
    fn the_password_is_for_this_host_under_all_its_names_and_on_any_port() {
        let sockets = ["/run/a:b".into()];
        let text = password_file(Path::new("/x"), "secret", ADDRESS, &sockets);
        let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let wanted = [
            "127.0.0.1:*:*:pgspool:secret",
            "localhost:*:*:pgspool:secret",
            "\\:\\:1:*:*:pgspool:secret",
            "/run/a\\:b:*:*:pgspool:secret",
        ];
        assert_eq!(lines, wanted);
        let remote = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 5433);
        let text = password_file(Path::new("/x"), "secret", remote, &[]);
        assert!(text.contains("\n192.0.2.1:*:*:pgspool:secret\n"));
    }

    #[test]
    fn the_secret_stays_with_the_data() {
        let data = tempfile::tempdir().unwrap();
        let first = secret(data.path()).unwrap();
        assert_eq!(secret(data.path()).unwrap(), first);
        assert_eq!(first.len(), SECRET_BYTES);
    }
}
