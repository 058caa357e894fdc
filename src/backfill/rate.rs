use std::time::Instant;

/// Rows in a second, smoothed over some seconds.
#[derive(Default)]
pub(super) struct Rate {
    last: Option<(Instant, u64)>,
    rate: f64,
}

impl Rate {
    pub(super) fn at(&mut self, walked: u64) -> f64 {
        let now = Instant::now();
        if let Some((at, before)) = self.last {
            let passed = now.duration_since(at).as_secs_f64().max(1e-3);
            #[expect(clippy::cast_precision_loss, reason = "a rate")]
            let rate = walked.saturating_sub(before) as f64 / passed;
            let share = (passed / 3.0).min(1.0);
            self.rate = if self.rate > 0.0 { self.rate + share * (rate - self.rate) } else { rate };
        }
        self.last = Some((now, walked));
        self.rate
    }
}
