import assert from 'node:assert/strict';
import { answerAs, NOW } from './console-state.mjs';
import { Page } from './page.mjs';
import { poll } from './until.mjs';

/** An admin key of servers whose console is tested. */
export const KEY = 'a-key-of-the-console-of-32-letters';
const MOST_TABS = 120;
const MOST_OPTIONS = 30;

/** The page /console of a server, by keyboard alone. */
export class Console extends Page {
  /** `methods`: answers of a hub that is not there, at a fixed time. */
  static async at(browser, url, methods) {
    let hub;
    const opened = await Page.open(browser, `${url}/console`, { prepare: async page => {
      await page.addInitScript(rememberAnnouncements);
      if (!methods) return;
      await page.clock.setFixedTime(NOW);
      hub = await answerAs(page, methods);
    } });
    return Object.assign(Object.setPrototypeOf(opened, Console.prototype), { hub });
  }

  /** Presses Tab until something has the focus, which has to be seen. */
  async reach(selector) {
    for (let n = 0; n < MOST_TABS; n++) {
      const at = await this.page.evaluate(selector => {
        const focused = document.activeElement;
        return focused.matches(selector) && { outline: getComputedStyle(focused).outlineStyle };
      }, selector);
      if (at) return assert.notEqual(at.outline, 'none', `${selector} has the focus, and does not show it`);
      await this.press('Tab');
    }
    return assert.fail(`${selector} is not reached by the keyboard`);
  }
  type(text) { return this.page.keyboard.type(text); }
  /** Puts a text in the place of what is in a field. */
  async fill(selector, text) {
    await this.reach(selector);
    await this.press('Control+a');
    await this.type(text);
  }
  /** Chooses an option by the arrow keys. */
  async choose(selector, label) {
    await this.reach(selector);
    await this.press('Home');
    for (let n = 0; n < MOST_OPTIONS; n++) {
      const chosen = await this.page.locator(selector).evaluate(select => select.selectedOptions[0]?.label);
      if (chosen.startsWith(label)) return;
      await this.press('ArrowDown');
    }
    assert.fail(`${label} is not to be chosen in ${selector}`);
  }
  async view(name) {
    await this.reach(`.tools a[href="#${name}"]`);
    await this.press('Enter');
    await this.page.locator(`#${name}`).waitFor();
  }
  signInByKey(key = KEY) { return this.fill('#key', key).then(() => this.press('Enter')); }

  /** Confirms what is asked in these words, reads what was done, and leaves. What has the focus is told by `has`. */
  async confirm(words, done, { has, leave = 'Enter' }) {
    await this.says('#confirm-words', words);
    // Nothing is done by somebody who presses Enter once too often.
    await this.hasFocus('#confirm-not');
    await this.reach('#confirm-do');
    await this.press('Enter');
    await this.says('#confirm-title', 'Done');
    await this.says('#confirm-words', done);
    await poll(() => this.page.evaluate(() => globalThis.announced), said => said.some(text => done.test(text)), `${done} is announced`);
    await this.hasFocus('#confirm-not');
    await this.press(leave);
    await this.page.locator('#confirm').waitFor({ state: 'hidden' });
    await this.hasFocus(has);
    const [newest] = await this.page.locator('#done li').allTextContents();
    assert.match(newest.replace(/^[\d:]+/, ''), done);
  }
}

/** Keeps what a screen reader says by itself: changes of live regions that are seen. Runs in the page. */
function rememberAnnouncements() {
  const announced = globalThis.announced = [];
  new MutationObserver(changes => {
    for (const { target } of changes) {
      const element = target.nodeType === Node.ELEMENT_NODE ? target : target.parentElement;
      const region = element?.closest('[role=status], [role=alert], [aria-live=polite]');
      // What is beside an open dialog is not read.
      const dialog = document.querySelector('dialog[open]');
      if (region?.checkVisibility() && (!dialog || dialog.contains(region))) announced.push(region.textContent.trim());
    }
  }).observe(document, { subtree: true, childList: true, characterData: true });
}
