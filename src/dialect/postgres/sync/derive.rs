//! The trigger between columns and those that take their place, several on one side or on both.

use super::{COLUMNS_FIRST, distinct, field, filling, guarded, now, quote, row, unset};
use crate::catalog::Column;
use crate::plan::{Derived, Expr, Sync};
use crate::sql::Ident;

/// On insert the side that was given decides, and both are kept where both were. On update the
/// side that the statement changed does, and where it changed both, the new one.
pub(super) fn body(sync: &Sync, derived: &Derived, renamed: &[(Ident, Ident)]) -> String {
    let all = |columns: &[Column], with: &str, test: &dyn Fn(&Ident, &Column) -> String| {
        let tests = columns.iter().map(|one| test(now(&one.name, renamed), one));
        tests.collect::<Vec<_>>().join(with)
    };
    let not_given = |name: &Ident, column: &Column| unset(&field("NEW", name), column);
    let changed =
        |name: &Ident, column: &Column| distinct(&field("NEW", name), &field("OLD", name), column);
    let given = |required: bool, indent: &str| {
        let wanted = derived.defaults.iter().filter(|one| one.required == required);
        let lines = wanted.map(|one| {
            let target = field("NEW", &one.column);
            format!(
                "{indent}IF {target} IS NULL THEN\n{indent}  {target} := {};\n{indent}END IF;\n",
                one.value
            )
        });
        lines.collect::<String>()
    };
    let forward = set(sync, &derived.forward, renamed);
    let mut back = set(sync, &derived.reverse, renamed);
    if back.is_empty() {
        // Nothing leads back: what new code writes stays on its side.
        back.push_str("NULL;");
    }
    let fill = filling(sync, &format!("{forward}\n    RETURN NEW;"));
    format!(
        "{COLUMNS_FIRST}BEGIN\n{fill}  IF TG_OP = 'INSERT' THEN\n    IF {} THEN\n      {forward}\n    \
         ELSE\n{}      IF {} THEN\n        {back}\n      END IF;\n    END IF;\n  ELSIF {} THEN\n    {back}\n  \
         ELSIF {} THEN\n    {forward}\n  END IF;\n{}  RETURN NEW;\nEND\n",
        all(&derived.news, " AND ", &not_given),
        given(false, "      ") + &given(true, "      "),
        all(&derived.olds, " AND ", &not_given),
        all(&derived.news, " OR ", &changed),
        all(&derived.olds, " OR ", &changed),
        given(true, "  "),
    )
}

/// All of a side at once, so that none of its columns sees another's new value.
fn set(sync: &Sync, side: &[(Ident, Expr)], renamed: &[(Ident, Ident)]) -> String {
    if side.is_empty() {
        return String::new();
    }
    let targets: Vec<_> = side.iter().map(|(name, _)| field("NEW", now(name, renamed))).collect();
    let values: Vec<_> = side
        .iter()
        .map(|(_, value)| match value {
            Expr::Column(name) => quote::ident(name),
            Expr::Verbatim(sql) => format!("({sql})"),
        })
        .collect();
    let from = row(sync, renamed);
    let set = format!("SELECT {} INTO {} FROM {from}", values.join(", "), targets.join(", "));
    guarded(&set, &targets) + ";"
}
