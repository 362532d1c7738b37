//! Addresses to listen on, and the networks of trusted proxies.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// Whether connections to an address speak TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TLS if there is a certificate.
    Any,
    /// Clear text.
    Plain,
    /// TLS.
    Tls,
}

/// One address to listen on, as settings write it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `HOST:PORT`, `http://HOST:PORT` or `https://HOST:PORT`.
    Tcp {
        /// A name or an address, IPv6 in brackets.
        host: String,
        /// The port; 0 lets the system choose.
        port: u16,
        /// What is spoken there.
        transport: Transport,
    },
    /// `unix:PATH`.
    Unix(PathBuf),
}

impl Address {
    /// Whether nothing but TLS may be spoken here.
    pub fn needs_certificate(&self) -> bool {
        matches!(
            self,
            Address::Tcp {
                transport: Transport::Tls,
                ..
            }
        )
    }
}

impl FromStr for Address {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Address, &'static str> {
        let fault = "is no address such as \"127.0.0.1:8008\", \"[::1]:8008\", \"https://0.0.0.0:8443\" or \"unix:/run/kalends.sock\"";
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() {
                Err(fault)
            } else {
                Ok(Address::Unix(PathBuf::from(path)))
            };
        }
        let (transport, rest) = if let Some(rest) = text.strip_prefix("https://") {
            (Transport::Tls, rest)
        } else if let Some(rest) = text.strip_prefix("http://") {
            (Transport::Plain, rest)
        } else {
            (Transport::Any, text)
        };
        let (host, port) = rest.rsplit_once(':').ok_or(fault)?;
        let port = port.parse().map_err(|_| fault)?;
        let bare = match host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
        {
            Some(inside) => inside.parse::<std::net::Ipv6Addr>().is_ok(),
            None => !host.is_empty() && !host.contains([':', '/', '[', ']', ' ', '@']),
        };
        if !bare {
            return Err(fault);
        }
        Ok(Address::Tcp {
            host: host.to_owned(),
            port,
            transport,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
            Address::Tcp { host, port, .. } => write!(f, "{host}:{port}"),
        }
    }
}

/// An address or a network of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    base: IpAddr,
    bits: u32,
}

impl Network {
    /// Whether an address lies in the network; an IPv4 address that arrives in
    /// IPv6 clothes is the same address.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.base, address.to_canonical()) {
            (IpAddr::V4(base), IpAddr::V4(other)) => {
                let mask = u32::MAX.checked_shl(32 - self.bits).unwrap_or(0);
                base.to_bits() & mask == other.to_bits() & mask
            }
            (IpAddr::V6(base), IpAddr::V6(other)) => {
                let mask = u128::MAX.checked_shl(128 - self.bits).unwrap_or(0);
                base.to_bits() & mask == other.to_bits() & mask
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Network, &'static str> {
        let fault = "is no address and no network such as \"10.0.0.0/8\"";
        let (base, bits) = match text.split_once('/') {
            Some((base, bits)) => (base, Some(bits.parse::<u32>().map_err(|_| fault)?)),
            None => (text, None),
        };
        let base: IpAddr = base.parse().map_err(|_| fault)?;
        let width = if base.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(width);
        if bits > width {
            return Err(fault);
        }
        Ok(Network { base, bits })
    }
}

/// Whether an address is this machine.
pub fn is_loopback(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => address.is_loopback(),
        IpAddr::V6(address) => address.is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_settings_write_them() {
        for good in [
            "127.0.0.1:8008",
            "[::1]:0",
            "localhost:80",
            "https://[::]:8443",
            "http://0.0.0.0:80",
            "unix:/run/k.sock",
        ] {
            assert!(good.parse::<Address>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "8008",
            "127.0.0.1",
            "::1:8008",
            "[::1]",
            "a b:1",
            "host:70000",
            "unix:",
            "ftp://a:1",
            "https://h/x:1",
        ] {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_network_contains_its_addresses_only() {
        for (network, address, inside) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.8", false),
            ("192.0.2.0/24", "::ffff:192.0.2.9", true),
            ("0.0.0.0/0", "203.0.113.5", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("fd00::/8", "fd12::1", true),
            ("fd00::/8", "fe80::1", false),
            ("::/0", "2001:db8::1", true),
        ] {
            let network: Network = network.parse().unwrap();
            assert_eq!(
                network.contains(address.parse().unwrap()),
                inside,
                "{network:?} {address}"
            );
        }
        for bad in ["", "10.0.0.0/33", "::/129", "10.0.0/8", "10.0.0.0/-1", "x"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }
}
