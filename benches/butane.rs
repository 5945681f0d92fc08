//! How long one compile takes in process: `cargo bench --bench butane`.
//! What a million broken configs do to it: `cargo bench --bench butane -- fuzz 1000000`.
//!
//! Butane itself needs 2.0 ms for a config of this size on two shared cores (1.14 ms without gzip).
#![allow(clippy::disallowed_methods, reason = "a benchmark looks at the clock and reads its inputs")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use pxe_serve::butane::{NoFiles, Options, compile, lowest};

/// What a node of a cluster gets: a user, files, units, a partitioned disk.
const CONFIG: &str = include_str!("butane.bu");

const WARM_UP: usize = 200;
const RUNS: usize = 5_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.first().map(String::as_str) {
        Some("fuzz") => fuzz(arguments.get(1).and_then(|runs| runs.parse().ok()).unwrap_or(100_000)),
        _ => measure(),
    }
}

fn measure() {
    let compile_once = || {
        let compiled = compile(black_box(CONFIG.as_bytes()), "bench.bu", &Options::default(), &NoFiles);
        assert!(compiled.ignition.is_some(), "{}", compiled.report.to_text(false));
        black_box(compiled);
    };
    (0..WARM_UP).for_each(|_| compile_once());
    let mut times: Vec<Duration> = (0..RUNS)
        .map(|_| {
            let begin = Instant::now();
            compile_once();
            begin.elapsed()
        })
        .collect();
    times.sort();
    let at = |percent: usize| times[(RUNS * percent / 100).min(RUNS - 1)];
    let lines = CONFIG.lines().count();
    let (median, p90, p99) = (at(50), at(90), at(99));
    println!("{lines} lines, {RUNS} runs: best {:?}, median {median:?}, p90 {p90:?}, p99 {p99:?}", times[0]);
}

/// Compiles mutations of the test cases; a panic ends it and shows the input.
fn fuzz(runs: usize) {
    let seeds = seeds();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut compiled = 0;
    let begin = Instant::now();
    for run in 0..runs {
        let source = mutation(&seeds, &mut random);
        let outcome = std::panic::catch_unwind(|| {
            let ignition = compile(&source, "fuzz.bu", &Options::default(), &NoFiles).ignition?;
            serde_json::from_slice::<serde_json::Value>(&ignition).expect("what compiles is JSON");
            lowest(&ignition);
            Some(())
        });
        match outcome {
            Ok(done) => compiled += usize::from(done.is_some()),
            Err(_) => panic!("input {run} panicked:\n{:?}", String::from_utf8_lossy(&source)),
        }
    }
    println!("{runs} inputs, {compiled} of them compiled, no panic, {:?}", begin.elapsed());
}

fn seeds() -> Vec<Vec<u8>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases/butane");
    let mut seeds: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "bu"))
        .collect();
    seeds.sort();
    seeds.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// Marsaglia's xorshift: the same inputs every time.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end.max(1) as u64) as usize
    }
}

const WORDS: [&str; 24] = [
    "&a ",
    "*a",
    "<<: ",
    "? ",
    "- ",
    "|",
    ">-\n",
    "\"",
    "'",
    "{",
    "}",
    "[",
    "]",
    ": ",
    "\n",
    "~",
    "!!int ",
    "!!binary ",
    "0x",
    "%",
    "é",
    "\u{2028}",
    "-9223372036854775808",
    "---\n",
];

fn mutation(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut source = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(4) {
        let at = random.below(source.len());
        let end = (at + 1 + random.below(20)).min(source.len());
        match random.below(6) {
            0 if !source.is_empty() => source[at] = random.below(256) as u8,
            1 if !source.is_empty() => drop(source.drain(at..end)),
            2 => {
                let copy = source[at.min(end)..end].to_vec();
                let to = random.below(source.len());
                source.splice(to..to, copy);
            }
            3 => {
                let other = &seeds[random.below(seeds.len())];
                let from = random.below(other.len());
                source.truncate(at);
                source.extend_from_slice(&other[from..]);
            }
            _ => drop(source.splice(at..at, WORDS[random.below(WORDS.len())].bytes())),
        }
    }
    source
}
