//! Stand-in until the compiler is merged.
use crate::report::{Finding, Report};
#[derive(Default)]
pub struct Options {
    pub strict: bool,
    pub pretty: bool,
}
pub struct Compiled {
    pub ignition: Option<Vec<u8>>,
    pub report: Report,
}
pub struct NoLocalFiles;
pub fn compile(_source: &[u8], _file: &str, _options: &Options, _files: &NoLocalFiles) -> Compiled {
    let mut report = Report::new();
    report.push(Finding::warning("", "no compiler yet"));
    Compiled { ignition: Some(br#"{"ignition":{"version":"3.0.0"}}"#.to_vec()), report }
}
pub fn lowest(_ignition: &[u8]) -> Option<((u32, u32), Vec<u8>)> {
    None
}
pub fn version_of(_ignition: &[u8]) -> Option<(u32, u32)> {
    None
}
