//! What clients ask of the catalogue on their own account, as logged by a server of version 15 and
//! shortened: every construct and every function is kept, columns and conditions are not.

/// Client, and a statement in the form that it has.
pub(in crate::judge) const STATEMENTS: &[(&str, &str)] = &[
    (
        "psql \\d",
        "SELECT n.nspname AS \"Schema\", CASE c.relkind WHEN 'r' THEN 'table' END, pg_catalog.pg_get_userbyid(c.relowner) \
         FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind IN ('r', 'p', '') AND n.nspname !~ '^pg_toast' AND pg_catalog.pg_table_is_visible(c.oid) ORDER BY 1, 2",
    ),
    (
        "psql \\d table",
        "SELECT c.oid FROM pg_catalog.pg_class c \
         WHERE c.relname OPERATOR(pg_catalog.~) '^(t)$' COLLATE pg_catalog.default AND pg_catalog.pg_table_is_visible(c.oid)",
    ),
    (
        "psql \\d table",
        "SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), \
         (SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid, true) FROM pg_catalog.pg_attrdef d \
          WHERE d.adrelid = a.attrelid AND a.atthasdef), pg_catalog.col_description(a.attrelid, a.attnum) \
         FROM pg_catalog.pg_attribute a WHERE a.attrelid = '16400' AND NOT a.attisdropped",
    ),
    (
        "psql \\d table",
        "SELECT pol.polname, CASE WHEN pol.polroles = '{0}' THEN NULL ELSE pg_catalog.array_to_string(array( \
         SELECT rolname FROM pg_catalog.pg_roles WHERE oid = any (pol.polroles) ORDER BY 1), ',') END, \
         pg_catalog.pg_get_expr(pol.polqual, pol.polrelid) FROM pg_catalog.pg_policy pol",
    ),
    (
        "psql \\d table",
        "SELECT conname, pg_catalog.pg_get_constraintdef(oid, true), conrelid::pg_catalog.regclass \
         FROM pg_catalog.pg_constraint c \
         WHERE confrelid IN (SELECT pg_catalog.pg_partition_ancestors('1') UNION ALL VALUES ('1'::pg_catalog.regclass))",
    ),
    (
        "psql \\d+ partition",
        "SELECT inhparent::pg_catalog.regclass, pg_catalog.pg_get_expr(c.relpartbound, c.oid), \
         (SELECT count(*) FROM pg_catalog.pg_partition_tree(c.oid)) FROM pg_catalog.pg_class c",
    ),
    (
        "psql \\df+",
        "SELECT p.proname, pg_catalog.pg_get_function_result(p.oid), pg_catalog.pg_get_function_arguments(p.oid), \
         pg_catalog.array_to_string(p.proacl, E'\\n'), COALESCE(pg_catalog.pg_get_function_sqlbody(p.oid), p.prosrc) \
         FROM pg_catalog.pg_proc p WHERE pg_catalog.pg_function_is_visible(p.oid)",
    ),
    (
        "psql \\l+",
        "SELECT d.datname, pg_catalog.pg_encoding_to_char(d.encoding), \
         CASE WHEN pg_catalog.has_database_privilege(d.datname, 'CONNECT') \
         THEN pg_catalog.pg_size_pretty(pg_catalog.pg_database_size(d.datname)) ELSE 'No Access' END, \
         pg_catalog.shobj_description(d.oid, 'pg_database') FROM pg_catalog.pg_database d ORDER BY 1",
    ),
    (
        "psql \\du",
        "SELECT r.rolname, ARRAY(SELECT b.rolname FROM pg_catalog.pg_auth_members m \
         JOIN pg_catalog.pg_roles b ON (m.roleid = b.oid) WHERE m.member = r.oid) FROM pg_catalog.pg_roles r",
    ),
    (
        "psql \\des+",
        "SELECT s.srvname, '(' || pg_catalog.array_to_string(ARRAY(SELECT pg_catalog.quote_ident(option_name) \
         || ' ' || pg_catalog.quote_literal(option_value) FROM pg_catalog.pg_options_to_table(srvoptions)), ', ') || ')' \
         FROM pg_catalog.pg_foreign_server s",
    ),
    (
        "psql \\sf",
        "SELECT pg_catalog.pg_get_functiondef(1), 'app.f'::pg_catalog.regproc::pg_catalog.oid",
    ),
    ("pg_dump", "BEGIN"),
    ("pg_dump", "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"),
    ("pg_dump", "SELECT pg_catalog.set_config('search_path', '', false);"),
    (
        "pg_dump",
        "SELECT set_config(name, 'view, foreign-table', false) FROM pg_settings WHERE name = 'restrict_nonsystem_relation_kind'",
    ),
    ("pg_dump", "SELECT pg_catalog.pg_is_in_recovery()"),
    ("pg_dump", "LOCK TABLE public.customers IN ACCESS SHARE MODE"),
    (
        "pg_dump",
        "SELECT c.tableoid, c.oid, acldefault(CASE WHEN c.relkind = 'S' THEN 's'::\"char\" ELSE 'r'::\"char\" END, c.relowner), \
         array_to_string(array_remove(array_remove(c.reloptions, 'check_option=local'), 'check_option=cascaded'), ', '), \
         pg_get_partkeydef(c.oid) FROM pg_class c ORDER BY c.oid",
    ),
    (
        "pg_dump",
        "SELECT a.attrelid, array_to_string(ARRAY(SELECT pg_catalog.quote_ident(option_name) FROM \
         pg_catalog.pg_options_to_table(attfdwoptions) ORDER BY option_name), E',\\n    ') \
         FROM unnest('{1,2}'::pg_catalog.oid[]) AS src(tbloid) \
         JOIN pg_catalog.pg_attribute a ON (src.tbloid = a.attrelid)",
    ),
    (
        "pg_dump",
        "SELECT t.tgrelid, pg_catalog.pg_get_triggerdef(t.oid, false), pg_catalog.pg_get_ruledef(t.oid), \
         pg_catalog.pg_get_viewdef(t.oid) FROM pg_catalog.pg_trigger t",
    ),
    (
        "pg_dump",
        "PREPARE dumpFunc(pg_catalog.oid) AS SELECT proretset, pg_catalog.pg_get_function_identity_arguments(p.oid), \
         array_to_string(protrftypes, ' '), pg_get_function_sqlbody(p.oid) FROM pg_catalog.pg_proc p WHERE p.oid = $1",
    ),
    ("pg_dump", "SELECT pg_catalog.current_schemas(false)"),
    (
        "pg_dump",
        "WITH RECURSIVE w AS (SELECT d1.objid FROM pg_depend d1 UNION ALL SELECT d2.objid FROM w, pg_depend d2) SELECT * FROM w",
    ),
    (
        "asyncpg",
        "WITH RECURSIVE typeinfo_tree(oid, ns, depth) AS (SELECT ti.oid, ti.ns, 0 FROM (SELECT t.oid, \
         (SELECT nspname FROM pg_namespace n WHERE n.oid = t.typnamespace) AS ns, \
         pg_catalog.format_type(t.oid, NULL) AS name, (SELECT array_agg(ia.atttypid ORDER BY ia.attnum) \
         FROM pg_attribute ia) FROM pg_catalog.pg_type AS t) AS ti WHERE ti.oid = any($1::oid[]) \
         UNION ALL SELECT 1, 'x', tt.depth + 1 FROM typeinfo_tree tt) \
         SELECT DISTINCT * FROM typeinfo_tree ORDER BY depth DESC",
    ),
    ("asyncpg", "SELECT current_setting('jit') AS cur, set_config('jit', 'off', false) AS new"),
    ("psycopg", "SELECT typname, oid, to_regtype($1) FROM pg_type t WHERE t.oid = to_regtype($1)"),
    (
        "pgjdbc getPrimaryKeys",
        "SELECT result.a FROM (SELECT (information_schema._pg_expandarray(i.indkey)).n AS a, \
         current_database() AS b, trim(both '\"' FROM pg_catalog.pg_get_indexdef(i.indexrelid, 1, false)) \
         FROM pg_catalog.pg_index i) result WHERE result.a = 1",
    ),
    (
        "pgjdbc getColumns",
        "SELECT * FROM (SELECT a.attname, row_number() OVER (PARTITION BY a.attrelid ORDER BY a.attnum), \
         nullif(a.attidentity, ''), pg_catalog.pg_get_expr(def.adbin, def.adrelid) FROM pg_catalog.pg_attribute a \
         LEFT JOIN pg_catalog.pg_attrdef def ON true) c",
    ),
    (
        "pgjdbc getSchemas",
        "SELECT nspname FROM pg_namespace WHERE nspname = (pg_catalog.current_schemas(true))[1]",
    ),
    ("npgsql", "SELECT version()"),
    (
        "npgsql",
        "SELECT ns.nspname, t.oid, CASE WHEN proc.proname = 'array_recv' THEN 'a' ELSE t.typtype END \
         FROM pg_type AS t JOIN pg_proc AS proc ON proc.oid = t.typreceive",
    ),
    ("sqlx", "SELECT oid FROM pg_catalog.pg_type WHERE typname ILIKE $1"),
    ("sqlx", "SELECT rngsubtype, $1::regtype::oid FROM pg_catalog.pg_range WHERE rngtypid = $1"),
    (
        "sqlx",
        "SELECT col.attnotnull FROM (VALUES ($1::int4, $2::int8)) AS cols(idx, id) \
              LEFT JOIN pg_catalog.pg_attribute col ON col.attrelid = cols.id",
    ),
    ("pgx", "SELECT 'mood'::regtype::oid, t.typname FROM pg_type t WHERE t.oid = $1"),
    ("pgx", "SELECT attname, atttypid FROM pg_attribute WHERE attrelid = $1 AND attnum > 0"),
    ("an ORM", "SELECT pg_catalog.current_schema(), current_setting('server_version_num')::int"),
    (
        "an ORM",
        "SELECT count(*) FROM information_schema.tables WHERE table_schema = current_schema()",
    ),
    ("an ORM", "SHOW standard_conforming_strings"),
];

/// Client, and the functions that it was seen to call.
pub(in crate::judge) const FUNCTIONS: &[(&str, &str)] = &[
    (
        "psql",
        "pg_catalog.array_remove pg_catalog.array_to_string pg_catalog.array_upper \
         pg_catalog.btrim pg_catalog.col_description pg_catalog.current_database \
         pg_catalog.current_setting pg_catalog.format pg_catalog.format_type \
         pg_catalog.generate_series pg_catalog.getdatabaseencoding \
         pg_catalog.has_database_privilege pg_catalog.obj_description \
         pg_catalog.pg_char_to_encoding pg_catalog.pg_collation_is_visible \
         pg_catalog.pg_conversion_is_visible pg_catalog.pg_database_size \
         pg_catalog.pg_describe_object pg_catalog.pg_encoding_to_char \
         pg_catalog.pg_function_is_visible pg_catalog.pg_get_constraintdef \
         pg_catalog.pg_get_expr pg_catalog.pg_get_function_arguments \
         pg_catalog.pg_get_function_result pg_catalog.pg_get_function_sqlbody \
         pg_catalog.pg_get_functiondef pg_catalog.pg_get_indexdef \
         pg_catalog.pg_get_partkeydef pg_catalog.pg_get_ruledef \
         pg_catalog.pg_get_statisticsobjdef_columns pg_catalog.pg_get_triggerdef \
         pg_catalog.pg_get_userbyid pg_catalog.pg_get_viewdef pg_catalog.pg_has_role \
         pg_catalog.pg_opclass_is_visible pg_catalog.pg_opfamily_is_visible \
         pg_catalog.pg_options_to_table pg_catalog.pg_partition_ancestors \
         pg_catalog.pg_partition_tree pg_catalog.pg_relation_is_publishable \
         pg_catalog.pg_size_pretty pg_catalog.pg_statistics_obj_is_visible \
         pg_catalog.pg_table_is_visible pg_catalog.pg_table_size \
         pg_catalog.pg_tablespace_location pg_catalog.pg_tablespace_size \
         pg_catalog.pg_ts_config_is_visible pg_catalog.pg_ts_dict_is_visible \
         pg_catalog.pg_ts_parser_is_visible pg_catalog.pg_ts_template_is_visible \
         pg_catalog.pg_type_is_visible pg_catalog.quote_ident pg_catalog.quote_literal \
         pg_catalog.rtrim pg_catalog.shobj_description pg_catalog.string_agg \
         pg_catalog.ts_token_type pg_catalog.unnest pg_get_expr string_agg sum",
    ),
    (
        "pg_dump",
        "acldefault array_agg array_remove array_to_string current_database format_type \
         pg_catalog.acldefault pg_catalog.array_agg pg_catalog.current_schemas \
         pg_catalog.pg_get_function_identity_arguments pg_catalog.pg_get_statisticsobjdef \
         pg_catalog.pg_is_in_recovery pg_get_function_sqlbody pg_get_partkeydef \
         pg_options_to_table quote_ident quote_literal substr unnest",
    ),
    (
        "drivers",
        "array_agg current_setting to_regtype current_database pg_catalog.pg_get_indexdef \
         pg_catalog.current_schemas information_schema._pg_expandarray version",
    ),
];
