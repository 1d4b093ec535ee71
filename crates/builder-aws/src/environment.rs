//! The variables of a build, and how it logs in to the registry.

use wharf_aws::EcrAddress;
use wharf_core::builder::Owner;
use wharf_core::flavor::known::AwsImageBuilderConfig;
use wharf_core::registry::RegistryAuth;
use wharf_core::{Error, ErrorKind, Result, Secret};

use crate::plan::BuildPlan;

/// How the build logs in to the registry.
#[derive(Debug)]
pub(crate) enum Login {
    /// The project's role does, at an account's registry in this region; none: where the builds run.
    Ecr { region: Option<String> },
    /// The project's role does, at the public registry.
    EcrPublic,
    /// With a user and a password.
    Password { username: String, password: Secret },
    /// It does not.
    None,
}

/// A variable of the build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Variable {
    pub(crate) name: String,
    pub(crate) value: Value,
}

/// Where a variable's value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// Here, for everybody to read.
    Plain(String),
    /// Here, for everybody who may read builds; wharf at least does not print it.
    Exposed(Secret),
    /// In Secrets Manager, under this name.
    Stored(String),
}

/// Which process waits for the build, see [`Owner`].
pub(crate) const OWNER_VARIABLE: &str = "WHARF_OWNER";

/// How many bytes the names and values of all variables may have together.
const LIMIT: usize = 5500;

impl Login {
    /// How the build of a plan logs in.
    ///
    /// # Errors
    ///
    /// Those of the registry's credentials; [`ErrorKind::Unsupported`] for credentials that `docker login` does not
    /// take.
    pub(crate) async fn of(plan: &BuildPlan, config: &AwsImageBuilderConfig) -> Result<Self> {
        if config.implicit_container_registry_auth {
            return Ok(match EcrAddress::parse(plan.registry.address().domain()) {
                Some(EcrAddress::Public) => Self::EcrPublic,
                Some(EcrAddress::Private { region, .. }) => Self::Ecr { region: Some(region) },
                None => Self::Ecr { region: None },
            });
        }
        match plan.registry.credentials(&plan.names[0]).await?.map(|found| found.auth) {
            Some(RegistryAuth::Basic { username, password }) => Ok(Self::Password { username, password }),
            None => Ok(Self::None),
            Some(_) => Err(Error::new(
                ErrorKind::Unsupported,
                "the registry's credentials are a token, and `docker login` in the build takes a user and a password only",
            )
            .with_hint("Set `username` and `password` in the registry's configuration.")),
        }
    }
}

/// The variables of a build. `secret` is the name of the stored password, where it is stored.
///
/// # Errors
///
/// [`ErrorKind::InvalidConfiguration`] when they are more than CodeBuild takes.
pub(crate) fn variables(
    config: &AwsImageBuilderConfig,
    plan: &BuildPlan,
    login: &Login,
    region: &str,
    secret: Option<&str>,
) -> Result<Vec<Variable>> {
    let own = config.custom_env_vars.iter().flatten();
    let mut found: Vec<Variable> = own.map(|(name, value)| plain(name, value)).collect();
    let (method, region) = match login {
        Login::Ecr { region: own } => ("ecr", own.as_deref().unwrap_or(region)),
        Login::EcrPublic => ("ecr-public", region),
        Login::Password { .. } => ("password", region),
        Login::None => ("none", region),
    };
    found.push(plain(OWNER_VARIABLE, &Owner::this_process().to_string()));
    found.push(plain("WHARF_LOGIN", method));
    found.push(plain("WHARF_REGISTRY", plan.registry.address().domain()));
    found.push(plain("WHARF_REGION", region));
    if let Login::Password { username, password } = login {
        found.push(plain("WHARF_REGISTRY_USERNAME", username));
        let value = match secret {
            Some(name) => Value::Stored(name.to_owned()),
            None => Value::Exposed(password.clone()),
        };
        found.push(Variable {
            name: "WHARF_REGISTRY_PASSWORD".to_owned(),
            value,
        });
    }
    let size: usize = found
        .iter()
        .map(|variable| variable.name.len() + variable.value.text().len())
        .sum();
    if size > LIMIT {
        let message = format!("the variables of the build have {size} bytes, and CodeBuild takes {LIMIT}");
        return Err(Error::new(ErrorKind::InvalidConfiguration, message)
            .with_hint("Shorten `custom_env_vars`; build arguments have no such limit."));
    }
    Ok(found)
}

impl Value {
    /// What is sent.
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Plain(text) | Self::Stored(text) => text,
            Self::Exposed(secret) => secret.expose(),
        }
    }
}

fn plain(name: &str, value: &str) -> Variable {
    Variable {
        name: name.to_owned(),
        value: Value::Plain(value.to_owned()),
    }
}
