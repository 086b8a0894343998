//! Which rows a WHERE names: there are none to look at, so it must say the key itself.

use sqlparser::ast::{BinaryOperator, Expr, Ident, Spanned};

use super::super::bind::{Clause, Scope, Typed, folded, types};
use super::target::{column_at, scope_of};
use super::{Binder, BoundQuery, Coercion, KeyColumn, column, prepared};
use crate::datum::PgType;
use crate::pgerror::PgError;
use crate::publications::{RowOperation, check_publishable};
use crate::relations::{Relation, RelationColumn, ReplicaIdentity};

/// What a WHERE says of one column.
#[derive(Debug, Clone, Copy)]
enum Given<'e> {
    /// `= value`
    Value(&'e Expr),
    /// `IN (values)`
    Values(&'e [Expr]),
    /// `= ANY (array)`
    Array(&'e Expr),
}

/// A statement whose WHERE is read.
pub(super) struct KeyReader<'a, 'b> {
    pub(super) binder: &'a Binder<'b>,
    pub(super) table: &'a Relation,
    pub(super) alias: Option<&'a Ident>,
    /// The statement.
    pub(super) verb: RowOperation,
}

/// The places of the columns that tell a table's rows apart in what is published.
pub(super) fn key_places(table: &Relation) -> Option<Vec<usize>> {
    let key = match table.replica_identity {
        ReplicaIdentity::Index(_) => table.replica_identity_index(),
        ReplicaIdentity::Default | ReplicaIdentity::Full | ReplicaIdentity::Nothing => {
            table.primary_key()
        }
    }?;
    let place = |attnum: &i16| {
        let mut columns = table.live_columns();
        columns.position(|column| column.attnum == *attnum)
    };
    key.columns.iter().map(place).collect()
}

impl KeyReader<'_, '_> {
    /// The values of the key that `condition` fixes.
    pub(super) fn key(&self, condition: Option<&Expr>) -> Result<Vec<KeyColumn>, PgError> {
        let outer = Scope::default();
        let scope = scope_of(self.table, self.alias, |_, _| "NULL".to_owned(), &outer);
        scope.clause.set(Clause::Where);
        // First what PostgreSQL says of it, whatever its rows are.
        if let Some(condition) = condition {
            self.binder.condition(&scope, condition, "WHERE")?;
        }
        self.check_published()?;
        let Some(places) = key_places(self.table) else {
            return Err(self.keyless());
        };
        let condition = condition.ok_or_else(|| self.refused())?;
        let mut given = Vec::new();
        self.read(condition, &mut given)
            .map_err(|()| self.binder.at(condition.span(), self.refused()))?;
        let mut found: Vec<KeyColumn> = Vec::new();
        for (name, what) in given {
            let place = self.place(name);
            let place = place.filter(|place| places.contains(place));
            let is_new = |place: &usize| !found.iter().any(|known| known.place == *place);
            let place = place.filter(is_new);
            let place = place.ok_or_else(|| self.binder.at(name.span(), self.refused()))?;
            found.push(self.values(&scope, place, what)?);
        }
        if found.len() < places.len() {
            return Err(self.refused());
        }
        Ok(found)
    }

    fn check_published(&self) -> Result<(), PgError> {
        let set = self.binder.context.host.relations_seen();
        Ok(check_publishable(&set, self.table, self.verb)?)
    }

    /// `UPDATE` or `DELETE`, for errors.
    const fn word(&self) -> &'static str {
        match self.verb {
            RowOperation::Update => "UPDATE",
            RowOperation::Delete => "DELETE",
        }
    }

    fn place(&self, name: &Expr) -> Option<usize> {
        let name = column_name(name)?;
        let mut columns = self.table.live_columns();
        columns.position(|column| column.name == name)
    }

    /// Takes a condition apart.
    fn read<'e>(
        &self,
        condition: &'e Expr,
        given: &mut Vec<(&'e Expr, Given<'e>)>,
    ) -> Result<(), ()> {
        match condition {
            Expr::Nested(inner) => self.read(inner, given),
            Expr::BinaryOp { left, op, right } => match op {
                BinaryOperator::And => {
                    self.read(left, given)?;
                    self.read(right, given)
                }
                BinaryOperator::Eq => self.equal(left, right, given),
                _ => Err(()),
            },
            Expr::InList {
                expr,
                list,
                negated: false,
            } if self.place(expr).is_some() => {
                given.push((expr, Given::Values(list)));
                Ok(())
            }
            Expr::AnyOp {
                left,
                compare_op: BinaryOperator::Eq,
                right,
                ..
            } if self.place(left).is_some() && !matches!(**right, Expr::Subquery(_)) => {
                given.push((left, Given::Array(right)));
                Ok(())
            }
            _ => Err(()),
        }
    }

    fn equal<'e>(
        &self,
        left: &'e Expr,
        right: &'e Expr,
        given: &mut Vec<(&'e Expr, Given<'e>)>,
    ) -> Result<(), ()> {
        match (left, right) {
            (Expr::Nested(left), _) => self.equal(left, right, given),
            (_, Expr::Nested(right)) => self.equal(left, right, given),
            (Expr::Tuple(lefts), Expr::Tuple(rights)) if lefts.len() == rights.len() => {
                let mut pairs = lefts.iter().zip(rights);
                pairs.try_for_each(|(left, right)| self.equal(left, right, given))
            }
            _ if self.place(left).is_some() => {
                given.push((left, Given::Value(right)));
                Ok(())
            }
            _ if self.place(right).is_some() => {
                given.push((right, Given::Value(left)));
                Ok(())
            }
            _ => Err(()),
        }
    }

    /// What makes the values of one column.
    fn values(
        &self,
        scope: &Scope<'_>,
        place: usize,
        given: Given<'_>,
    ) -> Result<KeyColumn, PgError> {
        let target = column_at(self.table, place)?;
        let (sql, ty, is_array) = match given {
            Given::Value(value) => {
                let value = self.value(scope, value, target)?;
                (format!("SELECT {} AS c1", value.text()), value.ty, false)
            }
            Given::Values(values) => {
                let values = values.iter().map(|value| {
                    let value = self.value(scope, value, target)?;
                    Ok(format!("({})", value.text()))
                });
                let values: Vec<String> = values.collect::<Result<_, PgError>>()?;
                let sql = format!("VALUES {}", values.join(", "));
                (sql, target.column_type, false)
            }
            Given::Array(array) => {
                let of = types::array_of(target.column_type);
                let of = of.ok_or_else(|| self.binder.at(array.span(), self.refused()))?;
                let value = self.of_no_row(scope, array)?;
                let value = self.compared(value, of, array)?;
                (format!("SELECT {} AS c1", value.text()), of, true)
            }
        };
        let query = BoundQuery {
            sql,
            columns: vec![column(&target.name, ty)],
            fields: Vec::new(),
        };
        Ok(KeyColumn {
            place,
            values: prepared(self.binder, query),
            is_array,
        })
    }

    fn value(
        &self,
        scope: &Scope<'_>,
        value: &Expr,
        target: &RelationColumn,
    ) -> Result<Typed, PgError> {
        let bound = self.of_no_row(scope, value)?;
        let bound = self.compared(bound, target.column_type, value)?;
        if target.column_type != PgType::BPCHAR {
            return Ok(bound);
        }
        // Blanks at the end mean nothing when it is compared, and all when it is printed.
        self.binder
            .cast_to(bound, target.column_type, target.typmod)
    }

    /// An expression that reads no column.
    fn of_no_row(&self, scope: &Scope<'_>, value: &Expr) -> Result<Typed, PgError> {
        let before = scope.num_columns.get();
        let bound = self.binder.expr(scope, value)?;
        if scope.num_columns.get() > before {
            return Err(self.binder.at(value.span(), reads_columns(self.word())));
        }
        Ok(bound)
    }

    /// A value that a column of type `to` equals, as one of that type.
    fn compared(&self, value: Typed, to: PgType, written: &Expr) -> Result<Typed, PgError> {
        let from = value.ty;
        let element = |ty| types::element_of(ty).unwrap_or(ty);
        let both = |is: fn(PgType) -> bool| is(element(from)) && is(element(to));
        let how = if value.is_unknown() || Binder::is_implicit(from, to) {
            Coercion::Implicit
        } else if both(is_integer) || both(types::is_string) {
            Coercion::Assignment
        } else {
            let message = format!(
                "a key of type {} given as {} is not supported",
                types::display(to),
                types::display(from)
            );
            let error = PgError::unsupported(message).with_hint("Cast the value.");
            return Err(self.binder.at(written.span(), error));
        };
        let made = self.binder.coerce(value, to, how);
        made.map_err(|error| self.binder.at(written.span(), error))
    }

    /// The error for a WHERE that does not name rows by their key alone.
    fn refused(&self) -> PgError {
        let (verb, name) = (self.word(), &self.table.name);
        let message = format!(
            "pgspool keeps no rows to search: {verb} of table \"{name}\" needs a WHERE that gives \
             its key by equality"
        );
        let places = key_places(self.table).unwrap_or_default();
        let names = self.table.live_columns().enumerate();
        let names = names.filter(|(place, _)| places.contains(place));
        let terms: Vec<String> = names
            .map(|(_, column)| format!("{} = ...", crate::datum::quote_ident(&column.name)))
            .collect();
        let hint = format!(
            "Write WHERE {}; IN (...) and = ANY (...) name several rows. No other column may \
             stand there.",
            terms.join(" AND ")
        );
        PgError::unsupported(message).with_hint(hint)
    }

    fn keyless(&self) -> PgError {
        let (verb, name) = (self.word(), &self.table.name);
        let message = format!(
            "pgspool keeps no rows to search: {verb} needs a key, and table \"{name}\" has none"
        );
        let hint = "Give the table a primary key, or an index as its replica identity.";
        PgError::unsupported(message).with_hint(hint)
    }
}

/// The error for an expression that reads what is not kept.
pub(super) fn reads_columns(verb: &str) -> PgError {
    let message = format!("pgspool keeps no rows: {verb} cannot read columns in an expression");
    let hint = "Give the new value itself: a constant, a parameter, or an expression of those.";
    PgError::unsupported(message).with_hint(hint)
}

fn column_name(name: &Expr) -> Option<String> {
    match name {
        Expr::Identifier(ident) => Some(folded(ident)),
        // Which table it is of was checked when the condition was bound.
        Expr::CompoundIdentifier(idents) => idents.last().map(folded),
        Expr::Nested(inner) => column_name(inner),
        _ => None,
    }
}

const fn is_integer(ty: PgType) -> bool {
    matches!(ty, PgType::INT2 | PgType::INT4 | PgType::INT8)
}
