"""An upstream that loses what it promised: the capture stops with a plan, and never leaves a gap."""

import shutil
import unittest

import psycopg2
import psycopg2.extras

from capturing import DATABASE, SHOP, SLOT, CaptureTest, Stream, Upstream, lsn
from publisher import eventually

PUBLICATION = "everything"
OPTIONS = {"proto_version": "1", "publication_names": PUBLICATION}


class Standby(Upstream):
    """A copy of an upstream that follows it until it is promoted."""

    def __init__(self, of):
        self.settings = of.settings
        self.folder, self.as_postgres = of.folder, of.as_postgres
        self.data = of.folder / "standby"
        self._run("pg_basebackup", "-h", "127.0.0.1", "-p", of.port, "-U", "pgspool", "-D", self.data,
                  "-R", "-X", "stream", "-c", "fast", "--no-sync")
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def promote(self):
        self._run("pg_ctl", "-D", self.data, "-w", "promote")

    def end_of_replay(self):
        return self.sql("SELECT pg_last_wal_replay_lsn()")[0][0]

    def stop(self):
        if (self.data / "postmaster.pid").exists():
            self._run("pg_ctl", "-D", self.data, "-m", "immediate", "stop")


class Trouble(CaptureTest):
    UPSTREAM = {"wal_sender_timeout": "5s", "max_wal_senders": "20", "hot_standby": "on",
                "autovacuum": "off"}

    def setUp(self):
        super().setUp()
        self.upstream.sql("CREATE TABLE items (id int PRIMARY KEY, note text)",
                          f"CREATE PUBLICATION {PUBLICATION} FOR ALL TABLES")

    def begin(self, **options):
        """A capture with some rows, and a consumer's slot that has not read them."""
        self.capture(PUBLICATION, **options)
        self.caught_up()
        self.here("SELECT pg_create_logical_replication_slot('consumer', 'pgoutput')")
        self.upstream.sql("INSERT INTO items SELECT n, 'before' FROM generate_series(1, 100) n")
        return self.caught_up()

    def stops(self, cause, rows=100):
        """Waits until the capture has stopped for this cause; returns its row."""
        def stopped():
            state = self.state()
            return (state["state"], state["stop_cause"]) == ("stopped", cause) and state
        try:
            state = eventually(stopped, f"the capture to stop: {cause}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.state()}\n{self.server.log_text()[-3000:]}") from error
        self.assertTrue(state["plan"], state)
        self.served(rows)
        return state

    def assert_missing(self, state, start):
        """The gap begins at `start` or behind it, and has an end."""
        self.assertGreaterEqual(lsn(state["missing_from"]), lsn(start), state)
        self.assertGreater(lsn(state["missing_to"]), lsn(state["missing_from"]), state)

    def served(self, rows=100):
        """Who reads here gets what is here, whatever happened to the upstream."""
        stream = Stream(self.conninfo_here(), "consumer", OPTIONS)
        messages = stream.read(self.here("SELECT pg_current_wal_lsn()")[0][0])
        stream.close()
        self.assertEqual(sum(payload[:1] == b"I" for _, _, payload in messages), rows)

    def test_a_slot_that_was_dropped_is_a_gap_that_is_named(self):
        end = self.begin()
        self.here(f"PAUSE {SHOP}")
        eventually(lambda: self.upstream.sql("SELECT active FROM pg_replication_slots") == [(False,)],
                   "the slot to be free")
        self.upstream.sql(f"SELECT pg_drop_replication_slot('{SLOT}')",
                          "INSERT INTO items VALUES (1000, 'lost')")
        self.here(f"RESUME {SHOP}")
        self.assert_missing(self.stops("slot_missing"), end)
        # A new slot of that name does not hide the gap.
        self.upstream.sql(f"SELECT pg_create_logical_replication_slot('{SLOT}', 'pgoutput')")
        self.here(f"RESUME {SHOP}")
        self.assert_missing(self.stops("slot_ahead"), end)

    def test_a_slot_that_fell_behind_max_slot_wal_keep_size_is_lost(self):
        end = self.begin()
        self.here(f"PAUSE {SHOP}")
        self.upstream.sql("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'",
                          "SELECT pg_reload_conf()")
        for _ in range(4):
            self.upstream.sql("INSERT INTO items SELECT n + (SELECT max(id) FROM items), 'much'"
                              " FROM generate_series(1, 20000) n",
                              "SELECT pg_switch_wal()", "CHECKPOINT")
        eventually(lambda: self.upstream.sql("CHECKPOINT", "SELECT wal_status FROM pg_replication_slots")
                   == [("lost",)], "the slot to be lost")
        self.here(f"RESUME {SHOP}")
        self.assert_missing(self.stops("slot_lost"), end)

    def test_a_slot_that_somebody_moved_is_ahead(self):
        end = self.begin()
        self.here(f"PAUSE {SHOP}")
        eventually(lambda: self.upstream.sql("SELECT active FROM pg_replication_slots") == [(False,)],
                   "the slot to be free")
        self.upstream.sql("INSERT INTO items VALUES (1000, 'lost')",
                          f"SELECT pg_replication_slot_advance('{SLOT}', pg_current_wal_lsn())")
        self.here(f"RESUME {SHOP}")
        self.assert_missing(self.stops("slot_ahead"), end)

    def confirmed(self):
        return lsn(self.upstream.sql("SELECT confirmed_flush_lsn FROM pg_replication_slots")[0][0])

    def test_a_publication_that_is_dropped_while_streaming_stops_the_capture(self):
        self.begin()
        self.upstream.sql(f"DROP PUBLICATION {PUBLICATION}")
        before = self.upstream.end()
        self.upstream.sql("INSERT INTO items VALUES (1000, 'not published')")
        state = self.stops("publication_missing")
        self.assertIn("CREATE PUBLICATION", state["plan"])
        self.assertLessEqual(lsn(state["missing_from"]), lsn(before))
        self.assertLessEqual(self.confirmed(), lsn(before))
        # Made again, it does not give what was written without it: that is no silent gap either.
        self.upstream.sql(f"CREATE PUBLICATION {PUBLICATION} FOR ALL TABLES",
                          "INSERT INTO items VALUES (1001, 'published again')")
        restarts = state["restarts"]
        self.here(f"RESUME {SHOP}")
        eventually(lambda: self.state()["restarts"] > restarts, "it to be looked at again")
        self.stops("publication_missing")
        self.assertLessEqual(self.confirmed(), lsn(before))

    def test_a_publication_that_is_dropped_while_paused_stops_behind_what_was_before(self):
        self.begin()
        self.here(f"PAUSE {SHOP}")
        eventually(lambda: self.upstream.sql("SELECT active FROM pg_replication_slots") == [(False,)],
                   "the slot to be free")
        self.upstream.sql("INSERT INTO items SELECT n, 'published' FROM generate_series(101, 150) n",
                          f"DROP PUBLICATION {PUBLICATION}")
        before = self.upstream.end()
        self.upstream.sql("INSERT INTO items VALUES (1000, 'not published')")
        self.here(f"RESUME {SHOP}")
        eventually(lambda: self.state()["state"] == "stopped", "the capture to stop")
        self.assertEqual(self.state()["stop_cause"], "publication_missing", self.state())
        self.served(150)
        self.assertLessEqual(self.confirmed(), lsn(before))

    def test_a_publication_that_is_made_again_before_anything_was_written_is_followed(self):
        self.begin()
        self.here(f"PAUSE {SHOP}")
        self.upstream.sql(f"DROP PUBLICATION {PUBLICATION}")
        self.here(f"RESUME {SHOP}")
        eventually(lambda: self.state()["state"] == "stopped", "the capture to stop")
        self.assertEqual(self.state()["stop_cause"], "publication_missing", self.state())
        self.upstream.sql(f"CREATE PUBLICATION {PUBLICATION} FOR ALL TABLES",
                          "INSERT INTO items VALUES (1000, 'published again')")
        self.here(f"RESUME {SHOP}")
        self.caught_up()
        self.served(101)

    def test_an_upstream_restored_from_an_older_copy_is_behind(self):
        self.begin()
        self.upstream.shut_down()
        older = self.upstream.folder / "older"
        shutil.copytree(self.upstream.data, older, copy_function=copy_owned)
        own(older)
        self.upstream.start_again()
        self.upstream.sql("INSERT INTO items SELECT n, 'newer' FROM generate_series(101, 200) n")
        end = self.caught_up()
        self.upstream.shut_down()
        shutil.rmtree(self.upstream.data)
        older.rename(self.upstream.data)
        self.upstream.start_again()
        state = self.stops("upstream_behind", rows=200)
        # What was received above the upstream's end is there no longer; nobody knows how much.
        self.assertLess(lsn(state["missing_from"]), lsn(end))
        self.assertIsNone(state["missing_to"], state)

    def test_another_cluster_at_the_same_place_is_not_followed(self):
        self.begin()
        self.upstream.shut_down()
        other = Upstream(**self.UPSTREAM)
        self.addCleanup(other.stop)
        other.sql("CREATE TABLE items (id int PRIMARY KEY, note text)",
                  f"CREATE PUBLICATION {PUBLICATION} FOR ALL TABLES",
                  f"SELECT pg_create_logical_replication_slot('{SLOT}', 'pgoutput')")
        port = self.upstream.port
        other.shut_down()
        other.port = port
        other.start_again()
        self.stops("system_identifier_changed")

    def test_a_promoted_standby_without_the_slot_is_a_gap_that_is_named(self):
        self.upstream.sql("ALTER SYSTEM SET max_wal_senders = 20")
        standby = Standby(self.upstream)
        self.addCleanup(standby.stop)
        end = self.begin(upstream=two_hosts(self.upstream, standby))
        self.fail_over(standby)
        standby.sql("INSERT INTO items VALUES (1000, 'lost')")
        self.assert_missing(self.stops("slot_missing"), end)

    def test_a_promoted_standby_with_the_slot_is_followed(self):
        """The slot was carried over before, as tools for that do."""
        standby = Standby(self.upstream)
        self.addCleanup(standby.stop)
        self.begin(upstream=two_hosts(self.upstream, standby))
        # What was received lies behind the switch, and the slot stands where it stood.
        self.upstream.sql("CHECKPOINT")
        end = self.upstream.end()
        eventually(lambda: lsn(standby.end_of_replay()) >= lsn(end), "the standby to follow")
        standby.shut_down()
        shutil.copytree(self.upstream.data / "pg_replslot" / SLOT, standby.data / "pg_replslot" / SLOT,
                        copy_function=copy_owned)
        own(standby.data / "pg_replslot" / SLOT)
        standby.start_again()
        self.fail_over(standby)
        standby.sql("INSERT INTO items SELECT n, 'after' FROM generate_series(101, 150) n")
        self.upstream, self.old = standby, self.upstream
        self.caught_up()
        self.served(150)
        self.assertEqual(self.state()["timeline"], 2)
        found = standby.sql("SELECT system_identifier::text FROM pg_control_system()")
        told = self.identify_system()
        self.assertEqual((told[0], told[1], told[3]), (found[0][0], 2, SHOP), told)

    def identify_system(self):
        """What clients that replicate from here are told."""
        connection = psycopg2.connect(
            self.conninfo_here(), connection_factory=psycopg2.extras.LogicalReplicationConnection)
        self.addCleanup(connection.close)
        cursor = connection.cursor()
        cursor.execute("IDENTIFY_SYSTEM")
        return cursor.fetchone()

    def test_a_commit_right_behind_a_message_of_its_own_is_not_passed_over(self):
        """The message is acknowledged, and the commit's record begins where the message's ends."""
        self.begin()
        with self.upstream.connect() as slow, self.upstream.connect() as other:
            slow.execute("BEGIN")
            slow.execute("INSERT INTO items VALUES (1000, 'committed later')")
            said = other.execute("SELECT pg_logical_emit_message(false, 'p', 'x')").fetchone()[0]
            other.execute("SELECT txid_current()")  # writes it out
            self.caught_up()
            asked = f"SELECT confirmed_flush_lsn >= '{said}' FROM pg_replication_slots"
            eventually(lambda: self.upstream.sql(asked) == [(True,)], "the message to be confirmed")
            self.here(f"PAUSE {SHOP}")
            eventually(lambda: self.upstream.sql("SELECT active FROM pg_replication_slots")
                       == [(False,)], "the slot to be free")
            slow.execute("COMMIT")
        self.here(f"RESUME {SHOP}")
        self.caught_up()
        self.served(101)

    def fail_over(self, standby):
        end = self.upstream.end()
        eventually(lambda: lsn(standby.end_of_replay()) >= lsn(end), "the standby to follow")
        self.upstream.shut_down()
        standby.promote()


def two_hosts(first, second):
    return (f"host=127.0.0.1,127.0.0.1 port={first.port},{second.port} user=pgspool"
            f" dbname={DATABASE} target_session_attrs=read-write")


def copy_owned(source, target):
    shutil.copy2(source, target)
    own_one(target)
    return target


def own_one(path):
    shutil.chown(path, "postgres", "postgres")


def own(folder):
    """Gives a copied folder to the user that servers run as."""
    for path in [folder, *folder.rglob("*")]:
        own_one(path)
        if path.is_dir():
            path.chmod(0o700)


if __name__ == "__main__":
    unittest.main()
