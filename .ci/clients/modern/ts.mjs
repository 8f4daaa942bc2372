// The official TypeScript SDK 2.x against a running `conformance` example, in the era it is told.
//
// usage: node ts.mjs modern|session http|sse URL, or node ts.mjs modern|session stdio PROGRAM
//
// Proves what py2.py proves. The SDK is found from SDK_DIR (a folder with node_modules).
import assert from 'node:assert/strict';
import { pathToFileURL } from 'node:url';

const folder = `${process.env.SDK_DIR ?? process.cwd()}/node_modules/@modelcontextprotocol/client`;
const { Client, SSEClientTransport, StreamableHTTPClientTransport } = await import(pathToFileURL(`${folder}/dist/index.mjs`));

const [era, kind, url] = process.argv.slice(2);
const modern = era === 'modern';
const revision = modern ? '2026-07-28' : '2025-11-25';
const elicit = modern ? { name: 'test_input_required_result_elicitation', arguments: {} }
  : { name: 'test_elicitation', arguments: { message: 'Who?' } };
const sample = modern ? { name: 'test_input_required_result_sampling', arguments: {} }
  : { name: 'test_sampling', arguments: { prompt: 'capital of France?' } };

const late = setTimeout(() => { console.error('not done after 90 s'); process.exit(1); }, 90_000);
const client = new Client({ name: 'ci-ts2', version: '1.0.0' }, {
  capabilities: { elicitation: { form: {} }, sampling: {} },
  versionNegotiation: { mode: modern ? 'auto' : 'legacy' },
});
const asked = [];
client.setRequestHandler('elicitation/create', async (request) => {
  asked.push(`elicitation: ${request.params.message}`);
  const names = Object.keys(request.params.requestedSchema.properties);
  return { action: 'accept', content: Object.fromEntries(names.map((n) => [n, n === 'email' ? 'alice@example.com' : 'Alice'])) };
});
client.setRequestHandler('sampling/createMessage', async (request) => {
  asked.push(`sampling: ${JSON.stringify(request.params.messages[0].content)}`);
  return { role: 'assistant', content: { type: 'text', text: 'Paris' }, model: 'none', stopReason: 'endTurn' };
});
const text = (result) => {
  assert.ok(!result.isError, `isError: ${JSON.stringify(result)}`);
  return result.content[0].text;
};

const { StdioClientTransport } = await import(pathToFileURL(`${folder}/dist/stdio.mjs`));
const transport = kind === 'stdio' ? new StdioClientTransport({ command: url, args: ['stdio'], stderr: 'ignore' })
  : kind === 'sse' ? new SSEClientTransport(new URL(url)) : new StreamableHTTPClientTransport(new URL(url));
await client.connect(transport);
assert.equal(client.getNegotiatedProtocolVersion(), revision);
const tools = (await client.listTools()).tools.map((t) => t.name);
for (const name of ['test_simple_text', elicit.name, sample.name]) assert.ok(tools.includes(name), `tools/list gave ${tools}`);
assert.ok((await client.listResources()).resources.some((r) => r.uri === 'test://static-text'));
assert.ok((await client.listResourceTemplates()).resourceTemplates.length > 0);
assert.ok((await client.listPrompts()).prompts.some((p) => p.name === 'test_simple_prompt'));
assert.ok((await client.readResource({ uri: 'test://static-text' })).contents[0].text);
const prompt = await client.getPrompt({ name: 'test_prompt_with_arguments', arguments: { arg1: 'one', arg2: 'two' } });
assert.match(prompt.messages[0].content.text, /one/);
await client.complete({ ref: { type: 'ref/prompt', name: 'test_prompt_with_arguments' }, argument: { name: 'arg1', value: 'test' } });
assert.ok(text(await client.callTool({ name: 'test_simple_text', arguments: {} })));

const seen = [];
text(await client.callTool({ name: 'test_tool_with_progress', arguments: {} }, { onprogress: (p) => seen.push(p.progress) }));
// This client forgets a call with its answer: progress that came in the same piece is not told any more.
assert.ok(seen.length >= 2 && seen.every((p, i) => i === 0 || seen[i - 1] < p), `progress must come and rise: ${seen}`);

assert.match(text(await client.callTool(elicit)), /Alice/);
const said = text(await client.callTool(sample));
assert.ok(modern || said.includes('Paris'), said);
assert.deepEqual(asked.map((a) => a.split(':')[0]), ['elicitation', 'sampling']);

if (modern) {
  let changed;
  const told = new Promise((resolve) => { changed = resolve; });
  client.setNotificationHandler('notifications/tools/list_changed', async () => changed());
  const listening = await client.listen({ toolsListChanged: true });
  text(await client.callTool({ name: 'test_trigger_tool_change', arguments: {} }));
  await Promise.race([told, new Promise((_, no) => setTimeout(no, 5000, new Error('no list_changed within 5 s')))]);
  await listening.close();
} else if (kind === 'http') {
  await transport.terminateSession();
}
await client.close();
clearTimeout(late);
console.log(`ok: TypeScript SDK 2.x, ${kind}, ${era}: ${revision}, ${asked.length} requests answered`);
process.exit(0);
