//! The user's and our templates, compiled strictly, and the one way to run one.
//!
//! Undefined is an error, the final newline stays, and whether a template read a secret is noticed, not declared:
//! what was made with one is secret.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Object, ValueKind};
use minijinja::{Environment, Expression, UndefinedBehavior, Value, context};

use crate::catalogue::Sensitivity;
use crate::inventory::Secrets;
use crate::report::{Finding, Place, Report};

/// A template and the file it came from, as findings name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateSource {
    pub file: String,
    pub text: String,
    /// Ours, from the binary; else the user's.
    pub built_in: bool,
}

/// Template name (`configs/keepalived.conf.j2`) → source, the user's over ours.
#[derive(Debug, Clone, Default)]
pub struct Templates {
    pub sources: BTreeMap<String, TemplateSource>,
    /// The lists of artifacts: ours, then the user's.
    pub artifact_lists: Vec<TemplateSource>,
}

/// The environment with every template in it.
pub struct Compiled<'t> {
    environment: Environment<'t>,
    /// For conditions, in which a host may lack a label.
    conditions: Environment<'t>,
    templates: &'t Templates,
}

/// What a template made, and whether a secret went into it.
pub struct Output {
    pub text: String,
    pub sensitivity: Sensitivity,
}

impl<'t> Compiled<'t> {
    /// Compiles all templates; every one with a syntax error is reported.
    pub fn new(templates: &'t Templates, report: &mut Report) -> Option<Self> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        let syntax =
            SyntaxConfig::builder().keep_trailing_newline(true).trim_blocks(true).lstrip_blocks(true).build();
        match syntax {
            Ok(syntax) => environment.set_syntax(syntax),
            Err(error) => {
                report.push(Finding::error("", error.to_string()));
                return None;
            }
        }
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        // For the range of an error. The variables that it records as well are never printed.
        environment.set_debug(true);
        environment.add_filter("yaml", to_yaml);
        environment.set_formatter(write_value);
        let mut compiled = Compiled { environment, conditions: Environment::new(), templates };
        let mut whole = true;
        for (name, source) in &templates.sources {
            if let Err(error) = compiled.environment.add_template(name, &source.text) {
                let file = report_source(report, source);
                report.push(compiled.finding(name, &error, file));
                whole = false;
            }
        }
        whole.then_some(compiled)
    }

    pub fn has(&self, name: &str) -> bool {
        self.templates.sources.contains_key(name)
    }

    /// Renders `name`; `of` says for what, in findings.
    pub fn render(
        &self,
        name: &str,
        of: &str,
        context: &Value,
        secrets: &Secrets,
        report: &mut Report,
    ) -> Option<Output> {
        let secrets = Arc::new(SecretValues::new(secrets, context));
        let values = context! { secrets => Value::from_dyn_object(secrets.clone()), ..context.clone() };
        let result = self.environment.get_template(name).and_then(|template| template.render(values));
        let sensitivity = secrets.sensitivity();
        match result {
            Ok(text) => Some(Output { text, sensitivity }),
            Err(error) => {
                let failed = error.name().unwrap_or(name).to_owned();
                let source = self.templates.sources.get(&failed).map(|source| report_source(report, source));
                let finding = match source {
                    Some(source) => self.finding(&failed, &error, source),
                    None => Finding::error(name, "there is no such template")
                        .help("add the file to the templates folder"),
                };
                report.push_once(Finding { path: of.to_owned(), ..finding });
                None
            }
        }
    }

    /// Compiles a condition of artifacts.yaml, to be asked in each of these contexts.
    ///
    /// A label or a variable that a host does not have is undefined, and equal to nothing; any other name that none of
    /// the contexts has is misspelt.
    pub fn condition<'e>(
        &'e self,
        expression: &'e str,
        contexts: &[&Value],
    ) -> Result<Condition<'e>, String> {
        let expression = self.conditions.compile_expression(expression).map_err(say)?;
        // A set of strings in no order: the first in the alphabet is reported.
        let names: BTreeSet<String> = expression.undeclared_variables(true).into_iter().collect();
        match names.iter().find(|name| !contexts.iter().any(|context| knows(context, name))) {
            Some(name) => Err(format!("`{name}` is not defined")),
            None => Ok(Condition { expression }),
        }
    }

    fn finding(&self, name: &str, error: &minijinja::Error, source: Arc<str>) -> Finding {
        let text = &self.templates.sources[name].text;
        let line = error.line().unwrap_or(1);
        let line_start = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum::<usize>();
        let line_length = text[line_start..].lines().next().map_or(0, str::len);
        let bytes = error.range().unwrap_or(line_start..line_start + line_length);
        let column = text.get(line_start..bytes.start).map_or(1, |before| before.chars().count() + 1);
        let token = text.get(bytes.clone()).unwrap_or_default();
        let (message, help) = match error.kind() {
            minijinja::ErrorKind::UndefinedError => (
                format!("`{token}` is not defined"),
                "see docs/templates.md for what templates know; a variable that may be missing is asked for with `is defined`",
            ),
            _ => (
                error.detail().map_or_else(|| error.kind().to_string(), str::to_owned),
                "templates are Jinja as minijinja reads it; see docs/templates.md",
            ),
        };
        Finding::error(name, message).help(help).at(Some(Place { file: source, line, column, bytes }))
    }
}

fn say(error: minijinja::Error) -> String {
    error.detail().map_or_else(|| error.kind().to_string(), str::to_owned)
}

/// Whether the dotted name means something; what is below labels and vars differs from host to host.
fn knows(context: &Value, name: &str) -> bool {
    let mut value = context.clone();
    let mut path = String::new();
    for word in name.split('.') {
        if ["host.labels", "host.vars"].contains(&path.as_str()) {
            return true;
        }
        value = value.get_attr(word).unwrap_or_default();
        if value.is_undefined() {
            return false;
        }
        path = if path.is_empty() { word.to_owned() } else { format!("{path}.{word}") };
    }
    true
}

/// Whether an entry of artifacts.yaml is for a host.
pub struct Condition<'e> {
    expression: Expression<'e, 'e>,
}

impl Condition<'_> {
    pub fn holds(&self, context: &Value) -> Result<bool, String> {
        let value = self.expression.eval(context.clone()).map_err(say)?;
        match value.kind() {
            // "no" and "false" would count as true.
            ValueKind::String => Err("it is a text, not true or false".to_owned()),
            _ => Ok(value.is_true()),
        }
    }
}

fn report_source(report: &mut Report, source: &TemplateSource) -> Arc<str> {
    let file: Arc<str> = source.file.as_str().into();
    report.add_source(file.clone(), source.text.as_str());
    file
}

/// Structured formats are serialised, not pasted together: `{{ k3s_config | yaml }}`.
fn to_yaml(value: Value) -> Result<String, minijinja::Error> {
    let text = serde_yaml::to_string(&value)
        .map_err(|error| minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, error.to_string()))?;
    // The line of the template ends with a newline of its own. Only the one: the last value may be a text that ends in some.
    Ok(text.strip_suffix('\n').unwrap_or(&text).to_owned())
}

/// As YAML writes them: a truth value in lower case, and no "None" where a host has no such value.
fn write_value(
    out: &mut minijinja::Output<'_>,
    state: &mut minijinja::State<'_, '_>,
    value: &Value,
) -> Result<(), minijinja::Error> {
    match value.kind() {
        ValueKind::Bool => out.write_str(if value.is_true() { "true" } else { "false" }).map_err(Into::into),
        ValueKind::None => {
            let detail = "there is no value to write here; ask with `if` whether there is one";
            Err(minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, detail))
        }
        _ => minijinja::escape_formatter(out, state, value),
    }
}

/// The secrets as templates see them; remembers whether any was read.
struct SecretValues {
    values: BTreeMap<&'static str, Value>,
    was_read: AtomicBool,
}

impl SecretValues {
    /// Where a host is known, with what is that host's alone.
    fn new(secrets: &Secrets, context: &Value) -> Self {
        let mut values: BTreeMap<_, _> =
            secrets.named().map(|(name, value)| (name, Value::from(value))).collect();
        let host = context.get_attr("host").and_then(|host| host.get_attr("name")).unwrap_or_default();
        if let Some(host) = host.as_str() {
            values.insert("node_password", Value::from(secrets.node_password(host)));
        }
        SecretValues { values, was_read: AtomicBool::new(false) }
    }

    fn sensitivity(&self) -> Sensitivity {
        if self.was_read.load(Ordering::Relaxed) { Sensitivity::Secret } else { Sensitivity::Public }
    }
}

impl std::fmt::Debug for SecretValues {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(secrets)")
    }
}

impl Object for SecretValues {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let value = self.values.get(key.as_str()?)?;
        self.was_read.store(true, Ordering::Relaxed);
        Some(value.clone())
    }

    /// Not enumerable, and no text of its own: a secret is read by name or not at all.
    fn render(self: &Arc<Self>, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(secrets)")
    }
}
