import { createHmac } from 'node:crypto';

export const KEY = 'conformance-signing-key-of-32-bytes-or-more';
const encode = value => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A signed-in user's token, as an application's own login would hand out. `seconds`: until it ends. */
export function token(user, { seconds = 600, role } = {}) {
  const now = Math.floor(Date.now() / 1000);
  const text = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode({ sub: user, role, nbf: now - 10, exp: now + seconds })}`;
  return `${text}.${createHmac('sha256', KEY).update(text).digest('base64url')}`;
}
