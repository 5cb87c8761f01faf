//! Stand-ins of what names a thing: UUIDs, network addresses, hardware addresses. Pseudonyms lie
//! where nothing real can: UUIDs of version 8, addresses reserved or kept for documents, hardware
//! addresses given out by nobody.
//!
//! ```text
//! inet, cidr: | family u8 (2: IPv4, 3: IPv6) | prefix bits u8 | cidr u8 | length u8 | address
//! ```

use std::io::Write;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

use crate::model::mask::Strategy;

use super::Cell;
use super::Format;
use super::Shape;
use super::bytes::nibble;
use super::keys::Keys;
use super::keys::Kind;
use super::keys::Purpose;
use super::text::hex_digit;

/// Which key a stand-in takes; `None`: it is fixed.
fn purpose(strategy: Strategy) -> Option<Purpose> {
    match strategy {
        Strategy::Null
        | Strategy::Redact
        | Strategy::Mask
        | Strategy::Fpe
        | Strategy::Partial { .. }
        | Strategy::Year => None,
        Strategy::Hash => Some(Purpose::Hash),
        Strategy::Pseudonym => Some(Purpose::Pseudonym),
    }
}

pub(super) fn uuid(
    strategy: Strategy,
    cell: Cell<'_>,
    keys: &Keys,
    out: &mut Vec<u8>,
) -> Option<()> {
    let value: [u8; 16] = read(cell)?;
    let mut other = [0; 16];
    if let Some(purpose) = purpose(strategy) {
        let bits = u128::from_be_bytes(keys.draw(purpose, Kind::Uuid, &value).bytes());
        // RFC 9562 §5.8: version and variant; the rest is ours.
        let bits = bits & !(0xf << 76) & !(0x3 << 62) | (0x8 << 76) | (0x2 << 62);
        other = bits.to_be_bytes();
    }
    match cell.format {
        Format::Binary => out.extend(other),
        Format::Text => {
            for (at, byte) in other.iter().enumerate() {
                if matches!(at, 4 | 6 | 8 | 10) {
                    out.push(b'-');
                }
                out.extend([byte >> 4, byte & 15].map(hex_digit));
            }
        }
    }
    Some(())
}

pub(super) fn hardware<const N: usize>(
    strategy: Strategy,
    cell: Cell<'_>,
    keys: &Keys,
    out: &mut Vec<u8>,
) -> Option<()> {
    let value: [u8; N] = read(cell)?;
    let mut other = [0; N];
    if let Some(purpose) = purpose(strategy) {
        other = keys.draw(purpose, Kind::Hardware, &value).bytes();
        if let Some(first) = other.first_mut() {
            // One station, locally administered.
            *first = *first & !0b11 | 0b10;
        }
    }
    match cell.format {
        Format::Binary => out.extend(other),
        Format::Text => {
            for (at, byte) in other.iter().enumerate() {
                if at > 0 {
                    out.push(b':');
                }
                out.extend([byte >> 4, byte & 15].map(hex_digit));
            }
        }
    }
    Some(())
}

/// So many bytes, or two hexadecimal digits for each with signs between.
fn read<const N: usize>(cell: Cell<'_>) -> Option<[u8; N]> {
    if cell.format == Format::Binary {
        return cell.bytes.try_into().ok();
    }
    let mut digits = cell.bytes.iter().filter(|byte| !matches!(byte, b'-' | b':'));
    let mut value = [0; N];
    for byte in &mut value {
        let high = nibble(*digits.next()?)?;
        *byte = (high << 4) | nibble(*digits.next()?)?;
    }
    digits.next().is_none().then_some(value)
}

pub(super) fn network(
    strategy: Strategy,
    cell: Cell<'_>,
    keys: &Keys,
    out: &mut Vec<u8>,
) -> Option<()> {
    let (address, bits) = match cell.format {
        Format::Text => network_text(cell.bytes)?,
        Format::Binary => network_binary(cell.bytes)?,
    };
    let drawn = purpose(strategy).map(|purpose| {
        let mut digest = keys.digest(purpose, Kind::Address);
        match address {
            IpAddr::V4(address) => digest.update(&address.octets()),
            IpAddr::V6(address) => digest.update(&address.octets()),
        }
        digest.update(&[bits]);
        digest.finish().bytes::<16>()
    });
    let other = match (address, drawn) {
        (IpAddr::V4(_), None) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        (IpAddr::V6(_), None) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        (IpAddr::V4(_), Some([a, b, c, d, ..])) => {
            // 240.0.0.0/4 (RFC 1112 §4): nobody has one, and there are enough of them to be joined
            // on, other than of those for documents.
            IpAddr::V4(Ipv4Addr::new(0xf0 | (a & 0x0f), b, c, d))
        }
        (IpAddr::V6(_), Some(drawn)) => {
            let low = u128::from_be_bytes(drawn) & (u128::MAX >> 32);
            IpAddr::V6(Ipv6Addr::from((0x2001_0db8 << 96) | low))
        }
    };
    let is_cidr = cell.shape == &Shape::Cidr;
    match (cell.format, other) {
        (Format::Text, other) => {
            write!(out, "{other}").ok()?;
            if is_cidr {
                out.extend_from_slice(if other.is_ipv4() { b"/32" } else { b"/128" });
            }
        }
        (Format::Binary, IpAddr::V4(other)) => {
            out.extend([FAMILY_4, 32, is_cidr.into(), 4]);
            out.extend(other.octets());
        }
        (Format::Binary, IpAddr::V6(other)) => {
            out.extend([FAMILY_6, 128, is_cidr.into(), 16]);
            out.extend(other.octets());
        }
    }
    Some(())
}

fn network_text(text: &[u8]) -> Option<(IpAddr, u8)> {
    let text = std::str::from_utf8(text).ok()?;
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits.parse::<u8>().ok()?)),
        None => (text, None),
    };
    let address = address.parse::<IpAddr>().ok()?;
    let bits_max = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.unwrap_or(bits_max);
    (bits <= bits_max).then_some((address, bits))
}

fn network_binary(cell: &[u8]) -> Option<(IpAddr, u8)> {
    match cell {
        [FAMILY_4, bits @ 0..=32, 0 | 1, 4, address @ ..] => {
            Some((IpAddr::from(<[u8; 4]>::try_from(address).ok()?), *bits))
        }
        [FAMILY_6, bits @ 0..=128, 0 | 1, 16, address @ ..] => {
            Some((IpAddr::from(<[u8; 16]>::try_from(address).ok()?), *bits))
        }
        _ => None,
    }
}

const FAMILY_4: u8 = 2;
const FAMILY_6: u8 = 3;
