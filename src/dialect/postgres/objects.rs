//! Everything beside the tables, with the statements that would make it again: what a
//! rollback puts back.

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use super::catalog::get;
use super::connect::wrap;
use crate::catalog::Object;
use crate::dialect::SessionError;
use crate::sql::{Ident, TableName};

/// What belongs to an extension comes and goes with it.
const OWN: &str = "NOT EXISTS (SELECT FROM pg_depend e WHERE e.objid = x.oid
                       AND e.classid = CLASS::regclass AND e.deptype IN ('e', 'i'))
                   AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'zdmig')";

/// One query a kind: kind, schema, name, table, arguments, definition.
const QUERIES: &[(&str, &str)] = &[
    (
        "pg_proc",
        "SELECT CASE x.prokind WHEN 'p' THEN 'procedure' ELSE 'function' END, n.nspname::text,
                x.proname::text, NULL, pg_get_function_identity_arguments(x.oid),
                pg_get_functiondef(x.oid) ||
                CASE WHEN obj_description(x.oid, 'pg_proc') IS NULL THEN '' ELSE
                     format(E';\nCOMMENT ON ROUTINE %s IS %L', x.oid::regprocedure,
                            obj_description(x.oid, 'pg_proc')) END ||
                CASE WHEN x.proacl IS NULL THEN '' ELSE
                     format(E';\nREVOKE ALL ON ROUTINE %s FROM PUBLIC', x.oid::regprocedure) END ||
                coalesce((SELECT string_agg(format(E';\nGRANT %s ON ROUTINE %s TO %s%s',
                                g.privilege_type, x.oid::regprocedure,
                                CASE WHEN g.grantee = 0 THEN 'PUBLIC' ELSE g.grantee::regrole::text END,
                                CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END), '')
                            FROM aclexplode(x.proacl) g WHERE g.grantee <> x.proowner), '')
           FROM pg_proc x JOIN pg_namespace n ON n.oid = x.pronamespace
          WHERE x.prokind IN ('f', 'p', 'w')",
    ),
    (
        "pg_class",
        "SELECT 'view', n.nspname::text, x.relname::text, NULL, NULL,
                format('CREATE VIEW %I.%I%s AS %s', n.nspname, x.relname,
                       ' WITH (' || array_to_string(x.reloptions, ', ') || ')',
                       pg_get_viewdef(x.oid)) ||
                coalesce((SELECT string_agg(format(E'\\nGRANT %s ON %I.%I TO %s%s;',
                                g.privilege_type, n.nspname, x.relname,
                                CASE WHEN g.grantee = 0 THEN 'PUBLIC' ELSE g.grantee::regrole::text END,
                                CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END), '')
                            FROM aclexplode(x.relacl) g WHERE g.grantee <> x.relowner), '')
           FROM pg_class x JOIN pg_namespace n ON n.oid = x.relnamespace WHERE x.relkind = 'v'",
    ),
    (
        "pg_class",
        "SELECT 'materialized view', n.nspname::text, x.relname::text, NULL, NULL,
                format('CREATE MATERIALIZED VIEW %I.%I AS %s', n.nspname, x.relname,
                       pg_get_viewdef(x.oid)) ||
                coalesce((SELECT string_agg(E'\\n' || pg_get_indexdef(i.indexrelid) || ';', '')
                            FROM pg_index i WHERE i.indrelid = x.oid), '')
           FROM pg_class x JOIN pg_namespace n ON n.oid = x.relnamespace WHERE x.relkind = 'm'",
    ),
    (
        "pg_type",
        "SELECT 'type', n.nspname::text, x.typname::text, NULL, NULL,
                format('CREATE TYPE %I.%I AS ENUM (%s)', n.nspname, x.typname,
                       (SELECT string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder)
                          FROM pg_enum e WHERE e.enumtypid = x.oid))
           FROM pg_type x JOIN pg_namespace n ON n.oid = x.typnamespace WHERE x.typtype = 'e'",
    ),
    (
        "pg_type",
        "SELECT 'type', n.nspname::text, x.typname::text, NULL, NULL,
                format('CREATE TYPE %I.%I AS (%s)', n.nspname, x.typname,
                       (SELECT string_agg(format('%I %s', a.attname,
                                                 format_type(a.atttypid, a.atttypmod)), ', '
                                          ORDER BY a.attnum)
                          FROM pg_attribute a WHERE a.attrelid = x.typrelid AND NOT a.attisdropped))
           FROM pg_type x JOIN pg_namespace n ON n.oid = x.typnamespace
           JOIN pg_class c ON c.oid = x.typrelid AND c.relkind = 'c' WHERE x.typtype = 'c'",
    ),
    (
        "pg_type",
        "SELECT 'domain', n.nspname::text, x.typname::text, NULL, NULL,
                format('CREATE DOMAIN %I.%I AS %s%s%s%s', n.nspname, x.typname,
                       format_type(x.typbasetype, x.typtypmod),
                       ' DEFAULT ' || x.typdefault,
                       CASE WHEN x.typnotnull THEN ' NOT NULL' END,
                       (SELECT string_agg(format(' CONSTRAINT %I %s', k.conname,
                                                 pg_get_constraintdef(k.oid)), '')
                          FROM pg_constraint k WHERE k.contypid = x.oid AND k.contype = 'c'))
           FROM pg_type x JOIN pg_namespace n ON n.oid = x.typnamespace WHERE x.typtype = 'd'",
    ),
    (
        "pg_class",
        "SELECT 'sequence', n.nspname::text, x.relname::text, NULL, NULL,
                format('CREATE SEQUENCE %I.%I AS %s INCREMENT BY %s MINVALUE %s MAXVALUE %s START WITH %s CACHE %s%s;',
                       n.nspname, x.relname, format_type(s.seqtypid, NULL), s.seqincrement,
                       s.seqmin, s.seqmax, s.seqstart, s.seqcache,
                       CASE WHEN s.seqcycle THEN ' CYCLE' END) ||
                coalesce((SELECT format(E'\\nALTER SEQUENCE %I.%I OWNED BY %s.%I;', n.nspname,
                                        x.relname, o.refobjid::regclass, a.attname)
                            FROM pg_depend o JOIN pg_attribute a
                                 ON a.attrelid = o.refobjid AND a.attnum = o.refobjsubid
                           WHERE o.classid = 'pg_class'::regclass AND o.objid = x.oid
                             AND o.refclassid = 'pg_class'::regclass AND o.deptype = 'a'), '')
           FROM pg_class x JOIN pg_namespace n ON n.oid = x.relnamespace
           JOIN pg_sequence s ON s.seqrelid = x.oid WHERE x.relkind = 'S'",
    ),
    (
        "pg_statistic_ext",
        "SELECT 'statistics', n.nspname::text, x.stxname::text, NULL, NULL,
                pg_get_statisticsobjdef(x.oid)
           FROM pg_statistic_ext x JOIN pg_namespace n ON n.oid = x.stxnamespace WHERE true",
    ),
    (
        "pg_policy",
        "SELECT 'policy', n.nspname::text, x.polname::text, c.relname::text, NULL,
                format('CREATE POLICY %I ON %I.%I AS %s FOR %s TO %s%s%s', x.polname, n.nspname,
                       c.relname, CASE WHEN x.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
                       CASE x.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT'
                            WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
                       (SELECT string_agg(CASE WHEN r = 0 THEN 'PUBLIC' ELSE r::regrole::text END, ', ')
                          FROM unnest(x.polroles) r),
                       ' USING (' || pg_get_expr(x.polqual, x.polrelid) || ')',
                       ' WITH CHECK (' || pg_get_expr(x.polwithcheck, x.polrelid) || ')')
           FROM pg_policy x JOIN pg_class c ON c.oid = x.polrelid
           JOIN pg_namespace n ON n.oid = c.relnamespace WHERE true",
    ),
    (
        "pg_namespace",
        "SELECT 'schema', NULL, n.nspname::text, NULL, NULL, format('CREATE SCHEMA %I', n.nspname)
           FROM pg_namespace x JOIN pg_namespace n ON n.oid = x.oid WHERE true",
    ),
];

const EXTENSIONS: &str = "SELECT 'extension', NULL, x.extname::text, NULL, NULL,
            format('CREATE EXTENSION %I SCHEMA %I', x.extname, n.nspname)
       FROM pg_extension x JOIN pg_namespace n ON n.oid = x.extnamespace
      WHERE x.extname <> 'plpgsql'";

/// Reads all of them.
pub(super) async fn read(conn: &mut PgConnection) -> Result<Vec<Object>, SessionError> {
    let each = QUERIES.iter().map(|(class, query)| {
        format!("({query} AND {})", OWN.replace("CLASS", &format!("'{class}'")))
    });
    let all: Vec<_> = each.chain([format!("({EXTENSIONS})")]).collect();
    let sql = format!("{} ORDER BY 1, 2, 3, 5", all.join(" UNION ALL "));
    let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(conn).await.map_err(wrap)?;
    rows.iter()
        .map(|row| {
            let schema: Option<String> = get(row, 1)?;
            Ok(Object {
                kind: get(row, 0)?,
                name: TableName::new(schema.as_deref(), &get::<String>(row, 2)?),
                on: get::<Option<String>>(row, 3)?.map(Ident::new),
                arguments: get(row, 4)?,
                definition: get::<Option<String>>(row, 5)?.unwrap_or_default(),
            })
        })
        .collect()
}
