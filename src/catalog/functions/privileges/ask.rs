//! The questions themselves: whose privileges, of what object, and which.

use super::super::Call;
use super::super::args::{bool_datum, oid, text};
use crate::catalog::views::{self, fixed_schema, is_member, may_read};
use crate::datum::{Datum, DatumError, Names, PgType as T, text_in};
use crate::pgerror::PgError;
use crate::roles::Role;

/// Privileges by what they are for, as PostgreSQL knows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Privilege {
    Select,
    Insert,
    Update,
    Delete,
    Truncate,
    /// REFERENCES, TRIGGER, RULE: nobody but a superuser has them.
    Other,
    Create,
    Temporary,
    Connect,
    Usage,
    Execute,
    Member,
}

/// Privileges with the words for them.
type Words = &'static [(&'static str, Privilege)];

const OF_TABLES: Words = &[
    ("select", Privilege::Select),
    ("insert", Privilege::Insert),
    ("update", Privilege::Update),
    ("delete", Privilege::Delete),
    ("truncate", Privilege::Truncate),
    ("references", Privilege::Other),
    ("trigger", Privilege::Other),
    ("rule", Privilege::Other),
];
const OF_COLUMNS: Words = &[
    ("select", Privilege::Select),
    ("insert", Privilege::Insert),
    ("update", Privilege::Update),
    ("references", Privilege::Other),
];
const OF_SEQUENCES: Words = &[
    ("usage", Privilege::Usage),
    ("select", Privilege::Select),
    ("update", Privilege::Update),
];
const OF_DATABASES: Words = &[
    ("create", Privilege::Create),
    ("temporary", Privilege::Temporary),
    ("temp", Privilege::Temporary),
    ("connect", Privilege::Connect),
];
const OF_SCHEMAS: Words = &[("create", Privilege::Create), ("usage", Privilege::Usage)];
const OF_FUNCTIONS: Words = &[("execute", Privilege::Execute)];
const OF_TABLESPACES: Words = &[("create", Privilege::Create)];
const TO_USE: Words = &[("usage", Privilege::Usage)];
const OF_ROLES: Words = &[("usage", Privilege::Usage), ("member", Privilege::Member)];

/// Whose privileges are asked for.
struct Asked<'a> {
    oid: u32,
    /// `None`: everybody, a predefined role, or one that is gone.
    role: Option<&'a Role>,
}

impl Asked<'_> {
    fn is_superuser(&self) -> bool {
        self.role.is_some_and(|role| role.rights.superuser)
    }

    fn publishes(&self) -> bool {
        self.role.is_some_and(|role| role.rights.publish)
    }
}

/// The question behind all these functions: `who` (or the session), an object, maybe a column, and
/// a list of privileges, of which one is enough. `behind`: arguments behind the object.
fn ask(
    call: &Call<'_>,
    args: &[Datum],
    behind: usize,
    words: Words,
    object: impl Fn(&Datum) -> Result<Option<u32>, PgError>,
    has: impl Fn(&Asked<'_>, u32, Privilege) -> bool,
) -> Result<Datum, PgError> {
    if args.iter().any(|arg| matches!(arg, Datum::Null)) {
        return Ok(Datum::Null);
    }
    let Some(at) = args.len().checked_sub(behind + 1) else {
        return Ok(Datum::Null);
    };
    let asked = asked(call, args, at, words == OF_ROLES)?;
    let found = args.get(at).map(object).transpose()?.flatten();
    let privileges = privileges(text(args, args.len().saturating_sub(1))?, words)?;
    Ok(found.map_or(Datum::Null, |oid| {
        let one = |(privilege, passed_on): &(Privilege, bool)| {
            asked.is_superuser() || (!passed_on && has(&asked, oid, *privilege))
        };
        bool_datum(privileges.iter().any(one))
    }))
}

/// The role in front of the object, or the session's.
fn asked<'a>(
    call: &Call<'a>,
    args: &[Datum],
    at: usize,
    is_of_roles: bool,
) -> Result<Asked<'a>, PgError> {
    let roles = call.context.roles();
    let oid = match args.first() {
        Some(Datum::Text(name)) if at > 0 && (is_of_roles || name != "public") => {
            role_named(call, name)?
        }
        Some(Datum::Int(_)) if at > 0 => oid(args, 0)?,
        Some(_) if at > 0 => 0,
        Some(_) | None => call.context.host.session().role,
    };
    let role = roles.find_oid(oid);
    Ok(Asked { oid, role })
}

/// The OID of a role, by its name as it is.
fn role_named(call: &Call<'_>, name: &str) -> Result<u32, PgError> {
    let known = call.names().oid_of(T::REGROLE, &quoted(name));
    known.ok_or_else(|| {
        let name = name.to_owned();
        DatumError::UndefinedObject { kind: "role", name }.into()
    })
}

/// The privileges of a list, each with whether it must be possible to pass it on.
fn privileges(list: &str, words: Words) -> Result<Vec<(Privilege, bool)>, PgError> {
    let one = |item: &str| {
        let item = item.trim();
        let lower = item.to_ascii_lowercase();
        let mut passed_on = false;
        let mut name = lower.as_str();
        for option in [" with grant option", " with admin option"] {
            if let Some(before) = name.strip_suffix(option) {
                (name, passed_on) = (before, true);
            }
        }
        let known = words.iter().find(|(word, _)| *word == name);
        known
            .map(|(_, privilege)| (*privilege, passed_on))
            .ok_or_else(|| {
                let message = format!("unrecognized privilege type: \"{item}\"");
                PgError::error("22023", message)
            })
    };
    list.split(',').map(one).collect()
}

/// An object of a reg* type: a name that is none is an error, an OID that is none is NULL.
fn object(call: &Call<'_>, ty: T, given: &Datum) -> Result<Option<u32>, PgError> {
    let names = call.names();
    match given {
        Datum::Text(name) => match text_in(ty, name, &names, call.style())? {
            Datum::Int(oid) => Ok(u32::try_from(oid).ok()),
            Datum::Null | Datum::Float(_) | Datum::Text(_) | Datum::Bytes(_) => Ok(None),
        },
        Datum::Int(number) => {
            let oid = u32::try_from(*number).ok();
            Ok(oid.filter(|oid| names.name_of(ty, *oid).is_some()))
        }
        Datum::Null | Datum::Float(_) | Datum::Bytes(_) => Ok(None),
    }
}

/// A name is given as it is, not as SQL writes it.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The same for a name that is given as it is.
fn named_object(call: &Call<'_>, ty: T, given: &Datum) -> Result<Option<u32>, PgError> {
    match given {
        Datum::Text(name) => object(call, ty, &Datum::Text(quoted(name))),
        Datum::Null | Datum::Int(_) | Datum::Float(_) | Datum::Bytes(_) => object(call, ty, given),
    }
}

pub(super) fn relation(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let object = |given: &Datum| object(call, T::REGCLASS, given);
    ask(call, args, 1, OF_TABLES, object, of_relation)
}

pub(super) fn column(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let object = |given: &Datum| object(call, T::REGCLASS, given);
    ask(call, args, 2, OF_COLUMNS, object, of_relation)
}

pub(super) fn sequence(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let object = |given: &Datum| object(call, T::REGCLASS, given);
    ask(call, args, 1, OF_SEQUENCES, object, of_relation)
}

/// Of a view, or a table of the session's database.
fn of_relation(asked: &Asked<'_>, oid: u32, privilege: Privilege) -> bool {
    if let Some(view) = views::all().iter().find(|view| view.oid == oid) {
        return privilege == Privilege::Select && may_read(view, asked.is_superuser());
    }
    match privilege {
        Privilege::Select => asked.role.is_some_and(|role| role.rights.replication),
        Privilege::Insert | Privilege::Update | Privilege::Delete | Privilege::Truncate => {
            asked.publishes()
        }
        Privilege::Other
        | Privilege::Create
        | Privilege::Temporary
        | Privilege::Connect
        | Privilege::Usage
        | Privilege::Execute
        | Privilege::Member => false,
    }
}

pub(super) fn schema(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let object = |given: &Datum| named_object(call, T::REGNAMESPACE, given);
    ask(
        call,
        args,
        1,
        OF_SCHEMAS,
        object,
        |asked, oid, privilege| {
            let fixed = ["pg_catalog", "pg_toast", "pgspool", "information_schema"];
            let is_fixed = fixed.iter().any(|name| fixed_schema(name) == oid);
            privilege == Privilege::Usage || (asked.publishes() && !is_fixed)
        },
    )
}

pub(super) fn function(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let object = |given: &Datum| object(call, T::REGPROCEDURE, given);
    ask(call, args, 1, OF_FUNCTIONS, object, |_, _, _| true)
}

pub(super) fn data_type(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let object = |given: &Datum| object(call, T::REGTYPE, given);
    ask(call, args, 1, TO_USE, object, |_, _, _| true)
}

pub(super) fn language(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    ask(call, args, 1, TO_USE, |_| Ok(Some(0)), |_, _, _| true)
}

pub(super) fn tablespace(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let any = |_: &Datum| Ok(Some(0));
    ask(call, args, 1, OF_TABLESPACES, any, |_, _, _| false)
}

pub(super) fn role(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let object = |given: &Datum| named_object(call, T::REGROLE, given);
    ask(call, args, 1, OF_ROLES, object, |asked, of, _| {
        is_member(call.context.roles(), asked.oid, of)
    })
}

pub(super) fn database(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let databases = call.context.databases();
    let object = |given: &Datum| match given {
        Datum::Text(name) => {
            let mut named = databases.iter();
            let found = named.find(|database| database.state.database == *name);
            found.map(|database| Some(database.oid)).ok_or_else(|| {
                let message = format!("database \"{name}\" does not exist");
                PgError::error("3D000", message)
            })
        }
        Datum::Int(oid) => {
            let is_there = |database: &u32| i64::from(*database) == *oid;
            Ok(databases.iter().map(|database| database.oid).find(is_there))
        }
        Datum::Null | Datum::Float(_) | Datum::Bytes(_) => Ok(None),
    };
    ask(
        call,
        args,
        1,
        OF_DATABASES,
        object,
        |asked, oid, privilege| {
            let mut known = databases.iter();
            let name = known.find(|database| database.oid == oid);
            let may_use = name.is_some_and(|database| {
                let name = &database.state.database;
                asked.role.is_some_and(|role| role.may_use(name))
            });
            may_use
                && (privilege == Privilege::Connect
                    || (privilege == Privilege::Create && asked.publishes()))
        },
    )
}
