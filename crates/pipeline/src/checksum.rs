//! A checksum whose parts cannot run together.

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use wharf_core::Digest;

/// Feeds named parts into a checksum. Every part goes in with its length, every list with its number of items,
/// so that no two different inputs are the same bytes.
pub(crate) struct Checksum(Sha256);

impl Checksum {
    pub(crate) fn new(purpose: &str) -> Self {
        let mut checksum = Self(Sha256::new());
        checksum.bytes(purpose.as_bytes());
        checksum
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.0.update(bytes);
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    pub(crate) fn count(&mut self, number: usize) {
        self.0.update((number as u64).to_be_bytes());
    }

    pub(crate) fn optional(&mut self, text: Option<&str>) {
        self.count(usize::from(text.is_some()));
        self.text(text.unwrap_or_default());
    }

    pub(crate) fn texts<S: AsRef<str>>(&mut self, texts: &[S]) {
        self.count(texts.len());
        texts.iter().for_each(|text| self.text(text.as_ref()));
    }

    pub(crate) fn pairs<'a>(&mut self, pairs: impl ExactSizeIterator<Item = (&'a str, &'a [u8])>) {
        self.count(pairs.len());
        for (name, value) in pairs {
            self.text(name);
            self.bytes(value);
        }
    }

    /// JSON; the order of keys does not matter.
    pub(crate) fn json(&mut self, value: &Value) {
        match value {
            Value::Object(map) => {
                self.text("mapping");
                self.count(map.len());
                let mut keys: Vec<&String> = map.keys().collect();
                keys.sort();
                for key in keys {
                    self.text(key);
                    self.json(&map[key]);
                }
            }
            Value::Array(items) => {
                self.text("list");
                self.count(items.len());
                items.iter().for_each(|item| self.json(item));
            }
            scalar => {
                self.text("scalar");
                self.text(&scalar.to_string());
            }
        }
    }

    /// The checksum in hexadecimal digits.
    pub(crate) fn finish(self) -> String {
        Digest::from_sha256(self.0.finalize().into()).hex().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(parts: &[&[&str]]) -> String {
        let mut checksum = Checksum::new("test");
        parts.iter().for_each(|part| checksum.texts(part));
        checksum.finish()
    }

    #[test]
    fn parts_do_not_run_together() {
        let all = [
            of(&[&["ab"]]),
            of(&[&["a", "b"]]),
            of(&[&["a"], &["b"]]),
            of(&[&["a", ""], &["b"]]),
        ];
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }

    #[test]
    fn the_order_of_keys_does_not_matter() {
        let of = |value| {
            let mut checksum = Checksum::new("test");
            checksum.json(&value);
            checksum.finish()
        };
        assert_eq!(of(json!({"a": [1], "b": {}})), of(json!({"b": {}, "a": [1]})));
        assert_ne!(of(json!({"a": "1"})), of(json!({"a": 1})));
    }
}
