//! The plan as a table for people.

use super::{ImagePlan, PipelinePlan};

/// What stands above the columns.
const HEADER: [&str; 4] = ["ACTION", "IMAGE", "STEPS", "WHY"];

/// How many steps a row names.
const SHOWN_STEPS: usize = 3;

/// A row for each image, columns under each other.
pub(super) fn table(plan: &PipelinePlan) -> String {
    let rows: Vec<[String; 4]> = std::iter::once(HEADER.map(str::to_owned))
        .chain(plan.images.iter().map(row))
        .collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            line.push_str(cell);
            if column + 1 < row.len() {
                let width = rows
                    .iter()
                    .map(|row| row[column].chars().count())
                    .max()
                    .unwrap_or(0);
                line.push_str(&" ".repeat(width - cell.chars().count() + 2));
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn row(image: &ImagePlan) -> [String; 4] {
    [
        image.action.to_string(),
        image.image.clone(),
        steps(&image.steps),
        image.reason.clone(),
    ]
}

fn steps(steps: &[String]) -> String {
    match steps {
        [] => "-".into(),
        some if some.len() <= SHOWN_STEPS => some.join(", "),
        many => format!(
            "{} and {} more",
            many[..SHOWN_STEPS - 1].join(", "),
            many.len() - SHOWN_STEPS + 1
        ),
    }
}
