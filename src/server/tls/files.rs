//! Certificates and keys from their files (PEM).

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::TlsError;

/// Bits that only the owner of a key may have, and those of a key that is root's.
const GROUP_OR_WORLD: u32 = 0o077;
const ROOTS_KEY: u32 = 0o037;

/// The server's certificate with those behind it, and itself in PEM.
pub(super) fn certificates(
    path: &Path,
) -> Result<(Vec<CertificateDer<'static>>, Vec<u8>), TlsError> {
    let failed = |reason: String| TlsError::Certificate {
        path: path.display().to_string(),
        reason,
    };
    let chain = certificates_in(path).map_err(failed)?;
    let first = chain.first().map(|certificate| pem_of(certificate));
    let own = first.ok_or_else(|| failed("there is no certificate in it".to_owned()))?;
    Ok((chain, own))
}

/// The key, when nobody else can read its file.
pub(super) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let failed = |reason: String| TlsError::Key {
        path: path.display().to_string(),
        reason,
    };
    let metadata = fs::metadata(path).map_err(|error| failed(error.to_string()))?;
    check_owner(&metadata, rustix::process::geteuid().as_raw()).map_err(failed)?;
    let text = fs::read(path).map_err(|error| failed(error.to_string()))?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| {
        let encrypted = text.windows(9).any(|word| word == b"ENCRYPTED");
        failed(if encrypted {
            "it is protected with a passphrase, which nobody could type here".to_owned()
        } else {
            error.to_string()
        })
    })
}

/// Whom client certificates must be signed by.
pub(super) fn authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let failed = |reason: String| TlsError::Authorities {
        path: path.display().to_string(),
        reason,
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates_in(path).map_err(failed)? {
        let added = roots.add(certificate);
        added.map_err(|error| failed(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(failed("there is no certificate in it".to_owned()));
    }
    Ok(roots)
}

fn certificates_in(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = fs::read(path).map_err(|error| error.to_string())?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    found.map_err(|error| error.to_string())
}

/// PostgreSQL's rule: a key of one's own is for oneself alone; one of root's may be lent to a group.
fn check_owner(metadata: &Metadata, euid: u32) -> Result<(), String> {
    if !metadata.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    let (owner, mode) = (metadata.uid(), metadata.mode());
    if owner != euid && owner != 0 {
        return Err("it must be owned by the database user or root".to_owned());
    }
    let forbidden = if owner == euid {
        GROUP_OR_WORLD
    } else {
        ROOTS_KEY
    };
    if mode & forbidden == 0 {
        return Ok(());
    }
    Err(
        "it has group or world access; file must have permissions u=rw (0600) or less if owned by \
         the database user, or permissions u=rw,g=r (0640) or less if owned by root"
            .to_owned(),
    )
}

fn pem_of(certificate: &CertificateDer<'_>) -> Vec<u8> {
    let mut pem = b"-----BEGIN CERTIFICATE-----\n".to_vec();
    for line in STANDARD.encode(certificate).as_bytes().chunks(64) {
        pem.extend_from_slice(line);
        pem.push(b'\n');
    }
    pem.extend_from_slice(b"-----END CERTIFICATE-----\n");
    pem
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("server.key");
        fs::write(&path, "x").unwrap();
        let euid = rustix::process::geteuid().as_raw();
        for (mode, is_fine) in [
            (0o600, true),
            (0o400, true),
            (0o640, false),
            (0o604, false),
            (0o644, false),
        ] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let metadata = fs::metadata(&path).unwrap();
            assert_eq!(check_owner(&metadata, euid).is_ok(), is_fine, "{mode:o}");
        }
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let metadata = fs::metadata(&path).unwrap();
        // As it looks to somebody else: a file of root's may be read by a group.
        let is_roots = metadata.uid() == 0;
        assert_eq!(check_owner(&metadata, euid + 1).is_ok(), is_roots);
        let not_a_file = fs::metadata(folder.path()).unwrap();
        assert!(check_owner(&not_a_file, euid).is_err());
    }
}
