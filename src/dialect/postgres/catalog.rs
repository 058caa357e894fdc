mod marks;
mod privileges;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use super::connect::{unprepared, wrap};
use super::objects;
use super::{quote, rewrite, watch};
use crate::catalog::{
    Catalog, Column, Constraint, ConstraintKind, Default, Dependent, DependentKind, Grant, Index,
    Server, Setting, Table, TableKind, Trigger,
};
use crate::dialect::SessionError;
use crate::sql::{Ident, TableName};

type Read<T> = Result<T, SessionError>;

/// Reads the catalogue in one snapshot, so that its parts fit each other.
pub(super) async fn read(conn: &mut PgConnection) -> Read<Catalog> {
    // Somebody who locks a table exclusively locks out those who describe it, too.
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET LOCAL lock_timeout = '3s'";
    sqlx::raw_sql(begin).execute(&mut *conn).await.map_err(wrap)?;
    let catalog = read_snapshot(conn).await;
    sqlx::query("ROLLBACK").execute(&mut *conn).await.map_err(wrap)?;
    match catalog {
        Err(SessionError::LockTimeout { .. }) => Err(SessionError::LockTimeout {
            waited: Duration::from_secs(3),
            blockers: watch::holders(conn).await.unwrap_or_default(),
        }),
        other => other,
    }
}

/// The product and its version.
pub(super) async fn server(conn: &mut PgConnection) -> Read<Server> {
    // A pooler may give each statement to another process.
    let about =
        "SELECT current_setting('server_version'), current_setting('server_version_num')::int";
    let about = unprepared(about).fetch_one(conn).await.map_err(wrap)?;
    let number = u32::try_from(get::<i32>(&about, 1)?).unwrap_or_default();
    Ok(Server {
        product: "PostgreSQL".into(),
        version: get(&about, 0)?,
        number: (number / 10_000, number % 10_000),
    })
}

async fn read_snapshot(conn: &mut PgConnection) -> Read<Catalog> {
    let server = server(conn).await?;
    let path = sqlx::query("SELECT current_schemas(false)::text[]");
    let path = path.fetch_one(&mut *conn).await.map_err(wrap)?;
    let search_path: Vec<String> = get(&path, 0)?;
    let major = server.number.0;
    let mut tables = read_tables(conn).await?;
    read_partitions(conn, &mut tables).await?;
    privileges::of_tables(conn, &mut tables).await?;
    read_triggers(conn, &mut tables).await?;
    read_columns(conn, &mut tables).await?;
    read_indexes(conn, &mut tables).await?;
    read_constraints(conn, &mut tables).await?;
    marks::read(conn, &mut tables).await?;
    read_dependents(conn, &mut tables).await?;
    read_retired(conn, &mut tables).await?;
    Ok(Catalog {
        server,
        search_path: search_path.into_iter().map(Ident::new).collect(),
        objects: objects::read(conn, major).await?,
        held: privileges::read(conn).await?,
        tables: tables.into_values().map(|table| (table.name.clone(), table)).collect(),
        case_insensitive: false,
    })
}

/// Tables by their oid, while the parts are put together.
type Tables = BTreeMap<i64, Table>;

const OURS: &str = "n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'zdmig')";

async fn rows(conn: &mut PgConnection, sql: String) -> Read<Vec<PgRow>> {
    sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(&mut *conn).await.map_err(wrap)
}

pub(super) fn get<'r, T>(row: &'r PgRow, at: usize) -> Read<T>
where
    T: sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    row.try_get(at).map_err(wrap)
}

fn ident(row: &PgRow, at: usize) -> Read<Ident> {
    Ok(Ident::new(get::<String>(row, at)?))
}

fn idents(row: &PgRow, at: usize) -> Read<Vec<Ident>> {
    Ok(get::<Option<Vec<String>>>(row, at)?
        .unwrap_or_default()
        .into_iter()
        .map(Ident::new)
        .collect())
}

async fn read_tables(conn: &mut PgConnection) -> Read<Tables> {
    let sql = format!(
        "SELECT c.oid::int8, n.nspname::text, c.relname::text,
                CASE WHEN c.relkind IN ('v', 'm', 'f') THEN 'view'
                     WHEN c.relkind = 'r' AND c.relispartition THEN 'partition'
                     WHEN c.relkind = 'p' OR EXISTS (SELECT FROM pg_inherits i
                        WHERE i.inhparent = c.oid OR i.inhrelid = c.oid) THEN 'partitioned'
                     ELSE '' END,
                CASE WHEN c.relkind = 'p' THEN (SELECT coalesce(sum(CASE WHEN l.reltuples < 0
                        THEN pg_relation_size(l.oid) / 100 ELSE l.reltuples END), 0)
                        FROM pg_partition_tree(c.oid) p JOIN pg_class l ON l.oid = p.relid
                       WHERE p.isleaf)
                     WHEN c.reltuples < 0 THEN pg_relation_size(c.oid) / 100
                     ELSE c.reltuples END::int8,
                CASE WHEN c.relkind = 'p' THEN (SELECT coalesce(sum(pg_relation_size(p.relid)), 0)
                                                  FROM pg_partition_tree(c.oid) p)::int8
                     ELSE pg_relation_size(c.oid) END,
                EXISTS (SELECT FROM pg_roles r WHERE r.rolcanlogin AND NOT r.rolsuper
                    AND has_table_privilege(r.oid, c.oid, 'SELECT, INSERT, UPDATE, DELETE')),
                array(SELECT a.attname::text FROM pg_index x
                        CROSS JOIN LATERAL unnest(x.indkey) WITH ORDINALITY AS k(num, at)
                        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.num
                       WHERE x.indrelid = c.oid AND x.indisprimary AND k.at <= x.indnkeyatts
                       ORDER BY k.at),
                obj_description(c.oid, 'pg_class'),
                CASE c.relreplident WHEN 'n' THEN 'NOTHING' WHEN 'f' THEN 'FULL'
                     WHEN 'i' THEN 'USING INDEX ' || (SELECT quote_ident(ic.relname)
                        FROM pg_index x JOIN pg_class ic ON ic.oid = x.indexrelid
                       WHERE x.indrelid = c.oid AND x.indisreplident) END,
                (SELECT pg_get_partkeydef(c.oid) FROM pg_partitioned_table k
                  WHERE k.partrelid = c.oid AND k.partnatts = 1),
                (SELECT dn.nspname::text FROM pg_partitioned_table k
                   JOIN pg_class d ON d.oid = k.partdefid
                   JOIN pg_namespace dn ON dn.oid = d.relnamespace WHERE k.partrelid = c.oid),
                (SELECT d.relname::text FROM pg_partitioned_table k
                   JOIN pg_class d ON d.oid = k.partdefid WHERE k.partrelid = c.oid),
                pg_get_expr(c.relpartbound, c.oid),
                array_remove(ARRAY[
                    CASE WHEN c.relrowsecurity THEN 'ENABLE ROW LEVEL SECURITY' END,
                    CASE WHEN c.relforcerowsecurity THEN 'FORCE ROW LEVEL SECURITY' END,
                    CASE WHEN c.relpersistence = 'u' THEN 'SET UNLOGGED' END,
                    CASE WHEN c.relkind IN ('r', 'p', 'v', 'm') THEN
                         'SET (' || (SELECT string_agg(format('%s = %L', o.option_name,
                                                              o.option_value), ', ')
                                       FROM pg_options_to_table(c.reloptions) o) || ')' END], NULL)
           FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
          WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't' AND {OURS}"
    );
    let mut tables = Tables::new();
    for row in rows(conn, sql).await? {
        let table = Table {
            name: TableName { schema: Some(ident(&row, 1)?), name: ident(&row, 2)? },
            vague: false,
            kind: match get::<String>(&row, 3)?.as_str() {
                "view" => TableKind::View,
                "partitioned" => TableKind::Partitioned,
                "partition" => TableKind::Partition,
                _ => TableKind::Ordinary,
            },
            partitions: Vec::new(),
            part_key: get::<Option<String>>(&row, 10)?.and_then(|words| part_key(&words)),
            part_default: default_partition(&row)?,
            bound: get(&row, 13)?,
            columns: Vec::new(),
            key: idents(&row, 7)?,
            indexes: Vec::new(),
            constraints: Vec::new(),
            dependents: Vec::new(),
            rows: get::<i64>(&row, 4)?.unsigned_abs(),
            bytes: get::<i64>(&row, 5)?.unsigned_abs(),
            guarded: get(&row, 6)?,
            grants: Vec::new(),
            comment: get(&row, 8)?,
            row_identity: get(&row, 9)?,
            triggers: Vec::new(),
            settings: get(&row, 14)?,
            retired: Vec::new(),
            marks: Vec::new(),
        };
        tables.insert(get(&row, 0)?, table);
    }
    Ok(tables)
}

/// What stands between the parentheses of `RANGE (at)`, without an operator class.
fn part_key(words: &str) -> Option<String> {
    let (open, close) = (words.find('(')?, words.rfind(')')?);
    let inside = words[open + 1..close].trim();
    let column = inside.starts_with('"') && inside[1..].find('"') == Some(inside.len() - 2);
    let plain = column || !inside.contains([' ', '"']) || inside.starts_with('(');
    plain.then(|| inside.to_owned())
}

fn default_partition(row: &PgRow) -> Read<Option<TableName>> {
    let schema = get::<Option<String>>(row, 11)?.map(Ident::new);
    let name = get::<Option<String>>(row, 12)?.map(Ident::new);
    Ok(name.map(|name| TableName { schema, name }))
}

async fn read_partitions(conn: &mut PgConnection, tables: &mut Tables) -> Read<()> {
    let sql = format!(
        "SELECT c.oid::int8, ln.nspname::text, l.relname::text
           FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
           CROSS JOIN LATERAL pg_partition_tree(c.oid) p
           JOIN pg_class l ON l.oid = p.relid JOIN pg_namespace ln ON ln.oid = l.relnamespace
          WHERE c.relkind = 'p' AND p.relid <> c.oid AND {OURS} ORDER BY 1, 2, 3"
    );
    for row in rows(conn, sql).await? {
        let Some(table) = tables.get_mut(&get(&row, 0)?) else { continue };
        let name = TableName { schema: Some(ident(&row, 1)?), name: ident(&row, 2)? };
        table.partitions.push(name);
    }
    Ok(())
}

async fn read_triggers(conn: &mut PgConnection, tables: &mut Tables) -> Read<()> {
    let sql = format!(
        "SELECT c.oid::int8, g.tgname::text, f.nspname::text, p.proname::text,
                pg_get_triggerdef(g.oid),
                CASE g.tgenabled WHEN 'D' THEN 'DISABLE' WHEN 'R' THEN 'ENABLE REPLICA'
                     WHEN 'A' THEN 'ENABLE ALWAYS' END, obj_description(g.oid, 'pg_trigger')
           FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid
           JOIN pg_namespace n ON n.oid = c.relnamespace
           JOIN pg_proc p ON p.oid = g.tgfoid JOIN pg_namespace f ON f.oid = p.pronamespace
          WHERE NOT g.tgisinternal AND g.tgname NOT LIKE 'zzz\\_zdmig\\_%' AND {OURS}
          ORDER BY 1, 2"
    );
    for row in rows(conn, sql).await? {
        let Some(table) = tables.get_mut(&get(&row, 0)?) else { continue };
        table.triggers.push(Trigger {
            name: ident(&row, 1)?,
            function: TableName { schema: Some(ident(&row, 2)?), name: ident(&row, 3)? },
            definition: get(&row, 4)?,
            state: get(&row, 5)?,
            comment: get(&row, 6)?,
        });
    }
    Ok(())
}

/// Of a column's options, `pg_attver` is the server's own mark, since the minor versions of November
/// 2026: it differs from table to table, and nobody sets it.
async fn read_columns(conn: &mut PgConnection, tables: &mut Tables) -> Read<()> {
    let sql = format!(
        "SELECT c.oid::int8, a.attname::text, format_type(a.atttypid, a.atttypmod),
                CASE WHEN a.attcollation <> t.typcollation AND a.attcollation <> 0
                     THEN (SELECT quote_ident(ns.nspname) || '.' || quote_ident(co.collname)
                             FROM pg_collation co JOIN pg_namespace ns ON ns.oid = co.collnamespace
                            WHERE co.oid = a.attcollation) END,
                NOT a.attnotnull, pg_get_expr(d.adbin, d.adrelid),
                col_description(c.oid, a.attnum),
                array_remove(ARRAY[
                    CASE WHEN a.attidentity <> '' THEN 'it is an identity column' END,
                    CASE WHEN a.attgenerated <> '' THEN 'it is a generated column' END,
                    CASE WHEN EXISTS (SELECT FROM pg_depend s JOIN pg_class q ON q.oid = s.objid
                            WHERE s.classid = 'pg_class'::regclass AND q.relkind = 'S'
                              AND s.refclassid = 'pg_class'::regclass AND s.refobjid = c.oid
                              AND s.refobjsubid = a.attnum AND s.deptype = 'a')
                         THEN 'it owns a sequence' END], NULL),
                array_remove(ARRAY[
                    'SET STORAGE ' || CASE WHEN a.attstorage <> t.typstorage THEN
                        CASE a.attstorage WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL'
                             WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END END,
                    'SET COMPRESSION ' || CASE to_jsonb(a) ->> 'attcompression'
                        WHEN 'p' THEN 'pglz' WHEN 'l' THEN 'lz4' END], NULL),
                array_remove(ARRAY[
                    'SET STATISTICS ' || CASE WHEN coalesce(a.attstattarget, -1) >= 0
                                              THEN a.attstattarget END,
                    'SET (' || (SELECT string_agg(o.of, ', ') FROM unnest(a.attoptions) AS o (of)
                                 WHERE left(o.of, 10) <> 'pg_attver=') || ')'], NULL)
           FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
           JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
           JOIN pg_type t ON t.oid = a.atttypid
           LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
          WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND {OURS}
          ORDER BY c.oid, a.attnum"
    );
    for row in rows(conn, sql).await? {
        let Some(table) = tables.get_mut(&get(&row, 0)?) else { continue };
        let default: Option<String> = get(&row, 5)?;
        table.columns.push(Column {
            name: ident(&row, 1)?,
            type_name: get(&row, 2)?,
            collation: get(&row, 3)?,
            nullable: get(&row, 4)?,
            default: default.map(|sql| Default { constant: quote::is_constant(&sql), sql }),
            comment: get(&row, 6)?,
            grants: Vec::new(),
            peculiar: get(&row, 7)?,
            settings: settings(&row)?,
        });
    }
    let sql = format!(
        "SELECT c.oid::int8, a.attname::text, r.rolname::text, g.privilege_type, g.is_grantable
           FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
           JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
           CROSS JOIN LATERAL aclexplode(a.attacl) g LEFT JOIN pg_roles r ON r.oid = g.grantee
          WHERE a.attacl IS NOT NULL AND {OURS}
          ORDER BY 1, 2, 3, 4"
    );
    for row in rows(conn, sql).await? {
        let Some(table) = tables.get_mut(&get(&row, 0)?) else { continue };
        let name = ident(&row, 1)?;
        let grant = Grant {
            role: get::<Option<String>>(&row, 2)?.map(Ident::new),
            privilege: get(&row, 3)?,
            grantable: get(&row, 4)?,
        };
        for column in table.columns.iter_mut().filter(|column| column.name == name) {
            column.grants.push(grant.clone());
        }
    }
    Ok(())
}

fn settings(row: &PgRow) -> Read<Vec<Setting>> {
    let mut found = Vec::new();
    for (at, of_type) in [(8, true), (9, false)] {
        let clauses: Vec<String> = get(row, at)?;
        found.extend(clauses.into_iter().map(|clause| Setting { clause, of_type }));
    }
    Ok(found)
}

async fn read_indexes(conn: &mut PgConnection, tables: &mut Tables) -> Read<()> {
    let sql = format!(
        "SELECT c.oid::int8, ic.relname::text, pg_get_indexdef(x.indexrelid), x.indisunique,
                array(SELECT DISTINCT a.attname::text FROM pg_attribute a
                       WHERE a.attrelid = c.oid AND (a.attnum = ANY (x.indkey) OR EXISTS (
                             SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
                                AND d.objid = x.indexrelid AND d.refclassid = 'pg_class'::regclass
                                AND d.refobjid = c.oid AND d.refobjsubid = a.attnum))),
                CASE WHEN 0 = ANY (x.indkey) THEN NULL ELSE
                array(SELECT a.attname::text
                        FROM unnest(x.indkey) WITH ORDINALITY AS k(num, at)
                        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.num
                       WHERE k.at <= x.indnkeyatts ORDER BY k.at) END,
                con.conname::text, x.indisvalid
           FROM pg_index x
           JOIN pg_class c ON c.oid = x.indrelid JOIN pg_class ic ON ic.oid = x.indexrelid
           JOIN pg_namespace n ON n.oid = c.relnamespace
           LEFT JOIN pg_constraint con ON con.conindid = x.indexrelid AND con.conrelid = c.oid
                AND con.contype IN ('p', 'u', 'x')
          WHERE {OURS} ORDER BY c.oid, ic.relname"
    );
    for row in rows(conn, sql).await? {
        let Some(table) = tables.get_mut(&get(&row, 0)?) else { continue };
        table.indexes.push(Index {
            name: ident(&row, 1)?,
            definition: get(&row, 2)?,
            unique: get(&row, 3)?,
            columns: idents(&row, 4)?.into_iter().collect(),
            keys: idents(&row, 5)?,
            constraint: get::<Option<String>>(&row, 6)?.map(Ident::new),
            valid: get(&row, 7)?,
        });
    }
    Ok(())
}

async fn read_constraints(conn: &mut PgConnection, tables: &mut Tables) -> Read<()> {
    let sql = format!(
        "SELECT c.oid::int8, con.conname::text, con.contype::text,
                array(SELECT a.attname::text FROM unnest(con.conkey) WITH ORDINALITY AS k(num, at)
                        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.num
                       ORDER BY k.at),
                pg_get_constraintdef(con.oid)
           FROM pg_constraint con JOIN pg_class c ON c.oid = con.conrelid
           JOIN pg_namespace n ON n.oid = c.relnamespace
          WHERE con.contype IN ('p', 'u', 'c', 'f', 'x') AND {OURS}
         UNION ALL
         SELECT c.oid::int8, con.conname::text, 'i',
                array(SELECT a.attname::text FROM unnest(con.confkey) WITH ORDINALITY AS k(num, at)
                        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.num
                       ORDER BY k.at),
                con.conrelid::regclass::text
           FROM pg_constraint con JOIN pg_class c ON c.oid = con.confrelid
           JOIN pg_namespace n ON n.oid = c.relnamespace
          WHERE con.contype = 'f' AND {OURS}
          ORDER BY 1, 3, 2"
    );
    for row in rows(conn, sql).await? {
        let Some(table) = tables.get_mut(&get(&row, 0)?) else { continue };
        let kind = match get::<String>(&row, 2)?.as_str() {
            "p" => ConstraintKind::Primary,
            "u" => ConstraintKind::Unique,
            "c" => ConstraintKind::Check,
            "f" => ConstraintKind::Foreign,
            "i" => ConstraintKind::Incoming,
            _ => ConstraintKind::Exclusion,
        };
        let definition: String = get(&row, 4)?;
        let foreign = kind == ConstraintKind::Foreign;
        table.constraints.push(Constraint {
            name: ident(&row, 1)?,
            kind,
            columns: idents(&row, 3)?,
            references: foreign.then(|| rewrite::referenced(&definition)).flatten(),
            definition,
        });
    }
    Ok(())
}

/// Views, policies, generated columns, extended statistics, publications, functions with a
/// parsed body, and triggers whose function names a column in its text.
const DEPENDENTS: &str = "
    SELECT d.refobjid::int8,
           CASE WHEN d.classid = 'pg_rewrite'::regclass
                THEN (SELECT CASE v.relkind WHEN 'm' THEN 'materialized view ' ELSE 'view ' END
                             || r.ev_class::regclass::text
                        FROM pg_rewrite r JOIN pg_class v ON v.oid = r.ev_class WHERE r.oid = d.objid)
                ELSE pg_describe_object(d.classid, d.objid, d.objsubid) END AS what,
           CASE WHEN d.refobjsubid > 0 THEN a.attname::text END,
           CASE d.classid WHEN 'pg_rewrite'::regclass THEN 'view'
                WHEN 'pg_statistic_ext'::regclass THEN 'statistics' ELSE 'other' END,
           CASE d.classid
                WHEN 'pg_rewrite'::regclass THEN (SELECT v.relname::text FROM pg_rewrite r
                    JOIN pg_class v ON v.oid = r.ev_class WHERE r.oid = d.objid)
                WHEN 'pg_policy'::regclass THEN (SELECT polname::text FROM pg_policy WHERE oid = d.objid)
                WHEN 'pg_trigger'::regclass THEN (SELECT tgname::text FROM pg_trigger WHERE oid = d.objid)
                WHEN 'pg_proc'::regclass THEN (SELECT proname::text FROM pg_proc WHERE oid = d.objid)
                WHEN 'pg_statistic_ext'::regclass
                    THEN (SELECT stxname::text FROM pg_statistic_ext WHERE oid = d.objid) END
      FROM pg_depend d
      JOIN pg_class c ON c.oid = d.refobjid AND c.relkind IN ('r', 'p', 'v', 'm')
      JOIN pg_namespace n ON n.oid = c.relnamespace
      LEFT JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
     WHERE d.refclassid = 'pg_class'::regclass
       AND (d.classid = 'pg_rewrite'::regclass
            AND NOT EXISTS (SELECT FROM pg_rewrite r WHERE r.oid = d.objid AND r.ev_class = c.oid)
            AND (d.refobjsubid > 0 OR NOT EXISTS (SELECT FROM pg_depend e
                 WHERE e.classid = d.classid AND e.objid = d.objid AND e.refobjid = d.refobjid
                   AND e.refclassid = d.refclassid AND e.refobjsubid > 0))
         OR d.refobjsubid > 0 AND d.classid IN ('pg_policy'::regclass, 'pg_trigger'::regclass,
              'pg_statistic_ext'::regclass, 'pg_publication_rel'::regclass, 'pg_proc'::regclass)
         OR d.refobjsubid > 0 AND d.classid = 'pg_attrdef'::regclass AND EXISTS (
              SELECT FROM pg_attrdef f WHERE f.oid = d.objid AND f.adnum <> d.refobjsubid))
       AND NOT (d.classid = 'pg_trigger'::regclass AND EXISTS (SELECT FROM pg_trigger g
              WHERE g.oid = d.objid AND (g.tgisinternal OR g.tgname LIKE 'zzz\\_zdmig\\_%')))
       AND OURS
    UNION
    SELECT c.oid::int8, 'trigger ' || quote_ident(g.tgname) || ' (its function names the column)',
           a.attname::text, 'body', p.proname::text
      FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid
      JOIN pg_namespace n ON n.oid = c.relnamespace
      JOIN pg_proc p ON p.oid = g.tgfoid
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     WHERE NOT g.tgisinternal AND g.tgname NOT LIKE 'zzz\\_zdmig\\_%'
       AND p.prosrc ~* ('\\m' || regexp_replace(a.attname, '([^[:alnum:]_])', '\\\\\\1', 'g') || '\\M')
       AND OURS
     ORDER BY 1, 2, 3";

async fn read_dependents(conn: &mut PgConnection, tables: &mut Tables) -> Read<()> {
    for row in rows(conn, DEPENDENTS.replace("OURS", OURS)).await? {
        let Some(table) = tables.get_mut(&get(&row, 0)?) else { continue };
        let what: String = get(&row, 1)?;
        let column = get::<Option<String>>(&row, 2)?.map(Ident::new);
        let kind = match get::<String>(&row, 3)?.as_str() {
            "view" => DependentKind::View,
            "body" => DependentKind::Body,
            "statistics" => DependentKind::Statistics,
            _ => DependentKind::Other,
        };
        match table.dependents.iter_mut().find(|one| one.what == what) {
            Some(known) => known.columns.extend(column),
            None => {
                let columns: BTreeSet<_> = column.into_iter().collect();
                let name = Ident::new(get::<Option<String>>(&row, 4)?.unwrap_or_default());
                table.dependents.push(Dependent { what, kind, name, columns });
            }
        }
    }
    Ok(())
}

async fn read_retired(conn: &mut PgConnection, tables: &mut Tables) -> Read<()> {
    if !super::session::exists(conn, "zdmig.retired").await? {
        return Ok(());
    }
    let sql = "SELECT to_regclass(relation)::oid::int8, column_name FROM zdmig.retired
               WHERE to_regclass(relation) IS NOT NULL";
    for row in rows(conn, sql.to_owned()).await? {
        if let Some(table) = tables.get_mut(&get(&row, 0)?) {
            table.retired.push(ident(&row, 1)?);
        }
    }
    Ok(())
}
