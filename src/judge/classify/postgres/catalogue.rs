//! The system relations that say more than a bot should read. Judged by the last part of a name,
//! in whatever schema: a table of a user's with such a name is flagged too.

/// True for relations that hold password hashes, other users' statements, samples of table
/// contents, connection strings or the server's files.
pub(super) fn is_sensitive(name: &str) -> bool {
    // A table that keeps the long values of another.
    SENSITIVE.binary_search(&name).is_ok() || name.starts_with("pg_toast_")
}

/// True for relations that the server itself keeps; writing to them is administration.
pub(super) fn is_system(schema: Option<&str>, name: &str) -> bool {
    match schema {
        Some(schema) => matches!(schema, "pg_catalog" | "information_schema" | "pg_toast"),
        None => name.starts_with("pg_"),
    }
}

const SENSITIVE: &[&str] = &[
    "_pg_user_mappings",
    "pg_authid",
    "pg_backend_memory_contexts",
    "pg_db_role_setting",
    "pg_file_settings",
    "pg_hba_file_rules",
    "pg_ident_file_mappings",
    "pg_largeobject",
    "pg_qualstats",
    "pg_qualstats_all",
    "pg_qualstats_pretty",
    "pg_replication_origin_status",
    "pg_shadow",
    "pg_shmem_allocations",
    "pg_stat_activity",
    "pg_stat_gssapi",
    "pg_stat_monitor",
    "pg_stat_replication",
    "pg_stat_ssl",
    "pg_stat_statements",
    "pg_stat_subscription",
    "pg_stat_wal_receiver",
    "pg_statistic",
    "pg_statistic_ext_data",
    "pg_stats",
    "pg_stats_ext",
    "pg_stats_ext_exprs",
    "pg_store_plans",
    "pg_subscription",
    "pg_user_mapping",
    "pg_user_mappings",
    "user_mapping_options",
];

#[cfg(test)]
mod tests {
    #[test]
    fn the_list_is_in_the_order_that_the_search_needs() {
        assert!(super::SENSITIVE.is_sorted());
    }
}
