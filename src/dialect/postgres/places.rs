//! Where rows lie, and in which order those of a window are filled.

use std::collections::VecDeque;
use std::error::Error;

use sqlx::encode::IsNull;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgTypeInfo, PgValueRef};
use sqlx::{Decode, Encode, Postgres, Type};

/// The type `tid[]`, and that of its elements.
const TIDS: u32 = 1010;
const TID: u32 = 27;

/// The page of a row, and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) page: u32,
    pub(super) number: u16,
}

/// Places, as the server's `tid[]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Places(pub(super) Vec<Place>);

impl Type<Postgres> for Places {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(TIDS))
    }
}

impl Encode<'_, Postgres> for Places {
    fn encode_by_ref(
        &self,
        buffer: &mut PgArgumentBuffer,
    ) -> Result<IsNull, Box<dyn Error + Send + Sync>> {
        let mut put = |number: u32| buffer.extend_from_slice(&number.to_be_bytes());
        // Dimensions, whether there are NULLs, the type; then the length and the first subscript.
        put(u32::from(!self.0.is_empty()));
        put(0);
        put(TID);
        if !self.0.is_empty() {
            put(u32::try_from(self.0.len())?);
            put(1);
        }
        for place in &self.0 {
            buffer.extend_from_slice(&6_u32.to_be_bytes());
            buffer.extend_from_slice(&place.page.to_be_bytes());
            buffer.extend_from_slice(&place.number.to_be_bytes());
        }
        Ok(IsNull::No)
    }
}

impl Decode<'_, Postgres> for Places {
    fn decode(value: PgValueRef<'_>) -> Result<Self, Box<dyn Error + Send + Sync>> {
        /// Dimensions, NULLs, type, length, first subscript.
        const HEADER: usize = 20;
        let rest = value.as_bytes()?.get(HEADER..).unwrap_or_default();
        // Each has its length before it.
        let place = |bytes: &[u8]| {
            let (page, number) = (bytes.get(4..8), bytes.get(8..10));
            Ok(Place {
                page: u32::from_be_bytes(page.unwrap_or_default().try_into()?),
                number: u16::from_be_bytes(number.unwrap_or_default().try_into()?),
            })
        };
        rest.chunks(10).map(place).collect::<Result<_, Box<dyn Error + Send + Sync>>>().map(Self)
    }
}

/// The rows of a window that are still to be filled, in the order in which they will be.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    /// Up to which page they were looked up.
    pub(super) listed: i64,
    /// One pass after the other, each in the order of pages.
    passes: Vec<VecDeque<Place>>,
    /// Which one it is at.
    pub(super) pass: usize,
    /// How many rows a pass had at most.
    longest: usize,
    /// Pages on which the last pass leaves what it replaced.
    uncleared: VecDeque<u32>,
}

impl Queue {
    pub(super) fn new(from: i64, passes: u32) -> Self {
        let passes = usize::try_from(passes).unwrap_or(1).max(1);
        Self {
            listed: from,
            passes: vec![VecDeque::new(); passes],
            pass: 0,
            longest: 0,
            uncleared: VecDeque::new(),
        }
    }

    /// Takes in the rows of further pages, each with all of its rows: those of a page are dealt out
    /// to the passes.
    pub(super) fn deal(&mut self, places: Places, listed: i64) {
        let passes = self.passes.len();
        for page in places.0.chunk_by(|one, other| one.page == other.page) {
            if passes > 1 {
                self.uncleared.push_back(page[0].page);
            }
            for (at, place) in page.iter().enumerate() {
                self.passes[at % passes].push_back(*place);
            }
        }
        self.listed = listed;
        self.longest = self.passes.iter().map(VecDeque::len).max().unwrap_or_default();
    }

    /// The rows that come next, of one pass. A pass is done in at least so many chunks.
    pub(super) fn next(&mut self, rows_max: usize, chunks: usize) -> Vec<Place> {
        while self.pass + 1 < self.passes.len() && self.passes[self.pass].is_empty() {
            self.pass += 1;
        }
        let most = match self.passes.len() {
            1 => rows_max,
            _ => rows_max.min(self.longest / chunks + 1),
        };
        self.passes[self.pass].iter().take(most).copied().collect()
    }

    /// Whether nothing comes after so many more.
    pub(super) fn is_last(&self, taken: usize) -> bool {
        self.passes.iter().map(VecDeque::len).sum::<usize>() <= taken
    }

    /// Whether no row is left to be filled.
    pub(super) fn is_filled(&self) -> bool {
        self.is_last(0)
    }

    /// The pages that come next to be cleared of what was replaced, and whether they are the last.
    pub(super) fn clear(&mut self, pages_max: usize) -> (Vec<u32>, bool) {
        let some = pages_max.min(self.uncleared.len());
        (self.uncleared.drain(..some).collect(), self.uncleared.is_empty())
    }

    /// Whether there are pages to be cleared.
    pub(super) fn is_clear(&self) -> bool {
        self.uncleared.is_empty()
    }

    /// So many are done.
    pub(super) fn done(&mut self, taken: usize) {
        self.passes[self.pass].drain(..taken);
    }

    /// What is left is done in one pass.
    pub(super) fn flatten(&mut self) {
        let mut left: Vec<_> = self.passes.drain(..).flatten().collect();
        left.sort_unstable();
        (self.passes, self.pass) = (vec![left.into()], 0);
        self.uncleared.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(pages: std::ops::Range<u32>, rows: u16) -> Places {
        let all = pages.flat_map(|page| (1..=rows).map(move |number| Place { page, number }));
        Places(all.collect())
    }

    #[test]
    fn each_page_is_dealt_out_evenly_and_no_row_is_left_out() {
        let mut queue = Queue::new(0, 4);
        queue.deal(places(0..10, 7), 10);
        queue.deal(places(10..20, 7), 20);
        let (mut seen, mut pass, mut on_page) = (Vec::new(), 0, std::collections::BTreeMap::new());
        loop {
            let next = queue.next(1_000, 5);
            if next.is_empty() {
                break;
            }
            // No pass has more than two rows of a page, and each is done in some chunks at least.
            assert!(next.len() <= 40 / 5 + 1, "{}", next.len());
            if queue.pass != pass {
                (pass, on_page) = (queue.pass, std::collections::BTreeMap::new());
            }
            for place in &next {
                let rows = on_page.entry(place.page).or_insert(0);
                *rows += 1;
                assert!(*rows <= 2, "{place:?} in pass {pass}");
            }
            queue.done(next.len());
            seen.extend(next);
        }
        seen.sort_unstable();
        assert_eq!(seen, places(0..20, 7).0);
        assert!(queue.is_filled() && !queue.is_clear());
        assert_eq!(queue.clear(15), ((0..15).collect(), false));
        assert_eq!(queue.clear(15), ((15..20).collect(), true));
    }

    #[test]
    fn what_is_left_can_be_done_in_one_pass() {
        let mut queue = Queue::new(0, 3);
        queue.deal(places(0..5, 6), 5);
        let first = queue.next(4, 1);
        queue.done(first.len());
        queue.flatten();
        assert!(!queue.is_last(25) && queue.is_last(26));
        let rest = queue.next(1_000, 8);
        assert_eq!(rest.len(), 26);
        assert!(rest.is_sorted());
    }
}
