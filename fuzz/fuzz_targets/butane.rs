//! Any bytes compile or are refused, and what compiles is JSON that `lowest` can read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pxe_serve::butane::{NoFiles, Options, compile, lowest};

fuzz_target!(|source: &[u8]| {
    if let Some(ignition) = compile(source, "fuzz.bu", &Options::default(), &NoFiles).ignition {
        lowest(&ignition);
    }
});
