//! Programs of other languages, each unchanged: straight at the servers, which proves the program,
//! and through the gateway, which proves the gateway. See tests/clients/README.md.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::endpoint::Endpoint;
use crate::support::postgres::{Role, Version};
use crate::support::process::run;
use crate::world;

/// `$role` is what the gateway logs in as, so that every method of login meets a driver.
macro_rules! client {
    ($name:ident, $role:expr, $command:expr) => {
        mod $name {
            use super::*;

            #[test]
            fn works_without_the_gateway() {
                for version in [Version::V15, Version::V18] {
                    directly(stringify!($name), version, &mut $command);
                }
            }

            #[test]
            fn works_through_the_gateway() {
                for version in [Version::V15, Version::V18] {
                    through(stringify!($name), version, $role, &mut $command);
                }
            }
        }
    };
}

client!(psycopg, Role::App, python("psycopg_checks.py"));
client!(asyncpg, Role::Md5, python("asyncpg_checks.py"));
client!(node_postgres, Role::Cleartext, node("checks.mjs"));
client!(pgjdbc, Role::Cert, java("Checks"));
client!(pgx, Role::Trust, go("pgx"));
client!(lib_pq, Role::Plain, go("pq"));
client!(psql_pg_dump_pgbench, Role::App, shell("checks.sh"));

fn directly(client: &str, version: Version, command: &mut Command) {
    let database = world::database(version, &format!("direct_{client}"));
    let server = world::postgres(version);
    server.add_pgbench(&database);
    let endpoint = Endpoint::direct(server, Role::App, &database, world::pki().ca());
    let checks = endpoint.run_client(command);
    assert!(checks.len() >= 12, "{client} against {version:?}: {checks:?}");
}

fn through(client: &str, version: Version, role: Role, command: &mut Command) {
    let database = world::database(version, &format!("through_{client}"));
    world::postgres(version).add_pgbench(&database);
    let endpoint = world::passage().endpoint(version, role, &database);
    assert!(endpoint.password.len() > 1500, "a token of {} bytes", endpoint.password.len());
    let checks = endpoint.run_client(command);
    assert!(checks.iter().any(|check| check == "refused"), "{client}, {version:?}: {checks:?}");
}

pub fn python(script: &str) -> Command {
    let mut command = Command::new(support().join(".venv/bin/python"));
    command.arg(clients().join("python").join(script));
    command
}

pub fn node(script: &str) -> Command {
    let mut command = Command::new("node");
    command.arg("--no-deprecation").arg(clients().join("node").join(script));
    command
}

pub fn java(class: &str) -> Command {
    static BUILDING: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let classes = built().join("java");
    {
        let _guard = BUILDING.lock();
        fs::create_dir_all(&classes).unwrap();
        let sources = clients().join("java");
        let source = sources.join(format!("{class}.java"));
        let mut javac = Command::new("javac");
        javac.args(["-cp", JDBC, "-sourcepath"]).arg(sources).arg("-d").args([&classes, &source]);
        run(&mut javac);
    }
    let mut command = Command::new("java");
    command.args(["-Xshare:auto", "-Xmx256m", "-cp"]).arg(format!("{}:{JDBC}", classes.display()));
    command.arg(class);
    command
}

/// Built from Debian's Go sources alone, without a network.
pub fn go(package: &'static str) -> Command {
    static BUILDING: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let program = built().join(package);
    let _guard = BUILDING.lock();
    run(Command::new("go")
        .args(["build", "-o"])
        .arg(&program)
        .arg(clients().join("go").join(package).join("main.go"))
        .envs([("GO111MODULE", "off"), ("GOPATH", "/usr/share/gocode"), ("CGO_ENABLED", "0")])
        .env("GOCACHE", built().join("go-cache"))
        .env("GOFLAGS", ""));
    Command::new(program)
}

pub fn shell(script: &str) -> Command {
    Command::new(clients().join("shell").join(script))
}

fn support() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support")
}

fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

/// Where built client programs lie: beside what cargo builds.
fn built() -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients");
    fs::create_dir_all(&path).unwrap();
    path
}

const JDBC: &str = "/usr/share/java/postgresql.jar";
