//! The instructions of a Dockerfile and where they stand.

/// One instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    /// Its first word, in capitals.
    pub keyword: String,
    /// The rest, on one line.
    pub arguments: String,
    /// Where it begins, counted from 1.
    pub first_line: u32,
    /// Where it ends, its here-documents included.
    pub last_line: u32,
}

impl Instruction {
    /// The name that a `FROM` gives its stage; none for any other instruction.
    #[must_use]
    pub fn stage_name(&self) -> Option<&str> {
        let mut words = self.arguments.split_whitespace();
        words
            .find(|word| word.eq_ignore_ascii_case("as"))
            .filter(|_| self.keyword == "FROM")?;
        words.next()
    }
}

/// The instructions of a Dockerfile, in order. Comments, the escape directive, lines that go on, and here-documents are
/// read as BuildKit reads them; what is wrong with an instruction is not looked for.
#[must_use]
pub fn instructions(text: &str) -> Vec<Instruction> {
    let escape = if has_backtick_escape(text) { '`' } else { '\\' };
    let mut out = Vec::new();
    let mut lines = (1u32..).zip(text.lines());
    while let Some((first_line, start)) = lines.next() {
        if is_blank_or_comment(start) {
            continue;
        }
        let mut logical = start.trim().to_owned();
        let mut last_line = first_line;
        while logical.ends_with(escape) {
            logical.pop();
            let Some((number, next)) = lines.by_ref().find(|(_, line)| !is_blank_or_comment(line)) else {
                break;
            };
            logical.push_str(next.trim_end());
            last_line = number;
        }
        for end in here_documents(&logical) {
            let end = lines
                .by_ref()
                .find(|(_, line)| line.trim_start_matches('\t') == end);
            last_line = end.map_or(last_line, |(number, _)| number);
        }
        let (keyword, arguments) = logical.split_once(char::is_whitespace).unwrap_or((&logical, ""));
        out.push(Instruction {
            keyword: keyword.to_uppercase(),
            arguments: arguments.trim().to_owned(),
            first_line,
            last_line,
        });
    }
    out
}

fn is_blank_or_comment(line: &str) -> bool {
    let line = line.trim_start();
    line.is_empty() || line.starts_with('#')
}

/// The parser directive `# escape=` is taken only from the comments at the top.
fn has_backtick_escape(text: &str) -> bool {
    let mut top = text.lines().map_while(|line| line.trim_start().strip_prefix('#'));
    top.any(|comment| comment.replace(' ', "").eq_ignore_ascii_case("escape=`"))
}

/// The words that end the here-documents an instruction begins.
fn here_documents(logical: &str) -> Vec<String> {
    let takes = ["RUN", "COPY", "ADD"];
    let keyword = logical.split_whitespace().next().unwrap_or_default();
    if !takes.iter().any(|known| keyword.eq_ignore_ascii_case(known)) {
        return Vec::new();
    }
    let words = logical
        .split_whitespace()
        .filter_map(|word| word.strip_prefix("<<"));
    let words = words.map(|word| word.trim_start_matches('-').trim_matches(['"', '\'']));
    words
        .filter(|word| !word.is_empty() && *word != "<")
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backtick_may_be_the_escape() {
        let found = instructions("# escape=`\nFROM a\nRUN x `\n  y\nRUN c:\\\nRUN z");
        let lines: Vec<_> = found
            .iter()
            .map(|found| (found.first_line, found.last_line))
            .collect();
        assert_eq!(lines, [(2, 2), (3, 4), (5, 5), (6, 6)]);
    }
}
