//! What end-to-end tests stand on: real servers, a real OpenID provider, the gateway itself, and a
//! client that sends exact bytes. Nothing here is a mock.

pub mod endpoint;
pub mod gateway;
pub mod oidc;
pub mod pki;
pub mod postgres;
pub mod process;
pub mod raw;
pub mod shared;
