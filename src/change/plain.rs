use super::Computed;
use crate::sql::{Ident, TableName};

/// A statement that is run as written once its time has come: what it does is known in
/// kind, so that it gets the right phase, and by name, so that nothing overtakes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plain {
    /// What it does to running code.
    pub effect: Effect,
    /// The statement, standing on its own.
    pub sql: String,
    /// What it makes, changes or takes away.
    pub objects: Vec<Object>,
    /// The table it is about, where it is about one.
    pub on: Option<TableName>,
    /// IF EXISTS was written.
    pub if_exists: bool,
    /// CASCADE was written: it may drop what it does not name.
    pub cascade: bool,
    /// The table that it makes a partition.
    pub attaches: Option<Attach>,
    /// The rows that it inserts.
    pub computes: Option<Computed>,
    /// What it copies, where that may be done in chunks.
    pub copies: Option<Copies>,
}

/// An INSERT of what a query finds in one table, each row by itself, so that it is the same whether
/// it is done in one piece or in chunks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copies {
    /// The table that is read.
    pub from: TableName,
    /// The statement up to its condition.
    pub head: String,
    /// The condition, without its WHERE.
    pub condition: Option<String>,
    /// What comes after the condition.
    pub tail: String,
    /// Where it changes rows that are there: the columns of the table that is read which are given to
    /// those by which such a row is found.
    pub upserts: Option<Vec<Ident>>,
}

/// A table that becomes a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attach {
    /// The table.
    pub part: TableName,
    /// What must hold of the partition key for the rows to belong there, each to be put behind
    /// the key; `None` where that cannot be said of one column.
    pub within: Option<Vec<String>>,
}

impl Plain {
    /// Whether it makes something that stands where a table can.
    pub fn makes_relation(&self) -> bool {
        matches!(self.effect, Effect::Adds | Effect::Moves(_))
            && self.on.is_none()
            && self.objects.iter().any(|object| object.kind == ObjectKind::Relation)
    }

    /// Whether it makes a view of all columns that there are.
    pub fn shows_all(&self) -> bool {
        matches!(self.effect, Effect::Adds | Effect::Replaces)
            && self.objects.iter().any(|object| object.kind == ObjectKind::Relation)
            && self.sql.contains('*')
    }
}

/// What a statement does to running code; it decides the phase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Makes something that no running code uses.
    Adds,
    /// Puts something in the place of what has the same name, if there is such.
    Replaces,
    /// Changes how something is kept, described or named inside the server, or allows more.
    Settles,
    /// Inserts rows that the statement itself lists.
    Seeds {
        /// Whether rows that were there before may be among those that it reports.
        merges: bool,
        /// Whether it names no columns, so that values go by place.
        positional: bool,
    },
    /// Reads or writes rows in one statement, with the reason why it is not cut into chunks.
    Moves(String),
    /// Checks rows that exist.
    Checks,
    /// Forbids something that running code may do.
    Tightens,
    /// Takes away or renames something that running code may use.
    Removes,
    /// Destroys rows or objects that cannot be brought back.
    Destroys,
    /// Writes a whole table anew, or holds its strongest lock while it works.
    Rewrites,
    /// Changes a setting for the statements after it.
    Setting,
    /// Begins or ends a transaction or takes a lock, which zdmig does by itself.
    Boundary,
    /// Makes something that lives as long as the session.
    Temporary,
    /// Calls something of the author's, of which only its arguments are known: the objects.
    Calls,
    /// Reads, and changes nothing.
    Nothing,
}

/// Something in a database that has a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Object {
    /// What it is.
    pub kind: ObjectKind,
    /// Its name, with the schema if one was written.
    pub name: TableName,
    /// The table it hangs on.
    pub on: Option<TableName>,
}

/// What an object is, as far as it matters who may use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ObjectKind {
    /// A table, a view or whatever else stands where a table can.
    Relation,
    /// A function, a procedure or an aggregate.
    Routine,
    /// A type or a domain.
    Type,
    /// A sequence.
    Sequence,
    /// What works by itself and is not named in queries: triggers, policies, rules,
    /// extended statistics, publications, indexes, constraints.
    Silent,
    /// A schema, an extension, a role and all others.
    Other,
}

impl Object {
    /// The words by which another statement would name it.
    pub fn words(&self) -> Vec<&Ident> {
        let mut words = vec![&self.name.name];
        // A trigger's name means something only on its table.
        if self.kind == ObjectKind::Silent {
            words.extend(self.on.as_ref().map(|table| &table.name));
        }
        words
    }
}

impl Plain {
    /// The old and the new name, where it gives a type another one.
    pub fn retitles(&self) -> Option<(&Ident, &Ident)> {
        let alters =
            self.sql.trim_start().get(..5).is_some_and(|it| it.eq_ignore_ascii_case("alter"));
        match self.objects.as_slice() {
            [from, to]
                if alters && from.kind == ObjectKind::Type && self.effect == Effect::Removes =>
            {
                Some((&from.name.name, &to.name.name))
            }
            _ => None,
        }
    }
}
