//! What indexes and constraints have beside their definitions.

use sqlx::PgConnection;

use super::{OURS, Read, Tables, get, ident, rows};
use crate::catalog::Mark;

/// Comments of indexes and constraints, the order of rows, tablespaces, samples.
pub(super) async fn read(conn: &mut PgConnection, tables: &mut Tables) -> Read<()> {
    let sql = format!(
        "SELECT x.indrelid::int8, ic.relname::text, obj_description(ic.oid, 'pg_class'), 'index',
                x.indisclustered, ic.reltablespace <> 0
           FROM pg_index x JOIN pg_class ic ON ic.oid = x.indexrelid
           JOIN pg_namespace n ON n.oid = ic.relnamespace WHERE {OURS}
         UNION ALL
         SELECT con.conrelid::int8, con.conname::text, obj_description(con.oid, 'pg_constraint'),
                'constraint', false, false
           FROM pg_constraint con JOIN pg_namespace n ON n.oid = con.connamespace WHERE {OURS}
          ORDER BY 1, 4, 2"
    );
    for row in rows(conn, sql).await? {
        let Some(table) = tables.get_mut(&get(&row, 0)?) else { continue };
        let name = ident(&row, 1)?;
        if let Some(comment) = get::<Option<String>>(&row, 2)? {
            table.marks.push(match get::<String>(&row, 3)?.as_str() {
                "index" => Mark::IndexComment(name.clone(), comment),
                _ => Mark::ConstraintComment(name.clone(), comment),
            });
        }
        if get(&row, 4)? {
            table.marks.push(Mark::Clustered(name.clone()));
        }
        if get(&row, 5)? {
            table.marks.push(Mark::Elsewhere(name));
        }
    }
    let sql = format!(
        "SELECT x.indrelid::int8, ic.relname::text, a.attnum::int4, a.attstattarget::int4
           FROM pg_index x JOIN pg_class ic ON ic.oid = x.indexrelid
           JOIN pg_namespace n ON n.oid = ic.relnamespace
           JOIN pg_attribute a ON a.attrelid = ic.oid AND a.attstattarget >= 0
          WHERE {OURS} ORDER BY 1, 2, 3"
    );
    for row in rows(conn, sql).await? {
        let Some(table) = tables.get_mut(&get(&row, 0)?) else { continue };
        table.marks.push(Mark::Statistics(ident(&row, 1)?, get(&row, 2)?, get(&row, 3)?));
    }
    Ok(())
}
