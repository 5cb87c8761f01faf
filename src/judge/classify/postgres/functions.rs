//! Which functions are the server's own, and what they do beyond computing.
//!
//! A user's function is a closed box: calling it runs code that the text does not show. Names are
//! all there is to go by. A user's function that has the name of one of the server's own passes
//! as it, for `search_path` and the types of arguments, which choose between them, are not known
//! here. Effects are judged by the last part of a name, in whatever schema: extensions live in any.

use std::sync::LazyLock;

use crate::model::facts::{Body, Effects, Flags, Origin};

/// Whose the function `name` is that is called with `schema` before it, or without.
pub(super) fn origin(schema: Option<&str>, name: &str) -> Origin {
    let own = match schema {
        None | Some("pg_catalog") => KNOWN.binary_search(&name).is_ok(),
        Some("information_schema") => OF_INFORMATION_SCHEMA.binary_search(&name).is_ok(),
        Some(_) => false,
    };
    if own { Origin::Server } else { Origin::Elsewhere }
}

/// The functions of `pg_catalog`, in the order of their bytes: those of PostgreSQL 15 and of
/// PostgreSQL 18, without those that only the server itself can call. One of a later version
/// counts as unknown until it is listed. `known_functions.txt` tells how to make it again.
static KNOWN: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let lines = include_str!("known_functions.txt").lines();
    lines.filter(|line| !line.starts_with('#')).collect()
});

/// What the views of `information_schema` are made with; drivers ask with some of them too. Only
/// a superuser can add to that schema.
const OF_INFORMATION_SCHEMA: &[&str] = &[
    "_pg_char_max_length",
    "_pg_char_octet_length",
    "_pg_datetime_precision",
    "_pg_expandarray",
    "_pg_index_position",
    "_pg_interval_type",
    "_pg_numeric_precision",
    "_pg_numeric_precision_radix",
    "_pg_numeric_scale",
    "_pg_truetypid",
    "_pg_truetypmod",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Meaning {
    pub(super) effects: Effects,
    pub(super) flags: Flags,
    pub(super) body: Body,
}

/// What calling a function called `name` does, if it is the one that the lists here mean.
pub(super) fn meaning(name: &str) -> Meaning {
    if let Some((_, effects)) = HARMLESS_LOOKING.iter().find(|(listed, _)| *listed == name) {
        return Meaning { effects: *effects, flags: Flags::NONE, body: Body::Own };
    }
    let exact = EXACT.iter().filter(|(_, names)| names.contains(&name));
    let family = FAMILIES.iter().filter(|(_, prefix)| name.starts_with(prefix));
    let effects = exact
        .map(|(effects, _)| *effects)
        .chain(family.map(|(effects, _)| *effects))
        .fold(Effects::NONE, Effects::union);
    let flags = if effects.is_empty() && !STALLING.contains(&name) {
        Flags::NONE
    } else {
        Flags::DANGEROUS_FUNCTION
    };
    let body = if effects.contains(Effects::CODE_EXEC) { Body::Given } else { Body::Own };
    Meaning { effects, flags, body }
}

/// True for functions of the server's own that return what their arguments do not hold, and what
/// a setting, a sequence or the definitions of objects do not say either.
pub(super) fn reaches(name: &str) -> bool {
    if shows_others(name) {
        return true;
    }
    match HARMLESS_LOOKING.iter().find(|(listed, _)| *listed == name) {
        Some((_, effects)) => effects.intersects(Effects::READ),
        None => !meaning(name).effects.is_empty(),
    }
}

/// True for functions that show samples of values, or what other sessions do.
pub(super) fn shows_others(name: &str) -> bool {
    REACHING.contains(&name)
}

const REACHING: &[&str] = &[
    "pg_mcv_list_items",
    "pg_stat_get_activity",
    "pg_stat_get_backend_activity",
    "pg_stat_get_wal_receiver",
    "pg_stat_statements",
];

/// True for functions that keep what they are given, to be read by another statement or session.
pub(super) fn keeps(name: &str) -> bool {
    KEEPING.contains(&name) || name.starts_with("pg_try_advisory_")
}

const KEEPING: &[&str] = &[
    "lo_creat",
    "lo_create",
    "lo_from_bytea",
    "lo_lseek",
    "lo_lseek64",
    "lo_put",
    "lo_truncate",
    "lo_truncate64",
    "lowrite",
    "pg_advisory_lock",
    "pg_advisory_lock_shared",
    "pg_advisory_xact_lock",
    "pg_advisory_xact_lock_shared",
    "pg_logical_emit_message",
    "pg_notify",
    "set_config",
    // All of `random()` follows from it.
    "setseed",
    "setval",
];

/// True for functions of the server's own that say what is in a row, if called as if they were one
/// of its columns.
pub(super) fn takes_rows(name: &str) -> bool {
    TAKING_ROWS.contains(&name)
}

const TAKING_ROWS: &[&str] = &[
    "any_value",
    "array_agg",
    "concat",
    "hash_record",
    "json_agg",
    "json_agg_strict",
    "json_build_array",
    "jsonb_agg",
    "jsonb_agg_strict",
    "jsonb_build_array",
    "max",
    "min",
    "quote_literal",
    "quote_nullable",
    "record_send",
    "row_to_json",
    "to_json",
    "to_jsonb",
];

/// Functions that only keep the server's process busy.
const STALLING: &[&str] = &["pg_sleep", "pg_sleep_for", "pg_sleep_until"];

/// Functions with an effect that ordinary applications rely on. A number taken from a sequence
/// is counted as an insertion: it writes, and whoever may insert takes such numbers anyway.
const HARMLESS_LOOKING: &[(&str, Effects)] = &[
    ("nextval", Effects::INSERT),
    ("setval", Effects::UPDATE),
    ("lo_get", Effects::READ),
    ("loread", Effects::READ),
    ("pg_notify", Effects::NOTIFY),
    ("pg_advisory_lock", Effects::LOCK),
    ("pg_advisory_lock_shared", Effects::LOCK),
    ("pg_advisory_unlock", Effects::LOCK),
    ("pg_advisory_unlock_all", Effects::LOCK),
    ("pg_advisory_unlock_shared", Effects::LOCK),
    ("pg_advisory_xact_lock", Effects::LOCK),
    ("pg_advisory_xact_lock_shared", Effects::LOCK),
    ("pg_try_advisory_lock", Effects::LOCK),
    ("pg_try_advisory_lock_shared", Effects::LOCK),
    ("pg_try_advisory_xact_lock", Effects::LOCK),
    ("pg_try_advisory_xact_lock_shared", Effects::LOCK),
];

const EXACT: &[(Effects, &[&str])] = &[
    (
        Effects::FILE_READ,
        &[
            "lo_import",
            "pg_stat_file",
            "pg_current_logfile",
            "pg_hba_file_rules",
            "pg_ident_file_mappings",
            "pg_show_all_file_settings",
            "pg_import_system_collations",
        ],
    ),
    (
        Effects::FILE_WRITE,
        &["lo_export", "pg_rotate_logfile", "pg_rotate_logfile_v2", "pg_rotate_logfile_old"],
    ),
    (
        Effects::INSERT,
        &["lo_creat", "lo_create", "lo_from_bytea", "lo_import", "pg_import_system_collations"],
    ),
    (Effects::UPDATE, &["lo_put", "lowrite", "lo_open", "lo_truncate", "lo_truncate64"]),
    (Effects::DELETE, &["lo_unlink"]),
    // Their arguments are SQL that this text does not show as such.
    (
        Effects::CODE_EXEC,
        &[
            "query_to_xml",
            "query_to_xmlschema",
            "query_to_xml_and_xmlschema",
            "cursor_to_xml",
            "cursor_to_xmlschema",
            "table_to_xml",
            "table_to_xmlschema",
            "table_to_xml_and_xmlschema",
            "schema_to_xml",
            "schema_to_xmlschema",
            "schema_to_xml_and_xmlschema",
            "database_to_xml",
            "database_to_xmlschema",
            "database_to_xml_and_xmlschema",
            "ts_stat",
            "ts_rewrite",
            "crosstab",
            "crosstab2",
            "crosstab3",
            "crosstab4",
            "crosstabn",
            "connectby",
            "xpath_table",
            "plpgsql_call_handler",
            "plpgsql_inline_handler",
            "plperl_inline_handler",
            "plperlu_inline_handler",
            "plpython3_inline_handler",
            "pltcl_call_handler",
            "run_command_on_workers",
            "run_command_on_all_nodes",
            "run_command_on_shards",
            "run_command_on_placements",
            "add_job",
            "alter_job",
            "run_job",
            "immv_refresh",
            "create_immv",
        ],
    ),
    (
        Effects::PROGRAM_EXEC,
        &[
            "pg_execute_server_program",
            "plsh_handler",
            "plsh_inline_handler",
            "exec_cmd",
            "sys_exec",
            "sys_eval",
            "sys_bineval",
        ],
    ),
    (
        Effects::KILL,
        &["pg_terminate_backend", "pg_cancel_backend", "pg_log_backend_memory_contexts"],
    ),
    (
        Effects::SERVER_ADMIN,
        &[
            "pg_reload_conf",
            "pg_promote",
            "pg_switch_wal",
            "pg_switch_xlog",
            "pg_backup_start",
            "pg_backup_stop",
            "pg_start_backup",
            "pg_stop_backup",
            "pg_create_restore_point",
            "pg_wal_replay_pause",
            "pg_wal_replay_resume",
            "pg_sync_replication_slots",
            "pg_rotate_logfile",
            "pg_nextoid",
            "pg_stat_force_next_flush",
            "pg_prewarm",
            "autoprewarm_start_worker",
            "autoprewarm_dump_now",
            "pg_truncate_visibility_map",
            "heap_force_kill",
            "heap_force_freeze",
            "brin_summarize_new_values",
            "brin_summarize_range",
            "brin_desummarize_range",
            "gin_clean_pending_list",
            "pg_stop_making_pinned_objects",
            "pg_start_making_pinned_objects",
            "pg_upgrade_support",
            "pg_collation_actual_version_refresh",
            "pg_restore_relation_stats",
            "pg_clear_relation_stats",
            "pg_restore_attribute_stats",
            "pg_clear_attribute_stats",
            "pg_set_relation_stats",
            "pg_set_attribute_stats",
            "pg_log_standby_snapshot",
            "pg_clear_extended_stats",
            "pg_restore_extended_stats",
            "pg_wal_summary_contents",
            "get_raw_page",
            "page_header",
            "heap_page_items",
            "pg_read_wal_records",
            "pg_get_wal_records_info",
            "pg_get_wal_record_info",
            "pg_get_wal_block_info",
        ],
    ),
    (
        Effects::NETWORK,
        &[
            "pg_logical_emit_message",
            "pg_create_logical_replication_slot",
            "pg_create_physical_replication_slot",
            "pg_drop_replication_slot",
            "pg_copy_logical_replication_slot",
            "pg_copy_physical_replication_slot",
            "pg_replication_slot_advance",
            "postgres_fdw_get_connections",
            "postgres_fdw_disconnect",
            "postgres_fdw_disconnect_all",
            "http",
            "http_get",
            "http_post",
            "http_put",
            "http_patch",
            "http_delete",
            "http_head",
            "inet_server_probe",
        ],
    ),
    (Effects::DDL_CREATE, &["create_hypertable", "create_distributed_table", "create_graph"]),
    (Effects::DDL_ALTER, &["addgeometrycolumn", "updategeometrysrid", "populate_geometry_columns"]),
    (Effects::DDL_DROP, &["dropgeometrycolumn", "dropgeometrytable", "drop_chunks", "drop_graph"]),
];

/// By what a name begins with; a family that gains a member stays covered.
const FAMILIES: &[(Effects, &str)] = &[
    (Effects::FILE_READ, "pg_read_file"),
    (Effects::FILE_READ, "pg_read_binary_file"),
    (Effects::FILE_READ, "pg_read_server_file"),
    (Effects::FILE_READ, "pg_ls_"),
    (Effects::FILE_READ, "pg_file_"),
    (Effects::FILE_WRITE, "pg_file_"),
    (Effects::FILE_READ, "pg_logfile"),
    (Effects::NETWORK, "dblink"),
    (Effects::CODE_EXEC, "dblink"),
    (Effects::SERVER_ADMIN, "pg_logical_slot_"),
    (Effects::NETWORK, "pg_logical_slot_"),
    (Effects::SERVER_ADMIN, "pg_replication_origin_"),
    (Effects::SERVER_ADMIN, "pg_stat_reset"),
    (Effects::SERVER_ADMIN, "pg_stat_statements_reset"),
    (Effects::SERVER_ADMIN, "pg_wal_replay_"),
    (Effects::SERVER_ADMIN, "binary_upgrade_"),
    (Effects::CODE_EXEC, "cron_"),
    (Effects::NETWORK, "aws_s3_"),
    (Effects::NETWORK, "aws_lambda_"),
    (Effects::NETWORK, "net_http_"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_in_the_order_that_the_search_needs() {
        assert!(KNOWN.is_sorted_by(|one, next| one < next));
        assert!(OF_INFORMATION_SCHEMA.is_sorted());
        assert!(KNOWN.len() > 1_900, "only {} names", KNOWN.len());
    }

    #[test]
    fn a_name_is_the_servers_own_in_its_own_schema_only() {
        for (schema, name, expected) in [
            (None, "lower", Origin::Server),
            (Some("pg_catalog"), "lower", Origin::Server),
            (Some("public"), "lower", Origin::Elsewhere),
            (Some("information_schema"), "lower", Origin::Elsewhere),
            (Some("information_schema"), "_pg_expandarray", Origin::Server),
            (None, "_pg_expandarray", Origin::Elsewhere),
            (None, "Lower", Origin::Elsewhere),
            (None, "pg_catalog.lower", Origin::Elsewhere),
            (None, "information_schema._pg_expandarray", Origin::Elsewhere),
            (None, "", Origin::Elsewhere),
            (None, "purge", Origin::Elsewhere),
            // Functions that only the server can call.
            (None, "int4in", Origin::Elsewhere),
            (None, "plpgsql_call_handler", Origin::Elsewhere),
            // What sampling methods are called.
            (None, "bernoulli", Origin::Server),
        ] {
            assert_eq!(origin(schema, name), expected, "{schema:?} {name}");
        }
    }
}
