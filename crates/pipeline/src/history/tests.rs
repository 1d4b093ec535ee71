use std::collections::BTreeMap;
use std::sync::Arc;

use wharf_core::{Digest, Platform, Result};

use super::*;
use crate::content::ContentKey;
use crate::execute::{Done, Execution, ImageResult, ImageState, ReadyImage};
use crate::plan::PlanInput;
use crate::plan::tests::{Outside, plan_with};
use crate::records::RecordContext;

const FILE: &str = "
settings: {docker: {requirements: [six==1, torch==2.5], environment: {TOKEN: planted}, apt_packages: [git]}}
steps: {load: , train: {settings: {docker: {user: ml}}}}
";

fn plan_of(text: &str, edit: impl FnOnce(&mut PlanInput<'_>)) -> PipelinePlan {
    let files = [("Dockerfile.base", "FROM x\n")].into();
    let outside = Arc::new(Outside {
        files,
        ..Outside::default()
    });
    plan_with(&outside, text, edit).unwrap()
}

fn plan(text: &str) -> PipelinePlan {
    plan_of(text, |_| {})
}

/// What a parent means while nothing moves.
fn meaning(name: &str) -> String {
    format!("sha256:of {name}")
}

fn platform() -> Platform {
    "linux/amd64".parse().unwrap()
}

/// The record of a plan that was executed with every parent meaning what [`meaning`] says.
fn record(plan: &PipelinePlan) -> BuildRecord {
    let mut keys: Vec<Option<ContentKey>> = Vec::new();
    let mut images = Vec::new();
    for image in &plan.images {
        let parts = image.instructions.as_ref().map(|instructions| {
            let parent = image
                .built_on
                .and_then(|at| keys[at].as_ref())
                .map(ToString::to_string);
            let names = parent_names(instructions).into_iter();
            let parents = names.map(|name| {
                let meaning = parent.clone().unwrap_or_else(|| meaning(&name));
                (name, meaning)
            });
            let code = CodeDigests::default().of(instructions).unwrap();
            let parts = ContentParts::of(instructions, code, parents.collect(), Some(&platform()));
            (ContentKey::of(instructions, &parts), parts)
        });
        let (content_key, content) = parts.unzip();
        keys.push(content_key.clone());
        let repository = image.image.rsplit_once(':').unwrap().0;
        let reference = match image.push {
            true => format!("{repository}@{}", Digest::of_bytes(image.image.as_bytes())),
            false => image.image.clone(),
        };
        images.push(ImageResult {
            image: image.image.clone(),
            keys: image.keys.clone(),
            steps: image.steps.clone(),
            content_key,
            content,
            state: ImageState::Ready(ReadyImage {
                reference,
                digest: None,
                done: Done::Built,
            }),
        });
    }
    let execution = Execution {
        images,
        duration: Default::default(),
    };
    BuildRecord::of(plan, &execution, RecordContext::default()).unwrap()
}

fn compared(mut plan: PipelinePlan, records: &[BuildRecord]) -> PipelinePlan {
    let history = History {
        records,
        sightings: None,
        reuse: true,
    };
    plan.compare(&history).unwrap();
    plan
}

fn verdicts(plan: &PipelinePlan) -> Vec<(Action, &str)> {
    plan.images
        .iter()
        .map(|image| (image.action, image.reason.as_str()))
        .collect()
}

#[test]
fn without_records_every_build_is_the_first() {
    let plan = compared(plan(FILE), &[]);
    let added = "adds stack requirements, requirements, apt packages, environment";
    assert_eq!(
        verdicts(&plan),
        [
            (Action::Build, format!("first build: {added}").as_str()),
            (Action::Build, format!("first build: {added}, user").as_str())
        ]
    );
    assert_eq!(plan.effort.read, 0);
}

#[test]
fn what_is_the_same_is_reused_and_names_its_build() {
    let record = record(&plan(FILE));
    let reason = format!("reuse of build {}", short_id(&record.id));
    let plan = compared(plan(FILE), std::slice::from_ref(&record));
    assert_eq!(verdicts(&plan), [(Action::Reuse, reason.as_str()); 2]);
    assert_eq!(
        serde_json::to_value(&plan).unwrap()["images"][0]["action"],
        "reuse"
    );
    // Another pipeline may have built it; what is reused is the image.
    let mut other = record;
    other.pipeline = "other".into();
    let plan = compared(plan_of(FILE, |_| {}), &[other]);
    assert_eq!(plan.images[0].action, Action::Reuse);
}

#[test]
fn every_change_is_named() {
    let before = [record(&plan(FILE))];
    let changes = [
        (
            "torch==2.5",
            "torch==2.6",
            "requirements changed: + torch==2.6 - torch==2.5",
        ),
        (
            "six==1, torch==2.5",
            "torch==2.5, six==1",
            "requirements changed: another order",
        ),
        ("[git]", "[git, curl]", "apt packages changed: + curl"),
        ("TOKEN: planted", "TOKEN: leaked", "environment changed: ~ TOKEN"),
        (
            "TOKEN: planted",
            "KEY: planted",
            "environment changed: + KEY - TOKEN",
        ),
        ("user: ml", "user: root", "user changed: ml to root"),
        (
            "apt_packages: [git]",
            "apt_packages: [git], parent_image: base:1",
            "parent image changed: + base:1 - python:3.12-slim",
        ),
        (
            "user: ml",
            "user: ml, build_config: {build_options: {labels: {a: b}}}",
            "build options changed: labels",
        ),
        (
            "user: ml",
            "user: ml, python_package_installer_args: {pre: null}",
            "Dockerfile changed: ",
        ),
        (
            "user: ml",
            "user: ml, build_config: {build_options: {platform: linux/arm64}}",
            "platform changed: linux/amd64 to linux/arm64",
        ),
        (
            "[git]}}",
            "[git], prevent_build_reuse: true}}",
            "`prevent_build_reuse` is set",
        ),
    ];
    for (old, new, reason) in changes {
        let text = FILE.replace(old, new);
        assert_ne!(text, FILE);
        let plan = compared(plan(&text), &before);
        let train = plan.image("train.orchestrator").unwrap();
        assert_eq!(train.action, Action::Build, "{new}: {}", train.reason);
        assert!(train.reason.starts_with(reason), "{new}: {}", train.reason);
        assert!(!train.reason.contains("planted") && !train.reason.contains("leaked"));
    }
}

#[test]
fn several_changes_stand_together_and_the_newest_build_is_what_counts() {
    let old = record(&plan(&FILE.replace("six==1", "six==0")));
    let new = record(&plan(FILE));
    let text = FILE.replace("six==1", "six==2").replace("[git]", "[]");
    let plan = compared(plan(&text), &[new, old.clone()]);
    assert_eq!(
        plan.images[0].reason,
        "requirements changed: + six==2 - six==1; apt packages changed: - git"
    );
    // What an older build has is reused all the same.
    let plan = compared(
        plan_of(&FILE.replace("six==1", "six==0"), |_| {}),
        &[record(&plan), old.clone()],
    );
    assert_eq!(
        plan.images[0].reason,
        format!("reuse of build {}", short_id(&old.id))
    );
}

#[test]
fn changed_code_is_told_and_each_directory_is_read_once() {
    let root = tempfile::tempdir().unwrap();
    let write = |text: &str| std::fs::write(root.path().join("code.py"), text).unwrap();
    let mut text = "settings: {docker: {local_project_install_command: pip install .}}\nsteps:\n".to_owned();
    for step in 0..300 {
        text += &format!("  s{step}: {{settings: {{docker: {{user: u{}}}}}}}\n", step % 40);
    }
    let at_root = || {
        let mut plan = plan(&text);
        for image in &mut plan.images {
            let instructions = image.instructions.as_mut().unwrap();
            instructions.context_root = Some(root.path().to_owned());
        }
        plan
    };
    write("1");
    let before = [record(&at_root())];
    let same = compared(at_root(), &before);
    assert!(same.images.iter().all(|image| image.action == Action::Reuse));
    write("2");
    let changed = compared(at_root(), &before);
    assert_eq!(verdicts(&changed), [(Action::Build, "code changed"); 40]);
    assert_eq!(
        (
            changed.effort.gathered,
            changed.effort.written,
            changed.effort.read
        ),
        (40, 40, 1)
    );
}

#[test]
fn images_on_a_dockerfile_of_ones_own_follow_it() {
    let text = "
settings: {docker: {dockerfile: Dockerfile.base, user: u}}
steps: {a: , b: {settings: {docker: {user: v}}}}
";
    let local = |text: &str| plan_of(text, |input| input.builder.builds_locally = true);
    let before = [record(&local(text))];
    assert_eq!(before[0].parents.len(), 1);
    let plan = compared(local(text), &before);
    assert_eq!(verdicts(&plan)[0], (Action::None, "every image on it is there"));
    assert!(plan.images[1..].iter().all(|image| image.action == Action::Reuse));

    let mut moved = before.clone();
    for record in moved[0].parents.iter_mut() {
        record.dockerfile = Some("FROM y\n".into());
    }
    let plan = compared(local(text), &moved);
    assert_eq!(
        verdicts(&plan)[0],
        (Action::Build, "Dockerfile changed: + FROM x - FROM y")
    );
    let reason = format!(
        "parent image changed: {} is another image now",
        plan.images[0].image
    );
    assert_eq!(verdicts(&plan)[1], (Action::Build, reason.as_str()));
}

#[test]
fn what_is_in_no_registry_or_another_is_not_found_again() {
    let before = [record(&plan_of(FILE, |input| input.registry = None))];
    let plan = compared(plan_of(FILE, |input| input.registry = None), &before);
    let reason = format!(
        "as in build {}; without a registry nothing is found again",
        short_id(&before[0].id)
    );
    assert_eq!(verdicts(&plan), [(Action::Build, reason.as_str()); 2]);
    let plan = compared(plan_of(FILE, |_| {}), &before);
    assert_eq!(plan.images[0].reason, "first build in r.example/ml/zenml");
    let elsewhere = FILE.replace("apt_packages", "target_repository: new, apt_packages");
    let plan = compared(plan_of(&elsewhere, |_| {}), &[record(&plan)]);
    assert_eq!(plan.images[0].reason, "first build in r.example/ml/new");
}

#[test]
fn reuse_can_be_refused() -> Result<()> {
    let mut plan = plan(FILE);
    let records = [record(&plan)];
    plan.compare(&History {
        records: &records,
        sightings: None,
        reuse: false,
    })?;
    assert_eq!(verdicts(&plan), [(Action::Build, "no reuse was asked for"); 2]);
    Ok(())
}

/// What registries would say, if parents meant this.
fn sightings(plan: &PipelinePlan, meaning: &str, digest: Option<&str>) -> Vec<Option<Sighting>> {
    let sighting = |image: &ImagePlan| {
        let instructions = image.instructions.as_ref()?;
        let names = parent_names(instructions).into_iter();
        let parents = names
            .map(|name| (name, meaning.to_owned()))
            .collect::<BTreeMap<_, _>>();
        let content = ContentParts::of(instructions, None, parents, Some(&platform()));
        Some(Sighting {
            key: ContentKey::of(instructions, &content),
            content,
            digest: digest.map(|text| Digest::of_bytes(text.as_bytes())),
        })
    };
    plan.images.iter().map(sighting).collect()
}

#[test]
fn what_registries_say_counts_more_than_records() {
    let records = [record(&plan(FILE))];
    let id = short_id(&records[0].id);
    let ask = |meaning: &str, digest: Option<&str>, records: &[BuildRecord]| {
        let mut plan = plan(FILE);
        let sightings = sightings(&plan, meaning, digest);
        plan.compare(&History {
            records,
            sightings: Some(&sightings),
            reuse: true,
        })
        .unwrap();
        (plan.images[0].action, plan.images[0].reason.clone())
    };
    let parent = "python:3.12-slim";
    let same = meaning(parent);
    assert_eq!(
        ask(&same, Some("d"), &records),
        (Action::Reuse, format!("reuse of build {id}"))
    );
    assert_eq!(
        ask(&same, Some("d"), &[]),
        (Action::Reuse, "the registry has it, built elsewhere".into())
    );
    assert_eq!(
        ask(&same, None, &records),
        (
            Action::Build,
            format!("as in build {id}, but the registry has it no more")
        )
    );
    assert_eq!(
        ask("sha256:new", None, &records),
        (
            Action::Build,
            format!("parent image changed: {parent} is another image now")
        )
    );
}

#[test]
fn a_record_without_parts_serves_where_no_code_is_inside() {
    let mut old = record(&plan(FILE));
    for image in old.images.values_mut() {
        (image.content, image.environment) = (None, BTreeMap::new());
    }
    let same = compared(plan(FILE), std::slice::from_ref(&old));
    assert!(
        same.images.iter().all(|image| image.action == Action::Reuse),
        "{same}"
    );
    let changed = compared(
        plan(&FILE.replace("planted", "other")),
        std::slice::from_ref(&old),
    );
    assert_eq!(changed.images[0].reason, "Dockerfile changed: other values");
    old.images
        .values_mut()
        .for_each(|image| image.contains_code = true);
    let with_code = compared(plan(FILE), &[old]);
    assert_eq!(
        with_code.images[0].reason,
        "the record does not say which code was in it"
    );
}
