// GraphiQL in a real browser: the page at / of a running `parley demo`, whose
// default query is a subscription with the headers filled in.
import assert from 'node:assert/strict'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { launch } from './chromium.mjs'
import { home } from './parley.mjs'

let browser, page
const outside = []
const complaints = []

before(async () => {
  browser = await launch()
  page = await browser.newPage({ viewport: { width: 1440, height: 900 } })
  page.setDefaultTimeout(60_000)
  const note = (made) => {
    const { protocol, host } = new URL(made.url())
    if (!['data:', 'blob:'].includes(protocol) && host !== home.host) outside.push(made.url())
  }
  page.on('request', note)
  page.on('websocket', note)
  page.on('pageerror', (error) => complaints.push(error.stack))
  page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()))
})

after(() => browser?.close())

const press = (name) => page.getByRole('button', { name }).click()

// Waits for a result. Monaco draws spaces as no-break spaces, and only the lines in view.
const result = (pattern) =>
  page.waitForFunction(
    (source) => {
      const pane = document.querySelector('.result-window .view-lines')
      return new RegExp(source).test(pane?.innerText.replaceAll('\u00a0', ' '))
    },
    pattern.source,
    { polling: 50 },
  )

// Puts text into an editor, past the help it gives to who types.
const write = (editor, text) =>
  page.evaluate(
    ([name, value]) => {
      const models = globalThis.__MONACO.editor.getModels()
      models.find(({ uri }) => uri.path.endsWith(name)).setValue(value)
    },
    [editor, text],
  )

// Runs an operation, once GraphiQL has read it: its name is the tab's.
async function run(name, operation) {
  await write('operation.graphql', operation)
  await page.locator('.graphiql-tab', { hasText: name }).waitFor()
  await press('Execute query')
}

test('the page shows live messages as soon as ▶ is pressed', async (t) => {
  await page.goto(home.href)
  await press('Execute query')
  await result(/"text": "[^"]/)
  const path = process.env.SCREENSHOT ?? join(await mkdtemp(join(tmpdir(), 'parley-')), 'graphiql.png')
  await page.screenshot({ path })
  t.diagnostic(`screenshot: ${path}`)
})

test('a query is answered after the subscription is stopped', async () => {
  await press('Stop query')
  await run('Who', 'query Who { viewer { role } }')
  await result(/"role": "ADMIN"/)
})

test('a changed token is the one that opens the next socket', async () => {
  await write('request-headers.json', '{ "Authorization": "Bearer wrong" }')
  await run('Refused', 'subscription Refused { messageAdded { cursor } }')
  await result(/Socket closed: 4403/)
})

test('the browser keeps the tabs and no token', async () => {
  await page.waitForFunction(() => localStorage.getItem('graphiql:tabState')?.includes('Refused'))
  assert.doesNotMatch(await page.evaluate(() => JSON.stringify(localStorage)), /Bearer/)
})

test('the page loads nothing from outside and the browser has nothing to complain of', () => {
  assert.deepEqual(outside, [])
  assert.deepEqual(complaints, [])
})
