//! Which clips get a video.

use crate::evaluate::ranked;
use anyhow::{Context, Result};

/// How many clips have a video beside the three that are always there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Videos {
    /// So many more, spread evenly from the highest score to the lowest.
    Some(usize),
    /// Every clip.
    All,
}

impl Default for Videos {
    fn default() -> Self {
        Self::Some(12)
    }
}

impl Videos {
    /// What `--videos` says: a number or `all`; 12 where it is not given.
    pub(crate) fn parse(text: Option<&str>) -> Result<Self> {
        match text {
            None => Ok(Self::default()),
            Some("all") => Ok(Self::All),
            Some(number) => Ok(Self::Some(number.parse().with_context(|| format!("--videos takes a number or all, not {number:?}"))?)),
        }
    }
}

/// A clip to draw: its place in the split, and its caption where it stands among the examples.
pub(crate) type Chosen = (usize, Option<String>);

/// The clips with the highest, the median and the lowest score, which are the examples: nothing flatters. Then those that only the
/// table shows.
pub(crate) fn chosen(metric: &str, scores: &[f64], videos: Videos) -> Vec<Chosen> {
    let order = ranked(scores);
    let places = [("highest", 0), ("median", order.len() / 2), ("lowest", order.len().saturating_sub(1))];
    let mut chosen: Vec<Chosen> = Vec::new();
    for (word, place) in places {
        if let Some(&item) = order.get(place).filter(|item| chosen.iter().all(|(other, _)| other != *item)) {
            chosen.push((item, Some(format!("The clip with the {word} {metric}: {:.2}.", scores[item]))));
        }
    }
    let rest: Vec<usize> = order.into_iter().filter(|item| chosen.iter().all(|(other, _)| other != item)).collect();
    let count = match videos {
        Videos::All => rest.len(),
        Videos::Some(count) => count.min(rest.len()),
    };
    chosen.extend((0..count).map(|i| (rest[i * rest.len() / count], None)));
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_are_the_highest_the_median_and_the_lowest() {
        let scores = [3.0, 1.0, 2.0, 5.0, 4.0];
        let items = |videos| chosen("FRCorr", &scores, videos).into_iter().map(|(item, _)| item).collect::<Vec<_>>();
        assert_eq!(items(Videos::Some(0)), [3, 0, 1]);
        assert_eq!(items(Videos::All), [3, 0, 1, 4, 2]);
        assert_eq!(items(Videos::Some(1)), [3, 0, 1, 4]);
        let captions = chosen("FRCorr", &scores, Videos::Some(1));
        assert_eq!(captions[0].1.as_deref(), Some("The clip with the highest FRCorr: 5.00."));
        assert_eq!(captions[3].1, None);
        assert_eq!(chosen("FRCorr", &[1.0], Videos::All).len(), 1);
        assert!(chosen("FRCorr", &[], Videos::All).is_empty());
    }

    #[test]
    fn videos_are_a_number_or_all() {
        assert_eq!(Videos::parse(None).unwrap(), Videos::Some(12));
        assert_eq!(Videos::parse(Some("3")).unwrap(), Videos::Some(3));
        assert_eq!(Videos::parse(Some("all")).unwrap(), Videos::All);
        assert!(Videos::parse(Some("some")).unwrap_err().to_string().contains("--videos takes a number or all"));
    }
}
