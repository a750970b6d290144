//! What a run says in the end: a row of numbers, the checker's report, a verdict.

use std::collections::BTreeMap;
use std::fmt;

use ::verify::{Report, Verdict};
use serde::Serialize;

use super::driver::Broken;

/// As JSON it has these fields under these names.
#[derive(Serialize, Debug)]
pub struct ChaosReport {
    scenario: String,
    seed: u64,
    verdict: Verdict,
    /// How often each kind of fault took effect.
    fired: BTreeMap<&'static str, u64>,
    /// Why the scenario was not carried out to its end.
    broken: Option<String>,
    judged: Report,
}

impl ChaosReport {
    pub fn new(
        scenario: String,
        seed: u64,
        fired: BTreeMap<&'static str, u64>,
        broken: Option<Broken>,
        judged: Report,
    ) -> ChaosReport {
        let (failed, void, broken) = match broken {
            Some(Broken::Failed(text)) => (true, false, Some(text)),
            Some(Broken::Void(text)) => (false, true, Some(text)),
            None if fired.is_empty() => (false, true, Some("no fault fired".to_owned())),
            None => (false, false, None),
        };
        let verdict = match judged.verdict {
            Verdict::Fail => Verdict::Fail,
            Verdict::Pass | Verdict::Void if failed => Verdict::Fail,
            Verdict::Pass | Verdict::Void if void => Verdict::Void,
            Verdict::Pass => Verdict::Pass,
            Verdict::Void => Verdict::Void,
        };
        ChaosReport { scenario, seed, verdict, fired, broken, judged }
    }

    pub fn exit_code(&self) -> u8 {
        self.verdict.exit_code()
    }
}

impl fmt::Display for ChaosReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { acknowledged, lost, duplicated, reordered, diverged, other, stalls, .. } =
            &self.judged;
        writeln!(
            f,
            "{:16} {:>9} {:>5} {:>8} {:>10} {:>9} {:>6} {:>6} {:>6} {:>6}  FIRED",
            "SCENARIO",
            "ACKED",
            "LOST",
            "DOUBLED",
            "REORDERED",
            "DIVERGED",
            "OTHER",
            "P50 S",
            "P99 S",
            "MAX S"
        )?;
        let fired = self.fired.iter().map(|(kind, count)| format!("{kind}:{count}"));
        writeln!(
            f,
            "{:16} {acknowledged:>9} {lost:>5} {duplicated:>8} {reordered:>10} {diverged:>9} \
             {other:>6} {:>6.2} {:>6.2} {:>6.2}  {}\n",
            self.scenario,
            stalls.p50,
            stalls.p99,
            stalls.max,
            fired.collect::<Vec<_>>().join(" ")
        )?;
        if let Some(text) = &self.broken {
            writeln!(f, "the scenario ended early: {text}\n")?;
        }
        write!(f, "{}", self.judged)?;
        if self.judged.verdict != self.verdict {
            let verdict = match self.verdict {
                Verdict::Pass => "pass",
                Verdict::Fail => "FAIL",
                Verdict::Void => "void: the run shows nothing",
            };
            writeln!(f, "\nas a chaos run: {verdict}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::verify::Checker;

    fn verdict(fired: u64, broken: Option<Broken>) -> u8 {
        // An empty history is void by itself.
        let mut judged = Checker::new().finish(&Default::default());
        judged.verdict = Verdict::Pass;
        let fired = if fired > 0 { BTreeMap::from([("kill", fired)]) } else { BTreeMap::new() };
        ChaosReport::new("leader-kill".to_owned(), 1, fired, broken, judged).exit_code()
    }

    #[test]
    fn a_run_without_a_fault_or_with_one_that_had_no_effect_shows_nothing() {
        assert_eq!(verdict(1, None), 0);
        assert_eq!(verdict(0, None), 2);
        assert_eq!(verdict(1, Some(Broken::Void("node 1 still answers".to_owned()))), 2);
    }

    #[test]
    fn a_cluster_that_does_not_recover_fails() {
        assert_eq!(verdict(1, Some(Broken::Failed("not in sync".to_owned()))), 1);
    }
}
