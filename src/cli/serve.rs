//! `pgspool serve`: a running server, from its arguments to its last signal.
//!
//! SIGTERM stops gracefully, SIGINT at once but cleanly, a second one of either like a crash. The
//! databases are closed after the last connection ended.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::{self, ExitCode};
use std::sync::Arc;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::admin::{AdminBindError, AdminListener, Watch};
use crate::clock::Moment;
use crate::disk::RealDisk;
use crate::engine::{DEFAULT_DATABASE, Databases, Engine, OpenError};
use crate::roles::{RoleOpenError, Roles};
use crate::server::{
    Access, BindError, Server, ShownSettings, Shutdown, TlsContext, TlsError, TlsOptions,
    raise_descriptor_limit,
};

use super::ServeArgs;
use super::captures::{self, CaptureSectionError};
use super::data_dir::{DataDir, DataDirError};
use super::first_start::{self, FirstStartError, OWNER, OWNER_PASSWORD_FILE};
use super::log::{Log, WatchingOptions};
use super::reload::{Configuration, warn_of_plain_text, warn_of_trust};
use super::rule_files::{RuleFiles, RulesError};
use super::settings::{CONFIG_FILE, Loaded, SettingError, Settings, Sources};
use super::systemd;

/// Why the server did not start, or did not stop cleanly.
#[derive(Debug, thiserror::Error)]
pub(super) enum ServeError {
    #[error(transparent)]
    Setting(#[from] SettingError),
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("cannot start the runtime")]
    Runtime(#[source] io::Error),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(
        "{error}\nssl is on and there is no certificate yet: \"pgspool cert --data {}\" makes one",
        data.display()
    )]
    NoCertificate { error: TlsError, data: PathBuf },
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    Rules(#[from] RulesError),
    #[error(transparent)]
    Roles(#[from] RoleOpenError),
    #[error(transparent)]
    FirstStart(#[from] FirstStartError),
    #[error(transparent)]
    Capture(#[from] CaptureSectionError),
    #[error(transparent)]
    Admin(#[from] AdminBindError),
    #[error("not closed cleanly: {0}")]
    Close(String),
}

/// The address that `text` stands for. Of a name's addresses it is the first of IPv4, which works
/// also where a host has the name of the other kind but not the kind itself.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    let found = text.to_socket_addrs().map_err(|error| error.to_string())?;
    let found: Vec<_> = found.collect();
    let first = found.iter().find(|address| address.is_ipv4());
    first
        .or(found.first())
        .copied()
        .ok_or_else(|| "it has no address".to_owned())
}

/// The same, for what must not be reached from other machines.
pub(super) fn loopback_address(text: &str) -> Result<SocketAddr, String> {
    let address = address(text)?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err("not a loopback address: to let other machines read, use -c admin_listen".to_owned())
    }
}

/// Runs the command.
pub(super) fn run(args: ServeArgs) -> Result<ExitCode, ServeError> {
    let sources = sources(&args);
    let mut loaded = sources.load()?;
    let log = Log::start(&loaded.settings.watching);
    let variables = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    Loaded::warn_of_unknown(variables);
    for (name, value) in loaded.settings.changed() {
        tracing::info!("{name} = {value}");
    }
    let data = DataDir::create(&args.data.dir)?;
    loaded.data_directory_mode = Some(data.check_mode()?);
    let shown = ShownSettings::new(loaded.shown());
    let mut options = loaded.settings.clone();
    options.server.shown = shown.clone();
    options.engine.recovery = args.recovery.into();

    let access = options.server.access.clone();
    let rule_files = load_rules(data.path(), &options, &access)?;
    access.replace_tls(load_tls(&options.tls, data.path())?);
    options.server.unix_socket_directories = options.socket_directories.in_data(data.path());
    raise_descriptor_limit();
    let runtime = Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(options.server.max_blocking_threads())
        .build()
        .map_err(ServeError::Runtime)?;
    let (watch, admin) = watch(&runtime, &options.watching)?;
    systemd::status("recovering the databases");
    let disk = Arc::new(RealDisk);
    let (path, lock) = (data.path().to_owned(), data.into_lock());
    let databases = Databases::open_locked(disk, &path, Some(lock), options.engine, Moment::now())?;
    databases
        .all()
        .iter()
        .for_each(|engine| log_recovery(engine));
    captures::make(&databases, captures::missing(&databases, &loaded.captures)?)?;
    let databases = Arc::new(databases);

    runtime.block_on(async {
        let stop = stop_on_signals().map_err(ServeError::Runtime)?;
        let server = Server::bind(Arc::clone(&databases), options.server).await?;
        watch.serving(Arc::clone(&databases), server.state());
        let configuration = Configuration {
            sources,
            loaded,
            shown,
            access,
            data: path.clone(),
            databases: Arc::clone(&databases),
            captures: server.captures(),
            rule_files,
            log,
        };
        configuration
            .reload_on_hangup()
            .map_err(ServeError::Runtime)?;
        for path in server.unix_sockets() {
            tracing::info!("listening on Unix socket \"{}\"", path.display());
        }
        let addresses = server.local_addrs();
        if let Some(&first) = addresses.first() {
            let sockets = server.unix_sockets().filter_map(Path::parent);
            let sockets: Vec<_> = sockets.map(Path::to_owned).collect();
            first_start::make_owner(&path, databases.roles(), first, &sockets)?;
        }
        warn_without_superuser(databases.roles());
        announce(&addresses, admin, &databases, &path);
        systemd::ready(databases.all().len(), &addresses);
        serve_until(server, stop).await;
        watch.closing();
        Ok::<(), ServeError>(())
    })?;
    close(&databases)
}

/// Reads the rules, which a new data directory gets first.
fn load_rules(data: &Path, options: &Settings, access: &Access) -> Result<RuleFiles, ServeError> {
    let rule_files = RuleFiles::new(data, &options.rule_files);
    if rule_files.hba_is_default {
        let roles = Roles::inspect(&RealDisk, data)?;
        let is_new = roles.is_none_or(|roles| roles.is_empty());
        first_start::make_rules(&rule_files.hba, data, is_new)?;
    }
    rule_files.load_into(access)?;
    warn_of_trust(access, &options.server.listen);
    warn_of_plain_text(access, &options.server.listen, options.tls.enabled);
    access.keep_secret(&first_start::secret(data)?);
    Ok(rule_files)
}

/// Says that nobody is there who could do what only superusers may.
fn warn_without_superuser(roles: &Roles) {
    let roles = roles.current();
    if !roles
        .iter()
        .any(|role| role.rights.superuser && role.rights.login)
    {
        tracing::warn!(
            "there is no superuser that can log in; stop the server to make one: \
             \"pgspool role add NAME --superuser --data DIR\""
        );
    }
}

/// The certificate and key that the settings name, with the way to have some.
fn load_tls(options: &TlsOptions, data: &Path) -> Result<Option<TlsContext>, ServeError> {
    let is_missing = options.enabled && !data.join(&options.cert_file).exists();
    TlsContext::load(options, data).map_err(|error| {
        if is_missing {
            let data = data.to_owned();
            ServeError::NoCertificate { error, data }
        } else {
            error.into()
        }
    })
}

/// Answers for metrics and the status page, if that was asked for: before the databases are open,
/// and as long as they are being closed.
fn watch(
    runtime: &Runtime,
    options: &WatchingOptions,
) -> Result<(Watch, Option<SocketAddr>), ServeError> {
    let watch = Watch::default();
    let Some(address) = options.admin_listen else {
        return Ok((watch, None));
    };
    let listener = runtime.block_on(AdminListener::bind(address, watch.clone()))?;
    let address = listener.local_addr().map_err(ServeError::Runtime)?;
    runtime.spawn(listener.run());
    Ok((watch, Some(address)))
}

/// Where the settings are: the file, then the environment, then the flags.
fn sources(args: &ServeArgs) -> Sources {
    let mut flags = args.settings.clone();
    if !args.listen.is_empty() {
        let all: Vec<_> = args.listen.iter().map(ToString::to_string).collect();
        flags.push(format!("listen={}", all.join(",")));
    }
    if let Some(admin) = args.admin {
        flags.push(format!("admin_listen={admin}"));
    }
    let in_data = || args.data.dir.join(CONFIG_FILE);
    Sources {
        file: args.config.clone().unwrap_or_else(in_data),
        file_named: args.config.is_some(),
        flags,
    }
}

fn log_recovery(engine: &Engine) {
    let report = engine.recovery();
    let database = engine.name();
    tracing::info!(database, head = %report.head, created = report.created, "database opened");
    for torn in report.torn.iter().chain(&report.set_aside) {
        tracing::warn!(
            database,
            segment = torn.segment,
            offset = torn.offset,
            bytes = torn.bytes,
            kept_in = %torn.kept_in.display(),
            "recovery cut off bytes and kept them: {}",
            torn.reason
        );
    }
    for name in &report.removed_files {
        tracing::info!(
            database,
            name,
            "removed a file that an interrupted seal or prune left"
        );
    }
}

/// The database that the examples name: the default one, unless only others were made.
fn example_database(databases: &Databases) -> String {
    let first = || {
        databases
            .all()
            .first()
            .map(|engine| engine.name().to_owned())
    };
    databases
        .get(DEFAULT_DATABASE)
        .map(|_| DEFAULT_DATABASE.to_owned())
        .or_else(first)
        .unwrap_or_else(|| DEFAULT_DATABASE.to_owned())
}

/// Where the server listens, and what to try next. Programs read the first lines: one for each
/// address, `listening on ADDR:PORT`, and `status on http://ADDR:PORT/`.
fn announce(
    addresses: &[SocketAddr],
    admin: Option<SocketAddr>,
    databases: &Databases,
    data: &Path,
) {
    for address in addresses {
        println!("listening on {address}");
    }
    if let Some(admin) = admin {
        println!("status on http://{admin}/");
    }
    let Some(first) = addresses.first() else {
        return;
    };
    let host = first_start::reachable(first.ip());
    let database = example_database(databases);
    let (user, password) = if first_start::owner_can_use_file(data, databases.roles()) {
        let path = first_start::absolute(&data.join(OWNER_PASSWORD_FILE));
        let path = path.display();
        let words = format!("\nthe password of the role {OWNER} is in {path}\n");
        println!("{words}");
        (OWNER, format!("  export PGPASSFILE='{path}'\n\n"))
    } else {
        ("YOUR_ROLE", String::new())
    };
    let place = format!("-h {host} -p {} -U {user} -d {database}", first.port());
    println!(
        r#"try next, in other terminals:

{password}  pg_recvlogical {place} --slot first -P json --create-slot --if-not-exists --start -f -

  echo '{{"operation":"insert","collection":"orders","rid":1,"kind":"row","metadata":{{"total":12.5}}}}' > x.ndjson
  psql {place} -c "\copy pgspool.changes from 'x.ndjson' with (format ndjson)"
"#
    );
}

/// Serves until told to stop.
async fn serve_until(server: Server, mut stop: watch::Receiver<Option<Shutdown>>) {
    let told = async move {
        let told = stop.wait_for(Option::is_some).await.ok();
        // Without a sender nobody is left who could tell more gently.
        let way = told.and_then(|told| *told).unwrap_or(Shutdown::Fast);
        match way {
            Shutdown::Graceful => tracing::info!("stopping gracefully"),
            Shutdown::Fast => tracing::info!("stopping fast"),
        }
        systemd::stopping();
        way
    };
    let report = server.run_until(told).await;
    tracing::info!(
        accepted = report.num_accepted,
        ended = report.num_ended,
        aborted = report.num_aborted,
        panicked = report.num_panicked,
        "all connections ended"
    );
}

/// Watches for signals: the first sets the value, the second ends the process.
fn stop_on_signals() -> io::Result<watch::Receiver<Option<Shutdown>>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (sender, receiver) = watch::channel(None);
    tokio::spawn(async move {
        let first = next_signal(&mut terminate, &mut interrupt).await;
        // A receiver is held for as long as the server runs.
        let _nobody = sender.send(Some(first));
        next_signal(&mut terminate, &mut interrupt).await;
        tracing::warn!("second signal: leaving without closing the databases");
        process::exit(1);
    });
    Ok(receiver)
}

async fn next_signal(terminate: &mut Signal, interrupt: &mut Signal) -> Shutdown {
    tokio::select! {
        _ = terminate.recv() => Shutdown::Graceful,
        _ = interrupt.recv() => Shutdown::Fast,
    }
}

fn close(databases: &Databases) -> Result<ExitCode, ServeError> {
    let failed = databases.close();
    if failed.is_empty() {
        tracing::info!(
            databases = databases.all().len(),
            "stopped, databases closed"
        );
        return Ok(ExitCode::SUCCESS);
    }
    let each = failed
        .iter()
        .map(|(name, error)| format!("{name}: {error}"));
    Err(ServeError::Close(each.collect::<Vec<_>>().join("; ")))
}
