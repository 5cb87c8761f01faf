//! The servers themselves, without the gateway: what the other tests take for granted.

use crate::support::endpoint::Endpoint;
use crate::support::postgres::{Role, Version};
use crate::support::raw::Raw;
use crate::world;

#[test]
fn every_method_but_certificates_lets_a_password_in() {
    for version in [Version::V15, Version::V18] {
        let server = world::postgres(version);
        for role in [Role::App, Role::Md5, Role::Cleartext, Role::Trust] {
            let endpoint = Endpoint::direct(server, role, "shop", world::pki().ca());
            let mut psql = std::process::Command::new("psql");
            endpoint
                .prepare(&mut psql)
                .args(["-XAtc", "SELECT current_user, count(*) FROM orders"]);
            let output = crate::support::process::run(&mut psql);
            assert_eq!(output, format!("{}|600\n", role.name()), "{version:?}");
        }
    }
}

#[test]
fn a_raw_client_sees_exact_answers() {
    for version in [Version::V15, Version::V18] {
        let server = world::postgres(version);
        let endpoint = Endpoint::direct(server, Role::Cleartext, "shop", world::pki().ca());
        let mut raw = Raw::login(&endpoint);
        assert_eq!(raw.query("SELECT 1; SELECT 2"), "T D C(SELECT 1) T D C(SELECT 1) Z(I)");
        assert_eq!(raw.query("SELECT * FROM nowhere"), "E(42P01) Z(I)");
        assert!(server.log().contains("SELECT 1; SELECT 2"));
    }
}
