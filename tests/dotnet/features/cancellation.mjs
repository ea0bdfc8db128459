import assert from 'node:assert/strict';
import { isPeer } from '../matrix/combinations.mjs';

const tellsServer = ({ client }) => client.before(11, 'way to tell the server that a call is cancelled');
const CANCEL_MS = 200;
/** A call that its client gives up. */
const impatient = (client, method, ...args) =>
  assert.rejects(client.command('invoke', { method, args, cancelAfterMs: CANCEL_MS }), { message: 'A task was canceled.' });

export const cancellation = [
  {
    feature: 'call cancelled',
    lacking: tellsServer,
    async run(stage) {
      const client = await stage.open();
      await impatient(client, 'Patient', 600_000);
      await stage.logged(new RegExp(`patient ${client.label} cancelled$`));
      assert.equal(await client.invoke('Add', 1, 2), 3);
    },
  },
  {
    feature: 'call cancelled that cannot be',
    lacking: tellsServer,
    async run(stage) {
      const client = await stage.open();
      await impatient(client, 'Slow', 2 * CANCEL_MS);
      assert.equal(await client.invoke('Add', 1, 2), 3);
    },
  },
  {
    feature: 'call cancelled while another waits for its turn',
    lacking: stage => tellsServer(stage) || isPeer && 'ASP.NET Core reads nothing while a call waits',
    async run(stage) {
      const client = await stage.open();
      const cancelled = impatient(client, 'Patient', 600_000);
      await client.state(); // the driver has taken up the call
      assert.equal(await client.invoke('Add', 1, 2), 3);
      await cancelled;
      await stage.logged(new RegExp(`patient ${client.label} cancelled$`));
    },
  },
];
