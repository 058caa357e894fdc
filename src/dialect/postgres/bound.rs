//! What the server itself knows to rest on something that goes.

use sqlx::postgres::PgConnection;

use super::catalog::get;
use super::connect::wrap;
use super::quote;
use crate::dialect::{Bound, SessionError};
use crate::plan::{Target, Use};

pub(super) async fn read(
    conn: &mut PgConnection,
    targets: &[Target],
) -> Result<Vec<Bound>, SessionError> {
    let mut found = Vec::new();
    for target in targets.iter().filter(|target| target.ends == Use::Any) {
        let rows = sqlx::query(
            "WITH goes AS (
                 SELECT a.attrelid AS rel, a.attnum AS num FROM pg_attribute a
                  WHERE a.attrelid = to_regclass($1) AND NOT a.attisdropped AND a.attnum > 0
                    AND (a.attname = $2 OR $2 = '*')),
             depends AS (
                 SELECT d.classid, d.objid, g.rel FROM pg_depend d JOIN goes g
                     ON d.refclassid = 'pg_class'::regclass AND d.refobjid = g.rel
                    AND (d.refobjsubid = g.num OR $2 = '*' AND d.refobjsubid = 0))
             SELECT CASE c.relkind WHEN 'm' THEN 'materialized view ' WHEN 'v' THEN 'view '
                                   ELSE 'rule of ' END || c.oid::regclass, c.relname::text,
                    c.relnamespace::regnamespace::text
               FROM depends d JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
               JOIN pg_class c ON c.oid = r.ev_class WHERE c.oid <> d.rel
             UNION
             SELECT 'function ' || p.oid::regprocedure, p.proname::text, p.pronamespace::regnamespace::text
               FROM depends d JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
              WHERE p.pronamespace::regnamespace::text <> 'zdmig'
             UNION
             SELECT 'generated column ' || quote_ident(o.attname) || ' of ' || o.attrelid::regclass,
                    o.attname::text, NULL
               FROM goes g JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = g.rel
                AND d.refclassid = 'pg_class'::regclass AND d.refobjid = g.rel AND d.refobjsubid = g.num
               JOIN pg_attribute o ON o.attrelid = d.objid AND o.attnum = d.objsubid
              WHERE o.attgenerated <> '' AND o.attname NOT LIKE '%zdmig%' AND $2 <> '*'
             UNION
             SELECT 'generated column ' || quote_ident(o.attname) || ' of ' || o.attrelid::regclass,
                    o.attname::text, NULL
               FROM depends d JOIN pg_attrdef f ON d.classid = 'pg_attrdef'::regclass AND f.oid = d.objid
               JOIN pg_attribute o ON o.attrelid = f.adrelid AND o.attnum = f.adnum
              WHERE o.attgenerated <> '' AND o.attname NOT LIKE '%zdmig%' AND $2 <> '*'
             UNION
             SELECT 'policy ' || quote_ident(p.polname) || ' of ' || p.polrelid::regclass, p.polname::text, NULL
               FROM depends d JOIN pg_policy p ON d.classid = 'pg_policy'::regclass AND p.oid = d.objid
             UNION
             SELECT 'trigger ' || quote_ident(t.tgname) || ' of ' || t.tgrelid::regclass, t.tgname::text, NULL
               FROM depends d JOIN pg_trigger t ON d.classid = 'pg_trigger'::regclass AND t.oid = d.objid
              WHERE NOT t.tgisinternal AND t.tgname NOT LIKE '%zdmig%'
             UNION
             SELECT 'foreign key ' || quote_ident(k.conname) || ' of ' || k.conrelid::regclass, k.conname::text, NULL
               FROM goes g JOIN pg_constraint k ON k.contype = 'f' AND k.confrelid = g.rel
                AND g.num = ANY (k.confkey)
              WHERE k.conrelid <> g.rel AND k.conparentid = 0
              ORDER BY 1",
        )
        .bind(quote::table(&target.column.table))
        .bind(target.column.column.as_str())
        .fetch_all(&mut *conn)
        .await
        .map_err(wrap)?;
        for row in &rows {
            let what = format!("{} rests on {}", get::<String>(row, 0)?, target.shown());
            found.push(Bound { what, name: get(row, 1)?, schema: get(row, 2)? });
        }
    }
    Ok(found)
}
