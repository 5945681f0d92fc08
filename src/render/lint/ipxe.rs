//! A boot script that iPXE takes for one.

use super::Lint;
use crate::report::Severity;

/// Anything else is loaded as a kernel; a build of 2019 then neither goes on nor tries again (tried).
const MAGIC: &str = "#!ipxe";

pub fn check(lint: &mut Lint<'_>) {
    let rest = lint.text.strip_prefix(MAGIC);
    if !rest.is_some_and(|rest| rest.starts_with(char::is_whitespace)) {
        lint.push(
            Severity::Error,
            1,
            "a script of iPXE begins with the line `#!ipxe`; without it the machine hangs",
            "write `#!ipxe` as the very first line of its template, before comments of Jinja",
        );
    }
}
