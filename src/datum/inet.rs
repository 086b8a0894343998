//! `inet` and `cidr`: addresses with the length of a network.

use std::cmp::Ordering;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::DatumError;

/// An address with how many bits of it are the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Inet {
    pub(crate) address: IpAddr,
    pub(crate) bits: u8,
}

const fn full(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

impl Inet {
    /// Reads it; a `cidr` may be abbreviated and has no bits behind its network.
    pub(crate) fn parse(text: &str, cidr: bool) -> Result<Self, DatumError> {
        let name = if cidr { "cidr" } else { "inet" };
        let syntax = || DatumError::syntax(name, text);
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let (address, implied) = match address.parse::<IpAddr>() {
            Ok(address) => (address, full(address)),
            Err(_) => abbreviated(address, cidr).ok_or_else(syntax)?,
        };
        let bits = match bits {
            None => implied,
            Some(bits) if bits.len() <= 3 && bits.bytes().all(|b| b.is_ascii_digit()) => bits
                .parse()
                .ok()
                .filter(|bits| *bits <= full(address))
                .ok_or_else(syntax)?,
            Some(_) => return Err(syntax()),
        };
        let found = Self { address, bits };
        if cidr && found.network() != address {
            return Err(DatumError::Malformed {
                message: format!("invalid cidr value: \"{text}\""),
                detail: "Value has bits set to right of mask.".to_owned(),
            });
        }
        Ok(found)
    }

    fn compare(self, other: Self) -> Ordering {
        let bits = self.bits.min(other.bits);
        let shared = |one: Self| Self { bits, ..one }.network();
        let common = shared(self).cmp(&shared(other));
        common
            .then(self.bits.cmp(&other.bits))
            .then_with(|| self.address.cmp(&other.address))
    }

    /// Its address without the bits behind the network.
    fn network(self) -> IpAddr {
        match self.address {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.bits)).unwrap_or(0);
                Ipv4Addr::from_bits(address.to_bits() & mask).into()
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX
                    .checked_shl(128 - u32::from(self.bits))
                    .unwrap_or(0);
                Ipv6Addr::from_bits(address.to_bits() & mask).into()
            }
        }
    }

    /// As PostgreSQL prints it: an `inet` without the length of a single address.
    pub(crate) fn text(self, cidr: bool) -> String {
        let address = match self.address {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => v6_text(address),
        };
        if self.bits == full(self.address) && !cidr {
            address
        } else {
            format!("{address}/{}", self.bits)
        }
    }

    pub(super) fn from_binary(bytes: &[u8], cidr: bool) -> Option<Self> {
        let (head, address) = bytes.split_first_chunk::<4>()?;
        let [family, bits, _is_cidr, len] = *head;
        let address: IpAddr = match (family, len) {
            (2, 4) => <[u8; 4]>::try_from(address).ok()?.into(),
            (3, 16) => <[u8; 16]>::try_from(address).ok()?.into(),
            _ => return None,
        };
        let found = Self { address, bits };
        let fits = bits <= full(address) && (!cidr || found.network() == address);
        fits.then_some(found)
    }

    pub(super) fn write_binary(self, cidr: bool, out: &mut Vec<u8>) {
        match self.address {
            IpAddr::V4(address) => {
                out.extend_from_slice(&[2, self.bits, u8::from(cidr), 4]);
                out.extend_from_slice(&address.octets());
            }
            IpAddr::V6(address) => {
                out.extend_from_slice(&[3, self.bits, u8::from(cidr), 16]);
                out.extend_from_slice(&address.octets());
            }
        }
    }
}

/// `10.1` as a `cidr` is `10.1.0.0/16`; an `inet` of fewer than four parts is none.
fn abbreviated(text: &str, cidr: bool) -> Option<(IpAddr, u8)> {
    if !cidr {
        return None;
    }
    let mut octets = [0_u8; 4];
    let mut given = 0_u8;
    let mut slots = octets.iter_mut();
    for part in text.split('.') {
        *slots.next()? = part.parse().ok()?;
        given += 8;
    }
    let [first, ..] = octets;
    // As the classes of old had it, if that is longer than what was written.
    let class = match first {
        240.. => 32,
        224.. => 8,
        192.. => 24,
        128.. => 16,
        0.. => 8,
    };
    Some((octets.into(), given.max(class)))
}

/// As the standard library, but an IPv4 address at the end of zeros keeps its points.
fn v6_text(address: Ipv6Addr) -> String {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, high, _] if high != 0 => {
            let [.., a, b, c, d] = address.octets();
            format!("::{}", Ipv4Addr::new(a, b, c, d))
        }
        _ => address.to_string(),
    }
}

/// Orders stored forms of `inet`: by family, network, length of the network, then address.
#[must_use]
pub fn inet_compare(one: &str, other: &str) -> Ordering {
    match (Inet::parse(one, false), Inet::parse(other, false)) {
        (Ok(left), Ok(right)) => left.compare(right),
        (Ok(_), Err(_)) => Ordering::Greater,
        (Err(_), Ok(_)) => Ordering::Less,
        (Err(_), Err(_)) => one.cmp(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_ordered_by_family_and_network() {
        let rising = [
            "9.0.0.1",
            "10.0.0.0/8",
            "10.0.0.1/8",
            "10.0.0.0/16",
            "10.0.0.1",
            "10.0.0.10",
            "::1",
        ];
        for pair in rising.windows(2) {
            assert_eq!(inet_compare(pair[0], pair[1]), Ordering::Less, "{pair:?}");
        }
    }
}
