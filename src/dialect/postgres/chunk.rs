//! One chunk of a fill: its statement, and what is written down of it in the same transaction.

use std::time::{Duration, Instant};

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgRow;

use super::catalog::get;
use super::connect::wrap;
use super::fill::{
    Locked, PLACES, RANGE, chunk_end, chunk_proved, chunk_update, look_at, pages_proved, places,
    places_chunk, rows_update,
};
use super::filler::{LEASE, Part, PostgresFiller};
use super::places::{Place, Places, Queue};
use super::singly::Counted;
use crate::dialect::{ChunkDone, SessionError};

/// At least so many pages are looked through at a time for rows that are to be filled, and at most
/// so many.
const LISTED_MIN: i64 = 50;
const LISTED_MAX: i64 = 200;
/// And so many are cleared at a time.
const CLEARED: usize = 100;
/// A pass takes at least so many chunks: then other workers' snapshots are younger than what the
/// pass before replaced.
const CHUNKS: usize = 4;
/// What fills nothing renews the lease of its part only so often.
const RENEWED: Duration = Duration::from_secs(5);
/// When locked rows are tried again that had to be left out, in seconds.
const LATER: f64 = 1.0;

/// What the server says while a chunk is written down.
struct Noted {
    /// The file of the relation.
    node: Option<i64>,
    /// This session's new versions, and those that stayed on their page.
    counted: (i64, i64),
    /// Whether somebody wants the fill to pause.
    paused: bool,
}

impl Noted {
    fn read(row: &PgRow) -> Result<Self, SessionError> {
        Ok(Self {
            node: get(row, 0)?,
            counted: (get(row, 1)?, get(row, 2)?),
            paused: get::<Option<bool>>(row, 3)?.unwrap_or_default(),
        })
    }
}

impl PostgresFiller {
    /// What comes next of a window: its rows are looked up, then filled, then its pages cleared.
    pub(super) async fn places(
        &mut self,
        part: &mut Part,
        rows_max: u32,
        locked: Locked,
    ) -> Result<ChunkDone, SessionError> {
        let mut queue = match self.queue.take() {
            Some(queue) => queue,
            None => Queue::new(part.lo, part.passes),
        };
        if queue.listed < part.hi {
            // To look at a page takes about as long as to fill two rows.
            let pages = (i64::from(rows_max) / 2).clamp(LISTED_MIN, LISTED_MAX);
            let upto = part.hi.min(queue.listed + pages);
            let (places, paused) = self.list(part, queue.listed, upto).await?;
            queue.deal(places, upto);
            self.queue = Some(queue);
            return Ok(ChunkDone { paused, ..ChunkDone::default() });
        }
        if queue.is_filled() && !queue.is_clear() {
            let (pages, ended) = queue.clear(CLEARED);
            self.queue = Some(queue);
            return self.clear(part, &pages, ended).await;
        }
        let rows_max = usize::try_from(rows_max).unwrap_or(usize::MAX);
        let next = queue.next(rows_max, CHUNKS);
        let taken = next.len();
        let ended = queue.is_last(taken) && queue.is_clear();
        let pass = u32::try_from(queue.pass).unwrap_or_default();
        (part.pass, part.page) = (pass, next.last().map_or(part.page, |last| last.page.into()));
        // What fails leaves the queue as it was.
        self.queue = Some(queue);
        let done = if locked == Locked::Awaited && !ended && !self.pooled {
            self.at_once(part, next).await
        } else {
            self.begin(self.row_waits).await?;
            let done = self.in_steps(part, next, locked, ended).await;
            self.ended(done).await
        };
        let (noted, done) = done?;
        self.moved = noted.node.is_some_and(|node| node != part.leaf.node);
        part.renewed = Instant::now();
        if let Some(queue) = &mut self.queue {
            queue.done(taken);
        }
        // The first pass finds no room, and one alone has nothing to lose.
        self.stayed(part, noted.counted, part.passes > 1 && pass > 0 && !ended);
        let walked = u64::try_from(taken).unwrap_or_default();
        Ok(ChunkDone { walked, ended: ended || self.moved, paused: noted.paused, ..done })
    }

    /// Where rows of a range of pages are to be filled.
    async fn list(
        &mut self,
        part: &mut Part,
        from: i64,
        upto: i64,
    ) -> Result<(Places, bool), SessionError> {
        let mut all = false;
        loop {
            let listed = if self.may_do_without_a_note(part) {
                self.listed(part, (from, upto), all).await.map(|places| (places, false))
            } else {
                self.begin(self.row_waits).await?;
                let listed = self.listed_and_noted(part, (from, upto), all).await;
                self.ended(listed).await
            };
            match listed {
                // Whether a row is to be filled may be what fails; it is found out row by row then.
                Err(error) if error.is_of_a_row() && !all => all = true,
                listed => return listed,
            }
        }
    }

    /// Whether a statement that fills nothing may go by itself: its commit waits for no disk then.
    fn may_do_without_a_note(&self, part: &Part) -> bool {
        !self.pooled && part.renewed.elapsed() < RENEWED
    }

    async fn listed_and_noted(
        &mut self,
        part: &mut Part,
        range: (i64, i64),
        all: bool,
    ) -> Result<(Places, bool), SessionError> {
        let places = self.listed(part, range, all).await?;
        // Nothing is done yet, and the lease goes on.
        Ok((places, self.note(part, (0, 0), false).await?.paused))
    }

    async fn listed(
        &mut self,
        part: &Part,
        (from, upto): (i64, i64),
        all: bool,
    ) -> Result<Places, SessionError> {
        let row = self
            .query(AssertSqlSafe(places(&self.order.fill, &part.leaf.name, all)))
            .bind(format!("({from},0)"))
            .bind(format!("({upto},0)"))
            .fetch_one(&mut self.conn)
            .await
            .map_err(wrap)?;
        get(&row, 0)
    }

    /// Clears pages of what the last pass replaced there: now they are in memory, and written to
    /// the log already since the last checkpoint. The proof would do it later, at a price.
    async fn clear(
        &mut self,
        part: &mut Part,
        pages: &[u32],
        ended: bool,
    ) -> Result<ChunkDone, SessionError> {
        if !ended && self.may_do_without_a_note(part) {
            self.look_at(part, pages).await?;
            return Ok(ChunkDone::default());
        }
        self.begin(self.row_waits).await?;
        let cleared = self.cleared(part, pages, ended).await;
        let noted = self.ended(cleared).await?;
        self.moved = noted.node.is_some_and(|node| node != part.leaf.node);
        let ended = ended || self.moved;
        Ok(ChunkDone { ended, paused: noted.paused, ..ChunkDone::default() })
    }

    async fn cleared(
        &mut self,
        part: &mut Part,
        pages: &[u32],
        ended: bool,
    ) -> Result<Noted, SessionError> {
        self.look_at(part, pages).await?;
        self.note(part, (0, 0), ended).await
    }

    async fn look_at(&mut self, part: &Part, pages: &[u32]) -> Result<(), SessionError> {
        self.query(AssertSqlSafe(look_at(&part.leaf.name, 1)))
            .bind(at(pages, 1))
            .bind(at(pages, 2))
            .execute(&mut self.conn)
            .await
            .map_err(wrap)?;
        Ok(())
    }

    /// A chunk that is a statement by itself.
    async fn at_once(
        &mut self,
        part: &Part,
        next: Vec<Place>,
    ) -> Result<(Noted, ChunkDone), SessionError> {
        let mut pages: Vec<_> = next.iter().map(|place| place.page).collect();
        pages.dedup();
        if part.passes == 1 {
            // Nothing has been done to them that could leave room.
            pages.clear();
        }
        let row = self
            .query(AssertSqlSafe(places_chunk(&self.order.fill, &part.leaf.name)))
            .bind(Places(next))
            .bind(at(&pages, 1))
            .bind(at(&pages, 2))
            .bind(self.order.step.as_str())
            .bind(part.no)
            .bind(part.token)
            .bind(i32::try_from(part.pass).unwrap_or_default())
            .bind(part.page)
            .bind(LEASE)
            .bind(&part.leaf.name)
            .bind(self.order.step.migration_prefix())
            .fetch_optional(&mut self.conn)
            .await
            .map_err(wrap)?
            .ok_or(SessionError::Fenced)?;
        let rows = get::<i64>(&row, 4)?.unsigned_abs();
        let took = Duration::try_from_secs_f64(get(&row, 5)?).unwrap_or_default();
        Ok((Noted::read(&row)?, ChunkDone { rows, took, ..ChunkDone::default() }))
    }

    /// A chunk in the transaction at hand.
    async fn in_steps(
        &mut self,
        part: &mut Part,
        next: Vec<Place>,
        locked: Locked,
        ended: bool,
    ) -> Result<(Noted, ChunkDone), SessionError> {
        let begun = Instant::now();
        let counted = if locked == Locked::Singly {
            self.places_singly(part, &next).await?
        } else {
            let sql = rows_update(&self.order.fill, &part.leaf.name, PLACES, locked);
            let update = self.query(AssertSqlSafe(sql)).bind(Places(next));
            let filled = update.execute(&mut self.conn).await.map_err(wrap)?.rows_affected();
            Counted { filled, failed: 0 }
        };
        let took = begun.elapsed();
        part.skipped |= locked == Locked::Skipped;
        let noted = self.note(part, (counted.filled, 0), ended).await?;
        let (rows, failed) = (counted.filled, counted.failed);
        Ok((noted, ChunkDone { rows, took, failed, ..ChunkDone::default() }))
    }

    /// A range of pages that is proved, in the transaction at hand.
    pub(super) async fn pages(
        &mut self,
        part: &mut Part,
        rows_max: u32,
        locked: Locked,
    ) -> Result<ChunkDone, SessionError> {
        let pages = to_pages(f64::from(rows_max) / part.leaf.density);
        let upto = part.hi.min(part.page + pages);
        let ended = upto >= part.hi;
        let begun = Instant::now();
        let (seen, clean) = self.pages_proved(part, upto).await?;
        let counted = match locked {
            _ if clean => Counted::default(),
            Locked::Singly => self.pages_singly(part, upto).await?,
            _ => self.pages_at_once(part, upto, locked).await?,
        };
        let took = begun.elapsed();
        part.page = upto;
        part.skipped |= locked == Locked::Skipped && !clean;
        let noted = self.note(part, (counted.filled, seen), ended).await?;
        self.moved = noted.node.is_some_and(|node| node != part.leaf.node);
        let (rows, failed, paused) = (counted.filled, counted.failed, noted.paused);
        let ended = ended || self.moved;
        Ok(ChunkDone { rows, walked: seen, took, ended, paused, failed, seen })
    }

    /// Where something is proved: the rows of a range of pages, and whether all obey.
    async fn pages_proved(&mut self, part: &Part, upto: i64) -> Result<(u64, bool), SessionError> {
        let Some(rule) = &self.order.prove else { return Ok((0, false)) };
        let query = self
            .query(AssertSqlSafe(pages_proved(rule, &part.leaf.name)))
            .bind(format!("({},0)", part.page))
            .bind(format!("({upto},0)"));
        proved(&query.fetch_one(&mut self.conn).await.map_err(wrap)?)
    }

    async fn pages_at_once(
        &mut self,
        part: &Part,
        upto: i64,
        locked: Locked,
    ) -> Result<Counted, SessionError> {
        let sql = rows_update(&self.order.fill, &part.leaf.name, RANGE, locked);
        let query = self
            .query(AssertSqlSafe(sql))
            .bind(format!("({},0)", part.page))
            .bind(format!("({upto},0)"));
        let filled = query.execute(&mut self.conn).await.map_err(wrap)?.rows_affected();
        Ok(Counted { filled, failed: 0 })
    }

    /// Writes down how far a part has come.
    async fn note(
        &mut self,
        part: &mut Part,
        (rows, seen): (u64, u64),
        ended: bool,
    ) -> Result<Noted, SessionError> {
        let (done, again) = (ended && !part.skipped, ended && part.skipped);
        if again {
            (part.passes, part.pass, part.page, part.skipped) = (1, 0, part.lo, false);
        }
        let change = if done {
            "WITH done AS (DELETE FROM zdmig.part WHERE step = $2 AND no = $3 AND token = $4
                           RETURNING rows, seen)
             UPDATE zdmig.fill f SET rows = f.rows + done.rows + $5, seen = f.seen + done.seen + $6, at = clock_timestamp()
               FROM done WHERE f.step = $2"
        } else {
            "UPDATE zdmig.part SET rows = rows + $5, seen = seen + $6, pass = $7, passes = $8,
                    page = $9, upto = $10, skipped = $11, pid = CASE WHEN $12 THEN NULL ELSE pid END,
                    lease_until = clock_timestamp() + make_interval(secs => $13)
              WHERE step = $2 AND no = $3 AND token = $4"
        };
        let sql = format!(
            "{change} RETURNING pg_relation_filenode($1::text::regclass)::bigint,
                    pg_stat_get_xact_tuples_updated($1::text::regclass),
                    pg_stat_get_xact_tuples_hot_updated($1::text::regclass),
                    (SELECT paused_by IS NOT NULL FROM zdmig.steering
                      WHERE prefix = left($2, strpos($2, '/')))"
        );
        let number = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
        let query = self.query(AssertSqlSafe(sql)).bind(&part.leaf.name);
        let query = query.bind(self.order.step.as_str()).bind(part.no).bind(part.token);
        let count = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let mut query = query.bind(count(rows)).bind(count(seen));
        if !done {
            query = query.bind(number(part.pass)).bind(number(part.passes)).bind(part.page);
            query = query.bind(&part.upto).bind(part.skipped).bind(again);
            query = query.bind(if again { LATER } else { LEASE });
        }
        let row = query.fetch_optional(&mut self.conn).await.map_err(wrap)?;
        part.renewed = Instant::now();
        Noted::read(&row.ok_or(SessionError::Fenced)?)
    }

    /// A chunk along the key, in the transaction at hand.
    pub(super) async fn along(
        &mut self,
        part: &mut Part,
        rows_max: u32,
        locked: Locked,
    ) -> Result<ChunkDone, SessionError> {
        let fill = &self.order.fill;
        let first = part.upto.is_empty();
        let mut query = self.query(AssertSqlSafe(chunk_end(fill, first)));
        for value in &part.upto {
            query = query.bind(value.clone());
        }
        let end = query
            .bind(i64::from(rows_max) - 1)
            .fetch_optional(&mut self.conn)
            .await
            .map_err(wrap)?;
        let mut upto = Vec::new();
        for at in 0..end.as_ref().map_or(0, |_| fill.key.len()) {
            upto.extend(end.as_ref().map(|row| get::<String>(row, at)).transpose()?);
        }
        let ended = end.is_none();
        let begun = Instant::now();
        let (mut seen, mut clean) = (0, false);
        if let Some(rule) = &self.order.prove {
            let mut query = self.query(AssertSqlSafe(chunk_proved(fill, rule, first, ended)));
            for value in part.upto.iter().chain(&upto) {
                query = query.bind(value.clone());
            }
            (seen, clean) = proved(&query.fetch_one(&mut self.conn).await.map_err(wrap)?)?;
        }
        let counted = if clean {
            Counted::default()
        } else if locked == Locked::Singly {
            self.along_singly(&part.upto, &upto).await?
        } else {
            let mut query = self.query(AssertSqlSafe(chunk_update(fill, first, ended)));
            for value in part.upto.iter().chain(&upto) {
                query = query.bind(value.clone());
            }
            let filled = query.execute(&mut self.conn).await.map_err(wrap)?.rows_affected();
            Counted { filled, failed: 0 }
        };
        let took = begun.elapsed();
        if !ended {
            part.upto = upto;
        }
        let (rows, failed) = (counted.filled, counted.failed);
        let paused = self.note(part, (rows, seen), ended).await?.paused;
        let walked = u64::from(rows_max);
        Ok(ChunkDone { rows, walked, took, ended, paused, failed, seen })
    }
}

/// The place of that number on each of some pages.
fn at(pages: &[u32], number: u16) -> Places {
    Places(pages.iter().map(|page| Place { page: *page, number }).collect())
}

/// How many rows were seen, and whether none breaks the rule.
fn proved(row: &PgRow) -> Result<(u64, bool), SessionError> {
    Ok((get::<i64>(row, 0)?.unsigned_abs(), get::<i64>(row, 1)? == 0))
}

/// So many whole pages, at least one.
fn to_pages(pages: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "clamped")]
    let pages = pages.ceil().clamp(1.0, 1e9) as i64;
    pages
}
