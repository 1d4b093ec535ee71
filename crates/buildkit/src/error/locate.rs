//! Finds a step's instruction in the Dockerfile, for daemons that do not say where it is.

use wharf_core::dockerfile::step_lines;

use super::{Dockerfile, SourceLocation};

/// A line of the file.
pub(super) fn line(file: Dockerfile, line: u32) -> SourceLocation {
    lines(file, line, line)
}

/// Where the step of this name stands; none if the file and the name do not fit together.
pub(super) fn step(file: Dockerfile, name: &str) -> Option<SourceLocation> {
    let found = step_lines(&file.text, name)?;
    Some(lines(file, *found.start(), *found.end()))
}

fn lines(file: Dockerfile, first_line: u32, last_line: u32) -> SourceLocation {
    SourceLocation {
        file: file.name,
        first_line,
        last_line,
        text: Some(file.text),
    }
}
