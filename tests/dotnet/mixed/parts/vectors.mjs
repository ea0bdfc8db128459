// What a server asks of Redis, beside what ASP.NET Core was recorded to ask for.
import { readFileSync } from 'node:fs';
import { HUB, PREFIX } from './fleet.mjs';

const VECTORS = JSON.parse(readFileSync(new URL('../../../../conformance/redis/vectors.json', import.meta.url)));
const OWN = `${PREFIX}${HUB}:`;

export const inbound = VECTORS.inbound;
export const SERVER_NAMES = { A: `node-a_${'a'.repeat(31)}1`, B: `node-b_${'b'.repeat(31)}1` };
export const connectionName = name => `connection-${name}-00000000`;

/**
 * The commands of a recorded scenario for the conformance hub, normalised. `edits`: pieces of JSON and what stands for them here.
 * `receivers`: what PUBLISH answers instead.
 */
export function recorded(name, { member = 'recorded', edits = [], receivers = [] } = {}) {
  const scenario = VECTORS[member].find(scenario => scenario.name === name);
  if (!scenario) throw new Error(`nothing was recorded as ${name}`);
  const commands = scenario.commands.filter(({ channel }) => channel).map(command => ({ ...command, server: command.from }));
  commands.filter(({ command }) => command === 'PUBLISH').forEach((publish, at) => { publish.receivers = receivers[at] ?? publish.receivers; });
  return normalised(commands, edits);
}

/**
 * Commands on channels of the conformance hub: hub messages as values, names as `renames` has them, ids in the order of their
 * first use.
 */
export function normalised(commands, renames = []) {
  const [invocations, changes] = [new Map(), new Map()];
  const nth = (known, id, what) => known.get(id) ?? known.set(id, `${what} ${known.size + 1}`).get(id);
  const values = commands.filter(({ channel }) => channel.startsWith(OWN)).map(({ server, command, channel, decoded, receivers = null }) => {
    const body = { ...decoded };
    if (body.messages) body.messages = Object.fromEntries(Object.entries(body.messages).map(([protocol, message]) => [protocol, value(message)]));
    if (body.completion) body.completion = value(body.completion);
    // Hubline's own item, the origin and its number on the channel, in a place of its own behind what is recorded.
    if (Array.isArray(body.invocationId)) delete body.invocationId;
    if (body.invocationId) nth(invocations, body.invocationId, 'invocation');
    if (body.action) body.id = nth(changes, body.id, 'change');
    if (body.ack) body.ack = nth(changes, body.ack, 'change');
    return { server, command, channel, body, receivers };
  });
  const replaced = (text, [from, to]) => from === undefined ? text : text.replaceAll(from, to);
  return JSON.parse([...invocations, ...renames].reduce(replaced, JSON.stringify(values)));
}

/** A hub message as a value: how JSON is written, and how long a frame is, does not count. */
const value = ({ text, message, bad }) => bad ? { bad } : text === undefined ? message : JSON.parse(text);
