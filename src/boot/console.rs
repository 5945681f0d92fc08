//! An iPXE script that says something on the machine's console, waits, and tries again or starts from the disk.
//!
//! iPXE shows no body of an error, so what a person in front of the machine should read comes as a script.

/// Long enough to read it, short enough that nobody presses reset.
const WAIT_SECONDS: u32 = 10;

/// Ten minutes. Then the disk: a machine that is installed is not kept from it for ever. `waits` outlives `chain
/// --replace` (tried with a build of 2019), and the templates' scripts count on.
const WAITS_MAX: u32 = 60;

/// Two lines of 80 columns.
const LINE_MAX: usize = 150;

/// Half a console of 25 rows, each line perhaps two.
const LINES_MAX: usize = 8;

/// The path alone: iPXE resolves it against the URL that this script came from, and what `base_url` is may be what is
/// broken. `--replace`: a script that calls itself for an hour must not pile up.
const AGAIN: &str = "chain --replace /pxe/boot.ipxe || goto again";

pub fn console(lines: &[String]) -> String {
    let wait = format!("echo pxe-serve: trying again in {WAIT_SECONDS} s\nsleep {WAIT_SECONDS}\n");
    let count = format!("inc waits ||\niseq ${{waits}} {WAITS_MAX} && goto disk ||\n");
    format!("#!ipxe\n:again\n{}{wait}{count}{AGAIN}\n\n:disk\nexit 1\n", echoes(lines))
}

/// One that starts the machine from its disk afterwards. 1, since UEFI takes a success for a boot that is done.
pub fn console_then_disk(lines: &[String]) -> String {
    let wait = format!("echo pxe-serve: starting from its disk in {WAIT_SECONDS} s\nsleep {WAIT_SECONDS}\n");
    format!("#!ipxe\n{}{wait}exit 1\n", echoes(lines))
}

fn echoes(lines: &[String]) -> String {
    let mut script = String::new();
    for line in lines.iter().take(LINES_MAX) {
        script.push_str(&format!("echo pxe-serve: {}\n", harmless(line)));
    }
    if lines.len() > LINES_MAX {
        script.push_str(&format!("echo pxe-serve: and {} more\n", lines.len() - LINES_MAX));
    }
    script
}

/// What `echo` prints as it stands. iPXE expands `${`; it takes the words `||` and `&&` for operators, `;` for the end of
/// the command and `#` for a comment (tried with builds of 2019 and 2025); its console knows ASCII.
fn harmless(text: &str) -> String {
    let mut safe = String::new();
    for character in text.chars() {
        match character {
            '…' => safe.push_str("..."),
            '—' | '–' => safe.push('-'),
            '’' | '‘' => safe.push('\''),
            '“' | '”' => safe.push('"'),
            _ if !(character == ' ' || character.is_ascii_graphic()) => safe.push('?'),
            '{' if safe.ends_with('$') => safe.push_str(" {"),
            ';' | '#' if safe.is_empty() || safe.ends_with(' ') => safe.extend(['\'', character, '\'']),
            '|' | '&' if safe.ends_with(character) => safe.extend([' ', character]),
            _ => safe.push(character),
        }
        if safe.len() > LINE_MAX {
            safe.truncate(LINE_MAX);
            return safe + "...";
        }
    }
    safe
}
