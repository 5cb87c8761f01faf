//! What a candidate must be to count. One file a family; each takes the cell and a place in it and
//! gives the value's range. They walk a bounded way, or one that no other candidate walks again.

pub(super) mod email;
pub(super) mod iban;
pub(super) mod jwt;
pub(super) mod pan;
pub(super) mod pem;
pub(super) mod phone;
pub(super) mod ssn;
pub(super) mod token;
pub(super) mod url;
