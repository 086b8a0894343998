//! Names of tables, columns and types: which words are keywords, and which names need quotes.

/// Where PostgreSQL allows a keyword that means something to its grammar as a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keyword {
    /// Nowhere.
    Reserved,
    /// Only for types and functions.
    TypeOrFunction,
    /// For anything but types and functions.
    ColumnName,
}

/// Whether `word`, in lower case, is a keyword; those that may be any name are none.
#[must_use]
pub fn keyword(word: &str) -> Option<Keyword> {
    let found = KEYWORDS
        .binary_search_by_key(&word, |(word, _)| word)
        .ok()?;
    KEYWORDS.get(found).map(|(_, kind)| *kind)
}

/// A name as PostgreSQL writes it: in quotes where it would not be read back without.
#[must_use]
pub fn quote_ident(name: &str) -> String {
    if is_plain_ident(name) {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

/// Whether a name is read back without quotes.
#[must_use]
pub fn is_plain_ident(name: &str) -> bool {
    let starts = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    starts && name.bytes().all(plain) && keyword(name).is_none()
}

/// PostgreSQL 15's, in order.
const KEYWORDS: &[(&str, Keyword)] = &[
    ("all", Keyword::Reserved),
    ("analyse", Keyword::Reserved),
    ("analyze", Keyword::Reserved),
    ("and", Keyword::Reserved),
    ("any", Keyword::Reserved),
    ("array", Keyword::Reserved),
    ("as", Keyword::Reserved),
    ("asc", Keyword::Reserved),
    ("asymmetric", Keyword::Reserved),
    ("authorization", Keyword::TypeOrFunction),
    ("between", Keyword::ColumnName),
    ("bigint", Keyword::ColumnName),
    ("binary", Keyword::TypeOrFunction),
    ("bit", Keyword::ColumnName),
    ("boolean", Keyword::ColumnName),
    ("both", Keyword::Reserved),
    ("case", Keyword::Reserved),
    ("cast", Keyword::Reserved),
    ("char", Keyword::ColumnName),
    ("character", Keyword::ColumnName),
    ("check", Keyword::Reserved),
    ("coalesce", Keyword::ColumnName),
    ("collate", Keyword::Reserved),
    ("collation", Keyword::TypeOrFunction),
    ("column", Keyword::Reserved),
    ("concurrently", Keyword::TypeOrFunction),
    ("constraint", Keyword::Reserved),
    ("create", Keyword::Reserved),
    ("cross", Keyword::TypeOrFunction),
    ("current_catalog", Keyword::Reserved),
    ("current_date", Keyword::Reserved),
    ("current_role", Keyword::Reserved),
    ("current_schema", Keyword::TypeOrFunction),
    ("current_time", Keyword::Reserved),
    ("current_timestamp", Keyword::Reserved),
    ("current_user", Keyword::Reserved),
    ("dec", Keyword::ColumnName),
    ("decimal", Keyword::ColumnName),
    ("default", Keyword::Reserved),
    ("deferrable", Keyword::Reserved),
    ("desc", Keyword::Reserved),
    ("distinct", Keyword::Reserved),
    ("do", Keyword::Reserved),
    ("else", Keyword::Reserved),
    ("end", Keyword::Reserved),
    ("except", Keyword::Reserved),
    ("exists", Keyword::ColumnName),
    ("extract", Keyword::ColumnName),
    ("false", Keyword::Reserved),
    ("fetch", Keyword::Reserved),
    ("float", Keyword::ColumnName),
    ("for", Keyword::Reserved),
    ("foreign", Keyword::Reserved),
    ("freeze", Keyword::TypeOrFunction),
    ("from", Keyword::Reserved),
    ("full", Keyword::TypeOrFunction),
    ("grant", Keyword::Reserved),
    ("greatest", Keyword::ColumnName),
    ("group", Keyword::Reserved),
    ("grouping", Keyword::ColumnName),
    ("having", Keyword::Reserved),
    ("ilike", Keyword::TypeOrFunction),
    ("in", Keyword::Reserved),
    ("initially", Keyword::Reserved),
    ("inner", Keyword::TypeOrFunction),
    ("inout", Keyword::ColumnName),
    ("int", Keyword::ColumnName),
    ("integer", Keyword::ColumnName),
    ("intersect", Keyword::Reserved),
    ("interval", Keyword::ColumnName),
    ("into", Keyword::Reserved),
    ("is", Keyword::TypeOrFunction),
    ("isnull", Keyword::TypeOrFunction),
    ("join", Keyword::TypeOrFunction),
    ("lateral", Keyword::Reserved),
    ("leading", Keyword::Reserved),
    ("least", Keyword::ColumnName),
    ("left", Keyword::TypeOrFunction),
    ("like", Keyword::TypeOrFunction),
    ("limit", Keyword::Reserved),
    ("localtime", Keyword::Reserved),
    ("localtimestamp", Keyword::Reserved),
    ("national", Keyword::ColumnName),
    ("natural", Keyword::TypeOrFunction),
    ("nchar", Keyword::ColumnName),
    ("none", Keyword::ColumnName),
    ("normalize", Keyword::ColumnName),
    ("not", Keyword::Reserved),
    ("notnull", Keyword::TypeOrFunction),
    ("null", Keyword::Reserved),
    ("nullif", Keyword::ColumnName),
    ("numeric", Keyword::ColumnName),
    ("offset", Keyword::Reserved),
    ("on", Keyword::Reserved),
    ("only", Keyword::Reserved),
    ("or", Keyword::Reserved),
    ("order", Keyword::Reserved),
    ("out", Keyword::ColumnName),
    ("outer", Keyword::TypeOrFunction),
    ("overlaps", Keyword::TypeOrFunction),
    ("overlay", Keyword::ColumnName),
    ("placing", Keyword::Reserved),
    ("position", Keyword::ColumnName),
    ("precision", Keyword::ColumnName),
    ("primary", Keyword::Reserved),
    ("real", Keyword::ColumnName),
    ("references", Keyword::Reserved),
    ("returning", Keyword::Reserved),
    ("right", Keyword::TypeOrFunction),
    ("row", Keyword::ColumnName),
    ("select", Keyword::Reserved),
    ("session_user", Keyword::Reserved),
    ("setof", Keyword::ColumnName),
    ("similar", Keyword::TypeOrFunction),
    ("smallint", Keyword::ColumnName),
    ("some", Keyword::Reserved),
    ("substring", Keyword::ColumnName),
    ("symmetric", Keyword::Reserved),
    ("table", Keyword::Reserved),
    ("tablesample", Keyword::TypeOrFunction),
    ("then", Keyword::Reserved),
    ("time", Keyword::ColumnName),
    ("timestamp", Keyword::ColumnName),
    ("to", Keyword::Reserved),
    ("trailing", Keyword::Reserved),
    ("treat", Keyword::ColumnName),
    ("trim", Keyword::ColumnName),
    ("true", Keyword::Reserved),
    ("union", Keyword::Reserved),
    ("unique", Keyword::Reserved),
    ("user", Keyword::Reserved),
    ("using", Keyword::Reserved),
    ("values", Keyword::ColumnName),
    ("varchar", Keyword::ColumnName),
    ("variadic", Keyword::Reserved),
    ("verbose", Keyword::TypeOrFunction),
    ("when", Keyword::Reserved),
    ("where", Keyword::Reserved),
    ("window", Keyword::Reserved),
    ("with", Keyword::Reserved),
    ("xmlattributes", Keyword::ColumnName),
    ("xmlconcat", Keyword::ColumnName),
    ("xmlelement", Keyword::ColumnName),
    ("xmlexists", Keyword::ColumnName),
    ("xmlforest", Keyword::ColumnName),
    ("xmlnamespaces", Keyword::ColumnName),
    ("xmlparse", Keyword::ColumnName),
    ("xmlpi", Keyword::ColumnName),
    ("xmlroot", Keyword::ColumnName),
    ("xmlserialize", Keyword::ColumnName),
    ("xmltable", Keyword::ColumnName),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_can_be_searched() {
        assert!(KEYWORDS.is_sorted_by_key(|(word, _)| word));
        assert_eq!(keyword("select"), Some(Keyword::Reserved));
        assert_eq!(keyword("values"), Some(Keyword::ColumnName));
        assert_eq!(keyword("document"), None);
    }

    #[test]
    fn names_are_quoted_as_postgresql_does() {
        for (name, wanted) in [
            ("users", "users"),
            ("_a1", "_a1"),
            ("Orders x", "\"Orders x\""),
            ("user", "\"user\""),
            ("document", "document"),
            ("1a", "\"1a\""),
            ("", "\"\""),
            ("café", "\"café\""),
            ("a\"b", "\"a\"\"b\""),
        ] {
            assert_eq!(quote_ident(name), wanted);
        }
    }
}
