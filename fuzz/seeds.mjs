// Makes the seeds in `corpus` of the recorded cases: node seeds.mjs
import fs from 'node:fs';
import { createHash, createHmac } from 'node:crypto';

const cases = file => JSON.parse(fs.readFileSync(new URL(`../conformance/cases/${file}.json`, import.meta.url))).cases;
const sent = (...files) => files.flatMap(cases).flatMap(({ steps }) => steps)
  .filter(step => step.do === 'send' && !step.repeat && (step.text || step.hex) && !(step.hex ?? '').includes('$'))
  .map(step => (step.hex ? Buffer.from(step.hex, 'hex') : Buffer.from(step.text.replaceAll('␞', '\x1e'))))
  .filter(bytes => bytes.length < 200);

function write(target, seeds) {
  const folder = new URL(`corpus/${target}/`, import.meta.url);
  fs.rmSync(folder, { recursive: true, force: true });
  fs.mkdirSync(folder, { recursive: true });
  for (const seed of seeds) fs.writeFileSync(new URL(createHash('sha1').update(seed).digest('hex').slice(0, 12), folder), seed);
}

const some = (seeds, most) => seeds.filter((_, index) => index % Math.ceil(seeds.length / most) === 0);
const message = frame => frame.subarray(1, 1 + frame[0]);
const json = (...files) => sent(...files).filter(bytes => bytes[0] === 0x7b && bytes.at(-1) === 0x1e).map(bytes => bytes.subarray(0, -1));
const messagePack = (...files) => sent(...files).filter(bytes => bytes[0] < 0x80).map(message);
const limited = bytes => Buffer.concat([Buffer.from([bytes.length / 2, 0, 100, 0]), bytes]);

write('json', [...some(json('json-protocol', 'json-values'), 80), ...some(json('json-spellings', 'json-repeats'), 60)]);
write('message_pack', [...some(messagePack('messagepack-protocol', 'messagepack-values'), 80), ...some(messagePack('messagepack-spellings'), 40)]);
write('framing', some(sent('json-protocol', 'messagepack-protocol').map(limited), 40));
write('handshake', sent('handshake').filter(bytes => bytes[0] === 0x7b).map(bytes => bytes.subarray(0, bytes.indexOf(0x1e))));
write('negotiate', ['', '0', '1', '-1', '100', ' 1 ', 'x', '1&1', '2147483648'].map(query => Buffer.concat([Buffer.from([1, 0, 0, 0]), Buffer.from(query)])));

const recorded = JSON.parse(fs.readFileSync(new URL('../conformance/redis/vectors.json', import.meta.url))).recorded;
const payloads = new Set(recorded.flatMap(({ commands }) => commands).map(command => command.payload).filter(payload => payload && payload.length < 400));
write('redis', some([...payloads].map(payload => Buffer.from(payload, 'hex')), 40));

// Signed with the key of the target; every other one is a broken copy of it.
const part = value => Buffer.from(JSON.stringify(value)).toString('base64url');
const signed = claims => {
  const text = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`;
  return `${text}.${createHmac('sha256', 'a key for fuzzing, of 32 bytes or more').update(text).digest('base64url')}`;
};
const good = signed({ sub: 'ada', role: ['Doctor'], exp: 4102444800 });
write('token', [good, good.slice(0, -1), `${part({ alg: 'none' })}.${part({ sub: 'ada' })}.`, signed({ sub: 'ada', exp: 1 }), '..', 'nonsense'].map(text => Buffer.from(text)));
