// The live feed as a client sees it: npm's graphql-ws for the event stream,
// plain fetch for server-sent events. The server under test must have traffic.
import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { createClient } from 'graphql-ws'
import WebSocket from 'ws'
import { graphql, request, signIn, socket } from './parley.mjs'
import { within } from './within.mjs'

const events = `events { __typename cursor at ... on MessageAdded { message { id text chat { id } } } }`

let authorization
before(async () => {
  authorization = await signIn()
})

// Reads the feed from a cursor until `enough` says so, then cuts the connection
// without a word, as a network does. Gives all that came.
async function readFeed(after, enough) {
  let line
  const client = createClient({
    url: socket.href,
    webSocketImpl: WebSocket,
    connectionParams: { authorization },
    retryAttempts: 0,
    on: { connected: (opened) => (line = opened) },
  })
  const feed = client.iterate({
    query: `subscription ($after: Cursor) {
      chatEvents(after: $after) {
        __typename
        ... on ChatEventBatch { cursor ${events} }
        ... on StreamCaughtUp { cursor }
        ... on StreamResync { reason cursor }
      }
    }`,
    variables: { after },
  })
  const came = []
  for (;;) {
    const { value, done } = await within(60, 'next item of chatEvents', feed.next())
    assert.equal(done, false, 'the stream ended by itself')
    assert.equal(value.errors, undefined)
    came.push(value.data.chatEvents)
    if (enough(came)) break
  }
  line.terminate()
  await within(10, 'notice of the cut connection', assert.rejects(feed.next(), { code: 1006 }))
  return came
}

const caughtUpAndLive = (came) => {
  const caughtUp = came.findIndex((item) => item.__typename === 'StreamCaughtUp')
  return caughtUp >= 0 && eventsOf(came.slice(caughtUp)).some((event) => event.__typename === 'MessageAdded')
}

const eventsOf = (came) => came.flatMap((item) => item.events ?? [])

// The same stretch of the stream, asked for by query.
async function queryFrom(after, count) {
  const found = []
  while (found.length < count) {
    const { events: page } = await request(
      `query ($after: Cursor!) { events(after: $after) { cursor caughtUp resync { reason } ${events} } }`,
      { after },
      authorization,
    )
    assert.equal(page.resync, null)
    found.push(...page.events)
    if (page.caughtUp) break
    after = page.cursor
  }
  return found.slice(0, count)
}

// Waits until something happened after the cursor, so that there is a backlog.
async function backlogAfter(after) {
  const deadline = Date.now() + 60_000
  while ((await queryFrom(after, 1)).length === 0) {
    assert.ok(Date.now() < deadline, 'no event within 60 s')
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}

test('the event stream catches up, goes live, and goes on after a cut without gap or repeat', async () => {
  const { eventCursor: start } = await request('{ eventCursor }', {}, authorization)
  await backlogAfter(start)
  const first = await readFeed(start, caughtUpAndLive)
  const cut = first.at(-1).cursor
  await backlogAfter(cut)
  const second = await readFeed(cut, caughtUpAndLive)

  for (const came of [first, second]) {
    assert.equal(came.filter((item) => item.__typename === 'StreamCaughtUp').length, 1)
    assert.equal(came.filter((item) => item.__typename === 'StreamResync').length, 0)
  }
  const streamed = eventsOf([...first, ...second]).map((event) => event.cursor)
  const queried = (await queryFrom(start, streamed.length)).map((event) => event.cursor)
  assert.deepEqual(streamed, queried)
  assert.equal(new Set(streamed).size, streamed.length)
})

test('a new message comes with its text over server-sent events', async () => {
  const response = await fetch(graphql, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'text/event-stream', authorization },
    body: JSON.stringify({ query: 'subscription { messageAdded { cursor message { text } } }' }),
    signal: AbortSignal.timeout(60_000),
  })
  assert.equal(response.status, 200)
  assert.match(response.headers.get('content-type'), /^text\/event-stream/)

  let text = ''
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    text += chunk
    const next = text.match(/^event: ?next\ndata: ?(.*)\n\n/m)
    if (!next) continue
    const { data, errors } = JSON.parse(next[1])
    assert.equal(errors, undefined)
    assert.ok(data.messageAdded.cursor)
    assert.equal(typeof data.messageAdded.message.text, 'string')
    return // leaving the loop closes the response
  }
  assert.fail(`the stream ended after ${JSON.stringify(text)}`)
})
