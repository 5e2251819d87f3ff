import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cookieMs, cookieName, handover, readCookie, safeSetCookie, setCookie, withoutOwnCookies } from './handover.ts'

const key = Buffer.from('key')
let now = 1_000_000
const clock = (): number => now

test('a token gives its session once, at its own place, within a minute', () => {
  const desk = handover(key, clock)
  const token = desk.issue('agent-1', 'session')
  assert.equal(desk.redeem(token, 'agent-2'), undefined)
  assert.equal(desk.redeem(token, 'agent-1'), 'session')
  assert.equal(desk.redeem(token, 'agent-1'), undefined)
  const late = desk.issue('agent-1', 'session')
  now += 60_000
  assert.equal(desk.redeem(late, 'agent-1'), undefined)
})

test('a token of an earlier process is refused, a cookie of it holds', () => {
  const before = handover(key, clock)
  const after = handover(key, clock)
  assert.equal(after.redeem(before.issue('agent-1', 'session'), 'agent-1'), undefined)
  assert.equal(after.unseal(before.seal('agent-1', 'session'), 'agent-1'), 'session')
})

test('token and cookie cannot stand in for each other', () => {
  const desk = handover(key, clock)
  assert.equal(desk.unseal(desk.issue('agent-1', 'session'), 'agent-1'), undefined)
  assert.equal(desk.redeem(desk.seal('agent-1', 'session'), 'agent-1'), undefined)
})

test('a cookie ends, and holds for its own place alone', () => {
  const desk = handover(key, clock)
  const cookie = desk.seal('agent-1', 'session')
  assert.equal(desk.unseal(cookie, 'agent-2'), undefined)
  now += cookieMs
  assert.equal(desk.unseal(cookie, 'agent-1'), undefined)
})

test('what was not signed with the key, or was changed, is refused', () => {
  const desk = handover(key, clock)
  const cookie = desk.seal('agent-1', 'session')
  assert.equal(handover(Buffer.from('other'), clock).unseal(cookie, 'agent-1'), undefined)
  const [claims = '', code = ''] = cookie.split('.')
  const changed = Buffer.from(claims, 'base64url').toString().replace('session', 'another')
  assert.equal(desk.unseal(`${Buffer.from(changed).toString('base64url')}.${code}`, 'agent-1'), undefined)
  for (const text of ['', '.', 'a.b', 'a.b.c', `${cookie}.`, cookie.slice(0, -1), 'x'.repeat(5000)])
    assert.equal(desk.unseal(text, 'agent-1'), undefined)
})

test('over TLS the cookie has the prefix that no other origin can set', () => {
  assert.match(setCookie('v', true), /^__Host-slopbox-visit=v; .*; Path=\/; HttpOnly; SameSite=Lax; Secure$/)
  assert.doesNotMatch(setCookie('v', false), /Secure|__Host-/)
  assert.equal(readCookie('a=1; slopbox-visit=x', cookieName(true)), undefined)
  assert.equal(readCookie('a=1; slopbox-visit=x', cookieName(false)), 'x')
})

test("the gateway's cookies are taken out, others stay", () => {
  assert.equal(withoutOwnCookies('a=1; slopbox-visit=x; __Host-slopbox-visit=y; b=2'), 'a=1; b=2')
  assert.equal(withoutOwnCookies('slopbox-visit=x'), undefined)
  assert.equal(withoutOwnCookies(undefined), undefined)
})

test('a page may set cookies for its own host, not for others and not in our name', () => {
  assert.equal(safeSetCookie('a=1; Domain=slopbox.localhost; Path=/'), 'a=1; Path=/')
  assert.equal(safeSetCookie('a=1;domain = x;Secure'), 'a=1;Secure')
  for (const value of ['slopbox-visit=x', '__host-SLOPBOX-visit=x', '=x']) assert.equal(safeSetCookie(value), undefined)
})
