//! Kinds of sensitive values that can be told by their content. Knows their names, not how they
//! look.

use crate::limits::SCANNED_PATTERNS_MAX;

/// Declares the entities, so that names in policies and in output have one source.
macro_rules! entities {
    ($($(#[$doc:meta])* $entity:ident => $text:literal,)*) => {
        /// A kind of sensitive value.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Entity {
            $($(#[$doc])* $entity,)*
            /// The operators' own of this number. What it looks like and what it is called, a
            /// detector knows.
            Own(u8),
        }

        /// Their places in a set.
        #[repr(u8)]
        enum Order {
            $($entity,)*
            Own,
        }

        impl Entity {
            /// All that are built in, in the order of their declaration.
            pub const ALL: &'static [Self] = &[$(Self::$entity),*];

            /// As policies spell it; `None` of operators' own.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self {
                    $(Self::$entity => Some($text),)*
                    Self::Own(_) => None,
                }
            }

            /// Its place among all of them, those first that are built in.
            #[must_use]
            pub const fn index(self) -> usize {
                match self {
                    $(Self::$entity => Order::$entity as usize,)*
                    Self::Own(number) => Order::Own as usize + number as usize,
                }
            }
        }
    };
}

entities! {
    Email => "email",
    /// The password in `scheme://user:password@host`.
    UrlCredentials => "url_credentials",
    /// A payment card's number.
    Pan => "pan",
    /// With its dashes; without them it is any number of nine digits.
    UsSsn => "us_ssn",
    /// In international notation, from its `+` on.
    Phone => "phone",
    Iban => "iban",
    Jwt => "jwt",
    AwsKey => "aws_key",
    GithubToken => "github_token",
    GitlabToken => "gitlab_token",
    SlackToken => "slack_token",
    StripeKey => "stripe_key",
    GoogleKey => "google_key",
    NpmToken => "npm_token",
    PypiToken => "pypi_token",
    SendgridKey => "sendgrid_key",
    HfToken => "hf_token",
    DigitaloceanToken => "digitalocean_token",
    ShopifyToken => "shopify_token",
    VaultToken => "vault_token",
    OpenaiKey => "openai_key",
    AnthropicKey => "anthropic_key",
    /// A private key in PEM, from `BEGIN` to `END`.
    PrivateKey => "private_key",
}

impl Entity {
    /// The built-in entity that configuration spells `name`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|entity| entity.name() == Some(name))
    }

    /// Those that are built in, and operators' own of all numbers.
    pub fn every() -> impl Iterator<Item = Self> {
        (0..Self::COUNT).filter_map(Self::at)
    }

    fn at(index: usize) -> Option<Self> {
        let own = || u8::try_from(index.checked_sub(Self::ALL.len())?).ok().map(Self::Own);
        Self::ALL.get(index).copied().or_else(own)
    }

    /// How many there can be.
    const COUNT: usize = Self::ALL.len() + SCANNED_PATTERNS_MAX;
}

impl std::fmt::Display for Entity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "own-{}", self.index() - Self::ALL.len()),
        }
    }
}

/// Any number of entities, each once.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct EntitySet(u64);

const _: () = assert!(Entity::COUNT <= u64::BITS as usize);

/// What belongs to a person, and opens nothing.
const PERSONAL: EntitySet = EntitySet::NONE
    .with(Entity::Email)
    .with(Entity::Pan)
    .with(Entity::UsSsn)
    .with(Entity::Phone)
    .with(Entity::Iban);

impl EntitySet {
    pub const NONE: Self = Self(0);
    /// All that are built in.
    pub const ALL: Self = Self((1 << Entity::ALL.len()) - 1);
    /// What opens something to whoever has it. Never kept, whatever policy says.
    pub const CREDENTIALS: Self = Self(Self::ALL.0 & !PERSONAL.0);

    #[must_use]
    pub const fn with(self, entity: Entity) -> Self {
        Self(self.0 | 1 << entity.index())
    }

    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    #[must_use]
    pub const fn contains(self, entity: Entity) -> bool {
        self.0 & 1 << entity.index() != 0
    }

    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// In the order of their declaration.
    pub fn iter(self) -> impl Iterator<Item = Entity> {
        Entity::every().filter(move |entity| self.contains(*entity))
    }
}

impl FromIterator<Entity> for EntitySet {
    fn from_iter<I: IntoIterator<Item = Entity>>(entities: I) -> Self {
        entities.into_iter().fold(Self::NONE, Self::with)
    }
}

impl std::fmt::Debug for EntitySet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}
