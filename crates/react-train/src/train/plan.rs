use crate::config::Train;
use std::ops::Range;

/// How epochs, steps and batches lie in each other. Steps and batches are counted through all epochs, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    epochs: u64,
    batches_per_epoch: u64,
    accumulate: u64,
}

impl Plan {
    /// The plan of a training on a split of so many batches.
    #[must_use]
    pub fn new(train: &Train, batches_per_epoch: usize) -> Self {
        Self {
            epochs: u64::from(train.epochs),
            batches_per_epoch: batches_per_epoch.max(1) as u64,
            accumulate: train.accumulate.max(1) as u64,
        }
    }

    /// Steps of an epoch; the last may have fewer batches than the others.
    #[must_use]
    pub fn steps_per_epoch(&self) -> u64 {
        self.batches_per_epoch.div_ceil(self.accumulate)
    }

    /// Steps in all.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.epochs * self.steps_per_epoch()
    }

    /// Epochs that are done after so many steps, and whether the last of them ends just there.
    #[must_use]
    pub fn epochs_after(&self, steps: u64) -> (u64, bool) {
        (steps / self.steps_per_epoch(), steps > 0 && steps.is_multiple_of(self.steps_per_epoch()))
    }

    /// The batches of a step.
    #[must_use]
    pub fn batches(&self, step: u64) -> Range<u64> {
        let (epoch, within) = (step / self.steps_per_epoch(), step % self.steps_per_epoch());
        let begin = epoch * self.batches_per_epoch;
        let first = within * self.accumulate;
        begin + first..begin + (first + self.accumulate).min(self.batches_per_epoch)
    }

    /// The batches from a step on, to the end.
    #[must_use]
    pub fn batches_from(&self, step: u64) -> Range<u64> {
        let end = self.epochs * self.batches_per_epoch;
        self.batches(step).start.min(end)..end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_take_every_batch_once() {
        let plan = Plan { epochs: 3, batches_per_epoch: 5, accumulate: 2 };
        assert_eq!((plan.steps_per_epoch(), plan.steps()), (3, 9));
        let steps: Vec<_> = (0..4).map(|step| plan.batches(step)).collect();
        assert_eq!(steps, [0..2, 2..4, 4..5, 5..7]);
        let all: Vec<u64> = (0..9).flat_map(|step| plan.batches(step)).collect();
        assert_eq!(all, (0..15).collect::<Vec<_>>());
        assert_eq!((plan.batches_from(4), plan.batches_from(9)), (7..15, 15..15));
        assert_eq!([0, 2, 3, 9].map(|steps| plan.epochs_after(steps)), [(0, false), (0, false), (1, true), (3, true)]);
    }
}
