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

/// How one kind of objects is read: parts of a query over `x`, in its schema `n`.
struct Kind {
    /// The server's catalogue of them.
    class: &'static str,
    /// What we call it.
    kind: &'static str,
    /// What statements call it.
    word: &'static str,
    name: &'static str,
    /// The table that it hangs on.
    on: &'static str,
    arguments: &'static str,
    /// Its name in statements.
    shown: &'static str,
    /// The statement that makes it.
    definition: &'static str,
    owner: &'static str,
    /// An array of further statements about it. `SHOWN` stands for its name.
    said: &'static str,
    from: &'static str,
}

const PLAIN: Kind = Kind {
    class: "pg_class",
    kind: "",
    word: "",
    name: "x.relname",
    on: "NULL",
    arguments: "NULL",
    shown: "format('%I.%I', n.nspname, x.relname)",
    definition: "",
    owner: "x.relowner",
    said: "'{}'::text[]",
    from: "pg_class x JOIN pg_namespace n ON n.oid = x.relnamespace",
};

const TYPE: Kind = Kind {
    class: "pg_type",
    kind: "'type'",
    word: "'TYPE'",
    name: "x.typname",
    shown: "format('%I.%I', n.nspname, x.typname)",
    owner: "x.typowner",
    from: "pg_type x JOIN pg_namespace n ON n.oid = x.typnamespace",
    ..PLAIN
};

/// What is said of the columns of a view or of a composite type.
const OF_COLUMNS: &str = "ARRAY(
    SELECT 'COMMENT ON COLUMN ' || SHOWN || '.' || quote_ident(a.attname) || ' IS ' ||
           quote_literal(col_description(a.attrelid, a.attnum))
      FROM pg_attribute a WHERE a.attrelid = RELATION AND a.attnum > 0 AND NOT a.attisdropped
     ORDER BY a.attnum)";

const VIEW: Kind = Kind {
    kind: "'view'",
    word: "'VIEW'",
    definition: "format('CREATE VIEW %I.%I%s AS %s', n.nspname, x.relname,
                        ' WITH (' || array_to_string(x.reloptions, ', ') || ')',
                        rtrim(pg_get_viewdef(x.oid), ';'))",
    said: "ARRAY(
        SELECT 'ALTER VIEW ' || SHOWN || ' ALTER COLUMN ' || quote_ident(a.attname) ||
               ' SET DEFAULT ' || pg_get_expr(d.adbin, d.adrelid)
          FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
         WHERE d.adrelid = x.oid ORDER BY a.attnum)
     || ARRAY(SELECT rtrim(pg_get_ruledef(r.oid), ';') FROM pg_rewrite r
               WHERE r.ev_class = x.oid AND r.rulename <> '_RETURN' ORDER BY r.rulename)
     || ARRAY(SELECT pg_get_triggerdef(g.oid) FROM pg_trigger g
               WHERE g.tgrelid = x.oid AND NOT g.tgisinternal ORDER BY g.tgname)
     || OF_COLUMNS",
    from: "pg_class x JOIN pg_namespace n ON n.oid = x.relnamespace AND x.relkind = 'v'",
    ..PLAIN
};

const SNAPSHOT: Kind = Kind {
    kind: "'materialized view'",
    word: "'MATERIALIZED VIEW'",
    definition: "format('CREATE MATERIALIZED VIEW %I.%I%s AS %s%s', n.nspname, x.relname,
                        ' WITH (' || array_to_string(x.reloptions, ', ') || ')',
                        rtrim(pg_get_viewdef(x.oid), ';'),
                        CASE WHEN NOT x.relispopulated THEN ' WITH NO DATA' END)",
    said: "ARRAY(SELECT pg_get_indexdef(i.indexrelid) FROM pg_index i WHERE i.indrelid = x.oid
                  ORDER BY i.indexrelid)
     || ARRAY(
        SELECT 'COMMENT ON INDEX ' || quote_ident(n.nspname) || '.' || quote_ident(c.relname) ||
               ' IS ' || quote_literal(obj_description(c.oid, 'pg_class'))
          FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = x.oid
         ORDER BY c.relname)
     || ARRAY(
        SELECT 'ALTER MATERIALIZED VIEW ' || SHOWN || ' ALTER COLUMN ' || quote_ident(a.attname) ||
               ' SET STATISTICS ' || a.attstattarget
          FROM pg_attribute a WHERE a.attrelid = x.oid AND a.attnum > 0 AND a.attstattarget >= 0
         ORDER BY a.attnum)
     || OF_COLUMNS",
    from: "pg_class x JOIN pg_namespace n ON n.oid = x.relnamespace AND x.relkind = 'm'",
    ..PLAIN
};

const SEQUENCE: Kind = Kind {
    kind: "'sequence'",
    word: "'SEQUENCE'",
    definition: "format('CREATE SEQUENCE %I.%I AS %s INCREMENT BY %s MINVALUE %s MAXVALUE %s START WITH %s CACHE %s%s',
                        n.nspname, x.relname, format_type(s.seqtypid, NULL), s.seqincrement,
                        s.seqmin, s.seqmax, s.seqstart, s.seqcache,
                        CASE WHEN s.seqcycle THEN ' CYCLE' END)",
    said: "ARRAY(
        SELECT format('ALTER SEQUENCE %s OWNED BY %s.%I', SHOWN, o.refobjid::regclass, a.attname)
          FROM pg_depend o JOIN pg_attribute a
               ON a.attrelid = o.refobjid AND a.attnum = o.refobjsubid
         WHERE o.classid = 'pg_class'::regclass AND o.objid = x.oid
           AND o.refclassid = 'pg_class'::regclass AND o.deptype = 'a')",
    from: "pg_class x JOIN pg_namespace n ON n.oid = x.relnamespace
           JOIN pg_sequence s ON s.seqrelid = x.oid",
    ..PLAIN
};

const ENUM: Kind = Kind {
    definition: "format('CREATE TYPE %I.%I AS ENUM (%s)', n.nspname, x.typname,
                        (SELECT string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder)
                           FROM pg_enum e WHERE e.enumtypid = x.oid))",
    from: "pg_type x JOIN pg_namespace n ON n.oid = x.typnamespace AND x.typtype = 'e'",
    ..TYPE
};

const COMPOSITE: Kind = Kind {
    definition: "format('CREATE TYPE %I.%I AS (%s)', n.nspname, x.typname,
                        (SELECT string_agg(format('%I %s', a.attname,
                                                  format_type(a.atttypid, a.atttypmod)), ', '
                                           ORDER BY a.attnum)
                           FROM pg_attribute a WHERE a.attrelid = x.typrelid AND NOT a.attisdropped))",
    said: "OF_COLUMNS",
    from: "pg_type x JOIN pg_namespace n ON n.oid = x.typnamespace AND x.typtype = 'c'
           JOIN pg_class c ON c.oid = x.typrelid AND c.relkind = 'c'",
    ..TYPE
};

const DOMAIN: Kind = Kind {
    kind: "'domain'",
    word: "'DOMAIN'",
    definition: "format('CREATE DOMAIN %I.%I AS %s%s%s%s%s', n.nspname, x.typname,
                        format_type(x.typbasetype, x.typtypmod),
                        (SELECT format(' COLLATE %I.%I', ns.nspname, co.collname)
                           FROM pg_type b, pg_collation co JOIN pg_namespace ns ON ns.oid = co.collnamespace
                          WHERE b.oid = x.typbasetype AND co.oid = x.typcollation
                            AND b.typcollation <> co.oid),
                        ' DEFAULT ' || x.typdefault,
                        CASE WHEN x.typnotnull THEN ' NOT NULL' END,
                        (SELECT string_agg(format(' CONSTRAINT %I %s', k.conname,
                                                  pg_get_constraintdef(k.oid)), '' ORDER BY k.conname)
                           FROM pg_constraint k WHERE k.contypid = x.oid AND k.contype = 'c'))",
    said: "ARRAY(
        SELECT 'COMMENT ON CONSTRAINT ' || quote_ident(k.conname) || ' ON DOMAIN ' || SHOWN ||
               ' IS ' || quote_literal(obj_description(k.oid, 'pg_constraint'))
          FROM pg_constraint k WHERE k.contypid = x.oid ORDER BY k.conname)",
    from: "pg_type x JOIN pg_namespace n ON n.oid = x.typnamespace AND x.typtype = 'd'",
    ..TYPE
};

const ROUTINE: Kind = Kind {
    class: "pg_proc",
    kind: "CASE x.prokind WHEN 'p' THEN 'procedure' ELSE 'function' END",
    word: "'ROUTINE'",
    name: "x.proname",
    arguments: "pg_get_function_identity_arguments(x.oid)",
    shown: "x.oid::regprocedure::text",
    definition: "pg_get_functiondef(x.oid)",
    owner: "x.proowner",
    from: "pg_proc x JOIN pg_namespace n ON n.oid = x.pronamespace AND x.prokind IN ('f', 'p', 'w')",
    ..PLAIN
};

const STATISTICS: Kind = Kind {
    class: "pg_statistic_ext",
    kind: "'statistics'",
    word: "'STATISTICS'",
    name: "x.stxname",
    shown: "format('%I.%I', n.nspname, x.stxname)",
    definition: "pg_get_statisticsobjdef(x.oid)",
    owner: "x.stxowner",
    said: "ARRAY(SELECT 'ALTER STATISTICS ' || SHOWN || ' SET STATISTICS ' || (to_jsonb(x) ->> 'stxstattarget')
                  WHERE (to_jsonb(x) ->> 'stxstattarget')::int >= 0)",
    from: "pg_statistic_ext x JOIN pg_namespace n ON n.oid = x.stxnamespace",
    ..PLAIN
};

/// What is known by the table that it hangs on, and belongs to whom that belongs.
const HANGING: Kind = Kind { on: "c.relname", owner: "NULL::oid", ..PLAIN };

const POLICY: Kind = Kind {
    class: "pg_policy",
    kind: "'policy'",
    word: "'POLICY'",
    name: "x.polname",
    shown: "format('%I ON %I.%I', x.polname, n.nspname, c.relname)",
    definition: "format('CREATE POLICY %I ON %I.%I AS %s FOR %s TO %s%s%s', x.polname, n.nspname,
                        c.relname, CASE WHEN x.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
                        CASE x.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT'
                             WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
                        (SELECT string_agg(CASE WHEN r = 0 THEN 'PUBLIC' ELSE r::regrole::text END, ', ')
                           FROM unnest(x.polroles) r),
                        ' USING (' || pg_get_expr(x.polqual, x.polrelid) || ')',
                        ' WITH CHECK (' || pg_get_expr(x.polwithcheck, x.polrelid) || ')')",
    from: "pg_policy x JOIN pg_class c ON c.oid = x.polrelid
           JOIN pg_namespace n ON n.oid = c.relnamespace",
    ..HANGING
};

const RULE: Kind = Kind {
    class: "pg_rewrite",
    kind: "'rule'",
    word: "'RULE'",
    name: "x.rulename",
    shown: "format('%I ON %I.%I', x.rulename, n.nspname, c.relname)",
    definition: "rtrim(pg_get_ruledef(x.oid), ';')",
    said: "ARRAY(SELECT format('ALTER TABLE %I.%I %s RULE %I', n.nspname, c.relname,
                               CASE x.ev_enabled WHEN 'D' THEN 'DISABLE' WHEN 'R' THEN 'ENABLE REPLICA'
                                    ELSE 'ENABLE ALWAYS' END, x.rulename)
                  WHERE x.ev_enabled <> 'O')",
    from: "pg_rewrite x JOIN pg_class c ON c.oid = x.ev_class AND x.rulename <> '_RETURN'
           JOIN pg_namespace n ON n.oid = c.relnamespace",
    ..HANGING
};

const SCHEMA: Kind = Kind {
    class: "pg_namespace",
    kind: "'schema'",
    word: "'SCHEMA'",
    name: "n.nspname",
    shown: "quote_ident(n.nspname)",
    definition: "format('CREATE SCHEMA %I', n.nspname)",
    owner: "x.nspowner",
    from: "pg_namespace x JOIN pg_namespace n ON n.oid = x.oid",
    ..PLAIN
};

const EXTENSION: Kind = Kind {
    class: "pg_extension",
    kind: "'extension'",
    word: "'EXTENSION'",
    name: "x.extname",
    shown: "quote_ident(x.extname)",
    definition: "format('CREATE EXTENSION %I SCHEMA %I', x.extname, m.nspname)",
    owner: "NULL::oid",
    from: "pg_extension x JOIN pg_namespace m ON m.oid = x.extnamespace AND x.extname <> 'plpgsql'
           CROSS JOIN (SELECT '' AS nspname) n",
    ..PLAIN
};

const PUBLICATION: Kind = Kind {
    class: "pg_publication",
    kind: "'publication'",
    word: "'PUBLICATION'",
    name: "x.pubname",
    shown: "quote_ident(x.pubname)",
    definition:
        "format('CREATE PUBLICATION %I%s WITH (publish = %L, publish_via_partition_root = %s)',
                        x.pubname,
                        CASE WHEN x.puballtables THEN ' FOR ALL TABLES' ELSE ' FOR ' || LISTED END,
                        concat_ws(', ', CASE WHEN x.pubinsert THEN 'insert' END,
                                  CASE WHEN x.pubupdate THEN 'update' END,
                                  CASE WHEN x.pubdelete THEN 'delete' END,
                                  CASE WHEN x.pubtruncate THEN 'truncate' END),
                        coalesce(to_jsonb(x) ->> 'pubviaroot', 'false'))",
    owner: "x.pubowner",
    from: "pg_publication x CROSS JOIN (SELECT '' AS nspname) n",
    ..PLAIN
};

/// What a publication lists: from version 15 on with columns, rows and whole schemas.
const LISTED: &str = "(SELECT string_agg(format('TABLE ONLY %s', r.prrelid::regclass), ', ')
    FROM pg_publication_rel r WHERE r.prpubid = x.oid)";
const LISTED_15: &str = "(SELECT string_agg(l.words, ', ' ORDER BY l.words) FROM (
    SELECT format('TABLE ONLY %s%s%s', r.prrelid::regclass,
                  ' (' || (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum)
                             FROM pg_attribute a WHERE a.attrelid = r.prrelid
                              AND a.attnum = ANY (r.prattrs)) || ')',
                  ' WHERE (' || pg_get_expr(r.prqual, r.prrelid) || ')') AS words
      FROM pg_publication_rel r WHERE r.prpubid = x.oid
    UNION ALL
    SELECT 'TABLES IN SCHEMA ' || s.pnnspid::regnamespace
      FROM pg_publication_namespace s WHERE s.pnpubid = x.oid) l)";

const KINDS: [Kind; 13] = [
    ROUTINE,
    VIEW,
    SNAPSHOT,
    ENUM,
    COMPOSITE,
    DOMAIN,
    SEQUENCE,
    STATISTICS,
    POLICY,
    RULE,
    SCHEMA,
    EXTENSION,
    PUBLICATION,
];

impl Kind {
    fn query(&self, version: u32) -> String {
        let Self { class, kind, word, name, on, arguments, shown, owner, from, .. } = self;
        let schema = if ["pg_namespace", "pg_extension", "pg_publication"].contains(class) {
            "NULL"
        } else {
            "n.nspname::text"
        };
        let relation = if *class == "pg_type" { "x.typrelid" } else { "x.oid" };
        let said = self.said.replace("OF_COLUMNS", OF_COLUMNS).replace("RELATION", relation);
        let said = said.replace("SHOWN", &format!("({shown})"));
        let listed = if version >= 15 { LISTED_15 } else { LISTED };
        let definition = self.definition.replace("LISTED", listed);
        let own = OWN.replace("CLASS", &format!("'{class}'"));
        // Nobody may be told in whose name we are here: an owner is named where it is another.
        format!(
            "(SELECT {kind}, {schema}, {name}::text, {on}::text, {arguments}, {definition},
                     array_remove(ARRAY[
                         CASE WHEN pg_get_userbyid({owner}) <> current_user THEN
                              'ALTER ' || {word} || ' ' || {shown} || ' OWNER TO ' ||
                              quote_ident(pg_get_userbyid({owner})) END,
                         'COMMENT ON ' || {word} || ' ' || {shown} || ' IS ' ||
                              quote_literal(obj_description(x.oid, '{class}'))] || {said}, NULL)
                FROM {from} WHERE {own})"
        )
    }
}

/// Reads all of them, as a server of this version keeps them.
pub(super) async fn read(
    conn: &mut PgConnection,
    version: u32,
) -> Result<Vec<Object>, SessionError> {
    let all: Vec<_> = KINDS.iter().map(|kind| kind.query(version)).collect();
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
                said: get(row, 6)?,
            })
        })
        .collect()
}
