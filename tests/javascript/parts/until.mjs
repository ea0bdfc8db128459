const PATIENCE_MS = 20_000;

/** Something that changes, and that tests wait for: every change must call `changed`. */
export class Changing {
  #waiting = new Set();
  changed() { for (const look of this.#waiting) look(); }

  /** Waits until `condition()` is true; gives up after 20 s and tells the end of what `state()` was then. */
  until(condition, state = () => '') {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(look);
        reject(new Error(`waited ${PATIENCE_MS} ms for ${condition}: …${state().slice(-2000)}`));
      }, PATIENCE_MS);
      const look = () => {
        if (!condition()) return;
        clearTimeout(timer);
        this.#waiting.delete(look);
        resolve();
      };
      this.#waiting.add(look);
      look();
    });
  }
}

/** What `promise` comes to; an answer that does not come fails the test instead of holding it up. */
export async function answered(promise, what, patienceMs = PATIENCE_MS) {
  let timer;
  const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error(`${what}: no answer in ${patienceMs} ms`)), patienceMs); });
  try { return await Promise.race([promise, late]); } finally { clearTimeout(timer); }
}

/** Asks again and again, for what tells nobody when it changes. */
export async function poll(question, good, what) {
  let answer;
  for (const limit = Date.now() + PATIENCE_MS; Date.now() < limit; await new Promise(r => setTimeout(r, 20))) {
    answer = await question().catch(error => error);
    if (!(answer instanceof Error) && good(answer)) return answer;
  }
  throw new Error(`${what}: still ${answer instanceof Error ? answer.message : JSON.stringify(answer)}`);
}
