//! How long one compile takes in process: `cargo bench --bench butane`.
//!
//! Butane itself needs 2.0 ms for a config of this size on two shared cores (1.14 ms without gzip).
#![allow(clippy::disallowed_methods, reason = "a benchmark looks at the clock")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use pxe_serve::butane::{NoFiles, Options, compile};

/// 67 lines of what a node of a cluster gets: a user, files, units, a mirrored and a plain disk.
const CONFIG: &str = include_str!("butane.bu");

const WARM_UP: usize = 200;
const RUNS: usize = 5_000;

fn main() {
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
    let at = |percent: usize| times[RUNS * percent / 100 - usize::from(percent == 100)];
    println!(
        "{} lines, {RUNS} runs: median {:?}, p90 {:?}, p99 {:?}, worst {:?}",
        CONFIG.lines().count(),
        at(50),
        at(90),
        at(99),
        at(100)
    );
}
