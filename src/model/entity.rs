//! Kinds of sensitive values that can be told by their content. Knows their names, not how they
//! look.

/// Declares the entities, so that names in policies and in output have one source.
macro_rules! entities {
    ($($(#[$doc:meta])* $entity:ident => $text:literal,)*) => {
        /// A kind of sensitive value.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Entity {
            $($(#[$doc])* $entity,)*
        }

        impl Entity {
            /// In the order of their declaration.
            pub const ALL: &'static [Self] = &[$(Self::$entity),*];

            /// As policies spell it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$entity => $text,)*
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
    /// The entity that configuration spells `name`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|entity| entity.name() == name)
    }
}

impl std::fmt::Display for Entity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Any number of entities, each once.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct EntitySet(u32);

const _: () = assert!(Entity::ALL.len() <= u32::BITS as usize);

/// What belongs to a person, and opens nothing.
const PERSONAL: EntitySet = EntitySet::NONE
    .with(Entity::Email)
    .with(Entity::Pan)
    .with(Entity::UsSsn)
    .with(Entity::Phone)
    .with(Entity::Iban);

impl EntitySet {
    pub const NONE: Self = Self(0);
    pub const ALL: Self = Self((1 << Entity::ALL.len()) - 1);
    /// What opens something to whoever has it. Never kept, whatever policy says.
    pub const CREDENTIALS: Self = Self(Self::ALL.0 & !PERSONAL.0);

    #[must_use]
    pub const fn with(self, entity: Entity) -> Self {
        Self(self.0 | 1 << entity as u32)
    }

    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    #[must_use]
    pub const fn contains(self, entity: Entity) -> bool {
        self.0 & 1 << entity as u32 != 0
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
        Entity::ALL.iter().copied().filter(move |entity| self.contains(*entity))
    }
}

impl FromIterator<Entity> for EntitySet {
    fn from_iter<I: IntoIterator<Item = Entity>>(entities: I) -> Self {
        entities.into_iter().fold(Self::NONE, Self::with)
    }
}

impl std::fmt::Debug for EntitySet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter().map(Entity::name)).finish()
    }
}
