//! What a host name of ECR says.

/// The registry behind a host name: an account's own in one region, or the public one.
///
/// ```
/// use wharf_aws::EcrAddress;
/// let address = EcrAddress::parse("123456789012.dkr.ecr.eu-central-1.amazonaws.com");
/// assert_eq!(
///     address,
///     Some(EcrAddress::Private { account: "123456789012".into(), region: "eu-central-1".into() })
/// );
/// assert_eq!(EcrAddress::parse("123456789012.dkr.ecr.eu-central-1.amazonaws.com.evil.example"), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EcrAddress {
    /// `ACCOUNT.dkr.ecr.REGION.amazonaws.com`, with the ends of other partitions, `dkr.ecr-fips`, and
    /// `ACCOUNT.dkr-ecr.REGION.on.aws`.
    Private {
        /// The account's number, twelve digits.
        account: String,
        /// The region.
        region: String,
    },
    /// `public.ecr.aws`.
    Public,
}

/// What stands behind the region, one for each partition.
const ENDS: [&str; 6] = [
    "amazonaws.com",
    "amazonaws.com.cn",
    "amazonaws.eu",
    "c2s.ic.gov",
    "sc2s.sgov.gov",
    "cloud.adc-e.uk",
];

impl EcrAddress {
    /// Reads a host name, the whole of it: a name that only begins or ends like one of ECR's would get its token.
    #[must_use]
    pub fn parse(host: &str) -> Option<Self> {
        if matches!(host, "public.ecr.aws" | "ecr-public.aws.com") {
            return Some(Self::Public);
        }
        let (account, rest) = host.split_once('.')?;
        let behind = ["dkr.ecr.", "dkr.ecr-fips."]
            .iter()
            .find_map(|start| rest.strip_prefix(start));
        let region = match behind {
            Some(rest) => ENDS
                .iter()
                .find_map(|end| rest.strip_suffix(end)?.strip_suffix('.')),
            None => ["dkr-ecr.", "dkr-ecr-fips."]
                .iter()
                .find_map(|start| rest.strip_prefix(start)?.strip_suffix(".on.aws")),
        }?;
        let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
        let is_region = !region.is_empty()
            && region
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        (is_account && is_region).then(|| Self::Private {
            account: account.to_owned(),
            region: region.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_ecr_are_known_and_lookalikes_are_not() {
        for (host, region) in [
            ("715803424592.dkr.ecr.us-east-1.amazonaws.com", "us-east-1"),
            ("715803424592.dkr.ecr.cn-north-1.amazonaws.com.cn", "cn-north-1"),
            (
                "715803424592.dkr.ecr-fips.us-gov-west-1.amazonaws.com",
                "us-gov-west-1",
            ),
            ("715803424592.dkr-ecr.eu-west-1.on.aws", "eu-west-1"),
        ] {
            let expected = EcrAddress::Private {
                account: "715803424592".into(),
                region: region.into(),
            };
            assert_eq!(EcrAddress::parse(host), Some(expected), "{host}");
        }
        assert_eq!(EcrAddress::parse("public.ecr.aws"), Some(EcrAddress::Public));
        for host in [
            "docker.io",
            "715803424592.dkr.ecr.us-east-1.amazonaws.com:443",
            "715803424592.dkr.ecr.us-east-1.evil.amazonaws.com",
            "715803424592.dkr.ecr.amazonaws.com",
            "1.dkr.ecr.us-east-1.amazonaws.com",
            "evil.public.ecr.aws",
            "715803424592.dkr.ecr.us-east-1.amazonaws.com.evil.example",
        ] {
            assert_eq!(EcrAddress::parse(host), None, "{host}");
        }
    }
}
