//! Where the instructions of a Dockerfile stand, for errors that name a line.

/// The instructions of a Dockerfile, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Instructions(Vec<Instruction>);

/// One instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Instruction {
    /// On one line, with single spaces.
    pub(crate) text: String,
    /// Counted from 1.
    pub(crate) first_line: u32,
    pub(crate) last_line: u32,
}

impl Instructions {
    pub(crate) fn read(text: &str) -> Self {
        let mut found: Vec<Instruction> = Vec::new();
        let mut open: Option<Instruction> = None;
        for (line, number) in text.lines().zip(1_u32..) {
            let trimmed = line.trim();
            // Comments and empty lines do not end an instruction that goes on.
            if trimmed.is_empty() || trimmed.starts_with('#') {
                continue;
            }
            let (part, goes_on) = match trimmed.strip_suffix('\\') {
                Some(part) => (part.trim_end(), true),
                None => (trimmed, false),
            };
            let instruction = open.get_or_insert_with(|| Instruction {
                text: String::new(),
                first_line: number,
                last_line: number,
            });
            instruction.last_line = number;
            instruction.text = normal(&format!("{} {part}", instruction.text));
            if !goes_on {
                found.extend(open.take());
            }
        }
        found.extend(open);
        Self(found)
    }

    /// The stages, in order, with the names of those that have one.
    pub(crate) fn stages(&self) -> Vec<Option<String>> {
        let froms = self
            .0
            .iter()
            .filter(|instruction| instruction.keyword() == "FROM");
        froms.map(|from| stage_name(&from.text)).collect()
    }

    /// The first instruction of this text from a place on, and its place.
    pub(crate) fn find(&self, text: &str, from: usize) -> Option<(usize, &Instruction)> {
        let wanted = comparable(text);
        let mut rest = self.0.iter().enumerate().skip(from);
        rest.find(|(_, instruction)| comparable(&instruction.text) == wanted)
    }
}

impl Instruction {
    fn keyword(&self) -> String {
        self.text
            .split(' ')
            .next()
            .unwrap_or_default()
            .to_ascii_uppercase()
    }
}

fn stage_name(from: &str) -> Option<String> {
    let mut words = from
        .split(' ')
        .skip_while(|word| !word.eq_ignore_ascii_case("as"));
    words.next()?;
    words.next().map(str::to_owned)
}

fn normal(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Kaniko writes keywords in capitals.
fn comparable(text: &str) -> String {
    let text = normal(text);
    match text.split_once(' ') {
        Some((keyword, rest)) => format!("{} {rest}", keyword.to_ascii_uppercase()),
        None => text.to_ascii_uppercase(),
    }
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
