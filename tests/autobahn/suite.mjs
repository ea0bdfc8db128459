// node suite.mjs: the Autobahn test suite against crates/transport/examples/web-socket-echo.rs, which HUBLINE_ECHO_SERVER
// names as a program. AUTOBAHN names a Python 2.7 that has the suite. Cases 12 and 13 are about compression, which Hubline
// leaves out as ASP.NET Core does.
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Process } from '../javascript/parts/process.mjs';
import { Server } from '../javascript/parts/server.mjs';
import { freePort } from '../javascript/parts/port.mjs';

const EXCLUDED = ['12.*', '13.*'];
// Non-strict: the RFC lets an endpoint notice a violation later than at the first octet that shows it.
const GOOD = ['OK', 'NON-STRICT', 'INFORMATIONAL'];

/** Runs the suite and returns its index: case id → what it found. */
async function judge(url, directory) {
  const spec = path.join(directory, 'spec.json');
  const reports = path.join(directory, 'reports');
  writeFileSync(spec, JSON.stringify({ outdir: reports, servers: [{ url }], cases: ['*'], 'exclude-cases': EXCLUDED }));
  const run = "from autobahntestsuite.wstest import run; run()";
  const suite = new Process(process.env.AUTOBAHN, ['-c', run, '-m', 'fuzzingclient', '-s', spec]);
  const code = await suite.ended;
  if (code !== 0) throw new Error(`the suite ended with ${code}\n${suite.lines.slice(-20).join('\n')}`);
  const [cases] = Object.values(JSON.parse(readFileSync(path.join(reports, 'index.json'), 'utf8')));
  return cases;
}

const groupOf = id => id.split('.')[0];

/** Per group of cases a line in the results, as every client has them. */
function record(cases) {
  const file = process.env.HUBLINE_MATRIX_RESULTS;
  if (!file) return;
  for (const [id, { behavior, behaviorClose }] of Object.entries(cases)) {
    const good = GOOD.includes(behavior) && GOOD.includes(behaviorClose);
    appendFileSync(file, `${JSON.stringify({
      client: 'Autobahn', version: '25.10.1', environment: 'Python 2.7', transport: 'WebSockets', protocol: 'RFC 6455',
      feature: `cases ${groupOf(id)}`, outcome: good ? 'passed' : 'failed', detail: good && behavior === 'OK' ? '' : `${id}: ${behavior}, close ${behaviorClose}`,
    })}\n`);
  }
}

const directory = mkdtempSync(path.join(tmpdir(), 'autobahn-'));
const server = new Server(process.env.HUBLINE_ECHO_SERVER, [], await freePort());
try {
  await server.start();
  const cases = await judge(`ws://127.0.0.1:${server.port}/echo`, directory);
  record(cases);
  const failed = Object.entries(cases).filter(([, c]) => !GOOD.includes(c.behavior) || !GOOD.includes(c.behaviorClose));
  for (const [id, { behavior, behaviorClose }] of failed) console.log(`FAIL ${id}: ${behavior}, close ${behaviorClose}`);
  console.log(`${Object.keys(cases).length - failed.length} passed, ${failed.length} failed, 0 skipped`);
  process.exitCode = failed.length > 0 ? 1 : 0;
} finally {
  await server.process?.stop();
  rmSync(directory, { recursive: true });
}
