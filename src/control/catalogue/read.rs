//! A database's catalogue, as the server tells it. Knows the system relations that say it; views
//! are looked into elsewhere.
//!
//! Everything is read in one transaction that sees one moment, so that what refers to one another
//! is there. More than the bounds allow is an error: half a catalogue would pass for a whole one.

use std::collections::HashMap;

use tokio_postgres::types::{ToSql, Type as SqlType};
use tokio_postgres::{Client, Row};

use crate::control::catalogue::ReadError;
use crate::limits::{
    CATALOGUE_COLUMNS_MAX, CATALOGUE_LABELS_MAX, CATALOGUE_LINKS_MAX, CATALOGUE_RELATIONS_MAX,
    CATALOGUE_TYPES_MAX,
};
use crate::mask::catalogue::{
    Attribute, Field, Kind, Raw, Relation, Source, Type, TypeInfo, TypeKind, USER_OID_FIRST,
};

/// Everything but where the columns of views come from: those stand as computed.
pub(super) async fn read(client: &Client) -> Result<Raw, ReadError> {
    client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await?;
    let version = version(client).await?;
    let mut read = Read::of(relations(client).await?);
    read.columns(client, version).await?;
    read.links(client).await?;
    if version >= GENERATED_COLUMNS {
        read.generated(client).await?;
    }
    let types = read.types(client, version).await?;
    client.batch_execute("COMMIT").await?;
    Ok(Raw { relations: read.relations, types })
}

/// What has been read so far.
struct Read {
    relations: Vec<Relation>,
    /// By oid, where it stands in `relations`.
    places: HashMap<u32, usize>,
}

impl Read {
    fn of(relations: Vec<Relation>) -> Self {
        let places = relations.iter().enumerate().map(|(at, one)| (one.oid, at)).collect();
        Self { relations, places }
    }

    async fn columns(&mut self, client: &Client, version: i32) -> Result<(), ReadError> {
        let generated = if version >= GENERATED_COLUMNS { "a.attgenerated <> ''" } else { "false" };
        let sql = format!(
            "SELECT a.attrelid, a.attnum, a.attname::text, a.atttypid, a.atttypmod, a.attisdropped, \
             {generated} FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid \
             WHERE a.attnum > 0 AND c.relkind IN {KINDS} ORDER BY a.attrelid, a.attnum"
        );
        for row in rows(client, "columns", CATALOGUE_COLUMNS_MAX, &sql).await? {
            let relation = self.relation(row.try_get(0)?);
            let Some(relation) = relation else { continue };
            let name: &str = row.try_get(2)?;
            let generated: bool = row.try_get(6)?;
            let own = relation.oid < USER_OID_FIRST;
            let computed = match relation.kind {
                Kind::View | Kind::MaterializedView => !own,
                Kind::Overflow => true,
                Kind::Table | Kind::Partitioned | Kind::Foreign | Kind::Other => false,
            };
            relation.columns.push(Attribute {
                number: row.try_get(1)?,
                name: name.into(),
                type_oid: row.try_get(3)?,
                typmod: row.try_get(4)?,
                dropped: row.try_get(5)?,
                samples: own
                    && SAMPLES.contains(&&*relation.name)
                    && !TELLS_NO_VALUE.contains(&name),
                source: match (computed, generated) {
                    (true, _) => Source::Computed,
                    (false, true) => Source::Generated(Vec::new()),
                    (false, false) => Source::Own,
                },
            });
        }
        Ok(())
    }

    /// Who inherits from whom, and what views read.
    async fn links(&mut self, client: &Client) -> Result<(), ReadError> {
        let sql = "SELECT inhrelid, inhparent FROM pg_inherits ORDER BY inhrelid, inhseqno";
        for row in rows(client, "partitions", CATALOGUE_RELATIONS_MAX, sql).await? {
            if let Some(child) = self.relation(row.try_get(0)?) {
                child.parents.push(row.try_get(1)?);
            }
        }
        let sql = "SELECT DISTINCT r.ev_class, d.refobjid, d.refobjsubid::int2 \
             FROM pg_rewrite r JOIN pg_depend d \
             ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid \
             WHERE r.rulename = '_RETURN' AND d.refclassid = 'pg_class'::regclass \
             AND d.refobjid <> r.ev_class ORDER BY 1, 2, 3";
        for row in rows(client, "links of views", CATALOGUE_LINKS_MAX, sql).await? {
            if let Some(view) = self.relation(row.try_get(0)?) {
                view.reads.push((row.try_get(1)?, row.try_get(2)?));
            }
        }
        Ok(())
    }

    /// What generated columns come from. Older servers note it with the column, newer ones with its
    /// expression.
    async fn generated(&mut self, client: &Client) -> Result<(), ReadError> {
        let sql = "SELECT a.attrelid, a.attnum, d.refobjsubid::int2 \
             FROM pg_attribute a JOIN pg_attrdef e ON e.adrelid = a.attrelid AND e.adnum = a.attnum \
             JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = a.attrelid \
             AND d.refobjsubid > 0 AND d.refobjsubid <> a.attnum \
             AND (d.classid = 'pg_attrdef'::regclass AND d.objid = e.oid \
             OR d.classid = 'pg_class'::regclass AND d.objid = a.attrelid AND d.objsubid = a.attnum) \
             WHERE a.attgenerated <> '' ORDER BY 1, 2, 3";
        for row in rows(client, "generated columns", CATALOGUE_LINKS_MAX, sql).await? {
            let number: i16 = row.try_get(1)?;
            let relation = self.relation(row.try_get(0)?);
            let column = relation
                .and_then(|relation| relation.columns.iter_mut().find(|one| one.number == number));
            if let Some(Attribute { source: Source::Generated(from), .. }) = column {
                from.push(row.try_get(2)?);
            }
        }
        Ok(())
    }

    async fn types(&self, client: &Client, version: i32) -> Result<Vec<Type>, ReadError> {
        let mut labels = labels(client).await?;
        let multirange = if version >= MULTIRANGES {
            "(SELECT m.rngtypid FROM pg_range m WHERE m.rngmultitypid = t.oid)"
        } else {
            "NULL::oid"
        };
        let sql = format!(
            "SELECT t.oid, t.typname::text, t.typtype::text, t.typbasetype, t.typrelid, \
             (SELECT e.oid FROM pg_type e WHERE e.oid = t.typelem AND e.typarray = t.oid), \
             (SELECT r.rngsubtype FROM pg_range r WHERE r.rngtypid = t.oid), {multirange}, \
             t.typtypmod \
             FROM pg_type t WHERE t.oid >= {USER_OID_FIRST} ORDER BY t.oid"
        );
        let mut types = Vec::new();
        for row in rows(client, "types", CATALOGUE_TYPES_MAX, &sql).await? {
            let oid: u32 = row.try_get(0)?;
            let element: Option<u32> = row.try_get(5)?;
            let subtype: Option<u32> = row.try_get(6)?;
            let range: Option<u32> = row.try_get(7)?;
            let kind = match (row.try_get(2)?, element, subtype, range) {
                (_, Some(element), _, _) => TypeKind::Array { element },
                (_, _, Some(subtype), _) => TypeKind::Range { subtype },
                (_, _, _, Some(range)) => TypeKind::Multirange { range },
                ("d", ..) => TypeKind::Domain { base: row.try_get(3)?, typmod: row.try_get(8)? },
                ("e", ..) => {
                    TypeKind::Enum { labels: labels.remove(&oid).unwrap_or_default().into() }
                }
                ("c", ..) => {
                    let relation: u32 = row.try_get(4)?;
                    let known = self.places.get(&relation).and_then(|at| self.relations.get(*at));
                    TypeKind::Composite { relation, fields: known.map(fields).unwrap_or_default() }
                }
                _ => TypeKind::Base,
            };
            let name = row.try_get::<_, &str>(1)?.into();
            types.push(Type { oid, info: TypeInfo { name, kind } });
        }
        Ok(types)
    }

    fn relation(&mut self, oid: u32) -> Option<&mut Relation> {
        self.places.get(&oid).and_then(|at| self.relations.get_mut(*at))
    }
}

async fn version(client: &Client) -> Result<i32, ReadError> {
    let sql = "SELECT current_setting('server_version_num')::int";
    Ok(client.query_one(sql, &[]).await?.try_get(0)?)
}

/// The answer to `sql`, whose last parameter is a limit.
async fn rows(
    client: &Client,
    what: &'static str,
    most: usize,
    sql: &str,
) -> Result<Vec<Row>, ReadError> {
    let limit = i64::try_from(most).unwrap_or(i64::MAX).saturating_add(1);
    let parameters: [(&(dyn ToSql + Sync), SqlType); 1] = [(&limit, SqlType::INT8)];
    let rows = client.query_typed(&format!("{sql} LIMIT $1"), &parameters).await?;
    if rows.len() > most {
        return Err(ReadError::TooMany { what, most });
    }
    Ok(rows)
}

async fn relations(client: &Client) -> Result<Vec<Relation>, ReadError> {
    let sql = format!(
        "SELECT c.oid, n.nspname::text, c.relname::text, c.relkind::text, c.reltoastrelid \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind IN {KINDS} ORDER BY c.oid"
    );
    let mut relations = Vec::new();
    let mut overflows = HashMap::new();
    for row in rows(client, "relations", CATALOGUE_RELATIONS_MAX, &sql).await? {
        let (oid, overflow): (u32, u32) = (row.try_get(0)?, row.try_get(4)?);
        overflows.insert(overflow, oid);
        relations.push(Relation {
            oid,
            schema: row.try_get::<_, &str>(1)?.into(),
            name: row.try_get::<_, &str>(2)?.into(),
            kind: kind(row.try_get(3)?),
            columns: Vec::new(),
            parents: Vec::new(),
            reads: Vec::new(),
            whole_rows: false,
        });
    }
    for relation in &mut relations {
        // The large values of any column may lie there.
        if relation.kind == Kind::Overflow
            && let Some(of) = overflows.get(&relation.oid)
        {
            relation.reads.push((*of, 0));
            relation.whole_rows = true;
        }
    }
    Ok(relations)
}

fn kind(letter: &str) -> Kind {
    match letter {
        "r" => Kind::Table,
        "p" => Kind::Partitioned,
        "v" => Kind::View,
        "m" => Kind::MaterializedView,
        "f" => Kind::Foreign,
        "t" => Kind::Overflow,
        _ => Kind::Other,
    }
}

fn fields(relation: &Relation) -> Box<[Field]> {
    let live = relation.columns.iter().filter(|column| !column.dropped);
    let fields = live.map(|column| Field {
        name: column.name.clone(),
        type_oid: column.type_oid,
        typmod: column.typmod,
    });
    fields.collect()
}

async fn labels(client: &Client) -> Result<HashMap<u32, Vec<Box<str>>>, ReadError> {
    let sql = "SELECT enumtypid, enumlabel::text FROM pg_enum ORDER BY enumtypid, enumsortorder";
    let mut labels: HashMap<u32, Vec<Box<str>>> = HashMap::new();
    for row in rows(client, "labels", CATALOGUE_LABELS_MAX, sql).await? {
        labels.entry(row.try_get(0)?).or_default().push(row.try_get::<_, &str>(1)?.into());
    }
    Ok(labels)
}

/// Whatever has columns that an answer can bear.
const KINDS: &str = "('r', 'p', 'v', 'm', 'f', 't', 'S', 'c')";

/// The planner's statistics hold values of the columns that they are about.
pub(super) const SAMPLES: &[&str] =
    &["pg_statistic", "pg_stats", "pg_statistic_ext_data", "pg_stats_ext", "pg_stats_ext_exprs"];

/// Their columns that do not. Any that a later version adds is taken to hold some.
const TELLS_NO_VALUE: &[&str] = &[
    "schemaname",
    "tablename",
    "attname",
    "attnames",
    "exprs",
    "expr",
    "kinds",
    "inherited",
    "null_frac",
    "avg_width",
    "n_distinct",
    "correlation",
    "dependencies",
    "statistics_schemaname",
    "statistics_name",
    "statistics_owner",
    "starelid",
    "staattnum",
    "stainherit",
    "stanullfrac",
    "stawidth",
    "stadistinct",
    "stxoid",
    "stxdinherit",
    "stxdndistinct",
    "stxddependencies",
];

/// The first versions that know these.
const GENERATED_COLUMNS: i32 = 120_000;
const MULTIRANGES: i32 = 140_000;
