// The official TypeScript SDK 1.x against a running `echo` example, over HTTP+SSE or Streamable HTTP.
//
// usage: node ts.mjs sse|http URL [--silent SECONDS]
//
// Proves that the client initialises, lists, calls, receives progress, runs 50 calls in parallel (each
// answer is its own), disconnects and reconnects. `--silent N` instead makes one call of N seconds that
// asks for no progress: the line is silent but for the server's keep-alives.
// The SDK is found from SDK_DIR (a folder with node_modules), so that nothing is installed beside this file.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { randomUUID } from 'node:crypto';
import { pathToFileURL } from 'node:url';

const find = createRequire((process.env.SDK_DIR ?? process.cwd()) + '/package.json');
const sdk = (part) => import(pathToFileURL(find.resolve(`@modelcontextprotocol/sdk/client/${part}.js`)));
const { Client } = await sdk('index');
const { SSEClientTransport } = await sdk('sse');
const { StreamableHTTPClientTransport } = await sdk('streamableHttp');

const PARALLEL = 50;
const [kind, url, flag, value] = process.argv.slice(2);

async function connect() {
  const transport = kind === 'sse' ? new SSEClientTransport(new URL(url)) : new StreamableHTTPClientTransport(new URL(url));
  const client = new Client({ name: 'ci-ts', version: '1.0.0' });
  client.onerror = (e) => { if (!closing) console.log('  client.onerror:', e.message); };
  let closing = false;
  await client.connect(transport);
  return {
    client,
    async close() {
      closing = true;
      if (kind === 'http') await transport.terminateSession();
      await client.close();
    },
  };
}

const call = async (client, name, args, options) => {
  const result = await client.callTool({ name, arguments: args }, undefined, options);
  assert.ok(!result.isError, `isError: ${JSON.stringify(result)}`);
  return result.content[0].text;
};

async function whole() {
  let peer = await connect();
  let { client } = peer;
  const who = client.getServerVersion();
  assert.ok(who?.name, 'no serverInfo');
  console.log(`  initialised: ${who.name} ${who.version}`);
  const names = (await client.listTools()).tools.map((t) => t.name);
  for (const name of ['echo', 'add', 'slow']) assert.ok(names.includes(name), `tools/list gave ${names}`);
  const odd = 'gr\u00fc\u00df \u2028 \u{1f600}';
  assert.equal(await call(client, 'echo', { text: odd }), odd);
  assert.equal(Number(await call(client, 'add', { a: 20, b: 22 })), 42);
  await client.ping();

  const seen = [];
  const said = await call(client, 'slow', { seconds: 2, text: 'patience' }, { onprogress: (p) => seen.push(p.progress) });
  assert.ok(said.includes('patience'), said);
  assert.ok(seen.length > 0 && seen.every((p, i) => i === 0 || seen[i - 1] < p), `progress must come and rise: ${seen}`);

  await Promise.all(Array.from({ length: PARALLEL }, async () => {
    const nonce = randomUUID();
    assert.equal(await call(client, 'echo', { text: nonce }), nonce);
  }));
  console.log(`  ${names.length} tools, ${seen.length} progress notes, ${PARALLEL} calls in parallel`);
  await peer.close();

  peer = await connect();
  assert.equal(await call(peer.client, 'echo', { text: 'again' }), 'again');
  await peer.close();
  console.log('  reconnected');
}

async function silent(seconds) {
  const peer = await connect();
  const said = await call(peer.client, 'slow', { seconds, text: 'quiet' }, { timeout: (seconds + 30) * 1000 });
  assert.ok(said.includes('quiet'), said);
  await peer.close();
  console.log(`  ${seconds} s of silence survived`);
}

const late = setTimeout(() => { console.error('not done after 120 s'); process.exit(1); }, 120_000);
await (flag === '--silent' ? silent(Number(value)) : whole());
clearTimeout(late);
console.log(`ok: TypeScript SDK 1.x, ${kind}, ${url}`);
process.exit(0);
