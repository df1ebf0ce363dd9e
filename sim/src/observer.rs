use crate::{
    ghost::Ghost,
    history::Event,
    invariant::{self, Invariant},
};

/// Sees every event, knows everything, and says what does not hold.
pub struct Observer {
    ghost: Ghost,
    invariants: Vec<Box<dyn Invariant>>,
}

/// An invariant does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{invariant}: {why}")]
pub struct Violation {
    /// [`Invariant::name`].
    pub invariant: &'static str,
    /// What does not hold.
    pub why: String,
}

impl Default for Observer {
    fn default() -> Observer {
        Observer { ghost: Ghost::default(), invariants: invariant::all() }
    }
}

impl Observer {
    /// From now on partitions have several replicas.
    pub fn expect_replicas(&mut self) {
        self.ghost.replicated = true;
    }

    /// What is known so far.
    pub fn ghost(&self) -> &Ghost {
        &self.ghost
    }

    /// Checks an event against every invariant, and takes it in.
    ///
    /// # Errors
    /// The first invariant that does not hold.
    pub fn observe(&mut self, event: &Event) -> Result<(), Violation> {
        for invariant in &mut self.invariants {
            invariant
                .check(&self.ghost, event)
                .map_err(|why| Violation { invariant: invariant.name(), why })?;
        }
        self.ghost.apply(event);
        Ok(())
    }
}
