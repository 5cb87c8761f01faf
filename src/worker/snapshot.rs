//! The tables that a worker decides by, built once a (re)load and swapped whole.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ServerConfig};

use crate::config::Config;
use crate::identity::{Gate, Rejection};
use crate::io::tls::{self, TlsConfigError};
use crate::judge::policy::{Circumstances, Library, SessionPolicy, UnknownPolicy};
use crate::mask::cell::Keys;
use crate::model::identity::{AccountName, Principal};
use crate::model::target::{Connection, Protocol, Target, TargetName};
use crate::model::time::Now;
use crate::session::bucket::Bucket;
use crate::session::{Admission, Input};
use crate::wire::{self, Login};
use crate::worker::shared::Shared;

pub struct Snapshot {
    pub version: Arc<str>,
    gate: Gate,
    library: Arc<Library>,
    mask_keys: Arc<Keys>,
    connections: HashMap<(AccountName, TargetName), Arc<Connection>>,
    destinations: HashMap<TargetName, Arc<Destination>>,
    listeners: HashMap<SocketAddr, Arc<Door>>,
}

/// A target and how its leg is protected.
pub struct Destination {
    pub target: Arc<Target>,
    pub tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
}

/// A listener: what it leads to and how its leg is protected.
pub struct Door {
    pub bind: SocketAddr,
    pub protocol: Protocol,
    pub target: TargetName,
    pub tls: Option<Arc<ServerConfig>>,
}

/// Why a login goes no further.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("{0}")]
    Token(#[from] Rejection),
    #[error("the listener leads to {listener}, the user name asks for {asked}")]
    OtherTarget { listener: TargetName, asked: String },
    #[error("{account} has no connection to {target}")]
    NoConnection { account: AccountName, target: TargetName },
    #[error(transparent)]
    Policy(#[from] UnknownPolicy),
    #[error("the target left the configuration")]
    TargetGone,
}

/// What keeps a configuration from being served.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("listener {bind}")]
    Listener { bind: SocketAddr, source: Box<TlsConfigError> },
    #[error("target {target}")]
    Target { target: TargetName, source: Box<TlsConfigError> },
}

impl Snapshot {
    /// Reads certificates and keys; blocks.
    pub fn build(config: &Config, gate: Gate, mask_keys: Arc<Keys>) -> Result<Self, BuildError> {
        let mut destinations = HashMap::new();
        for target in &config.targets {
            let tls = client_side(target).map_err(|source| BuildError::Target {
                target: target.name.clone(),
                source: Box::new(source),
            })?;
            let destination = Destination { target: Arc::clone(target), tls };
            destinations.insert(target.name.clone(), Arc::new(destination));
        }
        let mut listeners = HashMap::new();
        for listener in &config.listeners {
            let Some(destination) = destinations.get(&listener.target) else { continue };
            let protocol = destination.target.protocol;
            let tls = match &listener.tls {
                None => None,
                Some(files) => {
                    Some(tls::server_config(files, &[wire::alpn(protocol)]).map_err(|source| {
                        BuildError::Listener { bind: listener.bind, source: Box::new(source) }
                    })?)
                }
            };
            let door = Door { bind: listener.bind, protocol, target: listener.target.clone(), tls };
            listeners.insert(listener.bind, Arc::new(door));
        }
        let connections = config
            .connections
            .iter()
            .map(|connection| {
                let key = (connection.account.clone(), connection.target.clone());
                (key, Arc::clone(connection))
            })
            .collect();
        Ok(Self {
            version: Arc::from(config.version.as_str()),
            gate,
            library: Arc::clone(&config.policies),
            mask_keys,
            connections,
            destinations,
            listeners,
        })
    }

    /// Token to admission: who it is, which connection, under which policy.
    pub fn admit(
        &self,
        login: &Login,
        door: &Door,
        shared: &Shared,
        now: Now,
    ) -> Result<Admission, Refused> {
        let admitted = login.token.with(|token| self.gate.admit(&login.user, token, now))?;
        if let Some(asked) = admitted.target_hint
            && asked != *door.target
        {
            return Err(Refused::OtherTarget { listener: door.target.clone(), asked });
        }
        let principal = admitted.principal;
        let key = (principal.account.clone(), door.target.clone());
        let Some(connection) = self.connections.get(&key) else {
            let (account, target) = key;
            return Err(Refused::NoConnection { account, target });
        };
        let destination = self.destinations.get(&door.target).ok_or(Refused::TargetGone)?;
        let database = if login.database.is_empty() { &login.user } else { &login.database };
        let policy = self.bind(connection, &principal, &destination.target, database)?;
        Ok(Admission {
            principal,
            target: destination.target.clone(),
            connection: connection.clone(),
            policy,
            config_version: self.version.clone(),
            mask_keys: self.mask_keys.clone(),
            bucket: bucket(connection, shared, now),
        })
    }

    /// What a live session gets under this snapshot; `None` if its connection is gone or does not open
    /// its database any more.
    #[must_use]
    pub fn rebind(
        &self,
        admission: &Admission,
        database: &str,
        shared: &Shared,
        now: Now,
    ) -> Option<Input> {
        let key = (admission.principal.account.clone(), admission.target.name.clone());
        let connection = self.connections.get(&key)?;
        let destination = self.destinations.get(&admission.target.name)?;
        if !connection.opens(database) || !self.gate.still_admits(&admission.principal) {
            return None;
        }
        let policy =
            self.bind(connection, &admission.principal, &destination.target, database).ok()?;
        let config_version = self.version.clone();
        Some(Input::PolicyChanged {
            policy,
            config_version,
            bucket: bucket(connection, shared, now),
        })
    }

    fn bind(
        &self,
        connection: &Connection,
        principal: &Principal,
        target: &Target,
        database: &str,
    ) -> Result<SessionPolicy, UnknownPolicy> {
        let labels = &target.labels;
        let circumstances = Circumstances { principal, labels, target: &target.name, database };
        self.library.bind(&connection.policies, &circumstances)
    }

    #[must_use]
    pub fn door(&self, bind: SocketAddr) -> Option<Arc<Door>> {
        self.listeners.get(&bind).cloned()
    }

    #[must_use]
    pub fn destination(&self, target: &str) -> Option<Arc<Destination>> {
        self.destinations.get(target).cloned()
    }

    pub fn binds(&self) -> impl Iterator<Item = SocketAddr> {
        self.listeners.keys().copied()
    }
}

fn bucket(connection: &Connection, shared: &Shared, now: Now) -> Option<Arc<Bucket>> {
    let per_minute = connection.statements_per_minute_max?;
    Some(shared.bucket(&connection.name(), per_minute, now))
}

fn client_side(
    target: &Target,
) -> Result<Option<(Arc<ClientConfig>, ServerName<'static>)>, TlsConfigError> {
    // The target is asked for TLS in its protocol's own way, so no application protocol is named.
    let config = tls::client_config(&target.tls, target.client_cert.as_ref(), &[])?;
    let Some(config) = config else { return Ok(None) };
    Ok(Some((config, tls::server_name(&target.tls, &target.host)?)))
}
