//! Places of which there are so many, in all and for one of those who take them.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counts the places that are taken, in all and by who has taken them.
#[derive(Debug)]
pub(crate) struct Places<K> {
    max: usize,
    max_of_one: usize,
    taken: Arc<Mutex<Taken<K>>>,
}

#[derive(Debug)]
struct Taken<K> {
    all: usize,
    by_one: HashMap<K, usize>,
}

/// A place. It is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Place<K: Eq + Hash> {
    one: K,
    taken: Arc<Mutex<Taken<K>>>,
}

impl<K> Clone for Places<K> {
    fn clone(&self) -> Self {
        Self { taken: Arc::clone(&self.taken), ..*self }
    }
}

impl<K: Clone + Eq + Hash> Places<K> {
    pub(crate) fn new(max: usize, max_of_one: usize) -> Self {
        let taken = Taken { all: 0, by_one: HashMap::new() };
        Self { max, max_of_one, taken: Arc::new(Mutex::new(taken)) }
    }

    /// How many are taken.
    pub(crate) fn taken(&self) -> usize {
        lock(&self.taken).all
    }

    /// Takes a place. Returns `None` if there is none, in all or, unless `is_exempt`, for this one.
    pub(crate) fn take(&self, one: K, is_exempt: bool) -> Option<Place<K>> {
        let mut taken = lock(&self.taken);
        let own = taken.by_one.get(&one).copied().unwrap_or_default();
        if taken.all >= self.max || own >= self.max_of_one && !is_exempt {
            return None;
        }
        taken.all += 1;
        taken.by_one.insert(one.clone(), own + 1);
        Some(Place { one, taken: Arc::clone(&self.taken) })
    }
}

impl<K: Eq + Hash> Drop for Place<K> {
    fn drop(&mut self) {
        let mut taken = lock(&self.taken);
        taken.all = taken.all.saturating_sub(1);
        match taken.by_one.get_mut(&self.one) {
            Some(own) if *own > 1 => *own -= 1,
            _ => drop(taken.by_one.remove(&self.one)),
        }
    }
}

fn lock<K>(taken: &Mutex<Taken<K>>) -> MutexGuard<'_, Taken<K>> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_all_places_and_they_become_free_again() {
        let places = Places::new(4, 2);
        let one: Vec<_> = (0..5).filter_map(|_| places.take("one", false)).collect();
        assert_eq!(one.len(), 2);
        let exempt = places.take("one", true);
        assert!(exempt.is_some());
        let other = [places.take("other", false), places.take("other", false)];
        assert!(other[0].is_some() && other[1].is_none(), "there are four");
        drop(one);
        assert!(places.take("other", false).is_some());
        drop((exempt, other));
        assert!(places.taken() == 0 && lock(&places.taken).by_one.is_empty());
    }
}
