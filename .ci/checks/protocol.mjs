// graphql-transport-ws as its specification has it, spoken by hand, because a
// good client never makes these mistakes.
import assert from 'node:assert/strict'
import { afterEach, before, test } from 'node:test'
import WebSocket from 'ws'
import { signIn, socket } from './parley.mjs'
import { within } from './within.mjs'

const feed = { query: 'subscription { chatEvents { __typename } }' }

let authorization
before(async () => {
  authorization = await signIn()
})

const lines = new Set()
afterEach(() => {
  for (const line of lines) line.terminate()
  lines.clear()
})

// An open connection: say() sends, hear() gives the next message that is not a
// ping, closed gives the close code.
async function connect({ init } = {}) {
  const line = new WebSocket(socket, 'graphql-transport-ws')
  lines.add(line)
  const heard = []
  let wake = () => {}
  line.on('message', (data) => {
    const message = JSON.parse(data)
    if (message.type === 'ping') return
    heard.push(message)
    wake()
  })
  const closed = new Promise((resolve) => line.on('close', resolve))
  const say = (message) => line.send(typeof message === 'string' ? message : JSON.stringify(message))
  const hear = async () => {
    while (heard.length === 0) {
      await within(20, 'message', Promise.race([new Promise((resolve) => (wake = resolve)), closed.then(fail)]))
    }
    return heard.shift()
  }
  const fail = (code) => assert.fail(`closed with ${code} while a message was waited for`)
  await within(10, 'handshake', new Promise((resolve, reject) => line.on('open', resolve).on('error', reject)))
  if (init) {
    say({ type: 'connection_init', payload: { authorization } })
    assert.equal((await hear()).type, 'connection_ack')
  }
  return { say, hear, closed: (seconds = 20) => within(seconds, 'close', closed) }
}

test('subscribing before connection_init closes with 4401', async () => {
  const { say, closed } = await connect()
  say({ type: 'subscribe', id: '1', payload: feed })
  assert.equal(await closed(), 4401)
})

test('a wrong token closes with 4403', async () => {
  const { say, closed } = await connect()
  say({ type: 'connection_init', payload: { authorization: 'Bearer wrong' } })
  assert.equal(await closed(), 4403)
})

test('a second connection_init closes with 4429', async () => {
  const { say, closed } = await connect({ init: true })
  say({ type: 'connection_init', payload: { authorization } })
  assert.equal(await closed(), 4429)
})

test('a second subscription with a living id closes with 4409', async () => {
  const { say, closed } = await connect({ init: true })
  say({ type: 'subscribe', id: '1', payload: feed })
  say({ type: 'subscribe', id: '1', payload: feed })
  assert.equal(await closed(), 4409)
})

for (const [what, message] of [
  ['text that is no JSON', 'garbage'],
  ['JSON that is no message', '[]'],
  ['an unknown type of message', { type: 'shout' }],
  ['a subscription without an id', { type: 'subscribe', payload: feed }],
]) {
  test(`${what} closes with 4400`, async () => {
    const { say, closed } = await connect({ init: true })
    say(message)
    assert.equal(await closed(), 4400)
  })
}

test('no connection_init in time closes with 4408', async () => {
  const { closed } = await connect()
  assert.equal(await closed(60), 4408)
})

test('an unknown subprotocol is refused', async () => {
  const line = new WebSocket(socket, 'carrier-pigeon')
  lines.add(line)
  const end = new Promise((resolve) => {
    line.on('error', () => resolve('refused')) // by the handshake's answer, or by naming no subprotocol
    line.on('close', resolve)
  })
  assert.ok(['refused', 4406].includes(await within(20, 'refusal', end)))
})

test('a ping is answered by a pong', async () => {
  const { say, hear } = await connect({ init: true })
  say({ type: 'ping' })
  assert.equal((await hear()).type, 'pong')
})

test('a query over the socket gives its result and completes', async () => {
  const { say, hear } = await connect({ init: true })
  say({ type: 'subscribe', id: 'q', payload: { query: '{ viewer { role } }' } })
  const { type, id, payload } = await hear()
  assert.deepEqual([type, id, typeof payload.data.viewer.role], ['next', 'q', 'string'])
  assert.deepEqual(await hear(), { type: 'complete', id: 'q' })
})

test('an invalid operation gives an error and leaves the connection and its id free', async () => {
  const { say, hear } = await connect({ init: true })
  say({ type: 'subscribe', id: '1', payload: { query: 'subscription { noSuchField }' } })
  const { type, id, payload } = await hear()
  assert.deepEqual([type, id], ['error', '1'])
  assert.equal(typeof payload[0].message, 'string')
  say({ type: 'subscribe', id: '1', payload: { query: '{ viewer { role } }' } })
  assert.equal((await hear()).type, 'next')
})

test('a completed subscription says nothing more and frees its id', async () => {
  const { say, hear } = await connect({ init: true })
  say({ type: 'subscribe', id: '1', payload: feed })
  assert.equal((await hear()).type, 'next')
  say({ type: 'complete', id: '1' })
  // What was on its way when the server read "complete" may still come; the pong is behind it.
  say({ type: 'ping' })
  while ((await hear()).type !== 'pong');
  say({ type: 'subscribe', id: '1', payload: { query: '{ viewer { role } }' } })
  const { type, payload } = await hear()
  assert.deepEqual([type, Object.keys(payload.data)], ['next', ['viewer']])
})
