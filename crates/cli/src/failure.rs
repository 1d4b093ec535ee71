//! What is shown when something failed: the step, its last output, the place in the Dockerfile, the reason.

use std::fmt::Write as _;
use std::ops::RangeInclusive;

use serde_json::json;
use wharf_core::{Error, ErrorKind};

use crate::display::model::StepView;
use crate::display::palette::{Palette, paint};
use crate::display::text::sanitize_lines;
use crate::display::{Model, ProgressMode};
use crate::dockerfile::{self, Dockerfile};
use crate::exit_code;

/// A failed command: the error and, where there was one, the build around it.
#[derive(Debug)]
pub struct Failure {
    /// What went wrong.
    pub error: Error,
    /// The exit code.
    pub code: u8,
    /// What the build's events added up to.
    pub model: Option<Box<Model>>,
    /// What was built from.
    pub dockerfile: Option<Dockerfile>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            code: exit_code::of(error.kind()),
            error,
            model: None,
            dockerfile: None,
        }
    }
}

impl Failure {
    /// The text for standard error. With `--progress json` it is one JSON object, as every line there is.
    #[must_use]
    pub fn render(&self, progress: ProgressMode, palette: &Palette) -> String {
        match progress {
            ProgressMode::Json => self.json(),
            _ => self.text(palette),
        }
    }

    fn text(&self, palette: &Palette) -> String {
        let mut out = String::new();
        let mut report = sanitize_lines(&self.error.report());
        if self.error.kind() == ErrorKind::BuildFailed {
            out.push_str(&self.last_output(palette));
        }
        if let Some(place) = self.place(palette) {
            out.push_str(&place);
            report = without_place(&report);
        }
        let _ = writeln!(out, "{} {report}", paint(palette.bad, "error:"));
        out
    }

    fn json(&self) -> String {
        let context: serde_json::Map<String, serde_json::Value> = self
            .error
            .context()
            .map(|(key, value)| (key.to_owned(), value.into()))
            .collect();
        let data = json!({
            "name": exit_code::name(self.code),
            "exit_code": self.code,
            "message": self.error.to_string(),
            "context": context,
            "hint": self.error.hint(),
            "report": self.error.report(),
        });
        let line = json!({ "time": jiff::Timestamp::now(), "event": "error", "data": data });
        format!("{line}\n")
    }

    fn step(&self) -> Option<&StepView> {
        let model = self.model.as_deref()?;
        model.failed_step(self.context("image"), self.context("step"))
    }

    fn context(&self, wanted: &str) -> Option<&str> {
        let mut pairs = self.error.context();
        pairs.find(|(key, _)| *key == wanted).map(|(_, value)| value)
    }

    /// The last output of the step that the error is about, behind that of other images whose steps failed.
    fn last_output(&self, palette: &Palette) -> String {
        let step = self.step();
        let image = step.and_then(|step| step.image.as_deref());
        let all = self.model.as_deref().map(Model::failed_steps).unwrap_or_default();
        let others = all.into_iter().filter(|other| other.image.as_deref() != image);
        let mut out = String::new();
        for step in others.chain(step) {
            let _ = writeln!(out, "\n{} {}", paint(palette.bad, "failed:"), step.title());
            for line in &step.tail {
                let text = format!("  │ {:.3} {}", line.at.as_secs_f64(), line.text);
                let _ = writeln!(out, "{}", text.trim_end());
            }
        }
        out
    }

    fn place(&self, palette: &Palette) -> Option<String> {
        let dockerfile = self.dockerfile.as_ref()?;
        let lines = self.lines().or_else(|| self.lines_of_step(&dockerfile.content))?;
        let excerpt = dockerfile::excerpt(&dockerfile.content, &lines)?;
        let heading = sanitize_lines(&format!("{}:{}", dockerfile.name, lines.start()));
        Some(format!("{}\n{excerpt}", paint(palette.dim, &heading)))
    }

    /// Where the builder tells no place, the step's name is looked for.
    fn lines_of_step(&self, content: &str) -> Option<RangeInclusive<usize>> {
        let failed = self.error.kind() == ErrorKind::BuildFailed;
        dockerfile::find(content, &self.step().filter(|_| failed)?.name)
    }

    fn lines(&self) -> Option<RangeInclusive<usize>> {
        let number = |key| self.context(key).and_then(|text| text.parse::<usize>().ok());
        let start = number("dockerfile_line")?;
        Some(start..=number("dockerfile_end_line").unwrap_or(start).max(start))
    }
}

/// The report without the facts that the excerpt above it has shown.
fn without_place(report: &str) -> String {
    const SHOWN: [&str; 3] = ["  dockerfile: ", "  dockerfile_line: ", "  dockerfile_end_line: "];
    let lines = report
        .lines()
        .filter(|line| !SHOWN.iter().any(|shown| line.starts_with(shown)));
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use wharf_core::event::StepState;

    use super::*;
    use crate::display::fixture::{log, step};

    fn failed_build() -> Failure {
        let mut model = Model::default();
        model.apply(&step(0, "s", "[3/3] RUN python train.py", StepState::Started));
        model.apply(&log(250, Some("s"), "Traceback \x1b[31m(most recent call last)"));
        let error = StepState::Failed {
            error: "exit code: 1".into(),
        };
        model.apply(&step(300, "s", "[3/3] RUN python train.py", error));
        let error = Error::new(ErrorKind::BuildFailed, "the step ended with exit code 1");
        let dockerfile = Dockerfile {
            name: "sub/Dockerfile".into(),
            content: "FROM python\nCOPY . .\nRUN python train.py\n".into(),
        };
        Failure {
            model: Some(Box::new(model)),
            dockerfile: Some(dockerfile),
            ..error.into()
        }
    }

    #[test]
    fn a_failed_step_is_shown_with_its_output_and_place() {
        let failure = failed_build();
        let text = failure.render(ProgressMode::Plain, &Palette::default());
        let expected = "
failed: [3/3] RUN python train.py
  │ 0.250 Traceback (most recent call last)
sub/Dockerfile:3
    1 | FROM python
    2 | COPY . .
>>> 3 | RUN python train.py
error: the step ended with exit code 1
";
        assert_eq!(text, expected);
    }

    #[test]
    fn the_builder_s_own_place_wins() {
        let mut failure = failed_build();
        failure.error = Error::new(ErrorKind::BuildFailed, "no")
            .with_context("dockerfile", "Dockerfile")
            .with_context("dockerfile_line", "1")
            .with_context("dockerfile_end_line", "2");
        let text = failure.render(ProgressMode::Plain, &Palette::default());
        assert!(
            text.contains("\nsub/Dockerfile:1\n>>> 1 | FROM python\n>>> 2 | COPY . .\n    3 |"),
            "{text}"
        );
    }

    #[test]
    fn a_place_is_shown_for_what_is_wrong_in_the_dockerfile_itself() {
        let mut failure = failed_build();
        failure.model = None;
        failure.error =
            Error::new(ErrorKind::InvalidInput, "unknown instruction").with_context("dockerfile_line", "2");
        let text = failure.render(ProgressMode::Plain, &Palette::default());
        assert!(
            text.starts_with("sub/Dockerfile:2\n    1 | FROM python\n>>> 2 |"),
            "{text}"
        );
    }

    #[test]
    fn another_failure_shows_no_step() {
        let mut failure = failed_build();
        failure.error = Error::new(ErrorKind::PushFailed, "refused\x1b[2J").with_hint("Try again.");
        let text = failure.render(ProgressMode::Plain, &Palette::default());
        assert_eq!(text, "error: refused\n  help: Try again.\n");
    }

    #[test]
    fn with_json_progress_the_failure_is_json_too() {
        let failure = failed_build();
        let text = failure.render(ProgressMode::Json, &Palette::default());
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["event"], "error");
        assert_eq!(value["data"]["exit_code"], 1);
        assert_eq!(value["data"]["name"], "build_failed");
    }
}
