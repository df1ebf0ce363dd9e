//! Who writes: whoever waits and finds room for one more group in flight makes it of everything that waits, and writes it
//! for all of them.

use std::io;

use super::{
    Journal, JournalError, Place,
    extents::Lack,
    flight::{Flight, IN_FLIGHT},
    writer::{Begun, Writer},
};
use crate::{
    directory::Offline,
    museum::{Bug, has},
    sync::{Condvar, MutexGuard},
};

impl Journal {
    /// Waits until everything up to `place` counts.
    ///
    /// # Errors
    /// [`JournalError`].
    pub(crate) fn wait(&self, place: Place) -> Result<(), JournalError> {
        let mut writer = self.writer.lock();
        let mut has_written = false;
        if has(Bug::GroupInFlightBelieved) && !writer.is_quiet() {
            return Ok(());
        }
        loop {
            if writer.written >= place {
                let is_late = has_written && Journal::is_late(&writer);
                drop(writer);
                if is_late {
                    self.relieve_late();
                }
                return Ok(());
            }
            if let Err(offline) = self.health.check() {
                self.wake_everybody();
                return Err(offline.into());
            }
            if writer.is_taken(place) {
                self.turn(writer.turn_of(place)).wait(&mut writer);
                continue;
            }
            let begun = match writer.begin(&self.queue, &self.tracked) {
                Ok(begun) => begun,
                Err(error) => {
                    self.wake_next(&writer);
                    return Err(error);
                }
            };
            self.note_pressure(&writer);
            match begun {
                Begun::Later => self.turn(writer.next_turn()).wait(&mut writer),
                Begun::Flight { mut flight, rest } => {
                    if rest {
                        // It is full: who is not in it must not wait for it.
                        self.turn(writer.next_turn() - 1).notify_all();
                    }
                    drop(writer);
                    let outcome = flight.write();
                    writer = self.writer.lock();
                    self.land_in(&mut writer, flight, outcome)?;
                    has_written = true;
                }
                Begun::Lacks(Lack::Unmade) => {
                    drop(writer);
                    let made = self.make_needed();
                    writer = self.writer.lock();
                    if made.is_err() {
                        self.wake_next(&writer);
                        return made;
                    }
                }
                Begun::Lacks(Lack::Full) => {
                    drop(writer);
                    let free = self.settle_older().and_then(|free| Ok(free || self.make_room()?));
                    writer = self.writer.lock();
                    if !matches!(free, Ok(true)) {
                        self.wake_next(&writer);
                        free?;
                        return Err(io::Error::new(io::ErrorKind::StorageFull, "the journal is full").into());
                    }
                }
            }
        }
    }

    /// The writer, once nothing is in flight: nothing is begun while it is locked.
    ///
    /// # Errors
    /// [`JournalError::Offline`].
    pub(super) fn quiet(&self) -> Result<MutexGuard<'_, Writer>, JournalError> {
        let mut writer = self.writer.lock();
        writer.holders += 1;
        let mut outcome = Ok(());
        while !writer.is_quiet() && outcome.is_ok() {
            outcome = self.health.check();
            if outcome.is_ok() {
                self.quiet.wait(&mut writer);
            }
        }
        writer.holders -= 1;
        if writer.holders == 0 {
            self.wake_next(&writer);
        }
        outcome?;
        Ok(writer)
    }

    /// Writes a group that was begun when nothing was in flight.
    pub(super) fn write_alone(&self, mut flight: Flight) -> Result<(), JournalError> {
        let outcome = flight.write();
        Ok(self.land(flight, outcome)?)
    }

    /// Notes how the write of a group went, and tells whom it concerns.
    ///
    /// # Errors
    /// Offline, if it failed.
    pub(crate) fn land(&self, flight: Flight, outcome: io::Result<()>) -> Result<(), Offline> {
        self.land_in(&mut self.writer.lock(), flight, outcome)
    }

    fn land_in(&self, writer: &mut Writer, flight: Flight, outcome: io::Result<()>) -> Result<(), Offline> {
        let turns = writer.land(flight, outcome, &self.tracked).inspect_err(|_| self.wake_everybody())?;
        self.note_pressure(writer);
        for turn in turns {
            self.turn(turn).notify_all();
        }
        if writer.is_quiet() {
            self.quiet.notify_all();
        }
        self.wake_next(writer);
        Ok(())
    }

    fn turn(&self, turn: u64) -> &Condvar {
        &self.turns[(turn % (IN_FLIGHT as u64 + 1)) as usize]
    }

    /// One of those who are in no group yet tries again to make one.
    fn wake_next(&self, writer: &Writer) {
        self.turn(writer.next_turn()).notify_one();
    }

    fn wake_everybody(&self) {
        for turn in &self.turns {
            turn.notify_all();
        }
        self.quiet.notify_all();
    }
}

/// Several groups in flight with one thread.
#[cfg(test)]
impl Journal {
    /// A group of what waits, if one may be begun now.
    pub(crate) fn begin_one(&self) -> Option<Flight> {
        loop {
            let begun = self.writer.lock().begin(&self.queue, &self.tracked);
            match begun {
                Ok(Begun::Flight { flight, .. }) => return Some(flight),
                Ok(Begun::Lacks(Lack::Unmade)) => self.make_needed().ok()?,
                Ok(Begun::Later | Begun::Lacks(Lack::Full)) | Err(_) => return None,
            }
        }
    }

    /// Whether [`Journal::wait`] would return at once.
    pub(crate) fn counts(&self, place: Place) -> bool {
        self.writer.lock().written >= place
    }
}
