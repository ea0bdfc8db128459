// When two answers count as the same.

/** In semantic mode JSON texts are compared as values: property order and spelling of numbers do not count. */
function canonical(value, exact) {
  if (Array.isArray(value)) return value.map(v => canonical(v, exact));
  if (value && typeof value === 'object') return Object.fromEntries(Object.keys(value).sort().map(k => [k, canonical(value[k], exact)]));
  if (!exact && typeof value === 'string' && /^[{[]/.test(value)) { try { return canonical(JSON.parse(value), true); } catch { /* not JSON */ } }
  return value;
}
/** How a body is delimited is the HTTP layer's choice, and the length of one with tokens varies: it counts for empty bodies only. */
function withoutLength(a, b) {
  const length = v => v?.headers?.['content-length'];
  if (a?.body === '' && b?.body === '' && length(a) !== undefined && length(b) !== undefined) return [a, b];
  return [a, b].map(v => (v?.headers ? { ...v, headers: { ...v.headers, 'content-length': undefined } } : v));
}
export function same(a, b, exact) {
  const [x, y] = withoutLength(a, b);
  return JSON.stringify(canonical(x, exact)) === JSON.stringify(canonical(y, exact));
}

/** What is recorded of a release: 11 is the contract, `got10` and `or10` say where 10 differed. */
function recorded(step, release) {
  return release === '10' && 'got10' in step ? [step.got10, ...(step.or10 ?? [])] : [step.got, ...(step.or ?? [])];
}

/** Whether a step may be answered so; a step without a recorded answer may be answered in any way. */
export function accepts(step, answer, { exact, release }) {
  const answers = recorded(step, release);
  return answers[0] === undefined || answers.some(got => same(got, answer, exact));
}

export function difference(test, { seen, error }, how) {
  for (const [i, step] of test.steps.entries()) {
    const where = `step ${i + 1} (${step.do} ${step.as ?? step.on ?? step.of ?? ''})`;
    if (i >= seen.length) return `${where}: ${error}`;
    if (!accepts(step, seen[i], how)) {
      return `${where}\n    expected ${JSON.stringify(recorded(step, how.release)[0])}\n    got      ${JSON.stringify(seen[i])}`;
    }
  }
  return error ?? null;
}

/** The texts of .NET's own libraries, which a server need not imitate: what stands behind these exceptions' names. */
const LIBRARY_TEXT = /\b(JsonReaderException|JsonException|MessagePackSerializationException): [^"]*/g;

/** Without the texts of .NET's libraries. A text in hex is shown by its value too, so the hex goes with it. */
export function withoutLibraryTexts(value) {
  if (Array.isArray(value)) return value.map(withoutLibraryTexts);
  if (value && typeof value === 'object') {
    const members = Object.entries(value).map(([key, member]) => [key, withoutLibraryTexts(member)]);
    const plain = Object.fromEntries(members);
    if (typeof value.hex === 'string' && JSON.stringify(plain.value) !== JSON.stringify(value.value)) delete plain.hex;
    return plain;
  }
  return typeof value === 'string' ? value.replace(LIBRARY_TEXT, '$1: ‹text›') : value;
}

/** The case with its recorded answers free of the texts of .NET's libraries. */
export function caseWithoutLibraryTexts(test) {
  const answers = new Set(['got', 'or', 'got10', 'or10']);
  const plain = step => Object.fromEntries(Object.entries(step).map(([key, value]) => [key, answers.has(key) ? withoutLibraryTexts(value) : value]));
  return { ...test, steps: test.steps.map(plain) };
}
