//! How much of its pace a fill may use. Pure: what was read comes in as an argument.

use std::collections::BTreeMap;

use crate::dialect::{Reading, Signal};

/// How much of something is too much.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    /// In the signal's unit.
    Absolute(f64),
    /// As a share of what the reading is part of; 1 is all of it.
    Share(f64),
}

/// The limits that are set. A signal without one holds nobody back.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// By signal.
    pub of: BTreeMap<Signal, Limit>,
    /// The size of the server's disk in bytes, where it cannot be asked.
    pub disk_size: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        let of = [
            (Signal::ReplicaLag, Limit::Absolute(10.0)),
            (Signal::LockWaits, Limit::Absolute(2.0)),
            (Signal::ActiveSessions, Limit::Share(0.8)),
            (Signal::Checkpoint, Limit::Share(1.5)),
            (Signal::FreeDisk, Limit::Share(0.05)),
        ];
        Self { of: of.into(), disk_size: None }
    }
}

/// How near a reading is to its limit: above 1 is too near.
fn nearness(reading: &Reading, limit: Limit) -> Option<f64> {
    let most = match limit {
        Limit::Absolute(most) => most,
        Limit::Share(share) => share * reading.of?,
    };
    let (a, b) = match reading.signal {
        // The only one of which there can be too little.
        Signal::FreeDisk => (most, reading.value),
        _ => (reading.value, most),
    };
    Some(if a <= 0.0 { 0.0 } else { a / b.max(1e-9) })
}

/// Eases a fill off, fast, and lets it go again, slowly.
#[derive(Clone, Debug)]
pub struct Brake {
    ease: f64,
    by: Option<String>,
}

/// Below that a fill is held.
const LEAST: f64 = 1.0 / 32.0;
/// What is over its limit so far holds at once.
const FAR: f64 = 2.0;
/// Below that share of every limit a fill is let go again.
const CALM: f64 = 0.8;
/// By how much at a time.
const SLOWLY: f64 = 1.15;

impl Default for Brake {
    fn default() -> Self {
        Self { ease: 1.0, by: None }
    }
}

impl Brake {
    /// Takes in what was read just now.
    pub fn take(&mut self, readings: &[Reading], limits: &Limits) {
        let near = readings.iter().filter_map(|one| {
            let limit = *limits.of.get(&one.signal)?;
            Some((nearness(one, limit)?, one, limit))
        });
        let worst = near.max_by(|a, b| a.0.total_cmp(&b.0));
        match worst {
            Some((nearness, one, limit)) if nearness > 1.0 => {
                let at_once = nearness > FAR || one.signal == Signal::FreeDisk;
                self.press(said(one, limit), at_once);
            }
            Some((nearness, ..)) if nearness > CALM => self.ease = self.ease.max(LEAST),
            _ => self.release(),
        }
    }

    /// What cannot be seen is no better than what is over its limit, but holds nothing for good: a
    /// role may never get another connection to watch with.
    pub fn blind(&mut self, why: &str) {
        // A disk that was full is taken to be full until it is seen again.
        if self.ease <= 0.0
            && self.by.as_ref().is_some_and(|by| by.starts_with(Signal::FreeDisk.name()))
        {
            return;
        }
        self.press(format!("nobody watches: {why}"), false);
        self.ease = self.ease.max(LEAST);
    }

    fn press(&mut self, why: String, at_once: bool) {
        self.ease /= 2.0;
        if at_once || self.ease < LEAST {
            self.ease = 0.0;
        }
        self.by = Some(why);
    }

    fn release(&mut self) {
        self.ease = (self.ease * SLOWLY).clamp(LEAST, 1.0);
        if self.ease >= 1.0 {
            self.by = None;
        }
    }

    /// The share of its duty that the fill may use; 0 holds it.
    pub fn ease(&self) -> f64 {
        self.ease
    }

    /// What holds it back, or did so just now.
    pub fn by(&self) -> Option<&str> {
        self.by.as_deref()
    }
}

impl Limit {
    /// For a person, in the signal's unit.
    pub fn said(self, signal: Signal) -> String {
        match self {
            Self::Absolute(most) => amount(signal, most),
            Self::Share(share) => format!("{:.0} %", share * 100.0),
        }
    }
}

/// `replica_lag of replica a is 12 s, and its limit 10 s`.
fn said(reading: &Reading, limit: Limit) -> String {
    let whose = match reading.whose.as_str() {
        "" => String::new(),
        whose => format!(" of {whose}"),
    };
    let value = match (limit, reading.of) {
        (Limit::Share(_), Some(of)) => Limit::Share(reading.value / of.max(1e-9)),
        _ => Limit::Absolute(reading.value),
    };
    let (value, limit) = (value.said(reading.signal), limit.said(reading.signal));
    format!("{}{whose} is {value}, and its limit {limit}", reading.signal)
}

fn amount(signal: Signal, value: f64) -> String {
    match signal {
        Signal::ReplicaLag | Signal::OldestSnapshot => format!("{value:.1} s"),
        Signal::Checkpoint | Signal::FreeDisk => format!("{:.0} MB", value / 1e6),
        Signal::LockWaits | Signal::ActiveSessions | Signal::DeadRows => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reading(signal: Signal, value: f64, of: Option<f64>) -> Reading {
        Reading { signal, value, of, whose: String::new() }
    }

    #[test]
    fn what_is_over_its_limit_halves_and_then_holds() {
        let (mut brake, limits) = (Brake::default(), Limits::default());
        let lag = [reading(Signal::ReplicaLag, 12.0, None)];
        for expected in [0.5, 0.25, 0.125, 0.0625, 0.03125, 0.0, 0.0] {
            brake.take(&lag, &limits);
            assert!((brake.ease() - expected).abs() < 1e-9, "{}", brake.ease());
        }
        assert_eq!(brake.by(), Some("replica_lag is 12.0 s, and its limit 10.0 s"));
        // Just under the limit it is not let go yet.
        brake.take(&[reading(Signal::ReplicaLag, 9.0, None)], &limits);
        assert!((brake.ease() - LEAST).abs() < 1e-9);
        let mut looks = 0;
        while brake.ease() < 1.0 {
            brake.take(&[reading(Signal::ReplicaLag, 1.0, None)], &limits);
            looks += 1;
        }
        assert!((20..40).contains(&looks), "slowly: {looks}");
        assert_eq!(brake.by(), None);
    }

    #[test]
    fn a_disk_that_fills_holds_at_once_and_so_does_what_is_far_over() {
        let limits = Limits::default();
        for far in [
            reading(Signal::FreeDisk, 4.0, Some(100.0)),
            reading(Signal::FreeDisk, -1.0, Some(100.0)),
            reading(Signal::ReplicaLag, 21.0, None),
        ] {
            let mut brake = Brake::default();
            brake.take(&[reading(Signal::LockWaits, 0.0, None), far.clone()], &limits);
            assert!(brake.ease() == 0.0, "{far:?}");
        }
        let mut brake = Brake::default();
        brake.take(&[reading(Signal::FreeDisk, 50.0, Some(100.0))], &limits);
        assert!((brake.ease() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_signal_without_a_limit_or_a_whole_holds_nobody() {
        let (mut brake, limits) = (Brake::default(), Limits::default());
        brake.take(&[reading(Signal::OldestSnapshot, 1e9, None)], &limits);
        brake.take(&[reading(Signal::ActiveSessions, 1e9, None)], &limits);
        assert!(brake.ease() >= 1.0 && brake.by().is_none());
        brake.blind("the connection is lost");
        assert!((brake.ease() - 0.5).abs() < 1e-9);
        assert_eq!(brake.by(), Some("nobody watches: the connection is lost"));
        for _ in 0..20 {
            brake.blind("the connection is lost");
        }
        assert!((brake.ease() - LEAST).abs() < 1e-9, "it crawls");
        let reading =
            Reading { signal: Signal::FreeDisk, value: 0.0, of: Some(1e9), whose: String::new() };
        brake.take(&[reading], &Limits::default());
        brake.blind("the connection is lost");
        assert!(brake.ease() <= 0.0, "a full disk stays full until it is seen again");
    }

    proptest! {
        #[test]
        fn ease_stays_a_share(values in prop::collection::vec(0.0f64..40.0, 1..60)) {
            let (mut brake, limits) = (Brake::default(), Limits::default());
            for value in values {
                brake.take(&[reading(Signal::ReplicaLag, value, None)], &limits);
                prop_assert!((0.0..=1.0).contains(&brake.ease()));
                prop_assert!(value <= 10.0 || brake.ease() < 1.0);
                prop_assert!(brake.ease() >= 1.0 || brake.by().is_some());
            }
        }
    }
}
