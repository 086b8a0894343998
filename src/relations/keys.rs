//! Primary keys and unique constraints: which index a statement makes, and what it is called.

use crate::datum::{PgType, info};

use super::draft::{Draft, MAX_NAME, clip};
use super::{DefineError, NewKey, Relation, RelationKey};

impl Draft {
    /// Makes the indexes for `keys` of the table `oid`: the primary one first, and only one for
    /// the same columns.
    pub(super) fn add_keys(&mut self, oid: u32, keys: &[NewKey]) -> Result<(), DefineError> {
        for key in merged(keys) {
            self.add_key(oid, &key)?;
        }
        Ok(())
    }

    fn add_key(&mut self, oid: u32, key: &NewKey) -> Result<(), DefineError> {
        let table = self.table_mut(oid)?;
        if key.primary && table.primary_key().is_some() {
            let table = table.name.clone();
            let position = None;
            return Err(DefineError::ManyPrimaryKeys { table, position });
        }
        let columns = numbers(table, key)?;
        let (schema, table_name) = (table.schema.clone(), table.name.clone());
        let name = match &key.name {
            Some(name) if self.is_taken(&schema, name) => {
                return Err(DefineError::RelationExists(name.clone()));
            }
            Some(name) => name.clone(),
            None => self.choose_name(&schema, &table_name, key),
        };
        let made = RelationKey {
            index_oid: self.fresh_oid()?,
            constraint_oid: self.fresh_oid()?,
            name,
            columns,
            primary: key.primary,
        };
        let table = self.table_mut(oid)?;
        if key.primary {
            for column in &mut table.columns {
                column.not_null |= made.columns.contains(&column.attnum);
            }
        }
        table.keys.push(made);
        Ok(())
    }

    /// `table_pkey`, `table_column_key`, with a number behind where that is taken.
    pub(super) fn choose_name(&self, schema: &str, table: &str, key: &NewKey) -> String {
        let (columns, label) = if key.primary {
            (String::new(), "pkey")
        } else {
            (clip(&key.columns.join("_"), MAX_NAME).to_owned(), "key")
        };
        let mut number = 0_u32;
        loop {
            let label = match number {
                0 => label.to_owned(),
                number => format!("{label}{number}"),
            };
            let name = object_name(table, &columns, &label);
            if !self.is_taken(schema, &name) {
                return name;
            }
            number += 1;
        }
    }
}

/// `first_second_label` within the length of a name: the longer of the two is shortened first.
fn object_name(first: &str, second: &str, label: &str) -> String {
    let joints = if second.is_empty() { 1 } else { 2 };
    let room = MAX_NAME.saturating_sub(label.len() + joints);
    let (mut left, mut right) = (first.len(), second.len());
    while left + right > room {
        if left > right {
            left -= 1;
        } else {
            right -= 1;
        }
    }
    let first = clip(first, left);
    if second.is_empty() {
        format!("{first}_{label}")
    } else {
        format!("{first}_{}_{label}", clip(second, right))
    }
}

/// The primary key first; of several for the same columns one stays, with a name if any had one.
fn merged(keys: &[NewKey]) -> Vec<NewKey> {
    let mut ordered: Vec<&NewKey> = keys.iter().filter(|key| key.primary).collect();
    ordered.extend(keys.iter().filter(|key| !key.primary));
    let mut merged: Vec<NewKey> = Vec::new();
    for key in ordered {
        let same = merged.iter_mut().find(|made| made.columns == key.columns);
        match same {
            Some(made) if !key.primary => {
                if made.name.is_none() {
                    made.name.clone_from(&key.name);
                }
            }
            Some(_) | None => merged.push(key.clone()),
        }
    }
    merged
}

/// Numbers of the columns of `key`.
fn numbers(table: &Relation, key: &NewKey) -> Result<Vec<i16>, DefineError> {
    let mut numbers = Vec::with_capacity(key.columns.len());
    for name in &key.columns {
        let Some(column) = table.column(name) else {
            return Err(DefineError::NoKeyColumn {
                column: name.clone(),
                position: key.position,
            });
        };
        if numbers.contains(&column.attnum) {
            return Err(DefineError::KeyColumnTwice {
                column: name.clone(),
                primary: key.primary,
                position: key.position,
            });
        }
        numbers.push(column.attnum);
    }
    for number in &numbers {
        let column = table.columns.iter().find(|column| column.attnum == *number);
        if let Some(column) = column.filter(|column| !has_order(column.column_type)) {
            let type_name = crate::datum::format_type(column.column_type, -1);
            return Err(DefineError::NoOperatorClass { type_name });
        }
    }
    Ok(numbers)
}

/// Whether values of `ty` can be kept in order by an index.
pub(super) fn has_order(ty: PgType) -> bool {
    const UNORDERED: &[&str] = &[
        "json",
        "xml",
        "point",
        "lseg",
        "path",
        "box",
        "polygon",
        "line",
        "circle",
        "xid",
        "cid",
        "aclitem",
        "jsonpath",
        "txid_snapshot",
        "pg_snapshot",
        "refcursor",
        "gtsvector",
    ];
    match info(ty) {
        Some(found) if found.is_array() => has_order(found.elem),
        Some(found) => !UNORDERED.contains(&found.name),
        None => false,
    }
}
