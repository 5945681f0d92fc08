//! YAML as positioned nodes: what was written, and where.
//!
//! Owns the arena of nodes made from the parser's events, aliases left unexpanded, scalars left as text with
//! their style and tag: what a scalar *means* depends on the field it is read into (see [`super::scalar`]).
//! Refuses what go-yaml refuses before decoding: invalid UTF-8, control characters, syntax errors, unknown
//! anchors, nesting deeper than [`MAX_DEPTH`]. A second document of a stream is never looked at.

use std::borrow::Cow;
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput, Tag};

/// go-yaml's own limit ("exceeded max depth of 10000").
const MAX_DEPTH: usize = 10_000;

/// A node of a [`Documents`]; also the origin of every value that is made from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NodeId(u32);

/// Where a node starts: line and column from 1, column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    pub line: u32,
    pub column: u32,
    /// Characters the token covers on its first line, at least 1.
    pub width: u32,
}

#[derive(Debug)]
pub enum Content<'a> {
    Scalar { text: Cow<'a, str>, quoted: bool, tag: Option<Cow<'a, str>> },
    Sequence(Vec<NodeId>),
    Mapping(Vec<(NodeId, NodeId)>),
    Alias(NodeId),
}

/// The step from a parent to a node.
#[derive(Debug, Clone, Copy)]
enum Step {
    Root,
    Key(NodeId),
    Index(u32),
}

#[derive(Debug)]
struct Node<'a> {
    content: Content<'a>,
    mark: Mark,
    parent: NodeId,
    step: Step,
    file: u32,
}

/// The first documents of the YAML streams of one compile, in one arena: a node is known by its id alone.
#[derive(Debug, Default)]
pub struct Documents<'a> {
    files: Vec<File<'a>>,
    nodes: Vec<Node<'a>>,
}

/// A source text and what it is called.
#[derive(Debug)]
pub struct File<'a> {
    pub name: Arc<str>,
    pub text: &'a [u8],
}

/// Why a text is not YAML, in go-yaml's manner.
#[derive(Debug)]
pub struct Malformed {
    pub message: String,
    pub mark: Option<Mark>,
}

impl Malformed {
    fn new(message: impl Into<String>) -> Self {
        Malformed { message: message.into(), mark: None }
    }
}

impl NodeId {
    /// For values that were written nowhere.
    pub const NOWHERE: NodeId = NodeId(0);
}

impl<'a> Documents<'a> {
    /// Reads the first document of `file`: its root, `None` if it is empty.
    pub fn read(&mut self, file: File<'a>) -> Result<Option<NodeId>, Malformed> {
        let source = file.text;
        self.files.push(file);
        let text = std::str::from_utf8(source)
            .map_err(|bad| Malformed::new(format!("offset {}: invalid UTF-8", bad.valid_up_to())))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if let Some(at) = text.find(is_forbidden) {
            let line = text[..at].matches('\n').count() as u32 + 1;
            let mark = Some(Mark { line, column: 1, width: 1 });
            return Err(Malformed { message: "control characters are not allowed".into(), mark });
        }
        let cursor = Cursor { text, chars: 0, bytes: 0, line: 1, column: 1 };
        let root = NodeId(self.nodes.len() as u32);
        let file = self.files.len() as u32 - 1;
        let nodes = &mut self.nodes;
        Builder { cursor, file, nodes, open: Vec::new(), anchors: Vec::new() }.read(text)?;
        Ok((self.nodes.len() > root.0 as usize).then_some(root))
    }

    /// The file a node is in, by its number.
    pub fn file_of(&self, id: NodeId) -> usize {
        self.nodes.get(id.0 as usize).map_or(0, |node| node.file as usize)
    }

    pub fn file(&self, number: usize) -> &File<'a> {
        &self.files[number]
    }

    pub fn content(&self, id: NodeId) -> &Content<'a> {
        &self.nodes[id.0 as usize].content
    }

    pub fn mark(&self, id: NodeId) -> Mark {
        self.nodes.get(id.0 as usize).map_or(Mark { line: 1, column: 1, width: 1 }, |node| node.mark)
    }

    /// The text of a scalar, `None` for anything else.
    pub fn scalar(&self, id: NodeId) -> Option<&str> {
        match self.content(id) {
            Content::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// The text of a scalar or of an alias for one.
    pub fn resolved(&self, id: NodeId) -> Option<&str> {
        match self.content(id) {
            Content::Alias(target) => self.scalar(*target),
            _ => self.scalar(id),
        }
    }

    /// `storage.files.0.path`; empty for the root.
    pub fn path(&self, id: NodeId) -> String {
        let mut steps = Vec::new();
        let mut at = id;
        while let Some(node) = self.nodes.get(at.0 as usize) {
            match node.step {
                Step::Root => break,
                Step::Index(index) => steps.push(Cow::Owned(index.to_string())),
                Step::Key(key) => steps.push(Cow::Borrowed(self.scalar(key).unwrap_or("?"))),
            }
            at = node.parent;
        }
        steps.reverse();
        steps.join(".")
    }
}

/// Characters go-yaml's reader rejects (YAML 1.2 c-printable, which lets TAB, LF, CR, NEL through).
fn is_forbidden(c: char) -> bool {
    !matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{fffd}' | '\u{10000}'..)
}

/// A collection that has been opened and not yet closed.
struct Open {
    id: NodeId,
    /// The key waiting for its value, in a mapping.
    key: Option<NodeId>,
}

struct Builder<'n, 'a> {
    cursor: Cursor<'a>,
    file: u32,
    nodes: &'n mut Vec<Node<'a>>,
    open: Vec<Open>,
    /// Anchor number of the parser → node.
    anchors: Vec<Option<NodeId>>,
}

impl<'a> Builder<'_, 'a> {
    fn read(mut self, text: &'a str) -> Result<(), Malformed> {
        let mut parser: Parser<'a, StrInput<'a>> = Parser::new_from_str(text);
        while let Some(event) = parser.next_event() {
            let (event, span) = event.map_err(|bad| {
                let marker = bad.marker();
                let mark = Mark { line: marker.line() as u32, column: marker.col() as u32 + 1, width: 1 };
                Malformed { message: format!("line {}: {}", mark.line, bad.info()), mark: Some(mark) }
            })?;
            match event {
                Event::DocumentEnd => break,
                Event::Scalar(text, style, anchor, tag) => {
                    let is_block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                    let is_left_out = text.is_empty() && style == ScalarStyle::Plain;
                    let left_out =
                        if is_left_out { self.cursor.after_indicator(span.start.index()) } else { None };
                    let has_prefix = is_block || anchor > 0 || tag.is_some();
                    let mark = left_out.unwrap_or_else(|| self.mark(span, has_prefix));
                    let quoted = style != ScalarStyle::Plain;
                    self.add(Content::Scalar { text, quoted, tag: short_tag(tag) }, mark, anchor)?;
                }
                Event::SequenceStart(anchor, tag) => {
                    let mark = self.mark(span, anchor > 0 || tag.is_some());
                    let id = self.add(Content::Sequence(Vec::new()), mark, anchor)?;
                    self.open.push(Open { id, key: None });
                }
                Event::MappingStart(anchor, tag) => {
                    let mark = self.mark(span, anchor > 0 || tag.is_some());
                    let id = self.add(Content::Mapping(Vec::new()), mark, anchor)?;
                    self.open.push(Open { id, key: None });
                }
                Event::SequenceEnd | Event::MappingEnd => {
                    self.open.pop();
                }
                Event::Alias(anchor) => {
                    let target = self.anchors.get(anchor).copied().flatten();
                    let target = target.ok_or_else(|| Malformed::new("unknown anchor referenced"))?;
                    self.add(Content::Alias(target), mark_of(span), 0)?;
                }
                Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::Nothing => {}
            }
            self.cursor.advance_to(span.end.index());
        }
        Ok(())
    }

    /// Where a node starts. For the parser that is its content; what stands before it, an anchor, a tag or the `|` of a
    /// block, is looked for behind the event before.
    fn mark(&self, span: Span, has_prefix: bool) -> Mark {
        if has_prefix {
            self.cursor.find_prefix(span.start.index()).unwrap_or(mark_of(span))
        } else {
            mark_of(span)
        }
    }

    fn add(&mut self, content: Content<'a>, mark: Mark, anchor: usize) -> Result<NodeId, Malformed> {
        let id = NodeId(self.nodes.len() as u32);
        if self.open.len() >= MAX_DEPTH {
            return Err(Malformed {
                message: format!("exceeded max depth of {MAX_DEPTH}"),
                mark: Some(mark),
            });
        }
        let (parent, step) = self.attach(id);
        self.nodes.push(Node { content, mark, parent, step, file: self.file });
        if anchor > 0 {
            if self.anchors.len() <= anchor {
                self.anchors.resize(anchor + 1, None);
            }
            self.anchors[anchor] = Some(id);
        }
        Ok(id)
    }

    /// Hangs the node `id`, about to be made, under the innermost open collection.
    fn attach(&mut self, id: NodeId) -> (NodeId, Step) {
        let Some(open) = self.open.last_mut() else { return (id, Step::Root) };
        let parent = open.id;
        match &mut self.nodes[parent.0 as usize].content {
            Content::Sequence(items) => {
                items.push(id);
                (parent, Step::Index(items.len() as u32 - 1))
            }
            Content::Mapping(entries) => match open.key.take() {
                None => {
                    open.key = Some(id);
                    (parent, Step::Key(id))
                }
                Some(key) => {
                    entries.push((key, id));
                    (parent, Step::Key(key))
                }
            },
            Content::Scalar { .. } | Content::Alias(_) => (parent, Step::Root),
        }
    }
}

/// A position in the text that moves forward with the events; the parser counts characters only.
struct Cursor<'a> {
    text: &'a str,
    chars: usize,
    bytes: usize,
    line: u32,
    column: u32,
}

impl Cursor<'_> {
    fn step(&mut self, c: char) {
        self.chars += 1;
        self.bytes += c.len_utf8();
        (self.line, self.column) = if c == '\n' { (self.line + 1, 1) } else { (self.line, self.column + 1) };
    }

    fn advance_to(&mut self, chars: usize) {
        for c in self.text[self.bytes..].chars().take(chars.saturating_sub(self.chars)) {
            self.step(c);
        }
    }

    /// Where a node that was left out would be: behind the `:` or `-` it belongs to, where the parser points at that.
    fn after_indicator(&self, at: usize) -> Option<Mark> {
        let mut ahead = Cursor { text: self.text, ..*self };
        ahead.advance_to(at);
        let is_indicator = self.text[ahead.bytes..].starts_with([':', '-', '?']);
        is_indicator.then_some(Mark { line: ahead.line, column: ahead.column + 1, width: 1 })
    }

    /// The first anchor, tag or block indicator before the character `end`, comments aside.
    fn find_prefix(&self, end: usize) -> Option<Mark> {
        let mut ahead = Cursor { text: self.text, ..*self };
        let mut in_comment = false;
        for c in self.text[self.bytes..].chars().take(end.saturating_sub(self.chars)) {
            match c {
                '\n' => in_comment = false,
                '#' => in_comment = true,
                '&' | '!' | '|' | '>' if !in_comment => {
                    return Some(Mark { line: ahead.line, column: ahead.column, width: 1 });
                }
                _ => {}
            }
            ahead.step(c);
        }
        None
    }
}

fn mark_of(span: Span) -> Mark {
    let (start, end) = (span.start, span.end);
    let width = if start.line() == end.line() { end.col().saturating_sub(start.col()) } else { 1 };
    Mark { line: start.line() as u32, column: start.col() as u32 + 1, width: width.max(1) as u32 }
}

/// `!!int` for the core schema, the tag as written otherwise; `!` alone is no tag but makes a scalar text.
fn short_tag<'a>(tag: Option<Cow<'a, Tag>>) -> Option<Cow<'a, str>> {
    let tag = tag?;
    Some(match (tag.is_yaml_core_schema(), tag.suffix.as_str()) {
        (true, "str") => Cow::Borrowed("!!str"),
        (true, "int") => Cow::Borrowed("!!int"),
        (true, "bool") => Cow::Borrowed("!!bool"),
        (true, "float") => Cow::Borrowed("!!float"),
        (true, "null") => Cow::Borrowed("!!null"),
        (true, "binary") => Cow::Borrowed("!!binary"),
        (true, "merge") => Cow::Borrowed("!!merge"),
        (true, other) => Cow::Owned(format!("!!{other}")),
        (false, _) => Cow::Owned(tag.to_string()),
    })
}
