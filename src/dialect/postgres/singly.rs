//! Rows that fail: a chunk that holds one is done row by row, and what fails is written down and
//! left out.

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use super::catalog::get;
use super::connect::{unprepared, wrap};
use super::fill::{change, pending};
use super::filler::{Part, PostgresFiller};
use super::places::Place;
use super::quote;
use crate::dialect::{FailedRow, SessionError};
use crate::plan::{FillRows, StepId};

/// So many rows are tried one by one in a transaction: each has a transaction of its own within,
/// of which a server keeps some dozens at hand.
pub(super) const AT_ONCE: u32 = 50;

/// Rows that were filled, and rows that failed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counted {
    pub(super) filled: u64,
    pub(super) failed: u64,
}

impl PostgresFiller {
    /// A range of pages, row by row.
    pub(super) async fn pages_singly(
        &mut self,
        part: &Part,
        upto: i64,
    ) -> Result<Counted, SessionError> {
        let range = format!("ctid >= '({},0)'::tid AND ctid < '({upto},0)'::tid", part.page);
        self.singly(&format!("ONLY {}", part.leaf.name), &range).await
    }

    /// Rows by their places, one by one.
    pub(super) async fn places_singly(
        &mut self,
        part: &Part,
        places: &[Place],
    ) -> Result<Counted, SessionError> {
        let places: Vec<_> =
            places.iter().map(|one| format!("\"({},{})\"", one.page, one.number)).collect();
        let range = format!("ctid = ANY ('{{{}}}'::tid[])", places.join(","));
        self.singly(&format!("ONLY {}", part.leaf.name), &range).await
    }

    /// A range of the key, row by row: from behind one value, up to and with another.
    pub(super) async fn along_singly(
        &mut self,
        from: &[String],
        upto: &[String],
    ) -> Result<Counted, SessionError> {
        let fill = &self.order.fill;
        let bound = |values: &[String], sign: &str| {
            let names: Vec<_> = fill.key.iter().map(|(name, _)| quote::ident(name)).collect();
            let values: Vec<_> = fill
                .key
                .iter()
                .zip(values)
                .map(|((_, kind), value)| format!("{}::{kind}", quote::literal(value)))
                .collect();
            let found = !values.is_empty();
            found.then(|| format!("({}) {sign} ({})", names.join(", "), values.join(", ")))
        };
        let bounds = [bound(from, ">"), bound(upto, "<=")];
        let bounds: Vec<_> = bounds.into_iter().flatten().collect();
        let range = if bounds.is_empty() { "true".into() } else { bounds.join(" AND ") };
        self.singly(&quote::table(&fill.table), &range).await
    }

    /// Tries rows again that failed, some at a time; how many were tried.
    pub(super) async fn try_again(&mut self) -> Result<u64, SessionError> {
        let rows = self
            .query(
                "DELETE FROM zdmig.failed WHERE step = $1 AND (relation, key) IN (
                     SELECT relation, key FROM zdmig.failed WHERE step = $1 AND again LIMIT $2)
                 RETURNING relation, key",
            )
            .bind(self.order.step.as_str())
            .bind(i64::from(AT_ONCE))
            .fetch_all(&mut self.conn)
            .await
            .map_err(wrap)?;
        let fill = self.order.fill.clone();
        let mut places = Vec::new();
        for row in &rows {
            let (relation, key): (String, Vec<String>) = (get(row, 0)?, get(row, 1)?);
            let mut same: Vec<_> = fill
                .key
                .iter()
                .zip(&key)
                .map(|((name, kind), value)| {
                    format!("{} = {}::{kind}", quote::ident(name), quote::literal(value))
                })
                .collect();
            if same.is_empty() {
                let place = key.first().map_or("(0,0)", String::as_str);
                same.push(format!("ctid = {}::tid", quote::literal(place)));
                same.push(format!("tableoid = {}::regclass", quote::literal(&relation)));
            }
            places.push(format!("({})", same.join(" AND ")));
        }
        if places.is_empty() {
            return Ok(0);
        }
        let counted = self.singly(&quote::table(&fill.table), &places.join(" OR ")).await?;
        self.query("UPDATE zdmig.fill SET rows = rows + $2 WHERE step = $1")
            .bind(self.order.step.as_str())
            .bind(i64::try_from(counted.filled).unwrap_or(i64::MAX))
            .execute(&mut self.conn)
            .await
            .map_err(wrap)?;
        Ok(u64::try_from(places.len()).unwrap_or_default())
    }

    async fn singly(&mut self, from: &str, range: &str) -> Result<Counted, SessionError> {
        let sql = row_by_row(&self.order.fill, &self.order.step, from, range);
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut self.conn).await.map_err(wrap)?;
        let row = self
            .query(
                "SELECT split_part(current_setting('zdmig.counted'), ' ', 1)::bigint,
                        split_part(current_setting('zdmig.counted'), ' ', 2)::bigint",
            )
            .fetch_one(&mut self.conn)
            .await
            .map_err(wrap)?;
        let count = |at| Ok::<_, SessionError>(get::<i64>(&row, at)?.unsigned_abs());
        Ok(Counted { filled: count(0)?, failed: count(1)? })
    }
}

/// A block that fills the rows of a range, each in a transaction within. Whether a row still needs
/// it is asked there too: that may be what fails.
fn row_by_row(fill: &FillRows, step: &StepId, from: &str, range: &str) -> String {
    let mut key: Vec<_> =
        fill.key.iter().map(|(name, _)| format!("{}::text", quote::ident(name))).collect();
    if key.is_empty() {
        key.push("ctid::text".into());
    }
    let still = pending(fill).map(|one| format!(" AND {one}")).unwrap_or_default();
    // Rows that are only read are neither locked nor changed: their key is enough.
    let by_key = fill.key.iter().enumerate().map(|(at, (name, kind))| {
        format!("{} = (\"zdmig row\".key)[{}]::{kind}", quote::ident(name), at + 1)
    });
    let (this, locked) = if fill.copy.is_some() {
        (by_key.collect::<Vec<_>>().join(" AND "), "")
    } else {
        let place = "tableoid = \"zdmig row\".relation AND ctid = \"zdmig row\".place";
        (place.to_owned(), " FOR UPDATE")
    };
    let this = format!("{this}{still}");
    let change = change(fill, from, &format!(" WHERE {this}"));
    let body = format!(
        "#variable_conflict use_column
         DECLARE
             \"zdmig row\" record;
             \"zdmig hit\" bigint;
             \"zdmig filled\" bigint := 0;
             \"zdmig failed\" bigint := 0;
         BEGIN
             FOR \"zdmig row\" IN
                 SELECT tableoid AS relation, ctid AS place, ARRAY[{key}]::text[] AS key
                   FROM {from} WHERE {range}{locked}
             LOOP
                 BEGIN
                     {change};
                     GET DIAGNOSTICS \"zdmig hit\" = ROW_COUNT;
                     \"zdmig filled\" := \"zdmig filled\" + \"zdmig hit\";
                 EXCEPTION WHEN OTHERS THEN
                     -- What a row is to blame for: its data, a rule, a view's check, a trigger.
                     IF left(SQLSTATE, 2) NOT IN ('22', '23', '44', 'P0') THEN
                         RAISE;
                     END IF;
                     \"zdmig failed\" := \"zdmig failed\" + 1;
                     INSERT INTO zdmig.failed (step, relation, key, code, reason)
                     SELECT {step}, format('%I.%I', n.nspname, c.relname), \"zdmig row\".key,
                            SQLSTATE, SQLERRM
                       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                      WHERE c.oid = \"zdmig row\".relation
                     ON CONFLICT (step, relation, key) DO UPDATE
                        SET code = excluded.code, reason = excluded.reason, again = false,
                            at = clock_timestamp();
                 END;
             END LOOP;
             PERFORM set_config('zdmig.counted', \"zdmig filled\" || ' ' || \"zdmig failed\", true);
         END",
        key = key.join(", "),
        step = quote::literal(step.as_str()),
    );
    format!("DO {}", quote::dollar(&body))
}

/// Marks every row that failed to be tried again.
pub(super) async fn mark(conn: &mut PgConnection, step: &StepId) -> Result<(), SessionError> {
    unprepared("UPDATE zdmig.failed SET again = true WHERE step = $1")
        .bind(step.as_str())
        .execute(conn)
        .await
        .map_err(wrap)?;
    Ok(())
}

/// Some of the rows that failed, in the order of their keys.
pub(super) async fn failed(
    conn: &mut PgConnection,
    step: &StepId,
    most: u32,
) -> Result<Vec<FailedRow>, SessionError> {
    let rows = unprepared(
        "SELECT relation, key, reason || ' (' || code || ')' FROM zdmig.failed WHERE step = $1
          ORDER BY relation, key LIMIT $2",
    )
    .bind(step.as_str())
    .bind(i64::from(most))
    .fetch_all(conn)
    .await
    .map_err(wrap)?;
    rows.iter()
        .map(|row| {
            Ok(FailedRow { relation: get(row, 0)?, key: get(row, 1)?, reason: get(row, 2)? })
        })
        .collect()
}
