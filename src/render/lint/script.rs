//! Shell scripts that ask the API server whether it is healthy.

use crate::report::Severity;

use super::Lint;

pub fn check(lint: &mut Lint<'_>) {
    if lint.text.split('\n').next().is_some_and(|line| line.ends_with('\r')) {
        let help = "save the template with Unix line ends: the kernel looks for an interpreter whose name ends with a carriage return";
        lint.push(
            Severity::Error,
            1,
            "the script cannot be started: its lines end with carriage returns",
            help,
        );
    }
    let joined = lint.text.replace("\\\n", " ");
    let is_code = |line: &&str| !line.trim_start().starts_with('#');
    let blind = joined.lines().filter(is_code).any(|line| asks_health(line) && !looks(&joined, line));
    let curl = lint.text.lines().position(|line| is_code(&line) && line.contains("curl"));
    if let (true, Some(index)) = (blind, curl) {
        let help = "compare `--write-out '%{http_code}'`: curl exits 0 for a 500 as well, and -f takes k3s' 401 for an error";
        lint.push(Severity::Warning, index + 1, "curl without a look at the status is no health check", help);
    }
}

fn asks_health(line: &str) -> bool {
    line.contains("curl")
        && line.contains("https:")
        && ["/healthz", "/livez", "/readyz"].iter().any(|path| line.contains(path))
}

/// By the status itself, or by -f where the request has credentials and so is not answered with 401.
fn looks(script: &str, line: &str) -> bool {
    let words = || line.split_whitespace();
    let fails = words().any(|word| {
        word.starts_with("--fail") || word.starts_with('-') && !word.starts_with("--") && word.contains('f')
    });
    let has_credentials =
        ["--cert", "-E ", "Authorization", "--oauth2-bearer"].iter().any(|word| line.contains(word));
    script.contains("http_code") || script.contains("response_code") || fails && has_credentials
}
