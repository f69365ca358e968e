//! What an examination came to.

use super::finding::{Finding, Modality, Severity};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// What an examination came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// The corpus's name.
    pub corpus: String,
    /// The worst that was found; `None` where nothing was.
    pub severity: Option<Severity>,
    /// The splits.
    pub splits: Vec<SplitCounts>,
    /// Everything that was found, the worst first, then by split, clip and file.
    pub findings: Vec<Finding>,
}

/// What a split has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SplitCounts {
    /// Its name.
    pub split: String,
    /// Pairs; 0 in a corpus of single persons.
    pub pairs: usize,
    /// Clips.
    pub clips: usize,
    /// Clips without an error.
    pub sound_clips: usize,
    /// Frames of the shortest clip.
    pub shortest: usize,
    /// Frames of the longest clip.
    pub longest: usize,
    /// Files by what they hold.
    pub files: BTreeMap<&'static str, Files>,
}

/// Files of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Files {
    /// Files that are there.
    pub found: usize,
    /// Files with an error, or missing.
    pub bad: usize,
    /// Their size in bytes.
    pub bytes: u64,
}

/// What is known of a clip after it was examined.
#[derive(Default)]
pub(super) struct ClipCounts {
    pub(super) frames: usize,
    /// Size of the files that are there.
    pub(super) files: Vec<(Modality, u64)>,
    pub(super) findings: Vec<Finding>,
}

impl SplitCounts {
    pub(super) fn add(&mut self, clip: &ClipCounts) {
        self.clips += 1;
        let bad = |finding: &&Finding| finding.severity == Severity::Error;
        self.sound_clips += usize::from(!clip.findings.iter().any(|finding| bad(&finding)));
        if clip.frames > 0 {
            self.shortest = if self.shortest == 0 { clip.frames } else { self.shortest.min(clip.frames) };
            self.longest = self.longest.max(clip.frames);
        }
        for (modality, bytes) in &clip.files {
            let files = self.files.entry(modality.name()).or_default();
            files.found += 1;
            files.bytes += bytes;
        }
        for finding in clip.findings.iter().filter(bad) {
            self.files.entry(finding.modality.name()).or_default().bad += 1;
        }
    }
}

impl Diagnosis {
    pub(super) fn new(corpus: &str, splits: Vec<SplitCounts>, mut findings: Vec<Finding>) -> Self {
        let key = |finding: &Finding| {
            let Finding { severity, kind, split, clip, modality, what, .. } = finding;
            (std::cmp::Reverse(*severity), split.clone(), clip.clone(), *modality, *kind, what.clone())
        };
        findings.sort_by_cached_key(key);
        let severity = findings.iter().map(|finding| finding.severity).max();
        Self { corpus: corpus.to_owned(), severity, splits, findings }
    }

    /// Findings of a severity.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }

    /// The exit code of `doctor`: 0 where there is nothing worse than notes, 3 where there are warnings, 4 where there are errors. (1 and 2 are
    /// those of programs that could not do their work or were called wrongly.)
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self.severity {
            Some(Severity::Error) => 4,
            Some(Severity::Warning) => 3,
            Some(Severity::Note) | None => 0,
        }
    }

    /// As JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Strings and numbers: there is nothing that JSON could refuse.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}

/// Lines of findings that are shown; the JSON has all.
const SHOWN: usize = 40;

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for split in &self.splits {
            let SplitCounts { split, pairs, clips, sound_clips, shortest, longest, files } = split;
            write!(f, "{split}: ")?;
            if *pairs > 0 {
                write!(f, "{pairs} pairs, ")?;
            }
            writeln!(f, "{clips} clips, {sound_clips} without errors, {shortest} to {longest} frames")?;
            for (modality, Files { found, bad, bytes }) in files {
                writeln!(f, "  {modality:<13}{found:>7} files{:>12.1} MB{bad:>7} bad", *bytes as f64 / 1e6)?;
            }
        }
        for finding in self.findings.iter().take(SHOWN) {
            writeln!(f, "{finding}")?;
        }
        if self.findings.len() > SHOWN {
            writeln!(f, "… and {} more (--json has all)", self.findings.len() - SHOWN)?;
        }
        let [errors, warnings, notes] = [Severity::Error, Severity::Warning, Severity::Note].map(|severity| self.count(severity));
        write!(f, "{}: {errors} errors, {warnings} warnings, {notes} notes", self.corpus)
    }
}
