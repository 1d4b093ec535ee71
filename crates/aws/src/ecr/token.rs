//! Passwords for registries of ECR. They are valid for twelve hours and kept that long.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::sync::Mutex;
use wharf_core::{Error, ErrorKind, Result, Secret};

use crate::{AwsAccess, from_sdk};

/// A token that is valid for less than this is not given out any more: a build may take that long.
const LEFT: Duration = Duration::from_secs(60 * 60);

/// Asks for tokens, and remembers the last. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tokens(Arc<Mutex<Option<Token>>>);

/// What `docker login` takes.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub(crate) username: String,
    pub(crate) password: Secret,
    expires: Option<SystemTime>,
}

impl Tokens {
    pub(crate) async fn get(&self, access: &AwsAccess, public: bool) -> Result<Token> {
        let mut known = self.0.lock().await;
        if let Some(token) = known.as_ref().filter(|token| token.is_fresh()) {
            return Ok(token.clone());
        }
        let token = match public {
            true => of_public(access).await,
            false => of_account(access).await,
        }?;
        *known = Some(token.clone());
        Ok(token)
    }
}

impl Token {
    fn is_fresh(&self) -> bool {
        let left = self
            .expires
            .and_then(|end| end.duration_since(SystemTime::now()).ok());
        left.is_some_and(|left| left > LEFT)
    }

    /// `token` is base64 of `AWS:<password>`.
    fn read(token: Option<&str>, expires: Option<SystemTime>) -> Result<Self> {
        let decoded = token.and_then(|token| STANDARD.decode(token).ok());
        let text = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
        let pair = text.as_deref().and_then(|text| text.split_once(':'));
        let (username, password) =
            pair.ok_or_else(|| Error::new(ErrorKind::Unexpected, "ECR answered a token of another form"))?;
        Ok(Self {
            username: username.to_owned(),
            password: Secret::new(password),
            expires,
        })
    }
}

const LOGIN: &str = "log in to ECR";

async fn of_account(access: &AwsAccess) -> Result<Token> {
    let client = aws_sdk_ecr::Client::new(&access.sdk().await?);
    let answer = client.get_authorization_token().send().await;
    let answer = answer.map_err(|error| from_sdk(LOGIN, "ecr:GetAuthorizationToken", error))?;
    let data = answer.authorization_data().first();
    let expires = data
        .and_then(|data| data.expires_at())
        .and_then(|time| (*time).try_into().ok());
    Token::read(data.and_then(|data| data.authorization_token()), expires)
}

/// The public registry is asked in one region only, see [`super::registry`].
async fn of_public(access: &AwsAccess) -> Result<Token> {
    let client = aws_sdk_ecrpublic::Client::new(&access.sdk().await?);
    let answer = client.get_authorization_token().send().await;
    let answer = answer.map_err(|error| from_sdk(LOGIN, "ecr-public:GetAuthorizationToken", error))?;
    let data = answer.authorization_data();
    let expires = data
        .and_then(|data| data.expires_at())
        .and_then(|time| (*time).try_into().ok());
    Token::read(data.and_then(|data| data.authorization_token()), expires)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_user_and_password() {
        let soon = SystemTime::now() + Duration::from_secs(60);
        let token = Token::read(Some(&STANDARD.encode("AWS:pass:word")), Some(soon)).unwrap();
        assert_eq!(
            (token.username.as_str(), token.password.expose()),
            ("AWS", "pass:word")
        );
        assert!(!token.is_fresh() && !format!("{token:?}").contains("pass:word"));
        let late = SystemTime::now() + Duration::from_secs(12 * 60 * 60);
        assert!(
            Token {
                expires: Some(late),
                ..token
            }
            .is_fresh()
        );
        for wrong in [None, Some("***"), Some("QVdT")] {
            assert_eq!(
                Token::read(wrong, None).unwrap_err().kind(),
                ErrorKind::Unexpected
            );
        }
    }
}
