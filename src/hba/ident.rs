//! `pg_ident.conf`: which roles a user of the operating system, or the owner of a certificate, may
//! take.

use regex::Regex;

use super::tokens::{self, Line, Token};
use super::{HbaError, sorted};

/// All maps.
#[derive(Debug, Clone, Default)]
pub struct IdentMaps {
    maps: Vec<IdentMap>,
}

/// One line of a map.
#[derive(Debug, Clone)]
pub struct IdentMap {
    /// Its line in the file, from 1.
    pub line: u32,
    /// Name of the map.
    pub map: String,
    /// The user as the system or the certificate names it; a regular expression behind a slash.
    pub system_user: String,
    /// The role; `\1` in it stands for what the expression's first group found.
    pub role: String,
    pattern: Option<Regex>,
}

impl IdentMaps {
    /// Reads the text of a `pg_ident.conf`.
    ///
    /// # Errors
    ///
    /// All that is wrong in it.
    pub fn parse(text: &str) -> Result<Self, Vec<HbaError>> {
        let maps = sorted(Self::parse_lines(text))?;
        Ok(Self { maps })
    }

    /// Each line of the text that holds something, or what is wrong with it.
    pub fn parse_lines(text: &str) -> Vec<Result<IdentMap, HbaError>> {
        let lines = tokens::lines(text).into_iter();
        lines
            .map(|line| line.and_then(|line| IdentMap::parse(&line)))
            .collect()
    }

    /// Whether `system_user` may be `role`; without a map only who has the same name may.
    pub fn allow(&self, map: Option<&str>, system_user: &str, role: &str) -> bool {
        let Some(map) = map.filter(|map| !map.is_empty()) else {
            return system_user == role;
        };
        let mut lines = self.maps.iter().filter(|line| line.map == map);
        lines.any(|line| line.allows(system_user, role))
    }
}

impl IdentMap {
    fn parse(line: &Line) -> Result<Self, HbaError> {
        parse(line).map_err(|message| HbaError {
            line: line.number,
            message,
        })
    }

    fn allows(&self, system_user: &str, role: &str) -> bool {
        let Some(pattern) = &self.pattern else {
            return self.system_user == system_user && self.role == role;
        };
        let Some(found) = pattern.captures(system_user) else {
            return false;
        };
        match self.role.split_once("\\1") {
            None => self.role == role,
            Some((before, behind)) => {
                let middle = role
                    .strip_prefix(before)
                    .and_then(|rest| rest.strip_suffix(behind));
                // A group that took no part stands for nobody.
                let group = found.get(1).map(|group| group.as_str());
                group.is_some() && middle == group
            }
        }
    }
}

fn parse(line: &Line) -> Result<IdentMap, String> {
    let mut fields = line.fields.iter();
    let mut only = || match fields.next().map(Vec::as_slice) {
        Some([Token { text, .. }]) => Ok(text.clone()),
        Some(_) => Err("multiple values in ident field".to_owned()),
        None => Err("missing entry at end of line".to_owned()),
    };
    let (map, system_user, role) = (only()?, only()?, only()?);
    let pattern = match system_user.strip_prefix('/') {
        None => None,
        Some(text) => Some(Regex::new(text).map_err(|error| {
            let why = error.to_string();
            let why = why.lines().last().unwrap_or_default().trim().to_owned();
            format!("invalid regular expression \"{text}\": {why}")
        })?),
    };
    let num_groups = pattern.as_ref().map_or(0, |regex| regex.captures_len());
    if pattern.is_some() && num_groups < 2 && role.contains("\\1") {
        return Err(format!(
            "regular expression \"{}\" has no subexpressions as requested by backreference in \
             \"{role}\"",
            system_user.trim_start_matches('/')
        ));
    }
    Ok(IdentMap {
        line: line.number,
        map,
        system_user,
        role,
        pattern,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_say_which_role_a_system_user_may_be() {
        let text = "# comment\n\
                    os root pgspool\n\
                    os \"ann b\" ann\n\
                    mail /^(.*)@example\\.com$ \\1\n\
                    mail /^(.*)@example\\.org$ x_\\1_y\n\
                    mail /^guest guest\n";
        let maps = IdentMaps::parse(text).unwrap();
        for (map, system_user, role, wanted) in [
            (None, "ann", "ann", true),
            (None, "ann", "bob", false),
            (Some(""), "ann", "ann", true),
            (Some("os"), "root", "pgspool", true),
            (Some("os"), "root", "root", false),
            (Some("os"), "ann b", "ann", true),
            (Some("nosuch"), "ann", "ann", false),
            (Some("mail"), "ann@example.com", "ann", true),
            (Some("mail"), "ann@example.com", "bob", false),
            (Some("mail"), "ann@example.org", "x_ann_y", true),
            (Some("mail"), "ann@example.org", "x_ann", false),
            (Some("mail"), "guest7", "guest", true),
            (Some("mail"), "aguest", "guest", false),
        ] {
            let found = maps.allow(map, system_user, role);
            assert_eq!(found, wanted, "{map:?} {system_user} {role}");
        }
    }

    #[test]
    fn all_mistakes_of_maps_are_told_with_their_lines() {
        let text = "a b\na b,c d\na /( c\na /x \\1\n";
        let errors = IdentMaps::parse(text).unwrap_err();
        let told: Vec<_> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(told[0], "line 1: missing entry at end of line");
        assert_eq!(told[1], "line 2: multiple values in ident field");
        assert!(told[2].starts_with("line 3: invalid regular expression \"(\": "));
        assert!(told[3].starts_with("line 4: regular expression \"x\" has no subexpressions"));
    }
}
