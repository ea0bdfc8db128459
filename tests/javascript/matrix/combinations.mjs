import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

/** The newest version, the newest with 8, and the oldest there is; `package.json` names them. */
const PACKAGES = [
  { client: '@microsoft/signalr', messagePack: '@microsoft/signalr-protocol-msgpack' },
  { client: 'signalr-8', messagePack: 'signalr-protocol-msgpack-8' },
  // Before version 5 the browser's bundle wants its MessagePack library to be loaded first.
  { client: 'signalr-3', messagePack: 'signalr-protocol-msgpack-3', browserLibrary: 'msgpack5/dist/msgpack5.js' },
];

export const VERSIONS = PACKAGES.map(({ client, messagePack, browserLibrary }) => {
  const { version } = require(`${client}/package.json`);
  return {
    version,
    major: Number.parseInt(version, 10),
    modules: () => ({ signalR: require(client), messagePack: require(messagePack) }),
    scripts: [`${client}/dist/browser/signalr.js`, browserLibrary, `${messagePack}/dist/browser/signalr-protocol-msgpack.js`].filter(Boolean),
  };
});

/** `lacking`: why there is no such combination. */
export const CHANNELS = ['WebSockets', 'ServerSentEvents', 'LongPolling'].flatMap(transport => ['json', 'messagepack'].map(protocol => ({
  transport,
  protocol,
  lacking: transport === 'ServerSentEvents' && protocol === 'messagepack' && 'server-sent events carry text, MessagePack is binary',
})));
