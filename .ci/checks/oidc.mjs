// An OpenID provider that others wrote as the identity server: npm's oidc-provider,
// where a person signs in as in a browser, and a machine by client credentials.
// The server under test must have traffic. Its settings stay changed: run it last.
import assert from 'node:assert/strict'
import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createClient } from 'graphql-ws'
import Provider from 'oidc-provider'
import WebSocket from 'ws'
import { graphql, home, request, signIn, socket } from './parley.mjs'
import { within } from './within.mjs'

const audience = new URL('/graphql', home).href // of tokens for Parley
const redirect = 'http://127.0.0.1/signed-in'
const person = 'olga@parley.example'
const secret = 'a-secret-of-a-client-of-the-identity-server'
const viewer = '{ viewer { role operator { email } apiClient { externalClientId scopes } } }'

let provider // that answers now
const server = createServer((request, response) => provider.callback()(request, response))
let issuer
let administrator

before(async () => {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  issuer = `http://127.0.0.1:${server.address().port}`
  startProvider('first')
  administrator = await signIn()
  await change({
    IdentityServerUrl: issuer,
    IdentityServerClientId: 'parley',
    IdentityServerClientSecret: secret,
    IdentityServerAudience: audience,
  })
  for (const [mutation, input] of [
    ['createOperator', { email: person, name: 'Olga', password: randomBytes(16).toString('hex'), role: 'OPERATOR' }],
    ['createApiClient', { name: 'Importer', role: 'INTEGRATOR', scopes: ['chats:read', 'chats:write'], externalClientId: 'importer' }],
    ['createApiClient', { name: 'Late', role: 'INTEGRATOR', externalClientId: 'late' }],
  ]) {
    const type = mutation[0].toUpperCase() + mutation.slice(1)
    const data = await request(
      `mutation ($input: ${type}Input!) { ${mutation}(input: $input) { userErrors { code field message } } }`,
      { input },
      administrator,
    )
    assert.deepEqual(data[mutation].userErrors, [])
  }
})

after(() => server.close().closeAllConnections())

// A start of the identity server: it has one key, and knows nothing of a start before.
function startProvider(kid) {
  const machine = { client_secret: secret, grant_types: ['client_credentials'], redirect_uris: [], response_types: [] }
  const key = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' })
  provider = new Provider(issuer, {
    jwks: { keys: [{ ...key, kid, use: 'sig', alg: 'RS256' }] },
    cookies: { keys: [randomBytes(32).toString('hex')] },
    clients: [
      ...['parley', 'importer', 'late'].map((client_id) => ({ client_id, ...machine })),
      { client_id: 'spa', application_type: 'native', token_endpoint_auth_method: 'none', redirect_uris: [redirect] },
    ],
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, email: id, email_verified: true }) }),
    extraTokenClaims: (_, token) => token.accountId && { email: token.accountId, email_verified: true },
    conformIdTokenClaims: false,
    claims: { openid: ['sub', 'email', 'email_verified'] },
    formats: {
      customizers: {
        jwt: (_, token, { payload }) => {
          if (token.clientId === 'late') payload.exp = payload.iat - 60
        },
      },
    },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: true },
      resourceIndicators: {
        enabled: true,
        useGrantedResource: () => true,
        getResourceServerInfo: (_, resource) => ({
          scope: 'chats:read chats:write',
          audience: resource,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: 'RS256' } },
        }),
      },
    },
  })
}

// Changes system settings, as the administrator.
async function change(settings) {
  const { updateSystemSettings } = await request(
    `mutation ($input: UpdateSystemSettingsInput!) { updateSystemSettings(input: $input) { userErrors { code field message } } }`,
    { input: { settings: Object.entries(settings).map(([code, value]) => ({ code, value })) } },
    administrator,
  )
  assert.deepEqual(updateSystemSettings.userErrors, [])
}

// Asks the identity server's token endpoint.
async function ask(form, headers) {
  const response = await fetch(`${issuer}/token`, { method: 'POST', headers, body: new URLSearchParams(form) })
  const answer = await response.json()
  assert.equal(response.status, 200, JSON.stringify(answer))
  return answer
}

// A machine's access token; without a resource it is none for Parley, but opaque.
async function machineToken(client_id, resource, scope = '') {
  const basic = Buffer.from(`${client_id}:${secret}`).toString('base64')
  const form = { grant_type: 'client_credentials', ...(scope && { scope }), ...(resource && { resource }) }
  return (await ask(form, { authorization: `Basic ${basic}` })).access_token
}

// Signs somebody in by the authorization code flow with PKCE, through the pages
// that a browser would show. Gives the access token and the ID token.
async function signInAs(login, resource) {
  const cookies = new Map()
  const visit = async (url, form) => {
    const response = await fetch(url, {
      method: form ? 'POST' : 'GET',
      body: form && new URLSearchParams(form),
      headers: { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') },
      redirect: 'manual',
    })
    for (const line of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line)
      if (value) cookies.set(name, value)
      else cookies.delete(name)
    }
    assert.ok(response.status < 400, `${url}: ${response.status} ${response.status < 400 || (await response.text())}`)
    const to = response.headers.get('location')
    return to && new URL(to, url)
  }
  const verifier = randomBytes(32).toString('base64url')
  const asked = new URLSearchParams({
    client_id: 'spa',
    response_type: 'code',
    redirect_uri: redirect,
    scope: 'openid chats:read',
    resource,
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
  })
  let at = await visit(`${issuer}/auth?${asked}`)
  for (const prompt of ['login', 'consent']) {
    await visit(at) // the page with the form
    at = await visit(await visit(at, { prompt, login, password: 'any' }))
  }
  assert.equal(at.origin + at.pathname, redirect)
  const code = at.searchParams.get('code')
  return ask({ grant_type: 'authorization_code', client_id: 'spa', code, redirect_uri: redirect, code_verifier: verifier })
}

// What the API answers to a token: the viewer, or the error's code and message.
async function who(token) {
  const response = await fetch(graphql, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: JSON.stringify({ query: viewer }),
  })
  const { data, errors } = await response.json()
  if (!errors) return data.viewer
  return { status: response.status, code: errors[0].extensions.code, message: errors[0].message }
}

// The same once it can be told: not right after the keys were read.
async function told(token) {
  for (;;) {
    const answer = await who(token)
    if (answer.code !== 'OVERLOADED') return answer
    assert.equal(answer.status, 503)
    await sleep(250)
  }
}

function subscribe(token) {
  const client = createClient({
    url: socket.href,
    webSocketImpl: WebSocket,
    connectionParams: { authorization: `Bearer ${token}` },
    retryAttempts: 0,
  })
  return client.iterate({
    query: `subscription { chatEvents { __typename ... on ChatEventBatch { events { __typename } } } }`,
  })
}

test('the identity server passes its test', async () => {
  const { testIdentityServer } = await request(
    'mutation { testIdentityServer { passed failedStep reason } }',
    {},
    administrator,
  )
  assert.deepEqual(testIdentityServer, { passed: true, failedStep: null, reason: null })
})

test('a person who signed in there is their operator', async () => {
  const { access_token } = await signInAs(person, audience)
  assert.deepEqual(await told(access_token), { role: 'OPERATOR', operator: { email: person }, apiClient: null })
  const feed = subscribe(access_token)
  const { value } = await within(30, 'first item', feed.next())
  assert.equal(value.data.chatEvents.__typename, 'StreamCaughtUp')
  await feed.return()
})

test('a person whom nobody has added is refused', async () => {
  const { access_token } = await signInAs('stranger@parley.example', audience)
  const refused = await told(access_token)
  assert.equal(refused.status, 401)
  assert.match(refused.message, /no operator/)
})

test('a machine with client credentials is its API client, hears what happens, and can ask for less', async () => {
  const all = await machineToken('importer', audience)
  const its = (...scopes) => ({ role: 'INTEGRATOR', operator: null, apiClient: { externalClientId: 'importer', scopes } })
  assert.deepEqual(await told(all), its('chats:read', 'chats:write'))
  const feed = subscribe(all)
  for (;;) {
    const { value } = await within(60, 'event', feed.next())
    if (value.data.chatEvents.__typename === 'ChatEventBatch') break
  }
  await feed.return()
  const { chats } = await request('{ chats { nodes { id } } }', {}, `Bearer ${await machineToken('importer', audience, 'chats:read')}`)
  assert.notEqual(chats.nodes.length, 0)
})

test('tokens that are not for Parley are refused', async () => {
  const { id_token } = await signInAs(person, audience)
  for (const [name, token] of Object.entries({
    'another audience': await machineToken('importer', 'https://other.example'),
    'ended': await machineToken('late', audience),
    'opaque': await machineToken('importer'),
    "another client's ID token": id_token,
    'a client that is none here': await machineToken('parley', audience),
  })) {
    const refused = await told(token)
    assert.equal(refused.code, 'UNAUTHENTICATED', `${name}: ${JSON.stringify(refused)}`)
    assert.equal(refused.status, 401, name)
  }
})

test('a new key is known at once, and the tokens of one that is gone are refused', async () => {
  const before = await machineToken('importer', audience)
  assert.equal((await told(before)).role, 'INTEGRATOR')
  startProvider('second')
  assert.equal((await told(await machineToken('importer', audience))).role, 'INTEGRATOR')
  assert.equal((await told((await signInAs(person, audience)).access_token)).role, 'OPERATOR')
  assert.equal((await told(before)).code, 'UNAUTHENTICATED')
})

test('known keys go on while the identity server is down, and all ends when the settings name it no more', async () => {
  const token = await machineToken('importer', audience)
  assert.equal((await told(token)).role, 'INTEGRATOR')
  const another = await machineToken('importer', audience)
  const line = new WebSocket(socket, 'graphql-transport-ws')
  await once(line, 'open')
  line.send(JSON.stringify({ type: 'connection_init', payload: { authorization: `Bearer ${token}` } }))
  await within(20, 'acknowledgement', once(line, 'message'))
  provider = { callback: () => (_, response) => response.writeHead(503).end() }
  assert.equal((await who(another)).role, 'INTEGRATOR')
  const closed = once(line, 'close')
  await change({ IdentityServerUrl: null })
  assert.equal((await within(20, 'end of the socket', closed))[0], 4403)
  assert.equal((await who(token)).code, 'UNAUTHENTICATED')
})
