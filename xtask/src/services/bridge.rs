//! The network bridges of our engines.

use std::path::Path;

use anyhow::{Context, Result};

use super::machine::{find, privileged};
use super::run_dir::ServiceDir;
use crate::process::{capture, run_quietly, succeeds};

/// A bridge for the containers of our engine, so that it gives away no address of another engine's network.
pub(super) fn make(service: &ServiceDir) -> Result<String> {
    let exists = |name: &str| Path::new("/sys/class/net").join(name).exists();
    let free = (0..50_u8)
        .map(|number| (format!("wharf{number}"), number))
        .find(|(name, _)| !exists(name));
    let (name, number) = free.context("there are 50 bridges wharf0 to wharf49 already")?;
    service.note("bridge", &name)?;
    let address = format!("172.30.{}.1/24", 200 + number);
    run_quietly(&mut privileged(
        "ip",
        ["link", "add", "name", &name, "type", "bridge"],
    ))?;
    run_quietly(&mut privileged("ip", ["address", "add", &address, "dev", &name]))?;
    run_quietly(&mut privileged("ip", ["link", "set", "dev", &name, "up"]))?;
    Ok(name)
}

/// Removes a bridge, and the firewall's rules for it, which its engine leaves when it ends.
pub(super) fn remove(name: &str) {
    if let Some(ip) = find("ip") {
        succeeds(&mut privileged(ip, ["link", "delete", name]));
    }
    let Some(iptables) = find("iptables") else {
        return;
    };
    for table in ["filter", "nat"] {
        let words = |rest: &[&str]| privileged(&iptables, [&["--wait", "--table", table], rest].concat());
        let rules = capture(&mut words(&["--list-rules"])).unwrap_or_default();
        for rule in rules_of(name, &rules) {
            succeeds(&mut words(&[&["--delete"], rule.as_slice()].concat()));
        }
    }
}

/// The rules that name a bridge, in words: the chain, and what is to match.
fn rules_of<'a>(bridge: &str, rules: &'a str) -> Vec<Vec<&'a str>> {
    let words = rules
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    words
        .filter(|words| words.first() == Some(&"-A") && words.contains(&bridge))
        .map(|words| words[1..].to_vec())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_of_one_bridge_are_found() {
        let rules = "-P FORWARD DROP\n\
                     -N DOCKER\n\
                     -A FORWARD -o wharf1 -j DOCKER\n\
                     -A FORWARD -i wharf11 -j ACCEPT\n\
                     -A POSTROUTING -s 172.30.201.0/24 ! -o wharf1 -j MASQUERADE\n";
        assert_eq!(
            rules_of("wharf1", rules),
            [
                "FORWARD -o wharf1 -j DOCKER".split(' ').collect::<Vec<_>>(),
                "POSTROUTING -s 172.30.201.0/24 ! -o wharf1 -j MASQUERADE"
                    .split(' ')
                    .collect(),
            ]
        );
    }
}
