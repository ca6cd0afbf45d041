-- What the emulator of SQL Server puts into a database of Postgres: the catalog and the functions that Transact-SQL has.
CREATE SCHEMA sys;

CREATE FUNCTION sys.object_id(name text) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT to_regclass(CASE WHEN parts[2] IS NULL THEN quote_ident(parts[1])
        ELSE quote_ident(CASE parts[1] WHEN 'dbo' THEN 'public' ELSE parts[1] END) || '.' || quote_ident(parts[2]) END
    )::oid::bigint
    FROM (SELECT string_to_array(replace(replace(replace(name, '].[', chr(1)), '[', ''), ']', ''), chr(1)) AS parts) AS p
$$;
CREATE FUNCTION sys.db_name() RETURNS text LANGUAGE sql STABLE AS 'SELECT current_database()::text';
CREATE FUNCTION sys.databasepropertyex(name text, property text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE current_setting('default_transaction_read_only') WHEN 'on' THEN 'READ_ONLY' ELSE 'READ_WRITE' END
$$;
CREATE FUNCTION sys.has_perms_by_name(name text, class text, permission text) RETURNS int LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN class = 'OBJECT' AND sys.object_id(name) IS NULL THEN NULL ELSE 1 END
$$;
CREATE FUNCTION sys.isjson(value text) RETURNS int LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
    RETURN CASE json_typeof(value::json) WHEN 'object' THEN 1 WHEN 'array' THEN 1 ELSE 0 END;
EXCEPTION WHEN others THEN RETURN 0;
END $$;
CREATE FUNCTION sys.hash(method text, value text) RETURNS bytea LANGUAGE sql IMMUTABLE AS
    $$SELECT sha256(convert_to(value, 'UTF8'))$$;
CREATE FUNCTION sys.bytes(value anyelement) RETURNS bytea LANGUAGE sql STABLE AS
    $$SELECT CASE pg_typeof(value)::text WHEN 'bytea' THEN value::text::bytea ELSE convert_to(value::text, 'UTF8') END$$;
CREATE FUNCTION sys.shown(value anyelement, style int) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN style = 2 AND pg_typeof(value)::text = 'bytea' THEN upper(encode(value::text::bytea, 'hex'))
        WHEN style <> 121 THEN value::text
        WHEN pg_typeof(value)::text = 'date' THEN value::text
        WHEN pg_typeof(value)::text LIKE 'time without%' THEN to_char(value::text::time, 'HH24:MI:SS.US') || '0'
        WHEN pg_typeof(value)::text LIKE 'timestamp with time%'
            THEN to_char(value::text::timestamptz AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || '0 +00:00'
        ELSE to_char(value::text::timestamp, 'YYYY-MM-DD HH24:MI:SS.US') || '0' END
$$;

CREATE VIEW sys.types AS SELECT * FROM (VALUES
    (127, 'bigint'), (56, 'int'), (52, 'smallint'), (104, 'bit'), (231, 'nvarchar'), (239, 'nchar'), (106, 'decimal'),
    (62, 'float'), (59, 'real'), (40, 'date'), (41, 'time'), (42, 'datetime2'), (43, 'datetimeoffset'),
    (165, 'varbinary'), (36, 'uniqueidentifier')
) AS t (user_type_id, name);
CREATE VIEW sys.columns AS SELECT
    a.attrelid::bigint AS object_id, a.attname::text AS name, a.attnum::int AS column_id,
    CASE t.typname WHEN 'int8' THEN 127 WHEN 'int4' THEN 56 WHEN 'int2' THEN 52 WHEN 'bool' THEN 104 WHEN 'text' THEN 231
        WHEN 'varchar' THEN 231 WHEN 'bpchar' THEN 239 WHEN 'numeric' THEN 106 WHEN 'float8' THEN 62 WHEN 'float4' THEN 59
        WHEN 'date' THEN 40 WHEN 'time' THEN 41 WHEN 'timestamp' THEN 42 WHEN 'timestamptz' THEN 43
        WHEN 'bytea' THEN 165 WHEN 'uuid' THEN 36 END AS system_type_id,
    CASE WHEN t.typname IN ('varchar', 'bpchar') AND a.atttypmod > 0 THEN (a.atttypmod - 4) * 2 ELSE -1 END AS max_length,
    CASE WHEN a.atttypmod > 0 THEN ((a.atttypmod - 4) >> 16) & 65535 ELSE 38 END AS precision,
    CASE WHEN t.typname = 'numeric' THEN CASE WHEN a.atttypmod > 0 THEN (a.atttypmod - 4) & 2047 ELSE 10 END
        WHEN a.atttypmod >= 0 THEN a.atttypmod ELSE 6 END AS scale,
    CASE WHEN a.attcollation <> 0 THEN CASE WHEN c.collname = 'C' THEN 'Latin1_General_100_BIN2'
        ELSE 'SQL_Latin1_General_CP1_CI_AS' END END AS collation_name,
    (NOT a.attnotnull)::int AS is_nullable, (a.attidentity <> '')::int AS is_identity,
    (a.attgenerated <> '')::int AS is_computed, 0 AS generated_always_type
FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid LEFT JOIN pg_collation AS c ON c.oid = a.attcollation
WHERE a.attnum > 0 AND NOT a.attisdropped;
CREATE VIEW sys.indexes AS SELECT
    indrelid::bigint AS object_id, indexrelid::bigint AS index_id, indisunique::int AS is_unique,
    (indpred IS NOT NULL)::int AS has_filter, (NOT indisvalid)::int AS is_disabled, indisprimary::int AS is_primary_key
FROM pg_index;
CREATE VIEW sys.index_columns AS SELECT
    i.indrelid::bigint AS object_id, i.indexrelid::bigint AS index_id, k.attnum::int AS column_id,
    k.place::int AS key_ordinal, 0 AS is_included_column
FROM pg_index AS i CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k (attnum, place);
CREATE VIEW sys.check_constraints AS SELECT
    conrelid::bigint AS parent_object_id, CASE WHEN cardinality(conkey) = 1 THEN conkey[1]::int ELSE 0 END AS parent_column_id,
    regexp_replace(replace(pg_get_expr(conbin, conrelid), '::text', ''), '"(\w+)"', '[\1]', 'g') AS definition
FROM pg_constraint WHERE contype = 'c';
