use squawk_syntax::SyntaxNode;
use squawk_syntax::ast::{self, AstNode};

use super::constraint::object_name;
use super::{Read, Reader, fold, is, one_name, quote, table_name};
use crate::change::{ChangeKind, Counter, NewColumn, Plain};
use crate::dialect::postgres::words::{Walk, Words};
use crate::sql::Ident;

impl Reader<'_> {
    /// CREATE TABLE.
    pub(super) fn create_table(&self, create: &ast::CreateTable) -> Read<Vec<ChangeKind>> {
        let table = table_name(create.table_name().ok_or("it names no table")?.syntax())?;
        let if_not_exists = create.if_not_exists().is_some();
        if let Some(persistence) = create.persistence()
            && !is(persistence.syntax(), "unlogged")
        {
            let sql = self.text.trim().to_owned();
            return Ok(vec![ChangeKind::Plain(Plain::temporary(sql, table))]);
        }
        // Its columns come from elsewhere, so they are not known until it is there.
        let borrowed = create.of_type().is_some()
            || create.partition_of().is_some()
            || create.inherits().is_some();
        let words = Words::of(create.syntax());
        let mut walk = Walk::along(&words);
        let parent = walk.past(&["partition", "of"]).then(|| walk.name()).flatten();
        let Some(list) = create.table_arg_list().filter(|_| !borrowed) else {
            return Ok(vec![ChangeKind::CreateTable {
                table,
                columns: Vec::new(),
                key: Vec::new(),
                constraints: Vec::new(),
                parent,
                if_not_exists,
            }]);
        };
        let mut columns = Vec::new();
        let mut constraints = Vec::new();
        for argument in list.args() {
            match argument {
                ast::TableArg::Column(column) => {
                    let name = one_name(column.name().ok_or("a column has no name")?.syntax())?;
                    for clause in column.clauses() {
                        constraints.extend(self.constraint(
                            &table,
                            Some(&name),
                            clause.syntax(),
                        )?);
                    }
                    let collate = column.clauses().find_map(|clause| match clause {
                        ast::ColumnClause::Collate(collate) => Some(collate),
                        _ => None,
                    });
                    let clauses = column.clauses().filter_map(|clause| match clause {
                        ast::ColumnClause::Collate(_) => None,
                        other => Some(other.syntax().clone()),
                    });
                    columns.push(self.column(
                        &table.name,
                        column.name().as_ref().map(AstNode::syntax),
                        column.ty().as_ref(),
                        collate.as_ref(),
                        clauses,
                    )?);
                }
                ast::TableArg::TableConstraint(constraint) => {
                    constraints.extend(self.constraint(&table, None, constraint.syntax())?);
                }
                ast::TableArg::LikeClause(_) => {}
            }
        }
        let key = self.primary_key(&list, &columns);
        Ok(vec![ChangeKind::CreateTable {
            table,
            columns,
            key,
            constraints,
            parent,
            if_not_exists,
        }])
    }

    /// The columns of PRIMARY KEY, of a column or of the table.
    fn primary_key(&self, list: &ast::TableArgList, columns: &[NewColumn]) -> Vec<Ident> {
        let of_table = list
            .syntax()
            .descendants()
            .filter(|node| ast::PrimaryKeyConstraint::cast(node.clone()).is_some());
        for node in of_table {
            let text = self.slice(&node);
            if let Some((_, names)) = text.split_once('(')
                && let Some((names, _)) = names.split_once(')')
            {
                return names.split(',').map(|name| Ident::new(fold(name.trim()))).collect();
            }
        }
        let is_key = |clause: &String| clause.to_uppercase().contains("PRIMARY KEY");
        let own = columns.iter().filter(|column| column.others.iter().any(is_key));
        own.map(|column| column.name.clone()).collect()
    }

    /// A column's definition.
    pub(super) fn column(
        &self,
        table: &Ident,
        name: Option<&SyntaxNode>,
        ty: Option<&ast::Type>,
        collate: Option<&ast::Collate>,
        constraints: impl Iterator<Item = SyntaxNode>,
    ) -> Read<NewColumn> {
        let type_name = ty.map(|ty| self.slice(ty.syntax()).to_owned()).unwrap_or_default();
        let mut column = NewColumn {
            name: one_name(name.ok_or("a column has no name")?)?,
            type_name,
            collation: collate.map(|one| self.collation(one)),
            not_null: false,
            default: None,
            default_constant: true,
            default_stable: true,
            others: Vec::new(),
            statement: String::new(),
            counter: None,
        };
        let lower = column.type_name.to_lowercase();
        let counted = counted(&lower);
        if counted.is_some() {
            column.others.push(format!("the type {lower}, which owns a sequence"));
            column.not_null = true;
        }
        for node in constraints {
            if ast::NotNullConstraint::cast(node.clone()).is_some() {
                column.not_null = true;
            } else if ast::NullConstraint::cast(node.clone()).is_some() {
                column.not_null = false;
            } else if let Some(default) = ast::DefaultConstraint::cast(node.clone()) {
                let expression = default.expr().ok_or("a default has no expression")?;
                let sql = self.slice(expression.syntax()).to_owned();
                column.default_constant = quote::is_constant(&sql);
                column.default_stable = quote::is_stable(&sql);
                column.default = Some(sql);
            } else {
                column.others.push(self.slice(&node).to_owned());
            }
        }
        if let [one] = column.others.as_slice() {
            column.counter = match counted {
                Some(type_name) => Some(Counter {
                    type_name: type_name.to_owned(),
                    options: String::new(),
                    identity: None,
                    sequence: object_name(table, column.name.as_str(), "seq"),
                }),
                None => identity(one, &column, table),
            };
        }
        column.not_null |= column.counter.is_some();
        Ok(column)
    }
}

/// The type under a type that owns a sequence.
fn counted(type_name: &str) -> Option<&'static str> {
    match type_name {
        "serial" | "serial4" => Some("integer"),
        "bigserial" | "serial8" => Some("bigint"),
        "smallserial" | "serial2" => Some("smallint"),
        _ => None,
    }
}

/// GENERATED … AS IDENTITY, with its options; `None` for a column that is computed, and where
/// the author chooses the sequence's name, which would be taken while ours is at work.
fn identity(clause: &str, column: &NewColumn, table: &Ident) -> Option<Counter> {
    let lower = clause.to_ascii_lowercase();
    let at = lower.starts_with("generated").then(|| lower.find("identity")).flatten()?;
    let rest = clause[at + "identity".len()..].trim();
    let options = rest.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    let own_name = lower.contains("sequence name") || lower.contains("owned by");
    (!own_name).then(|| Counter {
        type_name: column.type_name.clone(),
        options: options.unwrap_or_default().trim().to_owned(),
        identity: Some(clause.to_owned()),
        sequence: object_name(table, column.name.as_str(), "seq"),
    })
}
