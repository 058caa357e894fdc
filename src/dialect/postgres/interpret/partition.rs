//! What a partition's bounds ask of its rows.

use squawk_syntax::ast::{self, AstNode, PartitionType};
use squawk_syntax::{SyntaxKind, SyntaxNode};

use super::{Reader, quote, table_name};
use crate::change::Attach;

impl Reader<'_> {
    /// ATTACH PARTITION.
    pub(super) fn attach(&self, attach: &ast::AttachPartition) -> Option<Attach> {
        let part = table_name(attach.table_name_ref()?.syntax()).ok()?;
        let within = match attach.partition_type()? {
            PartitionType::PartitionForValuesIn(list) => self.listed(&list),
            PartitionType::PartitionForValuesFrom(range) => self.ranged(range.syntax()),
            PartitionType::PartitionForValuesWith(_) | PartitionType::PartitionDefault(_) => None,
        };
        Some(Attach { part, within })
    }

    fn listed(&self, list: &ast::PartitionForValuesIn) -> Option<Vec<String>> {
        let values: Vec<_> = list.exprs().map(|one| self.slice(one.syntax())).collect();
        let plain = |one: &&str| quote::is_constant(one) && !one.eq_ignore_ascii_case("null");
        let known = !values.is_empty() && values.iter().all(plain);
        known.then(|| vec!["IS NOT NULL".to_owned(), format!("IN ({})", values.join(", "))])
    }

    /// `FROM (a) TO (b)`, of one column.
    fn ranged(&self, range: &SyntaxNode) -> Option<Vec<String>> {
        let side = |kind: SyntaxKind| {
            let side = range.children().find(|child| child.kind() == kind)?;
            let mut values = side.children().filter(|child| ast::Expr::can_cast(child.kind()));
            let value = values.next()?;
            values.next().is_none().then_some(value)
        };
        let from = side(SyntaxKind::PARTITION_FROM_VALUES)?;
        let to = side(SyntaxKind::PARTITION_TO_VALUES)?;
        let (from, to) = (self.slice(&from), self.slice(&to));
        let mut within = vec!["IS NOT NULL".to_owned()];
        for (value, open, than) in [(from, "minvalue", ">="), (to, "maxvalue", "<")] {
            if value.eq_ignore_ascii_case(open) {
                continue;
            }
            if !quote::is_constant(value) {
                return None;
            }
            within.push(format!("{than} {value}"));
        }
        Some(within)
    }
}
