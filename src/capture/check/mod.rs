//! What an upstream lacks before it can be captured, each with the statement that mends it.

mod findings;

use crate::captures::{CaptureSettings, PasswordSource};

use super::upstream::{Connection, Purpose, UpstreamError};

/// What is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckRequest {
    /// The connection string.
    pub upstream: String,
    /// Where the password is.
    pub password: PasswordSource,
    /// The publications that are to be captured.
    pub publications: Vec<String>,
    /// The slot that is to be used.
    pub slot: Option<String>,
    /// A publication that is not there will be made.
    pub create_publication: bool,
}

/// How something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, and somebody should know.
    Note,
    /// Nothing can be captured like this.
    Missing,
}

impl Verdict {
    /// Its word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Missing => "missing",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What: `wal_level`, `publication`, ...
    pub name: &'static str,
    /// How it stands.
    pub verdict: Verdict,
    /// In words.
    pub words: String,
    /// A statement, or a step, that mends it.
    pub remedy: Option<String>,
}

impl Finding {
    fn ok(name: &'static str, words: impl Into<String>) -> Self {
        Self {
            name,
            verdict: Verdict::Ok,
            words: words.into(),
            remedy: None,
        }
    }

    fn with(
        name: &'static str,
        verdict: Verdict,
        words: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            name,
            verdict,
            words: words.into(),
            remedy: Some(remedy.into()),
        }
    }
}

impl Finding {
    /// Managed services let roles replicate that lack the attribute.
    fn is_let_in(&mut self) {
        if self.verdict == Verdict::Missing {
            self.verdict = Verdict::Note;
            self.words.push_str(" by its attributes, and is let in");
            self.remedy = None;
        }
    }
}

/// Looks at an upstream. What cannot be looked at is a finding, too.
pub async fn check(request: &CheckRequest) -> Vec<Finding> {
    let settings = CaptureSettings {
        upstream: request.upstream.clone(),
        password: request.password.clone(),
        publications: request.publications.clone(),
        slot: request.slot.clone().unwrap_or_default(),
        create_slot: true,
        create_publication: request.create_publication,
        heartbeat: None,
        paused: false,
    };
    let mut found = Vec::new();
    let mut connection = match Connection::connect(&settings, Purpose::Questions).await {
        Ok(connection) => connection,
        Err(error) => {
            let remedy = "see that the server listens there (listen_addresses), and that its \
                          pg_hba.conf lets this role into the database from this host";
            found.push(Finding::with(
                "connection",
                Verdict::Missing,
                error.to_string(),
                remedy,
            ));
            return found;
        }
    };
    found.push(Finding::ok(
        "connection",
        format!("{} answers", connection.target()),
    ));
    if let Err(error) = findings::look(&mut connection, request, &mut found).await {
        let remedy = "grant the role what the message says";
        found.push(Finding::with(
            "rights",
            Verdict::Missing,
            error.to_string(),
            remedy,
        ));
    }
    match Connection::connect(&settings, Purpose::Replication).await {
        Ok(_) => {
            let role = found.iter_mut().filter(|finding| finding.name == "role");
            role.for_each(Finding::is_let_in);
            found.push(Finding::ok(
                "replication",
                "a replication connection is let in",
            ));
        }
        Err(error) => found.push(no_replication(&error)),
    }
    found
}

fn no_replication(error: &UpstreamError) -> Finding {
    let remedy = "give the role REPLICATION, and see that the pg_hba.conf line for the database \
                  lets it in (logical replication needs no line \"replication\")";
    Finding::with("replication", Verdict::Missing, error.to_string(), remedy)
}
