//! Where the instructions of a Dockerfile stand, for errors that name a line.

use wharf_core::dockerfile::{Instruction, instructions};

/// The instructions of a Dockerfile, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Instructions(Vec<Instruction>);

impl Instructions {
    pub(crate) fn read(text: &str) -> Self {
        Self(instructions(text))
    }

    /// The stages, in order, with the names of those that have one.
    pub(crate) fn stages(&self) -> Vec<Option<String>> {
        let froms = self.0.iter().filter(|instruction| instruction.keyword == "FROM");
        froms.map(|from| from.stage_name().map(str::to_owned)).collect()
    }

    /// The first instruction of this text from a place on, and its place.
    pub(crate) fn find(&self, text: &str, from: usize) -> Option<(usize, &Instruction)> {
        let wanted = instructions(text).pop()?;
        let same = |found: &Instruction| {
            found.keyword == wanted.keyword && words(&found.arguments).eq(words(&wanted.arguments))
        };
        let mut rest = self.0.iter().enumerate().skip(from);
        rest.find(|(_, instruction)| same(instruction))
    }
}

/// Kaniko's log has single spaces where the file may have others.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_whitespace()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# syntax\nFROM a AS one\nrun  echo x \\\n  # why\n  && echo y\n\nFROM one\nRUN echo z\nFROM scratch as Two\n";

    #[test]
    fn an_instruction_is_found_with_its_lines() {
        let instructions = Instructions::read(TEXT);
        let (place, found) = instructions.find("RUN echo x   && echo y", 0).unwrap();
        assert_eq!((place, found.first_line, found.last_line), (1, 3, 5));
        assert!(instructions.find("RUN echo x && echo y", 2).is_none());
    }

    #[test]
    fn stages_are_told_by_name_where_they_have_one() {
        let stages = Instructions::read(TEXT).stages();
        assert_eq!(stages, [Some("one".to_owned()), None, Some("Two".to_owned())]);
    }
}
