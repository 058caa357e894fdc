//! What stands around a random table (views, types, triggers, policies, privileges, another
//! table) and statements about it.

use super::{Column, Dice, Made, quoted};

/// Something that hangs on the table, or on which it hangs.
#[derive(Clone, Copy, PartialEq)]
pub enum Thing {
    View,
    Snapshot,
    Trigger,
    Policy,
    Privileges,
    Counter,
    Lookup,
    Statistics,
}

const THINGS: [Thing; 8] = [
    Thing::View,
    Thing::Snapshot,
    Thing::Trigger,
    Thing::Policy,
    Thing::Privileges,
    Thing::Counter,
    Thing::Lookup,
    Thing::Statistics,
];

/// The types that columns can be of beside the server's own.
pub const TYPES: &str = "CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');\n\
                         CREATE DOMAIN short AS varchar(20) CHECK (value <> 'no');\n";

/// Up to two things.
pub fn things(dice: &mut Dice) -> Vec<Thing> {
    (0..dice.below(3)).map(|_| dice.pick(&THINGS)).fold(Vec::new(), |mut all, one| {
        if !all.contains(&one) {
            all.push(one);
        }
        all
    })
}

/// The statement that makes a thing.
pub fn create(thing: Thing, table: &str, column: &Column) -> String {
    let name = quoted(&column.name);
    match thing {
        Thing::View => format!("CREATE VIEW shown AS SELECT id, {name} AS first FROM {table};\n"),
        Thing::Snapshot => {
            format!(
                "CREATE MATERIALIZED VIEW counted AS SELECT {name}, count(*) FROM {table} GROUP BY 1;\n"
            )
        }
        Thing::Trigger => format!(
            "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NEW; END$$;\n\
             CREATE TRIGGER touched BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION touch();\n"
        ),
        Thing::Policy => format!("CREATE POLICY mine ON {table} USING ({name} IS NOT NULL);\n"),
        Thing::Privileges => format!(
            "GRANT SELECT ON {table} TO pg_monitor;\nGRANT UPDATE ({name}) ON {table} TO pg_monitor;\n"
        ),
        Thing::Counter => "CREATE SEQUENCE counter START 1000;\n".into(),
        Thing::Lookup => "CREATE TABLE lookup (id text PRIMARY KEY, \"How many\" int);\n\
                          INSERT INTO lookup VALUES ('1', 1), ('2', 2);\n"
            .into(),
        Thing::Statistics => format!("CREATE STATISTICS pairs ON id, {name} FROM {table};\n"),
    }
}

/// Something that is done to a thing, or with it.
pub fn change(
    dice: &mut Dice,
    made: &Made,
    thing: Thing,
    column: &Column,
    number: usize,
) -> String {
    let (table, name) = (quoted(&made.table), quoted(&column.name));
    let choices = match thing {
        Thing::View => vec![
            "DROP VIEW shown".to_owned(),
            format!(
                "CREATE OR REPLACE VIEW shown AS SELECT id, {name} AS first, 1 AS more FROM {table}"
            ),
            "ALTER VIEW shown RENAME TO \"Shown Too\"".into(),
            format!("DROP VIEW shown;\nCREATE VIEW shown AS SELECT {name} AS only FROM {table}"),
        ],
        Thing::Snapshot => vec![
            "DROP MATERIALIZED VIEW counted".into(),
            "CREATE UNIQUE INDEX counted_of ON counted (count)".into(),
            "ALTER MATERIALIZED VIEW counted RENAME COLUMN count TO number".into(),
        ],
        Thing::Trigger => vec![
            format!("DROP TRIGGER touched ON {table}"),
            format!("DROP TRIGGER touched ON {table};\nDROP FUNCTION touch()"),
            format!("ALTER TABLE {table} DISABLE TRIGGER touched"),
            format!("ALTER TRIGGER touched ON {table} RENAME TO \"touched too\""),
            "CREATE OR REPLACE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS \
             $$BEGIN NEW.id = OLD.id; RETURN NEW; END$$"
                .into(),
        ],
        Thing::Policy => vec![
            format!("DROP POLICY mine ON {table}"),
            format!("ALTER TABLE {table} ENABLE ROW LEVEL SECURITY"),
            format!("CREATE POLICY \"and theirs\" ON {table} FOR INSERT WITH CHECK (id > 0)"),
            format!("ALTER POLICY mine ON {table} RENAME TO ours"),
        ],
        Thing::Privileges => vec![
            format!("GRANT INSERT ON {table} TO pg_monitor"),
            format!("REVOKE SELECT ON {table} FROM pg_monitor"),
            format!("REVOKE ALL ON {table} FROM pg_monitor"),
            format!("GRANT SELECT ({name}) ON {table} TO PUBLIC"),
        ],
        Thing::Counter => vec![
            "DROP SEQUENCE counter".into(),
            "ALTER SEQUENCE counter INCREMENT BY 5".into(),
            "ALTER SEQUENCE counter RENAME TO \"The Counter\"".into(),
            format!(
                "ALTER TABLE {table} ADD COLUMN \"c {number}\" bigint DEFAULT nextval('counter')"
            ),
            format!("ALTER SEQUENCE counter OWNED BY {table}.{name}"),
        ],
        Thing::Lookup => vec![
            "DROP TABLE lookup".into(),
            format!("ALTER TABLE {table} ADD COLUMN \"l {number}\" text REFERENCES lookup"),
            "ALTER TABLE lookup ALTER COLUMN \"How many\" TYPE bigint".into(),
            "ALTER TABLE lookup RENAME COLUMN \"How many\" TO many".into(),
            "INSERT INTO lookup VALUES ('3', 3)".into(),
            "DELETE FROM lookup WHERE \"How many\" > 1".into(),
            "ALTER TABLE lookup RENAME TO \"Looked up\"".into(),
        ],
        Thing::Statistics => {
            vec!["DROP STATISTICS pairs".into(), "ALTER STATISTICS pairs SET STATISTICS 50".into()]
        }
    };
    format!("{};\n", dice.pick(&choices))
}

/// Something about the table that changes no column.
pub fn beside(dice: &mut Dice, table: &str, column: &Column, number: usize) -> String {
    let name = quoted(&column.name);
    let choices = [
        format!("COMMENT ON TABLE {table} IS 'it''s {number}'"),
        format!("COMMENT ON COLUMN {table}.{name} IS '{number}'"),
        format!(
            "CREATE TABLE \"new {number}\" (id int PRIMARY KEY, \"of\" bigint, note text);\n\
             CREATE INDEX ON \"new {number}\" (note)"
        ),
        format!("CREATE VIEW \"view {number}\" AS SELECT {name} FROM {table}"),
        "ALTER TYPE mood RENAME VALUE 'ok' TO 'fine'".to_owned(),
        "ALTER TYPE mood RENAME TO \"Feeling\"".to_owned(),
        "ALTER DOMAIN short ADD CONSTRAINT brief CHECK (length(value) < 30)".to_owned(),
        "ALTER DOMAIN short SET DEFAULT 'x'".to_owned(),
        format!("ALTER TABLE {table} SET (fillfactor = 80)"),
        format!("ALTER TABLE {table} ALTER COLUMN {name} SET STATISTICS 20"),
    ];
    format!("{};\n", dice.pick(&choices))
}

/// An enumeration that another takes the place of.
pub fn anew(table: &str, column: &Column) -> String {
    let name = quoted(&column.name);
    format!(
        "ALTER TYPE mood RENAME TO mood_old;\n\
         CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy', 'glad');\n\
         ALTER TABLE {table} ALTER COLUMN {name} TYPE mood USING {name}::text::mood;\n"
    )
}
