//! What happened, in order: always as a hash, on demand as text.

/// The trace of one run.
#[derive(Clone, Debug)]
pub struct Trace {
    hash: u64,
    count: u64,
    lines: Option<Vec<String>>,
}

impl Trace {
    pub fn new(is_kept: bool) -> Trace {
        Trace { hash: 0xcbf2_9ce4_8422_2325, count: 0, lines: is_kept.then(Vec::new) }
    }

    pub fn is_kept(&self) -> bool {
        self.lines.is_some()
    }

    /// Takes in one number; cheap enough for every event.
    pub fn mark(&mut self, number: u64) {
        self.hash = (self.hash ^ number).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(7);
        self.count += 1;
    }

    /// Takes in one line, if lines are kept.
    pub fn line(&mut self, line: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            lines.push(line());
        }
    }

    pub fn hash(&self) -> u64 {
        self.hash ^ self.count
    }

    pub fn into_lines(self) -> Vec<String> {
        self.lines.unwrap_or_default()
    }
}
