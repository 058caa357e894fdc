//! Who may do what, so that a GRANT or a REVOKE can be taken back to what was.

use sqlx::PgConnection;

use super::{OURS, Read, Tables, get, rows};
use crate::catalog::{Grant, Held};
use crate::sql::{Ident, TableName};

/// Every privilege on tables, columns, sequences, routines, schemas and types, those of the
/// owners too; something on which nobody has any is there as well.
pub(super) async fn read(conn: &mut PgConnection) -> Read<Vec<Held>> {
    let sql = format!(
        "SELECT o.kind, o.schema, o.name, o.arguments, o.col, g.grantee = o.owner, r.rolname::text,
                array_remove(array_agg(g.privilege_type ORDER BY g.privilege_type), NULL),
                coalesce(array_agg(g.privilege_type ORDER BY g.privilege_type)
                         FILTER (WHERE g.is_grantable), ARRAY[]::text[])
           FROM (SELECT CASE c.relkind WHEN 'S' THEN 'sequence' ELSE 'table' END AS kind,
                        n.nspname::text AS schema, c.relname::text AS name, NULL::text AS arguments,
                        NULL::text AS col, c.relowner AS owner,
                        coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's'::\"char\"
                                                      ELSE 'r' END, c.relowner)) AS acl
                   FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.relpersistence <> 't'
                    AND {OURS}
                 UNION ALL
                 SELECT 'table', n.nspname, c.relname, NULL, a.attname, c.relowner, a.attacl
                   FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
                   JOIN pg_namespace n ON n.oid = c.relnamespace
                  WHERE a.attacl IS NOT NULL AND NOT a.attisdropped AND {OURS}
                 UNION ALL
                 SELECT 'routine', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid),
                        NULL, p.proowner, coalesce(p.proacl, acldefault('f', p.proowner))
                   FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
                  WHERE {OURS}
                 UNION ALL
                 SELECT 'type', n.nspname, t.typname, NULL, NULL, t.typowner,
                        coalesce(t.typacl, acldefault('T', t.typowner))
                   FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
                  WHERE (t.typtype IN ('e', 'd', 'r') OR EXISTS (
                        SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind = 'c')) AND {OURS}
                 UNION ALL
                 SELECT 'schema', NULL, n.nspname, NULL, NULL, n.nspowner,
                        coalesce(n.nspacl, acldefault('n', n.nspowner))
                   FROM pg_namespace n WHERE {OURS}) AS o
           LEFT JOIN LATERAL aclexplode(o.acl) AS g ON true
           LEFT JOIN pg_roles r ON r.oid = g.grantee
          GROUP BY 1, 2, 3, 4, 5, 6, 7 ORDER BY 1, 2, 3, 4, 5, 7"
    );
    let found = rows(conn, sql).await?;
    found
        .iter()
        .map(|row| {
            let schema: Option<String> = get(row, 1)?;
            Ok(Held {
                kind: get(row, 0)?,
                name: TableName::new(schema.as_deref(), &get::<String>(row, 2)?),
                arguments: get(row, 3)?,
                column: get::<Option<String>>(row, 4)?.map(Ident::new),
                owner: get::<Option<bool>>(row, 5)?.unwrap_or_default(),
                role: get::<Option<String>>(row, 6)?.map(Ident::new),
                privileges: get(row, 7)?,
                grantable: get(row, 8)?,
            })
        })
        .collect()
}

/// The privileges on tables that a view in their place must have, too.
pub(super) async fn of_tables(conn: &mut PgConnection, tables: &mut Tables) -> Read<()> {
    let sql = format!(
        "SELECT c.oid::int8, r.rolname::text, g.privilege_type, g.is_grantable
           FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
           CROSS JOIN LATERAL aclexplode(c.relacl) g LEFT JOIN pg_roles r ON r.oid = g.grantee
          WHERE c.relkind IN ('r', 'p') AND g.grantee <> c.relowner AND {OURS}
          ORDER BY 1, 2, 3"
    );
    for row in rows(conn, sql).await? {
        let Some(table) = tables.get_mut(&get(&row, 0)?) else { continue };
        table.grants.push(Grant {
            role: get::<Option<String>>(&row, 1)?.map(Ident::new),
            privilege: get(&row, 2)?,
            grantable: get(&row, 3)?,
        });
    }
    Ok(())
}
