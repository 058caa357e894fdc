use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::plan::{Target, Use};
use crate::sql::{Ident, TableName};

/// What one version of a service uses, as it declares it. A field that is not known is an
/// error: a misspelt `read` must not read as "reads nothing".
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Usage {
    /// The version of this format: 1.
    pub zdmig_usage: u32,
    /// The service.
    pub service: String,
    /// Its version.
    pub version: String,
    /// The commit it was built from.
    #[serde(default)]
    pub commit: Option<String>,
    /// Whether this is all that it uses.
    #[serde(default)]
    pub complete: bool,
    /// What it uses, by table.
    #[serde(default)]
    pub items: Vec<Item>,
    /// Constraints that every row it writes obeys.
    #[serde(default)]
    pub obeys: Vec<String>,
    /// Types that it copes with beside the one that a column has, by `table.column`.
    #[serde(default)]
    pub accepts: BTreeMap<String, Vec<String>>,
    /// Functions, types and sequences that its queries name; absent when it does not say.
    #[serde(default)]
    pub names: Option<Vec<String>>,
    /// Queries that could not be read.
    #[serde(default)]
    pub unresolved: Vec<Unresolved>,
}

/// What a version uses of one table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// The table, with or without its schema.
    pub table: String,
    /// Columns it reads.
    #[serde(default)]
    pub read: Vec<String>,
    /// Columns it writes.
    #[serde(default)]
    pub write: Vec<String>,
    /// Whether it selects `*`, which uses every column.
    #[serde(default)]
    pub star: bool,
    /// Whether it inserts without naming columns, which writes every one.
    #[serde(default)]
    pub positional: bool,
    /// Columns in which it may write NULL, or which its inserts leave out; absent when it
    /// does not say.
    #[serde(default)]
    pub nulls: Option<Vec<String>>,
    /// Columns that it names in `ON CONFLICT`; absent when it does not say.
    #[serde(default)]
    pub upsert: Option<Vec<String>>,
    /// Where it was found, for people.
    #[serde(default)]
    pub via: Vec<String>,
}

/// A query that could not be read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unresolved {
    /// Where it stands.
    pub at: String,
    /// Its text, as far as it is known.
    pub sql: String,
    /// Why it is no danger, if somebody looked.
    #[serde(default)]
    pub waiver: Option<String>,
}

/// Why a manifest cannot be used.
#[derive(Debug, Error)]
pub enum UsageError {
    /// It is not in the format.
    #[error("{0}")]
    Format(#[from] serde_json::Error),
    /// It is of a format that this program does not know.
    #[error("it has format {0}, and this zdmig reads format 1")]
    Version(u32),
}

/// Whether a version depends on a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::gate) enum Hit {
    /// No.
    None,
    /// Yes, in this way.
    Uses(String),
    /// The manifest does not say.
    Unsaid(String),
}

impl Usage {
    /// Reads a manifest.
    ///
    /// # Errors
    /// When it is not in the format.
    pub fn read(text: &str) -> Result<Self, UsageError> {
        let usage: Self = serde_json::from_str(text)?;
        if usage.zdmig_usage != 1 {
            return Err(UsageError::Version(usage.zdmig_usage));
        }
        Ok(usage)
    }

    /// What it says of tables of these names counts in any schema: where each tenant has one, a query
    /// means that of any of them, those that came after the manifest too.
    pub fn in_any_schema(&mut self, tables: &[TableName]) {
        let bare = |text: &mut String| {
            let own = TableName::from(text.clone());
            if tables.iter().any(|table| table.name == own.name) {
                *text = TableName { schema: None, ..own }.to_string();
            }
        };
        self.items.iter_mut().for_each(|item| bare(&mut item.table));
        self.names.iter_mut().flatten().for_each(bare);
    }

    /// Whether this version depends on a target, as far as its manifest says.
    pub(in crate::gate) fn hit(&self, target: &Target) -> Hit {
        let column = target.column.column.as_str();
        match &target.ends {
            Use::Names => return self.hit_name(&target.column.table),
            Use::Retypes(ty) if self.copes(target, ty) => {
                // By its place a column is found no more once the old one is gone.
                let positional = |item: &&Item| item.positional && item.is_of(&target.column.table);
                return match self.items.iter().find(positional) {
                    Some(_) => Hit::Uses("inserts without naming columns".into()),
                    None => Hit::None,
                };
            }
            Use::Breaks(rule)
                if self.obeys.iter().any(|one| one.eq_ignore_ascii_case(rule.as_str())) =>
            {
                return Hit::None;
            }
            _ => {}
        }
        let mut unsaid = Hit::None;
        for item in self.items.iter().filter(|item| item.is_of(&target.column.table)) {
            match item.hit(column, &target.ends) {
                Hit::None => {}
                Hit::Uses(how) => return Hit::Uses(format!("{how}{}", item.places())),
                hit @ Hit::Unsaid(_) => unsaid = hit,
            }
        }
        unsaid
    }

    /// Whether it says that it copes with a column of this type.
    fn copes(&self, target: &Target, ty: &str) -> bool {
        let column = target.column.column.as_str();
        self.accepts.iter().any(|(name, types)| {
            let Some((table, mine)) = name.rsplit_once('.') else { return false };
            let item = Item { table: table.to_owned(), ..Item::default() };
            mine.eq_ignore_ascii_case(column)
                && item.is_of(&target.column.table)
                && types.iter().any(|one| one.eq_ignore_ascii_case(ty))
        })
    }

    fn hit_name(&self, object: &TableName) -> Hit {
        let of = |name: &String| Item { table: name.clone(), ..Item::default() }.is_of(object);
        match &self.names {
            Some(names) if names.iter().any(of) => Hit::Uses("names it".into()),
            Some(_) => Hit::None,
            None => Hit::Unsaid("its manifest has no `names`".into()),
        }
    }

    /// Queries that could not be read and in which the target may stand.
    pub(in crate::gate) fn suspects<'a>(
        &'a self,
        target: &'a Target,
    ) -> impl Iterator<Item = &'a Unresolved> {
        let named =
            if target.is_whole() { &target.column.table.name } else { &target.column.column };
        let column = named.as_str().to_lowercase();
        self.unresolved.iter().filter(move |one| {
            let text = one.sql.to_lowercase();
            one.waiver.is_none()
                && (text.contains(&column) || text.contains('*') || text.contains('{'))
        })
    }
}

impl Item {
    /// A name without a schema may be any schema's.
    fn is_of(&self, table: &TableName) -> bool {
        let same = |a: &Ident, b: &Ident| a.as_str().eq_ignore_ascii_case(b.as_str());
        let mine = TableName::from(self.table.clone());
        same(&mine.name, &table.name)
            && match (&mine.schema, &table.schema) {
                (Some(a), Some(b)) => same(a, b),
                _ => true,
            }
    }

    /// Where it was found, for a person.
    fn places(&self) -> String {
        match self.via.as_slice() {
            [] => String::new(),
            [one] => format!(" ({one})"),
            [one, others @ ..] => format!(" ({one} and {} more)", others.len()),
        }
    }

    fn hit(&self, column: &str, ends: &Use) -> Hit {
        let names = |list: &[String]| list.iter().any(|one| one.eq_ignore_ascii_case(column));
        match ends {
            Use::Names => Hit::None,
            Use::Any if column == "*" => Hit::Uses("uses it".into()),
            Use::Breaks(rule) if names(&self.write) || self.positional => Hit::Uses(format!(
                "writes it, and its manifest does not say that it obeys `{rule}`"
            )),
            Use::Breaks(_) => Hit::None,
            Use::Retypes(ty) => match self.hit(column, &Use::Any) {
                Hit::Uses(how) => Hit::Uses(format!(
                    "{how}, and its manifest does not say that it accepts `{ty}`"
                )),
                other => other,
            },
            Use::Any => {
                let upserts = self.upsert.as_deref().is_some_and(names);
                match () {
                    () if names(&self.read) => Hit::Uses("reads it".into()),
                    () if names(&self.write) => Hit::Uses("writes it".into()),
                    () if upserts => Hit::Uses("upserts by it".into()),
                    () if self.star => Hit::Uses("selects `*`".into()),
                    () if self.positional => Hit::Uses("inserts without naming columns".into()),
                    () => Hit::None,
                }
            }
            Use::NullWrites => match &self.nulls {
                Some(list) if names(list) => Hit::Uses("may leave it NULL".into()),
                Some(_) => Hit::None,
                None if self.write.is_empty() && !self.positional => Hit::None,
                None => Hit::Unsaid("its manifest has no `nulls`".into()),
            },
            Use::Upserts => match &self.upsert {
                Some(list) if names(list) => Hit::Uses("upserts by it".into()),
                Some(_) => Hit::None,
                None if self.write.is_empty() && !self.positional => Hit::None,
                None => Hit::Unsaid("its manifest has no `upsert`".into()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::ColumnRef;

    fn target(ends: Use) -> Target {
        let table = TableName::new(Some("public"), "users");
        let column = ColumnRef::new(&table, &Ident::new("username"));
        Target { column, ends, replaced_by: None }
    }

    fn usage(item: &str) -> Usage {
        let text = format!(
            "{{\"zdmig_usage\":1,\"service\":\"api\",\"version\":\"1\",\"complete\":true,\
             \"items\":[{item}]}}"
        );
        Usage::read(&text).expect("valid")
    }

    #[test]
    fn every_way_of_using_a_column_is_a_hit() {
        for (item, expected) in [
            ("{\"table\":\"users\",\"read\":[\"username\"]}", true),
            ("{\"table\":\"public.users\",\"write\":[\"USERNAME\"]}", true),
            ("{\"table\":\"users\",\"star\":true}", true),
            ("{\"table\":\"users\",\"positional\":true}", true),
            ("{\"table\":\"users\",\"upsert\":[\"username\"]}", true),
            ("{\"table\":\"users\",\"read\":[\"email\"]}", false),
            ("{\"table\":\"other.users\",\"read\":[\"username\"]}", false),
            ("{\"table\":\"orders\",\"read\":[\"username\"]}", false),
        ] {
            let hit = usage(item).hit(&target(Use::Any));
            assert_eq!(matches!(hit, Hit::Uses(_)), expected, "{item}: {hit:?}");
        }
    }

    #[test]
    fn what_a_manifest_does_not_say_about_nulls_is_not_taken_for_no() {
        let hit = |item| usage(item).hit(&target(Use::NullWrites));
        assert!(matches!(hit("{\"table\":\"users\",\"write\":[\"id\"]}"), Hit::Unsaid(_)));
        assert_eq!(hit("{\"table\":\"users\",\"write\":[\"id\"],\"nulls\":[]}"), Hit::None);
        assert_eq!(hit("{\"table\":\"users\",\"read\":[\"username\"]}"), Hit::None);
    }

    #[test]
    fn a_misspelt_field_is_an_error() {
        let text = "{\"zdmig_usage\":1,\"service\":\"a\",\"version\":\"1\",\"items\":\
                    [{\"table\":\"users\",\"raed\":[\"username\"]}]}";
        assert!(Usage::read(text).is_err());
    }

    #[test]
    fn what_obeys_a_rule_may_write_and_what_names_an_object_is_a_hit() {
        let rule = target(Use::Breaks(Ident::new("users_email_check")));
        let mut writes = usage("{\"table\":\"users\",\"write\":[\"username\"]}");
        assert!(matches!(writes.hit(&rule), Hit::Uses(_)));
        writes.obeys.push("users_email_check".into());
        assert_eq!(writes.hit(&rule), Hit::None);
        let reads = usage("{\"table\":\"users\",\"read\":[\"username\"]}");
        assert_eq!(reads.hit(&rule), Hit::None);

        let gone = Target::named(&TableName::new(Some("public"), "slugify"));
        let mut calls = usage("");
        assert!(matches!(calls.hit(&gone), Hit::Unsaid(_)));
        calls.names = Some(vec!["other".into()]);
        assert_eq!(calls.hit(&gone), Hit::None);
        calls.names = Some(vec!["public.slugify".into()]);
        assert!(matches!(calls.hit(&gone), Hit::Uses(_)));

        let retyped = target(Use::Retypes("bigint".into()));
        let mut reader = usage("{\"table\":\"users\",\"read\":[\"username\"]}");
        assert!(matches!(reader.hit(&retyped), Hit::Uses(_)));
        reader.accepts.insert("public.users.username".into(), vec!["bigint".into()]);
        assert_eq!(reader.hit(&retyped), Hit::None);
        let mut positional = usage("{\"table\":\"users\",\"positional\":true}");
        positional.accepts.clone_from(&reader.accepts);
        assert!(matches!(positional.hit(&retyped), Hit::Uses(_)));

        let table = Target::relation(&TableName::new(Some("public"), "users"));
        assert!(matches!(reads.hit(&table), Hit::Uses(_)));
        assert_eq!(calls.hit(&table), Hit::None);
    }
}
