//! AWS CodeBuild, S3 and ECR, played by a server, and builds that really run on the Docker engine.

mod builds;
mod client;
mod docs;
mod ecr;
mod ends;
mod kaniko;
mod killed;
mod setup;
mod store;
mod suite;
