//! Listener addresses.

use super::value::members;
use alloc::{string::String, vec::Vec};
use core::fmt;

/// An address that is listened on or advertised: `NAME://host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The listener's name, which stands for its protocol.
    pub name: String,
    /// Host name or address without brackets; empty for every interface.
    pub host: String,
    /// The port; 0 for one that is free.
    pub port: u16,
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Listener { name, host, port } = self;
        if host.contains(':') {
            write!(f, "{name}://[{host}]:{port}")
        } else {
            write!(f, "{name}://{host}:{port}")
        }
    }
}

impl Listener {
    pub(super) fn parse(text: &str) -> Option<Listener> {
        let (name, address) = text.split_once("://")?;
        let (host, port) = address.rsplit_once(':')?;
        let host = match host.strip_prefix('[') {
            Some(inner) => inner.strip_suffix(']')?,
            None if host.contains(':') => return None,
            None => host,
        };
        let is_name =
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if !is_name || host.contains(['/', ' ', '[', ']']) {
            return None;
        }
        Some(Listener { name: name.to_ascii_uppercase(), host: host.into(), port: port.parse().ok()? })
    }

    /// Whether it is reachable from this machine alone.
    pub fn is_loopback(&self) -> bool {
        match self.host.parse::<core::net::IpAddr>() {
            Ok(address) => address.is_loopback(),
            Err(_) => self.host.eq_ignore_ascii_case("localhost"),
        }
    }

    /// Whether it stands for every interface, so that nobody can be told to connect to it.
    pub fn is_wildcard(&self) -> bool {
        self.host.is_empty()
            || self.host.parse::<core::net::IpAddr>().is_ok_and(|address| address.is_unspecified())
    }
}

/// The listeners of a list that has been checked.
pub(super) fn parse_list(text: &str) -> Vec<Listener> {
    members(text).filter_map(Listener::parse).collect()
}

pub(super) fn check_list(text: &str) -> Result<(), &'static str> {
    let mut names = Vec::new();
    for member in members(text) {
        let listener =
            Listener::parse(member).ok_or("addresses like `PLAINTEXT://host:9092`, with commas between")?;
        if names.contains(&listener.name) {
            return Err("each listener name at most once");
        }
        names.push(listener.name);
    }
    if names.is_empty() { Err("at least one address like `PLAINTEXT://host:9092`") } else { Ok(()) }
}

/// The protocol of a listener name by a map that has been checked.
pub(super) fn protocol<'m>(map: &'m str, name: &str) -> Option<&'m str> {
    members(map)
        .filter_map(|pair| pair.split_once(':'))
        .find(|(known, _)| known.trim().eq_ignore_ascii_case(name))
        .map(|(_, protocol)| protocol.trim())
}

pub(super) fn check_map(text: &str) -> Result<(), &'static str> {
    let is_pair = |pair: &str| {
        pair.split_once(':').is_some_and(|(name, protocol)| {
            !name.trim().is_empty()
                && ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"].contains(&protocol.trim())
        })
    };
    if members(text).all(is_pair) {
        Ok(())
    } else {
        Err("`NAME:PROTOCOL` pairs, the protocol one of `PLAINTEXT`, `SSL`, `SASL_PLAINTEXT`, `SASL_SSL`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn addresses() {
        for text in
            ["PLAINTEXT://127.0.0.1:9092", "PLAINTEXT://:0", "IN-SIDE_1://[::1]:80", "A://host.example:1"]
        {
            assert_eq!(Listener::parse(text).unwrap().to_string(), text);
        }
        for text in [
            "",
            "PLAINTEXT",
            "://h:1",
            "A://h",
            "A://h:x",
            "A://h:65536",
            "A://::1:80",
            "A://[::1:80",
            "A B://h:1",
        ] {
            assert_eq!(Listener::parse(text), None, "{text}");
        }
        assert!(check_list("A://:1,B://:2").is_ok());
        assert!(check_list("A://:1,a://:2").is_err());
        assert!(check_list("").is_err());
    }

    #[test]
    fn who_can_reach_it() {
        let listener = |text| Listener::parse(text).unwrap();
        assert!(listener("A://127.0.0.9:1").is_loopback());
        assert!(listener("A://localhost:1").is_loopback());
        assert!(listener("A://[::1]:1").is_loopback());
        assert!(!listener("A://:1").is_loopback());
        assert!(!listener("A://10.0.0.1:1").is_loopback());
        assert!(listener("A://:1").is_wildcard());
        assert!(listener("A://0.0.0.0:1").is_wildcard());
        assert!(listener("A://[::]:1").is_wildcard());
        assert!(!listener("A://h:1").is_wildcard());
    }

    #[test]
    fn protocols() {
        let map = "CONTROLLER:PLAINTEXT, inside:SSL";
        assert_eq!(protocol(map, "INSIDE"), Some("SSL"));
        assert_eq!(protocol(map, "OUTSIDE"), None);
        assert!(check_map(map).is_ok());
        assert!(check_map("A:HTTP").is_err());
        assert!(check_map("A").is_err());
    }
}
