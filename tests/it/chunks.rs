//! A fill walks along the key in the key's own order, whatever its type.

use zdmig::dialect::{FillOrder, Filled, Taken};
use zdmig::plan::{Assignment, Expr, FillRows, Pending, StepId, Walk};
use zdmig::sql::{Ident, TableName};

use crate::support::Database;

async fn walk(product: &str, schema: &str, key: &[(&str, &str)]) -> Vec<Vec<String>> {
    let database = Database::of(product, "chunks").await;
    database.script(schema).await;
    let text = if product == "sqlite" { "TEXT" } else { "text" };
    let fill = FillRows {
        table: TableName::new((product != "sqlite").then_some("public"), "t"),
        walk: Walk::Key,
        key: key.iter().map(|(name, kind)| (Ident::new(*name), (*kind).to_owned())).collect(),
        set: vec![Assignment {
            column: Ident::new("b"),
            type_name: text.into(),
            collation: None,
            value: Expr::Column(Ident::new("a")),
        }],
        pending: Pending::Differs,
        does_for: None,
        copy: None,
    };
    let mut session = database.session().await;
    session.exclusive("the test").await.expect("alone");
    let order = FillOrder { step: StepId::stored("1_test/backfill/fill"), fill, prove: None };
    session.begin_fill(&order, false).await.expect("a beginning");
    let mut filler = session.filler(&order).await.expect("a worker");
    assert_eq!(filler.take().await.expect("a part"), Taken::Part(None));
    let query = match product {
        "sqlite" => "SELECT upto FROM zdmig_watermark",
        _ => "SELECT array_to_json(upto)::text FROM zdmig.part",
    };
    let (mut ends, mut rows) = (Vec::<Vec<String>>::new(), 0);
    loop {
        let done = filler.chunk(7).await.expect("a chunk");
        // A chunk is as long as it was asked to be, and ends where the next begins.
        assert!(done.rows <= 7, "{done:?}");
        rows += done.rows;
        if done.ended {
            break;
        }
        let upto = database.client().await.rows(query, &[]).await.expect("a watermark");
        let upto = serde_json::from_str(upto[0][0].as_deref().expect("a place")).expect("JSON");
        assert_ne!(Some(&upto), ends.last(), "it does not get on");
        ends.push(upto);
    }
    assert_eq!(
        filler.take().await.expect("the end"),
        Taken::Complete(Filled { rows, failed: 0, seen: 0 })
    );
    assert_eq!(rows, 30);
    let left = "SELECT count(*) FROM t WHERE b IS NULL OR b <> a";
    let left = database.client().await.rows(left, &[]).await.expect("a count");
    assert_eq!(left[0][0].as_deref(), Some("0"));
    ends
}

const THIRTY: &str =
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30)";

#[tokio::test(flavor = "multi_thread")]
async fn numbers_walk_as_numbers() {
    let schema = format!(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a VARCHAR(9), b VARCHAR(9));
         {THIRTY} INSERT INTO t (id, a) SELECT i, 'a' || i FROM n"
    );
    for product in ["postgres", "sqlite"] {
        let ends = walk(product, &schema, &[("id", "integer")]).await;
        assert_eq!(ends.concat(), ["7", "14", "21", "28"], "{product}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_columns_walk_as_one() {
    let schema = format!(
        "CREATE TABLE t (x INTEGER, \"Y y\" VARCHAR(9), a VARCHAR(9), b VARCHAR(9), PRIMARY KEY (x, \"Y y\"));
         {THIRTY} INSERT INTO t (x, \"Y y\", a) SELECT i % 3, 'y' || i, 'a' || i FROM n"
    );
    for product in ["postgres", "sqlite"] {
        let key = [("x", "integer"), ("Y y", "character varying(9)")];
        let ends = walk(product, &schema, &key).await;
        assert_eq!(ends.len(), 4, "{product}: {ends:?}");
        assert!(ends.iter().all(|end| end.len() == 2), "{product}: {ends:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_and_uuids_walk_by_their_own_order() {
    let texts = format!(
        "CREATE TABLE t (id VARCHAR(9) PRIMARY KEY, a VARCHAR(9), b VARCHAR(9));
         {THIRTY} INSERT INTO t (id, a) SELECT CASE i % 2 WHEN 0 THEN 'K' ELSE 'k' END || i, 'a' || i FROM n"
    );
    for product in ["postgres", "sqlite"] {
        assert_eq!(walk(product, &texts, &[("id", "character varying(9)")]).await.len(), 4);
    }
    let uuids = "CREATE TABLE t (id uuid PRIMARY KEY, a text, b text);
                 INSERT INTO t (id, a) SELECT gen_random_uuid(), i::text FROM generate_series(1, 30) i";
    assert_eq!(walk("postgres", uuids, &[("id", "uuid")]).await.len(), 4);
}
