//! "Did you mean" for a word on the command line.

/// The candidate that the word was meant to be: one that has it as its file name, else the nearest by edits.
pub(super) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    /// Two slips of the finger; with more, a guess is more often wrong than right.
    const EDITS: usize = 2;
    let distance = |candidate: &str| match candidate.rsplit('/').next() {
        Some(name) if name == word => 0,
        _ => strsim::damerau_levenshtein(word, candidate),
    };
    candidates
        .map(|candidate| (distance(candidate), candidate))
        .filter(|(edits, candidate)| *edits <= EDITS && *edits < candidate.len())
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_or_a_bare_file_name_is_recognised_and_anything_else_is_not() {
        let paths = ["pxe/boot.ipxe", "pxe/configs/a.conf"];
        assert_eq!(nearest("pxe/bot.ipxe", paths.into_iter()), Some("pxe/boot.ipxe"));
        assert_eq!(nearest("a.conf", paths.into_iter()), Some("pxe/configs/a.conf"));
        assert_eq!(nearest("pxe/else.conf", paths.into_iter()), None);
    }
}
