//! What the checker says in the end: numbers, findings, a verdict.

use std::fmt;

use serde::Serialize;

use crate::checker::CheckOptions;
use crate::facts::{Counts, Facts};
use crate::findings::{Count, Findings, Rule};
use crate::stalls::{Distribution, Measured};

/// What the history shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// All promises were kept.
    Pass,
    /// A promise was broken.
    Fail,
    /// The history proves nothing, for the reasons named.
    Void,
}

impl Verdict {
    /// The exit code of the tools.
    pub fn exit_code(self) -> u8 {
        match self {
            Verdict::Pass => 0,
            Verdict::Fail => 1,
            Verdict::Void => 2,
        }
    }
}

/// The outcome. As JSON it has these fields under these names.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    pub verdict: Verdict,
    /// Why the verdict is void, or would be if nothing was broken.
    pub void: Vec<String>,
    pub acknowledged: u64,
    pub unknown: u64,
    pub refused: u64,
    /// Records handed to readers, each reading counted.
    pub read: u64,
    pub commits: u64,
    pub faults: u64,
    pub lost: u64,
    pub duplicated: u64,
    pub reordered: u64,
    pub diverged: u64,
    /// Violations of the other invariants.
    pub other: u64,
    pub stalls: Stalls,
    pub invariants: Vec<InvariantReport>,
}

/// Times in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Stalls {
    /// `fault`: the longest stall of each fault; `partition`: of each partition.
    pub per: &'static str,
    pub count: u64,
    pub p50: f64,
    pub p99: f64,
    pub max: f64,
    pub latency_p50: f64,
    pub latency_p99: f64,
    pub latency_max: f64,
}

/// One invariant's part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InvariantReport {
    pub id: &'static str,
    pub name: &'static str,
    pub promise: &'static str,
    pub checked: u64,
    pub violations: u64,
    pub notes: u64,
    pub examples: Vec<String>,
    pub note_examples: Vec<String>,
}

impl Report {
    pub(crate) fn new(
        facts: &Facts,
        measured: Measured,
        findings: Vec<(Rule, Findings)>,
        options: &CheckOptions,
    ) -> Report {
        let findings: Vec<(Rule, Findings)> =
            findings.into_iter().map(|(rule, found)| (rule, weigh(rule, found, options))).collect();
        let sum = |count: Count| {
            let of = findings.iter().filter(|(rule, _)| rule.count == count);
            of.map(|(_, found)| found.violations).sum()
        };
        let void = void_reasons(facts);
        let broken = findings.iter().any(|(_, found)| found.violations > 0);
        let verdict = match (broken, void.is_empty()) {
            (true, _) => Verdict::Fail,
            (false, true) => Verdict::Pass,
            (false, false) => Verdict::Void,
        };
        let Counts { acknowledged, unknown, refused, read, commits, faults, .. } = facts.counts;
        Report {
            verdict,
            void,
            acknowledged,
            unknown,
            refused,
            read,
            commits,
            faults,
            lost: sum(Count::Lost),
            duplicated: sum(Count::Duplicated),
            reordered: sum(Count::Reordered),
            diverged: sum(Count::Diverged),
            other: sum(Count::Other),
            stalls: measured.into(),
            invariants: findings.into_iter().map(InvariantReport::from).collect(),
        }
    }
}

/// Applies what the caller allows and how strict it is.
fn weigh(rule: Rule, mut found: Findings, options: &CheckOptions) -> Findings {
    if options.allow.contains(rule.name) {
        found.notes += std::mem::take(&mut found.violations);
        found.note_examples.splice(0..0, std::mem::take(&mut found.examples));
    } else if options.strict {
        found.violations += std::mem::take(&mut found.notes);
        found.examples.append(&mut found.note_examples);
    }
    found
}

/// Why a history proves nothing.
fn void_reasons(facts: &Facts) -> Vec<String> {
    let mut reasons = Vec::new();
    match facts.ended {
        None => reasons.push("the history has no end: its recorder died".to_owned()),
        Some(false) => reasons.push("the recorder did not finish what it had planned".to_owned()),
        Some(true) => {}
    }
    if facts.counts.acknowledged == 0 {
        reasons.push("nothing was acknowledged".to_owned());
    }
    for (partition, of) in &facts.partitions {
        match &of.final_read {
            None => reasons.push(format!("{partition} was not read at the end")),
            Some(last) if !last.complete => {
                let read_to = of.read_to().unwrap_or(last.start);
                let end = last.end;
                reasons.push(format!("{partition} was read at the end to {read_to} of {end} only"));
            }
            Some(_) => {}
        }
        if let Some(name) = of.sent_twice.first() {
            reasons.push(format!("{partition}: the history has record {name} sent twice"));
        }
    }
    reasons
}

impl From<Measured> for Stalls {
    fn from(measured: Measured) -> Stalls {
        let seconds = |micros: u64| micros as f64 / 1e6;
        let Distribution { count, p50, p99, max } = measured.stalls;
        Stalls {
            per: if measured.per_fault { "fault" } else { "partition" },
            count,
            p50: seconds(p50),
            p99: seconds(p99),
            max: seconds(max),
            latency_p50: seconds(measured.latency.p50),
            latency_p99: seconds(measured.latency.p99),
            latency_max: seconds(measured.latency.max),
        }
    }
}

impl From<(Rule, Findings)> for InvariantReport {
    fn from((rule, found): (Rule, Findings)) -> InvariantReport {
        InvariantReport {
            id: rule.id,
            name: rule.name,
            promise: rule.promise,
            checked: found.checked,
            violations: found.violations,
            notes: found.notes,
            examples: found.examples,
            note_examples: found.note_examples,
        }
    }
}

/// For people: numbers first, then what is wrong, then the verdict.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "acknowledged {}   unknown {}   refused {}   read {}   commits {}   faults {}",
            self.acknowledged, self.unknown, self.refused, self.read, self.commits, self.faults
        )?;
        writeln!(
            f,
            "lost {}   duplicated {}   reordered {}   diverged {}   other {}",
            self.lost, self.duplicated, self.reordered, self.diverged, self.other
        )?;
        let stalls = &self.stalls;
        writeln!(
            f,
            "longest stall per {}: p50 {:.3} s   p99 {:.3} s   max {:.3} s   (of {})",
            stalls.per, stalls.p50, stalls.p99, stalls.max, stalls.count
        )?;
        writeln!(
            f,
            "acknowledged after: p50 {:.1} ms   p99 {:.1} ms   max {:.1} ms",
            stalls.latency_p50 * 1e3,
            stalls.latency_p99 * 1e3,
            stalls.latency_max * 1e3
        )?;
        let judged = self.invariants.iter().filter(|invariant| invariant.checked > 0).count();
        let silent = self.invariants.iter().filter(|invariant| invariant.checked == 0);
        let silent: Vec<&str> = silent.map(|invariant| invariant.name).collect();
        write!(f, "{judged} invariants judged")?;
        match silent.as_slice() {
            [] => writeln!(f)?,
            names => writeln!(f, "; nothing to judge for {}", names.join(", "))?,
        }
        for invariant in &self.invariants {
            invariant.tell(f)?;
        }
        for reason in &self.void {
            writeln!(f, "void: {reason}")?;
        }
        match self.verdict {
            Verdict::Pass => writeln!(f, "PASS: every promise was kept"),
            Verdict::Fail => writeln!(f, "FAIL: promises were broken"),
            Verdict::Void => writeln!(f, "VOID: this history proves nothing"),
        }
    }
}

impl InvariantReport {
    fn tell(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            ("violations", self.violations, &self.examples),
            ("notes", self.notes, &self.note_examples),
        ];
        for (what, count, examples) in parts {
            if count == 0 {
                continue;
            }
            writeln!(f, "{} {}: {count} {what} of: {}", self.id, self.name, self.promise)?;
            for example in examples {
                writeln!(f, "    {example}")?;
            }
            if count > examples.len() as u64 {
                writeln!(f, "    and {} more", count - examples.len() as u64)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::report;

    const CLEAN: &str = "
        sent 1/0x3 0
        read 2.0 0=1/0x3
        list 5 3
        sent 1/3 ?
        sent 2/0 3
        sent 1/4 !
        assigned g 6 1 0
        group g 6.1 0=1/0x3 3=2/0
        commit g 6 1 4 ok
        committed g 4
        setting write 1 ok
        setting read 1
        final 0=1/0x3 3=2/0 4=1/3
        group g 6.1 4=1/3
        finished g
        end";

    #[test]
    fn a_clean_history_passes_all_invariants() {
        let report = report(CLEAN);
        assert_eq!(report.verdict, Verdict::Pass, "{report}");
        assert_eq!((report.acknowledged, report.unknown, report.refused), (4, 1, 1));
        let silent = report.invariants.iter().filter(|invariant| invariant.checked == 0);
        let silent: Vec<&str> = silent.map(|invariant| invariant.name).collect();
        assert_eq!(silent, ["transactions", "recovery"]);
    }

    #[test]
    fn a_history_that_proves_nothing_is_void() {
        let void = |script: &str| {
            let report = report(script);
            assert_eq!(report.verdict, Verdict::Void, "{report}");
            report.void
        };
        assert_eq!(void("sent 1/0 ?\n final"), ["nothing was acknowledged"]);
        assert_eq!(void("sent 1/0 0"), ["t-0 was not read at the end"]);
        assert_eq!(
            void("sent 1/0x2 0\n partial 0=1/0\n"),
            ["t-0 was read at the end to 1 of 1 only"]
        );
        assert_eq!(
            void("sent 1/0 0\n final 0=1/0\n broken"),
            ["the recorder did not finish what it had planned"]
        );
        assert_eq!(
            void("sent 1/0 0\n sent 1/0 0\n final 0=1/0"),
            ["t-0: the history has record 1/0 sent twice"]
        );
    }

    #[test]
    fn a_broken_promise_fails_even_an_incomplete_history() {
        let report = report("sent 1/0x2 0\n partial 1=1/1\n broken");
        assert_eq!((report.verdict, report.lost), (Verdict::Fail, 1), "{report}");
        assert_eq!(report.verdict.exit_code(), 1);
    }

    #[test]
    fn what_is_allowed_is_a_note_and_strictness_makes_violations_of_notes() {
        let script = "
            sent 1/0x2 0
            fetch 5 1
            final 0=1/0";
        let check = |options: &CheckOptions| {
            let mut checker = crate::Checker::new();
            for event in crate::testing::history(script) {
                checker.take(&event);
            }
            checker.finish(options)
        };
        let allowed = CheckOptions {
            allow: ["acknowledged-kept".to_owned(), "dense".to_owned()].into(),
            strict: false,
        };
        let report = check(&allowed);
        assert_eq!((report.verdict, report.lost), (Verdict::Pass, 0), "{report}");
        let report = check(&CheckOptions { strict: true, ..allowed });
        assert_eq!((report.verdict, report.other), (Verdict::Fail, 1), "{report}");
    }

    #[test]
    fn names_of_invariants_are_unique() {
        let mut names: Vec<&str> = crate::rules().iter().map(|rule| rule.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
