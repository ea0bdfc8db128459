import { equal, ok, rejects } from '../expect.mjs';

const lacking = ({ major }) => major < 7 && 'client results came with version 7';
const answering = { on: { Ask: async question => `answer to ${question}` } };

export const clientResults = [
  {
    name: 'client result',
    lacking,
    async run(stage) {
      const asked = await stage.open(answering);
      equal(await asked.invoke('AskCaller', 'ä?'), 'answer to ä?', 'what the caller answered');
      equal(await stage.first.invoke('AskClient', asked.id, 'one?'), 'answer to one?', 'what another client answered');
      const questions = Array.from({ length: 20 }, (_, i) => `${i}?`);
      const answers = await Promise.all(questions.map(question => stage.first.invoke('AskClient', asked.id, question)));
      equal(answers, questions.map(question => `answer to ${question}`), 'what many questions were answered');
    },
  },
  {
    name: 'client result that fails',
    lacking,
    async run(stage) {
      const refusing = await stage.open({ on: { Ask: () => { throw new Error('no answer today'); } } });
      equal(await stage.first.invoke('AskClient', refusing.id, '?'), 'HubException: Error: no answer today', 'a client that throws');
      await rejects(refusing.invoke('AskCaller', '?'), "An unexpected error occurred invoking 'AskCaller' on the server. HubException: Error: no answer today");
      equal(await stage.first.invoke('AskClient', 'nobody', '?'), "IOException: Connection 'nobody' does not exist.", 'nobody');
    },
  },
  {
    name: 'client result without a handler',
    lacking,
    async run({ first, second }) {
      equal(await first.invoke('AskClient', second.id, '?'), "HubException: Client didn't provide a result.");
    },
  },
  {
    name: 'client result of a client that goes',
    lacking,
    async run(stage) {
      let asked;
      const going = await stage.open({ on: { Ask: () => new Promise(() => asked()) } });
      const wasAsked = new Promise(resolve => { asked = resolve; });
      const answer = stage.first.invoke('AskClient', going.id, '?');
      await wasAsked;
      await going.stop();
      // ASP.NET Core says less of a connection of another server.
      const texts = [`IOException: Connection '${going.id}' disconnected.`];
      if (stage.directUrls.length > 1) texts.push('HubException: Connection disconnected.');
      const text = await answer;
      ok(texts.includes(text), text);
    },
  },
];
