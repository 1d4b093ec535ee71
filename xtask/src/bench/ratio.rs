//! What to say about some ratios.

use std::fmt::{self, Display};

/// At least one ratio, sorted.
#[derive(Debug)]
pub(crate) struct Ratios(Vec<f64>);

impl Ratios {
    /// None if there are no ratios.
    pub(crate) fn new(mut ratios: Vec<f64>) -> Option<Ratios> {
        ratios.sort_by(f64::total_cmp);
        (!ratios.is_empty()).then_some(Ratios(ratios))
    }

    /// The middle one, or what is between the two in the middle.
    pub(crate) fn median(&self) -> f64 {
        let middle = self.0.len() / 2;
        if self.0.len() % 2 == 1 {
            self.0[middle]
        } else {
            f64::midpoint(self.0[middle - 1], self.0[middle])
        }
    }
}

impl Display for Ratios {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, min, max) = (self.0.len(), self.0[0], self.0[self.0.len() - 1]);
        write!(
            f,
            "median {:.2}, min {min:.2}, max {max:.2}, of {count} pairs",
            self.median()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_between_the_two() {
        assert_eq!(
            Ratios::new(vec![0.9, 0.1, 0.5]).unwrap().to_string(),
            "median 0.50, min 0.10, max 0.90, of 3 pairs"
        );
        assert_eq!(
            Ratios::new(vec![1.0, 0.5]).unwrap().to_string(),
            "median 0.75, min 0.50, max 1.00, of 2 pairs"
        );
        assert!(Ratios::new(vec![]).is_none());
    }
}
