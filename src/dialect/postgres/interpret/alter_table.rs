use squawk_syntax::ast::{self, AlterColumnOption, AlterTableAction, AstNode};

use super::{Read, Reader, is, one_name, quote, table_name};
use crate::change::{ChangeKind, Effect, NewType, Object, ObjectKind, Plain};
use crate::dialect::postgres::words::Words;
use crate::sql::{ColumnRef, Ident, TableName};

/// One ALTER TABLE: its table, and how a single action of it is written alone.
struct Alter {
    table: TableName,
    head: String,
}

impl Reader<'_> {
    /// ALTER TABLE, action by action, in the order in which the server runs them: it drops
    /// first, then changes types, adds columns and adds constraints.
    pub(super) fn alter_table(&self, alter: &ast::AlterTable) -> Read<Vec<ChangeKind>> {
        let relation = alter.table_relation_name().ok_or("it names no table")?;
        let table = table_name(relation.table_name_ref().ok_or("it names no table")?.syntax())?;
        let head = format!("ALTER TABLE {}", self.slice(relation.syntax()));
        let alter_of = Alter { table, head };
        let mut changes = Vec::new();
        for action in alter.actions() {
            let pass = pass(&action);
            let read = self.action(&alter_of, &action)?;
            changes.extend(read.into_iter().map(|change| match change {
                ChangeKind::AddConstraint(_) => (5, change),
                other => (pass, other),
            }));
        }
        changes.sort_by_key(|(pass, _)| *pass);
        let mut changes: Vec<_> = changes.into_iter().map(|(_, change)| change).collect();
        if alter.if_exists().is_some() {
            changes.insert(0, ChangeKind::IfTable(alter_of.table));
        }
        Ok(changes)
    }

    fn action(&self, alter: &Alter, action: &AlterTableAction) -> Read<Vec<ChangeKind>> {
        let one = match action {
            AlterTableAction::AddColumn(add) => return self.add_column(alter, add),
            AlterTableAction::RenameColumn(rename) => ChangeKind::RenameColumn {
                column: alter.column(rename.column_name_ref())?,
                to: one_name(rename.column_name().ok_or("it names no column")?.syntax())?,
            },
            AlterTableAction::DropColumn(drop) => ChangeKind::DropColumn {
                column: alter.column(drop.column_name_ref())?,
                if_exists: drop.if_exists().is_some(),
            },
            AlterTableAction::AddConstraint(add) => {
                let constraint = add.constraint().ok_or("it adds nothing")?;
                match self.constraint(&alter.table, None, constraint.syntax())? {
                    Some(constraint) => ChangeKind::AddConstraint(constraint),
                    None => return self.whole(alter, action),
                }
            }
            AlterTableAction::DropConstraint(drop) => ChangeKind::DropConstraint {
                table: alter.table.clone(),
                name: one_name(
                    drop.constraint_name_ref().ok_or("it names no constraint")?.syntax(),
                )?,
                if_exists: drop.if_exists().is_some(),
            },
            AlterTableAction::TableRenameTo(rename) => ChangeKind::RenameTable {
                table: alter.table.clone(),
                to: TableName {
                    schema: None,
                    name: one_name(rename.table_name().ok_or("it has no new name")?.syntax())?,
                },
            },
            AlterTableAction::SetSchema(set) => {
                let words = Words::of(set.syntax());
                let schema = words.after(&["set", "schema"]).ok_or("it names no schema")?;
                let name = alter.table.name.clone();
                ChangeKind::RenameTable {
                    table: alter.table.clone(),
                    to: TableName { schema: Some(schema), name },
                }
            }
            AlterTableAction::AlterColumn(column) => {
                return self.alter_column(alter, column, action);
            }
            _ => return self.whole(alter, action),
        };
        Ok(vec![one])
    }

    fn add_column(&self, alter: &Alter, add: &ast::AddColumn) -> Read<Vec<ChangeKind>> {
        if add.alter_option_list().is_some() {
            return Err("OPTIONS of a foreign table are not taken apart".to_owned());
        }
        let name = add.column_name();
        let name = one_name(name.as_ref().ok_or("a column has no name")?.syntax())?;
        let mut constraints = Vec::new();
        let mut others = Vec::new();
        for node in add.constraints().map(|one| one.syntax().clone()) {
            match self.constraint(&alter.table, Some(&name), &node)? {
                Some(constraint) => constraints.push(ChangeKind::AddConstraint(constraint)),
                None => others.push(node),
            }
        }
        let mut statement = format!("{} ADD COLUMN {}", alter.head, super::quote::ident(&name));
        let parts = [
            add.ty().map(|one| one.syntax().clone()),
            add.collate().map(|one| one.syntax().clone()),
        ];
        for node in parts.iter().flatten().chain(&others) {
            statement.push_str(&format!(" {}", self.slice(node)));
        }
        let mut column = self.column(
            &alter.table.name,
            add.column_name().as_ref().map(AstNode::syntax),
            add.ty().as_ref(),
            add.collate().as_ref(),
            others.into_iter(),
        )?;
        column.statement = statement;
        let is_key = |change: &ChangeKind| {
            matches!(change, ChangeKind::AddConstraint(one)
                if one.kind == crate::catalog::ConstraintKind::Primary)
        };
        column.not_null |= constraints.iter().any(is_key);
        let if_not_exists = add.if_not_exists().is_some();
        let table = alter.table.clone();
        let mut changes = vec![ChangeKind::AddColumn { table, column, if_not_exists }];
        changes.extend(constraints);
        Ok(changes)
    }

    fn alter_column(
        &self,
        alter: &Alter,
        node: &ast::AlterColumn,
        action: &AlterTableAction,
    ) -> Read<Vec<ChangeKind>> {
        let column = alter.column(node.column_name_ref())?;
        let one = match node.option() {
            Some(AlterColumnOption::SetNotNull(_)) => ChangeKind::SetNotNull(column),
            Some(AlterColumnOption::DropNotNull(_)) => ChangeKind::DropNotNull(column),
            Some(AlterColumnOption::DropDefault(_)) => ChangeKind::DropDefault(column),
            Some(AlterColumnOption::SetDefault(set)) => {
                let expression = set.expr().ok_or("it sets no default")?;
                let default = self.slice(expression.syntax()).to_owned();
                let constant = quote::is_constant(&default);
                ChangeKind::SetDefault { column, default, constant }
            }
            Some(AlterColumnOption::SetType(set)) => {
                let ty = set.ty().ok_or("it names no type")?;
                ChangeKind::ChangeType(NewType {
                    column,
                    type_name: self.slice(ty.syntax()).to_owned(),
                    collation: set.collate().map(|one| self.collation(&one)),
                    using: set
                        .using_expr()
                        .and_then(|using| using.expr())
                        .map(|expression| self.slice(expression.syntax()).to_owned()),
                    sql: format!("{} {}", alter.head, self.slice(node.syntax())),
                })
            }
            _ => return self.whole(alter, action),
        };
        Ok(vec![one])
    }

    /// An action that is run as written.
    fn whole(&self, alter: &Alter, action: &AlterTableAction) -> Read<Vec<ChangeKind>> {
        use AlterTableAction as A;
        let effect = match action {
            A::ValidateConstraint(_) => Effect::Checks,
            A::EnableRls(_) | A::ForceRls(_) | A::AddConstraint(_) => Effect::Tightens,
            A::DetachPartition(_) | A::NoInheritTable(_) => Effect::Removes,
            A::SetAccessMethod(_)
            | A::SetLogged(_)
            | A::SetUnlogged(_)
            | A::SetTablespace(_)
            | A::MergePartitions(_)
            | A::SplitPartition(_) => Effect::Rewrites,
            A::AlterColumn(column) => match column.option() {
                Some(AlterColumnOption::SetExpression(_)) => Effect::Rewrites,
                Some(AlterColumnOption::DropIdentity(_) | AlterColumnOption::DropExpression(_)) => {
                    Effect::Removes
                }
                // Who gives a value of its own gets an error from then on.
                _ if only_generated(action) => Effect::Tightens,
                _ => Effect::Settles,
            },
            _ => Effect::Settles,
        };
        let name = match action {
            A::RenameConstraint(rename) => {
                rename.constraint_name_ref().map(|one| one.syntax().clone())
            }
            A::ValidateConstraint(one) => one.constraint_name_ref().map(|one| one.syntax().clone()),
            _ => None,
        };
        let renamed = match action {
            A::RenameConstraint(rename) => rename.constraint_name().map(|one| one.syntax().clone()),
            _ => None,
        };
        let object = |name: Ident| Object {
            kind: ObjectKind::Silent,
            name: TableName { schema: None, name },
            on: Some(alter.table.clone()),
        };
        let mut objects = Vec::new();
        for node in [name, renamed].into_iter().flatten() {
            objects.push(object(one_name(&node)?));
        }
        if let A::AlterColumn(column) = action {
            objects.push(object(alter.column(column.column_name_ref())?.column));
        }
        let cascade = action
            .syntax()
            .text()
            .to_string()
            .split_whitespace()
            .any(|word| word.eq_ignore_ascii_case("cascade"));
        Ok(vec![ChangeKind::Plain(Plain {
            effect,
            sql: format!("{} {}", alter.head, self.slice(action.syntax())),
            objects,
            on: Some(alter.table.clone()),
            if_exists: false,
            cascade,
            attaches: match action {
                A::AttachPartition(attach) => self.attach(attach),
                _ => None,
            },
            computes: None,
            copies: None,
        })])
    }

    /// COLLATE without its word.
    pub(super) fn collation(&self, collate: &ast::Collate) -> String {
        let text = self.slice(collate.syntax());
        let word = text.find(char::is_whitespace).unwrap_or_default();
        text[word..].trim().to_owned()
    }
}

impl Alter {
    fn column(&self, name: Option<ast::ColumnNameRef>) -> Read<ColumnRef> {
        let name = name.ok_or("it names no column")?;
        Ok(ColumnRef::new(&self.table, &one_name(name.syntax())?))
    }
}

/// SET GENERATED ALWAYS.
fn only_generated(action: &AlterTableAction) -> bool {
    let words = Words::of(action.syntax());
    words.find(&["set", "generated", "always"]).is_some()
}

/// When the server runs an action, whatever the order in which it was written.
fn pass(action: &AlterTableAction) -> u8 {
    use AlterColumnOption as O;
    use AlterTableAction as A;
    match action {
        A::DropColumn(_) | A::DropConstraint(_) => 0,
        A::AlterColumn(column) => match column.option() {
            Some(O::DropNotNull(_) | O::DropExpression(_) | O::DropIdentity(_)) => 0,
            Some(O::SetType(_)) => 1,
            Some(O::DropDefault(_)) => {
                // Before a change of type it clears the way for it.
                0
            }
            _ => 3,
        },
        A::AddColumn(_) => 2,
        A::AddConstraint(add) => match add.constraint() {
            Some(one) if is(one.syntax(), "primary key") => 4,
            _ => 5,
        },
        _ => 6,
    }
}
