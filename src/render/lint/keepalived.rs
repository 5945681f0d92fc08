//! keepalived.conf(5): what `keepalived -t` accepts, or forgives, and what then never fails over.

use crate::report::Severity;

use super::Lint;

/// RFC 2338's field for the password has 8 bytes; keepalived cuts off the rest.
const PASSWORD_MAX: usize = 8;

/// A line of words, or the head of a block.
struct Statement<'t> {
    line: usize,
    words: Vec<&'t str>,
    /// The heads of the blocks it stands in, outermost first, as indices.
    inside: Vec<usize>,
}

/// Finds nothing in a text that has no `vrrp_instance`.
pub fn check(lint: &mut Lint<'_>) {
    // Every text of a site passes here, and most have none.
    if !lint.text.contains("vrrp_instance") {
        return;
    }
    let config = Config { statements: statements(lint.text) };
    let instances: Vec<usize> = config.heads("vrrp_instance").collect();
    if instances.is_empty() {
        return;
    }
    check_passwords(lint, &config);
    for instance in instances {
        check_instance(lint, &config, instance);
    }
    let find = |word: &str| config.statements.iter().find(|statement| statement.words[0] == word);
    if let Some(strict) = find("vrrp_strict")
        && (find("unicast_peer").is_some() || find("authentication").is_some())
    {
        let message = "vrrp_strict forbids unicast and authentication";
        lint.push(Severity::Error, strict.line, message, "leave vrrp_strict out");
    }
    if let Some(script) = find("vrrp_script").filter(|_| find("enable_script_security").is_none()) {
        let help = "add `enable_script_security` and `script_user root` to global_defs";
        lint.push(Severity::Warning, script.line, "the script runs as root without script security", help);
    }
}

fn check_passwords(lint: &mut Lint<'_>, config: &Config<'_>) {
    let passwords = config.statements.iter().filter(|statement| statement.words[0] == "auth_pass");
    for statement in passwords {
        let written = lint.text.lines().nth(statement.line - 1).unwrap_or_default();
        let password =
            written.split_whitespace().skip_while(|word| *word != "auth_pass").nth(1).unwrap_or_default();
        if statement.words.get(1).is_some_and(|read| *read != password) || statement.words.len() == 1 {
            let help = "use letters and digits only: keepalived takes what follows a # or ! for a comment";
            lint.push(Severity::Error, statement.line, "the password is cut off at a # or !", help);
        } else if password.len() > PASSWORD_MAX {
            let help = "keepalived uses the first 8 characters, and `keepalived -t` exits 5";
            lint.push(Severity::Error, statement.line, "the password has more than 8 characters", help);
        }
    }
}

fn check_instance(lint: &mut Lint<'_>, config: &Config<'_>, instance: usize) {
    let within = |word: &str| config.within(instance).find(|statement| statement.words[0] == word);
    if within("nopreempt").is_none() {
        return;
    }
    if let Some(state) = within("state").filter(|state| state.words.get(1) == Some(&"MASTER")) {
        let help = "write state BACKUP on every node";
        lint.push(Severity::Warning, state.line, "keepalived ignores nopreempt with state MASTER", help);
    }
    // `chk_k3s weight 5` in track_script, or `weight 5` in the script that it names.
    let tracks = config.within(instance).filter(|statement| config.head_of(statement).starts_with("track_"));
    for track in tracks {
        let weighted = match weight(&track.words) {
            Some(weight) => (weight != 0).then_some(track),
            None => config.weight_of(track.words[0]),
        };
        if let Some(statement) = weighted {
            let help = "leave the weight out: a failed check then means FAULT, and the address moves";
            let message = "a weight together with nopreempt never fails over";
            lint.push(Severity::Error, statement.line, message, help);
        }
    }
}

fn weight(words: &[&str]) -> Option<i32> {
    let at = words.iter().position(|word| *word == "weight")?;
    words.get(at + 1)?.parse().ok()
}

struct Config<'t> {
    statements: Vec<Statement<'t>>,
}

impl<'t> Config<'t> {
    fn heads(&self, word: &'static str) -> impl Iterator<Item = usize> {
        (0..self.statements.len()).filter(move |index| self.statements[*index].words[0] == word)
    }

    fn within(&self, head: usize) -> impl Iterator<Item = &Statement<'t>> {
        self.statements.iter().filter(move |statement| statement.inside.contains(&head))
    }

    /// The first word of the block that the statement stands in.
    fn head_of(&self, statement: &Statement<'t>) -> &'t str {
        statement.inside.last().map_or("", |head| self.statements[*head].words[0])
    }

    /// The statement that gives the tracked script, file or process of this name a weight other than 0.
    fn weight_of(&self, name: &str) -> Option<&Statement<'t>> {
        const TRACKED: [&str; 4] = ["vrrp_script", "vrrp_track_file", "track_file", "vrrp_track_process"];
        let is_it = |head: &usize| {
            let words = &self.statements[*head].words;
            TRACKED.contains(&words[0]) && words.get(1) == Some(&name)
        };
        let tracked = (0..self.statements.len()).find(is_it)?;
        self.within(tracked)
            .find(|statement| statement.words[0] == "weight" && weight(&statement.words) != Some(0))
    }
}

/// Comments begin with `#` or `!`; braces open and close blocks, also within a line.
fn statements(text: &str) -> Vec<Statement<'_>> {
    let mut statements = Vec::new();
    let mut inside = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let code = line.split(['#', '!']).next().unwrap_or_default();
        for (part, end) in parts(code) {
            let words: Vec<&str> = part.split_whitespace().collect();
            let has_words = !words.is_empty();
            if has_words {
                statements.push(Statement { line: index + 1, words, inside: inside.clone() });
            }
            match end {
                Some('{') if has_words => inside.push(statements.len() - 1),
                Some('}') => drop(inside.pop()),
                _ => {}
            }
        }
    }
    statements
}

/// Cut at braces, each part with the brace that ends it.
fn parts(code: &str) -> Vec<(&str, Option<char>)> {
    let pieces = code.split_inclusive(['{', '}']);
    pieces
        .map(|piece| match piece.char_indices().next_back() {
            Some((at, brace @ ('{' | '}'))) => (&piece[..at], Some(brace)),
            _ => (piece, None),
        })
        .collect()
}
