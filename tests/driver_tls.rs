//! Rust's own PostgreSQL client over TLS: passwords bound to the channel, and wrong hosts.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod support;
mod tls_support;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use pgspool::engine::EngineOptions;
use pgspool::hba::HbaRules;
use pgspool::roles::{RoleChanges, Verifier};
use pgspool::server::Access;
use support::{TestServer, create_role};
use tempfile::TempDir;
use tls_support::{Authority, Files, Handshake, Issued};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::config::{ChannelBinding as Binding, SslMode};
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_postgres::{Client, Config, Error, NoTls};
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::{TlsConnector, client};

/// TLS for the client.
#[derive(Clone)]
struct Rustls(Handshake);

struct Connector(TlsConnector, ServerName<'static>);

struct Encrypted<S>(client::TlsStream<S>);

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> MakeTlsConnect<S> for Rustls {
    type Stream = Encrypted<S>;
    type TlsConnect = Connector;
    type Error = io::Error;

    fn make_tls_connect(&mut self, domain: &str) -> io::Result<Connector> {
        let domain = ServerName::try_from(domain.to_owned()).map_err(io::Error::other)?;
        Ok(Connector(
            TlsConnector::from(Arc::new(self.0.config())),
            domain,
        ))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> TlsConnect<S> for Connector {
    type Stream = Encrypted<S>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Encrypted<S>>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move { Ok(Encrypted(self.0.connect(self.1, stream).await?)) })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Encrypted<S> {
    fn channel_binding(&self) -> ChannelBinding {
        let certificates = self.0.get_ref().1.peer_certificates().unwrap();
        let hash = ring::digest::digest(&ring::digest::SHA256, &certificates[0]);
        ChannelBinding::tls_server_end_point(hash.as_ref().to_vec())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Encrypted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Encrypted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

const RULES: &str = "hostssl all certified all cert\nhostssl all all all scram-sha-256\n";

struct Place {
    server: TestServer,
    authority: Authority,
    _folder: TempDir,
}

impl Place {
    fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let authority = Authority::new("an authority");
        let issued = authority.server(&["localhost"]);
        let tls = Files::write(folder.path(), &issued, Some(&authority)).load();
        let server = TestServer::start_with(EngineOptions::default(), |options| {
            options.access = Access::new(HbaRules::parse(RULES).unwrap());
            options.access.replace_tls(Some(tls));
            options.auth_delay = Duration::ZERO;
        });
        for (name, password) in [("carol", Some("secret")), ("certified", None)] {
            let verifier = password.map(|text| Verifier::of_password(text).unwrap());
            let changes = RoleChanges {
                login: Some(true),
                superuser: Some(true),
                verifier: Some(verifier),
                ..RoleChanges::default()
            };
            create_role(&server.databases, name, changes);
        }
        Self {
            server,
            authority,
            _folder: folder,
        }
    }

    fn config(&self, user: &str) -> Config {
        let mut config = Config::new();
        config
            .host("localhost")
            .hostaddr(self.server.address.ip())
            .port(self.server.address.port())
            .user(user)
            .dbname("pgspool")
            .ssl_mode(SslMode::Require);
        config
    }

    fn tls(&self) -> Handshake {
        Handshake::trusting(&self.authority)
    }

    fn with(&self, identity: Issued) -> Handshake {
        Handshake {
            identity: Some(identity),
            ..self.tls()
        }
    }
}

async fn connect(config: &Config, tls: Handshake) -> Result<Client, Error> {
    let (client, connection) = config.connect(Rustls(tls)).await?;
    tokio::spawn(connection);
    Ok(client)
}

async fn code(config: &Config, tls: Handshake) -> Option<SqlState> {
    let refused = connect(config, tls).await;
    refused.err().unwrap().code().cloned()
}

#[tokio::test]
async fn a_password_is_bound_to_the_channel() {
    let place = Place::start();
    let mut config = place.config("carol");
    config.password("secret").channel_binding(Binding::Require);
    let client = connect(&config, place.tls()).await.unwrap();
    let row = client
        .query_one(
            "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
            &[],
        )
        .await
        .unwrap();
    assert!(row.get::<_, bool>(0));
    config.channel_binding(Binding::Disable);
    connect(&config, place.tls()).await.unwrap();
    config.password("wrong").channel_binding(Binding::Require);
    let wrong = code(&config, place.tls()).await;
    assert_eq!(wrong, Some(SqlState::INVALID_PASSWORD));
    config.user("nobody");
    let unknown = code(&config, place.tls()).await;
    assert_eq!(unknown, Some(SqlState::INVALID_PASSWORD));
}

#[tokio::test]
async fn a_plain_connection_has_no_rule_where_rules_ask_for_tls() {
    let place = Place::start();
    let mut config = place.config("carol");
    config.password("secret").ssl_mode(SslMode::Disable);
    let refused = config.connect(NoTls).await.err().unwrap();
    let invalid = SqlState::INVALID_AUTHORIZATION_SPECIFICATION;
    assert_eq!(refused.code(), Some(&invalid));
    config.ssl_mode(SslMode::Require);
    let tls = Handshake {
        root: Authority::new("somebody else").certificate,
        ..place.tls()
    };
    assert_eq!(
        code(&config, tls).await,
        None,
        "the client does not trust it"
    );
    config.host("other.example");
    let mut elsewhere = Config::new();
    elsewhere
        .host("other.example")
        .hostaddr(place.server.address.ip())
        .port(place.server.address.port())
        .user("carol")
        .password("secret")
        .dbname("pgspool")
        .ssl_mode(SslMode::Require);
    assert_eq!(
        code(&elsewhere, place.tls()).await,
        None,
        "it is not that host's"
    );
}

#[tokio::test]
async fn a_client_certificate_is_a_way_in() {
    let place = Place::start();
    let config = place.config("certified");
    let good = place.with(place.authority.client("certified", 2200));
    connect(&config, good).await.unwrap();
    let invalid = Some(SqlState::INVALID_AUTHORIZATION_SPECIFICATION);
    assert_eq!(code(&config, place.tls()).await, invalid, "none was shown");
    let of_another_name = place.with(place.authority.client("carol", 2200));
    assert_eq!(code(&config, of_another_name).await, invalid);
    for identity in [
        place.authority.client("certified", 1999),
        Authority::new("an authority").client("certified", 2200),
    ] {
        assert_eq!(
            code(&config, place.with(identity)).await,
            None,
            "no handshake"
        );
    }
}

#[tokio::test]
async fn a_driver_hears_why_it_may_not() {
    let place = Place::start();
    let verifier = Verifier::of_password("secret").unwrap();
    let plain = RoleChanges {
        login: Some(true),
        verifier: Some(Some(verifier)),
        ..RoleChanges::default()
    };
    create_role(&place.server.databases, "plain", plain);
    let denied = Some(SqlState::INSUFFICIENT_PRIVILEGE);
    for (user, password, wanted) in [
        // The right password; the database is not granted.
        ("plain", "secret", denied.clone()),
        ("plain", "wrong", Some(SqlState::INVALID_PASSWORD)),
        ("nobody", "secret", Some(SqlState::INVALID_PASSWORD)),
    ] {
        let mut config = place.config(user);
        let refused = code(config.password(password), place.tls()).await;
        assert_eq!(refused, wanted, "{user} {password}");
    }
    let owner = connect(place.config("carol").password("secret"), place.tls()).await;
    let grant = "GRANT CONNECT ON DATABASE pgspool TO plain";
    owner.unwrap().simple_query(grant).await.unwrap();
    let plain = connect(place.config("plain").password("secret"), place.tls()).await;
    let plain = plain.unwrap();
    for verb in [
        "SELECT pg_create_logical_replication_slot('s', 'json')",
        "CREATE ROLE other",
    ] {
        let refused = plain.simple_query(verb).await.err().unwrap();
        assert_eq!(refused.code().cloned(), denied, "{verb}");
    }
}
