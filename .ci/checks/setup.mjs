// examples/setup.sh on a fresh server as in production, with the simulator as its Facebook: what it sets up works, a
// second run changes nothing, and its failures are plain. It must keep secrets to itself.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { startParley } from './programs.mjs'

const page = '101234567890123'
const secrets = {
  FACEBOOK_APP_SECRET: 'secret-of-the-app&"%+',
  FACEBOOK_WEBHOOK_VERIFY_TOKEN: "word-of-the-webhook 'ü\\",
  FACEBOOK_PAGE_TOKEN: 'EAAG-token-of-the-page',
  OPERATOR_PASSWORD: 'password "of" $the operator',
}
const facebookApp = { FACEBOOK_APP_ID: '1517776481860111', ...secrets }
const operator = { OPERATOR_EMAIL: 'Ann@check.example', OPERATOR_NAME: 'Ann Lee' }

const parley = await startParley(
  '-subscribe=false', '-app-id', facebookApp.FACEBOOK_APP_ID, '-app-secret', secrets.FACEBOOK_APP_SECRET,
  '-page', `${page}:${secrets.FACEBOOK_PAGE_TOKEN}:Harbour Coffee`,
)
const { request, signIn } = await import('./parley.mjs')
const tools = await mkdtemp(join(tmpdir(), 'parley-tools-'))
let admin, client

before(async () => {
  admin = await signIn()
  const { createApiClient: made } = await request(
    `mutation { createApiClient(input: {name: "Set-up", role: INTEGRATOR}) {
      apiClient { clientId } clientSecret userErrors { message }
    } }`, {}, admin,
  )
  assert.deepEqual(made.userErrors, [])
  client = { PARLEY_CLIENT_ID: made.apiClient.clientId, PARLEY_CLIENT_SECRET: made.clientSecret }
  for (const tool of ['curl', 'jq']) { // which write down what they are called with, for all to see
    const path = join(tools, tool)
    await writeFile(path, `#!/bin/sh\nprintf '%s\\n' "$@" >>'${tools}/arguments'\nPATH=\${PATH#*:} exec ${tool} "$@"\n`)
    await chmod(path, 0o755)
  }
})

after(async () => {
  await rm(tools, { recursive: true })
  await parley.stop()
})

// Runs the script and gives its end and what it said.
async function setUp(differently = {}) {
  const env = { PARLEY_URL: process.env.PARLEY_URL, ...client, ...facebookApp, ...operator, ...differently }
  const script = spawn('bash', [fileURLToPath(new URL('../../examples/setup.sh', import.meta.url))], {
    stdio: ['ignore', 'pipe', 'pipe'], env: { ...env, PATH: tools + delimiter + process.env.PATH },
  })
  const said = { out: '', err: '' }
  script.stdout.setEncoding('utf8').on('data', (text) => (said.out += text))
  script.stderr.setEncoding('utf8').on('data', (text) => (said.err += text))
  const [code] = await once(script, 'close')
  const seen = said.out + said.err + (await readFile(join(tools, 'arguments'), 'utf8'))
  for (const [name, secret] of Object.entries(env)) {
    if (secret && /SECRET|TOKEN|PASSWORD/.test(name)) assert.ok(!seen.includes(secret), `${name} is shown`)
  }
  assert.match(seen, /--data-binary/)
  assert.doesNotMatch(seen, /eyJ/, 'an access token is shown')
  return { code, ...said }
}

// All that a run might have changed.
const everything = () =>
  request(
    `{
      eventCursor
      auditEntries(first: 100) { nodes { id } }
      systemSettings { version settings { code isSet updatedAt } }
      channels(first: 100) { nodes { id version } }
      queues(first: 100) { nodes { id version members { id } } }
      operators(first: 100) { nodes { id version } }
      apiClients(first: 100) { nodes { id version } }
      quickReplies(first: 100) { nodes { id version } }
    }`, {}, admin,
  )

test('the check list says what is wrong with the app, and ends the script', async () => {
  const { code, err } = await setUp({ FACEBOOK_APP_SECRET: 'another-secret' })
  assert.equal(code, 1)
  assert.match(err, /^The set-up is not complete\.\n {2}FACEBOOK_APP_ANSWERS: ./)
})

test('an operator who is not there needs a password to be added', async () => {
  const { code, err } = await setUp({ OPERATOR_PASSWORD: '' })
  assert.equal(code, 1)
  assert.match(err, /^There is no operator Ann@check\.example yet: set OPERATOR_NAME and OPERATOR_PASSWORD/)
})

test('a channel is set up, and a second run changes nothing', async () => {
  const first = await setUp()
  assert.deepEqual([first.code, first.err], [0, ''])
  assert.match(first.out, /^queue +Support is made\nquick reply +Greeting is made\nquick reply +Goodbye is made\nchannel +is live\n/m)

  const before = await everything()
  assert.equal(before.channels.nodes.length, 1)
  assert.equal(before.quickReplies.nodes.length, 2)
  const second = await setUp()
  assert.deepEqual([second.code, second.err], [0, ''])
  assert.deepEqual(await everything(), before)
  assert.deepEqual(second.out.match(/^(settings|operator|queue|quick reply|channel) .*(was|were)/gm)?.length, 6)
})

test('a queue that was there gets the operator, and keeps its members', async () => {
  const { code, err } = await setUp({ OPERATOR_EMAIL: 'ben@check.example', OPERATOR_NAME: 'Ben' })
  assert.deepEqual([code, err], [0, ''])
  const { queues } = await request('{ queues { nodes { members { name } } } }', {}, admin)
  assert.deepEqual(queues.nodes.map(({ members }) => members.map(({ name }) => name).sort()), [['Ann Lee', 'Ben']])
})

test('a message of a customer reaches the queue', async () => {
  await parley.sim('callback', {
    app_id: facebookApp.FACEBOOK_APP_ID, url: `${process.env.PARLEY_URL}/webhooks/facebook`, verify_token: secrets.FACEBOOK_WEBHOOK_VERIFY_TOKEN,
  })
  const { id } = await parley.sim(`pages/${page}/people`, { first_name: 'Zoë' })
  await parley.sim(`pages/${page}/people/${id}/writes`, { text: 'Are you open today?' })
  await parley.sim('settle')
  const { chats } = await request('{ chats { nodes { status queue { name } channel { language } messages(last: 1) { nodes { text } } } } }', {}, admin)
  assert.deepEqual(chats.nodes, [
    { status: 'WAITING', queue: { name: 'Support' }, channel: { language: 'en' }, messages: { nodes: [{ text: 'Are you open today?' }] } },
  ])
})

test('a wrong client secret is said plainly', async () => {
  const { code, out, err } = await setUp({ PARLEY_CLIENT_SECRET: 'wrong-secret' })
  assert.deepEqual([code, out, err], [1, '', 'Signing in: invalid_client: The client or its secret is wrong.\n'])
})

test('a dead page token is said plainly', async () => {
  await parley.sim('tokens/kill', { token: secrets.FACEBOOK_PAGE_TOKEN, subcode: 460 })
  const { code, err } = await setUp()
  assert.equal(code, 1)
  assert.match(err, /^Connecting the page: INVALID: Facebook refused: .+ \(pageAccessToken\)\n$/)
})

test('an API client that may not is told so, with the request to look for', async () => {
  const { createApiClient: bot } = await request(
    'mutation { createApiClient(input: {name: "Bot", role: BOT}) { apiClient { clientId } clientSecret } }', {}, admin,
  )
  const { code, err } = await setUp({ PARLEY_CLIENT_ID: bot.apiClient.clientId, PARLEY_CLIENT_SECRET: bot.clientSecret })
  assert.equal(code, 1)
  assert.match(err, /^Reading the settings: FORBIDDEN: .+ \(request .+\)\n$/)
})

test('a server that cannot be reached and one that is another are said to be', async () => {
  const away = await setUp({ PARLEY_URL: 'http://127.0.0.1:1' })
  assert.equal(away.code, 1)
  assert.match(away.err, /Signing in: http:\/\/127\.0\.0\.1:1 cannot be reached\.\n$/)
  const other = await setUp({ PARLEY_URL: `${process.env.PARLEY_URL}/elsewhere` })
  assert.equal(other.code, 1)
  assert.match(other.err, /^Signing in: .*\/elsewhere\/oauth\/token answered 404, not as Parley does\.\n$/)
})
