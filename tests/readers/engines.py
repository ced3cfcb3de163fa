"""The engines that read decklog's table as it is, each asked the same questions in its own words.

    engines.py ENGINE TABLE AUDIT-ID      prints the figures as JSON

Each runs in a process of its own (check.py starts them): two native engines in one process get in each other's way.
`TABLE` is a folder, or with Spark also s3a://…
"""
import glob
import json
import os
import sys

import figures

QUESTIONS = {  # {micros}, {bytes}, {days}: how a dialect says it; {table}: what it calls the table
    "totals": "SELECT count(*), count(DISTINCT audit_id), min({micros}), max({micros}), count(request_object), sum({bytes}) FROM {table}",
    "verbs": "SELECT verb, count(*) FROM {table} GROUP BY verb",
    "outcomes": "SELECT stage, code, count(*) FROM {table} GROUP BY stage, code",
    "days": "SELECT {day}, count(*) FROM {table} GROUP BY day",
    "groups": "SELECT g, count(*) FROM (SELECT {unnest} AS g FROM {table}) AS member GROUP BY g",
    "body": "SELECT request_object FROM {table} WHERE audit_id = '{id}' AND request_object IS NOT NULL",
}


def duckdb_rows(table):
    import duckdb
    import duckdb_ext

    extension, = glob.glob(os.path.join(list(duckdb_ext.__path__)[0], "extensions", "v*", "*", "delta.duckdb_extension"))
    connection = duckdb.connect()
    connection.execute(f"LOAD '{extension}'")
    words = {
        "micros": "epoch_us(time)", "bytes": "strlen(request_object)", "day": "CAST(day AS VARCHAR)",
        "unnest": "unnest(user_groups)", "table": f"delta_scan('{table}')",
    }
    return lambda name, id: connection.execute(QUESTIONS[name].format(id=id, **words)).fetchall()


def clickhouse_rows(table):
    import chdb

    os.chdir(table)  # its files must lie below the working folder
    words = {
        "micros": "toUnixTimestamp64Micro(toDateTime64(time, 6, 'UTC'))", "bytes": "length(request_object)", "day": "toString(day)",
        "unnest": "arrayJoin(user_groups)", "table": f"deltaLakeLocal('{table}')",
    }

    def ask(name, id):
        text = str(chdb.query(QUESTIONS[name].format(id=id, **words) + " SETTINGS output_format_json_quote_64bit_integers=0", "JSONCompactEachRow"))
        return [json.loads(row) for row in text.splitlines()]

    return ask


def polars_rows(table):
    import polars as pl

    frame = pl.scan_delta(table).with_columns(micros=pl.col("time").dt.epoch("us"))
    counted = lambda frame, *columns: frame.group_by(*columns).agg(pl.len())
    plans = {
        "totals": lambda id: frame.select(
            pl.len(), pl.col("audit_id").n_unique().alias("ids"), pl.col("micros").min().alias("first"), pl.col("micros").max().alias("last"),
            pl.col("request_object").count().alias("bodies"), pl.col("request_object").str.len_bytes().sum().alias("bytes")),
        "verbs": lambda id: counted(frame, "verb"),
        "outcomes": lambda id: counted(frame, "stage", "code"),
        "days": lambda id: counted(frame, "day"),
        "groups": lambda id: counted(frame.select(pl.col("user_groups").explode()).drop_nulls(), "user_groups"),
        "body": lambda id: frame.filter((pl.col("audit_id") == id) & pl.col("request_object").is_not_null()).select("request_object"),
    }
    return lambda name, id: plans[name](id).collect().rows()


def spark_rows(table):
    from pyspark.sql import SparkSession

    session = SparkSession.builder.master("local[2]").appName("readers").config("spark.ui.enabled", "false")
    session = session.config("spark.jars", os.environ["DELTA_JARS"]).config("spark.driver.bindAddress", "127.0.0.1")
    session = session.config("spark.driver.host", "127.0.0.1").config("spark.sql.session.timeZone", "UTC")
    session = session.config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
    session = session.config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog").getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    words = {
        "micros": "unix_micros(time)", "bytes": "octet_length(request_object)", "day": "CAST(day AS STRING)",
        "unnest": "explode(user_groups)", "table": f"delta.`{table}`",
    }
    return lambda name, id: [tuple(row) for row in session.sql(QUESTIONS[name].format(id=id, **words)).collect()]


ENGINES = {"duckdb": duckdb_rows, "clickhouse": clickhouse_rows, "polars": polars_rows, "spark": spark_rows}

if __name__ == "__main__":
    engine, table, largest_id = sys.argv[1:]
    print(json.dumps(figures.from_rows(ENGINES[engine](table), largest_id)))
