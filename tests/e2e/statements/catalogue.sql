-- What tools ask of the catalogue in words of their own.

SELECT table_schema, table_name, table_type FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1, 2

SELECT column_name, data_type, is_nullable, column_default, character_maximum_length, numeric_precision, numeric_scale FROM information_schema.columns WHERE table_schema = 'public' AND table_name = 'products' ORDER BY ordinal_position

SELECT * FROM information_schema.columns WHERE table_name = 'orders' ORDER BY ordinal_position

SELECT constraint_name, constraint_type FROM information_schema.table_constraints WHERE table_name = 'order_items' ORDER BY 1

SELECT k.column_name, k.ordinal_position FROM information_schema.table_constraints t JOIN information_schema.key_column_usage k USING (constraint_schema, constraint_name) WHERE t.constraint_type = 'PRIMARY KEY' AND t.table_name = 'order_items' ORDER BY 2

SELECT rc.constraint_name, rc.update_rule, rc.delete_rule FROM information_schema.referential_constraints rc ORDER BY 1

SELECT schema_name FROM information_schema.schemata ORDER BY 1

SELECT table_name, view_definition FROM information_schema.views WHERE table_schema = 'public' ORDER BY 1

SELECT sequence_name, data_type, increment FROM information_schema.sequences ORDER BY 1

SELECT routine_name FROM information_schema.routines WHERE routine_schema = 'public' ORDER BY 1

SELECT grantee, privilege_type FROM information_schema.role_table_grants WHERE table_name = 'products' ORDER BY 1, 2

SELECT udt_name, udt_schema FROM information_schema.columns WHERE table_name = 'orders' AND column_name = 'status'

SELECT character_set_name FROM information_schema.character_sets

SELECT feature_id, feature_name, is_supported FROM information_schema.sql_features WHERE feature_id LIKE 'E0%' ORDER BY 1, sub_feature_id

SELECT oid, typname, typelem, typarray, typtype FROM pg_type WHERE typname IN ('hstore', 'order_status', 'int4', '_int4') ORDER BY typname

SELECT t.oid, t.typname, t.typcategory, t.typdelim, t.typinput::text FROM pg_type t WHERE t.oid < 200 ORDER BY 1

SELECT e.enumlabel FROM pg_enum e JOIN pg_type t ON t.oid = e.enumtypid WHERE t.typname = 'order_status' ORDER BY e.enumsortorder

SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid) FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum WHERE a.attrelid = 'products'::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum

SELECT i.relname, ix.indisunique, ix.indisprimary, pg_get_indexdef(ix.indexrelid) FROM pg_index ix JOIN pg_class i ON i.oid = ix.indexrelid WHERE ix.indrelid = 'customers'::regclass ORDER BY 1

SELECT conname, contype, pg_get_constraintdef(oid, true) FROM pg_constraint WHERE conrelid = 'order_items'::regclass ORDER BY 1

SELECT conname, confrelid::regclass, conkey, confkey FROM pg_constraint WHERE contype = 'f' ORDER BY 1

SELECT n.nspname, c.relname, c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'public' ORDER BY 2

SELECT relname, relkind, relhasindex, relpersistence FROM pg_class WHERE relname LIKE 'order%' ORDER BY relname

SELECT to_regclass('products'), to_regclass('nowhere'), to_regtype('order_status')

SELECT pg_get_viewdef('spending'::regclass, true)

SELECT tablename, tableowner, hasindexes FROM pg_tables WHERE schemaname = 'public' ORDER BY 1

SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1

SELECT viewname, definition FROM pg_views WHERE schemaname = 'public' ORDER BY 1

SELECT sequencename, start_value, increment_by, cycle FROM pg_sequences ORDER BY 1

SELECT rolname, rolsuper, rolcanlogin FROM pg_roles WHERE rolname LIKE 'shop%' ORDER BY 1

SELECT extname, extversion FROM pg_extension ORDER BY 1

SELECT name, default_version FROM pg_available_extensions ORDER BY 1

SELECT name, setting, unit, vartype FROM pg_settings WHERE name IN ('work_mem', 'max_connections', 'DateStyle') ORDER BY 1

SELECT collname, collprovider FROM pg_collation WHERE collname IN ('C', 'POSIX', 'default') ORDER BY 1

SELECT amname, amtype FROM pg_am ORDER BY 1

SELECT proname, pronargs, prorettype::regtype, provolatile FROM pg_proc WHERE proname LIKE 'json_%' ORDER BY proname, oid

SELECT oprname, oprleft::regtype, oprright::regtype FROM pg_operator WHERE oprname = '->>' ORDER BY oid

SELECT obj_description('products'::regclass), col_description('products'::regclass, 2), shobj_description(1, 'pg_database')

SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relname = 'orders'

SELECT pg_get_serial_sequence('products', 'id'), pg_encoding_to_char(6)

SELECT has_schema_privilege('public', 'USAGE'), has_column_privilege('products', 'name', 'UPDATE')

SELECT datname, datistemplate FROM pg_database WHERE datname LIKE 'template%' ORDER BY 1

SELECT spcname FROM pg_tablespace ORDER BY 1

SELECT lanname FROM pg_language ORDER BY 1

SELECT tgname FROM pg_trigger WHERE NOT tgisinternal

SELECT castsource::regtype, casttarget::regtype, castcontext FROM pg_cast ORDER BY castsource, casttarget LIMIT 50

SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey) WHERE i.indrelid = '"orders"'::regclass AND i.indisprimary
