/** A page of the program in a context of its own, so signed in or not by itself, and everything that it complains about. */
export class Page {
  complaints = [];
  /** `context`: more of playwright's options. `prepare(page)`: what is done before anything is loaded. */
  static async open(browser, url, { context, prepare = async () => {} } = {}) {
    const opened = new Page();
    opened.context = await browser.process.newContext(context);
    const page = opened.page = await opened.context.newPage();
    page.setDefaultTimeout(20_000);
    page.on('console', message => { if (['error', 'warning'].includes(message.type())) opened.complaints.push(message.text()); });
    page.on('pageerror', error => opened.complaints.push(error.message));
    await page.exposeFunction('complain', text => { opened.complaints.push(text); });
    await page.addInitScript(() => addEventListener('securitypolicyviolation', event => globalThis.complain(`violated: ${event.effectiveDirective}`)));
    await prepare(page);
    await page.goto(url);
    return opened;
  }

  /** Signs in, on an instance that may be another one than the page's own. */
  async signIn(user, instance) {
    await this.page.locator('#user').fill(user);
    if (instance) await this.page.locator('#instance').fill(instance);
    await this.page.getByRole('button', { name: 'Sign in' }).click();
    await this.becomes('connected');
  }
  becomes(status) { return this.page.locator(`#status.${status}`).waitFor(); }
  /** Waits until an element says this. */
  says(selector, text) { return this.page.locator(selector, { hasText: text }).first().waitFor(); }
  /** Waits until an element has the focus, as somebody without a mouse needs it. */
  hasFocus(selector) { return this.page.locator(`${selector}:focus`).waitFor(); }
  async press(...keys) { for (const key of keys) await this.page.keyboard.press(key); }
  click(name) { return this.page.getByRole('button', { name, exact: true }).click(); }
  close() { return this.context.close(); }
}
