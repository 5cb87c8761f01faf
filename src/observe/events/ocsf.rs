//! The objects of OCSF 1.8.0 that we fill, named as the schema names them. Knows shapes and class
//! numbers; not which event becomes which.

use std::collections::BTreeMap;

use serde::Serialize;
use uuid::Uuid;

use super::OWN_SCHEMA_VERSION;
use crate::model::session::Totals;

/// A class's number.
#[derive(Clone, Copy)]
#[repr(u32)]
pub enum ClassUid {
    EventLog = 1008,
    Authentication = 3002,
    EntityManagement = 3004,
    Api = 6003,
    Datastore = 6005,
}

impl ClassUid {
    pub const fn category_uid(self) -> u32 {
        self as u32 / 1000
    }
}

/// What happened within a class. A name is given where the number says no more than "other".
#[derive(Clone, Copy)]
pub struct Activity {
    pub id: u8,
    pub name: Option<&'static str>,
}

impl Activity {
    // Authentication
    pub const LOGON: Self = Self::numbered(1);
    pub const LOGOFF: Self = Self::numbered(2);
    // Datastore Activity
    pub const UPDATE: Self = Self::numbered(2);
    pub const CONNECT: Self = Self::numbered(3);
    pub const QUERY: Self = Self::numbered(4);
    pub const WRITE: Self = Self::numbered(5);
    pub const CREATE: Self = Self::numbered(6);
    pub const DELETE: Self = Self::numbered(7);
    // Entity Management
    pub const ENTITY_UPDATE: Self = Self::numbered(3);
    // API Activity
    pub const API_CREATE: Self = Self::numbered(1);
    pub const API_UPDATE: Self = Self::numbered(3);
    pub const API_DELETE: Self = Self::numbered(4);
    // Event Log Activity
    pub const START: Self = Self::numbered(6);
    pub const STOP: Self = Self::numbered(7);

    pub const fn other(name: &'static str) -> Self {
        Self { id: 99, name: Some(name) }
    }

    const fn numbered(id: u8) -> Self {
        Self { id, name: None }
    }
}

#[derive(Clone, Copy)]
#[repr(u8)]
pub enum Severity {
    Informational = 1,
    Low = 2,
    Medium = 3,
    High = 4,
    Critical = 5,
}

/// One line. Holds the union of the attributes of our classes; those that a class lacks are absent.
#[derive(Default, Serialize)]
pub struct Record<'a> {
    pub class_uid: u32,
    pub category_uid: u32,
    pub activity_id: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activity_name: Option<&'static str>,
    pub type_uid: u32,
    pub time: u64,
    pub severity_id: u8,
    pub status_id: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_detail: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    pub metadata: Metadata,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<Actor<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<User<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<Session<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<Named<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_protocol_id: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_remote: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<Device<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_name: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api: Option<Api>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entity: Option<Entity<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub src_endpoint: Option<Endpoint<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dst_endpoint: Option<Endpoint<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<Database<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub type_id: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query_info: Option<QueryInfo<'a>>,
    pub action_id: u8,
    pub disposition_id: u8,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_alert: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy<'a>>,
    pub unmapped: Unmapped<'a>,
}

#[derive(Default, Serialize)]
pub struct Metadata {
    pub version: &'static str,
    pub product: Product,
    pub uid: Uuid,
    pub event_code: &'static str,
    pub sequence: u64,
    pub log_name: &'static str,
    pub profiles: &'static [&'static str],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation_uid: Option<String>,
    pub is_truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub untruncated_size: Option<u64>,
}

#[derive(Default, Serialize)]
pub struct Product {
    pub name: &'static str,
    pub vendor_name: &'static str,
    pub version: &'static str,
}

#[derive(Default, Serialize)]
pub struct Actor<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<User<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<Session<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_name: Option<&'static str>,
}

#[derive(Serialize)]
pub struct User<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<&'a str>,
    pub type_id: u8,
}

#[derive(Serialize)]
pub struct Session<'a> {
    pub uid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential_uid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiration_time: Option<u64>,
}

#[derive(Serialize)]
pub struct Named<'a> {
    pub name: &'a str,
}

#[derive(Serialize)]
pub struct Device<'a> {
    pub name: &'a str,
    pub type_id: u8,
}

#[derive(Serialize)]
pub struct Api {
    pub operation: &'static str,
}

#[derive(Serialize)]
pub struct Entity<'a> {
    pub name: &'static str,
    #[serde(rename = "type")]
    pub kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<&'a str>,
}

#[derive(Default, Serialize)]
pub struct Endpoint<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub svc_name: Option<String>,
}

#[derive(Serialize)]
pub struct Database<'a> {
    pub name: &'a str,
    pub type_id: u8,
}

#[derive(Serialize)]
pub struct QueryInfo<'a> {
    pub query_string: &'a str,
    pub uid: String,
    /// Bytes of the answer.
    pub bytes: u64,
}

#[derive(Serialize)]
pub struct Policy<'a> {
    pub name: &'a str,
    pub uid: &'a str,
    pub is_applied: bool,
}

/// Where the schema has no place.
#[derive(Default, Serialize)]
pub struct Unmapped<'a> {
    pub narrows: Own<'a>,
}

#[derive(Serialize)]
pub struct Own<'a> {
    pub schema_version: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exchange: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_us: Option<u64>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub effects: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub totals: Option<&'a Totals>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub claims: BTreeMap<&'a str, String>,
}

impl Default for Own<'_> {
    fn default() -> Self {
        Self {
            schema_version: OWN_SCHEMA_VERSION,
            exchange: None,
            rows: None,
            latency_us: None,
            effects: &[],
            observed: None,
            tag: None,
            scope: None,
            approval: None,
            pattern: None,
            database: None,
            totals: None,
            claims: BTreeMap::new(),
        }
    }
}
