//! File modes that were meant in octal and written without the leading zero.

/// Whether `mode` makes no sense as it is, and would if its decimal digits were octal: `644` for `0644`.
pub fn looks_decimal(mode: i64, is_directory: bool) -> bool {
    let as_octal = i64::from_str_radix(&mode.to_string(), 8);
    as_octal.is_ok_and(|octal| !is_reasonable(mode, is_directory) && is_reasonable(octal, is_directory))
}

/// Nobody can write or execute what he cannot read, and nobody can do more than those before him. A directory is
/// read and entered, or neither.
fn is_reasonable(mode: i64, is_directory: bool) -> bool {
    if !(0..=0o7777).contains(&mode) {
        return false;
    }
    let [owner, group, others] = [mode >> 6 & 7, mode >> 3 & 7, mode & 7];
    let sensible = |bits: i64| {
        let (read, write, execute) = (bits & 4 != 0, bits & 2 != 0, bits & 1 != 0);
        (read || !(write || execute)) && (!is_directory || read == execute)
    };
    let within = |less: i64, more: i64| less & !more == 0;
    [owner, group, others].into_iter().all(sensible) && within(group, owner) && within(others, group)
}

#[cfg(test)]
mod tests {
    use super::looks_decimal;

    #[test]
    fn decimal_modes_are_noticed() {
        for mode in [644, 755, 600, 400, 444, 640, 750, 700, 777] {
            assert!(looks_decimal(mode, false), "{mode}");
        }
        for mode in [0, 0o644, 0o755, 0o600, 0o400, 0o1777, 0o4755, 999, -1] {
            assert!(!looks_decimal(mode, false), "{mode:o}");
        }
        assert!(looks_decimal(755, true));
        assert!(!looks_decimal(400, true));
    }
}
