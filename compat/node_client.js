// `node node_client.js PLUGIN PORT SLOT PUBLICATION`: follows a slot with pg-logical-replication and
// prints each event as a line of JSON; wal2json's documents as they are. It confirms as the library
// does by itself. A line on the standard input ends the stream.
'use strict';

const {
  LogicalReplicationService,
  PgoutputPlugin,
  TestDecodingPlugin,
  Wal2JsonPlugin,
} = require('pg-logical-replication');
const { types } = require('pg');

// Values stay the text that was sent.
types.getTypeParser = () => (text) => text;

const [plugin, port, slot, publication] = process.argv.slice(2);

const say = (line) => process.stdout.write(JSON.stringify(line) + '\n');

const name = (relation) => `${relation.schema}.${relation.name}`;

// pgoutput's events in the words of all clients.
function told(event, lsn) {
  const { tag } = event;
  switch (tag) {
    case 'begin':
      return { op: 'begin' };
    case 'commit':
      return { op: 'commit', lsn };
    case 'insert':
      return { op: tag, table: name(event.relation), new: event.new };
    case 'update':
      return { op: tag, table: name(event.relation), old: event.key ?? event.old, new: event.new };
    case 'delete':
      return { op: tag, table: name(event.relation), old: event.key ?? event.old };
    case 'truncate':
      return { op: tag, tables: event.relations.map(name) };
    case 'message':
      return { op: tag, prefix: event.prefix, content: Buffer.from(event.content).toString() };
    case 'relation':
    case 'type':
      return null;
    default:
      throw new Error(`unexpected: ${tag}`);
  }
}

function decoder() {
  switch (plugin) {
    case 'pgoutput':
      return [
        new PgoutputPlugin({ protoVersion: 2, publicationNames: [publication], messages: true }),
        told,
      ];
    case 'wal2json':
      return [
        new Wal2JsonPlugin({ includeXids: false, includeTimestamp: true, includePk: true }),
        (document, lsn) => ({ op: 'wal2json', lsn, document }),
      ];
    case 'test_decoding':
      return [
        new TestDecodingPlugin({ includeXids: true, includeTimestamp: true }),
        (line, lsn) => ({ op: 'test_decoding', lsn, line }),
      ];
    default:
      throw new Error(`which plugin is ${plugin}?`);
  }
}

function fail(error) {
  console.error(error);
  process.exit(1);
}

const [output, tell] = decoder();
const service = new LogicalReplicationService(
  {
    host: '127.0.0.1',
    port: Number(port),
    user: 'pgspool',
    password: process.env.PGPASSWORD,
    database: 'pgspool',
  },
  { acknowledge: { auto: true, timeoutSeconds: 1 } },
);
service.on('error', fail);
service.on('start', () => say({ op: 'started' }));
service.on('data', (lsn, event) => {
  const line = tell(event, lsn);
  if (line) say(line);
});
service.subscribe(output, slot).catch(fail);

process.stdin.once('data', async () => {
  await service.stop();
  say({ op: 'stopped' });
  process.exit(0);
});
