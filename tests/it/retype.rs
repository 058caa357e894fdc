//! A key becomes wider while two clients write: nothing fails, nothing is lost, and the
//! change of places can be taken back as long as the old type can hold what came in.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;
use zdmig::dialect::Value;

use crate::corpus::dump;
use crate::support::{Database, OPEN_GATE, Project, attach};

const SCHEMA: &str = "
    CREATE TABLE orders (id serial PRIMARY KEY, price int NOT NULL, note text);
    CREATE INDEX orders_price ON orders (price);
    CREATE TABLE items (
        id bigserial PRIMARY KEY,
        order_id int NOT NULL REFERENCES orders ON DELETE CASCADE,
        price int
    );
    CREATE INDEX items_order ON items (order_id);
    INSERT INTO orders (price) SELECT g FROM generate_series(1, 20000) g;
    INSERT INTO items (order_id, price) SELECT g, g FROM generate_series(1, 20000) g;";

const WIDEN: &str = "
    ALTER TABLE orders ALTER COLUMN id TYPE bigint, ALTER COLUMN price TYPE numeric(11, 2);
    ALTER SEQUENCE orders_id_seq AS bigint;
    ALTER TABLE items ALTER COLUMN order_id TYPE bigint;";

/// What the clients use, and that they cope with both types.
const MANIFEST: &str = r#"{
    "zdmig_usage": 1, "service": "shop", "version": "1", "complete": true,
    "items": [
        {"table": "orders", "read": ["id", "price"], "write": ["price"], "nulls": [], "upsert": []},
        {"table": "items", "write": ["order_id", "price"], "nulls": [], "upsert": []}
    ],
    "accepts": {
        "orders.id": ["bigint"], "orders.price": ["numeric(11,2)"], "items.order_id": ["bigint"]
    }
}"#;

/// What a client was told is written: the order, its price, and how many items it has.
type Written = Vec<(String, i64, usize)>;

/// Writes orders with items, and changes them, until it is told to stop. Every statement
/// must succeed.
fn writer(url: String, stop: Arc<AtomicBool>, seed: i64) -> JoinHandle<Written> {
    tokio::spawn(async move {
        let mut client = attach(&url, "shop@1").await.client;
        let mut written = Written::new();
        let mut turn = seed;
        while !stop.load(Ordering::Relaxed) {
            turn += 1;
            let insert = format!("INSERT INTO orders (price) VALUES ({turn}) RETURNING id::text");
            let rows = client.rows(&insert, &[]).await.expect("an order");
            let id = rows[0][0].clone().expect("an id");
            let item = "INSERT INTO items (order_id, price) VALUES ($1::text::int8, 7)";
            client.run(item, &[Value::Text(&id)]).await.expect("an item");
            let update = "UPDATE orders SET price = price + 1 WHERE id = $1::text::int8";
            assert_eq!(client.run(update, &[Value::Text(&id)]).await.expect("a change"), 1);
            // Somebody who changes what is to be filled.
            let old = (turn * 37 % 20_000 + 1).to_string();
            client.run(update, &[Value::Text(&old)]).await.expect("a change");
            written.push((id, turn + 1, 1));
        }
        written
    })
}

struct Shop {
    database: Database,
    project: Project,
    stop: Arc<AtomicBool>,
    writers: Vec<JoinHandle<Written>>,
}

impl Shop {
    async fn open(name: &str) -> Self {
        let database = Database::postgres(name).await;
        database.script(SCHEMA).await;
        let config = OPEN_GATE.replace("nobody", "shop");
        let project = Project::new(&database).migration("1_widen", WIDEN).config(&config);
        project.write("shop.json", MANIFEST);
        let stop = Arc::new(AtomicBool::new(false));
        let writer = |seed| writer(database.url.clone(), stop.clone(), seed);
        let writers = vec![writer(0), writer(1_000_000)];
        Self { database, project, stop, writers }
    }

    async fn meanwhile(&self, line: &str) {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let ran = self.project.command(line).output().expect("it runs");
        crate::support::Ran::from(line, ran).done();
    }

    /// Every write that was acknowledged is there, in both tables.
    async fn close(self) -> Database {
        tokio::time::sleep(Duration::from_millis(300)).await;
        self.stop.store(true, Ordering::Relaxed);
        let mut client = self.database.client().await;
        let mut orders = 0;
        for writer in self.writers {
            for (id, price, items) in writer.await.expect("no statement fails") {
                orders += 1;
                let query = "SELECT (SELECT price::bigint::text FROM orders WHERE id = $1::text::int8), \
                             (SELECT count(*)::text FROM items WHERE order_id = $1::text::int8)";
                let rows = client.rows(query, &[Value::Text(&id)]).await.expect("a row");
                let expected = vec![Some(price), i64::try_from(items).ok()];
                let found: Vec<Option<i64>> = rows[0]
                    .iter()
                    .map(|value| value.as_ref().and_then(|value| value.parse().ok()))
                    .collect();
                // Others may have raised the price of an old order, never of a new one.
                assert_eq!(found, expected, "order {id}");
            }
        }
        assert!(orders > 100, "the writers hardly wrote: {orders}");
        self.database
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_writers_notice_nothing_forth_back_and_forth_again() {
    let shop = Shop::open("widen").await;
    for line in ["expand", "rollback 1_widen", "expand", "backfill", "rollback 1_widen"] {
        shop.meanwhile(line).await;
    }
    for line in ["expand", "backfill"] {
        shop.meanwhile(line).await;
    }
    shop.project.run("contract").exits(12).says(&["shop@1 is live", "nothing says what it uses"]);
    shop.meanwhile("usage publish shop.json").await;
    for line in ["contract --soak 1h", "restore 1_widen"] {
        shop.meanwhile(line).await;
    }
    for line in ["contract --soak 1h", "rollback 1_widen", "expand", "backfill", "contract"] {
        shop.meanwhile(line).await;
    }
    let database = shop.close().await;
    assert_eq!(database.leftovers().await, Vec::<String>::new());
    let plain = Database::postgres("widened").await;
    plain.script(&format!("{SCHEMA} {WIDEN}")).await;
    assert_eq!(database.catalog().await.tables, plain.catalog().await.tables);
    let mut client = database.client().await;
    let far = "INSERT INTO orders (id, price) VALUES (3000000000, 1.25)";
    client.run(far, &[]).await.expect("the key is wide");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_old_type_cannot_hold_stops_the_way_back_and_nothing_else() {
    let database = Database::postgres("narrow").await;
    database.script(SCHEMA).await;
    let project = Project::new(&database).migration("1_widen", WIDEN).config(OPEN_GATE);
    for line in ["expand", "backfill", "contract --soak 1h"] {
        project.run(line).done();
    }
    let mut client = database.client().await;
    for sql in [
        "INSERT INTO orders (id, price) VALUES (3000000000, 1)",
        "INSERT INTO items (order_id) VALUES (3000000000)",
        "UPDATE orders SET price = 12345678.5 WHERE id = 3000000000",
    ] {
        client.run(sql, &[]).await.expect("the new type holds it");
    }
    project.run("restore 1_widen").exits(15).says(&["public.items", "the old type cannot"]);
    client.run("DELETE FROM orders WHERE id = 3000000000", &[]).await.expect("gone");
    project.run("restore 1_widen").done().says(&["restored"]);
    let narrow = client.run("INSERT INTO orders (id, price) VALUES (3000000000, 1)", &[]).await;
    assert!(narrow.is_err(), "the key is narrow again");
    project.run("rollback 1_widen").done();
    assert_eq!(database.leftovers().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_cannot_be_converted_fails_no_write_before_the_gate() {
    let database = Database::postgres("garbage").await;
    database
        .script(
            "CREATE TABLE readings (id int PRIMARY KEY, value text NOT NULL);
             INSERT INTO readings SELECT g, g::text FROM generate_series(1, 500) g",
        )
        .await;
    let sql = "ALTER TABLE readings ALTER COLUMN value TYPE int USING value::int;";
    let project = Project::new(&database).migration("1_number", sql).config(OPEN_GATE);
    project.run("expand").done();
    let mut client = database.client().await;
    let garbage = "INSERT INTO readings VALUES (1000, 'about 7')";
    client.run(garbage, &[]).await.expect("old code writes what it always wrote");
    project.run("backfill").exits(15).says(&["about 7"]);
    client.run("UPDATE readings SET value = '7' WHERE id = 1000", &[]).await.expect("mended");
    project.run("backfill").done();
    client.run("UPDATE readings SET value = 'many' WHERE id = 3", &[]).await.expect("again");
    project.run("contract").exits(15).says(&["many"]);
    // From the failed contract on nothing can slip in any more, and nothing is lost.
    let strict = client.run("UPDATE readings SET value = 'few' WHERE id = 4", &[]).await;
    assert!(strict.is_err());
    let rows = client.rows("SELECT value FROM readings WHERE id = 3", &[]).await.expect("a row");
    assert_eq!(rows, vec![vec![Some("many".to_owned())]]);
    client.run("UPDATE readings SET value = '3' WHERE id = 3", &[]).await.expect("mended");
    project.run("contract").done();
    let rows = client.rows("SELECT sum(value)::text FROM readings", &[]).await.expect("a sum");
    assert_eq!(rows[0][0].as_deref(), Some("125257"));
}

/// What was widened goes back only once it holds nothing that would be cut off or rounded.
#[tokio::test(flavor = "multi_thread")]
async fn what_new_code_wrote_is_not_cut_off_when_a_type_goes_back() {
    let database = Database::postgres("cut_off").await;
    database
        .script(
            "CREATE TABLE t (id int PRIMARY KEY, name varchar(5), price numeric(6, 2));
             INSERT INTO t VALUES (1, 'short', 1.25)",
        )
        .await;
    let before = dump(&database);
    let sql = "ALTER TABLE t ALTER name TYPE text, ALTER price TYPE numeric;";
    let project = Project::new(&database).migration("1_wider", sql).config(OPEN_GATE);
    for (written, mended) in [
        ("name = 'far too long'", "name = 'long'"),
        ("name = 'trail     '", "name = 'trail'"),
        ("price = 1.005", "price = 1.01"),
    ] {
        project.run("expand").done();
        database.script(&format!("UPDATE t SET {written}")).await;
        project.run("rollback 1").exits(15).says(&["does not hold", "mend them first"]);
        database.script(&format!("DO $$ BEGIN ASSERT (SELECT {written} FROM t); END $$")).await;
        database.script(&format!("UPDATE t SET {mended}")).await;
    }
    project.run("rollback 1").done();
    assert_eq!(dump(&database), before);
}

/// A rewrite that no cast leads back from is not said to be one that can be restored.
#[tokio::test(flavor = "multi_thread")]
async fn a_rewrite_that_loses_something_waits_for_purge() {
    for (change, written) in [
        ("TYPE int USING v::int", "007"),
        ("TYPE int USING (v::int * 100)", "7"),
        ("TYPE varchar(3) USING left(v, 3)", "seven"),
        ("TYPE timestamp(0) USING v::timestamp", "2026-11-28 10:00:00.25"),
    ] {
        let database = Database::postgres("loses").await;
        let schema = format!("CREATE TABLE t (v text); INSERT INTO t VALUES ('{written}')");
        database.script(&schema).await;
        let sql = format!(
            "-- zdmig:allow table-rewrite because \"small\"\nALTER TABLE t ALTER v {change};"
        );
        let project = Project::new(&database).migration("1_change", &sql).config(OPEN_GATE);
        for line in ["expand", "backfill", "contract --soak 1h"] {
            project.run(line).done();
        }
        let kept = format!("DO $$ BEGIN ASSERT (SELECT v = '{written}' FROM t); END $$");
        database.script(&kept).await;
        project.run("purge 1_change").done();
        let plain = Database::postgres("plain").await;
        plain.script(&format!("{schema}; {sql}")).await;
        assert_eq!(dump(&database), dump(&plain), "{change}");
    }
}

/// What rests on such a rewrite waits with it, and what it lets go of goes after it.
#[tokio::test(flavor = "multi_thread")]
async fn what_rests_on_a_rewrite_waits_with_it() {
    let schema = "CREATE TYPE mood AS ENUM ('a', 'b');
        CREATE TABLE above ();
        CREATE TABLE t (v text DEFAULT '1', w text, m mood DEFAULT 'a') INHERITS (above);
        INSERT INTO t SELECT g::text, g::text FROM generate_series(1, 9) g;
        CREATE TABLE k (id text PRIMARY KEY);
        INSERT INTO k VALUES ('7');
        CREATE TABLE o (x int);";
    for file in [
        "ALTER TABLE t ALTER v DROP DEFAULT, ALTER v TYPE int USING v::int, ALTER v SET DEFAULT 0;
         ALTER TABLE t ALTER v SET NOT NULL;
         CREATE INDEX t_v ON t (v);
         ALTER TABLE t ADD CHECK (v > 0), ADD UNIQUE (v);
         ALTER TABLE t ALTER m DROP DEFAULT, ALTER m TYPE int USING (CASE m WHEN 'a' THEN 1 END);
         DROP TYPE mood;",
        "ALTER TABLE t ALTER m DROP DEFAULT, ALTER m TYPE int USING (CASE m WHEN 'a' THEN 1 END);
         ALTER TYPE mood RENAME TO old_mood;
         CREATE TYPE mood AS ENUM ('c');
         ALTER TABLE t ADD COLUMN n mood;
         ALTER TABLE t ALTER w TYPE numeric USING w::numeric + 1;
         UPDATE t SET w = w * 2;
         ALTER TABLE t RENAME COLUMN w TO weight;
         CREATE VIEW seen AS SELECT v, weight FROM t;",
        "ALTER TABLE k ALTER id TYPE int USING id::int;
         ALTER TABLE o ADD FOREIGN KEY (x) REFERENCES k;
         CREATE OR REPLACE VIEW shown AS SELECT * FROM k;",
    ] {
        let database = Database::postgres("rests").await;
        database.script(schema).await;
        let allowed = ["table-rewrite", "whole-statement", "alias-view", "long-lock"]
            .map(|hazard| format!("[[allow]]\nhazard = \"{hazard}\"\nreason = \"a test\"\n"));
        let config = format!("{OPEN_GATE}{}", allowed.concat());
        let project = Project::new(&database).migration("1_change", file).config(&config);
        let before = dump(&database);
        for line in ["expand", "backfill", "contract --soak 1h", "rollback 1"] {
            project.run(line).done();
        }
        assert_eq!(dump(&database), before);
        for line in ["expand", "backfill", "contract"] {
            project.run(line).done();
        }
        let plain = Database::postgres("plain").await;
        plain.script(&format!("{schema}; {file}")).await;
        assert_eq!(dump(&database), dump(&plain), "{file}");
        let rows = "SELECT string_agg(t::text, ' ' ORDER BY v) FROM t";
        let (mut ours, mut theirs) = (database.client().await, plain.client().await);
        let found = ours.rows(rows, &[]).await.expect("rows");
        assert_eq!(found, theirs.rows(rows, &[]).await.expect("rows"), "{file}");
    }
}
