use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::sql::{Ident, TableName};

/// A table and everything that hangs on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Its full name.
    pub name: TableName,
    /// Whether nothing is known of it but its name: a statement that is run as written made
    /// it, and the server alone knows what came out.
    pub vague: bool,
    /// What kind of table.
    pub kind: TableKind,
    /// Its partitions, those of partitions too.
    pub partitions: Vec<TableName>,
    /// The expression by which its rows are spread over partitions, where that is one; as the
    /// server prints it.
    #[serde(default)]
    pub part_key: Option<String>,
    /// The partition for rows that belong to no other.
    #[serde(default)]
    pub part_default: Option<TableName>,
    /// The rows for which it is a partition, in the words of ATTACH.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<String>,
    /// Its columns, in the table's order.
    pub columns: Vec<Column>,
    /// The columns of its primary key, in the key's order.
    pub key: Vec<Ident>,
    /// Its indexes, those of constraints too.
    pub indexes: Vec<Index>,
    /// Its constraints but for not null.
    pub constraints: Vec<Constraint>,
    /// Whatever else would be lost or in the way if a column went.
    pub dependents: Vec<Dependent>,
    /// Estimated rows; statistics, so not part of any fingerprint.
    pub rows: u64,
    /// Bytes on disk without indexes; not part of any fingerprint.
    pub bytes: u64,
    /// Whether taking privileges away would stop an application from using a column.
    pub guarded: bool,
    /// Privileges on the table as a whole, the owner's apart.
    pub grants: Vec<Grant>,
    /// Its comment.
    pub comment: Option<String>,
    /// How subscribers tell its rows, where that is not by the primary key: the words of the
    /// statement that says so.
    pub row_identity: Option<String>,
    /// What is set for it that is not the default, in the words that set it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<String>,
    /// Its triggers, ours apart.
    pub triggers: Vec<Trigger>,
    /// Columns that an earlier contract has retired and not yet purged.
    pub retired: Vec<Ident>,
    /// What is said of its indexes and constraints beside their definitions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub marks: Vec<Mark>,
}

/// Something that an index or a constraint has beside its definition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mark {
    /// A comment on an index.
    IndexComment(Ident, String),
    /// A comment on a constraint.
    ConstraintComment(Ident, String),
    /// The rows were put into the order of this index.
    Clustered(Ident),
    /// The index lies elsewhere than its table's database.
    Elsewhere(Ident),
    /// How much is sampled of the index's column of that number.
    Statistics(Ident, i32, i32),
}

impl Mark {
    /// The index or constraint that it is about.
    pub fn name(&self) -> &Ident {
        match self {
            Self::IndexComment(name, _)
            | Self::ConstraintComment(name, _)
            | Self::Clustered(name)
            | Self::Elsewhere(name)
            | Self::Statistics(name, ..) => name,
        }
    }

    pub(crate) fn name_mut(&mut self) -> &mut Ident {
        match self {
            Self::IndexComment(name, _)
            | Self::ConstraintComment(name, _)
            | Self::Clustered(name)
            | Self::Elsewhere(name)
            | Self::Statistics(name, ..) => name,
        }
    }
}

/// Kinds of tables that differ in what can be done to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TableKind {
    /// One relation of its own.
    Ordinary,
    /// A parent of partitions, or part of an inheritance tree.
    Partitioned,
    /// A partition without partitions of its own.
    Partition,
    /// A view, materialized or not: it stands where a table can.
    View,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: Ident,
    /// The type in the server's own words, with length and precision.
    pub type_name: String,
    /// A collation other than the type's own.
    pub collation: Option<String>,
    /// Whether it takes NULL.
    pub nullable: bool,
    /// What an insert that leaves it out gets.
    pub default: Option<Default>,
    /// Its comment.
    pub comment: Option<String>,
    /// Privileges granted on this column alone.
    pub grants: Vec<Grant>,
    /// What makes it more than a plain column, in words: generated, identity, an owned
    /// sequence.
    pub peculiar: Vec<String>,
    /// How its values are stored and counted, where that is not as its type has it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<Setting>,
}

/// A setting of a column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// The words that make it so, after the column's name.
    pub clause: String,
    /// Whether it belongs to the type, so that another type does not keep it.
    pub of_type: bool,
}

/// A column's default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Default {
    /// The expression, as the server prints it.
    pub sql: String,
    /// Whether it is a literal, the same for every row.
    pub constant: bool,
}

/// A privilege on one column or one table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The role, as the server prints it; `None` for everybody.
    pub role: Option<Ident>,
    /// The privilege in the server's own word.
    pub privilege: String,
    /// Whether it may be passed on.
    pub grantable: bool,
}

/// A trigger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trigger {
    /// Its name.
    pub name: Ident,
    /// The function that it calls.
    pub function: TableName,
    /// The statement that would make it, as the server prints it.
    pub definition: String,
    /// When it fires, where that is not always for what applications do: the word that says
    /// so, before `TRIGGER`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Its comment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// An index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    /// Its name.
    pub name: Ident,
    /// The statement that would make it, as the server prints it; empty where it was made
    /// by a constraint and has none.
    pub definition: String,
    /// Whether it forbids duplicates.
    pub unique: bool,
    /// Every column it touches, in keys, included columns, expressions and predicate.
    pub columns: BTreeSet<Ident>,
    /// The key columns, where all keys are plain columns.
    pub keys: Vec<Ident>,
    /// The constraint that owns it.
    pub constraint: Option<Ident>,
    /// Whether the server can use it.
    pub valid: bool,
}

/// A constraint but for not null.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Constraint {
    /// Its name; empty where the server keeps none.
    pub name: Ident,
    /// What it demands.
    pub kind: ConstraintKind,
    /// The columns of this table that it mentions.
    pub columns: Vec<Ident>,
    /// The clause, as the server prints it.
    pub definition: String,
    /// The table that a foreign key of this table points to.
    pub references: Option<TableName>,
}

/// Kinds of constraints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConstraintKind {
    /// PRIMARY KEY.
    Primary,
    /// UNIQUE.
    Unique,
    /// CHECK.
    Check,
    /// FOREIGN KEY of this table.
    Foreign,
    /// EXCLUDE.
    Exclusion,
    /// A foreign key of another table that points here.
    Incoming,
}

/// Something that uses a column and is neither an index nor a constraint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependent {
    /// What it is, in the server's words: `view active_users`.
    pub what: String,
    /// What kind of thing that is.
    pub kind: DependentKind,
    /// Its name, or that of the function that a trigger calls.
    pub name: Ident,
    /// The columns it uses; empty when it uses the whole row.
    pub columns: BTreeSet<Ident>,
}

/// Kinds of dependents that stand in the way in different manners.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DependentKind {
    /// A view or a materialized view: it shows the column.
    View,
    /// A trigger that calls a function whose text holds the column's name. Whether it means
    /// the column, the server does not know.
    Body,
    /// Extended statistics, which go with the column without a word.
    Statistics,
    /// A policy, a generated column, a trigger's own column list, a publication: the server
    /// refuses to drop the column.
    Other,
}

impl Column {
    /// A column of which nothing is known but its name.
    pub fn bare(name: Ident) -> Self {
        Self {
            name,
            type_name: String::new(),
            collation: None,
            nullable: true,
            default: None,
            comment: None,
            grants: Vec::new(),
            peculiar: Vec::new(),
            settings: Vec::new(),
        }
    }
}

impl Table {
    /// A table of which nothing is known but its name.
    pub fn bare(name: TableName) -> Self {
        Self {
            name,
            vague: true,
            kind: TableKind::Ordinary,
            partitions: Vec::new(),
            part_key: None,
            part_default: None,
            bound: None,
            columns: Vec::new(),
            key: Vec::new(),
            indexes: Vec::new(),
            constraints: Vec::new(),
            dependents: Vec::new(),
            rows: 0,
            bytes: 0,
            guarded: false,
            grants: Vec::new(),
            comment: None,
            row_identity: None,
            settings: Vec::new(),
            triggers: Vec::new(),
            retired: Vec::new(),
            marks: Vec::new(),
        }
    }

    /// Whether it holds nothing at all, so that no work on it takes time.
    pub fn is_empty(&self) -> bool {
        self.rows == 0 && self.bytes == 0
    }

    /// The dependents that use a column.
    pub fn dependents_of<'a>(&'a self, column: &'a Ident) -> impl Iterator<Item = &'a Dependent> {
        self.dependents
            .iter()
            .filter(move |one| one.columns.is_empty() || one.columns.contains(column))
    }

    /// The extended statistics over a column.
    pub fn statistics_of<'a>(&'a self, column: &'a Ident) -> impl Iterator<Item = &'a Dependent> {
        self.dependents_of(column).filter(|one| one.kind == DependentKind::Statistics)
    }

    /// The constraints that mention a column.
    pub fn constraints_of<'a>(&'a self, column: &'a Ident) -> impl Iterator<Item = &'a Constraint> {
        self.constraints.iter().filter(move |one| one.columns.contains(column))
    }

    /// The index or constraint that is over two columns at once.
    pub fn spanning(&self, one: &Ident, other: &Ident) -> Option<&Ident> {
        let indexes =
            self.indexes.iter().map(|index| (&index.name, index.columns.iter().collect()));
        let constraints =
            self.constraints.iter().map(|rule| (&rule.name, rule.columns.iter().collect()));
        let mut all = indexes.chain(constraints);
        let both = |columns: &Vec<&Ident>| columns.contains(&one) && columns.contains(&other);
        all.find(|(_, columns)| both(columns)).map(|(name, _)| name)
    }

    /// The indexes that touch a column and belong to no constraint.
    pub fn free_indexes_of<'a>(&'a self, column: &'a Ident) -> impl Iterator<Item = &'a Index> {
        self.indexes
            .iter()
            .filter(move |one| one.constraint.is_none() && one.columns.contains(column))
    }
}
