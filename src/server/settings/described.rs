//! What `pg_settings` says of each setting beside its value, in PostgreSQL's words for its own.

/// One setting's description.
#[derive(Debug, Clone, Copy)]
pub(super) struct Described {
    pub(super) name: &'static str,
    pub(super) category: &'static str,
    pub(super) short_desc: &'static str,
    /// Its type where its kind does not tell it.
    pub(super) vartype: Option<&'static str>,
    /// Least and greatest value.
    pub(super) range: Option<(&'static str, &'static str)>,
}

const LOGGED: &str = "Reporting and Logging / What to Log";
const STATEMENTS: &str = "Client Connection Defaults / Statement Behavior";
const LOCALE: &str = "Client Connection Defaults / Locale and Formatting";
const AUTHENTICATION: &str = "Connections and Authentication / Authentication";
const PRESET: &str = "Preset Options";
const OURS: &str = "Customized Options";

const MILLISECONDS: Option<(&str, &str)> = Some(("0", "2147483647"));

const fn plain(name: &'static str, category: &'static str, short_desc: &'static str) -> Described {
    Described {
        name,
        category,
        short_desc,
        vartype: None,
        range: None,
    }
}

impl Described {
    const fn vartype(mut self, vartype: &'static str) -> Self {
        self.vartype = Some(vartype);
        self
    }

    const fn range(mut self, range: Option<(&'static str, &'static str)>) -> Self {
        self.range = range;
        self
    }
}

/// What is said of the setting `name`; nothing of those that `pg_settings` leaves out.
pub(super) fn described(name: &str) -> Option<&'static Described> {
    ALL.iter().find(|described| described.name == name)
}

const ALL: &[Described] = &[
    plain(
        "application_name",
        LOGGED,
        "Sets the application name to be reported in statistics and logs.",
    ),
    plain(
        "bytea_output",
        STATEMENTS,
        "Sets the output format for bytea.",
    ),
    plain(
        "client_encoding",
        LOCALE,
        "Sets the client's character set encoding.",
    ),
    plain(
        "client_min_messages",
        STATEMENTS,
        "Sets the message levels that are sent to the client.",
    ),
    plain(
        "data_directory_mode",
        PRESET,
        "Shows the mode of the data directory.",
    )
    .vartype("integer")
    .range(Some(("0", "511"))),
    plain(
        "DateStyle",
        LOCALE,
        "Sets the display format for date and time values.",
    ),
    plain(
        "default_transaction_deferrable",
        STATEMENTS,
        "Sets the default deferrable status of new transactions.",
    ),
    plain(
        "default_transaction_isolation",
        STATEMENTS,
        "Sets the transaction isolation level of each new transaction.",
    ),
    plain(
        "default_transaction_read_only",
        STATEMENTS,
        "Sets the default read-only status of new transactions.",
    ),
    plain(
        "extra_float_digits",
        LOCALE,
        "Sets the number of digits displayed for floating-point values.",
    )
    .range(Some(("-15", "3"))),
    plain(
        "idle_in_transaction_session_timeout",
        STATEMENTS,
        "Sets the maximum allowed idle time between queries, when in a transaction.",
    )
    .range(MILLISECONDS),
    plain(
        "idle_session_timeout",
        STATEMENTS,
        "Sets the maximum allowed idle time between queries, when not in a transaction.",
    )
    .range(MILLISECONDS),
    plain(
        "in_hot_standby",
        PRESET,
        "Shows whether hot standby is currently active.",
    )
    .vartype("bool"),
    plain(
        "integer_datetimes",
        PRESET,
        "Shows whether datetimes are integer based.",
    )
    .vartype("bool"),
    plain(
        "IntervalStyle",
        LOCALE,
        "Sets the display format for interval values.",
    ),
    plain(
        "lock_timeout",
        STATEMENTS,
        "Sets the maximum allowed duration of any wait for a lock.",
    )
    .range(MILLISECONDS),
    plain(
        "max_identifier_length",
        PRESET,
        "Shows the maximum identifier length.",
    )
    .vartype("integer")
    .range(Some(("63", "63"))),
    plain(
        "password_encryption",
        AUTHENTICATION,
        "Chooses the algorithm for encrypting passwords.",
    ),
    plain(
        "pgspool.producer",
        OURS,
        "Sets the name of the producer that numbers its records.",
    ),
    plain(
        "pgspool.region",
        OURS,
        "Sets the region that a subscriber is in.",
    ),
    plain(
        "search_path",
        STATEMENTS,
        "Sets the schema search order for names that are not schema-qualified.",
    ),
    plain(
        "server_encoding",
        PRESET,
        "Shows the server (database) character set encoding.",
    ),
    plain("server_version", PRESET, "Shows the server version."),
    plain(
        "server_version_num",
        PRESET,
        "Shows the server version as an integer.",
    )
    .vartype("integer"),
    plain(
        "standard_conforming_strings",
        "Version and Platform Compatibility / Previous PostgreSQL Versions",
        "Causes '...' strings to treat backslashes literally.",
    ),
    plain(
        "statement_timeout",
        STATEMENTS,
        "Sets the maximum allowed duration of any statement.",
    )
    .range(MILLISECONDS),
    plain(
        "synchronous_commit",
        "Write-Ahead Log / Settings",
        "Sets the current transaction's synchronization level.",
    ),
    plain(
        "TimeZone",
        LOCALE,
        "Sets the time zone for displaying and interpreting time stamps.",
    ),
    plain(
        "transaction_deferrable",
        STATEMENTS,
        "Whether to defer a read-only serializable transaction until it can be executed with no \
         possible serialization failures.",
    )
    .vartype("bool"),
    plain(
        "transaction_isolation",
        STATEMENTS,
        "Sets the current transaction's isolation level.",
    ),
    plain(
        "transaction_read_only",
        STATEMENTS,
        "Sets the current transaction's read-only status.",
    )
    .vartype("bool"),
    plain(
        "wal_level",
        "Write-Ahead Log / Settings",
        "Sets the level of information written to the WAL.",
    )
    .vartype("enum"),
    plain(
        "wal_segment_size",
        PRESET,
        "Shows the size of write ahead log segments.",
    )
    .vartype("integer"),
    plain(
        "wal_sender_timeout",
        "Replication / Sending Servers",
        "Sets the maximum time to wait for WAL replication.",
    )
    .range(MILLISECONDS),
];
