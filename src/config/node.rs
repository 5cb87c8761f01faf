//! Sections about this machine: `[node]`, `[recording]`, `[[sink]]`.

use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::config::section::{Field, Section, optional};
use crate::config::target;
use crate::config::{
    Admin, DriverChoice, Log, LogFormat, LogLevel, Node, Recording, Sink, Workers,
};
use crate::identity::vault::Vault;
use crate::limits::{SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN, WORKERS_MAX};
use crate::model::recording::{Durability, OnFailure};

pub fn node(section: Section<'_>) -> Option<Node> {
    let name = section.require("name", "give the node a name, such as \"edge-1\"");
    let name = name.and_then(|field| field.name()).map(str::to_owned);
    let state_dir = state_dir(&section);
    let workers = section.find("workers").map_or(Some(Workers::Auto), |field| workers(&field));
    let driver = match section.find("io").and_then(|field| field.section()) {
        None => Some(DriverChoice::Auto),
        Some(io) => {
            let choices = [
                ("auto", DriverChoice::Auto),
                ("uring", DriverChoice::Uring),
                ("epoll", DriverChoice::Epoll),
            ];
            let driver =
                io.find("driver").map_or(Some(DriverChoice::Auto), |field| field.choice(&choices));
            io.finish();
            driver
        }
    };
    let log = match section.find("log").and_then(|field| field.section()) {
        None => Some(Log { format: LogFormat::Text, level: LogLevel::Info }),
        Some(log_section) => log(log_section),
    };
    let vault_section = section.find("vault").and_then(|field| field.section());
    let vault = state_dir.as_deref().and_then(|state_dir| vault(vault_section, state_dir));
    let admin_section = section.find("admin").and_then(|field| field.section());
    let admin = match (admin_section, &state_dir) {
        (Some(admin_section), Some(state_dir)) => {
            admin(admin_section, state_dir.join("admin.sock"))
        }
        (None, Some(state_dir)) => {
            Some(Admin { socket: state_dir.join("admin.sock"), bind: None, tls: None })
        }
        (_, None) => None,
    };
    section.finish();
    Some(Node {
        name: name?,
        state_dir: state_dir?,
        workers: workers?,
        vault: vault?,
        admin: admin?,
        driver: driver?,
        log: log?,
    })
}

fn state_dir(section: &Section<'_>) -> Option<PathBuf> {
    let default = || Some(PathBuf::from("/var/lib/narrows"));
    section.find("state_dir").map_or_else(default, |field| field.path())
}

/// The vault's place, for commands that must work before the rest of the configuration does.
pub fn vault_alone(section: &Section<'_>) -> Option<Vault> {
    let state_dir = state_dir(section)?;
    vault(section.find("vault").and_then(|field| field.section()), &state_dir)
}

fn vault(section: Option<Section<'_>>, state_dir: &Path) -> Option<Vault> {
    let usual = |name: &str| Some(state_dir.join(name));
    let Some(section) = section else { return Some(Vault::in_state_dir(state_dir)) };
    let file = section.find("file").map_or_else(|| usual("vault.age"), |field| field.path());
    let key = section.find("key").map_or_else(|| usual("vault.key"), |field| field.path());
    section.finish();
    Some(Vault::new(file?, key?))
}

fn workers(field: &Field<'_>) -> Option<Workers> {
    if field.is_text() {
        return field.choice(&[("auto", Workers::Auto)]);
    }
    let count = field.integer(1..u64::from(WORKERS_MAX) + 1)?;
    u16::try_from(count).ok().map(Workers::Exactly)
}

fn log(section: Section<'_>) -> Option<Log> {
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    let levels = [
        ("error", LogLevel::Error),
        ("warn", LogLevel::Warn),
        ("info", LogLevel::Info),
        ("debug", LogLevel::Debug),
        ("trace", LogLevel::Trace),
    ];
    let format =
        section.find("format").map_or(Some(LogFormat::Text), |field| field.choice(&formats));
    let level = section.find("level").map_or(Some(LogLevel::Info), |field| field.choice(&levels));
    section.finish();
    Some(Log { format: format?, level: level? })
}

fn admin(section: Section<'_>, default_socket: PathBuf) -> Option<Admin> {
    /// `sun_path` of Linux, with its closing zero.
    const SOCKET_PATH_BYTES_MAX: usize = 107;
    let socket = match section.find("socket") {
        None => Some(default_socket),
        Some(field) => field.path().filter(|path| {
            let fits = path.as_os_str().as_bytes().len() <= SOCKET_PATH_BYTES_MAX;
            if !fits {
                let message = "the admin socket's path is too long for the kernel";
                field.place.problem(message, format!("use at most {SOCKET_PATH_BYTES_MAX} bytes"));
            }
            fits
        }),
    };
    let tls = section.find("tls").map(|field| {
        let section = field.section()?;
        let files = target::key_pair(&section, true);
        section.finish();
        files?
    });
    let bind = section.find("bind").map(|field| {
        let address: SocketAddr =
            field.parsed(|text| text.parse().ok(), "an address", "such as \"127.0.0.1:7070\"")?;
        if !address.ip().is_loopback() && tls.is_none() {
            let hint = "bind it to a loopback address, or give it a certificate: \
                        tls = { cert = \"…\", key = \"…\" }";
            field.place.problem("the admin address is not on loopback and speaks plain HTTP", hint);
        }
        Some(address)
    });
    if bind.is_none() && tls.is_some() {
        section.place.problem("the certificate has no address to stand at", "add `bind`");
    }
    section.finish();
    Some(Admin { socket: socket?, bind: optional(bind)?, tls: optional(tls)? })
}

pub fn recording(section: Option<Section<'_>>, state_dir: &Path) -> Option<Recording> {
    const SEGMENT_BYTES: u64 = 64 << 20;
    let mut recording = Recording {
        durability: Durability::Group,
        on_failure: OnFailure::Close,
        segment_bytes: SEGMENT_BYTES,
        dir: state_dir.join("recordings"),
    };
    let Some(section) = section else { return Some(recording) };
    if let Some(field) = section.find("durability") {
        recording.durability = field.choice(&Durability::NAMES)?;
    }
    if let Some(field) = section.find("on_failure") {
        recording.on_failure = field.choice(&OnFailure::NAMES)?;
    }
    if let Some(field) = section.find("segment") {
        recording.segment_bytes = field.size_bytes(SEGMENT_BYTES_MIN..SEGMENT_BYTES_MAX + 1)?;
    }
    section.refuse_later(&["retain"]);
    section.finish();
    Some(recording)
}

pub fn sink(section: Section<'_>) -> Option<Sink> {
    let kind = section.require("kind", "the kind of sink: \"file\"").and_then(|field| {
        if ["syslog", "https", "otlp"].contains(&field.text()?) {
            field.refuse_later();
            return None;
        }
        field.choice(&[("file", ())])
    });
    let path = section.require("path", "the file that events are appended to");
    let path = path.and_then(|field| field.path());
    section.finish();
    kind.and(path).map(|path| Sink::File { path })
}
