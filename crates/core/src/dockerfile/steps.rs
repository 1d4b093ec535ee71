//! Finds a step's instruction in the Dockerfile, where BuildKit tells its name alone.
//!
//! BuildKit's frontend names a step `[<stage> <i>/<n>] RUN …`, where the steps of a stage are counted: its `FROM`,
//! unless that is `scratch` or another stage, then each `RUN`, `COPY`, `ADD` and `WORKDIR`.

use std::ops::RangeInclusive;

/// Instructions the frontend makes a step of.
const COUNTED: [&str; 4] = ["RUN", "COPY", "ADD", "WORKDIR"];

#[derive(Debug, PartialEq, Eq)]
struct Instruction {
    /// In capitals.
    keyword: String,
    arguments: String,
    first_line: u32,
    last_line: u32,
}

/// The lines of the step that BuildKit gives this name, such as `[build 2/5] RUN make`, counted from 1; none if the
/// file and the name do not fit together.
///
/// ```
/// let lines = wharf_core::dockerfile::step_lines("FROM a\n\nRUN b && \\\n  c\n", "[2/2] RUN b &&   c");
/// assert_eq!(lines, Some(3..=4));
/// ```
#[must_use]
pub fn step_lines(dockerfile: &str, name: &str) -> Option<RangeInclusive<u32>> {
    let (head, text) = name.strip_prefix('[')?.split_once("] ")?;
    let mut words = head.split_whitespace().rev();
    let (number, total) = words.next()?.split_once('/')?;
    let (number, total): (usize, usize) = (number.parse().ok()?, total.parse().ok()?);
    let instructions = instructions(dockerfile);
    let stage = stage(&instructions, words.next())?;
    let counted = stage[1..]
        .iter()
        .filter(|found| COUNTED.contains(&found.keyword.as_str()));
    let mut steps: Vec<_> = counted.collect();
    if total == steps.len() + 1 {
        steps.insert(0, &stage[0]);
    }
    let found = steps.get(number.checked_sub(1)?)?;
    let fits = total == steps.len() && text.split_whitespace().next() == Some(found.keyword.as_str());
    fits.then_some(found.first_line..=found.last_line)
}

/// The instructions of the stage of this name, from its `FROM` on.
fn stage<'a>(instructions: &'a [Instruction], name: Option<&str>) -> Option<&'a [Instruction]> {
    let starts = instructions.iter().enumerate();
    let starts = starts
        .filter(|(_, found)| found.keyword == "FROM")
        .map(|(at, _)| at);
    let starts: Vec<usize> = starts.collect();
    let wanted = match name {
        None => (starts.len() == 1).then_some(0),
        Some(name) => starts
            .iter()
            .position(|at| {
                stage_name(&instructions[*at]).is_some_and(|found| found.eq_ignore_ascii_case(name))
            })
            .or_else(|| name.strip_prefix("stage-")?.parse().ok()),
    }?;
    let start = *starts.get(wanted)?;
    let end = starts.get(wanted + 1).copied().unwrap_or(instructions.len());
    Some(&instructions[start..end])
}

fn stage_name(from: &Instruction) -> Option<&str> {
    let mut words = from.arguments.split_whitespace();
    words.find(|word| word.eq_ignore_ascii_case("as"))?;
    words.next()
}

/// Reads a Dockerfile as far as needed: comments, lines that go on, and here-documents.
fn instructions(text: &str) -> Vec<Instruction> {
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

    const FILE: &str = "# comment
FROM python AS build
ENV A=1
RUN one && \\
    # a comment between
    two
COPY . /src

FROM scratch
copy --from=build /src /
WORKDIR /src
FROM build
RUN <<EOF
RUN not an instruction
EOF
RUN last
";

    fn lines(name: &str) -> Option<(u32, u32)> {
        step_lines(FILE, name).map(|found| (*found.start(), *found.end()))
    }

    #[test]
    fn a_step_is_found_by_its_number_in_its_stage() {
        assert_eq!(lines("[build 1/3] FROM docker.io/library/python"), Some((2, 2)));
        assert_eq!(lines("[build 2/3] RUN one &&     two"), Some((4, 6)));
        assert_eq!(lines("[linux/amd64 build 3/3] COPY . /src"), Some((7, 7)));
        assert_eq!(lines("[stage-1 1/2] COPY --from=build /src /"), Some((10, 10)));
        assert_eq!(lines("[stage-1 2/2] WORKDIR /src"), Some((11, 11)));
        assert_eq!(lines("[stage-2 1/2] RUN <<EOF"), Some((13, 15)));
        assert_eq!(lines("[stage-2 2/2] RUN last"), Some((16, 16)));
    }

    #[test]
    fn what_does_not_fit_is_not_guessed() {
        assert_eq!(lines("[internal] load build definition from Dockerfile"), None);
        assert_eq!(lines("[build 2/9] RUN one"), None, "another number of steps");
        assert_eq!(lines("[build 2/3] COPY . /src"), None, "another instruction");
        assert_eq!(lines("[other 2/3] RUN one"), None, "an unknown stage");
        assert_eq!(lines("[2/3] RUN one"), None, "several stages and no name");
        assert_eq!(lines("exporting to image"), None);
    }

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
