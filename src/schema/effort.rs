//! What one check may cost: steps, and depth of the stack.

/// A step is 5 to 50 ns on a server's core, so all of them together are a few milliseconds (some thirty with a
/// pattern that keeps all its states alive). Enough for some thousands of small objects.
const STEPS_MAX: usize = 100_000;
/// Calls into each other. A value from the wire nests 64 deep; a recursive schema needs one or two per level.
const NESTED_MAX: usize = 256;

/// The bound that a check ran into.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Spent {
    Steps,
    Depth,
}

impl Spent {
    pub(super) fn sentence(self) -> String {
        match self {
            Spent::Steps => format!("too large to be checked (more than {STEPS_MAX} steps); send less at once"),
            Spent::Depth => format!("nested too deeply to be checked (more than {NESTED_MAX} levels)"),
        }
    }
}

/// What is left to be spent.
pub(super) struct Effort {
    steps: usize,
    nested: usize,
}

impl Effort {
    pub(super) fn new() -> Effort {
        Effort { steps: STEPS_MAX, nested: NESTED_MAX }
    }

    pub(super) fn spend(&mut self, steps: usize) -> Result<(), Spent> {
        self.steps = self.steps.checked_sub(steps).ok_or(Spent::Steps)?;
        Ok(())
    }

    /// Goes one level down; `leave` follows unless the check is over.
    pub(super) fn enter(&mut self) -> Result<(), Spent> {
        self.nested = self.nested.checked_sub(1).ok_or(Spent::Depth)?;
        Ok(())
    }

    pub(super) fn leave(&mut self) {
        self.nested += 1;
    }
}
