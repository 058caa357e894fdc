//! The trigger between columns and those that take their place.
//!
//! A hidden column marks the rows in which the new columns are still to be computed: those that
//! were there before, and those in which the author's expression failed. A row that is not
//! marked is never computed again, so that what new code set to NULL stays NULL.

use super::{COLUMNS_FIRST, computed_defaults, distinct, field, filling, now, quote, row, unset};
use crate::catalog::Column;
use crate::plan::{Derived, Expr, Sync};
use crate::sql::Ident;

struct Body<'a> {
    sync: &'a Sync,
    derived: &'a Derived,
    renamed: &'a [(Ident, Ident)],
}

/// On insert the side that was given decides, and both are kept where both were. On update the
/// side that the statement changed does, and where it changed both, the new one.
pub(super) fn body(sync: &Sync, derived: &Derived, renamed: &[(Ident, Ident)]) -> String {
    let one = Body { sync, derived, renamed };
    let not_given = |name: &Ident, column: &Column| unset(&field("NEW", name), column);
    let changed =
        |name: &Ident, column: &Column| distinct(&field("NEW", name), &field("OLD", name), column);
    let news_not_given = one.all(&derived.news, " AND ", &not_given);
    let olds_not_given = one.all(&derived.olds, " AND ", &not_given);
    let news_changed = one.all(&derived.news, " OR ", &changed);
    let olds_changed = one.all(&derived.olds, " OR ", &changed);
    let mark = field("NEW", &derived.mark);
    let fill = format!("{}\n    {mark} := false;\n    RETURN NEW;", one.forward(true));
    let defaults = one.defaults(false) + &one.defaults(true);
    format!(
        "{COLUMNS_FIRST}BEGIN\n{}\
         \x20 IF TG_OP = 'INSERT' THEN\n\
         \x20   IF {news_not_given} THEN\n\
         {}\
         \x20     {}\n\
         \x20     IF {olds_not_given} THEN\n{defaults}      END IF;\n\
         \x20   ELSE\n\
         {defaults}\
         \x20     IF {olds_not_given} THEN\n        {}\n      END IF;\n\
         {}\
         \x20     {mark} := false;\n\
         \x20   END IF;\n\
         \x20 ELSIF {news_changed} THEN\n\
         \x20   IF {} THEN\n      {}\n    END IF;\n\
         \x20   IF NOT {mark} THEN\n      {}\n    END IF;\n\
         \x20 ELSIF {olds_changed} THEN\n\
         \x20   {}\n\
         \x20 END IF;\n\
         {}  RETURN NEW;\nEND\n",
        filling(sync, &fill),
        one.old_defaults(),
        one.tried_forward(true),
        one.back(),
        one.old_defaults(),
        field("OLD", &derived.mark),
        one.completed(),
        one.back(),
        one.tried_forward(false),
        one.defaults(true),
    )
}

impl Body<'_> {
    fn all(
        &self,
        columns: &[Column],
        with: &str,
        test: &dyn Fn(&Ident, &Column) -> String,
    ) -> String {
        let tests = columns.iter().map(|one| test(now(&one.name, self.renamed), one));
        format!("({})", tests.collect::<Vec<_>>().join(with))
    }

    fn mark(&self) -> String {
        field("NEW", &self.derived.mark)
    }

    fn row(&self) -> String {
        row(self.sync, self.renamed)
    }

    /// Everything that follows from the old columns at once, so that none of the new columns
    /// sees another's new value. `others` are the rows that the author did not mean.
    fn forward(&self, others: bool) -> String {
        let (targets, values) = self.side(&self.derived.forward);
        let set = format!("SELECT {values} INTO {targets} FROM {};", self.row());
        let Some(condition) = &self.derived.condition else { return set };
        let rest = if others { self.elsewhere() } else { String::new() };
        let rest = if rest.is_empty() { rest } else { format!(" ELSE {rest}") };
        format!("IF (SELECT ({condition}) FROM {}) THEN {set}{rest} END IF;", self.row())
    }

    fn elsewhere(&self) -> String {
        let set = self.derived.defaults.iter().map(|one| {
            let target = field("NEW", &one.column);
            format!("{target} := coalesce({target}, {});", one.value)
        });
        set.collect::<Vec<_>>().join(" ")
    }

    /// A write of old code: it never fails for what follows from it.
    fn tried_forward(&self, others: bool) -> String {
        let nothing: Vec<_> = self
            .derived
            .news
            .iter()
            .map(|one| format!("{} := NULL;", field("NEW", &one.name)))
            .collect();
        let mark = self.mark();
        format!(
            "BEGIN {} {mark} := false; EXCEPTION WHEN OTHERS THEN {} {mark} := true; END;",
            self.forward(others),
            nothing.join(" ")
        )
    }

    /// New code changes a row that is still to be computed: what it left alone is computed now,
    /// or else the way back would start from nothing.
    fn completed(&self) -> String {
        let values: Vec<_> = self
            .derived
            .forward
            .iter()
            .map(|(name, value)| {
                let of = self.derived.news.iter().find(|one| one.name == *name);
                let (new, old) = (field("NEW", name), field("OLD", name));
                let changed =
                    of.map_or_else(|| "false".to_owned(), |one| distinct(&new, &old, one));
                let stored = of.map_or_else(String::new, |one| format!("::{}", one.type_name));
                format!("CASE WHEN {changed} THEN {new} ELSE {}{stored} END", expression(value))
            })
            .collect();
        let (targets, _) = self.side(&self.derived.forward);
        let set = format!("SELECT {} INTO {targets} FROM {};", values.join(", "), self.row());
        let set = match &self.derived.condition {
            Some(sql) => format!("IF (SELECT ({sql}) FROM {}) THEN {set} END IF;", self.row()),
            None => set,
        };
        format!("BEGIN {set} {} := false; EXCEPTION WHEN OTHERS THEN NULL; END;", self.mark())
    }

    /// A write of new code: where nothing comes of it, the old value stays, unless new code
    /// took all values away.
    fn back(&self) -> String {
        if self.derived.reverse.is_empty() {
            return "NULL;".to_owned();
        }
        let empty = |name: &Ident, _: &Column| format!("{} IS NULL", field("NEW", name));
        let cleared = self.all(&self.derived.news, " AND ", &empty);
        let (targets, _) = self.side(&self.derived.reverse);
        let values = self.derived.reverse.iter().map(|(name, value)| {
            let kept = field("NEW", now(name, self.renamed));
            let of = self.derived.olds.iter().find(|one| one.name == *name);
            let stored = of.map_or_else(String::new, |one| format!("::{}", one.type_name));
            format!(
                "CASE WHEN {cleared} THEN ({0}){stored} ELSE coalesce(({0}){stored}, {kept}) END",
                expression(value)
            )
        });
        format!(
            "BEGIN SELECT {} INTO {targets} FROM {}; EXCEPTION WHEN OTHERS THEN NULL; END;",
            values.collect::<Vec<_>>().join(", "),
            self.row()
        )
    }

    fn side(&self, side: &[(Ident, Expr)]) -> (String, String) {
        let targets: Vec<_> =
            side.iter().map(|(name, _)| field("NEW", now(name, self.renamed))).collect();
        let values: Vec<_> = side.iter().map(|(_, value)| expression(value)).collect();
        (targets.join(", "), values.join(", "))
    }

    /// Defaults of new columns: those without which a row is refused, or the others.
    fn defaults(&self, required: bool) -> String {
        let wanted = self.derived.defaults.iter().filter(|one| one.required == required);
        let lines = wanted.map(|one| {
            let target = field("NEW", &one.column);
            format!("  {target} := coalesce({target}, {});\n", one.value)
        });
        lines.collect()
    }

    /// Defaults of old columns that are computed, which are off while both sides exist.
    fn old_defaults(&self) -> String {
        let lines = computed_defaults(self.sync).into_iter().map(|(column, default)| {
            let target = field("NEW", now(&column.name, self.renamed));
            format!("  {target} := coalesce({target}, {default});\n")
        });
        lines.collect()
    }
}

fn expression(value: &Expr) -> String {
    match value {
        Expr::Column(name) => quote::ident(name),
        Expr::Verbatim(sql) => format!("({sql})"),
    }
}
