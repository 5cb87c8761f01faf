//! What is asked of recordings: when a block counts as kept, and what happens when it cannot be.

/// When a block of a recording counts as durable, and who waits for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Durability {
    /// Written soon, synced when the kernel likes. A power loss loses seconds.
    Async,
    /// Synced in groups, many sessions a sync. Nobody waits.
    #[default]
    Group,
    /// A request is forwarded only after its bytes are synced.
    Request,
    /// As `Request`, and a response is delivered only after its bytes are synced.
    Strict,
}

impl Durability {
    pub const NAMES: [(&'static str, Self); 4] = [
        ("async", Self::Async),
        ("group", Self::Group),
        ("request", Self::Request),
        ("strict", Self::Strict),
    ];
}

/// What becomes of sessions whose recording cannot be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnFailure {
    /// The session ends: nothing crosses unseen.
    #[default]
    Close,
    /// The session goes on, and the recording says what is missing.
    Continue,
}

impl OnFailure {
    pub const NAMES: [(&'static str, Self); 2] =
        [("close", Self::Close), ("continue", Self::Continue)];
}
