//! Reads values of one attribute; what is wrong goes to the findings, and the value is then absent.

use super::node::{Key, Node, Value};
use super::problem::Findings;

/// A place in a file, and where problems go.
pub(super) struct Reader<'a> {
    pub(super) attribute: String,
    pub(super) node: &'a Node,
    pub(super) findings: &'a mut Findings,
}

impl Reader<'_> {
    /// Says that something else was expected.
    pub(super) fn expected<T>(&mut self, what: &str) -> Option<T> {
        let message = format!("expected {what}, found {}", self.node.found());
        self.problem(message)
    }

    /// Says what is wrong.
    pub(super) fn problem<T>(&mut self, message: impl Into<String>) -> Option<T> {
        self.findings.problem(self.node.line, &self.attribute, message);
        None
    }

    /// A text that is not empty; an empty one and null say nothing.
    pub(super) fn text(mut self) -> Option<String> {
        match &self.node.value {
            Value::Text(text) => Some(text.clone()).filter(|text| !text.is_empty()),
            Value::Null => None,
            Value::Number(_) | Value::Bool(_) => self.expected("a text (put it in quotes)"),
            _ => self.expected("a text"),
        }
    }

    /// A text that passes a check, which otherwise says what is wrong.
    pub(super) fn checked_text(mut self, check: impl Fn(&str) -> Result<(), String>) -> Option<String> {
        let text = self.again().text()?;
        match check(&text) {
            Ok(()) => Some(text),
            Err(message) => self.problem(message),
        }
    }

    /// A boolean, or a word for one.
    pub(super) fn boolean(mut self) -> Option<bool> {
        let parsed = match &self.node.value {
            Value::Bool(value) => Some(*value),
            Value::Number(number) if number == "1" => Some(true),
            Value::Number(number) if number == "0" => Some(false),
            Value::Text(word) => boolean_word(word),
            _ => None,
        };
        match parsed {
            Some(value) => Some(value),
            None => self.expected("true or false"),
        }
    }

    /// A list of texts.
    pub(super) fn texts(mut self) -> Option<Vec<String>> {
        let Value::List(items) = &self.node.value else {
            return self.expected("a list of texts");
        };
        let before = self.findings.count();
        let texts: Vec<String> = items
            .iter()
            .enumerate()
            .filter_map(|(index, item)| self.item(index, item).any_text())
            .collect();
        (self.findings.count() == before).then_some(texts)
    }

    /// A text, which may be empty but not null.
    fn any_text(mut self) -> Option<String> {
        match &self.node.value {
            Value::Text(text) => Some(text.clone()),
            Value::Number(_) | Value::Bool(_) => self.expected("a text (put it in quotes)"),
            _ => self.expected("a text"),
        }
    }

    /// A mapping's entries; null is an error.
    pub(super) fn entries(&mut self) -> Option<&[(Key, Node)]> {
        match &self.node.value {
            Value::Map(entries) => Some(entries),
            _ => self.expected("a mapping"),
        }
    }

    /// A text, a number as it was written, a boolean and null in ZenML's spelling.
    pub(super) fn scalar(mut self) -> Option<String> {
        match &self.node.value {
            Value::Text(text) => Some(text.clone()),
            Value::Number(number) => Some(number.clone()),
            Value::Bool(true) => Some("True".into()),
            Value::Bool(false) => Some("False".into()),
            Value::Null => Some("None".into()),
            Value::List(_) | Value::Map(_) => self.expected(
                "a text, a number or a boolean (write other things as a text, for example in JSON)",
            ),
        }
    }

    /// The reader of an item of a list.
    pub(super) fn item<'b>(&'b mut self, index: usize, node: &'b Node) -> Reader<'b> {
        Reader {
            attribute: format!("{}[{index}]", self.attribute),
            node,
            findings: self.findings,
        }
    }

    /// The reader of a key's value.
    pub(super) fn value<'b>(&'b mut self, key: &str, node: &'b Node) -> Reader<'b> {
        Reader {
            attribute: format!("{}.{key}", self.attribute),
            node,
            findings: self.findings,
        }
    }

    /// The same reader, for a second look.
    pub(super) fn again(&mut self) -> Reader<'_> {
        Reader {
            attribute: self.attribute.clone(),
            node: self.node,
            findings: self.findings,
        }
    }
}

/// The words that pydantic takes for booleans, as ZenML's settings do.
fn boolean_word(word: &str) -> Option<bool> {
    match word.to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "on" | "1" => Some(true),
        "false" | "f" | "no" | "n" | "off" | "0" => Some(false),
        _ => None,
    }
}
