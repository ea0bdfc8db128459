// Assertions that run in a browser too.

const text = value => JSON.stringify(value) ?? 'undefined';
const short = value => (text(value).length > 300 ? `${text(value).slice(0, 300)}… (${text(value).length} characters)` : text(value));

/** Equal as JSON: members in the same order, `undefined` only to `undefined`. */
export function equal(actual, expected, what = 'the value') {
  if (text(actual) !== text(expected)) throw new Error(`${what} is ${short(actual)}, expected ${short(expected)}`);
}

export function ok(condition, what) {
  if (!condition) throw new Error(what);
}

export function matches(actual, pattern, what = 'the text') {
  if (!pattern.test(actual)) throw new Error(`${what} is ${short(actual)}, expected to match ${pattern}`);
}

/** Waits for `promise` to be rejected with the message `expected`: the whole of it, or a pattern. */
export async function rejects(promise, expected) {
  const message = await promise.then(value => { throw new Error(`answered ${short(value)}, expected the error ${expected}`); }, error => error.message);
  if (expected instanceof RegExp) matches(message, expected, 'the error');
  else equal(message, expected, 'the error');
}
