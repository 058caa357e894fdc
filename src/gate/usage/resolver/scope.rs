//! What a name can stand for at one place of a query.

use crate::catalog::Table;
use crate::sql::{Ident, TableName};

/// The names of a query's output columns.
#[derive(Clone, Debug, Default)]
pub(super) struct Shape {
    /// In their order; `None` where the server makes a name up.
    pub(super) names: Vec<Option<String>>,
    /// Whether there are more, whose names are not known.
    pub(super) open: bool,
}

impl Shape {
    pub(super) fn open() -> Self {
        Self { names: Vec::new(), open: true }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.names.iter().flatten().any(|one| one == name)
    }

    /// With other names for the first columns.
    pub(super) fn renamed(mut self, names: &[String]) -> Self {
        for (at, name) in names.iter().enumerate() {
            match self.names.get_mut(at) {
                Some(one) => *one = Some(name.clone()),
                None => self.names.push(Some(name.clone())),
            }
        }
        self
    }
}

/// One entry of a FROM.
#[derive(Clone, Debug)]
pub(super) struct Source<'s> {
    /// What it is called there.
    pub(super) name: Option<String>,
    /// The schema by which it may be called too, where it has no other name.
    pub(super) schema: Option<String>,
    /// Whether its columns are named only with its name before them.
    pub(super) apart: bool,
    pub(super) columns: Columns<'s>,
}

#[derive(Clone, Debug)]
pub(super) enum Columns<'s> {
    /// Of a table, or of several that a name may stand for, with other names for the first ones.
    Tables(Vec<&'s Table>, Vec<String>),
    /// Of a table that is not known.
    Unknown(TableName),
    /// Of a query, whose own uses are counted where it stands.
    Shape(Shape),
    /// Of all parts of a join that has a name.
    Join(Vec<Source<'s>>),
}

/// Whether a source has a column.
pub(super) enum Found {
    /// And which ones it is; none where it is a query's.
    Yes(Vec<(TableName, Ident)>),
    /// It may; with the table that is not known.
    Maybe(Option<TableName>),
    No,
}

/// The sources that names are looked up in, from the inside out.
#[derive(Clone, Copy)]
pub(super) struct Frame<'e, 's> {
    pub(super) sources: &'e [Source<'s>],
    pub(super) outer: Option<&'e Frame<'e, 's>>,
}

/// A query with a name.
pub(super) struct Cte {
    pub(super) name: String,
    pub(super) shape: Shape,
}

#[derive(Clone, Copy)]
pub(super) struct Ctes<'e> {
    pub(super) list: &'e [Cte],
    pub(super) outer: Option<&'e Ctes<'e>>,
}

/// Everything that can be named at one place.
#[derive(Clone, Copy, Default)]
pub(super) struct Env<'e, 's> {
    pub(super) frame: Option<&'e Frame<'e, 's>>,
    pub(super) ctes: Option<&'e Ctes<'e>>,
}

impl<'e, 's> Env<'e, 's> {
    pub(super) fn frames(self) -> impl Iterator<Item = &'e Frame<'e, 's>> {
        std::iter::successors(self.frame, |frame| frame.outer)
    }

    pub(super) fn cte(self, name: &str) -> Option<&'e Shape> {
        std::iter::successors(self.ctes, |ctes| ctes.outer)
            .flat_map(|ctes| ctes.list.iter().rev())
            .find(|cte| cte.name == name)
            .map(|cte| &cte.shape)
    }
}

impl Source<'_> {
    /// Of a query.
    pub(super) fn shaped(name: Option<String>, shape: Shape) -> Self {
        Self { name, schema: None, apart: false, columns: Columns::Shape(shape) }
    }

    /// Looks for a column; `same` compares a column's name with the one that is looked for.
    pub(super) fn find(&self, name: &str, same: &dyn Fn(&Ident, &str) -> bool) -> Found {
        match &self.columns {
            Columns::Tables(tables, renamed) => {
                let at = renamed.iter().position(|one| one == name);
                let found: Vec<_> = tables
                    .iter()
                    .filter_map(|table| {
                        let column = match at {
                            Some(at) => table.columns.get(at)?,
                            None => table
                                .columns
                                .iter()
                                .skip(renamed.len())
                                .find(|one| same(&one.name, name))?,
                        };
                        Some((table.name.clone(), column.name.clone()))
                    })
                    .collect();
                if found.is_empty() { Found::No } else { Found::Yes(found) }
            }
            Columns::Unknown(table) => Found::Maybe(Some(table.clone())),
            Columns::Shape(shape) if shape.has(name) => Found::Yes(Vec::new()),
            Columns::Shape(shape) if shape.open => Found::Maybe(None),
            Columns::Shape(_) => Found::No,
            Columns::Join(parts) => {
                let (mut all, mut any, mut maybe) = (Vec::new(), false, None);
                for part in parts {
                    match part.find(name, same) {
                        Found::Yes(some) => {
                            any = true;
                            all.extend(some);
                        }
                        Found::Maybe(table) => maybe = Some(table),
                        Found::No => {}
                    }
                }
                match maybe {
                    _ if any => Found::Yes(all),
                    Some(table) => Found::Maybe(table),
                    None => Found::No,
                }
            }
        }
    }

    /// The names of all its columns.
    pub(super) fn shape(&self, fold: &dyn Fn(&Ident) -> String) -> Shape {
        match &self.columns {
            Columns::Tables(tables, renamed) => {
                let mut shape = Shape { names: Vec::new(), open: tables.is_empty() };
                for table in tables {
                    let names = table.columns.iter().map(|one| Some(fold(&one.name)));
                    shape.names.extend(names.enumerate().map(|(at, name)| {
                        renamed.get(at).map_or(name, |other| Some(other.clone()))
                    }));
                }
                shape
            }
            Columns::Unknown(_) => Shape::open(),
            Columns::Shape(shape) => shape.clone(),
            Columns::Join(parts) => {
                let mut all = Shape::default();
                for part in parts {
                    let shape = part.shape(fold);
                    all.names.extend(shape.names);
                    all.open |= shape.open;
                }
                all
            }
        }
    }
}
