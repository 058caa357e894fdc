//! One change, one file. Each takes an intention and a catalogue and gives actions with
//! their phases, or says why it cannot be done here.

mod add_column;
mod add_constraint;
mod add_counted;
mod attach_partition;
mod change_type;
mod column_default;
mod copy_rows;
mod create_index;
mod create_table;
mod derive_columns;
mod drop_column;
mod drop_constraint;
mod drop_index;
mod drop_not_null;
mod drop_table;
mod drop_type;
mod plain;
mod rename_column;
mod rename_table;
mod replace_column;
mod retype_column;
mod retype_copies;
mod set_not_null;
mod side_effects;
mod update;
mod verbatim;

use std::collections::{BTreeMap, BTreeSet};

use super::PlanError;
use super::intent::{Intent, IntentKind, Words};
use crate::catalog::{
    Catalog, Column, Constraint, ConstraintKind, Dependent, DependentKind, Index, Object, Table,
    TableKind,
};
use crate::dialect::{Capabilities, Dialect};
use crate::migration::{ColumnPath, Migration};
use crate::plan::{Action, Expr, Fingerprint, Phase, Target, Verify, VerifyRule, Walk};
use crate::sql::{ColumnRef, Ident, Sql, TableName, mentions, without_literals};

/// Everything a decomposition may look at.
pub(super) struct Scene<'a> {
    /// The file.
    pub(super) migration: &'a Migration,
    /// The world before this intention.
    pub(super) catalog: &'a Catalog,
    /// The world before the file.
    pub(super) before: &'a Catalog,
    /// What the server can do.
    pub(super) can: Capabilities,
    /// What is intended.
    pub(super) intent: &'a Intent,
    /// Columns that this file fills in its backfill.
    pub(super) filled: &'a BTreeSet<ColumnRef>,
    /// Columns that this file adds, so that no running code knows them.
    pub(super) added: &'a BTreeSet<ColumnRef>,
    /// Columns that this file takes away.
    pub(super) goes: &'a BTreeSet<ColumnRef>,
    /// Tables whose rows statements before this one delete, all of them.
    pub(super) emptied: &'a BTreeSet<TableName>,
    /// Columns that statements before this one give another type, with the hidden columns
    /// that will take their place.
    pub(super) retyped: &'a BTreeMap<ColumnRef, Hidden>,
    /// The product's words, where a statement must be put together.
    pub(super) dialect: &'a dyn Dialect,
}

/// What of a thing is changed: two statements about different aspects do not meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aspect {
    /// All of it.
    Whole,
    /// A column's type, where its bytes stay as they are.
    Type,
    /// A column's default.
    Default,
    /// Whether a column may be NULL.
    Null,
}

impl Aspect {
    /// Whether the order of two changes matters.
    pub(super) fn meets(self, other: Self) -> bool {
        self == other || self == Self::Whole || other == Self::Whole
    }
}

/// A hidden column that will take another's place.
#[derive(Clone, Debug)]
pub(super) struct Hidden {
    /// Its name until then.
    pub(super) name: Ident,
    /// Whether no value can fail to be converted.
    pub(super) widens: bool,
    /// The type that the column has until then, which it keeps until purge.
    pub(super) was: String,
}

/// What an intention comes to.
#[derive(Default)]
pub(super) struct Parts {
    /// Actions, in order within their phase.
    pub(super) steps: Vec<(Phase, Action)>,
    /// What contract takes away.
    pub(super) targets: Vec<Target>,
    /// Hazards: code, what it means here, what to do here.
    pub(super) hazards: Vec<(&'static str, String, String)>,
    /// Columns that are made, filled or removed.
    pub(super) touches: Vec<ColumnRef>,
    /// Columns that its triggers read.
    pub(super) reads: Vec<ColumnRef>,
    /// Names of what it makes.
    pub(super) made: Vec<Words>,
    /// Names that it rests on and does not say.
    pub(super) meant: Vec<Words>,
    /// Names of what it holds on to until its last phase: the types of a column that goes.
    pub(super) uses: Vec<Words>,
    /// Names of what it takes away, renames or gives another shape, so that what rests on
    /// the old one must be done before.
    pub(super) reshapes: Vec<(Aspect, Words)>,
    /// Names that mean what the file means by them only once this phase has run.
    pub(super) late: Vec<(Phase, Words)>,
    /// Names that can be given another shape once this phase has run, because nothing holds
    /// on to them any more.
    pub(super) frees: Vec<(Phase, Words)>,
    /// Columns that can hold a value twice once it is done for good: until then it can be
    /// taken back, and must not be broken.
    pub(super) permits: Vec<ColumnRef>,
    /// Tables whose rows it changes, and when.
    pub(super) rows: Vec<(Phase, TableName)>,
    /// Tables of which a column gets another type: what is inserted later must come after.
    pub(super) converts: Vec<TableName>,
    /// Tables of which a column goes or moves: what is inserted later by place must come after.
    pub(super) shifts: Vec<TableName>,
    /// What the catalogue said, for the way back.
    pub(super) recalled: String,
    /// Whether it inserts by place.
    pub(super) by_place: bool,
    /// Whether it must see rows as the statements before it left them.
    pub(super) minds_rows: bool,
    /// What must be true of the rows that are there, and what needs it.
    pub(super) premises: Vec<(String, Verify)>,
    /// When it is done for everybody else, where the last step only clears up.
    pub(super) settled: Option<Phase>,
    /// Columns that get another type, with the hidden columns that will take their place.
    pub(super) retyped: Vec<(ColumnRef, Hidden)>,
}

impl Parts {
    fn step(&mut self, phase: Phase, action: Action) {
        self.steps.push((phase, action));
    }

    fn hazard(&mut self, code: &'static str, message: String, remedy: &str) {
        self.hazards.push((code, message, remedy.to_owned()));
    }

    /// The hazard of an old column that does not follow the new one.
    fn one_way(&mut self, table: &Table, old: &Ident, message: String) {
        let path = ColumnPath::of(&table.name.name, old);
        let remedy = format!(
            "write `-- zdmig:reverse {path} = expression`, or `-- zdmig:no-sync {path} because \"…\"`"
        );
        self.hazard("one-way-sync", message, &remedy);
    }

    /// The hazard of a strong lock that is held while the server works.
    fn held(&mut self, table: &Table, works: &str) {
        if !table.is_empty() {
            self.hazard(
                "long-lock",
                format!("the server {works} of `{}` while nobody can write to it", table.name),
                "allow it for a maintenance window, or where the table is small",
            );
        }
    }

    /// Asks the rows that are there before anything is done.
    pub(super) fn premise(&mut self, about: &str, table: &TableName, rule: VerifyRule) {
        let verify = Verify { table: table.clone(), rule, repair: None };
        self.premises.push((about.to_owned(), verify));
    }

    /// A view of the whole row would hold on to a column that is there until purge.
    fn holds_whole_row(&mut self, table: &Table) {
        self.late.push((Phase::Purge, Words::name(&[&table.name.name, &Ident::new("*")])));
    }

    /// A column that goes or changes its shape, in the phase that ends it.
    fn reshapes_column(&mut self, column: &ColumnRef, done: Phase) {
        let name = Words::name(&[&column.table.name, &column.column]);
        self.reshapes.push((Aspect::Whole, name.clone()));
        self.late.push((done, name));
    }
}

impl Scene<'_> {
    fn table(&self, name: &TableName) -> Result<&Table, PlanError> {
        let span = self.intent.span;
        self.catalog.require(name).map_err(|source| PlanError::Unknown { span, source })
    }

    /// Whether these columns, in any order, were the key of an index that other tables may
    /// point to, before this file.
    fn knew_key(&self, table: &TableName, columns: &[Ident]) -> bool {
        let columns: BTreeSet<_> = columns.iter().collect();
        let pointed = |one: &Constraint| one.kind == ConstraintKind::Incoming;
        let same = |one: &Index| one.unique && one.keys.iter().collect::<BTreeSet<_>>() == columns;
        !columns.is_empty()
            && self.before.find(table).is_some_and(|table| {
                table.constraints.iter().any(pointed) && table.indexes.iter().any(same)
            })
    }

    fn refused(&self, what: impl Into<String>, remedy: impl Into<String>) -> PlanError {
        PlanError::Refused { span: self.intent.span, what: what.into(), remedy: remedy.into() }
    }

    /// What a column holds on to: its type, and what its default calls.
    fn held_by(column: &Column) -> Vec<Words> {
        let mut held = vec![Words::of(&column.type_name)];
        let default = column.default.iter().flat_map(|default| {
            default.sql.split(|c: char| !(c.is_alphanumeric() || "_.$".contains(c)))
        });
        held.extend(default.map(|word| Words::of(word.rsplit('.').next().unwrap_or(word))));
        held
    }

    /// The statement as written.
    fn statement(&self) -> Sql {
        Sql::new(self.intent.span.of(&self.migration.source))
    }

    /// A name of ours that is the same at every run and differs between migrations.
    fn tag(&self, object: &str) -> String {
        Fingerprint::of(&(&self.migration.id, object)).short().to_owned()
    }

    /// The same for triggers: those of one table fire in the order of their names, which is the
    /// order of the files and of the statements in them.
    fn sync_tag(&self, object: &str) -> String {
        let id = self.migration.id.to_string();
        let version: String = id.chars().take_while(char::is_ascii_digit).take(16).collect();
        format!("{version:0>16}_{:03}_{}", self.intent.number, self.tag(object))
    }

    /// A working name of ours.
    fn working(&self, object: &str) -> Ident {
        Ident::new(format!("zdmig_{}", self.tag(object)))
    }

    /// The names of extended statistics over a column.
    fn statistics_named(table: &Table, column: &Ident) -> Vec<Words> {
        table.statistics_of(column).map(|one| Words::name(&[&one.name])).collect()
    }

    /// Extended statistics over some of a table's columns.
    fn statistics<'c>(
        &'c self,
        table: &'c Table,
        columns: &'c [Ident],
    ) -> impl Iterator<Item = &'c Object> {
        let over = |one: &&Dependent| {
            one.kind == DependentKind::Statistics
                && columns.iter().any(|column| one.columns.contains(column))
        };
        let known = self.catalog.objects.iter().filter(|one| one.kind == "statistics");
        table.dependents.iter().filter(over).filter_map(move |dependent| {
            // They are told apart by the schema, which is the table's own as a rule.
            let mut named = known.clone().filter(|one| one.name.name == dependent.name);
            let own = named.clone().find(|one| one.name.schema == table.name.schema);
            own.or_else(|| named.next())
        })
    }

    /// How a fill of these columns gets over the table, and the key that it may need for it,
    /// where triggers fill whatever is written meanwhile.
    fn walk(
        &self,
        table: &Table,
        columns: &[Ident],
    ) -> Result<(Walk, Vec<(Ident, String)>), PlanError> {
        let walk = self.dialect.walk(self.catalog, table, columns);
        match walk {
            Walk::Pages { .. } if table.key.is_empty() => Ok((walk, Vec::new())),
            _ => Ok((walk, self.key(table)?)),
        }
    }

    /// The columns that a fill walks along.
    fn key(&self, table: &Table) -> Result<Vec<(Ident, String)>, PlanError> {
        if table.key.is_empty() {
            return Err(self.refused(
                format!(
                    "table `{}` has no primary key, so its rows cannot be filled in chunks",
                    table.name
                ),
                "give it a primary key first; a table without one is filled only by \
                 `-- zdmig:backfill table=… key=…` along a unique column",
            ));
        }
        let type_of = |name: &Ident| {
            table
                .columns
                .iter()
                .find(|column| column.name == *name)
                .map(|column| column.type_name.clone())
                .unwrap_or_default()
        };
        Ok(table.key.iter().map(|name| (name.clone(), type_of(name))).collect())
    }

    /// Refuses tables whose shape a column change does not fit.
    fn plain_table(&self, table: &Table) -> Result<(), PlanError> {
        if matches!(table.kind, TableKind::Partitioned | TableKind::Partition) {
            return Err(self.refused(
                format!(
                    "table `{}` is partitioned or inherits; its columns cannot be replaced yet",
                    table.name
                ),
                "write the phases yourself under `-- zdmig:expand`, `-- zdmig:backfill` and \
                 `-- zdmig:contract`",
            ));
        }
        self.nothing_retired(table)
    }

    /// Refuses tables of which a column is not wholly in hand: what is done to a partitioned table
    /// goes down to its partitions, and nothing is done to one of them alone.
    fn whole_table(&self, table: &Table) -> Result<(), PlanError> {
        let inherits = table.kind == TableKind::Partitioned && table.partitions.is_empty();
        if table.kind == TableKind::Partition || inherits && !table.is_empty() {
            return Err(self.refused(
                format!("the columns of `{}` are inherited, or others inherit them", table.name),
                "change the table that they come from",
            ));
        }
        self.nothing_retired(table)
    }

    /// A trigger that runs before the row is stored sees no value in a generated column.
    fn computable(&self, table: &Table, value: &Expr) -> Result<(), PlanError> {
        let named = |column: &&Column| match value {
            Expr::Column(name) => *name == column.name,
            Expr::Verbatim(sql) => mentions(sql.as_str(), column.name.as_str()),
        };
        if let Expr::Verbatim(sql) = value
            && let Some(schema) = &table.name.schema
        {
            let bare = sql.as_str().replace(['"', ' '], "").to_lowercase();
            let full = format!("{schema}.{}.", table.name.name).to_lowercase();
            if bare.contains(&full) {
                return Err(self.refused(
                    format!(
                        "`{full}` names the schema, and a trigger knows the row by the table alone"
                    ),
                    format!("write `{}.` before the column, or nothing", table.name.name),
                ));
            }
        }
        let generated =
            |column: &&Column| column.peculiar.iter().any(|why| why.contains("generated column"));
        match table.columns.iter().filter(generated).find(named) {
            Some(column) => Err(self.refused(
                format!(
                    "the expression reads `{}.{}`, a generated column, which a trigger sees empty",
                    table.name, column.name
                ),
                "write the generated column's own expression in its place",
            )),
            None => Ok(()),
        }
    }

    /// The columns that the expressions of a trigger read, but for those that it keeps.
    fn reads(table: &Table, values: &[&Expr], own: &[&Ident]) -> Vec<ColumnRef> {
        let read = |column: &&Column| {
            !own.contains(&&column.name)
                && values.iter().any(|value| match value {
                    Expr::Column(name) => *name == column.name,
                    Expr::Verbatim(sql) => {
                        mentions(&without_literals(sql.as_str()), column.name.as_str())
                    }
                })
        };
        let found = table.columns.iter().filter(read);
        found.map(|column| ColumnRef::new(&table.name, &column.name)).collect()
    }

    /// While a column is retired by its privileges, a new one would have none.
    fn nothing_retired(&self, table: &Table) -> Result<(), PlanError> {
        match table.retired.first() {
            Some(column) => Err(self.refused(
                format!("`{}.{column}` is retired and not yet purged: a new column would lack the privileges that the table lost for it", table.name),
                "run `zdmig purge` or `zdmig restore` for the migration that retired it first",
            )),
            None => Ok(()),
        }
    }
}

/// Takes one intention apart.
pub(super) fn decompose(scene: &Scene<'_>) -> Result<Parts, PlanError> {
    match &scene.intent.kind {
        IntentKind::CreateTable(table) => Ok(create_table::decompose(scene, table)),
        IntentKind::Nothing => Ok(Parts::default()),
        IntentKind::WithinNew(table) => Ok(verbatim::within_new(scene, table)),
        IntentKind::AddColumn { table, column, fill } => {
            add_column::decompose(scene, table, column, fill.as_ref())
        }
        IntentKind::Replace(replace) => replace_column::decompose(scene, replace),
        IntentKind::Derive(all) => derive_columns::decompose(scene, all),
        IntentKind::DropColumn(column) => drop_column::decompose(scene, column),
        IntentKind::SetNotNull { column, fill } => {
            set_not_null::decompose(scene, column, fill.as_ref())
        }
        IntentKind::DropNotNull(column) => drop_not_null::decompose(scene, column),
        IntentKind::SetDefault { column, default } => column_default::set(scene, column, default),
        IntentKind::DropDefault(column) => column_default::drop(scene, column),
        IntentKind::ChangeTypes { table, columns } => change_type::decompose(scene, table, columns),
        IntentKind::AddConstraint(constraint) => add_constraint::decompose(scene, constraint),
        IntentKind::DropConstraint { table, name } => {
            drop_constraint::decompose(scene, table, name)
        }
        IntentKind::RenameTable { table, to } => rename_table::decompose(scene, table, to),
        IntentKind::DropTables(tables) => drop_table::decompose(scene, tables),
        IntentKind::Update(fill) => update::decompose(scene, fill),
        IntentKind::Plain(plain) => Ok(plain::decompose(scene, plain)),
        IntentKind::Together(statements) => Ok(verbatim::together(scene, statements)),
        IntentKind::CreateIndex(index) => create_index::decompose(scene, index),
        IntentKind::DropIndex { table, index } => drop_index::decompose(scene, table, index),
        IntentKind::Expand => Ok(verbatim::expand(scene)),
        IntentKind::Backfill { fill, key } => verbatim::backfill(scene, fill, key.as_ref()),
        IntentKind::Contract { uses } => Ok(verbatim::contract(scene, uses)),
        IntentKind::Opaque(why) => Ok(verbatim::opaque(scene, why)),
    }
}
