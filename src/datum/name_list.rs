//! A list of names as PostgreSQL reads it: `a, B, "C d"`.

/// The most bytes of a name.
const MAX_NAME: usize = 63;

/// The names in `list`: separated by commas, in lower case unless they are quoted, cut after 63
/// bytes. `None` when it is no list. An empty list has no names.
#[must_use]
pub fn split_names(list: &str) -> Option<Vec<String>> {
    let mut names = Vec::new();
    let mut rest = list.trim_start_matches(is_space);
    if rest.is_empty() {
        return Some(names);
    }
    loop {
        let name = if let Some(quoted) = rest.strip_prefix('"') {
            let name;
            (name, rest) = up_to_quote(quoted)?;
            name
        } else {
            let ends = |c: char| c == ',' || is_space(c);
            let (name, behind) = rest.split_at(rest.find(ends).unwrap_or(rest.len()));
            rest = behind;
            if name.is_empty() {
                return None;
            }
            name.to_ascii_lowercase()
        };
        names.push(clip(&name).to_owned());
        rest = rest.trim_start_matches(is_space);
        if rest.is_empty() {
            return Some(names);
        }
        rest = rest.strip_prefix(',')?.trim_start_matches(is_space);
    }
}

/// The name up to the quote that ends it, and what is behind that. Two quotes are one in it.
fn up_to_quote(quoted: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut rest = quoted;
    loop {
        let (part, behind) = rest.split_once('"')?;
        name.push_str(part);
        rest = behind;
        match rest.strip_prefix('"') {
            Some(behind) => {
                name.push('"');
                rest = behind;
            }
            None => return Some((name, rest)),
        }
    }
}

const fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0c')
}

fn clip(name: &str) -> &str {
    name.get(..name.floor_char_boundary(MAX_NAME))
        .unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_as_postgresql_does() {
        let cases: &[(&str, Option<&[&str]>)] = &[
            ("", Some(&[])),
            ("  ", Some(&[])),
            ("a", Some(&["a"])),
            (" PUB1 ,\tpub1\n", Some(&["pub1", "pub1"])),
            ("\"A b\",c", Some(&["A b", "c"])),
            ("\"a\"\"B\"", Some(&["a\"B"])),
            ("\"\"", Some(&[""])),
            ("1a-b!", Some(&["1a-b!"])),
            ("a\"b", Some(&["a\"b"])),
            ("ÄÖ", Some(&["ÄÖ"])),
            ("a,", None),
            (",a", None),
            ("a,,b", None),
            ("a b", None),
            ("\"a", None),
            ("\"a\"b", None),
            (",", None),
        ];
        for (list, wanted) in cases {
            let names = split_names(list);
            let names: Option<Vec<&str>> = names
                .as_ref()
                .map(|names| names.iter().map(String::as_str).collect());
            assert_eq!(names.as_deref(), *wanted, "{list}");
        }
        let long = "x".repeat(62) + "ß";
        assert_eq!(split_names(&long), Some(vec!["x".repeat(62)]));
    }
}
