use super::IntentKind;
use crate::catalog::Catalog;
use crate::change::{ChangeKind, EvolveError};
use crate::migration::{ColumnPath, Section};
use crate::planner::PlanError;
use crate::sql::{ColumnRef, Span, TableName};

/// What a statement in a section is: the author says when it runs.
pub(super) fn in_section(
    section: &Section,
    change: &ChangeKind,
    world: &Catalog,
    span: Span,
) -> Result<IntentKind, PlanError> {
    let refused = |what: &str, remedy: &str| PlanError::Refused {
        span,
        what: what.to_owned(),
        remedy: remedy.to_owned(),
    };
    match section {
        Section::Expand => Ok(IntentKind::Expand),
        Section::Contract { uses } => {
            if uses.is_empty() {
                return Err(refused(
                    "this section does not say what it takes away, so the gate would not \
                     know what to ask about",
                    "write `-- zdmig:contract uses=table.column`",
                ));
            }
            let uses = uses.iter().map(|path| column_of(path, world, span));
            Ok(IntentKind::Contract { uses: uses.collect::<Result<_, _>>()? })
        }
        Section::Backfill { key, .. } => match change {
            ChangeKind::Fill(fill) if fill.whole.is_none() => {
                Ok(IntentKind::Backfill { fill: fill.clone(), key: key.clone() })
            }
            ChangeKind::Fill(fill) => Err(refused(
                &format!(
                    "this UPDATE cannot be cut into chunks: {}",
                    fill.whole.as_deref().unwrap_or_default()
                ),
                "write it as `UPDATE table SET column = expression WHERE condition`, with \
                 subqueries where other tables are needed",
            )),
            _ => Err(refused(
                "only an UPDATE can stand under `-- zdmig:backfill`",
                "put other statements under `-- zdmig:expand` or `-- zdmig:contract`",
            )),
        },
    }
}

fn column_of(path: &ColumnPath, world: &Catalog, span: Span) -> Result<ColumnRef, PlanError> {
    let unknown = |source: EvolveError| PlanError::Unknown { span, source };
    let mut parts = path.0.clone();
    let (Some(column), Some(name)) = (parts.pop(), parts.pop()) else {
        return Err(PlanError::Refused {
            span,
            what: "`uses=` names no column".into(),
            remedy: "write `uses=table.column`".into(),
        });
    };
    let table = world.require(&TableName { schema: parts.pop(), name }).map_err(unknown)?;
    let column = world.require_column(table, &column).map_err(unknown)?;
    Ok(ColumnRef::new(&table.name, &column.name))
}
