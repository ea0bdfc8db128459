import { Server } from '../../javascript/parts/server.mjs';

export const isPeer = process.env.HUBLINE_MATRIX_SERVER === 'peer';
/** A server to judge. */
export const judged = isPeer ? Server.peer11 : Server.conformance;

/** `lacking(client)`: why there is no such combination. */
export const CHANNELS = ['WebSockets', 'ServerSentEvents', 'LongPolling'].flatMap(transport => ['json', 'messagepack', 'newtonsoft'].map(protocol => ({
  transport,
  protocol,
  lacking(client) {
    if (transport === 'ServerSentEvents' && protocol === 'messagepack') return 'server-sent events carry text only';
    if (!client.protocols.includes(protocol)) return `version ${client.version} is driven with ${client.protocols} only`;
  },
})));
