//! A YAML text as a tree that remembers its lines.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value as Json};
use serde_saphyr::Spanned;
use serde_saphyr::options::NonFiniteFloatPolicy;
use wharf_core::{Error, ErrorKind, Result};

/// A value and the line it stands on, counted from 1; 0: it stands nowhere.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) line: u64,
    pub(crate) value: Value,
}

/// A value. A number is the text that was written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key of a mapping and its line.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) line: u64,
}

impl Node {
    /// Reads a YAML text.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidConfiguration`] with file and line when it is no YAML, or a mapping has a key twice.
    pub(crate) fn parse(text: &str, file: &str) -> Result<Self> {
        let options = serde_saphyr::options! {
            with_snippet: false,
            non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        };
        let parsed: Spanned<Raw> =
            serde_saphyr::from_str_with_options(text, options).map_err(|error| broken(&error, file))?;
        Ok(Self::from_raw(parsed, text))
    }

    fn from_raw(raw: Spanned<Raw>, text: &str) -> Self {
        let line = raw.referenced.line();
        let written = || {
            let span = raw.defined.span();
            let start = usize::try_from(span.byte_offset()?).ok()?;
            let length = usize::try_from(span.byte_len()?).ok()?;
            text.get(start..start.checked_add(length)?)
                .map(|piece| piece.trim().to_owned())
                .filter(|piece| !piece.is_empty())
        };
        let value = match raw.value {
            Raw::Null => Value::Null,
            // YAML 1.1 calls these booleans; what reads them as such in practice is no one's favourite program.
            Raw::Bool(value) => match written() {
                Some(letter) if letter.len() == 1 => Value::Text(letter),
                _ => Value::Bool(value),
            },
            Raw::Number(shown) => Value::Number(written().unwrap_or(shown)),
            // A number that is too large for the reader, such as the beginning of a checksum: 12e456.
            Raw::Text(value) if value.ends_with(".inf") => match written() {
                Some(number) if number.ends_with(|c: char| c.is_ascii_digit()) => Value::Number(number),
                _ => Value::Text(value),
            },
            Raw::Text(value) => Value::Text(value),
            Raw::List(items) => {
                Value::List(items.into_iter().map(|item| Self::from_raw(item, text)).collect())
            }
            Raw::Map(entries) => Value::Map(
                entries
                    .into_iter()
                    .map(|(key, value)| {
                        let line = key.referenced.line();
                        let name = key.value;
                        (Key { name, line }, Self::from_raw(value, text))
                    })
                    .collect(),
            ),
        };
        Self { line, value }
    }

    /// What sort of value it is, for messages.
    pub(crate) fn found(&self) -> String {
        match &self.value {
            Value::Null => "null".into(),
            Value::Bool(value) => format!("the boolean {value}"),
            Value::Number(number) => format!("the number {number}"),
            Value::Text(text) if text.is_empty() => "an empty text".into(),
            Value::Text(text) => format!("the text `{text}`"),
            Value::List(_) => "a list".into(),
            Value::Map(_) => "a mapping".into(),
        }
    }

    /// The same as JSON, for what is kept without being looked into.
    pub(crate) fn to_json(&self) -> Json {
        match &self.value {
            Value::Null => Json::Null,
            Value::Bool(value) => Json::Bool(*value),
            Value::Number(number) => number_to_json(number),
            Value::Text(text) => Json::String(text.clone()),
            Value::List(items) => items.iter().map(Self::to_json).collect(),
            Value::Map(entries) => {
                let entries = entries
                    .iter()
                    .map(|(key, value)| (key.name.clone(), value.to_json()));
                Json::Object(entries.collect::<Map<_, _>>())
            }
        }
    }
}

/// A number that JSON can hold as it was written, else its text.
fn number_to_json(text: &str) -> Json {
    let number: Option<serde_json::Number> = serde_json::from_str(text).ok();
    match number {
        Some(number) if number.to_string() == text => Json::Number(number),
        _ => text
            .parse()
            .map_or_else(|_| Json::String(text.to_owned()), |number: i64| number.into()),
    }
}

fn broken(error: &serde_saphyr::Error, file: &str) -> Error {
    let place = match error.location() {
        Some(location) => format!("{file}:{}:{}", location.line(), location.column()),
        None => file.to_owned(),
    };
    let text = error.to_string();
    // What the reader's own options could do about it is nothing to its users, and the place stands before it.
    let reason = text.split(", set DuplicateKeyPolicy").next().unwrap_or(&text);
    let reason = reason.split(" at line ").next().unwrap_or(reason);
    Error::new(
        ErrorKind::InvalidConfiguration,
        format!("{place}: this is not YAML that can be read: {reason}"),
    )
}

/// What the deserializer tells, before numbers get back the text that was written.
enum Raw {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Number(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Number(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Number(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Raw, E> {
        Ok(Raw::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(text: &str) -> Vec<(Key, Node)> {
        match Node::parse(text, "x.yaml").unwrap().value {
            Value::Map(entries) => entries,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn numbers_keep_what_was_written_and_lines_are_known() {
        let text = "a: 1.50\n# x\nb: 1e+30\nc: [10000000000000000000000, -0.0]\nd: '1'\ne: 0x10\nf: 12e456\ng: '.inf'\nh: .inf\n";
        let entries = entries(text);
        let number = |text: &str| Value::Number(text.to_owned());
        assert_eq!(entries[0].1.value, number("1.50"));
        assert_eq!((entries[1].0.line, &entries[1].1.value), (3, &number("1e+30")));
        let Value::List(items) = &entries[2].1.value else {
            panic!("{entries:?}")
        };
        assert_eq!(items[0].value, number("10000000000000000000000"));
        assert_eq!((items[1].line, &items[1].value), (4, &number("-0.0")));
        assert_eq!(entries[3].1.value, Value::Text("1".into()));
        assert_eq!(entries[4].1.value, number("0x10"));
        assert_eq!(entries[5].1.value, number("12e456"));
        assert_eq!(entries[6].1.value, Value::Text(".inf".into()));
        assert_eq!(entries[7].1.value, Value::Text(".inf".into()));
    }

    #[test]
    fn words_that_yaml_1_1_reads_as_booleans_are_booleans_but_letters_are_not() {
        let values: Vec<Value> = entries("a: off\nb: yes\nc: y\nd: N\ne: ~\n")
            .into_iter()
            .map(|(_, node)| node.value)
            .collect();
        assert_eq!(values[0], Value::Bool(false));
        assert_eq!(values[1], Value::Bool(true));
        assert_eq!(values[2], Value::Text("y".into()));
        assert_eq!(values[3], Value::Text("N".into()));
        assert_eq!(values[4], Value::Null);
    }

    #[test]
    fn a_key_that_stands_twice_is_an_error_with_its_line() {
        let error = Node::parse("a: 1\na: 2\n", "p.yaml").unwrap_err();
        assert_eq!(
            error.message(),
            "p.yaml:2:1: this is not YAML that can be read: duplicate mapping key: a"
        );
        let error = Node::parse("a: [1\n", "p.yaml").unwrap_err();
        assert!(error.message().starts_with("p.yaml:"), "{}", error.message());
    }

    #[test]
    fn anchors_and_merge_keys_work() {
        let entries = entries("base: &b {x: 1.0, y: 2}\nuse:\n  <<: *b\n  y: 3\n");
        let json = entries[1].1.to_json();
        assert_eq!(json, serde_json::json!({"x": 1.0, "y": 3}));
    }
}
