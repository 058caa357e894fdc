//! INSERT of what a query finds: whether it may be done in chunks of the table that it reads.

use squawk_syntax::SyntaxNode;
use squawk_syntax::ast::{self, AstNode};

use super::{Reader, fold, table_name};
use crate::change::Copies;
use crate::dialect::postgres::words::Words;
use crate::sql::Ident;

/// Functions of one row, of the server's own. Whatever else is called may be an aggregate.
const OF_ONE_ROW: [&str; 73] = [
    "abs",
    "age",
    "array_length",
    "btrim",
    "cardinality",
    "cast",
    "ceil",
    "ceiling",
    "char_length",
    "clock_timestamp",
    "coalesce",
    "concat",
    "concat_ws",
    "convert_from",
    "convert_to",
    "date_part",
    "date_trunc",
    "decode",
    "encode",
    "extract",
    "floor",
    "format",
    "gen_random_uuid",
    "generate_series",
    "greatest",
    "initcap",
    "json_array_elements",
    "json_array_elements_text",
    "json_build_array",
    "json_build_object",
    "jsonb_array_elements",
    "jsonb_array_elements_text",
    "jsonb_build_array",
    "jsonb_build_object",
    "jsonb_set",
    "jsonb_strip_nulls",
    "least",
    "left",
    "length",
    "lower",
    "lpad",
    "ltrim",
    "make_date",
    "make_interval",
    "md5",
    "mod",
    "nextval",
    "now",
    "nullif",
    "octet_length",
    "position",
    "power",
    "regexp_replace",
    "regexp_split_to_table",
    "replace",
    "right",
    "round",
    "row_to_json",
    "rpad",
    "rtrim",
    "sign",
    "split_part",
    "string_to_array",
    "strpos",
    "substr",
    "substring",
    "to_char",
    "to_date",
    "to_jsonb",
    "to_timestamp",
    "trim",
    "unnest",
    "upper",
];

/// Words that may stand before a parenthesis and call nothing.
const NO_CALLS: [&str; 31] = [
    "all",
    "and",
    "any",
    "array",
    "as",
    "between",
    "bit",
    "by",
    "case",
    "char",
    "character",
    "conflict",
    "decimal",
    "do",
    "else",
    "in",
    "into",
    "not",
    "numeric",
    "on",
    "or",
    "row",
    "select",
    "set",
    "some",
    "then",
    "time",
    "timestamp",
    "varchar",
    "when",
    "where",
];

impl Reader<'_> {
    /// What an INSERT copies from one table, each row by itself.
    pub(super) fn copied(&self, node: &SyntaxNode) -> Option<Copies> {
        let insert = ast::Insert::cast(node.clone())?;
        let Some(ast::InsertSource::SelectVariant(ast::SelectVariant::Select(query))) =
            insert.insert_source()
        else {
            return None;
        };
        let together = insert.with_clause().is_some()
            || insert.returning_clause().is_some()
            || query.with_clause().is_some()
            || query.group_by_clause().is_some()
            || query.having_clause().is_some()
            || query.window_clause().is_some()
            || query.tail_clauses().next().is_some()
            || query.select_clause()?.select_quantifier().is_some();
        let from = query.from_clause()?;
        let mut items = from.items();
        let (Some(ast::FromListItem::FromItem(ast::FromItem::RelationFromItem(item))), None) =
            (items.next(), items.next())
        else {
            return None;
        };
        let part = item.only_token().is_some()
            || item.tablesample_clause().is_some()
            || item.lateral_token().is_some();
        // What is computed over several rows, or reads other rows, says so by these words.
        let words = Words::of(node);
        let selects = words.count("select") > 1;
        let over = ["over", "filter", "within"].iter().any(|word| words.find(&[word]).is_some());
        let conflict = insert.on_conflict_clause();
        let calls = Words::of(query.syntax()).call_more()
            || conflict.as_ref().is_some_and(|one| Words::of(one.syntax()).call_more());
        if together || part || selects || over || calls {
            return None;
        }
        let range = node.text_range().start()..from.syntax().text_range().end();
        let head = &self.text[usize::from(range.start)..usize::from(range.end)];
        let condition = match query.where_clause() {
            Some(clause) => Some(self.slice(clause.expr()?.syntax()).to_owned()),
            None => None,
        };
        let tail = conflict.map(|clause| self.slice(clause.syntax()).to_owned());
        Some(Copies {
            from: table_name(item.relation_name_ref()?.syntax()).ok()?,
            head: head.trim().to_owned(),
            condition,
            tail: tail.unwrap_or_default(),
            upserts: self.upserts(&insert, &query),
        })
    }

    /// The columns that are given to those by which a row is found that is there, where it is then
    /// changed.
    fn upserts(&self, insert: &ast::Insert, query: &ast::Select) -> Option<Vec<Ident>> {
        let conflict = insert.on_conflict_clause()?;
        let words = Words::of(conflict.syntax());
        words.find(&["do", "update"])?;
        let found_by = conflict.conflict_target().map(|one| Words::of(one.syntax()).first_list());
        let names = insert.column_target_list().map(|one| Words::of(one.syntax()).first_list());
        let targets = query.select_clause().and_then(|clause| clause.target_list());
        let values = targets.iter().flat_map(ast::TargetList::targets);
        let values = values.map(|one| {
            let text =
                one.expr().map(|one| self.slice(one.syntax()).to_owned()).unwrap_or_default();
            let name = text.rsplit('.').next().unwrap_or_default().trim().to_owned();
            let plain = text.chars().all(|c| c.is_alphanumeric() || "_.\"".contains(c));
            plain.then(|| Ident::new(fold(&name)))
        });
        let pairs: Vec<_> = names.unwrap_or_default().into_iter().zip(values).collect();
        let by = found_by.unwrap_or_default();
        let given = pairs.into_iter().filter(|(name, _)| by.contains(name));
        Some(given.filter_map(|(_, value)| value).collect())
    }
}

impl Words {
    /// Whether something is called that is not known to be a function of one row.
    fn call_more(&self) -> bool {
        let plain = |word: &str| word.starts_with(|c: char| c.is_alphabetic() || c == '_');
        let mut before = self.before("(").into_iter();
        before.any(|word| plain(word) && !NO_CALLS.contains(&word) && !OF_ONE_ROW.contains(&word))
    }
}
