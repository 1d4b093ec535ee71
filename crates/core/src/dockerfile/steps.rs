//! Finds a step's instruction in the Dockerfile, where BuildKit tells its name alone.
//!
//! BuildKit's frontend names a step `[<stage> <i>/<n>] RUN …`, where the steps of a stage are counted: its `FROM`,
//! unless that is `scratch` or another stage, then each `RUN`, `COPY`, `ADD` and `WORKDIR`.

use std::ops::RangeInclusive;

use super::instructions::{Instruction, instructions};

/// Instructions the frontend makes a step of.
const COUNTED: [&str; 4] = ["RUN", "COPY", "ADD", "WORKDIR"];

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
                instructions[*at]
                    .stage_name()
                    .is_some_and(|found| found.eq_ignore_ascii_case(name))
            })
            .or_else(|| name.strip_prefix("stage-")?.parse().ok()),
    }?;
    let start = *starts.get(wanted)?;
    let end = starts.get(wanted + 1).copied().unwrap_or(instructions.len());
    Some(&instructions[start..end])
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
}
