//! The prefixes that mark tokens and keys, and how they are found: three bytes of each are its mark,
//! and marks are looked up by a hash (each position) or by nibbles (whole vectors).

use std::sync::Arc;

use crate::limits::SCANNED_PATTERNS_MAX;
use crate::model::entity::{Entity, EntitySet};
use crate::scan::pattern::Pattern;
use crate::scan::validate::token::{Body, UNBOUNDED};

/// A prefix, and what must follow it.
#[derive(Debug)]
pub(super) struct Literal {
    pub(super) entity: Entity,
    pub(super) text: &'static [u8],
    /// Where in the text its mark is: the three bytes of it that are rarest elsewhere.
    pub(super) mark: usize,
    pub(super) shape: Shape,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    Token(Body),
    Jwt,
    Pem,
}

impl Literal {
    const fn token(entity: Entity, text: &'static [u8], mark: usize, body: Body) -> Self {
        Self { entity, text, mark, shape: Shape::Token(body) }
    }

    pub(super) fn mark(&self) -> [u8; MARK_BYTES] {
        let bytes = self.text.get(self.mark..).and_then(|rest| rest.first_chunk());
        bytes.copied().unwrap_or_default()
    }
}

pub(super) const MARK_BYTES: usize = 3;

pub(super) const LITERALS: &[Literal] = &[
    Literal { entity: Entity::Jwt, text: b"eyJ", mark: 0, shape: Shape::Jwt },
    Literal { entity: Entity::PrivateKey, text: b"-----BEGIN ", mark: 5, shape: Shape::Pem },
    Literal::token(Entity::AwsKey, b"AKIA", 1, Body::Capitals(16)),
    Literal::token(Entity::AwsKey, b"ASIA", 0, Body::Capitals(16)),
    Literal::token(Entity::AwsKey, b"ABIA", 0, Body::Capitals(16)),
    Literal::token(Entity::AwsKey, b"ACCA", 0, Body::Capitals(16)),
    Literal::token(Entity::GithubToken, b"ghp_", 0, Body::Checked),
    Literal::token(Entity::GithubToken, b"gho_", 0, Body::Checked),
    Literal::token(Entity::GithubToken, b"ghu_", 0, Body::Checked),
    Literal::token(Entity::GithubToken, b"ghs_", 0, Body::Checked),
    Literal::token(Entity::GithubToken, b"ghr_", 0, Body::Checked),
    Literal::token(Entity::GithubToken, b"github_pat_", 5, Body::Parts(22, b'_', 59)),
    Literal::token(Entity::GitlabToken, b"glpat-", 0, Body::Tokens(20, UNBOUNDED)),
    Literal::token(Entity::SlackToken, b"xoxa-", 0, Body::Dashed),
    Literal::token(Entity::SlackToken, b"xoxb-", 0, Body::Dashed),
    Literal::token(Entity::SlackToken, b"xoxe-", 0, Body::Dashed),
    Literal::token(Entity::SlackToken, b"xoxp-", 0, Body::Dashed),
    Literal::token(Entity::SlackToken, b"xoxr-", 0, Body::Dashed),
    Literal::token(Entity::SlackToken, b"xoxs-", 0, Body::Dashed),
    Literal::token(Entity::SlackToken, b"xapp-", 0, Body::Dashed),
    Literal::token(Entity::StripeKey, b"sk_live_", 0, Body::Words(16, 255)),
    Literal::token(Entity::StripeKey, b"sk_test_", 0, Body::Words(16, 255)),
    Literal::token(Entity::StripeKey, b"rk_live_", 0, Body::Words(16, 255)),
    Literal::token(Entity::StripeKey, b"rk_test_", 0, Body::Words(16, 255)),
    Literal::token(Entity::GoogleKey, b"AIza", 0, Body::Tokens(35, 35)),
    Literal::token(Entity::GoogleKey, b"ya29.", 0, Body::Tokens(20, UNBOUNDED)),
    Literal::token(Entity::NpmToken, b"npm_", 1, Body::Words(36, 36)),
    Literal::token(Entity::PypiToken, b"pypi-AgE", 4, Body::Tokens(50, UNBOUNDED)),
    Literal::token(Entity::SendgridKey, b"SG.", 0, Body::Parts(22, b'.', 43)),
    Literal::token(Entity::HfToken, b"hf_", 0, Body::Words(34, 40)),
    Literal::token(Entity::DigitaloceanToken, b"dop_v1_", 3, Body::Hex(64)),
    Literal::token(Entity::DigitaloceanToken, b"doo_v1_", 3, Body::Hex(64)),
    Literal::token(Entity::DigitaloceanToken, b"dor_v1_", 3, Body::Hex(64)),
    Literal::token(Entity::ShopifyToken, b"shpat_", 0, Body::Hex(32)),
    Literal::token(Entity::ShopifyToken, b"shpca_", 0, Body::Hex(32)),
    Literal::token(Entity::ShopifyToken, b"shppa_", 0, Body::Hex(32)),
    Literal::token(Entity::ShopifyToken, b"shpss_", 0, Body::Hex(32)),
    Literal::token(Entity::VaultToken, b"hvs.", 0, Body::Tokens(24, UNBOUNDED)),
    Literal::token(Entity::VaultToken, b"hvb.", 0, Body::Tokens(24, UNBOUNDED)),
    Literal::token(Entity::VaultToken, b"hvr.", 0, Body::Tokens(24, UNBOUNDED)),
    Literal::token(Entity::OpenaiKey, b"sk-proj-", 0, Body::Tokens(40, UNBOUNDED)),
    Literal::token(Entity::OpenaiKey, b"sk-svcacct-", 0, Body::Tokens(40, UNBOUNDED)),
    Literal::token(Entity::OpenaiKey, b"sk-admin-", 0, Body::Tokens(40, UNBOUNDED)),
    // The form before projects: no dash, and exactly this long.
    Literal::token(Entity::OpenaiKey, b"sk-", 0, Body::Words(48, 48)),
    Literal::token(Entity::AnthropicKey, b"sk-ant-", 0, Body::Tokens(40, UNBOUNDED)),
];

const _: () = assert!(LITERALS.len() <= u64::BITS as usize);
const _: () = assert!(SCANNED_PATTERNS_MAX <= u64::BITS as usize);

/// The literals of some entities, ready to be looked up.
#[derive(Clone, Debug)]
pub(super) struct Marks {
    /// By a mark's hash, bits of the literals that may have it.
    slots: Box<[u64; SLOTS]>,
    /// The same of operators' patterns; `None` where there are none.
    own: Option<Box<[u64; SLOTS]>>,
    pub(super) nibbles: Nibbles,
}

/// By position in a mark and by low or high nibble, bits of the buckets that marks are dealt to. A
/// mark is only where all six share a bit.
#[derive(Clone, Debug)]
pub(super) struct Nibbles {
    pub(super) low: [[u8; 16]; MARK_BYTES],
    pub(super) high: [[u8; 16]; MARK_BYTES],
}

const SLOTS: usize = 1024;
const BUCKETS: usize = 8;

impl Marks {
    pub(super) fn new(wanted: EntitySet, patterns: &[(Entity, Arc<Pattern>)]) -> Self {
        let mut slots = Box::new([0; SLOTS]);
        let mut marks = Vec::new();
        for (index, literal) in LITERALS.iter().enumerate() {
            if !wanted.contains(literal.entity) {
                continue;
            }
            let mark = literal.mark();
            if let Some(slot) = slots.get_mut(slot(mark)) {
                *slot |= 1 << index;
            }
            marks.push(mark);
        }
        let mut own = None;
        for (index, (_, pattern)) in patterns.iter().enumerate() {
            for needle in pattern.needles() {
                let slots = own.get_or_insert_with(|| Box::new([0; SLOTS]));
                if let Some(slot) = slots.get_mut(slot(needle.mark)) {
                    *slot |= 1 << index;
                }
                marks.push(needle.mark);
            }
        }
        marks.sort_unstable();
        marks.dedup();
        Self { slots, own, nibbles: Nibbles::new(&marks) }
    }

    /// Literals that may have `mark`, as bits. Most other marks have none.
    pub(super) fn candidates(&self, mark: [u8; MARK_BYTES]) -> u64 {
        self.slots.get(slot(mark)).copied().unwrap_or_default()
    }

    /// The same of operators' patterns, by their places in what this was made from.
    pub(super) fn own_candidates(&self, mark: [u8; MARK_BYTES]) -> u64 {
        let slot = self.own.as_ref().and_then(|own| own.get(slot(mark)));
        slot.copied().unwrap_or_default()
    }
}

impl Nibbles {
    /// Neighbours in the order of bytes share a bucket, so that their nibbles mix little.
    fn new(marks: &[[u8; MARK_BYTES]]) -> Self {
        let mut nibbles = Self { low: [[0; 16]; MARK_BYTES], high: [[0; 16]; MARK_BYTES] };
        for (index, mark) in marks.iter().enumerate() {
            let bucket = 1 << (index * BUCKETS / marks.len());
            let tables = nibbles.low.iter_mut().zip(&mut nibbles.high);
            for (byte, (low, high)) in mark.iter().zip(tables) {
                for (table, nibble) in [(low, byte & 0xf), (high, byte >> 4)] {
                    if let Some(buckets) = table.get_mut(usize::from(nibble)) {
                        *buckets |= bucket;
                    }
                }
            }
        }
        nibbles
    }
}

fn slot([a, b, c]: [u8; MARK_BYTES]) -> usize {
    const SPREAD: u32 = 0x9E37_79B1;
    (u32::from_le_bytes([a, b, c, 0]).wrapping_mul(SPREAD) >> 22) as usize
}

const _: () = assert!(1 << (u32::BITS - 22) == SLOTS);
