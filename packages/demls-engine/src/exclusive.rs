//! One call at a time, and none after a panic.

use std::sync::{Mutex, PoisonError};

use crate::error::{Error, Result, guarded};

/// Something that calls may change, one after the other, until one of them panics.
pub struct Exclusive<T> {
    slot: Mutex<Slot<T>>,
}

struct Slot<T> {
    value: T,
    /// A panic, or a failure in the middle of a change, left the value half changed.
    is_broken: bool,
}

impl<T> Exclusive<T> {
    pub fn new(value: T) -> Self {
        Self {
            slot: Mutex::new(Slot {
                value,
                is_broken: false,
            }),
        }
    }

    /// Waits for its turn; a panic in `work` becomes an error of this and of every later call.
    pub fn run<R>(&self, work: impl FnOnce(&mut T) -> Result<R>) -> Result<R> {
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.is_broken {
            return Err(Error::defect(
                "The group object is broken; drop it and load the group again.",
            ));
        }
        let result = guarded(|| work(&mut slot.value));
        slot.is_broken = matches!(result, Err(Error::Panic(_) | Error::UnreadableState(_)));
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_and_the_value_is_not_touched_again() {
        let number = Exclusive::new(1);
        let result: Result<()> = number.run(|value| {
            *value = 2;
            panic!("half done");
        });
        assert!(matches!(result, Err(Error::Panic(text)) if text.contains("half done")));
        assert!(matches!(
            number.run(|value| Ok(*value)),
            Err(Error::Panic(_))
        ));
    }

    #[test]
    fn an_ordinary_error_breaks_nothing() {
        let number = Exclusive::new(1);
        let result: Result<()> = number.run(|_| Err(Error::WrongEpoch));
        assert!(matches!(result, Err(Error::WrongEpoch)));
        assert!(matches!(number.run(|value| Ok(*value)), Ok(1)));
    }
}
