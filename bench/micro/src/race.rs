//! Times alternatives in turns, so that other load on the machine affects all of them equally.

use std::time::Instant;

/// The number of turns of each alternative.
const ROUNDS: usize = 101;

/// The approximate duration of a turn.
const TURN_NANOSECONDS: f64 = 3e6;

pub struct Race<'a> {
    runners: Vec<(&'static str, Box<dyn FnMut() + 'a>)>,
}

/// Nanoseconds of each alternative, round by round.
pub struct Times(Vec<(&'static str, Vec<f64>, f64)>);

impl<'a> Race<'a> {
    pub fn new() -> Self {
        Self { runners: vec![] }
    }

    pub fn runner(mut self, name: &'static str, run: impl FnMut() + 'a) -> Self {
        self.runners.push((name, Box::new(run)));
        self
    }

    pub fn run(mut self) -> Times {
        let mut times: Vec<_> = vec![];
        for (name, run) in &mut self.runners {
            let once = time(run, 200);
            let (_, _, allocations) = crate::counting::count(|| (0..100).for_each(|_| run()));
            let allocations = allocations as f64 / 100.0;
            let iterations = (TURN_NANOSECONDS / once).clamp(50.0, 1e6) as usize;
            times.push((*name, vec![], allocations, iterations));
        }
        for round in 0..ROUNDS {
            for turn in 0..times.len() {
                let one = (round + turn) % times.len();
                let nanoseconds = time(&mut self.runners[one].1, times[one].3);
                times[one].1.push(nanoseconds);
            }
        }
        Times(
            times.into_iter().map(|(name, all, allocations, _)| (name, all, allocations)).collect(),
        )
    }
}

fn time(run: &mut dyn FnMut(), iterations: usize) -> f64 {
    let begin = Instant::now();
    for _ in 0..iterations {
        run();
    }
    begin.elapsed().as_secs_f64() * 1e9 / iterations as f64
}

impl Times {
    /// The median of the rounds' ratios.
    pub fn ratio(&self, name: &str, to: &str) -> f64 {
        median(self.all(name).iter().zip(self.all(to)).map(|(one, other)| one / other))
    }

    /// The median of the rounds' differences, in nanoseconds.
    pub fn over(&self, name: &str, base: &str) -> f64 {
        median(self.all(name).iter().zip(self.all(base)).map(|(one, other)| one - other))
    }

    pub fn print(&self, title: &str) {
        println!("\n{title}");
        for (name, all, allocations) in &self.0 {
            let median = median(all.iter().copied());
            let least = all.iter().copied().fold(f64::INFINITY, f64::min);
            println!(
                "  {name:<42} {median:>10.0} ns   least {least:>10.0}   {allocations:>4.0} allocations"
            );
        }
    }

    fn all(&self, name: &str) -> &[f64] {
        self.0.iter().find(|it| it.0 == name).map_or(&[], |it| &it.1)
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
