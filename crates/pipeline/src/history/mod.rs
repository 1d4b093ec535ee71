//! What earlier builds mean for a plan: which images are there already, and what changed since they were built.
//!
//! A plan alone says what goes into an image. Compared with [records](crate::records), it also says what will
//! happen: an image is reused if a record has the same, in the same repository of a registry, and else its reason
//! says what changed since the newest build of the pipeline.
//!
//! The comparison reads the code of images that have code inside, each directory once, and nothing else. What a
//! parent image means now only its registry knows; where that was not [asked](crate::execute::Executor::look),
//! it is taken to mean what it meant then.

mod changes;
mod lines;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use wharf_core::Result;

use self::changes::{Now, changes};
use crate::content::{CodeDigests, ContentParts, parent_names};
use crate::execute::Sighting;
use crate::plan::{Action, BuildInstructions, ImagePlan, PipelinePlan};
use crate::records::{BuildRecord, ImageRecord};

/// What a plan is compared with.
#[derive(Debug, Clone, Copy)]
pub struct History<'a> {
    /// Records of builds, the newest first.
    pub records: &'a [BuildRecord],
    /// What the registries say, image by image; none: they were not asked.
    pub sightings: Option<&'a [Option<Sighting>]>,
    /// Whether images that exist may be used.
    pub reuse: bool,
}

/// How many digits of a build's id are shown.
const SHORT_ID: usize = 12;

/// The beginning of a build's id, for people. It is enough to name the build.
#[must_use]
pub fn short_id(id: &str) -> &str {
    id.get(..SHORT_ID).unwrap_or(id)
}

impl PipelinePlan {
    /// Says for every image that would be built whether it is there already, else what changed. Images for which
    /// nothing is built stay as they are.
    ///
    /// # Errors
    ///
    /// When the code of an image cannot be read.
    pub fn compare(&mut self, history: &History<'_>) -> Result<()> {
        let mut comparison = Comparison {
            history,
            code: CodeDigests::default(),
            keys: Vec::new(),
        };
        for at in 0..self.images.len() {
            let (verdict, key) = comparison.judge(self, at)?;
            comparison.keys.push(key);
            if let Some((action, reason)) = verdict {
                let image = &mut self.images[at];
                (image.action, image.reason) = (action, reason);
            }
        }
        self.effort.read = comparison.code.read();
        leave_out_parents(self);
        Ok(())
    }
}

/// Parents that nothing is to be built on are not built.
fn leave_out_parents(plan: &mut PipelinePlan) {
    let users = |at: usize| plan.images.iter().filter(move |image| image.built_on == Some(at));
    let is_unneeded = |at: &usize| {
        plan.images[*at].keys.is_empty() && users(*at).all(|image| image.action == Action::Reuse)
    };
    let unneeded: Vec<usize> = (0..plan.images.len()).filter(is_unneeded).collect();
    for at in unneeded {
        plan.images[at].action = Action::None;
        plan.images[at].reason = "every image on it is there".into();
    }
}

/// What is to be said about an image; none: what the plan says already.
type Verdict = Option<(Action, String)>;

struct Comparison<'a> {
    history: &'a History<'a>,
    code: CodeDigests,
    /// The content keys of the images so far, where a record has the same image.
    keys: Vec<Option<String>>,
}

impl Comparison<'_> {
    fn judge(&self, plan: &PipelinePlan, at: usize) -> Result<(Verdict, Option<String>)> {
        let image = &plan.images[at];
        let Some(instructions) = &image.instructions else {
            return Ok((None, None));
        };
        let sighting = self
            .history
            .sightings
            .and_then(|all| all.get(at))
            .and_then(Option::as_ref);
        let before = last(self.history.records, &plan.pipeline, image);
        let now = self.now(plan, image, instructions, sighting)?;
        let same = records(self.history.records)
            .find(|(_, record)| record.dockerfile == image.dockerfile && changes(record, &now).is_empty());
        let key = match (sighting, same) {
            (Some(sighting), _) => Some(sighting.key.to_string()),
            (None, Some((_, record))) => record.content_key.clone(),
            (None, None) => None,
        };
        let verdict = self.verdict(image, sighting, same, || {
            before.map(|before| changes(before, &now).join("; "))
        });
        Ok((Some(verdict), key))
    }

    fn verdict(
        &self,
        image: &ImagePlan,
        sighting: Option<&Sighting>,
        same: Option<(&BuildRecord, &ImageRecord)>,
        changed: impl FnOnce() -> Option<String>,
    ) -> (Action, String) {
        let build = |reason: String| (Action::Build, reason);
        let id = same.map(|(build, _)| short_id(&build.id));
        if image.prevent_reuse {
            return build("`prevent_build_reuse` is set".into());
        }
        if !self.history.reuse {
            return build("no reuse was asked for".into());
        }
        match (sighting, same, id) {
            (Some(seen), _, Some(id)) if seen.digest.is_some() => {
                (Action::Reuse, format!("reuse of build {id}"))
            }
            (Some(seen), _, None) if seen.digest.is_some() => {
                (Action::Reuse, "the registry has it, built elsewhere".into())
            }
            (_, Some(_), Some(id)) if !image.push => build(format!(
                "as in build {id}; without a registry nothing is found again"
            )),
            (_, Some((_, record)), _)
                if !record.is_pushed() || repository(record) != repository_of(image) =>
            {
                build(format!("first build in {}", repository_of(image)))
            }
            (Some(_), Some(_), Some(id)) => {
                build(format!("as in build {id}, but the registry has it no more"))
            }
            (None, Some(_), Some(id)) => (Action::Reuse, format!("reuse of build {id}")),
            _ => match changed().filter(|text| !text.is_empty()) {
                Some(changes) => build(changes),
                None => build(format!("first build: {}", image.reason)),
            },
        }
    }

    /// The image as it would be built now.
    fn now<'b>(
        &self,
        plan: &PipelinePlan,
        image: &'b ImagePlan,
        instructions: &BuildInstructions,
        sighting: Option<&Sighting>,
    ) -> Result<Now<'b>> {
        if let Some(sighting) = sighting {
            let parts = sighting.content.clone();
            let parents = parts.parents.iter();
            return Ok(Now {
                image,
                parents: parents
                    .map(|(name, now)| (name.clone(), Some(now.clone())))
                    .collect(),
                parts,
            });
        }
        let is_known = !self.history.records.is_empty();
        let code = match is_known {
            true => self.code.of(instructions)?,
            false => None,
        };
        let names = parent_names(instructions).into_iter();
        Ok(Now {
            image,
            parts: ContentParts::of(instructions, code, BTreeMap::new(), None),
            parents: names
                .map(|name| (name.clone(), self.meaning(plan, image, &name)))
                .collect(),
        })
    }

    /// What is known about a parent without asking: only the meaning of images of the plan itself. One that
    /// changes means something new.
    fn meaning(&self, plan: &PipelinePlan, image: &ImagePlan, name: &str) -> Option<String> {
        let parent = image
            .built_on
            .filter(|parent| plan.images[*parent].image == name)?;
        Some(self.keys[parent].clone().unwrap_or_default())
    }
}

/// Every image of every record, the newest first.
fn records(records: &[BuildRecord]) -> impl Iterator<Item = (&BuildRecord, &ImageRecord)> {
    records.iter().flat_map(|record| {
        let images = record.images.values().chain(&record.parents);
        images.map(move |image| (record, image))
    })
}

/// The image that the pipeline had last in the place of this one: under one of its keys, for one of its steps, or
/// of the same name.
fn last<'a>(builds: &'a [BuildRecord], pipeline: &str, image: &ImagePlan) -> Option<&'a ImageRecord> {
    let of_pipeline = builds.iter().filter(|record| record.pipeline == pipeline);
    of_pipeline.into_iter().find_map(|record| {
        if image.keys.is_empty() {
            return record.parents.iter().find(|parent| parent.image == image.image);
        }
        let by_key = image.keys.iter().find_map(|key| record.images.get(key));
        let has_step = |known: &&ImageRecord| known.steps.iter().any(|step| image.steps.contains(step));
        by_key.or_else(|| record.images.values().find(has_step))
    })
}

fn repository_of(image: &ImagePlan) -> String {
    let name = image.instructions.as_ref();
    name.map(|instructions| instructions.image.repository())
        .unwrap_or_default()
}

fn repository(record: &ImageRecord) -> String {
    let name = record.reference.split_once('@');
    name.map(|(repository, _)| repository.to_owned())
        .unwrap_or_default()
}
