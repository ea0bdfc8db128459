// The page /call of the program, in Chromium with cameras that are none: two people on different instances see each other.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Browser } from './matrix/chromium.mjs';
import { Cluster } from './parts/cluster.mjs';
import { Page } from './parts/page.mjs';

const CAMERAS = ['--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream', '--allow-loopback-in-peer-connection'];

class Participant extends Page {
  static async signedIn(browser, cluster, user, instance) {
    const participant = Object.setPrototypeOf(await Page.open(browser, `${cluster.urls[instance]}/call`), Participant.prototype);
    await participant.signIn(user);
    return participant;
  }
  async call(user) {
    await this.page.locator('#recipient').fill(user);
    await this.click('Call');
  }
  async accept() {
    await this.page.locator('#incoming').waitFor();
    await this.click('Accept');
  }
  /** Waits until pictures of the other come in, more than there were. */
  async sees() {
    await this.page.locator('body[data-peer=connected]').waitFor();
    await this.page.evaluate(() => new Promise(resolve => {
      const video = document.querySelector('#remote');
      video.requestVideoFrameCallback(() => video.requestVideoFrameCallback(resolve));
    }));
  }
  async returnTo(instance) {
    await this.page.locator('#gone').waitFor();
    await this.page.locator('#return-to').fill(instance);
    await this.click('Return to the call');
    await this.page.locator('#gone').waitFor({ state: 'hidden' });
  }
  /** Which stream is shown: another one if the two had to connect anew. */
  stream() { return this.page.evaluate(() => document.querySelector('#remote').srcObject.id); }
  /** What it says above the pictures. */
  states(text) { return this.says('#state', text); }
}

describe('the call page', () => {
  const browser = new Browser(...CAMERAS);
  let cluster, ada, bob;
  before(async () => {
    [cluster] = await Promise.all([Cluster.start('conduit'), browser.start()]);
    [ada, bob] = await Promise.all([Participant.signedIn(browser, cluster, 'ada', 0), Participant.signedIn(browser, cluster, 'bob', 1)]);
  });
  after(async () => {
    await browser.end();
    await cluster?.end();
  });

  test('it rings, is accepted, and the two see each other', async () => {
    await ada.call('bob');
    await bob.says('#caller', 'ada calls you');
    await bob.accept();
    await Promise.all([ada.sees(), bob.sees()]);
    await ada.states('In a call with bob');
    await bob.states('In a call with ada');
  });

  test('who mutes is seen to have muted', async () => {
    await ada.click('Mute');
    await bob.says('#remote-muted', 'ada has turned off: microphone');
    await ada.click('Camera off');
    await bob.says('#remote-muted', 'microphone, camera');
    await ada.click('Unmute');
    await ada.click('Camera on');
    await bob.page.locator('#remote-muted', { hasText: /^$/ }).waitFor({ state: 'attached' });
  });

  test('who drops returns on another instance, and the pictures never stopped', async () => {
    const streams = [await ada.stream(), await bob.stream()];
    await ada.click('Drop connection');
    await ada.becomes('disconnected');
    await ada.returnTo(cluster.urls[2]);
    await ada.becomes('connected');
    await ada.says('#log', 'back in the call');
    await bob.click('Mute');
    await ada.says('#remote-muted', 'bob has turned off: microphone');
    await Promise.all([ada.sees(), bob.sees()]);
    assert.deepEqual([await ada.stream(), await bob.stream()], streams);
  });

  test('a page that is loaded again returns to its call', async () => {
    await bob.page.reload();
    await bob.returnTo(cluster.urls[0]);
    await Promise.all([ada.sees(), bob.sees()]);
  });

  test('who hangs up ends the call for both, and who declines is told apart', async () => {
    await bob.click('Hang up');
    await bob.states('You hung up.');
    await ada.states('The call has ended.');
    await bob.hasFocus('#recipient');
    await bob.page.keyboard.type('ada');
    await bob.press('Enter');
    // The card, and no button of it: whoever is writing would press that.
    await ada.hasFocus('#incoming');
    await bob.hasFocus('#audio');
    await ada.press('Tab', 'Tab');
    await ada.hasFocus('#reject');
    await ada.press('Enter');
    await bob.states('declined');
    await ada.hasFocus('#recipient');
    await bob.hasFocus('#recipient');
    for (const { complaints } of [ada, bob]) assert.deepEqual(complaints, []);
  });
});
